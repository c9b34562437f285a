"""Residuals of diffusion: they vanish or are least at the solution, and nowhere else."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.jet import Jet
from pde_benchmarks.media import TwoPhaseDarcy
from pde_benchmarks.problem import Batch
from pde_benchmarks.quadrature import Quadrature
from pde_benchmarks.weak_forms import (
    DIFFUSION_FORMS,
    Diffusion,
    EnergyForm,
    MixedForm,
    StrongForm,
    WeightedForm,
    energy_error_bound,
)

KINDS = list(DIFFUSION_FORMS)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def jet_of(function, points: Tensor) -> Jet:
    """The jet of ``function: (n, 2) ↦ (n, c)`` by automatic differentiation, batch of one."""
    x = points.clone().requires_grad_()
    value = function(x)
    rows = [torch.autograd.grad(value[:, c].sum(), x, retain_graph=True)[0] for c in range(value.shape[1])]
    return Jet(value.detach()[None], torch.stack(rows, 1)[None])


def coefficient(x: Tensor) -> Tensor:
    return 2 + x[:, 0] - 0.5 * x[:, 1]


def cubic(x: Tensor) -> Tensor:
    return (x[:, 0] ** 3 - 2 * x[:, 0] * x[:, 1] ** 2 + x[:, 1])[:, None]


def cubic_source(x: Tensor) -> Tensor:
    """−∇·(a ∇u) = −∇a·∇u − a Δu, with Δu = 6x − 4x."""
    return -(3 * x[:, 0] ** 2 - 2 * x[:, 1] ** 2) + 0.5 * (1 - 4 * x[:, 0] * x[:, 1]) - 2 * x[:, 0] * coefficient(x)


def cubic_flux(x: Tensor) -> Tensor:
    slope = torch.stack([3 * x[:, 0] ** 2 - 2 * x[:, 1] ** 2, 1 - 4 * x[:, 0] * x[:, 1]], 1)
    return coefficient(x)[:, None] * slope


def gauss(n: int = 12) -> Quadrature:
    nodes, weights = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(n))
    points = torch.cartesian_prod((nodes + 1) / 2, (nodes + 1) / 2)
    return Quadrature(points, torch.outer(weights, weights).flatten() / 4)


@pytest.mark.parametrize("radius", [0.02, 0.05, 0.1])
def test_weak_residual_of_the_solution_vanishes(radius):
    """∫ a ∇u·∇v = ∫ f v for polynomial a and u and f = −∇·(a ∇u), by the rule to 1e-10."""
    form = WeightedForm(Diffusion(cubic_source, 1.0, 1.0), functions=40, radius=radius)
    q = form.draw(generator(), torch.float64)
    a, jet = coefficient(q.points)[None, :, None], jet_of(cubic, q.points)
    assert form.residuals(q, a * jet.gradient[:, :, 0]).abs().max() < 1e-10
    assert form.loss(q, a, {"solution": jet}).item() < 1e-20


@pytest.mark.parametrize("kind", ["mixed", "strong"])
def test_first_order_residuals_of_solution_and_flux_vanish(kind):
    form = DIFFUSION_FORMS[kind](Diffusion(cubic_source, 1.0, 1.0))
    q = form.draw(generator(), torch.float64)
    fields = {"solution": jet_of(cubic, q.points), "flux": jet_of(cubic_flux, q.points)}
    a = coefficient(q.points)[None, :, None]
    assert form.loss(q, a, fields).item() < 1e-20
    wrong = {**fields, "solution": jet_of(lambda x: cubic(x) + 0.1 * x[:, :1], q.points)}
    assert form.loss(q, a, wrong).item() > 1e-2


def test_weak_residual_changes_sign_with_the_source():
    """u = 0 leaves r_j = −∫ f v / ∫ v, which is −f for constant f."""
    for sign in (1.0, -1.0):
        form = WeightedForm(Diffusion(lambda x, f=sign: torch.full_like(x[:, 0], 10 * f), 10.0, 1.0), functions=5)
        q = form.draw(generator(), torch.float64)
        zero = torch.zeros(1, len(q.points), 2, dtype=torch.float64)
        torch.testing.assert_close(form.residuals(q, zero), torch.full((1, 5), -sign, dtype=torch.float64))


def test_energy_gap_is_half_the_squared_energy_norm():
    """J(u* + w) − J(u*) = ∫ a |∇w|² / 2 for every w that vanishes on the boundary."""

    def bubble(x: Tensor) -> Tensor:
        return (x[:, 0] * (1 - x[:, 0]) * x[:, 1] * (1 - x[:, 1]))[:, None]

    def source(x: Tensor) -> Tensor:
        p, q = x[:, 0] * (1 - x[:, 0]), x[:, 1] * (1 - x[:, 1])
        return -((1 - 2 * x[:, 0]) * q - 0.5 * p * (1 - 2 * x[:, 1])) + 2 * coefficient(x) * (p + q)

    def change(x: Tensor) -> Tensor:
        return bubble(x) * (3 * x[:, :1] ** 2 - x[:, 1:] + 0.3)

    form = EnergyForm(Diffusion(source, 1.0, 1.0))
    q = gauss()
    a = coefficient(q.points)[None, :, None]
    exact, moved = jet_of(bubble, q.points), jet_of(lambda x: bubble(x) + change(x), q.points)
    gap = form.loss(q, a, {"solution": moved}) - form.loss(q, a, {"solution": exact})
    w = jet_of(change, q.points).gradient[:, :, 0]
    expected = (a * w.square()).sum(-1) @ q.weights / 2 / form.equation.typical_energy
    torch.testing.assert_close(gap, expected, rtol=1e-12, atol=0)


def legendre(points: Tensor, degree: int) -> Jet:
    """All P_j(2x − 1) P_k(2y − 1), j, k < degree, as channels."""
    t = (2 * points.double() - 1).numpy()
    tables = []
    for axis in range(2):
        one = np.polynomial.legendre.legvander(t[:, axis], degree - 1)
        slope = [
            2 * np.polynomial.legendre.legval(t[:, axis], np.polynomial.legendre.legder(np.eye(degree)[j]))
            for j in range(degree)
        ]
        tables.append((torch.from_numpy(one), torch.from_numpy(np.stack(slope, 1))))
    (p, dp), (q, dq) = tables
    value = torch.einsum("nj,nk->njk", p, q).flatten(1)
    gradient = torch.stack(
        [torch.einsum("nj,nk->njk", dp, q).flatten(1), torch.einsum("nj,nk->njk", p, dq).flatten(1)], -1
    )
    return Jet(value[None], gradient[None])


@pytest.mark.parametrize("kind", KINDS)
def test_the_minimiser_of_every_kind_is_the_sine_series(kind):
    """a = 1, f = 10: over polynomials times sin πx sin πy the relative error is at most 0.6 %, without labels."""
    problem = TwoPhaseDarcy()
    form = problem.weak_form(kind)
    inputs = Batch({"coefficient": torch.ones(1, 1, 29, 29, dtype=torch.float64)})
    degree = 6
    size = degree**2

    def answers(c: Tensor, points: Tensor) -> dict[str, Jet]:
        basis, jets = legendre(points, degree), {}
        for name, channels in form.fields.items():
            mix, c = c[: size * channels].reshape(size, channels), c[size * channels :]
            raw = Jet(basis.value @ mix, torch.einsum("bnfd,fc->bncd", basis.gradient, mix))
            jets[name] = problem.impose(name, points, raw, inputs)
        return jets

    def loss(c: Tensor) -> Tensor:
        g, total = generator(1), torch.zeros((), dtype=torch.float64)
        for _ in range(24):
            q = form.draw(g, torch.float64)
            total = total + form.loss(q, problem.coefficient_at(inputs, q.points), answers(c, q.points)).sum()
        return total

    # The loss is quadratic: one Newton step from anywhere is its minimum.
    start = torch.zeros(size * sum(form.fields.values()), dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(loss(start), start)
    best = -torch.linalg.solve(torch.autograd.functional.hessian(loss, start.detach()), slope)
    axis = problem.grid.points(0)[1:-1]
    points = torch.cartesian_prod(axis, axis)
    found = answers(best, points)["solution"].value.flatten()
    truth = sine_series(points)
    assert (found - truth).norm() / truth.norm() <= 0.006


def sine_series(points: Tensor) -> Tensor:
    """u of −Δu = 10: 160/π⁴ Σ_odd sin jπx sin kπy / (j k (j² + k²))."""
    odd = torch.arange(1, 200, 2, dtype=torch.float64)
    waves = [torch.sin(math.pi * points[:, axis, None] * odd) for axis in range(2)]
    factors = 160 / math.pi**4 / (odd[:, None] * odd * (odd[:, None] ** 2 + odd**2))
    return torch.einsum("nj,nk,jk->n", *waves, factors)


def test_energy_error_bound_holds_and_is_the_prager_synge_identity():
    """‖a^½∇(u − u*)‖² + ‖a^−½(s − s*)‖² = ‖a^−½ s − a^½∇u‖² for ∇·s = −f and u = u* on the boundary."""
    q = gauss()
    a = coefficient(q.points)[None, :, None]
    exact = jet_of(cubic, q.points)
    wrong = jet_of(lambda x: cubic(x) + (x * (1 - x)).prod(1, keepdim=True), q.points)
    # A divergence-free change of the flux: (∂ψ/∂y, −∂ψ/∂x) with ψ = x²y.
    turn = torch.stack([q.points[:, 0] ** 2, -2 * q.points[:, 0] * q.points[:, 1]], 1)[None]
    flux = cubic_flux(q.points)[None] + 0.2 * turn
    bound = energy_error_bound(a, wrong, flux, q.weights)
    error = (a * (wrong.gradient - exact.gradient)[:, :, 0].square()).sum(-1) @ q.weights
    of_flux = ((0.2 * turn).square() / a).sum(-1) @ q.weights
    torch.testing.assert_close(bound**2, error + of_flux, rtol=1e-12, atol=0)
    assert (bound >= error.sqrt()).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_of_order_one_and_batched(kind):
    """Samples do not see each other, the dtype is the fields', and zero fields lose about 1 (0 of energy)."""
    problem = TwoPhaseDarcy()
    inputs = problem.sample(3, generator()).to(dtype=torch.float32)
    form = problem.weak_form(kind)
    q = form.draw(generator())
    a = problem.coefficient_at(inputs, q.points)
    fields = {}
    for name, c in form.fields.items():
        n = len(q.points)
        raw = Jet(torch.randn(3, n, c, generator=generator(1)), torch.randn(3, n, c, 2, generator=generator(2)))
        fields[name] = problem.impose(name, q.points, raw, inputs)
    together = form.loss(q, a, fields)
    assert together.shape == (3,)
    assert together.dtype == torch.float32
    alone = form.loss(q, a[1:2], {name: Jet(jet.value[1:2], jet.gradient[1:2]) for name, jet in fields.items()})
    torch.testing.assert_close(alone, together[1:2])
    zero = {name: Jet(0 * jet.value, 0 * jet.gradient) for name, jet in fields.items()}
    torch.testing.assert_close(form.loss(q, a, zero), torch.full((3,), 0.0 if kind == "energy" else 1.0))


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_differentiable_in_all_fields(kind):
    form = DIFFUSION_FORMS[kind](Diffusion(cubic_source, 1.0, 1.0), **SMALL[kind])
    q = form.draw(generator(), torch.float64)
    n = len(q.points)
    arrays = [torch.rand(1, n, 1, dtype=torch.float64, generator=generator()) + 0.5]
    for c in form.fields.values():
        arrays += [torch.rand(1, n, c, dtype=torch.float64), torch.rand(1, n, c, 2, dtype=torch.float64)]

    def loss(a: Tensor, *parts: Tensor) -> Tensor:
        jets = {name: Jet(*parts[2 * k : 2 * k + 2]) for k, name in enumerate(form.fields)}
        return form.loss(q, a, jets)

    assert torch.autograd.gradcheck(loss, [x.requires_grad_() for x in arrays])


SMALL = {"energy": {"cells": 2}, "strong": {"cells": 2}, "weak": {"functions": 1}, "mixed": {"functions": 1}}


@pytest.mark.parametrize("form", [EnergyForm, StrongForm])
def test_one_point_lies_in_every_cell(form):
    points = form(Diffusion(cubic_source, 1.0, 1.0), cells=7).draw(generator(), torch.float64).points
    cell = (points * 7).floor().long()
    assert sorted((7 * cell[:, 0] + cell[:, 1]).tolist()) == list(range(49))


def test_the_default_cells_see_one_pixel_each():
    """The 2(n − 1) cells of an axis are halves of the pixels around the nodes: two draws read one coefficient."""
    problem = TwoPhaseDarcy(average="harmonic")
    inputs = problem.sample(2, generator())
    form = problem.weak_form()
    first, second = (
        problem.coefficient_at(inputs, form.draw(generator(seed), torch.float64).points) for seed in (0, 1)
    )
    assert torch.equal(first, second)


def test_impossible_requests_are_named():
    problem = TwoPhaseDarcy()
    with pytest.raises(ProblemError, match="'galerkin' is unknown: use one of energy, weak, mixed, strong"):
        problem.weak_form("galerkin")
    with pytest.raises(ProblemError, match="'energy' has no 'radius': it has cells"):
        problem.weak_form("energy", radius=0.1)
    with pytest.raises(ProblemError, match="at least one cell"):
        problem.weak_form(cells=0).draw(generator())
    with pytest.raises(ProblemError, match="at least one test function"):
        problem.weak_form("weak", functions=0)
    with pytest.raises(ProblemError, match="radius 2 is too large"):
        problem.weak_form("weak", radius=2.0).draw(generator())
    with pytest.raises(ProblemError, match=r"too small for torch\.float32"):
        MixedForm(Diffusion(cubic_source, 1.0, 1.0), radius=1e-4).draw(generator())


def test_energy_needs_a_symmetric_operator():
    class Transport(TwoPhaseDarcy):
        residual_kinds = ("weak",)

    with pytest.raises(ProblemError, match=r"'energy' needs a symmetric operator, .* use one of weak\."):
        Transport().weak_form("energy")
