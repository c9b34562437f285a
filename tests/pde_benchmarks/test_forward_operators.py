"""What holds for every linear forward operator."""

from __future__ import annotations

import math

import pytest
import torch
from forward_operator_families import linear_operators, random_pair
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import LinearOperator as ScipyOperator
from scipy.sparse.linalg import svds

from pde_benchmarks.imaging import OperatorError
from pde_benchmarks.imaging.forward_operators import (
    CircularBlur,
    Composition,
    CompressedSensing,
    HeatSource,
    PixelMask,
    ReflectingBlur,
    from_functions,
    gaussian_kernel,
    normalised,
)
from solvers import CG, linear_solve

OPERATORS = linear_operators()
each_operator = pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
# Rounding of a sum of a thousand products, with a margin.
ADJOINT_RTOL = {torch.float64: 1e-13, torch.float32: 1e-5}


@each_operator
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_adjoint_identity(operator, dtype):
    """⟨A x, y⟩ = ⟨x, Aᵀ y⟩, and both sides keep dtype and shape."""
    x, y = random_pair(operator, dtype)
    data, back = operator.apply(x), operator.adjoint(y)
    assert data.dtype == back.dtype == dtype
    assert data.shape == y.shape
    assert back.shape == x.shape
    difference = (data * y).sum() - (x * back).sum()
    assert difference.abs() <= ADJOINT_RTOL[dtype] * data.norm() * y.norm()


@each_operator
def test_norm_is_the_largest_singular_value(operator):
    """‖A‖ ≤ norm() ≤ 1.01 ‖A‖, ‖A‖ by ARPACK."""
    n, m = math.prod(operator.input_shape), math.prod(operator.output_shape)
    matrix = ScipyOperator(
        (m, n),
        matvec=lambda v: operator.apply(torch.as_tensor(v).reshape(1, *operator.input_shape)).flatten().numpy(),
        rmatvec=lambda v: operator.adjoint(torch.as_tensor(v).reshape(1, *operator.output_shape)).flatten().numpy(),
        dtype=float,
    )
    (truth,) = svds(matrix, k=1, return_singular_vectors=False, random_state=0)
    assert truth * (1 - 1e-9) <= operator.norm() <= 1.01 * truth


@each_operator
def test_derivatives_are_those_of_a_linear_map(operator):
    """The vector-Jacobian product is Aᵀ, the Jacobian-vector product A, and second derivatives hold."""
    x, y = random_pair(operator, count=2)
    (slope,) = torch.autograd.grad(operator.apply(x.requires_grad_()), x, y)
    torch.testing.assert_close(slope, operator.vjp(x, y), rtol=0, atol=1e-12)
    _, pushed = torch.func.jvp(operator.apply, (x.detach(),), (x.detach(),))
    torch.testing.assert_close(pushed, operator.apply(x.detach()), rtol=0, atol=1e-12)
    energy = operator.apply(x).square().sum() / 2
    (gradient,) = torch.autograd.grad(energy, x, create_graph=True)
    (curvature,) = torch.autograd.grad(gradient, x, x.detach())
    torch.testing.assert_close(curvature, operator.adjoint(operator.apply(x.detach())), rtol=0, atol=1e-10)


@each_operator
def test_samples_are_independent(operator):
    """Sample by sample gives what the batch gives; an empty batch gives none."""
    x, y = random_pair(operator)
    alone = torch.cat([operator.apply(row[None]) for row in x])
    torch.testing.assert_close(operator.apply(x), alone, rtol=0, atol=1e-13)
    back = torch.cat([operator.adjoint(row[None]) for row in y])
    torch.testing.assert_close(operator.adjoint(y), back, rtol=0, atol=1e-13)
    assert operator.apply(x[:0]).shape == (0, *operator.output_shape)


@each_operator
def test_single_precision_is_double_precision_rounded(operator):
    x, _ = random_pair(operator)
    exact, rounded = operator.apply(x), operator.apply(x.float())
    assert (exact - rounded).norm() <= 1e-5 * exact.norm()


@each_operator
def test_vmap_over_samples(operator):
    """Every sample as a batch of one under vmap: the same numbers."""
    x, _ = random_pair(operator)
    torch.testing.assert_close(torch.vmap(operator.apply)(x[:, None])[:, 0], operator.apply(x), rtol=0, atol=1e-13)


@each_operator
def test_linearised_gives_data_and_slope(operator):
    x, y = random_pair(operator)
    data, pullback = operator.linearised(x)
    torch.testing.assert_close(data, operator.apply(x), rtol=0, atol=0)
    torch.testing.assert_close(pullback(y), operator.vjp(x, y), rtol=0, atol=0)


@each_operator
def test_normal_operator_solves_ridge_regression(operator):
    """(AᵀA + s) x = Aᵀ b with its own s for each sample, by CG; differentiable in s."""
    _, b = random_pair(operator)
    shifts = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64, requires_grad=True) * operator.norm() ** 2
    rhs = operator.adjoint(b)
    x = linear_solve(operator.normal_operator(shifts), rhs.flatten(1), CG(rtol=1e-12)).value.reshape(rhs.shape)
    left = operator.adjoint(operator.apply(x)) + shifts.reshape(-1, *[1] * (x.ndim - 1)) * x
    assert (left - rhs).norm() <= 1e-11 * rhs.norm()
    (slope,) = torch.autograd.grad(x.square().sum(), shifts)
    assert bool((slope < 0).all())  # more regularisation, smaller solutions


@pytest.mark.parametrize("shift", [-1.0, float("nan"), torch.tensor([[1.0]])], ids=["negative", "nan", "matrix"])
def test_bad_shifts_are_refused(shift):
    with pytest.raises(OperatorError, match="shift"):
        HeatSource((1, 8), 1e-2).normal_operator(shift)


@each_operator
def test_wrong_arrays_are_named(operator):
    x, y = random_pair(operator)
    with pytest.raises(OperatorError, match="add the batch axis"):
        operator.apply(x[0])
    with pytest.raises(OperatorError, match=r"the field has shape .* \(batch"):
        operator.apply(torch.cat([x, x], 1))
    with pytest.raises(OperatorError, match="the data has shape"):
        operator.adjoint(torch.cat([y, y], -1))
    with pytest.raises(OperatorError, match=r"complex.*real and imaginary"):
        operator.apply(x.to(torch.complex128))
    with pytest.raises(OperatorError, match=r"int64.*convert"):
        operator.apply(x.long())
    with pytest.raises(OperatorError, match="list"):
        operator.apply(x.tolist())


@settings(max_examples=20, deadline=None)
@given(grid=st.lists(st.integers(5, 9), min_size=1, max_size=3), channels=st.integers(1, 3), count=st.integers(0, 2))
def test_any_grid_and_batch(grid, channels, count):
    """Every operator of free dimension maps (count, channels, *grid) back and forth."""
    shape = (channels, *grid)
    generator = torch.Generator().manual_seed(0)
    kernel = gaussian_kernel(1.0, len(grid))
    for operator in (
        CircularBlur(shape, kernel),
        ReflectingBlur(shape, kernel),
        HeatSource(shape, 1e-3),
        PixelMask.random(tuple(grid), 0.3, generator, channels),
        CompressedSensing(shape, 0.3, generator),
    ):
        x, y = random_pair(operator, count=count)
        assert operator.apply(x).shape == (count, *operator.output_shape)
        difference = (operator.apply(x) * y).sum() - (x * operator.adjoint(y)).sum()
        assert difference.abs() <= 1e-12 * (1 + x.norm() * y.norm() * operator.norm())


def test_an_operator_without_adjoint_says_so_when_it_is_needed():
    operator = from_functions(lambda x: 2 * x, input_shape=(1, 4), output_shape=(1, 4), name="doubling")
    x = torch.ones(1, 1, 4)
    assert operator.apply(x).sum() == 8
    for use in (lambda: operator.adjoint(x), lambda: operator.vjp(x, x), operator.norm):
        with pytest.raises(OperatorError, match=r"doubling has no adjoint.*adjoint="):
            use()


def test_functions_that_break_their_word_are_named():
    operator = from_functions(lambda x: x[..., 1:], lambda y: y.double(), input_shape=(1, 4), output_shape=(1, 4))
    with pytest.raises(OperatorError, match=r"apply returned .*\(1, 1, 3\)"):
        operator.apply(torch.ones(1, 1, 4))
    with pytest.raises(OperatorError, match=r"adjoint returned torch\.float64"):
        operator.adjoint(torch.ones(1, 1, 4))


def test_a_composition_must_fit():
    with pytest.raises(OperatorError, match="do not fit"):
        Composition(HeatSource((1, 8), 1e-2), HeatSource((1, 9), 1e-2))


def test_a_normalised_operator_has_norm_one():
    operator = normalised(OPERATORS["sparse Radon"])
    assert operator.norm() == pytest.approx(1.0, rel=1e-12)
    x, _ = random_pair(operator)
    torch.testing.assert_close(operator.apply(x) * OPERATORS["sparse Radon"].norm(), OPERATORS["sparse Radon"].apply(x))
