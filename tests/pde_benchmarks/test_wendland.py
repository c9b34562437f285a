"""Local test functions: what they are, that their quadrature is exact for them, and that they stay in the domain."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pde_benchmarks.domains import Box, Disc
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.test_functions import WendlandTestFunctions

DIMS = [1, 2, 3]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def monomials(points: torch.Tensor, degree: int) -> tuple[torch.Tensor, torch.Tensor]:
    """All x^α with |α| ≤ degree at points ``(n, dim)`` and their gradients: ``(count, n)``, ``(count, n, dim)``."""
    dim = points.shape[1]
    powers = torch.cartesian_prod(*[torch.arange(degree + 1)] * dim).reshape(-1, dim)
    values, gradients = [], []
    for power in powers[powers.sum(1) <= degree]:
        values.append((points**power).prod(1))
        rows = []
        for axis in range(dim):
            lowered = power.clone()
            lowered[axis] = max(int(power[axis]) - 1, 0)
            rows.append(power[axis] * (points**lowered).prod(1))
        gradients.append(torch.stack(rows, 1))
    return torch.stack(values), torch.stack(gradients)


@pytest.mark.parametrize("dim", DIMS)
def test_the_function_is_positive_inside_and_zero_outside(dim):
    """v > 0 for r < 1; v = 0 and ∇v = 0 for r ≥ 1."""
    functions = WendlandTestFunctions(dim)
    z = 1.2 * (2 * torch.rand(2000, dim, generator=generator(), dtype=torch.float64) - 1)
    inside = z.norm(dim=1) < 1
    assert inside.any()
    assert not inside.all()
    assert (functions.value(z)[inside] > 0).all()
    assert (functions.value(z)[~inside] == 0).all()
    assert (functions.gradient(z)[~inside] == 0).all()


@pytest.mark.parametrize("dim", DIMS)
def test_the_gradient_is_the_derivative(dim):
    functions = WendlandTestFunctions(dim)
    z = (2 * torch.rand(500, dim, generator=generator(), dtype=torch.float64) - 1).requires_grad_()
    (expected,) = torch.autograd.grad(functions.value(z).sum(), z)
    torch.testing.assert_close(functions.gradient(z.detach()), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("dim", "integral"), [(1, 2 / 3), (2, math.pi / 9), (3, 32 * math.pi / 495)])
def test_the_integral_is_known(dim, integral):
    """∫ v over the unit ball by a fine radial midpoint sum: |S| ∫₀¹ v(r) r^(d−1) dr."""
    functions = WendlandTestFunctions(dim, radius=1.0)
    n = 100_000
    r = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    z = torch.nn.functional.pad(r[:, None], (0, dim - 1))
    area = {1: 2, 2: 2 * math.pi, 3: 4 * math.pi}[dim]
    assert (functions.value(z) * r ** (dim - 1)).mean() * area == pytest.approx(integral, rel=1e-9)
    assert functions.integral == pytest.approx(integral)


@pytest.mark.parametrize("radius", [0.02, 1.0])
@pytest.mark.parametrize("dim", DIMS)
def test_the_quadrature_integrates_by_parts_exactly(dim, radius):
    """Σ w (s·∇v + v ∇·s) = 0 for every monomial vector field s up to degree 3, whatever the rotation."""
    for seed in range(3):
        rule = WendlandTestFunctions(dim, radius).rule(generator(seed), torch.float64)
        values, gradients = monomials(rule.offsets / radius, 3)
        flux = torch.einsum("q,sq,qd->sd", rule.weights, values, rule.gradients)
        divergence = torch.einsum("q,sqd,q->sd", rule.weights, gradients, rule.values) / radius
        size = radius ** (dim - 1)
        assert (flux + divergence).abs().max() / size < 1e-12


@pytest.mark.parametrize("dim", DIMS)
def test_the_quadrature_is_exact_for_quadratics(dim):
    """Σ w v = ∫ v, Σ w v x = 0, and Σ w v xᵢxⱼ = δᵢⱼ ∫ v r² / d: no dependence on the rotation."""
    functions = WendlandTestFunctions(dim, radius=1.0)
    rules = [functions.rule(generator(seed), torch.float64) for seed in (0, 1)]
    for rule in rules:
        v = rule.weights * rule.values
        assert v.sum() == pytest.approx(functions.integral, rel=1e-13)
        torch.testing.assert_close(v @ rule.offsets, torch.zeros(dim, dtype=torch.float64), rtol=0, atol=1e-13)
        second = torch.einsum("q,qi,qj->ij", v, rule.offsets, rule.offsets)
        torch.testing.assert_close(second, second.trace() / dim * torch.eye(dim).double(), rtol=0, atol=1e-13)
    if dim > 1:
        assert not torch.allclose(rules[0].offsets, rules[1].offsets)


@settings(deadline=None, max_examples=15)
@given(
    radius=st.floats(0.01, 0.2), count=st.integers(1, 40), latin=st.booleans(), seed=st.integers(0, 99), dim=st.just(2)
)
def test_supports_lie_in_the_domain(radius, count, latin, seed, dim):
    """Every quadrature point of every function is in the domain, and a centre is R away from its boundary."""
    domain = Box((0.0, 0.0), (2.0, 1.0), (Disc((0.5, 0.6), 0.1),))
    sampled = WendlandTestFunctions(dim, radius).sample(domain, count, generator(seed), latin, torch.float64)
    assert sampled.points.shape == (count * 48, 2)
    assert domain.contains(sampled.points).all()
    centres = sampled.points.unflatten(0, (count, -1)).mean(1)
    assert domain.contains(centres, radius - 1e-9).all()


@pytest.mark.parametrize("dim", DIMS)
def test_latin_centres_hit_every_slice_once(dim):
    box = Box((0.0,) * dim, (1.0,) * dim)
    centres = box.draw(50, generator(), margin=0.1, latin=True)
    slices = ((centres - 0.1) / 0.8 * 50).floor().long()
    for axis in range(dim):
        assert sorted(slices[:, axis].tolist()) == list(range(50))


def test_equal_seeds_give_equal_points():
    functions = WendlandTestFunctions(2)
    first, second, other = (functions.sample(Box(), 7, generator(seed)).points for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert first.dtype == torch.float32


def test_radii_that_do_not_fit_are_named():
    with pytest.raises(ProblemError, match=r"radius 0\.6 is too large for the domain"):
        WendlandTestFunctions(2, 0.6).sample(Box(), 3, generator())
    full = Box(discs=(Disc((0.5, 0.5), 0.6),))
    with pytest.raises(ProblemError, match=r"radius 0\.2 is too large .* with 1 discs"):
        WendlandTestFunctions(2, 0.2).sample(full, 3, generator())
    with pytest.raises(ProblemError, match=r"radius 0\.0001 is too small for torch.float32: use 0\.001 or more"):
        WendlandTestFunctions(2, 1e-4).sample(Box(), 3, generator())
    assert WendlandTestFunctions(2, 1e-4).sample(Box(), 3, generator(), dtype=torch.float64).points.isfinite().all()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"dim": 4}, "4 dimensions"),
        ({"dim": 2, "radius": 0.0}, "radius 0"),
        ({"dim": 2, "radius": math.nan}, "radius nan"),
        ({"dim": 2, "n_angular": 7}, "even"),
        ({"dim": 2, "n_radial": 0}, "at least 1"),
    ],
)
def test_impossible_parameters_are_named(arguments, match):
    with pytest.raises(ProblemError, match=match):
        WendlandTestFunctions(**arguments)


def test_domains_are_checked():
    with pytest.raises(ProblemError, match="low < high"):
        Box((0.0, 0.0), (1.0, 0.0))
    with pytest.raises(ProblemError, match="2 coordinates and a radius"):
        Box(discs=(Disc((0.5,), 0.1),))
    with pytest.raises(ProblemError, match="must agree"):
        WendlandTestFunctions(1).sample(Box(), 3, generator())
