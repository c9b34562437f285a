"""Preconditioners: symmetric positive definite where CG needs it, right adjoints elsewhere, batched, and worth it."""

import pytest
import torch
from solver_cases import BOUNDARIES, case_name, diffusion, normal, random_stencil

from solvers import (
    CG,
    SSOR,
    BlockJacobi,
    Chebyshev,
    CSROperator,
    Jacobi,
    PatternError,
    ShapeError,
    Singular,
    linear_solve,
)

RECIPES = [Jacobi(), BlockJacobi(3), SSOR(), SSOR(1.4), Chebyshev(), Chebyshev(2, lower=0.25)]
FORMS = {"matrix-free": lambda A: A, "stencil": lambda A: A.to_stencil(), "csr": lambda A: A.to_csr()}


@pytest.mark.parametrize("recipe", RECIPES, ids=repr)
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=case_name)
@pytest.mark.parametrize("form", FORMS)
def test_preconditioners_of_spd_operators_are_spd(form, boundary, recipe):
    """⟨u, M v⟩ = ⟨M u, v⟩ and ⟨u, M u⟩ > 0."""
    A = FORMS[form](diffusion((5, 4, 3), (2,), boundary, reaction=0.3))
    M = recipe.setup(A)
    u, v = (normal(2, A.shape[0], seed=seed) for seed in (0, 1))
    size = (u * M(u)).sum(-1)
    assert M.is_spd
    assert (size > 0).all()
    assert (((u * M(v)).sum(-1) - (M(u) * v).sum(-1)).abs() <= 1e-12 * size).all()


@pytest.mark.parametrize("recipe", RECIPES, ids=repr)
def test_adjoints_of_unsymmetric_operators(recipe):
    """⟨u, M v⟩ = ⟨Mᴴ u, v⟩."""
    A = random_stencil((4, 5), (3,), periodic=False).to_csr()
    shift = CSROperator.from_dense(A.to_dense() + 8 * torch.eye(20, dtype=torch.float64))
    M = recipe.setup(shift)
    u, v = normal(3, 20), normal(3, 20, seed=1)
    torch.testing.assert_close((u * M(v)).sum(-1), (M.H(u) * v).sum(-1), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("recipe", RECIPES, ids=repr)
def test_a_batch_is_preconditioned_as_if_alone(recipe):
    A, r = diffusion((6, 5), (4,)).to_csr(), normal(4, 30)
    together = recipe.setup(A)(r)
    for i in range(4):
        torch.testing.assert_close(recipe.setup(A.replace((A.values[i],)))(r[i]), together[i], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("recipe", RECIPES, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_fewer_iterations_and_the_same_solution(recipe, dtype):
    A, b = diffusion((24, 24), (2,), dtype=dtype), normal(2, 576, dtype=dtype)
    scaled = torch.logspace(-1, 1, 576, dtype=dtype)
    matrix = CSROperator.from_dense(scaled[:, None] * A.to_dense() * scaled, tags={"spd"})
    plain, better = (linear_solve(matrix, b, CG(max_iterations=5000), M) for M in (None, recipe))
    assert (better.stats.iterations < 0.7 * plain.stats.iterations).all()
    residual = (b - matrix.mv(better.value)).norm(dim=-1) / b.norm(dim=-1)
    assert (residual <= 1.02 * (1e-8 if dtype == torch.float64 else 1e-5)).all()


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


def test_blocks_of_the_whole_size_are_the_inverse():
    A, r = diffusion((3, 4)).to_csr(), normal(12)
    torch.testing.assert_close(A.mv(BlockJacobi(12).setup(A)(r)), r, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(BlockJacobi(1).setup(A)(r), Jacobi().setup(A)(r), rtol=1e-13, atol=0)


def test_bad_matrices_and_parameters_are_named():
    zero = CSROperator.from_dense(torch.tensor([[1.0, 2.0], [2.0, 0.0]]))
    for recipe in (Jacobi(), SSOR(), Chebyshev()):
        with pytest.raises(PatternError, match="row 1 has a zero on the diagonal"):
            recipe.setup(zero)
    with pytest.raises(Singular, match="rows from 0"):
        BlockJacobi(2).setup(CSROperator.from_dense(torch.ones(2, 2)))
    with pytest.raises(ShapeError, match="not square"):
        Jacobi().setup(CSROperator.from_dense(torch.ones(2, 3)))
    for wrong in (lambda: SSOR(2.0), lambda: BlockJacobi(0), lambda: Chebyshev(0), lambda: Chebyshev(2, 1.0, 0.5)):
        with pytest.raises(ValueError, match=r"omega = 2|block_size = 0|degree = 0|lower < upper"):
            wrong()
