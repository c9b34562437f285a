"""Krylov methods: each finds the dense solution, takes the steps that its theory says, and those that SciPy takes."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyamg
import pytest
import scipy.sparse.linalg
import torch
from solver_cases import case_name, dense_spd, diffusion, normal, random_stencil, small_operators

from solvers import (
    CG,
    FGMRES,
    GMRES,
    MINRES,
    BiCGStab,
    CSROperator,
    Fallback,
    FlexibleCG,
    FunctionOperator,
    GeometricMultigrid,
    Inverse,
    Jacobi,
    NormalCG,
    Richardson,
    SingleReductionCG,
    Status,
    StencilOperator,
    TagError,
    linear_solve,
    poisson_operator,
    use_backend,
)

DEFINITE = [CG(), SingleReductionCG(), FlexibleCG(), FlexibleCG(window=3)]
GENERAL = [BiCGStab(), GMRES(), GMRES(restart=4), FGMRES(), NormalCG(), Fallback(BiCGStab(), GMRES())]
EVERY = [*DEFINITE, MINRES(), *GENERAL]


def solver_name(value):
    fields = {"window": 1, "restart": 30}
    extras = [f"{k}={getattr(value, k)}" for k, default in fields.items() if getattr(value, k, default) != default]
    return type(value).__name__ + "".join(extras)


def tight(solver, rtol=1e-12):
    if isinstance(solver, Fallback):
        return Fallback(tight(solver.first, rtol), tight(solver.second, rtol))
    return replace(solver, rtol=rtol)


def hermitian(n, *batch, seed=0):
    """Hermitian positive definite matrices."""
    root = normal(*batch, n, n, seed=seed, dtype=torch.complex128)
    return root @ root.mH + n * torch.eye(n)


def general_operators():
    """Not symmetric, well conditioned; real and complex, one of each kind."""
    shift = torch.tensor([8.0, 0, 0, 0], dtype=torch.float64)
    stencil = random_stencil((3, 4), (2,), periodic=True)
    stencil = stencil.replace((stencil.coefficients + shift[:, None, None],))
    complex_values = stencil.coefficients + 1j * normal(2, 4, 3, 4, seed=1)
    complex_stencil = StencilOperator(stencil.offsets, complex_values, periodic=True)
    dense = CSROperator.from_dense(normal(3, 6, 6) + 6 * torch.eye(6))
    complex_csr = complex_stencil.to_csr()
    return [stencil, complex_stencil, dense, dense.H, complex_csr, complex_csr.H, complex_csr.T]


def dense_solution(A, b):
    return torch.linalg.solve(A.to_dense(), b.unsqueeze(-1)).squeeze(-1)


@pytest.mark.parametrize("solver", EVERY, ids=solver_name)
@pytest.mark.parametrize("A", small_operators(), ids=case_name)
def test_definite_systems_have_their_dense_solution(A, solver):
    b = normal(*A.batch_shape, A.shape[0])
    torch.testing.assert_close(linear_solve(A, b, tight(solver)).value, dense_solution(A, b), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("solver", GENERAL, ids=solver_name)
@pytest.mark.parametrize("A", general_operators(), ids=case_name)
def test_general_systems_have_their_dense_solution(A, solver):
    b = normal(*A.batch_shape, A.shape[0], dtype=A.dtype)
    torch.testing.assert_close(linear_solve(A, b, tight(solver)).value, dense_solution(A, b), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("solver", EVERY, ids=solver_name)
def test_hermitian_systems_have_their_dense_solution(solver):
    A = CSROperator.from_dense(hermitian(6, 3), tags={"spd"})
    b = normal(3, 6, dtype=torch.complex128)
    torch.testing.assert_close(linear_solve(A, b, tight(solver)).value, dense_solution(A, b), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("solver", [MINRES(), *GENERAL], ids=solver_name)
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
def test_indefinite_systems_have_their_dense_solution(dtype, solver):
    root = normal(3, 6, 6, dtype=dtype)
    A = CSROperator.from_dense(root + root.mH, tags={"symmetric"})
    b = normal(3, 6, dtype=dtype)
    torch.testing.assert_close(linear_solve(A, b, tight(solver)).value, dense_solution(A, b), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("solver", [*EVERY[:-3], Fallback(BiCGStab(), GMRES()), Richardson()], ids=solver_name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_preconditioner_saves_iterations_and_keeps_the_solution(dtype, solver):
    """V-cycles: at most 20 steps where the plain method takes dozens."""
    A = diffusion((32, 32), (2,), dtype=dtype)
    b = normal(2, 1024, dtype=dtype)
    solution = linear_solve(A, b, solver, GeometricMultigrid())
    tolerance = 1e-8 if dtype == torch.float64 else 1e-5
    assert (solution.stats.iterations <= 20).all()
    assert ((b - A.mv(solution.value)).norm(dim=-1) <= 1.05 * tolerance * b.norm(dim=-1)).all()


@pytest.mark.parametrize("preconditioner", [None, Jacobi(), GeometricMultigrid()], ids=["none", "jacobi", "multigrid"])
@pytest.mark.parametrize("solver", DEFINITE[1:], ids=solver_name)
def test_variants_of_cg_take_its_steps(solver, preconditioner):
    """With a fixed symmetric positive definite M all are the same algorithm in exact arithmetic."""
    A = diffusion((16, 16), (3,))
    b = normal(3, 256)
    reference = linear_solve(A, b, CG(record_history=True), preconditioner)
    variant = linear_solve(A, b, replace(solver, record_history=True), preconditioner)
    assert ((variant.stats.iterations - reference.stats.iterations).abs() <= 1).all()
    torch.testing.assert_close(variant.stats.history[:9], reference.stats.history[:9], rtol=1e-8, atol=0)
    torch.testing.assert_close(variant.value, reference.value, rtol=1e-6, atol=1e-7)


def test_fgmres_with_a_linear_preconditioner_is_gmres():
    A, b = diffusion((16, 16)), normal(256)
    one, two = (linear_solve(A, b, s, GeometricMultigrid(pre=1, post=0)) for s in (GMRES(), FGMRES()))
    assert one.stats.iterations == two.stats.iterations
    torch.testing.assert_close(one.value, two.value, rtol=1e-9, atol=1e-10)


class Nonlinear(Inverse):
    """Jacobi with a gain that depends on r: symmetric or linear in no sense."""

    is_linear = False

    def __init__(self, A):
        self.diagonal = A.diagonal()

    def __call__(self, r):
        return r / self.diagonal * (1.5 + torch.sin(1e3 * r))


class NonlinearRecipe:
    def setup(self, A):
        return Nonlinear(A)


@pytest.mark.parametrize("solver", [FlexibleCG(), FlexibleCG(window=5), FGMRES()], ids=solver_name)
def test_flexible_methods_take_nonlinear_preconditioners(solver):
    A, b = diffusion((12, 12), (2,)), normal(2, 144)
    solution = linear_solve(A, b, tight(solver, 1e-10), NonlinearRecipe())
    torch.testing.assert_close(solution.value, dense_solution(A, b), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("solver", [CG(), SingleReductionCG(), MINRES(), GMRES(), BiCGStab()], ids=solver_name)
def test_other_methods_refuse_nonlinear_preconditioners(solver):
    with pytest.raises(TagError, match="FlexibleCG or FGMRES"):
        linear_solve(diffusion((4, 4)), normal(16), solver, NonlinearRecipe())


def test_flexible_directions_are_conjugate_over_the_window():
    """⟨p_k, A p_j⟩ = 0 for the last `window` directions, so n steps end it although M is nonlinear."""
    A = CSROperator.from_dense(dense_spd(8, 2), tags={"spd"})
    solution = linear_solve(A, normal(2, 8), FlexibleCG(rtol=1e-10, window=8), NonlinearRecipe())
    assert (solution.stats.iterations <= 8).all()


@pytest.mark.parametrize("solver", [GMRES(rtol=1e-10), FGMRES(rtol=1e-10)], ids=solver_name)
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
def test_full_gmres_is_exact_in_n_steps(dtype, solver):
    A = CSROperator.from_dense(normal(3, 20, 20, dtype=dtype))
    b = normal(3, 20, dtype=dtype)
    solution = linear_solve(A, b, solver)
    assert (solution.stats.iterations <= 20).all()
    torch.testing.assert_close(A.mv(solution.value), b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("solver", [MINRES(), GMRES(restart=10), FGMRES()], ids=solver_name)
def test_the_residual_never_rises(solver):
    """Each minimises it, over spaces that grow or, at a restart, contain zero; up to rounding of b − A x."""
    A, b = diffusion((10, 10), (2,)), normal(2, 100)
    history = linear_solve(A, b, replace(solver, record_history=True)).stats.history
    assert (history[1:] <= history[:-1] + 1e-13).all()


def test_the_residual_of_normal_cg_never_rises():
    """CGLS minimises ‖b − A x‖; what it measures, ‖Aᴴ r‖, may rise."""
    A, b = CSROperator.from_dense(normal(2, 30, 20)), normal(2, 30, seed=1)
    values = [linear_solve(A, b, NormalCG(max_iterations=k), throw=False).value for k in range(15)]
    sizes = torch.stack([(b - A.mv(x)).norm(dim=-1) for x in values])
    assert (sizes[1:] < sizes[:-1]).all()


def test_the_preconditioned_residual_of_minres_falls_in_the_norm_of_the_preconditioner():
    A, b = diffusion((16, 16)), normal(256)
    M = GeometricMultigrid().setup(A)
    sizes = []
    for steps in range(6):
        r = b - A.mv(linear_solve(A, b, MINRES(max_iterations=steps), GeometricMultigrid(), throw=False).value)
        sizes.append(float(r @ M(r)))
    assert all(later < earlier for earlier, later in pairwise(sizes))


def first_below(goal, A, b, method, **options):
    """SciPy's first iterate whose true residual is below the tolerance."""
    found = []

    def look(x):
        found.append(np.linalg.norm(b - A @ x) <= goal * np.linalg.norm(b))

    method(A, b, callback=look, **options)
    return found.index(True) + 1


@pytest.mark.parametrize("shift", [0.0, 1.0], ids=["definite", "indefinite"])
def test_minres_takes_scipys_iterations(shift):
    """On the Laplacian of 20 × 20 points, and on it minus the identity (four negative eigenvalues and more)."""
    laplacian = poisson_operator((20, 20), "vertex").to_csr().to_scipy()
    matrix = laplacian - shift * scipy.sparse.eye_array(400, format="csr")
    b = np.random.default_rng(0).standard_normal(400)
    theirs = first_below(1e-8, matrix, b, scipy.sparse.linalg.minres, rtol=1e-14, maxiter=400)
    ours = linear_solve(CSROperator.from_scipy(matrix, tags={"symmetric"}), torch.from_numpy(b), MINRES(rtol=1e-8))
    assert abs(int(ours.stats.iterations) - theirs) <= 3


def test_minres_finds_the_shortest_solution_of_a_singular_system():
    """unit_square: the kernel holds the constants; x is orthogonal to it from x₀ = 0."""
    matrix = pyamg.gallery.load_example("unit_square")["A"]
    A = CSROperator.from_scipy(matrix, tags={"symmetric"})
    b = normal(2, A.shape[0])
    b -= b.mean(-1, keepdim=True)
    x = linear_solve(A, b, MINRES(rtol=1e-10)).value
    torch.testing.assert_close(x, b @ torch.linalg.pinv(A.to_dense()).mT, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ["recirc_flow", "helmholtz_2D"])
def test_unsymmetric_and_complex_examples_take_scipys_iterations(name):
    """Restarted GMRES to ±1 %; BiCGStab to ±15 %, where rounding does not make it chaotic."""
    matrix = pyamg.gallery.load_example(name)["A"].tocsr()
    scaled = scipy.sparse.diags_array(1 / matrix.diagonal()) @ matrix
    A = CSROperator.from_scipy(scaled)
    rng = np.random.default_rng(0)
    b = rng.standard_normal(A.shape[0]).astype(matrix.dtype)
    counted = []
    options = {"restart": 60, "maxiter": 100, "callback": counted.append, "callback_type": "pr_norm"}
    scipy.sparse.linalg.gmres(scaled, b, rtol=1e-8, **options)
    gmres = linear_solve(A, torch.from_numpy(b), GMRES(rtol=1e-8, restart=60, max_iterations=3000))
    assert abs(int(gmres.stats.iterations) - len(counted)) <= max(3, 0.01 * len(counted))
    theirs = first_below(1e-8, scaled, b, scipy.sparse.linalg.bicgstab, rtol=1e-9, maxiter=3000)
    bicgstab = linear_solve(A, torch.from_numpy(b), BiCGStab(rtol=1e-8, max_iterations=3000))
    if matrix.dtype.kind == "f":  # on the Helmholtz equation the last bits decide over hundreds of steps
        assert abs(int(bicgstab.stats.iterations) - theirs) <= 0.15 * theirs
    torch.testing.assert_close(bicgstab.value, gmres.value, rtol=1e-4, atol=1e-5 * float(gmres.value.abs().max()))


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
def test_normal_cg_is_least_squares(dtype):
    """For m > n the pseudoinverse's solution, from any x₀; n steps at most."""
    dense = normal(3, 9, 5, dtype=dtype)
    A, b = CSROperator.from_dense(dense), normal(3, 9, seed=1, dtype=dtype)
    expected = torch.linalg.lstsq(dense, b[..., None]).solution[..., 0]
    for x0 in (None, normal(3, 5, seed=2, dtype=dtype)):
        solution = linear_solve(A, b, NormalCG(rtol=1e-11), x0=x0)
        torch.testing.assert_close(solution.value, expected, rtol=1e-9, atol=1e-10)
        assert (solution.stats.iterations <= 6).all()


def test_normal_cg_finds_the_shortest_solution():
    """m < n: x = A⁺ b."""
    dense = normal(5, 9)
    x = linear_solve(CSROperator.from_dense(dense), normal(5), NormalCG(rtol=1e-12)).value
    torch.testing.assert_close(x, torch.linalg.pinv(dense) @ normal(5), rtol=1e-9, atol=1e-10)


def test_normal_cg_measures_the_normal_equations():
    """Its relative residual is ‖Aᴴ r‖ / ‖Aᴴ b‖; a b orthogonal to the range has the solution 0 at once."""
    dense = normal(9, 5)
    A, b = CSROperator.from_dense(dense), normal(9, seed=1)
    solution = linear_solve(A, b, NormalCG(max_iterations=2), throw=False)
    expected = (dense.mT @ (b - dense @ solution.value)).norm()
    torch.testing.assert_close(solution.stats.residual_norm, expected)
    torch.testing.assert_close(solution.stats.rhs_norm, (dense.mT @ b).norm())
    graph = CSROperator.from_dense(torch.tensor([[1.0, -1], [1, -1]], dtype=torch.float64))
    orthogonal = linear_solve(graph, torch.tensor([1.0, -1], dtype=torch.float64), NormalCG())
    assert orthogonal.value.tolist() == [0, 0]
    assert orthogonal.stats.iterations == 0


def test_a_preconditioner_of_normal_cg_is_set_up_for_the_gram_matrix():
    """Columns of very different size: Jacobi on AᴴA makes them equal."""
    dense = normal(40, 20) * torch.logspace(0, 6, 20, dtype=torch.float64)
    A, b = CSROperator.from_dense(dense), normal(40, seed=1)
    plain = linear_solve(A, b, NormalCG(), throw=False)
    scaled = linear_solve(A, b, NormalCG(rtol=1e-10), Jacobi())
    assert scaled.stats.iterations < 0.5 * plain.stats.iterations
    expected = torch.linalg.lstsq(dense, b[:, None]).solution[:, 0]
    torch.testing.assert_close(scaled.value, expected, rtol=1e-6, atol=0)


def test_richardson_with_multigrid_is_multigrid():
    """k steps are k V-cycles x ← x + M (b − A x)."""
    A, b = diffusion((16, 16), (2,)), normal(2, 256)
    hierarchy = GeometricMultigrid().setup(A)
    x = torch.zeros_like(b)
    for _ in range(4):
        x = hierarchy.cycle(b, x)
    solution = linear_solve(A, b, Richardson(max_iterations=4), GeometricMultigrid(), throw=False)
    torch.testing.assert_close(solution.value, x, rtol=1e-12, atol=1e-12)


def test_a_fallback_solves_what_the_first_solver_left():
    """Only that; iterations, products and histories add up."""
    skew = torch.tensor([[0.0, 1], [-1, 0]], dtype=torch.float64)
    A = CSROperator.from_dense(torch.stack([skew, torch.diag(torch.tensor([1.0, 2], dtype=torch.float64)), skew]))
    b = torch.tensor([[1.0, 1], [1, 1], [torch.nan, 0]], dtype=torch.float64)
    first, second = BiCGStab(record_history=True), GMRES(record_history=True)
    one = linear_solve(A, b, first, throw=False)
    both = linear_solve(A, b, Fallback(first, second), throw=False)
    assert one.status.tolist() == [Status.BREAKDOWN, Status.CONVERGED, Status.NONFINITE_INPUT]
    assert both.status.tolist() == [Status.CONVERGED, Status.CONVERGED, Status.NONFINITE_INPUT]
    torch.testing.assert_close(both.value[0], torch.tensor([-1.0, 1], dtype=torch.float64))
    torch.testing.assert_close(both.value[1], one.value[1], rtol=0, atol=0)
    assert both.stats.iterations.tolist() == [int(one.stats.iterations[0]) + 2, int(one.stats.iterations[1]), 0]
    assert both.stats.products > one.stats.products + 2
    assert both.stats.history.shape[0] == one.stats.history.shape[0] + 2
    assert (both.stats.history[-1, :2] <= 1e-8).all()


@pytest.mark.parametrize("preconditioner", [None, Jacobi()], ids=["none", "jacobi"])
@pytest.mark.parametrize("batches", [((), ()), ((3,), (3,)), ((3,), (2, 3)), ((), (4,)), ((2, 1), (2, 3))], ids=str)
def test_compiled_cg_takes_the_steps_of_cg(batches, preconditioner):
    """Sparse matrices on the CPU: one call a sample, the same steps."""
    own, batch = batches
    A, b = diffusion((8, 8), own).to_csr(), normal(*batch, 64)
    compiled = linear_solve(A, b, CG(rtol=1e-9), preconditioner)
    with use_backend("reference"):
        plain = linear_solve(A, b, CG(rtol=1e-9), preconditioner)
    assert ((compiled.stats.iterations - plain.stats.iterations).abs() <= 1).all()
    torch.testing.assert_close(compiled.value, plain.value, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("solver", EVERY, ids=lambda solver: type(solver).__name__)
def test_a_function_without_stored_parameters_is_solved_for(solver):
    """A x = b with A known by its products alone."""
    A = torch.eye(5, dtype=torch.float64) * 2 + 0.1
    operator = FunctionOperator(lambda x: x @ A, (5, 5), tags={"spd"}, dtype=torch.float64)
    b = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(linear_solve(operator, b, solver).value, b @ A.inverse())
