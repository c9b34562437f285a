"""Extreme eigenvalues of M A."""

import pytest
import torch

from solvers import (
    CG,
    DenseOperator,
    GeometricMultigrid,
    IncompleteLU,
    Jacobi,
    finite_volume_operator,
    linear_solve,
    poisson_operator,
    preconditioned_spectrum,
)
from solvers.errors import TagError


def _dense(inverse, n):
    return inverse(torch.eye(n, dtype=torch.float64)).mT


@pytest.mark.parametrize("recipe", [Jacobi(), GeometricMultigrid()])
def test_the_extremes_are_those_of_the_dense_product(recipe):
    """λ(M A) = λ(Lᵀ M L) with A = L Lᵀ."""
    coefficient = 1 + torch.rand(16, 16, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    A = finite_volume_operator(coefficient, 1.0)
    inverse = recipe.setup(A)
    L = torch.linalg.cholesky(A.to_dense())
    expected = torch.linalg.eigvalsh(L.mT @ _dense(inverse, 256) @ L)
    low, high = preconditioned_spectrum(A, inverse, torch.Generator().manual_seed(0), steps=120)
    torch.testing.assert_close(low, expected[0], rtol=1e-3, atol=0)
    torch.testing.assert_close(high, expected[-1], rtol=1e-3, atol=0)


def test_the_kernel_of_a_singular_matrix_is_no_part_of_the_spectrum():
    A = poisson_operator((16,), boundary="neumann")
    low, high = preconditioned_spectrum(A, Jacobi().setup(A), torch.Generator().manual_seed(0))
    values = torch.linalg.eigvals(A.to_dense() / A.diagonal()[:, None]).real.sort().values
    torch.testing.assert_close(torch.stack([low, high]), values[[1, -1]], rtol=1e-6, atol=0)


def test_the_bound_of_conjugate_gradients_holds():
    """‖e_k‖_A ≤ 2 ((√κ − 1)/(√κ + 1))ᵏ ‖e_0‖_A."""
    A = poisson_operator((32, 32))
    inverse = Jacobi().setup(A)
    low, high = preconditioned_spectrum(A, inverse, torch.Generator().manual_seed(0), steps=200)
    truth = torch.randn(1024, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    b, k = A.mv(truth), 20
    e = linear_solve(A, b, CG(max_iterations=k), Jacobi(), throw=False).value - truth
    rate = (high.sqrt() - low.sqrt()) / (high.sqrt() + low.sqrt())
    assert A.inner(e, A.mv(e)).sqrt() <= 2 * rate**k * A.inner(truth, A.mv(truth)).sqrt() * (1 + 1e-6)


def test_a_batch_has_a_spectrum_for_every_system():
    coefficient = torch.tensor([1.0, 5.0], dtype=torch.float64)[:, None, None].expand(2, 8, 8)
    A = finite_volume_operator(coefficient, (1.0, 1.0))
    low, high = preconditioned_spectrum(A, Jacobi().setup(A), torch.Generator().manual_seed(0))
    assert low.shape == high.shape == (2,)
    torch.testing.assert_close(low[0], low[1], rtol=1e-6, atol=0)  # a factor of A leaves D⁻¹ A as it is


def test_an_inverse_that_is_not_symmetric_is_refused():
    A = DenseOperator(torch.eye(3, dtype=torch.float64))
    with pytest.raises(TagError, match="not known to be symmetric"):
        preconditioned_spectrum(A, IncompleteLU().setup(A), torch.Generator().manual_seed(0))
