"""A data set keeps its rows together, says what looks odd, and survives the disk unchanged or not at all."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pde_benchmarks
from pde_benchmarks.darcy import Darcy
from pde_benchmarks.datasets import Dataset, read_dataset, read_dataset_file, write_dataset
from pde_benchmarks.datasets.container import SCHEMA
from pde_benchmarks.errors import DatasetError
from pde_benchmarks.problem import Batch, FieldSpec, Grid, Positive, RecordedProblem

HOME = Path(pde_benchmarks.__file__).resolve().parent.parent


def recorded(x: torch.Tensor, y: torch.Tensor) -> Dataset:
    specs = [FieldSpec(n, a.shape[1], Grid(tuple(a.shape[2:]), "left"), unit="m") for n, a in (("z", x), ("u", y))]
    problem = RecordedProblem("lab", (specs[0],), (specs[1],))
    return Dataset(problem, Batch({"z": x}), Batch({"u": y}), "lab")


def sample(count: int = 20) -> Dataset:
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(count, 1, 6, 6, generator=generator, dtype=torch.float64) for _ in range(2))
    return recorded(x, y)


def assert_same(found: Dataset, wanted: Dataset) -> None:
    assert found.problem == wanted.problem
    assert found.name == wanted.name
    for a, b in ((found.inputs, wanted.inputs), (found.outputs, wanted.outputs)):
        assert list(a) == list(b)
        for name in a:
            assert a[name].dtype == b[name].dtype
            assert torch.equal(a[name], b[name])


def test_rows_and_splits_keep_inputs_with_their_outputs():
    data = sample()
    first, rest = data.split(0.75)
    assert (first.count, rest.count) == (15, 5)
    assert data.split(3)[0].count == 3
    assert torch.equal(rest.outputs["u"], data.outputs["u"][15:])
    picked = data.rows([4, 2])
    assert torch.equal(picked.inputs["z"], data.inputs["z"][[4, 2]])
    assert torch.equal(picked.outputs["u"], data.outputs["u"][[4, 2]])
    with pytest.raises(DatasetError, match="leaves one part empty"):
        data.split(20)


def test_mismatched_counts_are_refused():
    with pytest.raises(DatasetError, match="20 input samples but 19 output samples"):
        recorded(sample().inputs["z"], sample().outputs["u"][:19])


def test_description_lists_every_field_with_its_range():
    data = sample()
    z, u = data.describe()
    assert (z.field, z.role, z.shape, z.dtype) == ("z", "input", (20, 1, 6, 6), "float64")
    assert (u.field, u.role) == ("u", "output")
    assert (u.min, u.max) == (data.outputs["u"].min().item(), data.outputs["u"].max().item())


def test_clean_data_draws_no_remark():
    assert sample().check() == []


def test_check_refuses_nan_with_count_and_indices():
    data = sample()
    data.outputs["u"][[3, 8], 0, 1, 1] = torch.nan
    data.outputs["u"][11, 0, 0, 0] = torch.inf
    with pytest.raises(DatasetError, match=r"'u' holds NaN or infinity in 3 of 20 samples \(first: 3, 8, 11\)"):
        data.check()
    with pytest.raises(DatasetError, match="no samples"):
        data.rows([]).check()


def test_check_remarks_on_constant_inputs_zero_targets_and_outliers():
    data = sample()
    data.inputs["z"].fill_(2.0)
    data.outputs["u"][4] = 0
    data.outputs["u"][7, 0, 0, 0] = 1e3
    constant, zero, outlier = data.check()
    assert "input 'z' is 2 everywhere" in constant
    assert "zero everywhere in 1 of 20 samples (first: 4)" in zero
    assert "1 of 20 samples (first: 7)" in outlier
    # Of a few samples nobody can say which is the odd one.
    assert not any("robust" in remark for remark in data.rows(slice(4, 14)).check())


def test_darcy_survives_the_disk_with_its_problem(tmp_path):
    problem = Darcy(resolution=16)
    inputs = problem.sample(3, torch.Generator().manual_seed(0))
    data = Dataset(problem, inputs, problem.solve(inputs), "darcy")
    write_dataset(tmp_path / "d.h5", data, seed=7)
    assert_same(read_dataset_file(tmp_path / "d.h5", problem=problem), data)
    with h5py.File(tmp_path / "d.h5") as file:
        assert (file.attrs["seed"], file.attrs["law"], file.attrs["schema"]) == ("7", "smooth", SCHEMA)
        assert set(file.attrs) >= {"versions", "problem", "fields", "name", "count"}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    grid=st.lists(st.integers(1, 6), min_size=0, max_size=3),
    counts=st.tuples(st.integers(0, 5), st.integers(1, 3)),
    dtype=st.sampled_from([torch.float16, torch.float32, torch.float64]),
    compression=st.sampled_from(["gzip", "lzf", None]),
)
def test_round_trip(tmp_path, grid, counts, dtype, compression):
    """Any shape, dtype and compression: what is read is what was written, by either reader."""
    x = torch.randn(*counts, *grid).to(dtype)
    data = recorded(x, 2 * x)
    write_dataset(tmp_path / "d.h5", data, compression=compression)
    assert_same(read_dataset_file(tmp_path / "d.h5"), data)
    assert_same(read_dataset(tmp_path / "d.h5"), data)


def test_fields_keep_their_order_and_units(tmp_path):
    x = torch.ones(2, 1, 4)
    names = ("velocity", "a", "pressure")
    specs = tuple(FieldSpec(name, 1, Grid((4,)), unit="Pa", kind=Positive()) for name in names)
    data = Dataset(
        RecordedProblem("s", specs, specs), Batch(dict.fromkeys(names, x)), Batch(dict.fromkeys(names, x)), "s"
    )
    write_dataset(tmp_path / "d.h5", data)
    assert_same(read_dataset_file(tmp_path / "d.h5"), data)
    with h5py.File(tmp_path / "d.h5") as file:
        assert file["inputs/velocity"].attrs["unit"] == "Pa"


def test_the_same_data_gives_the_same_bytes(tmp_path):
    for name in ("a.h5", "b.h5"):
        write_dataset(tmp_path / name, sample(), seed=1)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_some_rows_can_be_read_alone(tmp_path):
    write_dataset(tmp_path / "d.h5", sample())
    assert_same(read_dataset_file(tmp_path / "d.h5", rows=slice(3, 9, 2)), sample().rows(slice(3, 9, 2)))


@pytest.mark.filterwarnings("error")
def test_a_problem_that_is_not_installed_leaves_its_fields_readable(tmp_path):
    write_dataset(tmp_path / "d.h5", sample())
    with h5py.File(tmp_path / "d.h5", "r+") as file:
        file.attrs["problem"] = '{"name": "elsewhere", "config": {}}'
    with pytest.warns(UserWarning, match="unknown problem 'elsewhere'"):
        found = read_dataset_file(tmp_path / "d.h5")
    assert isinstance(found.problem, RecordedProblem)
    assert found.problem.inputs == sample().problem.inputs


@pytest.mark.parametrize("share", [0.0, 0.1, 0.6, 0.98])
def test_truncated_files_are_refused(tmp_path, share):
    path = tmp_path / "d.h5"
    write_dataset(path, sample())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DatasetError, match=r"ends early|not an HDF5 file|damaged"):
        read_dataset_file(path)


def test_changed_values_are_noticed_by_their_checksum(tmp_path):
    path = tmp_path / "d.h5"
    write_dataset(path, sample())
    with h5py.File(path, "r+") as file:
        file["outputs/u"][2, 0, 0, 0] += 1e-15
    with pytest.raises(DatasetError, match="checksum of outputs/u does not match"):
        read_dataset_file(path)


def test_flipped_bytes_are_noticed_even_when_some_rows_are_read(tmp_path):
    path = tmp_path / "d.h5"
    write_dataset(path, sample(), compression=None)
    raw = bytearray(path.read_bytes())
    place = raw.find(sample().outputs["u"].numpy().tobytes())
    raw[place + 5] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(DatasetError, match="damaged"):
        read_dataset_file(path, rows=slice(0, 2))


def test_newer_and_foreign_files_are_refused(tmp_path):
    path = tmp_path / "d.h5"
    write_dataset(path, sample())
    with h5py.File(path, "r+") as file:
        file.attrs["schema"] = SCHEMA + 1
    with pytest.raises(DatasetError, match="update sciml-pde"):
        read_dataset_file(path)
    with h5py.File(path, "w") as file:
        file["x"] = np.ones(3)
    with pytest.raises(DatasetError, match="not one that sciml wrote"):
        read_dataset_file(path)
    path.write_text("text")
    with pytest.raises(DatasetError, match="not an HDF5 file"):
        read_dataset_file(path)
    with pytest.raises(DatasetError, match="no such file"):
        read_dataset_file(tmp_path / "none.h5")
    with pytest.raises(DatasetError, match="a directory"):
        read_dataset_file(tmp_path)


WRITE_WITHOUT_ROOM = """
import resource, signal, sys, torch
sys.path[:0] = [{home!r}, {here!r}]
from test_datasets import sample
from pde_benchmarks.datasets import write_dataset
from pde_benchmarks.errors import DatasetError
data = sample(200)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_dataset({path!r}, data)
except DatasetError as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs file size limits")
def test_a_disk_without_room_costs_one_sentence_and_no_file(tmp_path):
    """The limit on file sizes stands in for a full disk; what stood there before stays readable."""
    path = tmp_path / "d.h5"
    write_dataset(path, sample())
    code = WRITE_WITHOUT_ROOM.format(home=str(HOME), here=str(Path(__file__).parent), path=str(path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "cannot be written" in done.stdout
    assert done.stdout.count("\n") == 1
    assert os.listdir(tmp_path) == ["d.h5"]
    assert_same(read_dataset_file(path), sample())


def test_a_full_disk_is_called_so(tmp_path, monkeypatch):
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DatasetError, match="the disk is full"):
        write_dataset(tmp_path / "d.h5", sample())
    assert os.listdir(tmp_path) == []
