"""Tags that are wrong are found out, tags that are right are not."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from solver_cases import BOUNDARIES, case_name, dense_spd, diffusion, normal

from solvers import CG, CSROperator, TagError, linear_solve, verify_tags


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=case_name)
def test_true_tags_pass(boundary, dtype):
    """Also of singular operators, whose smallest eigenvalue is zero up to rounding."""
    A = diffusion((6, 6), (2,), boundary, dtype=dtype)
    assert verify_tags(A) is None
    assert verify_tags(A.to_csr()) is None


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 20), batch=st.integers(0, 3), seed=st.integers(0, 1000), complex_=st.booleans())
def test_gram_matrices_are_positive_definite(n, batch, seed, complex_):
    """Bᴴ B + I, real or complex, of any size."""
    root = normal(batch, n, n, seed=seed, dtype=torch.complex128 if complex_ else torch.float64)
    assert verify_tags(CSROperator.from_dense(root.mH @ root + torch.eye(n), tags={"spd"})) is None


@settings(max_examples=20, deadline=None)
@given(n=st.integers(2, 20), seed=st.integers(0, 1000))
def test_an_unsymmetric_entry_is_found(n, seed):
    """One entry changed by a per mille, and the system named."""
    dense = dense_spd(n, 2, seed=seed)
    dense[1, 0, n - 1] += 1e-3 * n
    with pytest.raises(TagError, match=r"system 1 of 2 .* tagged 'symmetric'"):
        verify_tags(CSROperator.from_dense(dense, tags={"symmetric"}))


def test_an_indefinite_matrix_is_found():
    """The 20 × 20 Laplacian minus the identity has eigenvalues of both signs."""
    A = diffusion((20, 20), (2,)).to_csr()
    shift = torch.tensor([0.0, 1.0], dtype=torch.float64)[:, None] * (A.pattern.row == A.pattern.column)
    with pytest.raises(TagError, match=r"system 1 of 2 .* tagged 'spd'.*MINRES"):
        verify_tags(A.replace((A.values - shift,)))


def test_a_solve_checks_on_request():
    dense = torch.tensor([[2.0, 1.0], [0.0, 2.0]], dtype=torch.float64)
    A = CSROperator.from_dense(dense, tags={"spd"})
    with pytest.raises(TagError, match="symmetric"):
        linear_solve(A, torch.ones(2, dtype=torch.float64), CG(), check=True)
