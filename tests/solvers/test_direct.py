"""Direct solvers: exact to rounding, one factor for all, honest about what is singular."""

import numpy as np
import pytest
import scipy.sparse.linalg
import torch
from solver_cases import case_name, dense_spd, diffusion, normal, small_operators

from solvers import (
    CG,
    CSROperator,
    DenseCholesky,
    DenseLU,
    NonFinite,
    ShapeError,
    Singular,
    Status,
    SuperLU,
    TagError,
    linear_solve,
)

SOLVERS = [SuperLU(), DenseCholesky(), DenseLU()]


def unsymmetric(n: int, *batch: int, dtype: torch.dtype = torch.float64) -> CSROperator:
    """A shifted normal matrix: regular, unsymmetric, complex if asked."""
    dense = torch.randn(*batch, n, n, generator=torch.Generator().manual_seed(0), dtype=dtype)
    return CSROperator.from_dense(dense + 2 * n * torch.eye(n))


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("A", small_operators(), ids=case_name)
def test_solves_are_exact_to_rounding(A, solver):
    """‖b − A x‖ ≤ 1e-13 ‖b‖, for several right-hand sides a system."""
    b = normal(2, *A.batch_shape, A.shape[0])
    solution = linear_solve(A, b, solver)
    assert solution.converged.all()
    assert (solution.stats.relative_residual <= 1e-13).all()
    torch.testing.assert_close(A.mv(solution.value), b, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("A", small_operators(), ids=case_name)
def test_direct_solves_are_twice_differentiable(A, solver):
    tight = type(solver)(rtol=1e-14)

    def value(b, *parameters):
        return linear_solve(A.replace(parameters), b, tight).value

    b = normal(*A.batch_shape, A.shape[0])
    inputs = [t.detach().clone().requires_grad_() for t in (b, *A.parameters())]
    assert torch.autograd.gradcheck(value, inputs)
    assert torch.autograd.gradgradcheck(value, inputs)


@pytest.mark.parametrize("solver", [SuperLU(), DenseLU()], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.complex128], ids=str)
def test_unsymmetric_and_complex_systems_and_their_adjoints(solver, dtype):
    """A x = b and Aᴴ y = c by one factor: ⟨c, A⁻¹ b⟩ = ⟨A⁻ᴴ c, b⟩."""
    A = unsymmetric(6, 3, dtype=dtype)
    b, c = (torch.randn(3, 6, generator=torch.Generator().manual_seed(s), dtype=dtype) for s in (1, 2))
    inverse = solver.setup(A)
    tolerance = 1e-12 if torch.finfo(dtype).eps < 1e-10 else 1e-4
    torch.testing.assert_close(A.mv(inverse(b)), b, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(A.rmv(inverse.H(c)), c, rtol=tolerance, atol=tolerance)
    left, right = A.inner(c, inverse(b)), A.inner(inverse.H(c), b)
    torch.testing.assert_close(left, right, rtol=10 * tolerance, atol=tolerance)


def test_one_factorisation_serves_adjoints_and_later_solves(monkeypatch):
    calls = []
    original = scipy.sparse.linalg.splu
    monkeypatch.setattr(scipy.sparse.linalg, "splu", lambda *a, **k: calls.append(1) or original(*a, **k))
    A, b = unsymmetric(6), normal(6).requires_grad_()
    solution = linear_solve(A, b, SuperLU())
    solution.value.sum().backward()
    linear_solve(A, normal(6, seed=1), state=solution.state)
    assert len(calls) == 1


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: type(s).__name__)
def test_failed_systems_are_named_and_the_others_solved(solver):
    """A healthy, a singular and a NaN matrix side by side."""
    dense = dense_spd(4).repeat(3, 1, 1)
    dense[1] = torch.ones(4, 4)
    A = CSROperator.from_dense(dense, tags={"spd"})
    values = A.values.clone()
    values[2, 0] = torch.nan
    A, b = A.replace((values,)), normal(3, 4)
    solution = linear_solve(A, b, solver, throw=False)
    assert solution.status.tolist() == [Status.CONVERGED, Status.SINGULAR, Status.NONFINITE_INPUT]
    torch.testing.assert_close(dense[0] @ solution.value[0], b[0])
    assert solution.value[2].isnan().all()
    with pytest.raises(Singular, match="system 1 of 3"):
        linear_solve(A, b, solver)
    with pytest.raises(NonFinite, match="system 0 of 1"):
        linear_solve(A.replace((values[2:],)), b[2:], solver)


def test_a_known_kernel_makes_a_singular_matrix_solvable():
    """Neumann: x is the solution of zero mean."""
    A = CSROperator.from_dense(diffusion((4, 4), boundary="neumann").to_dense(), tags={"spd"})
    b = normal(16)
    b -= b.mean()
    x = linear_solve(A, b, SuperLU(), nullspace=torch.ones(16, dtype=torch.float64)).value
    torch.testing.assert_close(A.mv(x), b, rtol=1e-9, atol=1e-10)
    assert x.mean().abs() < 1e-10


def test_a_factor_is_the_best_preconditioner():
    A = diffusion((8, 8), (2,)).to_csr()
    assert (linear_solve(A, normal(2, 64), CG(), SuperLU()).stats.iterations <= 2).all()


def test_the_orderings_of_superlu_agree():
    A, b = diffusion((12, 12)).to_csr(), normal(144)
    answers = [linear_solve(A, b, SuperLU(ordering=o)).value for o in (None, "COLAMD", "NATURAL")]
    for answer in answers[1:]:
        np.testing.assert_allclose(answer, answers[0], rtol=1e-10)


def test_what_cannot_be_factored_is_refused():
    wide = CSROperator.from_dense(torch.ones(2, 3, dtype=torch.float64))
    with pytest.raises(TagError, match="not square"):
        linear_solve(wide, normal(2), SuperLU())
    with pytest.raises(TagError, match="'spd'"):
        linear_solve(unsymmetric(3), normal(3), DenseCholesky())
    with pytest.raises(ShapeError, match="limit 4096"):
        linear_solve(diffusion((65, 64)), normal(65 * 64), DenseLU())
    with pytest.raises(ValueError, match="takes no preconditioner"):
        linear_solve(diffusion((4,)), normal(4), SuperLU(), SuperLU())
