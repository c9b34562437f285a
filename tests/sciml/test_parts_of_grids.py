"""Residuals on a part of their grid: the same numbers as on the whole, point by point."""

from __future__ import annotations

import pytest
import torch
from termwise_toys import reaction

from pde_benchmarks.registry import problem_types
from sciml.learners.hard_constraints.boxes import Boxes
from sciml.learners.hard_constraints.parts_of_grids import on_part, part_of
from sciml.learners.hard_constraints.routers import BoxRouter

PROBLEMS = {
    "diffusion-sorption": {"resolution": 12, "frames": 7},
    "diffusion-sorption-hard": {"resolution": 12, "frames": 7},
    "burgers-space-time": {"resolution": 17, "frames": 6},
    "navier-stokes-decay": {"resolution": 8, "frames": 5},
    "darcy": {"resolution": 16},
}
PARTS = pytest.mark.parametrize("first", [1, 3])


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def whole_residual(name):
    problem = problem_types()[name](**PROBLEMS[name])
    inputs = problem.sample(2, torch.Generator().manual_seed(0))
    return problem.termwise(inputs.to(dtype=torch.float64))


def extent_of(residual, first):
    return ((first, residual.shape[0]), *((n // 3, n - 1) for n in residual.shape[1:]))


@PARTS
@pytest.mark.parametrize("name", PROBLEMS)
def test_rows_and_derivatives_of_a_part_are_those_of_the_whole(name, first):
    """G, ∂G/∂T and ∂²G/∂T² where there is no condition."""
    residual = whole_residual(name)
    asked = extent_of(residual, first)
    part = on_part(residual, asked)
    fields = 1 + normal(2, *residual.shape) / 10
    terms = residual.terms(fields)
    seen, inner = part_of(terms, part.extent), ~part_of(residual.global_rows, part.extent)
    inner[: asked[0][0] - part.extent[0][0]] = False
    assert int(inner.sum()) > 0
    pairs = [
        (part.combine(seen, part.parameters), residual.combine(terms, residual.parameters)),
        (part.slopes(seen), residual.slopes(terms)),
    ]
    ours, theirs = part.second_slopes(seen), residual.second_slopes(terms)
    pairs += [(ours[pair], theirs[pair]) for pair in theirs]
    for mine, its in pairs:
        torch.testing.assert_close(mine[..., inner], part_of(its, part.extent)[..., inner], rtol=1e-13, atol=0)


@pytest.mark.parametrize("name", PROBLEMS)
def test_parameters_of_the_whole_get_the_gradient_of_the_part(name):
    residual = whole_residual(name)
    part = on_part(residual, extent_of(residual, 2))
    terms, gradients = residual.terms(1 + normal(2, *residual.shape) / 10), []
    inner = ~part_of(residual.global_rows, part.extent)
    inner[0] = False
    weights = normal(2, int(inner.sum()), seed=1)
    for one, seen in ((part, part_of(terms, part.extent)), (residual, terms)):
        theta = tuple(p.detach().clone().requires_grad_() for p in residual.parameters)
        rows = one.combine(seen, theta)
        rows = rows if one is part else part_of(rows, part.extent)
        gradients.append(torch.autograd.grad((weights * rows[:, inner]).sum(), theta, materialize_grads=True))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_a_part_has_no_terms_and_carries_nothing():
    """Derivatives look beyond the part, and carrying spreads."""
    part = on_part(whole_residual("darcy"), ((2, 4), (2, 4)))
    with pytest.raises(NotImplementedError, match="whole grid"):
        part.terms(torch.zeros(2, 2, 2))
    with pytest.raises(NotImplementedError, match="whole grid"):
        part.carrier(torch.zeros(2, 2, 2))


def test_residuals_that_are_not_known_by_parts_are_taken_whole():
    assert on_part(reaction(), ((1, 3), (1, 3))) is None


def boxes_with_padding():
    """Two of three boxes of a grid, without some points, so that their sizes differ."""
    boxes = BoxRouter((1, 3)).boxes((4, 7))
    excluded = torch.zeros(4, 7, dtype=torch.bool)
    excluded[0], excluded[2, 3] = True, True
    return boxes.without(excluded.flatten()).only(slice(1, 3))


def test_gathering_and_scattering_are_transposed_and_restore():
    """⟨gather f, v⟩ = ⟨f, scatter v⟩ with zero background; what was gathered comes back to its place."""
    boxes, fields = boxes_with_padding(), normal(2, 28)
    values = normal(2, *boxes.points.shape, seed=1) * boxes.mask
    zero = torch.zeros(28, dtype=torch.float64)
    scattered = boxes.scatter(values, zero)
    assert float((boxes.gather(fields) * values).sum()) == pytest.approx(float((fields * scattered).sum()), rel=1e-14)
    assert torch.equal(boxes.gather(boxes.scatter(values, fields)), values)
    assert torch.equal(boxes.scatter(boxes.gather(fields), fields), fields)


def test_gathering_and_scattering_have_the_right_gradients():
    boxes = boxes_with_padding()
    inside = (normal(2, *boxes.points.shape, seed=1) * boxes.mask).requires_grad_()
    assert torch.autograd.gradcheck(boxes.gather, normal(2, 28).requires_grad_())
    assert torch.autograd.gradcheck(
        lambda v, f: boxes.scatter(v * boxes.mask, f), (inside, normal(28).requires_grad_())
    )


def test_boxes_on_their_own_part_of_the_grid_have_the_same_points():
    boxes = boxes_with_padding()
    assert boxes.extent == ((1, 4), (2, 7))
    inner, fields = boxes.within(boxes.extent), normal(2, 4, 7)
    assert isinstance(inner, Boxes)
    assert inner.shape == (3, 5)
    small = part_of(fields, boxes.extent).flatten(1)
    assert torch.equal(inner.gather(small), boxes.gather(fields.flatten(1)))
