"""Iterative refinement: double precision out of single-precision solves."""

import pytest
import torch
from solver_cases import case_name, dense_spd, diffusion, normal, small_operators

from solvers import (
    CG,
    GMRES,
    CSROperator,
    DenseCholesky,
    DenseLU,
    DTypeError,
    FastPoisson,
    GeometricMultigrid,
    IterativeRefinement,
    Jacobi,
    Singular,
    Status,
    SuperLU,
    TagError,
    linear_solve,
    poisson_operator,
)

INNER = {
    "CG": (CG(rtol=1e-4), None),
    "multigrid": (CG(rtol=1e-4), GeometricMultigrid()),
    "GMRES": (GMRES(rtol=1e-4), Jacobi()),
    "SuperLU": (SuperLU(), None),
    "FastPoisson": (FastPoisson(), None),
}


@pytest.mark.parametrize("case", INNER)
def test_full_accuracy_takes_four_products(case):
    """Single precision alone ends above 1e-7; every correction multiplies the residual by about 1e-4."""
    inner, preconditioner = INNER[case]
    A = poisson_operator((32, 32))
    solution = linear_solve(A, normal(3, 1024), IterativeRefinement(inner), preconditioner)
    assert solution.value.dtype == torch.float64
    assert (solution.stats.relative_residual <= 1e-12).all()
    assert solution.stats.products <= 5
    history = solution.stats.history
    assert history.shape == (solution.stats.products, 3)
    assert (history[1:] <= 1e-3 * history[:-1]).all()


def test_single_precision_alone_does_not_reach_it():
    A = poisson_operator((32, 32), dtype=torch.float32)
    solution = linear_solve(A, normal(1024, dtype=torch.float32), SuperLU())
    assert solution.stats.relative_residual > 1e-8


@pytest.mark.parametrize("inner", [CG(rtol=1e-4), DenseCholesky(), DenseLU()], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("A", small_operators(), ids=case_name)
def test_refined_solves_are_twice_differentiable(A, inner):
    solver = IterativeRefinement(inner, rtol=1e-14)

    def value(b, *parameters):
        return linear_solve(A.replace(parameters), b, solver).value

    inputs = [t.detach().clone().requires_grad_() for t in (normal(*A.batch_shape, A.shape[0]), *A.parameters())]
    assert torch.autograd.gradcheck(value, inputs)
    assert torch.autograd.gradgradcheck(value, inputs, fast_mode=True)


def test_complex_systems_are_refined_in_complex64_and_so_are_their_adjoints():
    dense = normal(2, 6, 6, dtype=torch.complex128) + 6 * torch.eye(6)
    b = normal(2, 6, dtype=torch.complex128).requires_grad_()
    solution = linear_solve(CSROperator.from_dense(dense), b, IterativeRefinement(SuperLU()))
    torch.testing.assert_close(solution.value, torch.linalg.solve(dense, b), rtol=1e-11, atol=1e-12)
    assert solution.state.inverse.factors[0].L.dtype == "complex64"
    solution.value.abs().square().sum().backward()
    expected = 2 * torch.linalg.solve(dense.mH, solution.value.detach())
    torch.testing.assert_close(b.grad, expected, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("inner", [CG(rtol=1e-4), SuperLU()], ids=lambda s: type(s).__name__)
def test_known_kernels_are_projected_out_in_both_precisions(inner):
    A = diffusion((6, 6), (2,), "neumann")
    b = A.project(normal(2, 36))
    for operator, nullspace in ((A, None), (A.to_csr(), torch.ones(36, dtype=torch.float64))):
        solution = linear_solve(operator, b, IterativeRefinement(inner), nullspace=nullspace)
        assert (solution.stats.relative_residual <= 1e-12).all()
        assert (solution.value.mean(-1).abs() <= 1e-13).all()


@pytest.mark.parametrize("exponent", [-60, -30, 30, 60])
def test_solves_are_homogeneous_beyond_the_range_of_the_low_precision(exponent):
    """The residual is scaled by its norm before it is rounded."""
    A, b = diffusion((6, 6), (2,)), normal(2, 36)
    one = linear_solve(A, b, IterativeRefinement()).value
    scaled = linear_solve(A, 10.0**exponent * b, IterativeRefinement()).value
    torch.testing.assert_close(scaled / 10.0**exponent, one, rtol=1e-10, atol=1e-12)


def test_each_system_has_its_own_status():
    """Zero b, NaN in b, NaN in A, cond = 1e10 (beyond single precision), singular, healthy."""
    dense = dense_spd(8).repeat(6, 1, 1)
    basis, _ = torch.linalg.qr(normal(8, 8))
    dense[2, 0, 0] = torch.nan
    dense[3] = basis * torch.logspace(0, -10, 8, dtype=torch.float64) @ basis.mT
    dense[4] = 1.0
    A, b = CSROperator.from_dense(dense, tags={"spd"}), normal(6, 8)
    b[0] = 0
    b[1, 3] = torch.nan
    solution = linear_solve(A, b, IterativeRefinement(DenseLU()), throw=False)
    status = solution.status.tolist()
    assert status[:3] == [Status.CONVERGED, Status.NONFINITE_INPUT, Status.NONFINITE_INPUT]
    assert status[3] in (Status.STAGNATION, Status.SINGULAR)
    assert status[4:] == [Status.SINGULAR, Status.CONVERGED]
    assert solution.value[0].abs().max() == 0
    assert solution.value[1:3].isnan().all()
    torch.testing.assert_close(dense[5] @ solution.value[5], b[5], rtol=1e-11, atol=1e-12)
    with pytest.raises(Singular, match="system 0 of 1"):
        linear_solve(A.replace((A.values[4:5],)), b[4:5], IterativeRefinement(DenseLU()))


def test_the_limit_and_stagnation_are_told_apart():
    """Two corrections are too few for 1e-12; rtol = 1e-14 is below what rounding of A x allows at cond = 1e6."""
    A, b = diffusion((8, 8)), normal(64)
    few = linear_solve(A, b, IterativeRefinement(max_refinements=2), throw=False)
    assert few.status == Status.MAX_ITERATIONS
    assert few.stats.products == 3
    basis, _ = torch.linalg.qr(normal(30, 30))
    dense = basis * torch.logspace(0, -5, 30, dtype=torch.float64) @ basis.mT
    stuck = linear_solve(
        CSROperator.from_dense(dense), basis[:, -1].clone(), IterativeRefinement(SuperLU(), rtol=1e-14), throw=False
    )
    assert stuck.status == Status.STAGNATION
    assert stuck.stats.relative_residual <= 1e-10


def test_a_start_is_used_and_the_state_again():
    A, b = diffusion((8, 8)), normal(64)
    first = linear_solve(A, b, IterativeRefinement(SuperLU()))
    again = linear_solve(A, b, state=first.state, x0=first.value)
    assert again.stats.products == 1
    assert again.stats.iterations == 0


BAD_INPUTS = {
    "precision": (
        DTypeError,
        "higher precision",
        lambda: linear_solve(diffusion((4,), dtype=torch.float32), normal(4).float(), IterativeRefinement()),
    ),
    "rtol": (ValueError, "1e-20", lambda: linear_solve(diffusion((4,)), normal(4), IterativeRefinement(rtol=1e-20))),
    "tag": (
        TagError,
        "'spd'",
        lambda: linear_solve(CSROperator.from_dense(dense_spd(3)), normal(3), IterativeRefinement()),
    ),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_input_is_named(case):
    error, words, call = BAD_INPUTS[case]
    with pytest.raises(error, match=words):
        call()
