"""What must not change a solution: the order of unknowns, systems and runs, and the scale of the matrix."""

import pytest
import torch
from solver_cases import diffusion, normal

from solvers import (
    CG,
    FGMRES,
    GMRES,
    MINRES,
    BiCGStab,
    CSROperator,
    DenseLU,
    FlexibleCG,
    IncompleteCholesky,
    Jacobi,
    SingleReductionCG,
    SmoothedAggregation,
    SuperLU,
    linear_solve,
)

SOLVERS = [CG(1e-11), SingleReductionCG(1e-11), FlexibleCG(1e-11), MINRES(1e-11), GMRES(1e-11), FGMRES(1e-11)]
SOLVERS += [BiCGStab(1e-11), SuperLU(), DenseLU()]


def solver_name(solver):
    return type(solver).__name__


def system():
    return diffusion((7, 9), (3,), reaction=0.1).to_csr(), normal(3, 63)


@pytest.mark.parametrize("solver", SOLVERS, ids=solver_name)
def test_renumbering_the_unknowns_renumbers_the_solution(solver):
    """(P A Pᵀ) (P x) = P b."""
    A, b = system()
    order = torch.randperm(63, generator=torch.Generator().manual_seed(0))
    permuted = CSROperator.from_dense(A.to_dense()[:, order][:, :, order], tags={"spd"})
    found = linear_solve(permuted, b[:, order], solver).value
    torch.testing.assert_close(found, linear_solve(A, b, solver).value[:, order], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("solver", SOLVERS, ids=solver_name)
def test_reordering_the_batch_reorders_the_solutions(solver):
    """Bitwise for what is computed system by system, to 1e-10 for what is computed side by side."""
    A, b = system()
    order = torch.tensor([2, 0, 1])
    found = linear_solve(A.replace((A.values[order],)), b[order], solver)
    expected = linear_solve(A, b, solver)
    torch.testing.assert_close(found.value, expected.value[order], rtol=1e-10, atol=1e-10)
    assert (found.stats.iterations - expected.stats.iterations[order]).abs().max() <= 1


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e30])
@pytest.mark.parametrize("solver", SOLVERS, ids=solver_name)
def test_scaling_the_matrix_scales_the_solution(solver, scale):
    """x(s A, b) = x(A, b) / s."""
    A, b = system()
    found = linear_solve(A.replace((scale * A.values,)), b, solver).value
    torch.testing.assert_close(scale * found, linear_solve(A, b, solver).value, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("preconditioner", [None, Jacobi(), IncompleteCholesky(), SmoothedAggregation()], ids=repr)
def test_the_same_solve_twice_is_bitwise_the_same(preconditioner):
    A, b = system()
    first, second = (linear_solve(A, b, CG(), preconditioner).value for _ in range(2))
    assert torch.equal(first, second)
