"""Raw binary matrices and vectors: what was written is read again, what does not fit is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from solver_cases import normal

from solvers import CSROperator, FileError, read_system, read_vector, write_system, write_vector

quick = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def sparse(m, n, seed, dtype):
    dense = torch.where(normal(m, n, seed=seed + 1) > 0.3, normal(m, n, seed=seed), 0)
    dense[0, 0] = 1
    return CSROperator.from_dense(dense.to(dtype))


def content(sizes, values, starts, columns):
    parts = (np.array(sizes, "<i4"), np.array(values), np.array(starts, "<i4"), np.array(columns, "<i4"))
    return b"".join(part.tobytes() for part in parts)


@quick
@given(m=st.integers(1, 6), n=st.integers(1, 6), seed=st.integers(0, 99), double=st.booleans())
def test_a_matrix_comes_back_in_its_precision(tmp_path, m, n, seed, double):
    A = sparse(m, n, seed, torch.float64 if double else torch.float32)
    write_system(tmp_path / "A.bin", A)
    found = read_system(tmp_path / "A.bin")
    assert found.dtype == A.dtype
    assert torch.equal(found.to_dense(), A.to_dense())


@quick
@given(n=st.integers(0, 20), seed=st.integers(0, 99), double=st.booleans())
def test_a_vector_comes_back_in_double_precision(tmp_path, n, seed, double):
    b = normal(n, seed=seed).to(torch.float64 if double else torch.float32)
    write_vector(tmp_path / "b.bin", b)
    assert torch.equal(read_vector(tmp_path / "b.bin"), b.double())


@pytest.mark.parametrize("dtype", ["<f4", "<f8"])
def test_the_layout_is_sizes_values_starts_columns(tmp_path, dtype):
    """[[2, −1, 0], [0, 0, 0], [0, 0, 3]] byte by byte; the file has 20 + 4 · rows + entries · (4 + s) bytes."""
    raw = content([3, 3, 3, 3, 3], np.array([2, -1, 3], dtype), [0, 2, 2], [0, 1, 2])
    assert len(raw) == 20 + 4 * 3 + 3 * (4 + np.dtype(dtype).itemsize)
    (tmp_path / "A.bin").write_bytes(raw)
    A = read_system(tmp_path / "A.bin")
    assert A.to_dense().tolist() == [[2, -1, 0], [0, 0, 0], [0, 0, 3]]
    write_system(tmp_path / "again.bin", A)
    assert (tmp_path / "again.bin").read_bytes() == raw


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_file_of_any_other_length_is_refused(tmp_path, dtype):
    """However many bytes are cut off or added, no other matrix is read.

    A float64 file may be cut to the length of a float32 one: then its row starts are none.
    """
    A = sparse(4, 4, 0, dtype)
    write_system(tmp_path / "A.bin", A)
    whole = (tmp_path / "A.bin").read_bytes()
    for wrong in (*(whole[:k] for k in range(len(whole))), whole + b"\0"):
        (tmp_path / "A.bin").write_bytes(wrong)
        with pytest.raises(FileError, match=r"A\.bin: "):  # of a length that fits float32, too, indices tell
            read_system(tmp_path / "A.bin")


@pytest.mark.parametrize(
    ("sizes", "starts", "columns", "message"),
    [
        ([2, 2, 3, 2, 3], [0, 2], [0, 1, 2], "row 1 has an entry in column 2: 0 to 1 is expected"),
        ([2, 2, 3, 2, 3], [0, 2], [0, -1, 1], "row 0 has an entry in column -1"),
        ([2, 2, 3, 2, 3], [1, 2], [0, 1, 1], "row 0 goes from entry 1 to 2 of 3"),
        ([3, 2, 3, 3, 3], [0, 2, 1], [0, 1, 1], "row 1 goes from entry 2 to 1 of 3: row starts .* never decrease"),
        ([2, 2, 3, 2, 3], [0, 4], [0, 1, 1], "row 1 goes from entry 4 to 3 of 3"),
        ([3, 2, 3, 2, 3], [0, 2], [0, 1, 1], "outer 2.*outer = rows"),
        ([-2, 2, 3, -2, 3], [0, 2], [0, 1, 1], "rows -2.*at least 0"),
    ],
)
@pytest.mark.parametrize("dtype", ["<f4", "<f8"])
def test_wrong_indices_are_refused_with_their_row(tmp_path, sizes, starts, columns, message, dtype):
    (tmp_path / "A.bin").write_bytes(content(sizes, np.ones(3, dtype), starts, columns))
    with pytest.raises(FileError, match=message):
        read_system(tmp_path / "A.bin")


@pytest.mark.parametrize("raw", [b"\x89HDF\r\n\x1a\n" + bytes(64), b"%%MatrixMarket matrix coordinate real\n", b""])
def test_foreign_files_are_refused(tmp_path, raw):
    (tmp_path / "x.bin").write_bytes(raw)
    for read in (read_system, read_vector):
        with pytest.raises(FileError, match=r"x\.bin: "):
            read(tmp_path / "x.bin")


def test_vectors_that_are_cut_off_or_not_finite_are_refused(tmp_path):
    write_vector(tmp_path / "b.bin", torch.ones(3))
    whole = (tmp_path / "b.bin").read_bytes()
    for wrong in (whole[:-1], whole[:9], whole[:5], whole + bytes(8)):
        (tmp_path / "b.bin").write_bytes(wrong)
        with pytest.raises(FileError, match=r"expected 8 \+ 8 · count"):
            read_vector(tmp_path / "b.bin")
    (tmp_path / "b.bin").write_bytes(whole[:-8] + np.array(np.nan, "<f8").tobytes())
    with pytest.raises(FileError, match=r"entry .*2.* is nan"):
        read_vector(tmp_path / "b.bin")


def test_values_that_are_not_finite_are_refused(tmp_path):
    (tmp_path / "A.bin").write_bytes(content([1, 1, 1, 1, 1], np.array([np.inf], "<f8"), [0], [0]))
    with pytest.raises(FileError, match="inf"):
        read_system(tmp_path / "A.bin")


def test_what_the_format_does_not_hold_is_not_written(tmp_path):
    complex_one = CSROperator.from_dense(torch.eye(2, dtype=torch.complex128))
    with pytest.raises(FileError, match="no complex values"):
        write_system(tmp_path / "A.bin", complex_one)
    with pytest.raises(FileError, match="no complex values"):
        write_vector(tmp_path / "b.bin", torch.ones(2, dtype=torch.complex64))
    empty = CSROperator.from_coo(*(torch.empty(0, dtype=torch.long),) * 2, torch.empty(0), (2, 2))
    with pytest.raises(FileError, match="without entries"):
        write_system(tmp_path / "A.bin", empty)
    assert not list(tmp_path.iterdir())
