"""Multiples and inverses of learned proximal operators, and what all priors promise."""

import pytest
import torch
from plug_and_play_cases import DOUBLE, SHAPE, ConvexToy, N, half_square, normal, spectrum
from torch import nn

from sciml.errors import ConfigurationError, LearnerError
from sciml.plug_and_play import (
    DenoiserPrior,
    LearnedPrior,
    QuadraticNetwork,
    QuadraticPrior,
    RelaxedPrior,
    RescaledPrior,
    SoftThreshold,
    StrengthenedPrior,
    TotalVariation,
    invert_strength,
)
from solvers import DenseOperator, Status
from solvers.errors import SolveError


def network() -> nn.Module:
    return ConvexToy().requires_grad_(False)


def points(count: int = 4, seed: int = 0, size: float = 1.0) -> torch.Tensor:
    return size * normal(count, *SHAPE, seed=seed)


@pytest.mark.parametrize("tau", [0.0, 0.01, 0.5, 1.0, 1.7])
def test_the_equation_of_exact_strength_holds(tau):
    """τ y + (1 − τ) f(y) = w; τ = 1 gives y = w, τ = 0 inverts f."""
    f = network()
    w = f(points()) if tau == 0 else points()
    found = invert_strength(f, w, tau)
    torch.testing.assert_close(tau * found.y + (1 - tau) * f(found.y), w, rtol=0, atol=3e-8)
    torch.testing.assert_close(found.x, f(found.y), rtol=0, atol=0)
    assert found.converged.all()
    assert found.residual.max() <= 1e-8
    assert found.newton_steps.max() <= 20
    if tau == 1:
        torch.testing.assert_close(found.y, w, rtol=0, atol=0)


@pytest.mark.parametrize("tau", [0.0, 0.03, 0.6, 2.5])
def test_quadratic_priors_are_solved_in_closed_form(tau):
    S = spectrum(0.1, 1.3)
    w = points()
    found = invert_strength(QuadraticNetwork(S), w, tau)
    exact = torch.linalg.solve(tau * torch.eye(N, dtype=DOUBLE) + (1 - tau) * S, w.flatten(1).mT).mT
    torch.testing.assert_close(found.y.flatten(1), exact, rtol=0, atol=1e-6)


def test_inverting_the_network_returns_to_the_same_point():
    f = network()
    v = points(size=2.0)
    found = invert_strength(f, f(v), 0.0)
    torch.testing.assert_close(found.y, v, rtol=0, atol=1e-6)


def test_the_prior_by_inversion_is_that_which_comes_with_the_proximal_point():
    f = network()
    point = LearnedPrior(f).prox(points())
    torch.testing.assert_close(invert_strength(f, point.x, 0.0).prior_value, point.value, rtol=0, atol=1e-8)


def test_values_outside_of_a_bounded_range_are_not_converged():
    """Without α the gradient of a convex network is bounded: beyond, R is infinite."""
    f = ConvexToy(alpha=0.0).requires_grad_(False)
    found = invert_strength(f, points(size=100.0), 0.0, throw=False)
    assert not found.converged.any()
    assert found.residual.min() > 0.1
    with pytest.raises(SolveError, match="system 0 of 4"):
        invert_strength(f, points(size=100.0), 0.0)


def test_samples_have_strengths_of_their_own_and_do_not_see_each_other():
    f, w = network(), points()
    tau = torch.tensor([0.1, 0.4, 0.9, 1.0], dtype=DOUBLE)
    together = invert_strength(f, w, tau, tolerance=1e-11)
    for i in range(4):
        alone = invert_strength(f, w[i : i + 1], float(tau[i]), tolerance=1e-11)
        torch.testing.assert_close(together.y[i], alone.y[0], rtol=0, atol=1e-9)


def test_a_start_nearby_saves_products():
    f, w = network(), points()
    first = invert_strength(f, w, 0.1)
    again = invert_strength(f, w + 1e-4, 0.1, start=first.y)
    assert again.products.sum() < first.products.sum()


def test_derivatives_are_those_of_the_implicit_function():
    f = ConvexToy()  # its weights ask for gradients, and get none
    w, tau = points(2).requires_grad_(), torch.tensor([0.3, 0.8], dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w, tau: invert_strength(f, w, tau, tolerance=1e-12).x, (w, tau), atol=1e-6)
    assert all(p.grad is None for p in f.parameters())


def test_single_precision_has_its_own_tolerance():
    f = network().float()
    found = invert_strength(f, points().float(), 0.3)
    assert found.y.dtype == torch.float32
    assert found.residual.max() <= 1e-5
    with pytest.raises(ConfigurationError, match="float64"):
        invert_strength(f, points().float(), 0.3, tolerance=1e-8)


def quadratic_prior() -> QuadraticPrior:
    return QuadraticPrior(DenseOperator(spectrum(0.2, 3.0), {"symmetric"}), points(1)[0], smallest=0.2)


PRIORS = {
    "learned": lambda: LearnedPrior(network(), network().lipschitz),
    "strengthened": lambda: StrengthenedPrior(network(), 0.3, network().lipschitz),
    "strengthened above one": lambda: StrengthenedPrior(network(), 1.5, network().lipschitz),
    "relaxed": lambda: RelaxedPrior(LearnedPrior(network(), network().lipschitz), 0.4),
    "rescaled": lambda: RescaledPrior(LearnedPrior(network(), network().lipschitz), 3.0),
    "quadratic": quadratic_prior,
    "soft threshold": lambda: SoftThreshold(0.3),
    "total variation": lambda: TotalVariation(0.3, tolerance=2e-8),
}


@pytest.mark.parametrize("make", PRIORS.values(), ids=PRIORS)
def test_the_proximal_point_is_below_every_other_point(make):
    """R(x) + ½‖x − v‖² is least at x = prox(v): compared with other points of the range, where R is known."""
    prior, v = make(), points(size=1.5)
    best = prior.prox(v)
    level = best.value + half_square(best.x - v)
    others = prior.prox(
        (v + torch.linspace(0.1, 3, 20, dtype=DOUBLE)[:, None, None, None] * points(80).unflatten(0, (20, 4))).flatten(
            0, 1
        )
    )
    above = others.value + half_square(others.x - v.repeat(20, 1, 1)) - level.repeat(20)
    assert (above >= -1e-7).all()


@pytest.mark.parametrize("make", PRIORS.values(), ids=PRIORS)
def test_proximal_operators_are_monotone_and_as_steep_as_certified(make):
    """⟨prox a − prox b, a − b⟩ ≥ ‖prox a − prox b‖² / L."""
    prior, a, b = make(), points(20), points(20, seed=1)
    step = (prior.prox(a).x - prior.prox(b).x).flatten(1)
    along = (step * (a - b).flatten(1)).sum(-1)
    assert (along >= step.square().sum(-1) / prior.lipschitz - 1e-7).all()


@pytest.mark.parametrize("make", PRIORS.values(), ids=PRIORS)
def test_values_are_integrals_of_subgradients(make):
    """R(b) − R(a) = ∫ ⟨v − prox v, d prox v⟩ along the images of a segment."""
    prior = make()
    a, b = points(1), points(1, seed=1)
    t = torch.linspace(0, 1, 401, dtype=DOUBLE)[:, None, None]
    path = a + t * (b - a)
    point = prior.prox(path)
    slope = (path - point.x).flatten(1)
    work = ((slope[1:] + slope[:-1]) / 2 * point.x.flatten(1).diff(dim=0)).sum()
    torch.testing.assert_close(point.value[-1] - point.value[0], work, rtol=4e-3, atol=4e-4)


@pytest.mark.parametrize("tau", [0.2, 0.7])
@pytest.mark.parametrize("name", ["learned", "rescaled", "quadratic", "soft threshold", "total variation"])
def test_scaled_priors_are_multiples(name, tau):
    """The subgradient of τ R at prox_{τR}(w) is τ times that of R: prox_R(x + (w − x)/τ) = x."""
    prior, w = PRIORS[name](), points()
    point = prior.scaled(tau).prox(w)
    again = prior.prox(point.x + (w - point.x) / tau)
    torch.testing.assert_close(again.x, point.x, rtol=0, atol=1e-6)
    torch.testing.assert_close(point.value, tau * again.value, rtol=0, atol=1e-6)
    assert prior.scaled(1.0) is prior


def test_quadratic_networks_and_quadratic_priors_agree():
    """f = S gives R = ½⟨x, (S⁻¹ − I) x⟩."""
    S, v = spectrum(0.2, 0.9), points()
    learned = LearnedPrior(QuadraticNetwork(S)).prox(v)
    P = torch.linalg.inv(S) - torch.eye(N, dtype=DOUBLE)
    closed = QuadraticPrior(DenseOperator((P + P.mT) / 2, {"symmetric"})).prox(v)
    torch.testing.assert_close(learned.x, closed.x, rtol=0, atol=1e-10)
    torch.testing.assert_close(learned.value, closed.value, rtol=0, atol=1e-10)


def test_a_weak_prior_changes_nothing_in_the_limit():
    w = points()
    assert (StrengthenedPrior(network(), 1e-5).prox(w).x - w).abs().max() < 1e-3


def test_bad_arguments_are_named():
    f, w = network(), points()
    with pytest.raises(ConfigurationError, match=r"tau = -0.1"):
        invert_strength(f, w, -0.1)
    with pytest.raises(ConfigurationError, match=r"one a sample, \(4,\)"):
        invert_strength(f, w, torch.ones(3))
    with pytest.raises(LearnerError, match=r"float64.*float32"):
        invert_strength(f, w.float(), 0.5)
    with pytest.raises(LearnerError, match="int64"):
        LearnedPrior(f).prox(torch.zeros(1, *SHAPE, dtype=torch.int64))
    with pytest.raises(LearnerError, match="complex128"):
        LearnedPrior(f).prox(torch.zeros(1, *SHAPE, dtype=torch.complex128))
    with pytest.raises(ConfigurationError, match="step 1/weight"):
        DenoiserPrior(lambda v: v).scaled(0.5)
    with pytest.raises(LearnerError, match="keep shape"):
        DenoiserPrior(lambda v: v[..., :3]).prox(w)
    with pytest.raises(ConfigurationError, match=r"\(0, 1\]"):
        RelaxedPrior(SoftThreshold(), 1.5)
    with pytest.raises(LearnerError, match="positive definite"):
        QuadraticNetwork(-torch.eye(3))
    assert invert_strength(f, w, 0.5).status.tolist() == [Status.CONVERGED] * 4
