"""Modified incomplete Cholesky: its theorems on dense matrices, the same on every backend, fewer iterations."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from solver_cases import OnlyProducts, dense_spd, diffusion, normal

from solvers import (
    CG,
    Breakdown,
    CSROperator,
    DiffusionOperator,
    DTypeError,
    ModifiedIncompleteCholesky,
    PatternError,
    TagError,
    linear_solve,
    poisson_operator,
    use_backend,
)

quick = settings(max_examples=15, deadline=None)
grids = st.one_of(
    st.tuples(st.integers(1, 9)), st.tuples(*[st.integers(1, 5)] * 2), st.tuples(*[st.integers(1, 3)] * 3)
)


def dense_inverse(M, n, batch=()):
    """The matrix of M."""
    columns = torch.eye(n, dtype=torch.float64).expand(*batch, n, n).movedim(-2, 0)
    return torch.stack([M(column) for column in columns], -1)


def dense_pivots(A, relaxation):
    """E by the elimination itself: every fill-in is dropped, and the fraction τ of it added to its row's diagonal."""
    n, kept = len(A), A != 0
    S, pivots = A.clone(), torch.zeros(len(A), dtype=A.dtype)
    for k in range(n):
        pivots[k] = S[k, k]
        update = torch.outer(S[k + 1 :, k], S[k, k + 1 :]) / S[k, k]
        stays = kept[k + 1 :, k + 1 :] & torch.eye(n - k - 1, dtype=torch.bool)
        S[k + 1 :, k + 1 :] -= torch.where(stays, update, 0)
        S[k + 1 :, k + 1 :] -= torch.diag(relaxation * torch.where(stays, 0, update).sum(1))
    return pivots


@quick
@given(grid=grids, seed=st.integers(0, 99), relaxation=st.sampled_from([0.0, 0.5, 0.97, 1.0]))
def test_pivots_are_those_of_an_elimination_that_drops_fill_in(grid, seed, relaxation):
    A = diffusion(grid, seed=seed, reaction=0.2)
    M = ModifiedIncompleteCholesky(relaxation, smallest_pivot=0).setup(A)
    torch.testing.assert_close(1 / M.over_pivots, dense_pivots(A.to_dense(), relaxation))


@quick
@given(grid=grids, seed=st.integers(0, 99), relaxation=st.sampled_from([0.0, 0.97, 1.0]))
def test_it_is_the_inverse_of_its_factors(grid, seed, relaxation):
    """M⁻¹ = (E + L) E⁻¹ (E + Lᵀ), symmetric and positive definite, whatever the pivots' replacement."""
    A = diffusion(grid, (2,), seed=seed)
    M = ModifiedIncompleteCholesky(relaxation).setup(A)
    lower, E = A.to_dense().tril(-1), torch.diag_embed(1 / M.over_pivots)
    factors = (E + lower) @ torch.diag_embed(M.over_pivots) @ (E + lower.mT)
    found = dense_inverse(M, A.shape[0], (2,))
    torch.testing.assert_close(found @ factors, torch.eye(A.shape[0]).double().expand(2, -1, -1))
    torch.testing.assert_close(found, found.mT)
    assert (torch.linalg.eigvalsh(found) > 0).all()


@quick
@given(grid=grids, seed=st.integers(0, 99))
def test_full_relaxation_keeps_row_sums(grid, seed):
    """τ = 1: M⁻¹ 1 = A 1, which is what makes smooth errors cheap (Gustafsson 1978)."""
    A = diffusion(grid, seed=seed, reaction=0.2)
    M = ModifiedIncompleteCholesky(1.0, smallest_pivot=0).setup(A)
    ones = torch.ones(A.shape[0], dtype=torch.float64)
    torch.testing.assert_close(M(A.mv(ones)), ones)


def test_no_relaxation_is_incomplete_cholesky():
    """τ = 0 on a 5-point stencil: M⁻¹ equals A on the pattern of A."""
    A = diffusion((5, 6))
    M = ModifiedIncompleteCholesky(0.0, smallest_pivot=0).setup(A)
    dense = A.to_dense()
    factors = torch.linalg.inv(dense_inverse(M, 30))
    torch.testing.assert_close(factors[dense != 0], dense[dense != 0])
    assert (factors - dense).abs().max() > 1e-3


def test_a_tridiagonal_matrix_is_solved_exactly():
    """Without fill-in there is nothing to drop."""
    A = diffusion((12,), (3,))
    b = normal(3, 12)
    torch.testing.assert_close(A.mv(ModifiedIncompleteCholesky().setup(A)(b)), b)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("form", ["diffusion", "stencil", "csr", "dense pattern"])
def test_compiled_loops_equal_the_fronts_in_torch(dtype, form):
    A = diffusion((4, 3, 5), (2,), dtype=dtype)
    A = {"diffusion": A, "stencil": A.to_stencil(), "csr": A.to_csr()}.get(form) or CSROperator.from_dense(
        dense_spd(9).to(dtype), {"spd"}
    )
    r = normal(3, *A.batch_shape, A.shape[0], dtype=dtype)
    found = {}
    for backend in ("reference", "cpu"):
        with use_backend(backend):
            M = ModifiedIncompleteCholesky().setup(A)
            found[backend] = M(r)
            assert found[backend].dtype == dtype
    torch.testing.assert_close(found["cpu"], found["reference"])


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_a_batch_is_its_systems(backend):
    A = diffusion((4, 5), (2, 3))
    r = normal(4, 2, 3, 20)
    with use_backend(backend):
        together = ModifiedIncompleteCholesky().setup(A)(r)
        for i in range(2):
            for j in range(3):
                alone = DiffusionOperator([t[i, j] for t in A.faces])
                torch.testing.assert_close(together[:, i, j], ModifiedIncompleteCholesky().setup(alone)(r[:, i, j]))


def test_iterations_grow_like_the_root_of_the_grid():
    """Condition O(1/h) instead of O(1/h²): four times the cells, √2 instead of 2 times the steps, and fewer of them."""
    counts = {}
    for n in (32, 64, 128):
        A, b = poisson_operator((n, n)), normal(n * n)
        for tau in (0.0, 0.97):
            counts[tau, n] = int(linear_solve(A, b, CG(rtol=1e-6), ModifiedIncompleteCholesky(tau)).stats.iterations)
    assert counts[0.97, 64] < 1.6 * counts[0.97, 32]
    assert counts[0.0, 64] > 1.7 * counts[0.0, 32]
    assert counts[0.97, 128] < 0.5 * counts[0.0, 128]


def test_obstacles_and_floating_parts_converge():
    """Cells without links and parts that nothing holds: the kernel stays out of the iteration."""
    faces = diffusion((6, 7), boundary="neumann").faces
    faces[0][3] = 0  # two floating parts
    faces[0][1:3, 2] = faces[1][1, 2:4] = 0  # one cell alone
    A = DiffusionOperator(faces)
    assert int((A.diagonal() == 0).sum()) == 1
    b = A.project(normal(42))
    x = linear_solve(A, b, CG(rtol=1e-10), ModifiedIncompleteCholesky()).value
    torch.testing.assert_close(A.mv(x), b, rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    ("A", "error", "message"),
    [
        (CSROperator.from_dense(torch.eye(2)), TagError, "symmetric"),
        (CSROperator.from_dense(torch.eye(2, dtype=torch.complex64), {"spd"}), DTypeError, "complex"),
        (CSROperator.from_dense(torch.tensor([[1.0, 1.0], [1.0, -1.0]]), {"spd"}), Breakdown, "row 1 is negative"),
        (CSROperator.from_dense(torch.tensor([[1.0, 1.0], [1.0, 0.0]]), {"spd"}), PatternError, "row 1"),
        (OnlyProducts(poisson_operator((2, 2))), TagError, "entries"),
    ],
)
def test_matrices_that_have_no_such_factor_are_refused(A, error, message):
    with pytest.raises(error, match=message):
        ModifiedIncompleteCholesky().setup(A)


@pytest.mark.parametrize("name", ["relaxation", "smallest_pivot"])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_parameters_outside_zero_to_one_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} = .*from 0 to 1"):
        ModifiedIncompleteCholesky(**{name: value})
