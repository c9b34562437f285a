"""What was written is read again, what others wrote is understood, and what is broken is refused in one sentence."""

from __future__ import annotations

import errno
import gzip
import os
import pickle
import subprocess
import sys
import warnings
from contextlib import suppress

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from solver_cases import OnlyProducts, dense_spd, normal

from solvers import (
    CSROperator,
    DTypeError,
    FileError,
    ShapeError,
    TagError,
    poisson_operator,
    read_system,
    read_vector,
    write_system,
    write_vector,
)

SYSTEMS = (".mtx", ".mtx.gz", ".npz", ".h5", ".hdf5")
TEXTS = (".mtx", ".mtx.gz", ".txt", ".csv")
VECTORS = (".npy", ".npz", ".h5", ".hdf5", *TEXTS)
DTYPES = (torch.float32, torch.float64, torch.complex64, torch.complex128)
BANNER = "%%MatrixMarket matrix "
quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def double(dtype):
    return torch.complex128 if dtype.is_complex else torch.float64


def sparse(m, n, seed=0, dtype=torch.float64):
    dense = normal(m, n, seed=seed).to(dtype)
    if dtype.is_complex:
        dense = dense + 1j * normal(m, n, seed=seed + 1)
    return CSROperator.from_dense(torch.where(normal(m, n, seed=seed + 2) > 0.3, dense, 0).to(dtype))


def market(path, header, *lines):
    path.write_text("\n".join([BANNER + header, *lines]) + "\n")
    return path


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


@quick
@given(
    size=st.tuples(st.integers(0, 7), st.integers(0, 7)),
    seed=st.integers(0, 99),
    ending=st.sampled_from(SYSTEMS),
    dtype=st.sampled_from(DTYPES),
)
def test_a_matrix_comes_back_bit_for_bit(tmp_path, size, seed, ending, dtype):
    """read(write(A)) = A; text is read in double precision, in which every float32 is exact."""
    A = sparse(*size, seed, dtype)
    write_system(tmp_path / f"A{ending}", A)
    found = read_system(tmp_path / f"A{ending}")
    assert found.shape == A.shape
    assert found.dtype == (double(dtype) if ".mtx" in ending else dtype)
    np.testing.assert_array_equal(found.to_scipy().toarray().astype(A.to_scipy().dtype), A.to_scipy().toarray())


@quick
@given(
    shape=st.one_of(st.tuples(st.integers(1, 9)), st.tuples(st.integers(2, 9), st.integers(2, 4))),
    seed=st.integers(0, 99),
    ending=st.sampled_from(VECTORS),
    dtype=st.sampled_from(DTYPES),
)
def test_vectors_and_columns_come_back_bit_for_bit(tmp_path, shape, seed, ending, dtype):
    x = (normal(*shape, seed=seed) * 10.0 ** normal(*shape, seed=seed + 1).mul(9)).to(dtype)
    x = x + 1j * normal(*shape, seed=seed + 2).to(dtype) if dtype.is_complex else x
    write_vector(tmp_path / f"x{ending}", x)
    found = read_vector(tmp_path / f"x{ending}")
    assert found.dtype == (double(dtype) if ending in TEXTS else dtype)
    torch.testing.assert_close(found.to(dtype), x, rtol=0, atol=0)


@pytest.mark.parametrize("ending", [".npy", ".npz", ".h5"])
@pytest.mark.parametrize("shape", [(0,), (3, 1), (2, 0), (2, 3, 4)])
def test_binary_formats_keep_every_shape(tmp_path, ending, shape):
    write_vector(tmp_path / f"x{ending}", normal(*shape))
    assert read_vector(tmp_path / f"x{ending}").shape == shape


@pytest.mark.parametrize("ending", TEXTS)
def test_text_does_not_tell_a_column_from_a_vector(tmp_path, ending):
    for shape in ((3, 1), (1, 3), (3,)):
        write_vector(tmp_path / f"x{ending}", normal(*shape))
        assert read_vector(tmp_path / f"x{ending}").shape == (3,)


@pytest.mark.parametrize("ending", [".npy", ".mtx", ".h5"])
def test_a_lazy_conjugate_that_needs_a_gradient_is_written_as_it_is(tmp_path, ending):
    x = torch.complex(normal(4), normal(4, seed=1)).requires_grad_().conj()
    write_vector(tmp_path / f"x{ending}", x)
    torch.testing.assert_close(read_vector(tmp_path / f"x{ending}"), x.detach().resolve_conj(), rtol=0, atol=0)


@pytest.mark.parametrize("layout", ["csr", "csc", "coo", "bsr", "dia"])
@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint16, np.bool_, np.float32, np.complex128])
def test_every_layout_that_scipy_writes_is_read(tmp_path, layout, dtype):
    matrix = scipy.sparse.csr_array(np.tri(6).astype(dtype)).asformat(layout)
    scipy.sparse.save_npz(tmp_path / "A.npz", matrix)
    found = read_system(tmp_path / "A.npz")
    assert found.dtype == {"float32": torch.float32, "complex128": torch.complex128}.get(
        np.dtype(dtype).name, torch.float64
    )
    np.testing.assert_array_equal(found.to_scipy().toarray(), np.tri(6))


def test_scipy_reads_what_was_written(tmp_path):
    A = sparse(5, 4)
    for ending, load in ((".mtx", scipy.io.mmread), (".mtx.gz", scipy.io.mmread), (".npz", scipy.sparse.load_npz)):
        write_system(tmp_path / f"A{ending}", A)
        np.testing.assert_array_equal(load(tmp_path / f"A{ending}").toarray(), A.to_scipy().toarray())
    write_vector(tmp_path / "x.mtx", normal(4))
    np.testing.assert_array_equal(scipy.io.mmread(tmp_path / "x.mtx")[:, 0], normal(4))
    write_vector(tmp_path / "x.txt", normal(4, 2))
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "x.txt"), normal(4, 2))


@pytest.mark.parametrize("symmetry", ["general", "symmetric", "skew-symmetric", "hermitian"])
@pytest.mark.parametrize("field", ["real", "integer", "complex"])
@pytest.mark.parametrize("layout", ["coordinate", "array"])
def test_every_field_and_symmetry_of_matrix_market(tmp_path, symmetry, field, layout):
    """The tag is "symmetric" exactly if A = Aᴴ: a complex matrix with A = Aᵀ has it not."""
    entries = np.array([[4.0, 0, 0], [1, 5, 0], [0, 2, 6]]) * (1 + 2j if field == "complex" else 1)
    strict = np.tril(entries, -1)
    match symmetry:
        case "general":
            dense = entries
        case "symmetric":
            dense = entries + strict.T
        case "skew-symmetric":
            dense = strict - strict.T
        case _:
            dense = strict + strict.conj().T + np.diag(entries.real.diagonal())
    dense = dense.astype(np.int64) if field == "integer" else dense
    target = dense if layout == "array" else scipy.sparse.coo_array(dense)
    scipy.io.mmwrite(tmp_path / "A.mtx", target, symmetry=symmetry)
    found = read_system(tmp_path / "A.mtx")
    np.testing.assert_array_equal(found.to_scipy().toarray(), dense)
    assert found.dtype == (torch.complex128 if field == "complex" else torch.float64)
    assert ("symmetric" in found.tags) == bool((dense == dense.conj().T).all())


def test_patterns_and_repeated_entries_are_numbers(tmp_path):
    path = market(tmp_path / "A.mtx", "coordinate pattern symmetric", "2 2 2", "1 1", "2 1")
    assert read_system(path).to_scipy().toarray().tolist() == [[1, 1], [1, 0]]
    path = market(tmp_path / "B.mtx", "coordinate real general", "2 2 2", "2 1 1.5", "2 1 2.5")
    assert read_system(path).to_scipy().toarray().tolist() == [[0, 0], [4, 0]]


def test_one_triangle_is_stored_of_a_symmetric_matrix(tmp_path):
    for A, word in ((sparse(6, 6), "general"), (poisson_operator((3, 3)).to_csr(), "symmetric")):
        write_system(tmp_path / "A.mtx", A)
        assert scipy.io.mminfo(tmp_path / "A.mtx")[-1] == word
    hermitian = torch.tensor([[2, 1j], [-1j, 3]], dtype=torch.complex128)
    write_system(tmp_path / "A.mtx", CSROperator.from_dense(hermitian))
    assert scipy.io.mminfo(tmp_path / "A.mtx")[-2:] == ("complex", "hermitian")
    np.testing.assert_array_equal(read_system(tmp_path / "A.mtx").to_scipy().toarray(), hermitian)


@pytest.mark.parametrize("ending", SYSTEMS)
def test_tags_are_seen_or_kept_and_never_guessed(tmp_path, ending):
    """Symmetry can be seen; that a matrix is positive definite only our own format remembers."""
    write_system(tmp_path / f"A{ending}", CSROperator.from_dense(dense_spd(4), tags={"spd"}))
    kept = {"symmetric", "spd"} if ending in (".h5", ".hdf5") else {"symmetric"}
    assert read_system(tmp_path / f"A{ending}").tags == kept
    write_system(tmp_path / f"B{ending}", sparse(4, 4))
    assert read_system(tmp_path / f"B{ending}").tags == set()


def test_a_symmetry_up_to_rounding_loses_no_bit(tmp_path):
    """A tag does not make half of the entries redundant."""
    dense = torch.tensor([[2.0, 1.0], [1.0 + 2**-52, 2.0]], dtype=torch.float64)
    write_system(tmp_path / "A.mtx", CSROperator.from_dense(dense, tags={"symmetric"}))
    assert torch.equal(torch.from_numpy(read_system(tmp_path / "A.mtx").to_scipy().toarray()), dense)


def test_what_has_entries_can_be_written(tmp_path):
    write_system(tmp_path / "A.h5", poisson_operator((4, 4)))
    expected = poisson_operator((4, 4)).to_csr()
    np.testing.assert_array_equal(read_system(tmp_path / "A.h5").to_scipy().toarray(), expected.to_scipy().toarray())
    with pytest.raises(TagError, match="has no stored entries: give write_system a CSROperator"):
        write_system(tmp_path / "B.h5", OnlyProducts(expected))
    with pytest.raises(ShapeError, match=r"a batch \(2,\) is not one SciPy matrix"):
        write_system(tmp_path / "B.h5", CSROperator.from_dense(dense_spd(3, 2)))
    assert not (tmp_path / "B.h5").exists()


@pytest.mark.parametrize("where", ["X", "/"])
@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("csr", {"shape": (4, 5)}),
        ("csr", {"h5sparse_shape": (4, 5), "h5sparse_format": "csr"}),
        ("csc", {"shape": (4, 5), "encoding-type": "csc_matrix"}),
    ],
)
def test_sparse_groups_of_other_programs_are_read(tmp_path, where, kind, attributes):
    matrix = sparse(4, 5, dtype=torch.float32).to_scipy()
    with h5py.File(tmp_path / "A.h5", "w") as file:
        group = file.require_group(where)
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(matrix.asformat(kind), name)
        group.attrs.update(attributes)
        file["remark"] = "not a matrix"
    found = read_system(tmp_path / "A.h5")
    assert found.dtype == torch.float32
    np.testing.assert_array_equal(found.to_scipy().toarray(), matrix.toarray())


@pytest.mark.parametrize(("stored", "read"), [(">f8", torch.float64), ("<f2", torch.float32), ("i4", torch.float64)])
def test_other_byte_orders_and_sizes_are_converted_without_loss(tmp_path, stored, read):
    sparse_group(tmp_path / "A.h5", shape=[2, 2], data=np.array([3, 4], dtype=stored))
    found = read_system(tmp_path / "A.h5")
    assert found.dtype == read
    assert found.values.tolist() == [3, 4]
    np.save(tmp_path / "b.npy", np.array([3, 4], dtype=stored))
    assert read_vector(tmp_path / "b.npy").dtype == read


def test_the_usual_names_are_chosen_among_several_arrays(tmp_path):
    np.savez(tmp_path / "v.npz", x=np.zeros(3), b=np.ones(3), rest=np.zeros(2))
    assert read_vector(tmp_path / "v.npz").tolist() == [1, 1, 1]
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["b"], file["x"], file["words"] = np.arange(3), np.zeros(3), "text"
    assert read_vector(tmp_path / "v.h5").tolist() == [0, 1, 2]


def test_text_may_have_remarks_commas_blanks_and_imaginary_parts(tmp_path):
    (tmp_path / "b.txt").write_text("# right-hand side\n1, 2.5\n\n3,4  # last\n")
    assert read_vector(tmp_path / "b.txt").tolist() == [[1, 2.5], [3, 4]]
    (tmp_path / "b.csv").write_text("1+2j\n3\n")
    assert read_vector(tmp_path / "b.csv").tolist() == [1 + 2j, 3]


def test_sparse_vectors_are_expanded(tmp_path):
    path = market(tmp_path / "b.mtx", "coordinate real general", "4 1 1", "3 1 7")
    assert read_vector(path).tolist() == [0, 0, 7, 0]
    path = market(tmp_path / "b.mtx", "coordinate real general", "99999 99999 1", "3 1 7")
    with pytest.raises(FileError, match=r"99999 × 99999: expected a vector.*Is it the system\?"):
        read_vector(path)


def archive(path, **arrays):
    np.savez(path, **{"format": np.array(b"csr"), "shape": np.array([2, 2]), **arrays})
    return path


def sparse_group(path, **changed):
    parts = {"data": np.ones(2), "indices": np.array([0, 1]), "indptr": np.array([0, 1, 2])}
    with h5py.File(path, "w") as file:
        for name, part in {**parts, **changed}.items():
            if part is not None:
                file[name] = part
    return path


def ours(path, **changes):
    write_system(path, sparse(3, 3))
    with h5py.File(path, "r+") as file:
        file.attrs.update(changes)
    return path


MARKETS = {
    "coordinate real general\n2 2 3\n1 1 1\n2 1 3": r"the file ends early \(Truncated file",
    "coordinate real general\n2 2 1\n3 1 1": "damaged \\(Line 3: Row index out of bounds",
    "coordinate real general\n2 2 1\n1 1 x": "damaged \\(Line 3: Invalid floating-point",
    "coordinate real general\n2 2 1\n1 2 nan": r"entry \(0, 1\), counted from 0, is nan \(1 of 1",
    "array real general\n2 1\n5\n1e999": r"entry \(1, 0\), counted from 0, is inf",
    "coordinate real symmetric\n2 2 2\n1 2 1\n2 1 1": r"says symmetric, but entry \(1, 2\) or its mirror image",
    "coordinate real symmetric\n2 3 1\n2 1 1": "header says symmetric, but the matrix is 2 × 3",
    "coordinate real general\n9 9 999999999999\n1 1 1": "999999999999 entries are announced",
    "array real general\n99999999 99999999\n1": "the file ends early",
    "coordinate integer general\n1 1 1\n1 1 99999999999999999999": "Integer out of range",
    "coordinate integer general\n1 1 1\n1 1 9007199254740993": r"beyond 2\^53",
    "coordinate real general\n99999999999 2 1\n1 1 1": "a pattern counts below 2^31|more memory|damaged",
}


@pytest.mark.parametrize("text", MARKETS)
def test_a_bad_matrix_market_file_is_refused(tmp_path, text):
    with pytest.raises(FileError, match=f"A.mtx: .*{MARKETS[text]}"):
        read_system(market(tmp_path / "A.mtx", text))


BROKEN = {
    "foreign text": (lambda p: (p / "A.mtx").write_text("hello"), "A.mtx", "Missing banner"),
    "foreign gzip": (lambda p: (p / "A.mtx.gz").write_bytes(b"hello"), "A.mtx.gz", "Not a gzipped file"),
    "foreign zip": (lambda p: (p / "A.npz").write_bytes(b"hello"), "A.npz", "refused|damaged"),
    "dense archive": (lambda p: np.savez(p / "A.npz", a=np.eye(2)), "A.npz", "holds a; expected format, shape, data"),
    "foreign hdf5": (lambda p: (p / "A.h5").write_bytes(b"hello" * 99), "A.h5", "signature not found"),
    "other hdf5": (lambda p: h5py.File(p / "A.h5", "w").create_dataset("u", data=[1.0]), "A.h5", "no sparse .*holds u"),
    "no shape": (lambda p: sparse_group(p / "A.h5"), "A.h5", r"group / has no attribute shape \(or h5sparse_shape\)"),
    "index outside": (
        lambda p: sparse_group(p / "A.h5", shape=[2, 2], indices=np.array([0, 2])),
        "A.h5",
        "damaged",
    ),
    "falling rows": (
        lambda p: sparse_group(p / "A.h5", shape=[2, 2], indptr=np.array([0, 5, 2])),
        "A.h5",
        "damaged",
    ),
    "lengths": (lambda p: sparse_group(p / "A.h5", shape=[2, 2], data=np.ones(3)), "A.h5", "damaged"),
    "negative index": (
        lambda p: archive(p / "A.npz", data=np.ones(2), indices=np.array([0, -9]), indptr=np.array([0, 1, 2])),
        "A.npz",
        "damaged",
    ),
    "long double": (
        lambda p: scipy.sparse.save_npz(p / "A.npz", scipy.sparse.coo_array(np.eye(2, dtype=np.longdouble))),
        "A.npz",
        "dtype float128: expected whole numbers, float32",
    ),
    "newer schema": (lambda p: ours(p / "A.h5", schema=2), "A.h5", "schema 2, this version reads 1: update"),
    "false tag": (lambda p: ours(p / "A.h5", tags='["spd"]'), "A.h5", "tagged spd, but A ≠ Aᴴ"),
    "unknown tag": (lambda p: ours(p / "A.h5", tags='["nice"]'), "A.h5", "tag|nice"),
    "missing": (lambda p: None, "A.npz", "no such file"),
    "directory": (lambda p: (p / "A.mtx").mkdir(), "A.mtx", "a directory, not a file"),
    "ending": (lambda p: None, "A.mat", r"the ending '.mat' names no known format: use one of .mtx"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_or_foreign_system_is_refused(tmp_path, case):
    make, name, words = BROKEN[case]
    make(tmp_path)
    with pytest.raises(FileError, match=words) as caught:
        read_system(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(caught.value)


BAD_VECTORS = {
    "foreign": ("b.npy", b"hello", "not a NumPy file"),
    "foreign zip": ("b.npz", b"hello", "not an .npz archive"),
    "words": ("b.txt", b"one two", "could not convert string 'one'"),
    "ragged": ("b.csv", b"1,2\n3\n", "number of columns changed"),
    "binary": ("b.txt", b"\xff\xfe\x00", "can't decode"),
    "empty": ("b.txt", b"# nothing\n", "no numbers in it"),
    "nan": ("b.txt", b"1\n2\nnan\n", r"entry \(2,\), counted from 0, is nan \(1 of 3 are not finite\)"),
    "huge header": (
        "b.npy",
        b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999,), }".ljust(127)
        + b"\n",
        "more memory|ends early|damaged",
    ),
}


@pytest.mark.parametrize("case", BAD_VECTORS)
def test_a_broken_or_foreign_vector_is_refused(tmp_path, case):
    name, content, words = BAD_VECTORS[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FileError, match=words):
        read_vector(tmp_path / name)


def test_arrays_without_numbers_or_axes_or_a_choice_are_refused(tmp_path):
    np.save(tmp_path / "b.npy", np.array(["a"]))
    with pytest.raises(FileError, match="dtype <U1: expected whole numbers"):
        read_vector(tmp_path / "b.npy")
    np.save(tmp_path / "b.npy", np.array(3.0))
    with pytest.raises(FileError, match="a single number without an axis"):
        read_vector(tmp_path / "b.npy")
    np.savez(tmp_path / "b.npz", u=np.ones(2), v=np.ones(2))
    with pytest.raises(FileError, match="holds u, v; expected a single array, or one named b, rhs, x"):
        read_vector(tmp_path / "b.npz")
    write_system(tmp_path / "A.h5", sparse(2, 2))
    with pytest.raises(FileError, match=r"holds a sparse matrix.*Is it the system\?"):
        read_vector(tmp_path / "A.h5")


class Bomb:
    """Unpickling it would leave a file behind."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("name", ["b.npy", "b.npz", "A.npz"])
def test_nothing_is_ever_unpickled(tmp_path, name):
    bomb = np.array([Bomb(tmp_path / "exploded")], dtype=object)
    if name.endswith(".npy"):
        np.save(tmp_path / name, bomb, allow_pickle=True)
    elif name == "b.npz":
        np.savez(tmp_path / name, b=bomb)
    else:
        archive(tmp_path / name, data=bomb, indices=np.array([0]), indptr=np.array([0, 1, 1]))
    read = read_system if name == "A.npz" else read_vector
    with pytest.raises(FileError, match="holds Python objects, which could run foreign code when loaded: refused"):
        read(tmp_path / name)
    (tmp_path / "raw.npy").write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    with pytest.raises(FileError, match="not a NumPy file"):
        read_vector(tmp_path / "raw.npy")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("ending", [".npz", ".h5", ".mtx.gz"])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_a_truncated_system_is_refused(tmp_path, ending, part):
    path = tmp_path / f"A{ending}"
    write_system(path, poisson_operator((12, 12)))
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with pytest.raises(FileError, match=r"ends early|damaged|refused"):
        read_system(path)


@pytest.mark.parametrize("ending", [".npy", ".npz", ".h5", ".mtx"])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9])
def test_a_truncated_vector_is_refused(tmp_path, ending, part):
    path = tmp_path / f"b{ending}"
    write_vector(path, normal(500))
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with pytest.raises(FileError, match=r"ends early|damaged|not a NumPy|not an \.npz"):
        read_vector(path)


def damage(path, data):
    content = bytearray(path.read_bytes())
    for _ in range(3):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)


@quick
@given(ending=st.sampled_from(VECTORS), data=st.data())
def test_damaged_bytes_give_numbers_or_a_file_error(tmp_path, ending, data):
    """No other exception, no crash, no reader that never comes back."""
    path = tmp_path / f"b{ending}"
    write_vector(path, normal(20))
    damage(path, data)
    with warnings.catch_warnings(), suppress(FileError):
        warnings.simplefilter("ignore")
        assert read_vector(path).isfinite().all()


@quick
@given(ending=st.sampled_from(SYSTEMS), data=st.data())
def test_damaged_bytes_give_a_matrix_or_a_file_error(tmp_path, ending, data):
    path = tmp_path / f"A{ending}"
    write_system(path, poisson_operator((3, 3)))
    damage(path, data)
    with warnings.catch_warnings(), suppress(FileError):
        warnings.simplefilter("ignore")
        assert read_system(path).is_finite()


def test_a_text_that_ends_in_a_blank_is_whole(tmp_path):
    """SciPy 1.17 reads such a text beyond its end, and crashes."""
    (tmp_path / "b.mtx").write_bytes(f"{BANNER}array real general\n2 1\n1.5\n2.5 ".encode())
    assert read_vector(tmp_path / "b.mtx").tolist() == [1.5, 2.5]
    (tmp_path / "b.mtx").write_bytes(f"{BANNER}array real general\r\n2 1\r\n1.5\r\n2.5\r\n".encode())
    assert read_vector(tmp_path / "b.mtx").tolist() == [1.5, 2.5]


def test_a_text_with_a_zero_byte_is_refused(tmp_path):
    (tmp_path / "b.mtx").write_bytes(f"{BANNER}array real general\n2 1\n1.5\0".encode())
    with pytest.raises(FileError, match="not a text file, or damaged: it has a zero byte at 48"):
        read_vector(tmp_path / "b.mtx")


@pytest.mark.parametrize("wanted", ["x", "A"])
def test_every_changed_byte_of_an_hdf5_header_or_array_is_noticed(tmp_path, wanted):
    """Headers have checksums as arrays have: whatever is still read is what was written."""
    path = tmp_path / f"{wanted}.h5"
    A, x = poisson_operator((3, 3)).to_csr(), normal(9)
    if wanted == "A":
        write_system(path, A)
    else:
        write_vector(path, x)
    whole = path.read_bytes()
    draw = np.random.default_rng(0)
    for place in draw.choice(len(whole), 60, replace=False):
        content = bytearray(whole)
        content[place] ^= 1 << int(draw.integers(8))
        path.write_bytes(content)
        with suppress(FileError):
            if wanted == "A":
                assert torch.equal(read_system(path).values, A.values)
            else:
                assert torch.equal(read_vector(path), x)


def test_what_cannot_be_read_again_is_not_written(tmp_path):
    with pytest.raises(DTypeError, match=r"x of dtype torch.int64: expected float32"):
        write_vector(tmp_path / "x.npy", torch.arange(3))
    with pytest.raises(FileError, match=r"entry \(1,\), counted from 0, is nan"):
        write_vector(tmp_path / "x.npy", torch.tensor([1.0, torch.nan]))
    with pytest.raises(FileError, match=r"shape \(2, 2, 2\) does not fit this format: at most 2 axes; use .npy"):
        write_vector(tmp_path / "x.mtx", normal(2, 2, 2))
    with pytest.raises(FileError, match=r"shape \(0,\) holds no numbers, which text does not record"):
        write_vector(tmp_path / "x.txt", normal(0))
    with pytest.raises(FileError, match=r"names no known format: use one of \.npy"):
        write_vector(tmp_path / "x", normal(2))
    with pytest.raises(FileError, match=r"entry \(1, 0\), counted from 0, is inf"):
        write_system(tmp_path / "A.npz", CSROperator.from_dense(torch.tensor([[1.0, 0.0], [torch.inf, 1.0]])))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("guilty", ["fsync", "replace"])
@pytest.mark.parametrize("ending", VECTORS)
def test_a_full_disk_leaves_the_old_vector_and_no_scraps(tmp_path, monkeypatch, guilty, ending):
    path = tmp_path / f"x{ending}"
    write_vector(path, normal(4))
    monkeypatch.setattr(os, guilty, full)
    with pytest.raises(FileError, match=r"the disk is full .* what was written before is unharmed"):
        write_vector(path, normal(4, seed=1))
    assert torch.equal(read_vector(path), normal(4))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", SYSTEMS)
@pytest.mark.parametrize("failure", [OSError(errno.EDQUOT, "Disk quota exceeded"), KeyboardInterrupt()], ids=type)
def test_a_broken_off_writer_leaves_the_old_system_and_no_scraps(tmp_path, monkeypatch, ending, failure):
    path = tmp_path / f"A{ending}"
    write_system(path, sparse(3, 3))

    def fail(*_):
        raise failure

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(FileError if isinstance(failure, OSError) else KeyboardInterrupt):
        write_system(path, sparse(4, 4))
    assert read_system(path).shape == (3, 3)
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileError, match=r"x\.npy: cannot be written \(No such file or directory\): choose a folder"):
        write_vector(tmp_path / "none" / "x.npy", normal(2))


def test_a_file_error_is_what_callers_of_open_and_numpy_expect(tmp_path):
    for kind in (OSError, ValueError):
        with pytest.raises(kind, match="no such file"):
            read_vector(tmp_path / "none.npy")


def test_an_uncompressed_copy_reads_as_the_compressed_one(tmp_path):
    write_system(tmp_path / "A.mtx.gz", sparse(5, 5))
    (tmp_path / "A.mtx").write_bytes(gzip.decompress((tmp_path / "A.mtx.gz").read_bytes()))
    first, second = read_system(tmp_path / "A.mtx.gz"), read_system(tmp_path / "A.mtx")
    assert torch.equal(first.values, second.values)


def test_the_package_does_not_load_the_readers_of_formats():
    code = "import solvers, sys; print([m for m in ('h5py', 'scipy.io') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
