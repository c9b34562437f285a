"""Plug-and-play iterations: what they converge to, what falls on the way, and how they end."""

import pytest
import torch
from plug_and_play_cases import DOUBLE, SHAPE, ConvexToy, N, dense, fidelity, normal, spectrum, wide

from pde_benchmarks.imaging.forward_operators import from_functions, from_nonlinear_function
from sciml.errors import ConfigurationError, InferenceError, ObservationError
from sciml.plug_and_play import (
    ADMM,
    AcceleratedProximalGradient,
    Backtracking,
    ChambollePock,
    DenoiserPrior,
    DouglasRachford,
    GaussianFidelity,
    LearnedPrior,
    ProximalGradient,
    QuadraticNetwork,
    SoftThreshold,
    TotalVariation,
    reconstruct,
)
from solvers import Status
from solvers.errors import NonFinite

METHODS = {
    "proximal gradient": ProximalGradient(1e-10, 20_000),
    "accelerated": AcceleratedProximalGradient(1e-10, 20_000),
    "backtracking": Backtracking(1e-10, 20_000),
    "ADMM": ADMM(1e-10, 20_000),
    "ADMM with another penalty": ADMM(1e-10, 20_000, penalty=1.3),
    "Douglas–Rachford": DouglasRachford(1e-10, 20_000, step=2.0),
}


def toy() -> LearnedPrior:
    """Nonconvex (its Lipschitz constant is above one) and analytic."""
    network = ConvexToy().requires_grad_(False)
    return LearnedPrior(network, network.lipschitz)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_gaussian_priors_lead_to_the_ridge_solution(method):
    """psi = ½⟨v, S v⟩: (AᵀA + weight (S⁻¹ − I)) x = Aᵀb."""
    S, data, weight = spectrum(0.3, 0.9), fidelity(), 0.5
    found = reconstruct(data, LearnedPrior(QuadraticNetwork(S)), weight, method, throw=False)
    A = wide()
    P = torch.linalg.inv(S) - torch.eye(N, dtype=DOUBLE)
    exact = torch.linalg.solve(A.mT @ A + weight * P, (data.data @ A).mT).mT
    torch.testing.assert_close(found.x.flatten(1), exact, rtol=0, atol=1e-7)


def test_all_methods_find_the_same_minimum_of_convex_functions():
    prior, data, weight = SoftThreshold(), fidelity(rows=N), torch.tensor([0.02, 0.05, 0.1], dtype=DOUBLE)
    found = [
        reconstruct(data, prior, weight, replace_tolerance(method)).x
        for method in METHODS.values()
        if not isinstance(method, DouglasRachford)
    ]
    for x in found[1:]:
        torch.testing.assert_close(x, found[0], rtol=0, atol=2e-4)


def test_total_variation_has_the_same_minimum_by_the_primal_dual_method():
    data, weight = fidelity(rows=N), torch.tensor([0.02, 0.05, 0.1], dtype=DOUBLE)
    dual = reconstruct(data, TotalVariation(), weight, ChambollePock(1e-7, 20_000))
    primal = reconstruct(data, TotalVariation(), weight, AcceleratedProximalGradient(1e-6))
    torch.testing.assert_close(dual.x, primal.x, rtol=0, atol=2e-4)
    torch.testing.assert_close(dual.objective[-1], primal.objective[-1], rtol=1e-6, atol=0)
    assert dual.stationarity.max() < 1e-4
    assert dual.within_theorem


def replace_tolerance(method):
    return type(method)(1e-6, 20_000)


@pytest.mark.parametrize("weight", [0.05, 0.4, 3.0])
@pytest.mark.parametrize("method", [ProximalGradient, AcceleratedProximalGradient, Backtracking])
def test_the_objective_never_rises(method, weight):
    """Every weight is within the theorem, as multiples of the prior are exact; the prior is not convex."""
    found = reconstruct(fidelity(sigma=0.5), toy(), weight, method(1e-7, 5000))
    assert found.monotone().all()
    assert found.converged.all()
    assert found.within_theorem
    assert found.stationarity.max() < 1e-4


def test_longer_steps_need_a_certified_lipschitz_constant():
    data, prior = fidelity(), toy()
    longest = (1 + 1 / prior.lipschitz) / data.lipschitz
    found = reconstruct(data, prior, 1 / (0.98 * longest), ProximalGradient(step=0.98 * longest))
    assert found.monotone().all()
    assert found.within_theorem
    with pytest.raises(ConfigurationError, match=rf"\(0, {longest:.5f}"):
        reconstruct(data, prior, 1 / (1.01 * longest), ProximalGradient(step=1.01 * longest))
    with pytest.raises(ConfigurationError, match=r"\(0, 1\)"):
        reconstruct(data, LearnedPrior(prior.network), 0.8, ProximalGradient(step=1.2))
    outside = reconstruct(data, LearnedPrior(prior.network), 0.8, ProximalGradient(step=1.2, check=False), throw=False)
    assert not outside.within_theorem
    assert "step 1.2 < 1: no" in [str(a) for a in outside.assumptions]


@pytest.mark.parametrize("excess", [1.01, 1.5, 4.0])
def test_the_lagrangian_falls_above_the_penalty_of_the_theorem(excess):
    data = fidelity()
    found = reconstruct(data, toy(), 0.7, ADMM(1e-9, 5000, penalty=excess * data.lipschitz, check=True))
    assert found.monotone().all()
    assert found.within_theorem
    assert found.stationarity.max() < 1e-5
    with pytest.raises(ConfigurationError, match=r"\(1, ∞\)"):
        reconstruct(data, toy(), 0.7, ADMM(penalty=0.9, check=True))
    assert not reconstruct(data, toy(), 0.7, ADMM(penalty=0.9)).within_theorem


def test_proximal_gradient_and_splitting_find_critical_points_of_the_same_function():
    data, weight = fidelity(), 0.6
    start = data.first_guess()
    gradient = reconstruct(data, toy(), weight, ProximalGradient(1e-11, 20_000), start=start)
    splitting = reconstruct(data, toy(), weight, ADMM(1e-11, 20_000, penalty=1.5), start=start)
    torch.testing.assert_close(gradient.x, splitting.x, rtol=0, atol=1e-6)
    torch.testing.assert_close(gradient.objective[-1], splitting.objective[-1], rtol=0, atol=1e-7)


def test_admm_is_douglas_rachford_in_other_variables():
    """x = prox_{γh}(t), z = prox_{γ weight R}(2x − t), t += z − x."""
    data, prior, weight, gamma = fidelity(), toy(), 1.25, 0.8
    scaled = prior.scaled(gamma * weight)
    t = scaled.prox(data.first_guess()).x
    for _ in range(6):
        x, _ = data.prox(t, 1 / gamma)
        z = scaled.prox(2 * x - t).x
        t = t + z - x
    found = reconstruct(data, prior, weight, DouglasRachford(max_iterations=7, step=gamma), throw=False)
    torch.testing.assert_close(found.x, z, rtol=0, atol=1e-7)


def test_acceleration_needs_fewer_steps():
    data = fidelity(sigma=0.3)
    plain = reconstruct(data, toy(), 1.0, ProximalGradient(1e-7, 20_000))
    fast = reconstruct(data, toy(), 1.0, AcceleratedProximalGradient(1e-7, 20_000))
    assert fast.iterations.sum() < 0.7 * plain.iterations.sum()


def test_a_rotation_that_is_no_proximal_operator_never_converges():
    """D turns pairs (a, b) of unobserved pixels into (−b, a): the residual of the iteration stays at √2."""
    seen = torch.zeros(N, dtype=DOUBLE)
    seen[:2] = 1

    def rotate(v):
        pairs = v[..., 2:].unflatten(-1, (-1, 2))
        turned = torch.stack([-pairs[..., 1], pairs[..., 0]], -1).flatten(-2)
        return torch.cat([v[..., :2], turned], -1)

    data = GaussianFidelity(dense(torch.diag(seen)), normal(2, N))
    start = normal(2, *SHAPE, seed=9)
    found = reconstruct(
        data,
        DenoiserPrior(rotate),
        1.0,
        ProximalGradient(max_iterations=300, step=1.0, check=False),
        start=start,
        throw=False,
    )
    assert (found.residuals[-1] > 0.5).all()
    assert not found.converged.any()
    assert not found.within_theorem
    assert found.objective is None
    with pytest.raises(InferenceError, match="no objective"):
        found.monotone()


def test_samples_do_not_see_each_other():
    data = fidelity(3)
    for method in (ProximalGradient(1e-9), AcceleratedProximalGradient(1e-9), ADMM(1e-9), Backtracking(1e-9)):
        together = reconstruct(data, toy(), 0.5, method)
        alone = reconstruct(data.rows(torch.tensor([1])), toy(), 0.5, method)
        torch.testing.assert_close(together.x[1], alone.x[0], rtol=0, atol=1e-7)
        assert together.iterations[1] == alone.iterations[0]


def test_results_that_have_not_converged_are_raised_with_the_last_iterate():
    with pytest.raises(InferenceError, match=r"sample 0 of 3 ended with status MAX_ITERATIONS") as caught:
        reconstruct(fidelity(), toy(), 0.1, ProximalGradient(1e-12, 5))
    assert caught.value.result.x.shape == (3, *SHAPE)
    assert caught.value.result.iterations.tolist() == [5, 5, 5]


def square_root() -> GaussianFidelity:
    """G(x) = √x; where a field is negative, the forward solve fails and says for which samples."""

    def apply(x):
        bad = (x.detach() <= 0).flatten(1).any(-1)
        if bad.any():
            raise NonFinite("negative field.", batch_indices=bad.nonzero().reshape(-1).tolist())
        return x.sqrt().flatten(1)

    operator = from_nonlinear_function(apply, input_shape=SHAPE, output_shape=(N,), name="root")
    truth = 1 + normal(3, N).abs()
    return GaussianFidelity(operator, truth.sqrt(), 0.1)


def test_steps_out_of_the_domain_of_a_nonlinear_operator_are_shortened():
    start = torch.full((3, *SHAPE), 9.0, dtype=DOUBLE)
    data = square_root()
    found = reconstruct(data, SoftThreshold(), 1e-3, Backtracking(1e-9, first_step=1e3, longest=10.0), start=start)
    assert found.converged.all()
    assert found.monotone().all()
    assert found.failure == "negative field."
    assert data.discrepancy(found.x).max() < 0.01


def test_splitting_serves_nonlinear_operators_too():
    data, start = square_root(), torch.full((3, *SHAPE), 2.0, dtype=DOUBLE)
    split = reconstruct(data, SoftThreshold(), 0.5, ADMM(1e-5, penalty=20.0), start=start)
    stepped = reconstruct(data, SoftThreshold(), 0.5, Backtracking(1e-7, longest=100.0), start=start)
    torch.testing.assert_close(split.x, stepped.x, rtol=0, atol=1e-3)
    assert not split.within_theorem


def test_a_sample_without_a_step_ends_at_its_last_good_iterate():
    """The second sample can only go where the operator fails; the others are reconstructed."""
    data = square_root()

    class Downwards(SoftThreshold):
        def prox(self, v, start=None):
            point = super().prox(v, start)
            point.x[1] = -1.0
            return point

        def scaled(self, tau):
            return Downwards(tau * self.threshold)

    start = torch.full((3, *SHAPE), 0.3, dtype=DOUBLE)
    found = reconstruct(data, Downwards(1e-6), 1.0, Backtracking(1e-7), start=start, throw=False)
    assert found.status.tolist() == [Status.CONVERGED, Status.NONFINITE_ITERATE, Status.CONVERGED]
    torch.testing.assert_close(found.x[1], start[1])
    with pytest.raises(InferenceError, match=r"negative field"):
        found.raise_if_failed()


def test_bad_questions_are_named():
    data = fidelity()
    with pytest.raises(ConfigurationError, match="weight = 0"):
        reconstruct(data, toy(), 0.0)
    with pytest.raises(ConfigurationError, match=r"one a sample, \(3,\)"):
        reconstruct(data, toy(), torch.ones(2))
    with pytest.raises(ConfigurationError, match="penalty = -1"):
        ADMM(penalty=-1.0)
    with pytest.raises(ConfigurationError, match="step = 0"):
        ProximalGradient(step=0.0)
    with pytest.raises(ConfigurationError, match=r"Backtracking\(\)"):
        reconstruct(square_root(), toy(), 1.0)
    with pytest.raises(ConfigurationError, match="no value"):
        reconstruct(data, DenoiserPrior(lambda v: 0.9 * v), 2.0, AcceleratedProximalGradient())
    with pytest.raises(ConfigurationError, match="total variation"):
        reconstruct(data, SoftThreshold(), 1.0, ChambollePock())
    with pytest.raises(ObservationError, match="shape"):
        reconstruct(data, toy(), 1.0, start=torch.zeros(3, N, dtype=DOUBLE))
    with pytest.raises(ObservationError, match="not finite"):
        reconstruct(data, toy(), 1.0, start=torch.full((3, *SHAPE), torch.nan, dtype=DOUBLE))
    no_adjoint = from_functions(lambda x: x, input_shape=SHAPE, output_shape=SHAPE, norm=1.0)
    with pytest.raises(ValueError, match="adjoint"):
        reconstruct(GaussianFidelity(no_adjoint, normal(1, *SHAPE)), toy(), 1.0)
