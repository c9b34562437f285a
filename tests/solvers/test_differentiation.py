"""Derivatives of solves: every solver on every operator it serves, twice, forward, and equal to other derivations."""

import weakref

import pytest
import torch
from solver_cases import case_name, dense_spd, diffusion, normal, random_stencil, small_operators

from solvers import (
    CG,
    FGMRES,
    GMRES,
    MINRES,
    BiCGStab,
    CSROperator,
    DenseCholesky,
    DiagonalOperator,
    FlexibleCG,
    FunctionOperator,
    NormalCG,
    Richardson,
    SingleReductionCG,
    SuperLU,
    linear_solve,
)

RTOL = 1e-13
DEFINITE = [CG(RTOL), SingleReductionCG(RTOL), FlexibleCG(RTOL), MINRES(RTOL)]
GENERAL = [GMRES(RTOL, restart=8), FGMRES(RTOL, restart=8), BiCGStab(RTOL)]


def unsymmetric_operators():
    """Diagonally dominant, eight unknowns or fewer; real, complex, batched, matrix-free."""
    dense = normal(2, 4, 4) + 8 * torch.eye(4, dtype=torch.float64)
    stencil = random_stencil((2, 3), (2,), periodic=False)
    stencil = stencil.replace((stencil.coefficients + 8 * (torch.arange(4) == 0)[:, None, None],))
    theta = normal(4, 4, seed=5) + 6 * torch.eye(4, dtype=torch.float64)
    return [
        CSROperator.from_dense(dense),
        CSROperator.from_dense(dense[0] + 1j * normal(4, 4, seed=2)),
        stencil,
        FunctionOperator(lambda x, matrix: x @ matrix.mT, (4, 4), (theta,)),
        DiagonalOperator(normal(3, 5).abs() + 1),
    ]


def solver_name(solver):
    return type(solver).__name__


def check(A, solver, seed=0):
    def value(b, *parameters):
        return linear_solve(A.replace(parameters), b, solver).value

    b = normal(*A.batch_shape, A.shape[0], seed=seed, dtype=A.dtype)
    inputs = [t.detach().clone().requires_grad_() for t in (b, *A.parameters())]
    assert torch.autograd.gradcheck(value, inputs, check_forward_ad=True)
    # Along random directions: the slow mode, entry by entry, is run for CG in test_linear_solve.
    assert torch.autograd.gradgradcheck(value, inputs, fast_mode=True)


@pytest.mark.parametrize("solver", DEFINITE, ids=solver_name)
@pytest.mark.parametrize("A", small_operators(), ids=case_name)
def test_definite_solves_are_differentiable_twice_and_forward(A, solver):
    """d x = A⁻¹ (db − dA x), against finite differences, and its own derivative."""
    check(A, solver)


@pytest.mark.parametrize("solver", GENERAL, ids=solver_name)
@pytest.mark.parametrize("A", [*unsymmetric_operators(), *small_operators()[:1]], ids=case_name)
def test_general_solves_are_differentiable_twice_and_forward(A, solver):
    check(A, solver)


def test_stationary_iterations_are_differentiated_at_their_fixed_point():
    A = CSROperator.from_dense(dense_spd(4, 2) / 10, tags={"spd"})
    check(A, Richardson(RTOL, omega=0.5))


@pytest.mark.parametrize("shape", [(6, 4), (5, 5)], ids=str)
def test_least_squares_are_differentiated_as_the_pseudoinverse(shape):
    """Gradients in b and in the entries equal those of torch.linalg.pinv."""
    dense = normal(2, *shape).requires_grad_()
    b = normal(2, shape[0], seed=1).requires_grad_()
    c = normal(2, shape[1], seed=2)
    found = torch.autograd.grad(
        (linear_solve(CSROperator.from_dense(dense), b, NormalCG(RTOL)).value * c).sum(), (dense, b)
    )
    expected = torch.autograd.grad(((torch.linalg.pinv(dense) @ b[..., None])[..., 0] * c).sum(), (dense, b))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-8)


def test_gradients_live_on_the_pattern():
    """∂/∂A_ij is that of the dense solve where A stores an entry; there is no place for any other."""
    A = diffusion((3, 3), (2,)).to_csr()
    values, b = A.values.clone().requires_grad_(), normal(2, 9)
    dense = A.to_dense().requires_grad_()
    (linear_solve(A.replace((values,)), b, CG(RTOL)).value ** 2).sum().backward()
    (torch.linalg.solve(dense, b) ** 2).sum().backward()
    torch.testing.assert_close(values.grad, dense.grad[:, A.pattern.row, A.pattern.column], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("solver", [CG(RTOL), MINRES(RTOL), SuperLU(), DenseCholesky()], ids=solver_name)
def test_second_derivatives_in_single_entries_are_those_of_the_dense_solve(solver):
    """The Hessian of Σ x³ in every entry, also where changing one makes the symmetric matrix unsymmetric."""
    A, b = CSROperator.from_dense(dense_spd(3), tags={"spd"}), normal(3)

    def ours(values):
        return (linear_solve(A.replace((values,)), b, solver).value ** 3).sum()

    def dense(values):
        return (torch.linalg.solve(values.reshape(3, 3), b) ** 3).sum()

    found, expected = (torch.autograd.functional.hessian(f, A.values) for f in (ours, dense))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_a_shared_matrix_collects_the_gradients_of_its_right_hand_sides():
    """One matrix, many b: the sum over the batch."""
    A = diffusion((3, 3)).to_csr()
    values, b = A.values.clone().requires_grad_(), normal(5, 9)
    linear_solve(A.replace((values,)), b, CG(RTOL)).value.sum().backward()
    together, values.grad = values.grad, None
    for one in b:
        linear_solve(A.replace((values,)), one, CG(RTOL)).value.sum().backward()
    torch.testing.assert_close(together, values.grad, rtol=1e-9, atol=1e-12)


def test_the_implicit_gradient_is_that_of_unrolled_iterations():
    """n steps of CG, written out and followed by autograd, give the same derivative to 1e-8."""
    root = normal(3, 6, 6).requires_grad_()  # only symmetric changes: n steps of CG solve no other systems
    dense = root @ root.mT + 6 * torch.eye(6, dtype=torch.float64)
    b = normal(3, 6)

    def unrolled(matrix):
        x, r = torch.zeros_like(b), b
        p, rr = r, (r * r).sum(-1, keepdim=True)
        for _ in range(6):
            Ap = (matrix @ p[..., None])[..., 0]
            step = rr / (p * Ap).sum(-1, keepdim=True)
            x, r = x + step * p, r - step * Ap
            rr, old = (r * r).sum(-1, keepdim=True), rr
            p = r + (rr / old) * p
        return x

    (expected,) = torch.autograd.grad(unrolled(dense).square().sum(), root, retain_graph=True)
    A = CSROperator.from_dense(dense, tags={"spd"})
    (found,) = torch.autograd.grad(linear_solve(A, b, CG(RTOL)).value.square().sum(), root)
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("solver", [CG, GMRES, MINRES])
def test_what_is_kept_for_the_derivative_does_not_grow_with_the_iterations(solver):
    """The saved tensors are those of the solution and the parameters, whatever the tolerance."""
    sizes = []
    for rtol in (1e-1, 1e-12):
        A = diffusion((16, 16), (2,)).to_csr()
        values, b = A.values.clone().requires_grad_(), normal(2, 256).requires_grad_()
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, kept=kept: kept.append(t.numel()) or t, lambda t: t):
            linear_solve(A.replace((values,)), b, solver(rtol))
        sizes.append(sum(kept))
    assert sizes[0] == sizes[1] <= 3 * (values.numel() + b.numel())


def test_the_graph_is_freed_with_the_solution():
    """No cycle of references keeps the tensors of a solve alive."""
    A, b = diffusion((8, 8)).to_csr(), normal(64).requires_grad_()
    x = linear_solve(A, b, CG()).value
    alive = weakref.ref(x)
    del x
    assert alive() is None
