"""Boundary values that are built in hold exactly, and derivatives follow the product rule."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pde_benchmarks.domains import Box
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.jet import Jet
from pde_benchmarks.media import TwoPhaseDarcy
from pde_benchmarks.variational import product, sine_bubble


def boxes(dim: int) -> Box:
    return Box((-1.0, 0.0, 2.0)[:dim], (1.0, 2.0, 2.5)[:dim])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_the_bubble_is_exactly_zero_on_the_boundary_and_positive_inside(dim, dtype):
    box = boxes(dim)
    inside = box.draw(200, torch.Generator().manual_seed(0), 1e-3, dtype=dtype)
    assert (sine_bubble(inside, box).value > 0).all()
    for axis in range(dim):
        for end in (box.low[axis], box.high[axis]):
            side = inside.clone()
            side[:, axis] = end
            assert (sine_bubble(side, box).value == 0).all()


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_derivatives_of_the_bubble_are_the_derivatives(dim):
    box = boxes(dim)
    x = box.draw(50, torch.Generator().manual_seed(0))
    jet = sine_bubble(x, box, order=2)
    for k in range(5):
        value = lambda y: sine_bubble(y[None], box).value.squeeze()  # noqa: E731
        torch.testing.assert_close(jet.gradient[0, k, 0], torch.func.grad(value)(x[k]))
        torch.testing.assert_close(jet.hessian[0, k, 0], torch.func.hessian(value)(x[k]), rtol=1e-9, atol=1e-9)


def test_products_follow_the_product_rule():
    """(fg)' = f'g + fg' and its derivative, against the polynomial (x²y)(x + y²)."""
    x = torch.rand(20, 2, dtype=torch.float64)

    def jet(function) -> Jet:
        rows = [(function(p), torch.func.grad(function)(p), torch.func.hessian(function)(p)) for p in x]
        return Jet(*(torch.stack(part)[None, :, None] for part in zip(*rows, strict=True)))

    first, second = (lambda p: p[0] ** 2 * p[1]), (lambda p: p[0] + p[1] ** 2)
    expected = jet(lambda p: first(p) * second(p))
    found = product(jet(first), jet(second))
    for name in ("value", "gradient", "hessian"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name))


@settings(deadline=None, max_examples=10)
@given(batch=st.integers(0, 3), n=st.integers(1, 8), dtype=st.sampled_from([torch.float32, torch.float64]))
def test_imposed_solutions_vanish_on_the_boundary_for_any_answer(batch, n, dtype):
    problem = TwoPhaseDarcy()
    inputs = problem.sample(2, torch.Generator().manual_seed(0))
    t = torch.rand(n, dtype=dtype)
    zero, one = torch.zeros_like(t), torch.ones_like(t)
    sides = [torch.stack(pair, 1) for pair in ((t, zero), (t, one), (zero, t), (one, t))]
    points = torch.cat(sides)
    raw = Jet(1e3 * torch.randn(batch, 4 * n, 1, dtype=dtype), torch.randn(batch, 4 * n, 1, 2, dtype=dtype))
    imposed = problem.impose("solution", points, raw, inputs)
    assert (imposed.value == 0).all()
    assert imposed.value.dtype == dtype


def test_unknown_fields_are_named():
    problem = TwoPhaseDarcy()
    inputs = problem.sample(1, torch.Generator().manual_seed(0))
    with pytest.raises(ProblemError, match="no field 'pressure': known are solution and flux"):
        problem.impose("pressure", torch.rand(1, 2), Jet(torch.rand(1, 1, 1), torch.rand(1, 1, 1, 2)), inputs)
