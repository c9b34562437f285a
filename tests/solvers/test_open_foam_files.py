"""OpenFOAM's lists: matrices come back, foreign spellings are read, broken lists are refused."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from solver_cases import normal

from solvers import CG, CSROperator, FileError, ShapeError, linear_solve, poisson_operator
from solvers.files import read_ldu, write_ldu

quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

HEADER = """/*--- of a case ---*/
FoamFile
{
    version 2.0;  format ascii;  class scalarField;  object diag;
}
// the list
"""


def write_lists(folder, **lists):
    """Three cells in a row, A = tridiag(−1, 2, −1), unless told otherwise; None leaves a list out."""
    usual = {"diag": "3(2 2 2)", "upper": "2(-1 -1)", "lowerAddr": "2(0 1)", "upperAddr": "2(1 2)"}
    for name, text in {**usual, **lists}.items():
        if text is not None:
            (folder / name).write_text(text)
    return folder


def row_of_three():
    return torch.tensor([[2.0, -1, 0], [-1, 2, -1], [0, -1, 2]], dtype=torch.float64)


@quick
@given(n=st.integers(1, 7), seed=st.integers(0, 99), symmetric=st.booleans(), double=st.booleans())
def test_a_matrix_and_its_right_hand_side_come_back(tmp_path, n, seed, symmetric, double):
    """Same entries and the same b; the tag if A = Aᵀ; float32 is widened."""
    dense = torch.where(normal(n, n, seed=seed + 1) > 0.3, normal(n, n, seed=seed), 0)
    dense = (dense + dense.mT if symmetric else dense) + 9 * torch.eye(n, dtype=torch.float64)
    A, b = CSROperator.from_dense(dense.to(torch.float64 if double else torch.float32)), normal(n, seed=seed)
    folder = tmp_path / f"{n} {seed} {symmetric} {double}"
    write_ldu(folder, A, b)
    found, rhs = read_ldu(folder)
    assert torch.equal(found.to_dense(), A.to_dense().double())
    assert torch.equal(rhs, b)
    assert ("symmetric" in found.tags) == bool(torch.equal(dense, dense.mT))
    assert (folder / "lower").exists() != ("symmetric" in found.tags)


def test_a_negative_laplacian_comes_with_both_signs_flipped(tmp_path):
    """(−A) x = −b has the solution of A x = b, and CG finds it."""
    A, b = poisson_operator((4, 5)), normal(20)
    write_ldu(tmp_path, CSROperator.from_dense(-A.to_dense()), -b)
    found, rhs = read_ldu(tmp_path)
    assert torch.equal(found.to_dense(), A.to_dense())
    assert torch.equal(rhs, b)
    solution = linear_solve(found, rhs, CG(rtol=1e-12, assume_spd=True))
    torch.testing.assert_close(solution.value, torch.linalg.solve(A.to_dense(), b))


@pytest.mark.parametrize(
    "diag",
    [
        HEADER + "3\n(\n2\n2.0\n2e0\n)\n",
        "3{2}",
        "nonuniform List<scalar> 3 ( 2 2 2 );",
        "diag nonuniform List<scalar> 3(2 2 2);",
        "3 ( 2 /* a */ 2 // b\n 2 )",
    ],
)
def test_spellings_of_a_list_mean_the_same(tmp_path, diag):
    assert torch.equal(read_ldu(write_lists(tmp_path, diag=diag))[0].to_dense(), row_of_three())


def test_upper_is_in_the_row_of_the_first_cell(tmp_path):
    """A[lowerAddr, upperAddr] = upper, A[upperAddr, lowerAddr] = lower; nothing is tagged."""
    A, b = read_ldu(write_lists(tmp_path, lower="2(-3 -4)"))
    assert A.to_dense().tolist() == [[2, -1, 0], [-3, 2, -1], [0, -4, 2]]
    assert "symmetric" not in A.tags
    assert b is None


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"upper": None}, "upper: no such file"),
        ({"diag": "3(2 2"}, "diag: no whole list.*cut off"),
        ({"diag": "3(2 2)"}, "diag: 2 numbers, and 3 are announced"),
        ({"diag": "3(2 two 2)"}, "diag: not a file of this format"),
        ({"diag": "3(2 nan 2)"}, "diag: entry .*1.* is nan"),
        ({"diag": HEADER.replace("ascii", "binary") + "3(abc)"}, "diag: a binary list.*foamFormatConvert"),
        ({"diag": ""}, "diag: no whole list"),
        ({"upper": "1(-1)"}, "lowerAddr: 2 entries, and upper has 1"),
        ({"lower": "3(-1 -1 -1)"}, "lower: 3 entries, and upper has 2"),
        ({"upperAddr": "2(1 3)"}, "upperAddr: face 1 has the cell 3: 0 to 2 is expected"),
        ({"lowerAddr": "2(-1 1)"}, "lowerAddr: face 0 has the cell -1"),
        ({"lowerAddr": "2(0.5 1)"}, "lowerAddr: face 0 has the cell 0.5"),
        ({"lowerAddr": "2(0 2)"}, "face 1 joins cells 2 and 2: the first is expected to have the smaller"),
        ({"source": "2(1 1)"}, "source: 2 entries, and diag has 3"),
    ],
)
def test_broken_lists_are_refused_with_their_name(tmp_path, lists, message):
    with pytest.raises(FileError, match=message):
        read_ldu(write_lists(tmp_path, **lists))


def test_what_lists_do_not_hold_is_not_written(tmp_path):
    A = poisson_operator((3,))
    with pytest.raises(ShapeError, match=r"expected \(n, n\), \(n,\)"):
        write_ldu(tmp_path, A, torch.ones(4))
    with pytest.raises(ShapeError, match=r"expected \(n, n\)"):
        write_ldu(tmp_path, CSROperator.from_dense(torch.ones(2, 3)))
    with pytest.raises(FileError, match="complex"):
        write_ldu(tmp_path, CSROperator.from_dense(torch.eye(2, dtype=torch.complex128)))
    with pytest.raises(FileError, match="not finite"):
        write_ldu(tmp_path, CSROperator.from_dense(torch.full((1, 1), torch.nan)))
    (tmp_path / "taken").write_text("")
    with pytest.raises(FileError, match="cannot be made"):
        write_ldu(tmp_path / "taken", A)
