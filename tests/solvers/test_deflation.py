"""Deflation: the spectrum that theory gives, steps of deflated CG, block vectors on obstacles."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from solver_cases import diffusion, normal

from solvers import (
    CG,
    BlockDeflation,
    CSROperator,
    Deflation,
    DiffusionOperator,
    Jacobi,
    ModifiedIncompleteCholesky,
    ShapeError,
    TagError,
    linear_solve,
    poisson_operator,
)

quick = settings(max_examples=15, deadline=None)


def dense_inverse(M, n):
    """The matrix of M."""
    return torch.stack([M(column) for column in torch.eye(n, dtype=torch.float64)], -1)


def eigenvectors(A, count):
    return torch.linalg.eigh(A.to_dense()).eigenvectors[..., :count]


@quick
@given(m=st.integers(1, 12), seed=st.integers(0, 99))
def test_it_is_the_formula(m, seed):
    """M = Pᵀ M₁ P + Z E⁻¹ Zᵀ with P = I − A Z E⁻¹ Zᵀ and E = Zᵀ A Z; M A Z = Z."""
    A, Z = diffusion((4, 5), seed=seed), normal(20, m, seed=seed)
    dense, D = A.to_dense(), torch.diag(1 / A.diagonal())
    E = torch.linalg.inv(Z.mT @ dense @ Z)
    P = torch.eye(20) - dense @ Z @ E @ Z.mT
    found = dense_inverse(Deflation(Z, Jacobi()).setup(A), 20)
    torch.testing.assert_close(found, P.mT @ D @ P + Z @ E @ Z.mT)
    torch.testing.assert_close(found @ dense @ Z, Z)
    assert (torch.linalg.eigvalsh((found + found.mT) / 2) > 0).all()


def test_deflated_eigenvalues_move_to_one_and_the_others_stay():
    """Spectrum of M A for eigenvectors Z: m ones, and λ_(m+1), …, λ_n."""
    A = diffusion((5, 6))
    values = torch.linalg.eigvalsh(A.to_dense())
    M = dense_inverse(Deflation(eigenvectors(A, 4)).setup(A), 30)
    found = torch.linalg.eigvals(M @ A.to_dense()).real.sort().values
    torch.testing.assert_close(found, torch.cat([torch.ones(4).double(), values[4:]]).sort().values)


def test_iterations_are_bounded_by_the_condition_that_is_left():
    """‖e_k‖_A ≤ 2 ((√κ − 1)/(√κ + 1))^k ‖e_0‖_A with κ = λ_n / λ_(m+1) (Nicolaides 1987)."""
    n, m = 200, 20
    A, b = poisson_operator((n,)), normal(n)
    values = torch.linalg.eigvalsh(A.to_dense())
    exact = torch.linalg.solve(A.to_dense(), b)
    root = math.sqrt(float(values[-1] / values[m]))
    for steps in (10, 20, 30):
        solver = CG(rtol=1e-13, max_iterations=steps)
        x = linear_solve(A, b, solver, Deflation(eigenvectors(A, m)), throw=False).value
        energy = [float((e * A.mv(e)).sum().clamp(min=0).sqrt()) for e in (exact - x, exact)]
        assert energy[0] <= 2 * ((root - 1) / (root + 1)) ** steps * energy[1]


def test_more_vectors_need_fewer_iterations():
    A, b = poisson_operator((400,)), normal(400)
    counts = [
        int(linear_solve(A, b, CG(rtol=1e-8, max_iterations=2000), M).stats.iterations)
        for M in (None, *(Deflation(eigenvectors(A, m)) for m in (5, 20, 80)))
    ]
    assert counts == sorted(counts, reverse=True)
    assert counts[3] < 0.3 * counts[0]


def test_blocks_of_one_size_bound_the_iterations_on_every_grid():
    """Condition O((cells in a block)²): plain CG doubles its steps from grid to grid, deflated CG does not."""
    plain, deflated = [], []
    for n in (32, 64, 128):
        A, b = poisson_operator((n, n)), normal(n * n)
        plain.append(int(linear_solve(A, b, CG(rtol=1e-6)).stats.iterations))
        deflated.append(int(linear_solve(A, b, CG(rtol=1e-6), BlockDeflation(n // 8)).stats.iterations))
    assert plain[2] > 3 * plain[0]
    assert deflated[2] < 1.2 * deflated[0] + 2


@pytest.mark.parametrize("first", [None, ModifiedIncompleteCholesky()])
def test_block_vectors_are_the_deflation_with_these_columns(first):
    """Also next to a cell without links, where the vectors are zero."""
    faces = diffusion((6, 7)).faces
    faces[0][2:4, 3] = faces[1][2, 3:5] = 0
    A = DiffusionOperator(faces)
    assert float(A.diagonal()[2 * 7 + 3]) == 0
    rows, columns = torch.arange(6) * 2 // 6, torch.arange(7) * 3 // 7
    Z = torch.nn.functional.one_hot((rows[:, None] * 3 + columns).flatten(), 6).double()
    Z[2 * 7 + 3] = 0
    r = A.project(normal(4, 42))
    torch.testing.assert_close(BlockDeflation((2, 3), first).setup(A)(r), Deflation(Z, first).setup(A)(r))


def test_floating_parts_and_dependent_columns_do_no_harm():
    """The constant is in the span of the blocks and in the kernel of A: the pseudo-inverse leaves it out."""
    A = diffusion((8, 8), (3,), boundary="neumann")
    b = A.project(normal(3, 64))
    for M in (BlockDeflation(2), Deflation(torch.ones(64, 3).double())):
        x = linear_solve(A, b, CG(rtol=1e-10), M).value
        torch.testing.assert_close(A.mv(x), b, rtol=0, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_batch_is_its_systems(dtype):
    A = diffusion((6, 6), (3,), dtype=dtype)
    r = normal(2, 3, 36, dtype=dtype)
    basis = normal(3, 36, 4, dtype=dtype)
    blocks, vectors = BlockDeflation(2).setup(A)(r), Deflation(basis).setup(A)(r)
    assert blocks.dtype == vectors.dtype == dtype
    for s in range(3):
        alone = DiffusionOperator([t[s] for t in A.faces])
        torch.testing.assert_close(blocks[:, s], BlockDeflation(2).setup(alone)(r[:, s]))
        torch.testing.assert_close(vectors[:, s], Deflation(basis[s]).setup(alone)(r[:, s]), rtol=1e-4, atol=1e-4)


def test_complex_matrices_are_deflated_with_conjugates():
    """M A Z = Z for a Hermitian matrix."""
    root = torch.complex(normal(8, 8), normal(8, 8, seed=1))
    dense = root @ root.mH + torch.eye(8)
    Z = torch.complex(normal(8, 2, seed=2), normal(8, 2, seed=3))
    M = Deflation(Z).setup(CSROperator.from_dense(dense, {"spd"}))
    torch.testing.assert_close(M((dense @ Z).mT), Z.mT)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Deflation(torch.ones(5, 2)).setup(poisson_operator((2, 2))), ShapeError, r"basis \(5, 2\).*n = 4"),
        (lambda: Deflation(torch.ones(4)).setup(poisson_operator((2, 2))), ShapeError, r"basis \(4,\)"),
        (lambda: Deflation(torch.ones(2, 1)).setup(CSROperator.from_dense(torch.eye(2))), TagError, "symmetric"),
        (lambda: BlockDeflation(3).setup(poisson_operator((2, 2))), ShapeError, "at most that of its points"),
        (lambda: BlockDeflation((1, 1, 1)).setup(poisson_operator((2, 2))), ShapeError, "one number an axis"),
        (lambda: BlockDeflation(0), ShapeError, "at least 1"),
        (lambda: BlockDeflation(1).setup(poisson_operator((2, 2)).to_csr()), TagError, "no grid"),
        (lambda: BlockDeflation(65).setup(poisson_operator((65, 65))), ShapeError, "4225 vectors"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
