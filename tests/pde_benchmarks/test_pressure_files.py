"""Published pressure systems: what was written is read again, and cells are told from a matrix."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pde_benchmarks.errors import DatasetError, ProblemError
from pde_benchmarks.pressure import (
    FLUID,
    RandomCells,
    cells_of,
    pressure_operator,
    read_frame,
    read_training_vectors,
    recognised,
    write_frame,
    write_training_vectors,
)
from solvers import CSROperator, FileError

quick = settings(max_examples=25, deadline=None)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def any_cells(grid, seed):
    g = generator(seed)
    cells = torch.randint(3, grid, generator=g, dtype=torch.int8)
    cells.view(-1)[0] = FLUID
    return cells, torch.rand((len(grid), 2), generator=g) < 0.3


def edited(A, change):
    """The stored matrix with some entries of its dense form changed."""
    dense = A.to_dense()
    change(dense)
    return CSROperator.from_dense(dense)


@quick
@given(d=st.integers(1, 3), n=st.integers(1, 5), seed=st.integers(0, 999))
def test_cells_told_from_a_matrix_have_that_matrix(d, n, seed):
    """pressure_operator(*cells_of(A)) = A = recognised(A).operator(), though the cells may be others."""
    A = pressure_operator(*any_cells((n,) * d, seed)).to_csr()
    if n == 1:  # 1 = 1² = 1³ cells: read as one row
        A = pressure_operator(*any_cells((1,), seed)).to_csr()
    if not bool(A.diagonal().any()):
        return
    found = recognised(A, n)
    assert torch.equal(found.operator().to_dense(), A.to_dense())
    assert torch.equal(pressure_operator(*cells_of(A, n)).to_dense(), A.to_dense())


def test_obstacles_are_told_in_three_dimensions():
    cells, sides = RandomCells().sample(1, (16, 16, 16), generator(3))
    A = pressure_operator(cells[0], sides[0])
    found, open_sides = cells_of(A.to_csr(), 16)
    assert torch.equal(found == FLUID, cells[0] == FLUID)
    u = torch.randn(16**3, generator=generator(), dtype=torch.float64)
    assert torch.equal(pressure_operator(found, open_sides).mv(u), A.mv(u))


def scaled(dense):
    dense *= 2


def far(dense):
    dense[0, 5] = dense[5, 0] = -1


def missing(dense):
    dense[0, 1] = dense[1, 0] = 0


def heavy(dense):
    dense[4, 4] = 9


def light(dense):
    dense[4, 4] = 3


def halved(dense):
    dense[4, 4] = 4.5


def stray(dense):
    dense[4, 4] = 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (scaled, r"row 0, column 1: -2: −1 is expected.*scaled"),
        (far, r"row 0, column 5: -1: these cells of the 3×3 grid share no face"),
        (missing, r"row 0, column 1: nothing stored"),
        (heavy, r"row 4, column 4: 9 for 4 fluid neighbours: expected 4 to 4"),
        (light, r"row 4, column 4: 3 for 4 fluid neighbours"),
        (halved, r"row 4, column 4: 4\.5 for 4"),
        (stray, r"row 1, column 4: -1: the diagonal of one of these rows is zero"),
    ],
)
def test_a_matrix_that_is_not_the_stencil_is_refused_with_row_and_column(change, message):
    A = pressure_operator(torch.ones(3, 3, dtype=torch.int8), "open")
    for call in (recognised, cells_of):
        with pytest.raises(ProblemError, match=message):
            call(edited(A, change), 3)


def test_a_size_that_is_no_power_of_n_is_refused():
    A = pressure_operator(torch.ones(3, 3, dtype=torch.int8)).to_csr()
    with pytest.raises(ProblemError, match="4, 16 or 64 rows"):
        recognised(A, 4)


def test_faces_open_on_their_own_have_an_operator_but_no_cells():
    """One rim cell of four with an open face is no open side: the numbers are right, the cells do not exist."""
    A = edited(pressure_operator(torch.ones(2, 2, dtype=torch.int8)), lambda dense: dense[0, 0].add_(1))
    assert torch.equal(recognised(A, 2).operator().to_dense(), A.to_dense())
    with pytest.raises(ProblemError, match="no open cells and sides"):
        cells_of(A, 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["div_v_star7.bin", "div_v_star_7.bin"])
def test_a_frame_comes_back(tmp_path, dtype, name):
    cells, sides = RandomCells().sample(1, (8, 8, 8), generator())
    A = pressure_operator(cells[0], sides[0], dtype)
    b = torch.where(cells[0] == FLUID, torch.randn(8, 8, 8, generator=generator()), 0).flatten().double()
    write_frame(tmp_path, 7, A, b)
    (tmp_path / "div_v_star7.bin").rename(tmp_path / name)
    found, rhs = read_frame(tmp_path, 7)
    assert found.dtype == dtype
    assert torch.equal(found.to_dense(), A.to_dense())
    assert torch.equal(rhs, b)
    assert found.values.numel() == int((A.to_dense() != 0).sum())


def test_a_frame_that_is_not_whole_is_refused(tmp_path):
    A = pressure_operator(torch.ones(3, 3, dtype=torch.int8))
    write_frame(tmp_path, 1, A, torch.zeros(8))
    with pytest.raises(DatasetError, match="8 numbers, and the matrix has 9 rows"):
        read_frame(tmp_path, 1)
    (tmp_path / "div_v_star1.bin").unlink()
    with pytest.raises(DatasetError, match=r"div_v_star1\.bin or div_v_star_1\.bin is expected"):
        read_frame(tmp_path, 1)
    with pytest.raises(FileError, match="no such file"):
        read_frame(tmp_path, 2)


@pytest.mark.parametrize("prefix", ["", "b_"])
def test_training_vectors_come_back_in_the_order_of_their_numbers(tmp_path, prefix):
    vectors = torch.randn(12, 27, generator=generator())
    write_training_vectors(tmp_path, vectors)
    for path in list(tmp_path.glob("b_*.npy")):
        path.rename(tmp_path / path.name.replace("b_", prefix))
    found = read_training_vectors(tmp_path)
    assert found.dtype == torch.float32
    assert torch.equal(found, vectors)


def test_training_vectors_that_differ_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="no training vectors"):
        read_training_vectors(tmp_path)
    np.save(tmp_path / "0.npy", np.zeros(8, np.float32))
    np.save(tmp_path / "1.npy", np.zeros(9, np.float32))
    with pytest.raises(DatasetError, match=r"1\.npy: \(9,\)"):
        read_training_vectors(tmp_path)
