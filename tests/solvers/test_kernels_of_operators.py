"""Singular operators: the kernel of grids with obstacles and walls, kernels that are given, and failures."""

import pytest
import torch
from solver_cases import diffusion, normal

from solvers import (
    CG,
    GMRES,
    MINRES,
    SSOR,
    Chebyshev,
    CSROperator,
    DenseLU,
    DenseOperator,
    DiffusionOperator,
    GeometricMultigrid,
    IncompleteCholesky,
    IncompleteLU,
    Jacobi,
    NotConverged,
    ScimlError,
    SmoothedAggregation,
    Status,
    SuperLU,
    TagError,
    finite_volume_operator,
    linear_solve,
    use_backend,
)

DOUBLE = torch.float64


def channel(sides, batch=()):
    """8 × 8 cells, random coefficients, an obstacle of 2 × 2 blocked cells."""
    a = torch.rand(*batch, 8, 8, generator=torch.Generator().manual_seed(0), dtype=DOUBLE) + 0.5
    a[..., 2:4, 3:5] = 0
    return finite_volume_operator(a, [1.0, 1.0], sides)


@pytest.mark.parametrize("sides", ["dirichlet", "neumann", "periodic", [("neumann", "dirichlet"), "periodic"]], ids=str)
@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_the_projection_is_onto_the_complement_of_the_kernel(sides, batch):
    """P = I − Z Zᵀ with Z from the eigenvectors of eigenvalue zero."""
    A = channel(sides, batch)
    values, vectors = torch.linalg.eigh(A.to_dense())
    Z = vectors * (values.abs() < 1e-10).unsqueeze(-2)
    x = normal(3, *batch, 64)
    expected = x - (Z @ (Z.mT @ x.unsqueeze(-1))).squeeze(-1)
    torch.testing.assert_close(A.project(x), expected, rtol=0, atol=1e-12)


def test_two_chambers_have_a_constant_each():
    """A wall across the whole grid; also in a batch beside a grid without one."""
    faces = [torch.ones(2, 9, 8, dtype=DOUBLE), torch.ones(2, 8, 9, dtype=DOUBLE)]
    for face, ends in zip(faces, ((0, -1), (0, -1)), strict=True):
        for end in ends:
            face.select(-2 if face.shape[-2] == 9 else -1, end).zero_()
    faces[0][1, 4] = 0
    A = DiffusionOperator(faces)
    x = A.project(normal(2, 64)).reshape(2, 8, 8)
    assert x[0].mean().abs() < 1e-14
    assert x[0, :4].mean().abs() > 1e-3
    assert max(x[1, :4].mean().abs(), x[1, 4:].mean().abs()) < 1e-14
    assert A.is_singular.tolist() == [True, True]


PRECONDITIONERS = [
    None,
    Jacobi(),
    SSOR(),
    Chebyshev(),
    IncompleteCholesky(),
    GeometricMultigrid(),
    SmoothedAggregation(),
]


@pytest.mark.parametrize("preconditioner", PRECONDITIONERS, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("sides", ["dirichlet", "neumann"])
def test_flow_around_an_obstacle_is_the_pseudoinverse(sides, preconditioner):
    """x = A⁺ b, zero in the obstacle, and the gradient of its square in a and b."""
    A = channel(sides)
    b = normal(64).requires_grad_()
    faces = [f.clone().requires_grad_() for f in A.faces]
    solution = linear_solve(
        DiffusionOperator(faces), b, CG(1e-12, max_iterations=500), preconditioner, project_rhs=True
    )
    pinv = torch.linalg.pinv(A.to_dense(), rtol=1e-10, hermitian=True)
    torch.testing.assert_close(solution.value.detach(), pinv @ b.detach(), rtol=1e-8, atol=1e-9)
    (g,) = torch.autograd.grad(solution.value.square().sum(), b)
    torch.testing.assert_close(g, 2 * pinv @ pinv @ b.detach(), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("solver", [DenseLU(), SuperLU(), MINRES(1e-11), GMRES(1e-11, restart=64)], ids=repr)
def test_other_solvers_find_the_same_flow(solver):
    A = channel("neumann")
    found = linear_solve(A, normal(64), solver, project_rhs=True).value
    pinv = torch.linalg.pinv(A.to_dense(), rtol=1e-10, hermitian=True)
    torch.testing.assert_close(found, pinv @ normal(64), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(
    "recipe", [GeometricMultigrid(), GeometricMultigrid(dtype=torch.float32), Jacobi(), None], ids=repr
)
@pytest.mark.parametrize("sides", ["dirichlet", "neumann", "periodic"])
def test_compiled_iterations_on_singular_operators_take_the_plain_steps(sides, recipe):
    """⟨r, M r⟩ and A M r do not see what M r has in the kernel, so that projecting once, at the end, is enough."""
    A, b = channel(sides, (3,)), normal(3, 64)
    runs = []
    for backend in ("reference", "cpu"):
        with use_backend(backend):
            runs.append(linear_solve(A, b, CG(1e-10), recipe, project_rhs=True))
    slow, fast = runs
    assert (slow.stats.iterations - fast.stats.iterations).abs().max() <= 1
    torch.testing.assert_close(fast.value, slow.value, rtol=1e-7, atol=1e-8)
    torch.testing.assert_close(A.project(fast.value), fast.value, rtol=0, atol=1e-12)


def test_a_kernel_is_sought_again_only_for_other_walls():
    """Operators on one mask share what labels its parts; another mask, or a face that opens, has its own."""
    A = channel("neumann")
    A.project(normal(64))
    again = A.replace(tuple(2 * p for p in A.parameters()))
    assert again.kernel is A.kernel
    opened = [f.clone() for f in A.faces]
    opened[0][0] = 1.0
    other = A.replace(tuple(opened))
    assert other.kernel is not A.kernel
    x = normal(64)
    torch.testing.assert_close(other.project(x), DiffusionOperator(opened).project(x), rtol=0, atol=0)
    assert A.replace(A.parameters()).is_singular


def test_blocked_cells_have_finite_derivatives():
    a = torch.ones(4, 4, dtype=DOUBLE)
    a[1:3, 1:3] = 0
    a.requires_grad_()
    A = finite_volume_operator(a, 1.0)
    linear_solve(A, torch.ones(16, dtype=DOUBLE), CG(), GeometricMultigrid(), project_rhs=True).value.sum().backward()
    assert a.grad.isfinite().all()


def test_what_the_projection_takes_away_is_residual():
    """A right-hand side outside of the range: the residual that is told is that of b itself."""
    A, b = diffusion((6, 6), (), "neumann"), normal(36) + 1
    solution = linear_solve(A, b, CG(), throw=False)
    assert solution.status == Status.SINGULAR
    true = (b - A.mv(solution.value)).norm() / b.norm()
    torch.testing.assert_close(solution.stats.relative_residual, true, rtol=1e-6, atol=0)


@pytest.mark.parametrize("solver", [CG(), MINRES(), DenseLU()], ids=repr)
def test_a_kernel_that_is_none_is_refused(solver):
    A = diffusion((6,)).to_csr()
    with pytest.raises(TagError, match="column 0 is not in the kernel of system 0 of 1"):
        linear_solve(A, normal(6), solver, nullspace=torch.ones(6, dtype=DOUBLE))


@pytest.mark.parametrize("change", ["face", "reaction"])
def test_changes_in_place_are_noticed(change):
    """(A after the change) x, and its kernel."""
    A = DiffusionOperator(diffusion((4, 4), (), "neumann").faces, torch.zeros(4, 4, dtype=DOUBLE))
    x = normal(16)
    A.mv(x)
    assert A.is_singular
    (A.faces[0] if change == "face" else A.reaction).add_(1.0)
    torch.testing.assert_close(A.mv(x), A.to_dense() @ x)
    assert not A.is_singular


@pytest.mark.parametrize("solver", [GMRES(), CG(assume_spd=True), DenseLU()], ids=repr)
def test_the_gradient_of_a_failed_system_is_nan(solver):
    """Its neighbour's is right; without a cotangent of its own it is zero."""
    M = torch.tensor([[[2.0, 0], [0, 2]], [[1.0, 1], [1, 1]]], dtype=DOUBLE, requires_grad=True)
    b = torch.tensor([1.0, 2.0], dtype=DOUBLE)
    x = linear_solve(DenseOperator(M), b, solver, throw=False).value
    with pytest.warns(RuntimeWarning, match="system 1 of 2 is NaN"):
        (g,) = torch.autograd.grad(x.sum(), M, retain_graph=True)
    assert g[0].isfinite().all()
    assert g[1].isnan().all()
    (g,) = torch.autograd.grad(x[0].sum(), M)
    assert (g[1] == 0).all()


def test_a_failure_for_want_of_symmetry_says_so():
    """CG on an unsymmetric matrix that claims to be definite."""
    dense = torch.eye(30, dtype=DOUBLE) * 3 + torch.triu(normal(30, 30), 1) * 3
    with pytest.raises(TagError, match="tagged 'symmetric', but"):
        linear_solve(CSROperator.from_dense(dense, tags={"spd"}), normal(30), CG(max_iterations=60))


def test_a_failure_of_a_symmetric_system_is_told_as_before():
    with pytest.raises(NotConverged, match="MAX_ITERATIONS"):
        linear_solve(diffusion((16, 16)), normal(256), CG(max_iterations=3))


HARD = [Jacobi(), SSOR(), Chebyshev(), IncompleteLU(), IncompleteCholesky()]


@pytest.mark.parametrize("recipe", HARD, ids=lambda r: type(r).__name__)
def test_a_system_without_a_preconditioner_leaves_its_neighbours_alone(recipe):
    """A zero diagonal in the middle of a batch: the others are solved, and its gradient is NaN."""
    dense = torch.tensor([[[2.0, 1], [1, 2]], [[0.0, 1], [1, 0]], [[3.0, 0], [0, 1]]], dtype=DOUBLE)
    A = CSROperator.from_dense(dense, tags={"symmetric"})
    values = A.values.clone().requires_grad_()
    b = torch.tensor([1.0, 2.0], dtype=DOUBLE)
    with pytest.raises(ScimlError, match="system 1 of 3"):
        linear_solve(A, b, GMRES(), recipe)
    solution = linear_solve(A.replace((values,)), b, GMRES(), recipe, throw=False)
    assert solution.status.tolist() == [Status.CONVERGED, Status.PRECONDITIONER_UNDEFINED, Status.CONVERGED]
    torch.testing.assert_close(solution.value[[0, 2]].detach(), torch.linalg.solve(dense[[0, 2]], b.expand(2, 2)))
    assert solution.value[1].isnan().all()
    with pytest.warns(RuntimeWarning, match="system 1 of 3 is NaN"):
        (g,) = torch.autograd.grad(solution.value.sum(), values)
    assert g[[0, 2]].isfinite().all()
    with pytest.raises(ScimlError, match="system 1 of 3: its preconditioner cannot be set up"):
        solution.raise_if_failed()


def test_a_preconditioner_that_fits_no_system_is_refused():
    A = CSROperator.from_dense(torch.tensor([[[0.0, 1], [1, 0]], [[0.0, 2], [2, 0]]], dtype=DOUBLE))
    with pytest.raises(ScimlError, match="zero on the diagonal"):
        linear_solve(A, torch.ones(2, dtype=DOUBLE), GMRES(), Jacobi(), throw=False)
