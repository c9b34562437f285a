"""Preconditioners: symmetric positive definite where CG needs it, right adjoints elsewhere, batched, and worth it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from solver_cases import BOUNDARIES, OnlyProducts, case_name, dense_spd, diffusion, normal, random_stencil

from solvers import (
    CG,
    SSOR,
    BlockJacobi,
    Breakdown,
    Chebyshev,
    CSROperator,
    FlexibleCG,
    IncompleteCholesky,
    IncompleteLU,
    Jacobi,
    LearnedPreconditioner,
    PatternError,
    ShapeError,
    Singular,
    Status,
    TagError,
    linear_solve,
    poisson_operator,
)
from solvers.preconditioners.chebyshev import spectral_radius
from solvers.preconditioners.colouring import greedy_colouring

SYMMETRIC = [
    Jacobi(),
    BlockJacobi(3),
    SSOR(),
    SSOR(1.4),
    Chebyshev(),
    Chebyshev(2, lower=0.25),
    IncompleteCholesky(),
    IncompleteCholesky(2, 1),
]
RECIPES = [*SYMMETRIC, IncompleteLU()]
FORMS = {"matrix-free": lambda A: A, "stencil": lambda A: A.to_stencil(), "csr": lambda A: A.to_csr()}


def unsymmetric(batch=(3,), dtype=torch.float64):
    """Diagonally dominant, entries up to two points away."""
    A = random_stencil((4, 5), batch, periodic=False).to_csr()
    imaginary = normal(*A.values.shape, seed=9) if dtype.is_complex else 0
    values = A.values.to(dtype) + 1j * imaginary if dtype.is_complex else A.values
    return CSROperator.from_dense(A.replace((values,)).to_dense() + 12 * torch.eye(20, dtype=dtype))


def hermitian(n, *batch):
    """Complex, positive definite, half of the off-diagonal entries zero."""
    root = torch.complex(normal(*batch, n, n), normal(*batch, n, n, seed=1))
    kept = (normal(n, n, seed=2) > 0).triu(1)
    dense = (root @ root.mH) * (kept | kept.T) + 6 * n * torch.eye(n, dtype=torch.complex128)
    return CSROperator.from_dense(dense, tags={"spd"})


@pytest.mark.parametrize("recipe", SYMMETRIC, ids=repr)
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=case_name)
@pytest.mark.parametrize("form", FORMS)
def test_preconditioners_of_spd_operators_are_spd(form, boundary, recipe):
    """⟨u, M v⟩ = ⟨M u, v⟩ and ⟨u, M u⟩ > 0."""
    A = FORMS[form](diffusion((5, 4, 3), (2,), boundary, reaction=0.3))
    M = recipe.setup(A)
    u, v = (normal(2, A.shape[0], seed=seed) for seed in (0, 1))
    size = (u * M(u)).sum(-1)
    assert M.is_spd
    assert M.H is M
    assert (size > 0).all()
    assert (((u * M(v)).sum(-1) - (M(u) * v).sum(-1)).abs() <= 1e-12 * size).all()


@pytest.mark.parametrize("recipe", RECIPES, ids=repr)
def test_preconditioners_of_hermitian_operators_are_hermitian(recipe):
    """M = Mᴴ with positive eigenvalues."""
    M = recipe.setup(hermitian(12, 2))
    dense = M(torch.eye(12, dtype=torch.complex128)[:, None].expand(12, 2, 12)).movedim(0, -1)
    torch.testing.assert_close(dense, dense.mH, rtol=1e-12, atol=1e-14)
    assert (torch.linalg.eigvalsh(dense) > 0).all()


@pytest.mark.parametrize("recipe", RECIPES, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
def test_adjoints_of_unsymmetric_operators(recipe, dtype):
    """⟨u, M v⟩ = ⟨Mᴴ u, v⟩; Mᴴ is as good for Aᴴ as M for A, and its adjoint is M."""
    A = unsymmetric(dtype=dtype)
    M = recipe.setup(A)
    u, v = normal(3, 20).to(dtype), normal(3, 20, seed=1).to(dtype)
    u, v = (u + 1j * u.flip(-1), v - 2j * v.flip(-1)) if dtype.is_complex else (u, v)
    vecdot = torch.linalg.vecdot
    torch.testing.assert_close(vecdot(u, M(v)), vecdot(M.H(u), v), rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(M.H.H(v), M(v), rtol=1e-13, atol=0)
    assert ((u - M.H(A.H.mv(u))).norm(dim=-1) < u.norm(dim=-1)).all()
    torch.testing.assert_close(recipe.setup(A.H)(u).shape, M.H(u).shape)


@pytest.mark.parametrize("recipe", RECIPES, ids=repr)
def test_a_batch_is_preconditioned_as_if_alone(recipe):
    A, r = diffusion((6, 5), (2, 3)).to_csr(), normal(4, 2, 3, 30)
    M = recipe.setup(A)
    together = M(r)
    for i, j in [(0, 0), (1, 2)]:
        alone = recipe.setup(A.replace((A.values[i, j],)))
        torch.testing.assert_close(alone(r[:, i, j]), together[:, i, j], rtol=1e-12, atol=1e-13)
    assert M(r[0, 0, 0]).shape == (2, 3, 30)


@settings(max_examples=25, deadline=None)
@given(
    recipe=st.sampled_from(RECIPES),
    n=st.sampled_from([0, 1, 2, 7]),
    batch=st.sampled_from([(), (0,), (1,), (2, 3)]),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.complex64, torch.complex128]),
)
def test_any_shape_and_dtype(recipe, n, batch, dtype):
    """M maps (2, *batch, n) to itself in A's dtype and is linear."""
    crow = torch.arange(n + 1)
    values = normal(*batch, n).abs().add(1).to(dtype)
    A = CSROperator(crow, torch.arange(n), values, (n, n), tags={"spd"})
    M, r = recipe.setup(A), normal(2, *batch, n).to(dtype)
    assert M(r).shape == r.shape
    assert M(r).dtype == dtype
    torch.testing.assert_close(M(r[0] - 3 * r[1]), M(r[0]) - 3 * M(r[1]))


@pytest.mark.parametrize("recipe", SYMMETRIC, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_fewer_iterations_and_the_same_solution(recipe, dtype):
    """On a diffusion matrix whose unknowns have units that differ by a factor of ten."""
    A, b = diffusion((24, 24), (2,), dtype=dtype).to_csr(), normal(2, 576, dtype=dtype)
    units = torch.logspace(-0.5, 0.5, 576, dtype=dtype)
    values = A.values * units[A.pattern.row] * units[A.pattern.column]
    A = A.replace((values,))
    plain, better = (linear_solve(A, b, CG(max_iterations=5000), M) for M in (None, recipe))
    assert (better.stats.iterations < 0.7 * plain.stats.iterations).all()
    residual = (b - A.mv(better.value)).norm(dim=-1) / b.norm(dim=-1)
    assert (residual <= 1.02 * (1e-8 if dtype == torch.float64 else 1e-5)).all()


@pytest.mark.parametrize("recipe", SYMMETRIC, ids=repr)
def test_singular_systems_stay_in_their_range(recipe):
    """Neumann sides: the solution has mean zero, as without a preconditioner."""
    A = diffusion((8, 8), (2,), "neumann")
    b = A.project(normal(2, 64))
    plain, better = (linear_solve(A, b, CG(rtol=1e-12), M).value for M in (None, recipe))
    torch.testing.assert_close(better, plain, rtol=1e-8, atol=1e-9)
    assert better.mean(-1).abs().max() < 1e-14


@pytest.mark.parametrize("recipe", SYMMETRIC, ids=repr)
def test_a_system_with_nan_does_not_disturb_its_neighbours(recipe):
    A = diffusion((6, 6), (3,)).to_csr()
    values = A.values.clone()
    values[1, 7] = torch.nan
    b = normal(3, 36)
    solution = linear_solve(A.replace((values,)), b, CG(rtol=1e-10), recipe, throw=False)
    healthy = linear_solve(A, b, CG(rtol=1e-10), recipe)
    assert solution.status.tolist() == [Status.CONVERGED, Status.NONFINITE_INPUT, Status.CONVERGED]
    torch.testing.assert_close(solution.value[[0, 2]], healthy.value[[0, 2]], rtol=1e-9, atol=0)


def test_ssor_is_the_sweeps_of_the_dense_formula():
    """M⁻¹ = (D/ω + L) (ω/(2 − ω)) D⁻¹ (D/ω + U) in the red-black order."""
    A, omega = diffusion((4, 4)).to_csr(), 1.3
    i, j = torch.meshgrid(torch.arange(4), torch.arange(4), indexing="ij")
    order = torch.argsort(((i + j) % 2).reshape(-1), stable=True)
    dense = A.to_dense()[order][:, order]
    D, L = torch.diag(dense.diagonal()), dense.tril(-1)
    inverse = (D / omega + L) @ torch.linalg.inv(D) @ (D / omega + L.T) * omega / (2 - omega)
    r = normal(16)
    expected = torch.linalg.solve(inverse, r[order])
    torch.testing.assert_close(SSOR(omega).setup(A)(r)[order], expected, rtol=1e-12, atol=1e-13)


def test_ssor_of_an_unsymmetric_matrix_uses_both_triangles():
    """M = (D/ω + U)⁻¹ (2 − ω)/ω D (D/ω + L)⁻¹ in the order of the colours."""
    A, omega = unsymmetric(()), 0.8
    M = SSOR(omega).setup(A)
    dense, colour = A.to_dense(), M.colour
    D = torch.diag(dense.diagonal())
    L, U = dense * (colour[:, None] > colour), dense * (colour[:, None] < colour)
    torch.testing.assert_close(L + D + U, dense)
    r = normal(20)
    step = (2 - omega) / omega * D @ torch.linalg.solve(D / omega + L, r)
    torch.testing.assert_close(M(r), torch.linalg.solve(D / omega + U, step), rtol=1e-12, atol=1e-13)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 30), density=st.floats(0, 1), seed=st.integers(0, 100))
def test_neighbours_have_different_colours(n, density, seed):
    """Greedy: no neighbours share a colour, and each unknown sees every smaller colour among its neighbours."""
    linked = torch.rand(n, n, generator=torch.Generator().manual_seed(seed)) < density
    pattern = CSROperator.from_dense((linked | torch.eye(n, dtype=torch.bool)).double()).pattern
    colour = greedy_colouring(pattern)
    linked = (linked | linked.T) & ~torch.eye(n, dtype=torch.bool)
    assert not (linked & (colour[:, None] == colour)).any()
    for i in range(n):
        assert set(range(int(colour[i]))) <= set(colour[linked[i]].tolist())


@pytest.mark.parametrize("grid", [(9,), (5, 6), (3, 4, 5)], ids=str)
def test_grids_are_red_and_black(grid):
    coordinates = torch.meshgrid(*(torch.arange(n) for n in grid), indexing="ij")
    colour = greedy_colouring(poisson_operator(grid).to_csr().pattern)
    assert torch.equal(colour, (sum(coordinates) % 2).reshape(-1))


def test_blocks_of_the_whole_size_are_the_inverse():
    A, r = diffusion((3, 4)).to_csr(), normal(12)
    torch.testing.assert_close(A.mv(BlockJacobi(12).setup(A)(r)), r, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(BlockJacobi(1).setup(A)(r), Jacobi().setup(A)(r), rtol=1e-13, atol=0)


def test_blocks_are_inverted_one_by_one():
    """The last block of 11 = 4 + 4 + 3 is smaller."""
    dense = dense_spd(11, 2)
    M, r = BlockJacobi(4).setup(CSROperator.from_dense(dense, tags={"spd"})), normal(2, 11)
    for block in (slice(0, 4), slice(4, 8), slice(8, 11)):
        expected = torch.linalg.solve(dense[:, block, block], r[:, block])
        torch.testing.assert_close(M(r)[:, block], expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("degree", [1, 2, 5])
def test_chebyshev_leaves_the_smallest_polynomial_of_the_residual(degree):
    """I − A M = T(A D⁻¹)/T(0) with Chebyshev's T, which stays below 1/T(0) on the interval."""
    A, recipe = diffusion((6, 6)).to_csr(), Chebyshev(degree, lower=0.1)
    D, dense = torch.diag(A.diagonal()), A.to_dense()
    radius = float(spectral_radius(A, A.mv, A.diagonal()))
    residual = torch.eye(36) - dense @ recipe.setup(A)(torch.eye(36, dtype=torch.float64)).mT
    eigenvalues, vectors = torch.linalg.eigh(D.sqrt().inverse() @ dense @ D.sqrt().inverse())
    centre, half = radius * (recipe.upper + recipe.lower) / 2, radius * (recipe.upper - recipe.lower) / 2
    t = torch.special.chebyshev_polynomial_t((centre - eigenvalues) / half, degree)
    zero = torch.special.chebyshev_polynomial_t(torch.tensor(centre / half, dtype=torch.float64), degree)
    left = D.sqrt() @ vectors
    torch.testing.assert_close(left.inverse() @ residual @ left, torch.diag(t / zero), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("grid", [(200,), (24, 24), (8, 8, 8)], ids=str)
def test_power_steps_find_most_of_the_spectral_radius(grid):
    """Between 3/4 and one of the largest eigenvalue of D⁻¹A, the same in any batch and at any scale."""
    A = diffusion(grid, (2,)).to_csr()
    D = A.diagonal()
    radius = spectral_radius(A, A.mv, D)
    scaled = A.to_dense() / (D.unsqueeze(-1) * D.unsqueeze(-2)).sqrt()
    share = radius.squeeze(-1) / torch.linalg.eigvalsh(scaled)[:, -1]
    assert ((share > 0.75) & (share <= 1 + 1e-12)).all()
    alone = A.replace((1e9 * A.values[1],))
    torch.testing.assert_close(spectral_radius(alone, alone.mv, alone.diagonal()), radius[1])


def dense_factors(dense):
    """Elimination that leaves out what falls outside the pattern, row by row (the slow obvious version)."""
    n, stored, work = len(dense), dense != 0, dense.clone()
    for i in range(n):
        for k in range(i):
            if stored[i, k]:
                work[i, k] /= work[k, k]
                for j in range(k + 1, n):
                    if stored[i, j] and stored[k, j]:
                        work[i, j] -= work[i, k] * work[k, j]
    return work.tril(-1) + torch.eye(n), work.triu()


@pytest.mark.parametrize("A", [diffusion((4, 5)).to_csr(), unsymmetric(())], ids=["symmetric", "unsymmetric"])
def test_enough_sweeps_give_the_incomplete_factors(A):
    """M = (L U)⁻¹ with the factors of an elimination without fill-in."""
    L, U = dense_factors(A.to_dense())
    r = normal(20)
    expected = torch.linalg.solve(U, torch.linalg.solve(L, r))
    torch.testing.assert_close(IncompleteLU(20, 20).setup(A)(r), expected, rtol=1e-11, atol=1e-13)
    if "spd" in A.tags:
        torch.testing.assert_close(IncompleteCholesky(20, 20).setup(A)(r), expected, rtol=1e-11, atol=1e-13)


def test_factors_of_a_tridiagonal_matrix_are_exact():
    """No fill-in: M = A⁻¹ after as many sweeps as unknowns; five come close."""
    A = diffusion((12,), (2,), reaction=0.5).to_csr()
    x = normal(2, 12)
    torch.testing.assert_close(IncompleteCholesky(12, 12).setup(A)(A.mv(x)), x, rtol=1e-11, atol=1e-12)
    error = (IncompleteCholesky(5, 5).setup(A)(A.mv(x)) - x).norm() / x.norm()
    assert error < 0.1


def test_negative_pivots_are_met_with_a_shift():
    """Kershaw's matrix is positive definite, its incomplete factor is not; a healthy neighbour stays unshifted."""
    kershaw = torch.tensor([[3.0, -2, 0, 2], [-2, 3, -2, 0], [0, -2, 3, -2], [2, 0, -2, 3]], dtype=torch.float64)
    healthy = kershaw + 5 * torch.eye(4, dtype=torch.float64)
    assert (torch.linalg.eigvalsh(kershaw) > 0).all()
    assert (dense_factors(kershaw)[1].diagonal() < 0).any()
    A = CSROperator.from_dense(torch.stack([kershaw, healthy]), tags={"spd"})
    M, b = IncompleteCholesky(10, 10).setup(A), normal(2, 4)
    assert ((b * M(b)).sum(-1) > 0).all()
    assert linear_solve(A, b, CG(rtol=1e-12), IncompleteCholesky(10, 10)).converged.all()
    alone = IncompleteCholesky(10, 10).setup(CSROperator.from_dense(healthy, tags={"spd"}))
    torch.testing.assert_close(M(b)[1], alone(b[1]), rtol=1e-12, atol=0)


def test_a_matrix_that_is_not_definite_is_named():
    """No shift up to diag A makes pivots of a matrix with a negative diagonal."""
    dense = dense_spd(5, 3)
    dense[2] *= -1
    with pytest.raises(Breakdown, match="system 2 of 3: IncompleteCholesky") as caught:
        IncompleteCholesky().setup(CSROperator.from_dense(dense, tags={"spd"}))
    assert caught.value.batch_indices == (2,)


class Network(torch.nn.Module):
    """A nonlinear perturbation of the exact inverse, with a dtype of its own."""

    def __init__(self, A, dtype=torch.float32):
        super().__init__()
        self.inverse = torch.nn.Parameter(torch.linalg.inv(A.to_dense()).to(dtype))

    def forward(self, r):
        z = r @ self.inverse
        return z + 0.05 * z.tanh()


def test_a_network_preconditions_flexible_methods_only():
    """FlexibleCG takes it, CG wants it linear and positive definite; derivatives pass it by."""
    A, b = diffusion((12, 12)), normal(144).requires_grad_()
    recipe = LearnedPreconditioner(Network(A))
    solution = linear_solve(A, b, FlexibleCG(), recipe)
    assert solution.stats.iterations < 0.3 * linear_solve(A, b, CG()).stats.iterations
    with pytest.raises(TagError, match="not a linear map"):
        linear_solve(A, b, CG(), recipe)
    with pytest.raises(ValueError, match="is_spd without is_linear"):
        LearnedPreconditioner(Network(A), is_spd=True)
    solution.value.sum().backward()
    torch.testing.assert_close(b.grad, linear_solve(A, torch.ones_like(b), CG()).value, rtol=1e-6, atol=1e-6)
    assert recipe.module.inverse.grad is None


def test_a_linear_network_serves_cg():
    """CG with M = A⁻¹ is done in a step, or two by rounding."""
    A, b = diffusion((6, 6), (2,)), normal(2, 36)
    exact = torch.linalg.inv(A.to_dense())

    class Exact(torch.nn.Module):
        def forward(self, r):
            return (exact @ r.unsqueeze(-1)).squeeze(-1)

    solution = linear_solve(A, b, CG(rtol=1e-12), LearnedPreconditioner(Exact(), is_linear=True, is_spd=True))
    assert (solution.stats.iterations <= 2).all()


@settings(max_examples=10, deadline=None)
@given(exponent=st.integers(-12, 12))
def test_a_learned_preconditioner_is_homogeneous(exponent):
    """M(c r) = c M(r) for c > 0, whatever the network; M(0) = 0; no gradient."""
    A, scale = diffusion((3, 3)), 10.0**exponent
    M, r = LearnedPreconditioner(Network(A)).setup(A), normal(9)
    torch.testing.assert_close(M(scale * r), scale * M(r), rtol=1e-5, atol=0)
    assert not M(r).requires_grad
    assert M(r).dtype == torch.float64
    assert (M(0 * r) == 0).all()


@pytest.mark.parametrize("recipe", RECIPES, ids=repr)
def test_no_gradient_flows_through_a_preconditioner(recipe):
    A = diffusion((4, 4)).to_csr()
    M = recipe.setup(A.replace((A.values.requires_grad_(),)))
    assert not M(normal(16).requires_grad_()).requires_grad


@pytest.mark.parametrize("recipe", [Jacobi(), Chebyshev()], ids=repr)
def test_products_and_a_diagonal_are_enough(recipe):
    A, b = diffusion((8, 8)), normal(64)
    matrix_free = linear_solve(OnlyProducts(A), b, CG(rtol=1e-10), recipe)
    torch.testing.assert_close(matrix_free.value, linear_solve(A, b, CG(rtol=1e-10), recipe).value)


@pytest.mark.parametrize("recipe", [BlockJacobi(2), SSOR(), IncompleteCholesky(), IncompleteLU()], ids=repr)
def test_an_operator_without_entries_is_named(recipe):
    with pytest.raises(TagError, match=f"does not know its entries, which {type(recipe).__name__} needs"):
        recipe.setup(OnlyProducts(diffusion((4,))))


def test_a_zero_on_the_diagonal_is_named():
    """In the numbering of the batch."""
    dense = torch.ones(2, 3, 4, 4)
    dense[1, 2, 3, 3] = 0
    A = CSROperator.from_dense(dense)
    for recipe in (Jacobi(), SSOR(), Chebyshev(), IncompleteCholesky(), IncompleteLU()):
        with pytest.raises(PatternError, match="system 5 of 6: row 3 has a zero on the diagonal"):
            recipe.setup(A)


BAD = {
    "singular block": (Singular, "system 1 of 2: .*rows from 2 is singular", lambda: BlockJacobi(2).setup(blocks())),
    "indefinite block": (Singular, "not positive definite", lambda: BlockJacobi(2).setup(blocks({"spd"}))),
    "not square": (ShapeError, "not square", lambda: Jacobi().setup(CSROperator.from_dense(torch.ones(2, 3)))),
    "vector": (ShapeError, r"\(\*batch, 4\)", lambda: Jacobi().setup(diffusion((4,)))(normal(5))),
    "omega": (ValueError, "omega = 2", lambda: SSOR(2.0)),
    "block size": (ValueError, "block_size = 0", lambda: BlockJacobi(0)),
    "degree": (ValueError, "degree = 0", lambda: Chebyshev(0)),
    "interval": (ValueError, "lower < upper", lambda: Chebyshev(2, 1.0, 0.5)),
    "sweeps": (ValueError, "sweeps = -1", lambda: IncompleteCholesky(-1)),
    "solves": (ValueError, "solves = -1", lambda: IncompleteLU(5, -1)),
    "module": (
        ShapeError,
        "same shape",
        lambda: LearnedPreconditioner(torch.nn.Linear(4, 3)).setup(diffusion((4,)))(normal(4)),
    ),
}


def blocks(tags=()):
    dense = torch.eye(4).repeat(2, 1, 1)
    dense[1, 2:, 2:] = 1
    return CSROperator.from_dense(dense, tags)


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    error, words, call = BAD[case]
    with pytest.raises(error, match=words):
        call()
