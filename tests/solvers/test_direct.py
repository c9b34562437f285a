"""Direct solvers: exact to rounding, one factor for all, honest about what is singular."""

import numpy as np
import pytest
import scipy.sparse.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from solver_cases import BOUNDARIES, case_name, dense_spd, diffusion, normal, random_stencil, small_operators

from solvers import (
    CG,
    CSROperator,
    CuDSS,
    DenseCholesky,
    DenseLU,
    DeviceError,
    DiffusionOperator,
    Indefinite,
    MissingPackageError,
    NonFinite,
    ShapeError,
    Singular,
    Status,
    SuperLU,
    TagError,
    linear_solve,
    poisson_operator,
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
    assert torch.autograd.gradgradcheck(value, inputs, fast_mode=True)


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


GALLERY = ["airfoil", "bar", "knot", "unit_cube", "local_disc_galerkin_diffusion", "recirc_flow", "helmholtz_2D"]


def gallery(name: str, tags: tuple[str, ...] = ()) -> CSROperator:
    import pyamg.gallery

    return CSROperator.from_scipy(pyamg.gallery.load_example(name)["A"], tags)


@pytest.mark.parametrize("solver", [SuperLU(), DenseLU()], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("name", GALLERY)
def test_the_matrices_of_pyamg_are_solved_as_scipy_solves_them(name, solver):
    A = gallery(name)
    if isinstance(solver, DenseLU) and A.shape[0] > 1000:
        pytest.skip("seconds, for what the smaller ones show")
    b = normal(A.shape[0], dtype=A.dtype)
    solution = linear_solve(A, b, solver)
    assert solution.stats.relative_residual <= 1e-12
    expected = scipy.sparse.linalg.spsolve(A.to_scipy().tocsc(), b.numpy())
    assert np.linalg.norm(solution.value.numpy() - expected) <= 1e-8 * np.linalg.norm(expected)


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: type(s).__name__)
def test_a_singular_matrix_is_flagged_and_solved_when_its_kernel_is_given(solver):
    """pyamg's unit_square has the kernel of constants; so has its perturbation by rounding."""
    A = gallery("unit_square", ("spd",))
    b, ones = normal(A.shape[0]), torch.ones(A.shape[0], dtype=torch.float64)
    assert linear_solve(A, b - b.mean(), solver, throw=False).status == Status.SINGULAR
    solution = linear_solve(A, b, type(solver)(rtol=1e-12), nullspace=ones, project_rhs=True)
    assert (A.mv(solution.value) - (b - b.mean())).norm() <= 1e-11 * b.norm()
    assert solution.value.mean().abs() <= 1e-13


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=case_name)
@pytest.mark.parametrize("grid", [(4,), (40,), (7, 9), (3, 4, 5)], ids=str)
def test_exactly_the_operators_with_a_kernel_are_found_singular(grid, boundary, dtype, solver):
    A = diffusion(grid, (3,), boundary, dtype=dtype)
    assert (solver.setup(A).status == Status.SINGULAR).tolist() == A.is_singular.tolist()


@settings(max_examples=20, deadline=None)
@given(scales=st.lists(st.integers(-60, 60), min_size=8, max_size=8), which=st.sampled_from([SuperLU(), DenseLU()]))
def test_badly_scaled_rows_and_columns_are_not_singular(scales, which):
    """D₁ A D₂ is regular, however large the numbers in D₁ and D₂ differ: b = D₁ A 1 has the solution D₂⁻¹ 1."""
    rows, columns = 2.0 ** torch.tensor(scales, dtype=torch.float64).reshape(2, 4)
    A = CSROperator.from_dense(rows[:, None] * dense_spd(4) * columns)
    assert which.setup(A).status == Status.CONVERGED


@pytest.mark.parametrize("solver", [SuperLU(), DenseLU()], ids=lambda s: type(s).__name__)
def test_what_no_method_of_this_precision_solves_better_is_solved(solver):
    """cond = 1e10 in double, rtol = 1e-14: ‖b − A x‖ ≤ 100 eps (‖A‖ ‖x‖ + ‖b‖) is the most that can be asked."""
    basis, _ = torch.linalg.qr(normal(30, 30))
    dense = basis * torch.logspace(0, -10, 30, dtype=torch.float64) @ basis.mT
    b = normal(30)
    solution = linear_solve(CSROperator.from_dense(dense), b, type(solver)(rtol=1e-14))
    residual = (b - dense @ solution.value).norm()
    assert residual > 1e-14 * b.norm()
    assert residual <= 100 * 2.3e-16 * (dense.norm() * solution.value.norm() + b.norm())
    torch.testing.assert_close(solution.stats.residual_norm, residual, rtol=0.5, atol=0)


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("exponent", [-30, 30])
def test_solves_are_homogeneous(exponent, dtype, solver):
    """x(A, s b) = s x(A, b) and x(s A, b) = x(A, b) / s."""
    A, b, s = diffusion((4, 4), (2,), dtype=dtype).to_csr(), normal(2, 16, dtype=dtype), 10.0**exponent
    one = linear_solve(A, b, solver).value
    torch.testing.assert_close(linear_solve(A, s * b, solver).value / s, one)
    torch.testing.assert_close(linear_solve(A.replace((s * A.values,)), b, solver).value * s, one)


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(0, 9),
    batch=st.sampled_from([(), (0,), (1,), (3,), (2, 1)]),
    more=st.sampled_from([(), (0,), (4,)]),
    density=st.floats(0, 1),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.complex64, torch.complex128]),
    seed=st.integers(0, 100),
)
def test_superlu_is_the_dense_solver(n, batch, more, density, dtype, seed):
    """Any size, batch and pattern; a factor for every system, vectors for several of them."""
    generator = torch.Generator().manual_seed(seed)
    own = (torch.rand(n, n, generator=generator) < density) | torch.eye(n, dtype=torch.bool)
    row, col = own.nonzero(as_tuple=True)
    values = normal(*batch, row.numel(), seed=seed, dtype=dtype) + 2 * n * (row == col)
    A = CSROperator.from_coo(row, col, values, (n, n))
    b = normal(*more, *batch, n, seed=seed + 1, dtype=dtype)
    sparse, dense = linear_solve(A, b, SuperLU()), linear_solve(A, b, DenseLU())
    assert sparse.converged.all()
    assert sparse.value.shape == b.shape
    assert sparse.value.dtype == dtype
    torch.testing.assert_close(sparse.value, dense.value, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: type(s).__name__)
def test_batches_broadcast_and_columns_are_solved_together(solver):
    """Factors of (2, 1) systems, right-hand sides for (2, 5); columns (n, k); an operator that serves many vectors."""
    A = diffusion((3, 4), (2, 1))
    for b in (normal(2, 5, 12), normal(3, 2, 5, 12), normal(12)):
        x = linear_solve(A, b, solver).value
        torch.testing.assert_close(A.mv(x), b.expand_as(x))
    B = normal(2, 5, 12, 3)
    torch.testing.assert_close(A.mm(linear_solve(A, B, solver).value), B)
    assert linear_solve(A, normal(0, 2, 1, 12), solver).value.shape == (0, 2, 1, 12)


@pytest.mark.parametrize("solver", [SuperLU(), DenseLU()], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
def test_unsymmetric_solves_are_twice_differentiable(solver, dtype):
    A = unsymmetric(4, 2, dtype=dtype)
    stencil = random_stencil((2, 3), (), periodic=True)
    stencil = stencil.replace((stencil.coefficients + 9 * (torch.arange(4) == 0)[:, None, None],))
    for operator in (A, stencil) if dtype == torch.float64 else (A,):

        def value(b, parameter, operator=operator):
            return linear_solve(operator.replace((parameter,)), b, solver).value

        inputs = [normal(*operator.batch_shape, operator.shape[0], dtype=dtype), operator.parameters()[0].clone()]
        inputs = [t.requires_grad_() for t in inputs]
        assert torch.autograd.gradcheck(value, inputs)
        assert torch.autograd.gradgradcheck(value, inputs, fast_mode=True)


def test_a_direct_solver_serves_the_adjoint_of_an_iterative_one():
    A, b = diffusion((6, 6)), normal(36).requires_grad_()
    linear_solve(A, b, CG(), adjoint_solver=SuperLU()).value.sum().backward()
    torch.testing.assert_close(A.mv(b.grad), torch.ones(36, dtype=torch.float64))


def test_the_adjoint_and_the_deflated_operator_have_factors_too():
    A, b = unsymmetric(5), normal(5)
    torch.testing.assert_close(A.rmv(SuperLU().setup(A.H)(b)), b)
    N = diffusion((4, 4), boundary="neumann").to_csr()
    ones, c = torch.ones(16, dtype=torch.float64), N.mv(normal(16)).requires_grad_()
    weights = normal(16)
    (linear_solve(N, c, CG(rtol=1e-12), nullspace=ones, adjoint_solver=SuperLU()).value * weights).sum().backward()
    torch.testing.assert_close(N.mv(c.grad), weights - weights.mean(), rtol=1e-7, atol=1e-8)


def test_an_indefinite_matrix_has_no_cholesky_factor():
    dense = torch.stack([dense_spd(4), torch.diag(torch.tensor([1.0, 2.0, -3.0, 4.0], dtype=torch.float64))])
    A, b = CSROperator.from_dense(dense, tags={"spd"}), normal(2, 4)
    solution = linear_solve(A, b, DenseCholesky(), throw=False)
    assert solution.status.tolist() == [Status.CONVERGED, Status.INDEFINITE]
    with pytest.raises(Indefinite, match="system 1 of 2"):
        linear_solve(A, b, DenseCholesky())


def test_gradients_of_failed_systems_are_nan():
    dense = dense_spd(4).repeat(2, 1, 1)
    dense[1] = 1.0
    b = normal(2, 4).requires_grad_()
    with pytest.warns(RuntimeWarning, match="the gradient of system 1 of 2 is NaN"):
        linear_solve(CSROperator.from_dense(dense), b, SuperLU(), throw=False).value.sum().backward()
    torch.testing.assert_close(b.grad[0], torch.linalg.solve(dense[0], torch.ones(4, dtype=torch.float64)))
    assert b.grad[1].isnan().all()


def test_a_factor_of_a_nearby_operator_is_refined_away():
    """‖I − M A‖ = 1e-3: three steps of refinement make the residual 1e-9 of the first one's."""
    A, b = diffusion((6, 6)).to_csr(), normal(36)
    state = linear_solve(A, b, SuperLU()).state
    near = A.replace((1.001 * A.values,))
    solution = linear_solve(near, b, state=state)
    assert solution.converged
    assert solution.stats.iterations == 3
    torch.testing.assert_close(near.mv(solution.value), b, rtol=1e-6, atol=1e-7)
    far = linear_solve(A.replace((3 * A.values,)), b, state=state, throw=False)
    assert far.status == Status.STAGNATION


def test_three_dimensional_systems_are_warned_of(monkeypatch):
    monkeypatch.setattr("solvers.direct.super_lu._LARGE", 100)
    with pytest.warns(UserWarning, match=r"216 unknowns.*SmoothedAggregation"):
        linear_solve(
            poisson_operator((6, 6, 6), boundary="periodic", dtype=torch.float64), torch.zeros(216).double(), SuperLU()
        )


def test_a_missing_package_is_named():
    with pytest.raises(MissingPackageError, match="pip install 'nvmath-python"):
        linear_solve(diffusion((4,)), normal(4), CuDSS())


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex128], ids=str)
def test_cudss_is_superlu(dtype):
    pytest.importorskip("nvmath")
    A, b = unsymmetric(6, 3, dtype=dtype), normal(2, 3, 6, dtype=dtype)
    there = CSROperator(A.pattern.crow.cuda(), A.pattern.col.cuda(), A.values.cuda(), A.shape)
    inverse, reference = CuDSS().setup(there), SuperLU().setup(A)
    torch.testing.assert_close(inverse(b.cuda()).cpu(), reference(b))
    torch.testing.assert_close(inverse.H(b.cuda()).cpu(), reference.H(b))


class MatrixFree(DiffusionOperator):
    to_csr = None


def test_what_cannot_be_factored_is_refused():
    wide = CSROperator.from_dense(torch.ones(2, 3, dtype=torch.float64))
    with pytest.raises(TagError, match="not square"):
        linear_solve(wide, normal(2), SuperLU())
    with pytest.raises(TagError, match="'spd'"):
        linear_solve(unsymmetric(3), normal(3), DenseCholesky())
    with pytest.raises(TagError, match="no stored entries"):
        linear_solve(MatrixFree([torch.ones(5, dtype=torch.float64)]), normal(4), SuperLU())
    with pytest.raises(DeviceError, match="use CuDSS"):
        SuperLU().setup(poisson_operator((4,), device="meta"))
    with pytest.raises(ValueError, match="rtol = 1e-20"):
        linear_solve(diffusion((4,)), normal(4), SuperLU(rtol=1e-20))
    with pytest.raises(ShapeError, match="limit 4096"):
        linear_solve(diffusion((65, 64)), normal(65 * 64), DenseLU())
    with pytest.raises(ValueError, match="takes no preconditioner"):
        linear_solve(diffusion((4,)), normal(4), SuperLU(), SuperLU())
