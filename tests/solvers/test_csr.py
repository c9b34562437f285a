"""Sparse matrices in compressed rows: products, conversions, what is formed from several, what is kept for speed."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pyamg
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from solver_cases import dense_spd, generator, normal

from solvers import (
    BlockDiagonalOperator,
    CSROperator,
    DTypeError,
    PatternError,
    ShapeError,
    block_diag,
)
from solvers.operators import CSRPattern

f64, c128 = torch.float64, torch.complex128
every_dtype = pytest.mark.parametrize("dtype", [f64, c128], ids=["real", "complex"])


def sparse(m: int, n: int, *batch: int, dtype: torch.dtype = f64, seed: int = 0) -> CSROperator:
    kept = torch.rand(m, n, generator=generator(seed)) < 0.6
    return CSROperator.from_dense(normal(*batch, m, n, seed=seed, dtype=dtype) * kept)


@settings(max_examples=30, deadline=None)
@given(
    m=st.integers(0, 7),
    n=st.integers(0, 7),
    batch=st.lists(st.integers(0, 3), max_size=2),
    density=st.floats(0, 1),
    dtype=st.sampled_from([torch.float32, f64, torch.complex64, c128]),
    seed=st.integers(0, 1000),
)
def test_products_equal_the_dense_ones(m, n, batch, density, dtype, seed):
    """A x, Aᵀ y and Aᴴ y for any shape, batch, density and precision: empty rows, matrices and batches included."""
    dense = normal(*batch, m, n, seed=seed, dtype=dtype)
    dense = dense * (torch.rand(m, n, generator=generator(seed)) < density)
    A = CSROperator.from_dense(dense)
    x, y = normal(*batch, n, seed=seed + 1, dtype=dtype), normal(*batch, m, seed=seed + 2, dtype=dtype)
    torch.testing.assert_close(A.mv(x), (dense @ x[..., None])[..., 0])
    torch.testing.assert_close(A.T.mv(y), (dense.mT @ y[..., None])[..., 0])
    torch.testing.assert_close(A.rmv(y), (dense.mH @ y[..., None])[..., 0])
    torch.testing.assert_close(A.to_dense(), dense)
    torch.testing.assert_close(A.adjoint().to_dense(), dense.mH)
    torch.testing.assert_close(A.diagonal(), dense.diagonal(dim1=-2, dim2=-1))


@pytest.mark.parametrize("own", [(), (1,), (3,), (2, 3), (2, 1), (1, 3)], ids=str)
@pytest.mark.parametrize("vectors", [(), (3,), (2, 1), (2, 3), (4, 2, 3), (0, 2, 3)], ids=str)
def test_batches_of_matrices_and_vectors_broadcast(own, vectors):
    A, x = sparse(4, 3, *own), normal(*vectors, 3)
    torch.testing.assert_close(A @ x, (A.to_dense() @ x[..., None])[..., 0])


def test_triplets_are_summed_and_differentiable():
    """Duplicates add, and each input triplet gets the gradient of its entry."""
    row, col = torch.tensor([1, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    values = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=f64, requires_grad=True)
    A = CSROperator.from_coo(row, col, values, (2, 2))
    torch.testing.assert_close(A.to_dense(), torch.tensor([[0.0, 2.0], [4.0, 4.0]], dtype=f64))
    x = torch.tensor([5.0, 7.0], dtype=f64)
    A.mv(x).sum().backward()
    torch.testing.assert_close(values.grad, torch.tensor([5.0, 7.0, 5.0, 7.0], dtype=f64))


@pytest.mark.parametrize("kind", ["coo", "csr", "csc", "bsr", "dia", "lil"])
@every_dtype
def test_scipy_round_trip(kind, dtype):
    """Every SciPy format, and back: equal entries, sorted int32 indices."""
    dense = sparse(6, 4, dtype=dtype).to_dense()
    A = CSROperator.from_scipy(scipy.sparse.coo_array(dense.numpy()).asformat(kind))
    assert A.pattern.col.dtype == A.pattern.crow.dtype == torch.int32
    torch.testing.assert_close(A.to_dense(), dense)
    back = A.to_scipy()
    assert back.format == "csr"
    assert back.indices.dtype == back.indptr.dtype == np.int32
    assert back.has_canonical_format
    assert (back.toarray() == dense.numpy()).all()


def test_duplicates_in_scipy_formats_are_summed():
    """In coo and, unsorted, in csr, csc and bsr; the caller's matrix is as it was."""
    row, col, data = np.array([1, 0, 1, 1]), np.array([1, 0, 0, 1]), np.array([1.0, 2.0, 3.0, 4.0])
    expected = torch.tensor([[2.0, 0.0], [3.0, 5.0]], dtype=f64)
    indices, indptr = np.array([0, 1, 0, 1]), np.array([0, 1, 4])
    given_matrices = [
        scipy.sparse.coo_array((data, (row, col)), shape=(2, 2)),
        scipy.sparse.csr_array((np.array([2.0, 1.0, 3.0, 4.0]), indices.copy(), indptr.copy())),
        scipy.sparse.csc_array((np.array([2.0, 3.0, 4.0, 1.0]), np.array([0, 1, 1, 1]), np.array([0, 2, 4]))),
        scipy.sparse.bsr_array((np.array([2.0, 1.0, 3.0, 4.0])[:, None, None], indices, indptr), shape=(2, 2)),
    ]
    for matrix in given_matrices:
        before = {name: getattr(matrix, name).copy() for name in ("data", "indices", "indptr") if hasattr(matrix, name)}
        A = CSROperator.from_scipy(matrix)
        assert A.pattern.col.tolist() == [0, 0, 1]
        torch.testing.assert_close(A.to_dense(), expected)
        for name, array in before.items():
            assert np.array_equal(getattr(matrix, name), array), name


def test_scipy_matrices_share_no_memory():
    """Neither side sees what the other changes in place: what is kept for speed would not notice."""
    matrix = scipy.sparse.csr_array(dense_spd(3).numpy())
    A = CSROperator.from_scipy(matrix)
    back, dense = A.to_scipy(), A.to_dense()
    matrix.data[:] = 0
    back.data[0] = 0
    back.eliminate_zeros()
    torch.testing.assert_close(A.to_dense(), dense)
    assert A.pattern.col.tolist() == [0, 1, 2] * 3


def test_pyamg_takes_and_gives_matrices():
    """A gallery matrix becomes an operator; what it gives back is a matrix that PyAMG's solver works on."""
    A = CSROperator.from_scipy(pyamg.gallery.poisson((8, 8), format="csr"), tags={"spd"})
    assert A.pattern.col.dtype == torch.int32
    b = normal(64)
    x = pyamg.smoothed_aggregation_solver(A.to_scipy(), max_coarse=10).solve(b.numpy(), tol=1e-10)
    torch.testing.assert_close(A @ torch.from_numpy(x), b, rtol=0, atol=1e-8)


LAYOUTS = [torch.sparse_coo, torch.sparse_csr, torch.sparse_csc]


@every_dtype
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_torch_round_trip(layout, dtype):
    """From every layout and back, int32 indices."""
    dense = sparse(4, 3, dtype=dtype).to_dense()
    A = CSROperator.from_torch(dense.to_sparse(layout=layout))
    torch.testing.assert_close(A.to_dense(), dense)
    back = A.to_torch()
    assert back.layout == torch.sparse_csr
    assert back.col_indices().dtype == torch.int32
    torch.testing.assert_close(back.to_dense(), dense)


@every_dtype
@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr], ids=str)
def test_gradients_reach_torch_tensors(layout, dtype):
    """∂ Re ⟨y, A x⟩ / ∂A = y xᴴ on the pattern, in the sparse tensor that was given."""
    dense = sparse(4, 3, dtype=dtype).to_dense()
    theirs = dense.to_sparse(layout=layout).requires_grad_()
    x, y = normal(3, dtype=dtype), normal(4, dtype=dtype, seed=1)
    (CSROperator.from_torch(theirs) @ x).backward(y)
    torch.testing.assert_close(theirs.grad.to_dense(), torch.outer(y, x.conj()) * (dense != 0))


def test_gradients_pass_through_compressed_columns():
    """Torch keeps no gradient in sparse_csc: it reaches the values from which the tensor was made."""
    ccol, row = torch.tensor([0, 2, 2, 3]), torch.tensor([0, 3, 1])
    values = normal(3).requires_grad_()
    x, y = normal(3, seed=1), normal(4, seed=2)
    (CSROperator.from_torch(torch.sparse_csc_tensor(ccol, row, values, (4, 3), check_invariants=True)) @ x).backward(y)
    torch.testing.assert_close(values.grad, y[row] * x[[0, 0, 2]])


def test_torch_batches():
    """A batch in sparse_csr, and back; differentiable."""
    A = sparse(4, 3, 2)
    theirs = A.to_torch()
    assert theirs.shape == (2, 4, 3)
    torch.testing.assert_close(CSROperator.from_torch(theirs).to_dense(), A.to_dense())
    values = A.values.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: A.replace((v,)).to_torch().values(), values)


def test_formed_sums_and_products_are_differentiable():
    """Gradients of the entries of A B + C flow to the values of all three."""
    A, B, C = sparse(3, 4), sparse(4, 3, 2, seed=1), sparse(3, 3, seed=2)

    def formed(a, b, c):
        return (A.replace((a,)) @ B.replace((b,)) + C.replace((c,))).to_csr().values

    inputs = [t.values.clone().requires_grad_() for t in (A, B, C)]
    assert torch.autograd.gradcheck(formed, inputs)
    same = A + 2 * A.replace((A.values.cos(),))
    assert same.to_csr().pattern is A.pattern


def test_blocks_along_the_diagonal():
    """`torch.block_diag` of any shapes, with batches that broadcast, differentiable in every block."""
    parts = [sparse(2, 3, 2), sparse(0, 1), sparse(3, 1, seed=1)]
    whole = block_diag(parts)
    dense = [part.to_dense().expand(2, *part.shape) for part in parts]
    torch.testing.assert_close(
        whole.to_dense(), torch.stack([torch.block_diag(*ms) for ms in zip(*dense, strict=True)])
    )
    assert whole.pattern.col.dtype == torch.int32
    inputs = [part.values.clone().requires_grad_() for part in parts]
    rebuilt = lambda *values: block_diag([p.replace((v,)) for p, v in zip(parts, values, strict=True)])  # noqa: E731
    assert torch.autograd.gradcheck(lambda *values: rebuilt(*values) @ normal(5), inputs)


def test_blocks_hand_on_what_all_claim():
    spd, symmetric = (CSROperator.from_dense(dense_spd(3), tags=tags) for tags in ({"spd"}, {"symmetric"}))
    assert block_diag([spd, spd]).tags == {"symmetric", "spd"}
    assert block_diag([spd, symmetric]).tags == {"symmetric"}
    assert block_diag([spd, sparse(2, 2)]).tags == set()
    assert block_diag([spd, symmetric], tags={"spd"}).tags == {"symmetric", "spd"}


@every_dtype
def test_hermitian_matrices_are_recognised(dtype):
    """Equal to their adjoint up to rounding; not if one entry is off, nor by its pattern alone."""
    M = normal(2, 4, 4, dtype=dtype)
    M = M + M.mH
    assert CSROperator.from_dense(M).is_hermitian()
    assert CSROperator.from_dense(M * (1 + 1e-15)).is_hermitian()
    M[1, 0, 2] += 1e-6
    assert not CSROperator.from_dense(M).is_hermitian()
    assert not CSROperator.from_dense(torch.triu(M)).is_hermitian()
    assert not sparse(3, 4, dtype=dtype).is_hermitian()
    assert not CSROperator.from_dense(1j * torch.eye(2, dtype=c128)).is_hermitian()
    assert CSROperator.from_dense(M[:0]).is_hermitian()


KEPT = {
    "one": lambda: sparse(3, 3),
    "batch": lambda: sparse(3, 3, 2),
    "blocks": lambda: BlockDiagonalOperator([sparse(3, 3), sparse(3, 3, seed=1)]),
    "view": lambda: (A := sparse(3, 3)).replace((A.values[None].expand(2, -1),)),
}


@pytest.mark.parametrize("case", KEPT)
def test_values_changed_in_place_are_seen(case):
    """What is kept for speed follows the values: A ↦ 2 A doubles both products."""
    A = KEPT[case]()
    x = normal(*A.batch_shape, 3)
    before, adjoint = A @ x, A.rmv(x)
    with torch.no_grad():
        (A.values if A.values.stride(0) else A.values[0]).mul_(2)
    torch.testing.assert_close(A @ x, 2 * before)
    torch.testing.assert_close(A.rmv(x), 2 * adjoint)


def test_values_made_in_inference_mode_work():
    """Torch does not count their changes, so that nothing is kept: a product follows each."""
    with torch.inference_mode():
        A = sparse(3, 3)
        x = normal(3)
        before = A @ x
        A.values.mul_(2)
        torch.testing.assert_close(A @ x, 2 * before)


def test_copies_keep_their_own():
    """Neither a deep copy nor a pickled one sees changes of the original; both see their own."""
    for copied in (copy.deepcopy, lambda A: pickle.loads(pickle.dumps(A))):
        A, x = sparse(3, 3), normal(3)
        before = A @ x
        other = copied(A)
        A.values.zero_()
        torch.testing.assert_close(other @ x, before)
        other.values.mul_(2)
        torch.testing.assert_close(other @ x, 2 * before)


def test_torch_keeps_one_matrix_for_many_products(monkeypatch):
    """Without gradients the torch matrix is made once."""
    A, made = sparse(4, 4), []
    build = torch.sparse_csr_tensor
    monkeypatch.setattr(torch, "sparse_csr_tensor", lambda *args, **kw: made.append(1) or build(*args, **kw))
    for seed in range(4):
        A @ normal(4, seed=seed)
    assert len(made) == 1


def csr(crow, col, entries=2, shape=(2, 2)):
    return CSROperator(torch.tensor(crow), torch.tensor(col), torch.ones(entries), shape)


def coo(row, col, shape=(2, 2), index=torch.int64):
    return CSROperator.from_coo(torch.tensor(row, dtype=index), torch.tensor(col), torch.ones(len(row)), shape)


def two_patterns():
    crow, col = torch.tensor([[0, 1, 2]] * 2), torch.tensor([[0, 1], [1, 0]])
    return torch.sparse_csr_tensor(crow, col, torch.ones(2, 2), (2, 2, 2), check_invariants=False)


def many(count):
    """A tensor of so many zeros that takes no memory."""
    return torch.zeros(1, dtype=torch.int32).expand(count)


BAD_INPUTS = {
    "unsorted columns": (PatternError, "row 0 has unsorted or repeated", lambda: csr([0, 2, 2], [1, 0])),
    "repeated columns": (PatternError, "row 1 has unsorted or repeated", lambda: csr([0, 0, 2], [1, 1])),
    "column outside": (PatternError, "from 0 to 5", lambda: csr([0, 2, 2], [0, 5])),
    "negative column": (PatternError, "from -1 to 0", lambda: csr([0, 2, 2], [-1, 0])),
    "column folded by 32 bits": (PatternError, "to 4294967296", lambda: csr([0, 2, 2], [0, 2**32])),
    "falling crow": (PatternError, "rise from 0", lambda: csr([0, 2, 1], [0, 1])),
    "crow from one": (PatternError, "it runs from 1 to 2", lambda: csr([1, 1, 2], [0, 1])),
    "crow length": (ShapeError, r"crow \(3,\)", lambda: csr([0, 1], [0], 1)),
    "float columns": (DTypeError, "col of dtype torch.float32", lambda: csr([0, 1, 2], [0.0, 1.0])),
    "values": (ShapeError, "2 entries", lambda: csr([0, 1, 2], [0, 1], 3)),
    "integer values": (DTypeError, "int64", lambda: CSROperator.from_dense(torch.ones(2, 2, dtype=torch.int64))),
    "too many entries": (PatternError, "below 2\\^31", lambda: CSRPattern(many(2), many(2**31), (1, 1))),
    "too many columns": (PatternError, "below 2\\^31", lambda: csr([0, 1], [0], 1, (1, 2**31))),
    "too many systems": (PatternError, "split the batch", lambda: csr([0, 1, 2], [0, 1]).pattern.blocks(2**30)),
    "column of a triplet": (PatternError, "columns run from 7 to 7", lambda: coo([0], [7])),
    "row of a triplet": (PatternError, "rows run from -1 to 0", lambda: coo([0, -1], [0, 0])),
    "float triplet": (DTypeError, "rows of dtype torch.float64", lambda: coo([0], [0], index=f64)),
    "lengths of triplets": (ShapeError, r"\(z,\)", lambda: coo([0], [0, 1])),
    "scipy batch": (ShapeError, "loop", lambda: CSROperator.from_dense(dense_spd(3, 2)).to_scipy()),
    "strided tensor": (PatternError, "from_dense", lambda: CSROperator.from_torch(normal(2, 2))),
    "batch of patterns": (PatternError, "BlockDiagonalOperator", lambda: CSROperator.from_torch(two_patterns())),
    "empty torch batch": (PatternError, "batch", lambda: CSROperator.from_torch(sparse(2, 2, 0).to_torch())),
    "complex gradient": (
        DTypeError,
        "differentiable for real numbers only",
        lambda: CSROperator.from_dense(normal(2, 2, dtype=c128).requires_grad_()).to_torch(),
    ),
    "no blocks": (ShapeError, "nothing to join", lambda: block_diag([])),
    "dtypes of blocks": (DTypeError, "dtypes differ", lambda: block_diag([sparse(2, 2), sparse(2, 2, dtype=c128)])),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_input_is_named(case):
    error, words, call = BAD_INPUTS[case]
    with pytest.raises(error, match=words):
        call()
