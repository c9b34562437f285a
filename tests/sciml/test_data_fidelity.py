"""Data fidelities: values, gradients, Lipschitz constants and minima, for every kind of noise and operator."""

import pytest
import torch
from plug_and_play_cases import DOUBLE, SHAPE, N, dense, half_square, normal, wide

from pde_benchmarks.imaging.forward_operators import from_nonlinear_function
from sciml.errors import ConfigurationError, ObservationError
from sciml.plug_and_play import GaussianFidelity, PoissonFidelity
from sciml.plug_and_play.trials import tried
from solvers import IdentityOperator
from solvers.errors import SolveError

COUNT = 3


def gaussian() -> GaussianFidelity:
    return GaussianFidelity(dense(wide()), normal(COUNT, 8, seed=3), 0.3)


def nonlinear() -> GaussianFidelity:
    A = wide(10)
    operator = from_nonlinear_function(lambda x: torch.tanh(x.flatten(1) @ A.mT), input_shape=SHAPE, output_shape=(10,))
    return GaussianFidelity(operator, 0.3 * normal(COUNT, 10, seed=3), 0.3)


def counts() -> PoissonFidelity:
    A = wide().abs()
    means = 20 * torch.rand(COUNT, 8, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))
    return PoissonFidelity(dense(A), torch.poisson(means, torch.Generator().manual_seed(2)), 2.0)


FIDELITIES = {"gaussian": gaussian, "nonlinear": nonlinear, "poisson": counts}


@pytest.mark.parametrize("make", FIDELITIES.values(), ids=FIDELITIES)
def test_gradients_are_those_of_the_value(make):
    h, x = make(), normal(COUNT, *SHAPE, seed=4).requires_grad_()
    (slope,) = torch.autograd.grad(h.value(x).sum(), x)
    torch.testing.assert_close(h.gradient(x.detach()), slope, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(h.value(x.detach()), h.value_and_gradient(x.detach())[0])


@pytest.mark.parametrize("make", [gaussian, counts])
def test_gradients_are_as_steep_as_certified(make):
    """‖∇h(a) − ∇h(b)‖ ≤ L ‖a − b‖, also where expected counts are negative."""
    h = make()
    for seed in range(20):
        a, b = 5 * normal(COUNT, *SHAPE, seed=seed), 5 * normal(COUNT, *SHAPE, seed=seed + 100)
        rise = (h.gradient(a) - h.gradient(b)).flatten(1).norm(dim=-1)
        assert (rise <= h.lipschitz * (a - b).flatten(1).norm(dim=-1) * (1 + 1e-12)).all()


def test_the_lipschitz_constant_of_least_squares_is_reached():
    h = gaussian()
    _, _, V = torch.linalg.svd(wide())
    step = V[0].expand(COUNT, 1, N)
    rise = (h.gradient(step) - h.gradient(0 * step)).flatten(1).norm(dim=-1)
    torch.testing.assert_close(rise, torch.full_like(rise, h.lipschitz))


@pytest.mark.parametrize("make", [gaussian, counts])
def test_convex_fidelities_are_above_their_tangents(make):
    h = make()
    a, b = 3 * normal(COUNT, *SHAPE, seed=1), 3 * normal(COUNT, *SHAPE, seed=2)
    value, slope = h.value_and_gradient(a)
    assert (h.value(b) >= value + (slope * (b - a)).flatten(1).sum(-1) - 1e-9).all()


@pytest.mark.parametrize("penalty", [0.05, 2.0, 300.0])
@pytest.mark.parametrize("make", FIDELITIES.values(), ids=FIDELITIES)
def test_proximal_points_are_stationary(make, penalty):
    """∇h(x) + ρ (x − v) = 0."""
    h, v = make(), normal(COUNT, *SHAPE, seed=5)
    x, solved = h.prox(v, penalty)
    assert solved.all()
    size = h.gradient(v).norm() + penalty
    assert (h.gradient(x) + penalty * (x - v)).abs().max() <= 2e-5 * size
    assert (h.value(x) + penalty * half_square(x - v) <= h.value(v) + 1e-9).all()


@pytest.mark.parametrize("make", FIDELITIES.values(), ids=FIDELITIES)
def test_penalties_of_each_sample_are_its_own(make):
    h, v = make(), normal(COUNT, *SHAPE, seed=5)
    rho = torch.tensor([0.5, 2.0, 30.0], dtype=DOUBLE)
    together, _ = h.prox(v, rho)
    for i in range(COUNT):
        alone, _ = h.rows(torch.tensor([i])).prox(v[i : i + 1], float(rho[i]))
        torch.testing.assert_close(together[i], alone[0], rtol=0, atol=1e-4)


def test_the_truth_has_a_discrepancy_of_one():
    A, x = wide(2000), normal(COUNT, *SHAPE)
    clean = 50 + 40 * torch.sin(x.flatten(1)) @ A.abs().mT
    noisy = GaussianFidelity(dense(A), x.flatten(1) @ A.mT + 0.2 * normal(COUNT, 2000, seed=2), 0.2)
    assert (noisy.discrepancy(x) - 1).abs().max() < 0.1
    # Counts: the same field, seen through an operator that gives means of 10 and more.
    from_mean = dense(torch.full((2000, N), 1.0 / N, dtype=DOUBLE))
    mean = torch.full((COUNT, *SHAPE), 30.0, dtype=DOUBLE)
    counted = torch.poisson(torch.full_like(clean, 32.0), torch.Generator().manual_seed(0))
    assert (PoissonFidelity(from_mean, counted, 2.0).discrepancy(mean) - 1).abs().max() < 0.1


def failing(names_samples: bool) -> GaussianFidelity:
    def apply(x):
        bad = (x.detach().flatten(1)[:, 0] > 10).nonzero().reshape(-1)
        if len(bad):
            raise SolveError("no solution.", batch_indices=bad.tolist() if names_samples else ())
        return x.flatten(1)

    operator = from_nonlinear_function(apply, input_shape=SHAPE, output_shape=(N,))
    return GaussianFidelity(operator, torch.zeros(4, N, dtype=DOUBLE))


@pytest.mark.parametrize("names_samples", [True, False])
def test_failures_of_some_samples_leave_the_others(names_samples):
    x = torch.ones(4, *SHAPE, dtype=DOUBLE)
    x[1], x[3] = 20.0, torch.nan
    value, gradient, message = tried(failing(names_samples), x)
    assert value.isfinite().tolist() == [True, False, True, False]
    torch.testing.assert_close(gradient[[0, 2]], x[[0, 2]])
    assert message == "no solution."


def test_curvatures_need_not_be_multiples_of_the_identity():
    h, c = gaussian(), normal(COUNT, *SHAPE, seed=6)
    Q = 3.0 * IdentityOperator(N, DOUBLE) + 2.0 * IdentityOperator(N, DOUBLE)
    torch.testing.assert_close(h.minimum(Q, c, c)[0], h.prox(c, 5.0)[0])


def test_bad_data_are_named():
    operator = dense(wide())
    with pytest.raises(ObservationError, match=r"shape \(B, 8\)"):
        GaussianFidelity(operator, torch.zeros(2, 9))
    holes = torch.zeros(2, 8)
    holes[0, :3] = torch.nan
    with pytest.raises(ObservationError, match="3 of 16 values are not finite"):
        GaussianFidelity(operator, holes)
    with pytest.raises(ObservationError, match="sigma = 0"):
        GaussianFidelity(operator, torch.zeros(2, 8), 0.0)
    with pytest.raises(ObservationError, match="int64"):
        GaussianFidelity(operator, torch.zeros(2, 8, dtype=torch.int64))
    with pytest.raises(ConfigurationError, match="from_functions"):
        GaussianFidelity(lambda x: x, torch.zeros(2, 8))
    with pytest.raises(ObservationError, match="2 counts are negative"):
        PoissonFidelity(operator, torch.tensor([[-1.0, -2.0, 0, 0, 0, 0, 0, 0]]), 1.0)
    with pytest.raises(ObservationError, match="background = 0"):
        PoissonFidelity(operator, torch.zeros(2, 8), 0.0)
    with pytest.raises(ConfigurationError, match="linear"):
        PoissonFidelity(nonlinear().operator, torch.zeros(2, 10), 1.0)
