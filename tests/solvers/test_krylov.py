"""The Krylov family: exact solutions, statuses, derivatives, and the theorems that tell the methods apart."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse.linalg
import torch
from solver_cases import case_name, dense_spd, diffusion, normal, small_operators

from solvers import (
    CG,
    FGMRES,
    GMRES,
    MINRES,
    BiCGStab,
    CSROperator,
    Fallback,
    FlexibleCG,
    GeometricMultigrid,
    Jacobi,
    Richardson,
    SingleReductionCG,
    Status,
    TagError,
    linear_solve,
    poisson_operator,
)

SYMMETRIC = [SingleReductionCG, FlexibleCG, MINRES, GMRES, FGMRES, BiCGStab]
GENERAL = [GMRES, FGMRES, BiCGStab]


def unsymmetric(n: int, *batch: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> CSROperator:
    dense = torch.randn(*batch, n, n, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return CSROperator.from_dense(dense + 3 * n**0.5 * torch.eye(n))


def name(solver: object) -> str:
    return getattr(solver, "__name__", type(solver).__name__)


@pytest.mark.parametrize("solver", SYMMETRIC, ids=name)
@pytest.mark.parametrize("A", small_operators(), ids=case_name)
def test_every_method_solves_every_symmetric_operator(A, solver):
    b = normal(*A.batch_shape, A.shape[0])
    x = linear_solve(A, b, solver(rtol=1e-12)).value
    torch.testing.assert_close(A.mv(x), b, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("solver", SYMMETRIC, ids=name)
def test_solves_are_twice_differentiable_in_coefficients(solver):
    A = diffusion((2, 2))

    def value(b, *parameters):
        return linear_solve(A.replace(parameters), b, solver(rtol=1e-13)).value

    inputs = [t.detach().clone().requires_grad_() for t in (normal(4), *A.parameters())]
    assert torch.autograd.gradcheck(value, inputs)
    assert torch.autograd.gradgradcheck(value, inputs)


@pytest.mark.parametrize("solver", GENERAL, ids=name)
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
def test_unsymmetric_systems_and_their_derivatives(solver, dtype):
    A = unsymmetric(3, 2, dtype=dtype)

    def value(b, values):
        return linear_solve(A.replace((values,)), b, solver(rtol=1e-13)).value

    b = torch.randn(2, 3, generator=torch.Generator().manual_seed(1), dtype=dtype).requires_grad_()
    torch.testing.assert_close(value(b, A.values), torch.linalg.solve(A.to_dense(), b), rtol=1e-10, atol=1e-11)
    values = A.values.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(value, (b, values))
    assert torch.autograd.gradgradcheck(value, (b, values))


@pytest.mark.parametrize("variant", [SingleReductionCG, FlexibleCG], ids=name)
@pytest.mark.parametrize("recipe", [None, Jacobi(), GeometricMultigrid()], ids=lambda r: type(r).__name__)
def test_variants_of_conjugate_gradients_are_conjugate_gradients(variant, recipe):
    """With a fixed symmetric positive definite M they take the same steps."""
    A, b = diffusion((16, 16), (3,)), normal(3, 256)
    plain, other = (linear_solve(A, b, solver(rtol=1e-9), recipe) for solver in (CG, variant))
    assert (plain.stats.iterations - other.stats.iterations).abs().max() <= 1
    torch.testing.assert_close(other.value, plain.value, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("solver", [GMRES(restart=40), FGMRES(restart=40), MINRES()], ids=name)
def test_minimal_residuals_never_grow(solver):
    A = diffusion((8, 8), (2,)).to_csr()
    recorded = type(solver)(**{**vars(solver), "record_history": True, "rtol": 1e-10})
    history = linear_solve(A, normal(2, 64), recorded).stats.history
    assert all((later <= earlier * (1 + 1e-9)).all() for earlier, later in pairwise(history))


def test_gmres_is_exact_after_n_steps():
    A, b = unsymmetric(12), normal(12)
    solution = linear_solve(A, b, GMRES(rtol=1e-11, restart=12))
    assert solution.stats.iterations <= 12


def test_minres_solves_indefinite_and_singular_consistent_systems():
    """Poisson − I has eigenvalues of both signs; Neumann has a kernel, and b is in its range."""
    A = poisson_operator((20, 20), "vertex").to_csr()
    on_diagonal = A.pattern.row == A.pattern.column
    shifted = CSROperator.from_pattern(A.pattern, A.values - on_diagonal.double(), {"symmetric"})
    b = normal(400)
    solution = linear_solve(shifted, b, MINRES(max_iterations=3000))
    torch.testing.assert_close(shifted.mv(solution.value), b, rtol=1e-6, atol=1e-6)
    neumann = diffusion((8, 8), boundary="neumann")
    b = neumann.project(normal(64))
    torch.testing.assert_close(neumann.mv(linear_solve(neumann, b, MINRES()).value), b, rtol=1e-6, atol=1e-7)


def test_minres_takes_about_scipys_iterations():
    A, b = poisson_operator((32, 32), "vertex"), normal(1024)
    steps = []
    scipy.sparse.linalg.minres(A.to_csr().to_scipy(), b.numpy(), rtol=1e-10, callback=lambda _: steps.append(1))
    ours = linear_solve(A, b, MINRES(rtol=1e-8)).stats.iterations
    assert 0.6 * len(steps) <= int(ours) <= 1.1 * len(steps)


@pytest.mark.parametrize("solver", GENERAL, ids=name)
def test_unsymmetric_matrices_of_the_gallery(solver):
    """pyamg's recirculating flow, against SciPy's direct solution."""
    import pyamg

    matrix = scipy.sparse.csr_matrix(pyamg.gallery.load_example("recirc_flow")["A"])
    b = np.random.default_rng(0).standard_normal(matrix.shape[0])
    expected = scipy.sparse.linalg.spsolve(matrix.tocsc(), b)
    A = CSROperator.from_scipy(matrix)
    x = linear_solve(A, torch.from_numpy(b), solver(rtol=1e-10, max_iterations=5000), Jacobi()).value.numpy()
    assert np.linalg.norm(x - expected) <= 1e-6 * np.linalg.norm(expected)


@pytest.mark.parametrize("solver", [*SYMMETRIC, CG], ids=name)
def test_each_system_has_its_own_status(solver):
    """Zero right-hand side, NaN and two healthy ones, as if alone."""
    A, b = diffusion((4, 4), (4,)).to_csr(), normal(4, 16)
    b[0] = 0
    b[1, 3] = torch.nan
    solution = linear_solve(A, b, solver(rtol=1e-10), throw=False)
    assert solution.status.tolist() == [Status.CONVERGED, Status.NONFINITE_INPUT] + [Status.CONVERGED] * 2
    assert solution.value[0].abs().max() == 0
    assert solution.stats.iterations[:2].tolist() == [0, 0]
    for i in (2, 3):
        alone = linear_solve(A.replace((A.values[i],)), b[i], solver(rtol=1e-10))
        assert abs(int(alone.stats.iterations) - int(solution.stats.iterations[i])) <= 1
        torch.testing.assert_close(alone.value, solution.value[i], rtol=1e-8, atol=1e-9)
    limited = linear_solve(A, b, solver(rtol=1e-10, max_iterations=1), throw=False)
    assert limited.status[2:].tolist() == [Status.MAX_ITERATIONS] * 2


@pytest.mark.parametrize("solver", [*SYMMETRIC, CG], ids=name)
@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_solves_are_homogeneous(solver, scale):
    A, b = diffusion((4, 4)), normal(16)
    one, scaled = (linear_solve(A, s * b, solver(rtol=1e-10)).value for s in (1.0, scale))
    torch.testing.assert_close(scaled / scale, one, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("solver", [CG, SingleReductionCG, FlexibleCG], ids=name)
def test_an_indefinite_matrix_is_never_called_solved_wrongly(solver):
    dense = torch.diag(torch.tensor([1.0, -2.0, 3.0, -4.0], dtype=torch.float64))
    A = CSROperator.from_dense(dense)
    b = torch.ones(4, dtype=torch.float64)
    solution = linear_solve(A, b, solver(assume_spd=True), throw=False)
    residual = (b - A.mv(solution.value)).norm() / b.norm()
    assert bool(solution.converged) == bool(residual <= 1.02e-8)
    with pytest.raises(TagError, match="spd"):
        linear_solve(A, b, solver())


def test_richardson_with_multigrid_is_multigrid_as_a_solver():
    A, b = poisson_operator((31, 31), "vertex"), normal(961)
    solution = linear_solve(A, b, Richardson(rtol=1e-9), GeometricMultigrid())
    assert solution.stats.iterations <= 20
    torch.testing.assert_close(A.mv(solution.value), b, rtol=1e-6, atol=1e-6)


def test_fallback_solves_again_what_failed_and_only_that():
    A, b = CSROperator.from_dense(dense_spd(8, 2), tags={"spd"}), normal(2, 8)
    b[0] = 0
    first = CG(max_iterations=1)
    solution = linear_solve(A, b, Fallback(first, GMRES()))
    assert solution.converged.all()
    assert solution.stats.iterations[0] == 0
    assert solution.stats.iterations[1] > 1
