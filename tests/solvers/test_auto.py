"""Auto: what it chooses for which operator, and that the choice solves it."""

import numpy as np
import pyamg.gallery
import pytest
import scipy.sparse.linalg
import torch
from solver_cases import dense_spd, diffusion, normal

from solvers import (
    CG,
    Auto,
    CSROperator,
    GeometricMultigrid,
    IterativeRefinement,
    Jacobi,
    Singular,
    SmoothedAggregation,
    StencilOperator,
    SuperLU,
    linear_solve,
    poisson_operator,
)


def untagged(A, *tags, factor=1.0):
    return CSROperator.from_pattern(A.pattern, A.values * factor, tags)


def convection(n):
    """−Δu + ∂ₓu in the unit square, upwind: an M-matrix without symmetry."""
    stencil = poisson_operator((n, n)).to_stencil()
    c = stencil.coefficients.clone()
    c[stencil.offsets.index((0, 0))] += 1 / n
    c[stencil.offsets.index((-1, 0))] -= 1 / n
    return StencilOperator(stencil.offsets, c)


def indefinite(n):
    A = diffusion((n, n)).to_csr()
    return untagged(A.replace((A.values - 0.02 * (A.pattern.row == A.pattern.column),)), "symmetric")


CASES = {
    "constant coefficient": (lambda: poisson_operator((32, 24)), "FastPoisson"),
    "layers": (lambda: poisson_operator((16, 16), boundary=["neumann", "periodic"]), "FastPoisson"),
    "long axis": (lambda: poisson_operator((2048,)), "CG + GeometricMultigrid"),
    "grid that halves": (lambda: diffusion((64, 48), (2,)), "CG + GeometricMultigrid"),
    "vertices that halve": (lambda: vertices(63), "CG + GeometricMultigrid"),
    "odd grid": (lambda: diffusion((35, 37)), "CG + GeometricMultigrid"),
    "periodic grid that does not halve": (lambda: diffusion((35, 37), (), "periodic"), "CG + SmoothedAggregation"),
    "small": (lambda: CSROperator.from_dense(dense_spd(6, 3), tags={"spd"}), "DenseCholesky"),
    "small, unsymmetric": (lambda: convection(12), "DenseLU"),
    "sparse": (lambda: diffusion((30, 30)).to_csr(), "SuperLU"),
    "sparse, unsymmetric": (lambda: convection(32), "SuperLU"),
    "many": (lambda: diffusion((24, 24), (17,)).to_csr(), "CG + SmoothedAggregation"),
    "large": (lambda: diffusion((145, 145)).to_csr(), "CG + SmoothedAggregation"),
    "large, unsymmetric": (lambda: convection(145), "Fallback + IncompleteLU"),
    "many, symmetric": (lambda: repeated(indefinite(24), 17), "MINRES"),
}


def repeated(A, count):
    return A.replace((A.values.repeat(count, 1),))


def vertices(n):
    A = poisson_operator((n, n), "vertex")
    return A.replace(tuple(t * (1 + torch.rand(t.shape, generator=torch.Generator().manual_seed(0))) for t in A.faces))


@pytest.mark.parametrize("case", CASES)
def test_the_choice_is_recorded_and_solves_the_system(case):
    build, method = CASES[case]
    A = build()
    b = A.project(normal(*A.batch_shape, A.shape[0]))
    solution = linear_solve(A, b, Auto(rtol=1e-9))
    assert solution.stats.method == method
    assert (solution.stats.relative_residual <= 1.01e-9).all()
    again = linear_solve(A, b, state=solution.state)
    assert again.stats.method == method


GALLERY = {
    "airfoil": ("spd", "DenseCholesky"),
    "bar": ("spd", "SuperLU"),
    "knot": ("spd", "DenseCholesky"),
    "unit_cube": ("spd", "DenseCholesky"),
    "local_disc_galerkin_diffusion": ("spd", "SuperLU"),
    "recirc_flow": (None, "DenseLU"),
    "helmholtz_2D": (None, "SuperLU"),
}


@pytest.mark.parametrize("name", GALLERY)
def test_the_matrices_of_pyamg_are_solved_without_further_advice(name):
    tag, method = GALLERY[name]
    matrix = pyamg.gallery.load_example(name)["A"].tocsr()
    A = CSROperator.from_scipy(matrix, {tag} if tag else ())
    b = normal(A.shape[0], dtype=A.dtype)
    solution = linear_solve(A, b, Auto())
    assert solution.stats.method == method
    expected = scipy.sparse.linalg.spsolve(matrix.tocsc(), b.numpy())
    assert np.linalg.norm(solution.value.numpy() - expected) <= 1e-8 * np.linalg.norm(expected)


@pytest.mark.parametrize("name", [name for name, (tag, _) in GALLERY.items() if tag == "spd"])
def test_algebraic_multigrid_solves_the_definite_ones(name):
    """With the near null space of the example: rigid body motions for the elastic bar."""
    example = pyamg.gallery.load_example(name)
    A = CSROperator.from_scipy(example["A"].tocsr(), {"spd"})
    recipe = SmoothedAggregation(torch.from_numpy(np.ascontiguousarray(example["B"], dtype=np.float64)))
    b = normal(A.shape[0])
    solution = linear_solve(A, b, Auto(), recipe)
    assert solution.stats.method == "CG + SmoothedAggregation"
    assert solution.stats.iterations < 0.5 * linear_solve(A, b, CG()).stats.iterations
    assert (b - A.mv(solution.value)).norm() <= 1.01e-8 * b.norm()


@pytest.mark.parametrize("solver", [Auto(), SuperLU(), CG()], ids=lambda s: type(s).__name__)
def test_pyamgs_singular_matrix_is_solved_when_its_kernel_is_given(solver):
    A = CSROperator.from_scipy(pyamg.gallery.load_example("unit_square")["A"].tocsr(), {"spd"})
    b, ones = normal(A.shape[0]), torch.ones(A.shape[0], dtype=torch.float64)
    if not isinstance(solver, CG):
        with pytest.raises(Singular, match="system 0 of 1"):
            linear_solve(A, b, solver)
    solution = linear_solve(A, b, solver, nullspace=ones, project_rhs=True)
    assert (A.mv(solution.value) - b + b.mean()).norm() <= 1e-7 * b.norm()
    assert solution.value.mean().abs() <= 1e-12


def test_a_given_preconditioner_is_respected():
    assert linear_solve(poisson_operator((16, 16)), normal(256), Auto(), Jacobi()).stats.method == "CG + Jacobi"
    assert linear_solve(convection(8), normal(64), Auto(), Jacobi()).stats.method == "Fallback + Jacobi"


def test_least_squares_are_solved_where_the_matrix_is_not_square():
    dense, b = normal(7, 3), normal(7)
    x = linear_solve(CSROperator.from_dense(dense), b, Auto(rtol=1e-12)).value
    torch.testing.assert_close(x, torch.linalg.lstsq(dense, b[:, None]).solution[:, 0], rtol=1e-9, atol=1e-10)


def test_derivatives_use_the_solver_that_was_chosen():
    A, b = convection(4), normal(16)

    def value(b, c):
        return linear_solve(A.replace((c,)), b, Auto()).value

    inputs = [b.requires_grad_(), A.coefficients.clone().requires_grad_()]
    assert torch.autograd.gradcheck(value, inputs)
    assert torch.autograd.gradgradcheck(value, inputs, fast_mode=True)


def test_auto_serves_as_adjoint_solver_and_inside_refinement():
    A, b = diffusion((8, 8)), normal(64).requires_grad_()
    linear_solve(A, b, CG(), GeometricMultigrid(), adjoint_solver=Auto()).value.sum().backward()
    torch.testing.assert_close(A.mv(b.grad), torch.ones(64, dtype=torch.float64), rtol=1e-6, atol=1e-7)
    refined = linear_solve(A.to_csr(), b.detach(), IterativeRefinement(Auto()))
    assert refined.stats.relative_residual <= 1e-12
