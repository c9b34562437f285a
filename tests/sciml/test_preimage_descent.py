"""Descent over what the learned network is given: its stationary points are those of data and prior."""

import pytest
import torch
from plug_and_play_cases import DOUBLE, SHAPE, ConvexToy, N, fidelity, normal, spectrum, wide

from pde_benchmarks.imaging.forward_operators import from_nonlinear_function
from sciml.errors import ConfigurationError
from sciml.plug_and_play import (
    Backtracking,
    GaussianFidelity,
    LearnedPrior,
    PreimageDescent,
    QuadraticNetwork,
    SoftThreshold,
    reconstruct,
)
from solvers import Status

METHOD = PreimageDescent(1e-6, 2000)  # values in double precision tell gradients to about 1e-8


def toy() -> LearnedPrior:
    """Nonconvex and analytic; its weights need gradients, which are left alone."""
    network = ConvexToy()
    return LearnedPrior(network, network.lipschitz)


def bent() -> GaussianFidelity:
    """Data of a smooth nonlinear operator."""
    A = wide()
    operator = from_nonlinear_function(
        lambda x: torch.tanh(x.flatten(1) @ A.mT), input_shape=SHAPE, output_shape=(len(A),)
    )
    return GaussianFidelity(operator, operator.apply(normal(3, *SHAPE, seed=7)))


def test_gaussian_priors_lead_to_the_ridge_solution():
    """psi = ½⟨v, S v⟩: (AᵀA + weight (S⁻¹ − I)) x = Aᵀb."""
    S, data, weight = spectrum(0.3, 0.9), fidelity(), 0.5
    found = reconstruct(data, LearnedPrior(QuadraticNetwork(S)), weight, METHOD)
    A = wide()
    P = torch.linalg.inv(S) - torch.eye(N, dtype=DOUBLE)
    exact = torch.linalg.solve(A.mT @ A + weight * P, (data.data @ A).mT).mT
    torch.testing.assert_close(found.x.flatten(1), exact, rtol=0, atol=1e-5)


def test_the_gradient_of_the_free_prior_is_the_jacobian_times_the_step():
    """∇_y R(f(y)) = J (y − f(y)), of which the method makes its gradient, and J is symmetric."""
    prior, y = toy(), normal(3, *SHAPE, seed=11).requires_grad_()
    point = prior.prox(y)
    (slope,) = torch.autograd.grad(point.value.sum(), y, retain_graph=True)
    (applied,) = torch.autograd.grad(point.x, y, (y - point.x).detach())
    torch.testing.assert_close(slope, applied, rtol=0, atol=1e-12)
    J = torch.autograd.functional.jacobian(lambda v: prior.network(v[None])[0].flatten(), y[0].detach())[:, 0]
    torch.testing.assert_close(J, J.mT, rtol=0, atol=1e-12)


@pytest.mark.parametrize("weight", [0.05, 0.4, 3.0])
@pytest.mark.parametrize("data", [fidelity(), bent()], ids=["linear", "nonlinear"])
def test_the_objective_falls_to_a_stationary_point(data, weight):
    found = reconstruct(data, toy(), weight, METHOD)
    assert found.monotone().all()
    assert found.converged.all()
    assert found.stationarity.max() <= 1e-6


@pytest.mark.parametrize("data", [fidelity(), bent()], ids=["linear", "nonlinear"])
def test_the_exact_strength_stays_where_it_ends(data):
    """A fixed point of the proximal gradient method with exact multiples of the prior."""
    found = reconstruct(data, toy(), 0.3, METHOD)
    stepped = reconstruct(data, toy(), 0.3, Backtracking(1e-10, 1), start=found.x, throw=False)
    torch.testing.assert_close(stepped.x, found.x, rtol=0, atol=1e-5)


def test_samples_do_not_see_each_other():
    data, weight = bent(), torch.tensor([0.1, 0.5, 2.0], dtype=DOUBLE)
    together = reconstruct(data, toy(), weight, METHOD)
    for k in range(3):
        alone = GaussianFidelity(data.operator, data.data[k : k + 1])
        single = reconstruct(alone, toy(), weight[k : k + 1], METHOD)
        torch.testing.assert_close(single.x, together.x[k : k + 1], rtol=0, atol=1e-5)


def test_a_sample_that_is_not_finite_ends_alone():
    data = fidelity()
    start = torch.zeros(3, *SHAPE, dtype=DOUBLE)
    start[1] = torch.nan
    found = METHOD.run(data, toy(), 0.4, start)
    assert found.status.tolist() == [Status.CONVERGED, Status.NONFINITE_INPUT, Status.CONVERGED]


def test_too_few_steps_are_said():
    found = reconstruct(fidelity(), toy(), 0.4, PreimageDescent(1e-8, 3), throw=False)
    assert (found.status == Status.MAX_ITERATIONS).all()
    assert found.iterations.tolist() == [3, 3, 3]


def test_weights_of_the_network_get_no_gradient():
    prior = toy()
    reconstruct(fidelity(), prior, 0.4, METHOD)
    assert all(p.grad is None for p in prior.network.parameters())


def test_priors_without_a_network_are_refused():
    with pytest.raises(ConfigurationError, match=r"SoftThreshold.*Backtracking\(\)"):
        reconstruct(fidelity(), SoftThreshold(), 0.4, METHOD)
