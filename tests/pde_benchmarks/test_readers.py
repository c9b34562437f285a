"""Files people have: every layout is recognised, its axes end up right, and what is broken is refused in one line."""

from __future__ import annotations

import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pde_benchmarks.datasets import Dataset, read_dataset, read_inputs, write_dataset
from pde_benchmarks.errors import DatasetError
from pde_benchmarks.grid import axis_points
from pde_benchmarks.problem import Batch, FieldSpec, Grid, Phases, Positive, Real, RecordedProblem

N = 12


def random(*shape: int, dtype: type = np.float32) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


def two_phases(*shape: int) -> np.ndarray:
    return np.where(random(*shape) >= 0, 12.0, 3.0)


def vertex_bump(count: int, n: int) -> np.ndarray:
    x = axis_points(n, "vertex").numpy()
    amplitude = np.arange(1, count + 1)[:, None, None]
    return amplitude * np.outer(np.sin(np.pi * x), np.sin(np.pi * x))


def matlab_73(path: Path, **contents: np.ndarray) -> Path:
    """As MATLAB saves with -v7.3: a 512-byte header, and every array with its axes turned around."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in contents.items():
            file.create_dataset(name, data=array.T).attrs["MATLAB_class"] = np.bytes_("double")
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Jan  1 00:00:00 2024 HDF5 schema 1.00 .")
    return path


def matlab_5(path: Path, **contents: np.ndarray) -> Path:
    scipy.io.savemat(path, contents)
    return path


def save_torch(path: Path, contents: object) -> Path:
    torch.save(contents, path)
    return path


def only(dataset: Dataset) -> tuple[torch.Tensor, torch.Tensor]:
    (x,), (y,) = dataset.inputs.values(), dataset.outputs.values()
    return x, y


def grid_of(dataset: Dataset) -> Grid:
    grid = dataset.problem.outputs[0].support
    assert isinstance(grid, Grid)
    return grid


@pytest.mark.parametrize("save", [matlab_5, matlab_73])
def test_fno_darcy(tmp_path, save):
    """``coeff`` → ``sol`` on vertices; the two versions of the format give the same tensors."""
    coefficient, solution = two_phases(5, N, N), vertex_bump(5, N)
    path = save(tmp_path / "smooth1.mat", coeff=coefficient, sol=solution, Kcoeff=coefficient)
    dataset = read_dataset(path)
    assert list(dataset.inputs) == ["coeff"]
    assert list(dataset.outputs) == ["sol"]
    np.testing.assert_array_equal(dataset.inputs["coeff"][:, 0], coefficient)
    np.testing.assert_array_equal(dataset.outputs["sol"][:, 0], solution)
    assert isinstance(dataset.problem, RecordedProblem)
    assert dataset.problem.inputs[0].kind == Phases((3.0, 12.0))
    assert dataset.problem.outputs[0].kind == Real()
    assert grid_of(dataset) == Grid((N, N), "vertex", ("dirichlet", "dirichlet"))
    assert dataset.outputs["sol"].dtype == torch.float64


@pytest.mark.parametrize("save", [matlab_5, matlab_73])
def test_fno_burgers(tmp_path, save):
    a, u = random(4, 64, dtype=np.float64), random(4, 64, dtype=np.float64)
    dataset = read_dataset(save(tmp_path / "burgers.mat", a=a, u=u, a_smooth=a, visc=np.array([[0.1]])))
    x, y = only(dataset)
    np.testing.assert_array_equal(x[:, 0], a)
    np.testing.assert_array_equal(y[:, 0], u)


@pytest.mark.parametrize("save", [matlab_5, matlab_73])
def test_fno_navier_stokes_maps_the_initial_state_to_the_last_frame(tmp_path, save):
    a, u, t = random(3, N, N), random(3, N, N, 5), np.arange(1.0, 6.0)[None]
    x, y = only(read_dataset(save(tmp_path / "ns.mat", a=a, u=u, t=t)))
    np.testing.assert_array_equal(x[:, 0], a)
    np.testing.assert_array_equal(y[:, 0], u[..., -1])
    x, y = only(read_dataset(save(tmp_path / "ns2.mat", u=u, t=t)))
    np.testing.assert_array_equal(x[:, 0], u[..., 0])


@pytest.mark.parametrize("channel_axis", [False, True])
def test_neuraloperator_darcy(tmp_path, channel_axis):
    """x may be boolean, with or without a channel axis; it becomes float32 and its two values are its phases."""
    x = torch.from_numpy(two_phases(6, 16, 16) > 5)
    y = torch.from_numpy(random(6, 16, 16))
    stored = {"x": x[:, None] if channel_axis else x, "y": y}
    dataset = read_dataset(save_torch(tmp_path / "darcy_train_16.pt", stored))
    found_x, found_y = only(dataset)
    assert found_x.dtype == torch.float32
    torch.testing.assert_close(found_x[:, 0], x.float())
    torch.testing.assert_close(found_y[:, 0], y)
    assert dataset.problem.inputs[0].kind == Phases((0.0, 1.0))


def test_left_nodes_are_noticed(tmp_path):
    """Every 8th value of a 65-vertex field, the last one dropped: left nodes, zero on the boundary."""
    y = torch.from_numpy(vertex_bump(4, 129)[:, :-1:8, :-1:8].copy())
    dataset = read_dataset(save_torch(tmp_path / "left.pt", {"x": y + 1, "y": y}))
    assert grid_of(dataset) == Grid((16, 16), "left", ("dirichlet", "dirichlet"))
    assert dataset.problem.inputs[0].kind == Positive()
    stated = read_dataset(tmp_path / "left.pt", alignment="cell")
    assert grid_of(stated).alignment == "cell"


class Harmful:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_objects_in_a_pt_file_are_refused_and_not_run(tmp_path):
    trace = tmp_path / "trace"
    path = save_torch(tmp_path / "bad.pt", {"x": torch.ones(2, 4), "y": Harmful(trace)})
    with pytest.raises(DatasetError, match="besides tensors"):
        read_dataset(path)
    plain = tmp_path / "plain.pt"
    plain.write_bytes(pickle.dumps(Harmful(trace)))
    with pytest.raises(DatasetError):
        read_dataset(plain)
    assert not trace.exists()


def test_garbage_in_a_pt_file_is_not_called_objects(tmp_path):
    path = tmp_path / "bad.pt"
    for content in (b"garbage", bytes(range(256)), b"\x80" + bytes(200)):
        path.write_bytes(content)
        with pytest.raises(DatasetError, match=r"bad\.pt: (not a file that torch\.save wrote|the file ends early)"):
            read_dataset(path)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({"x": torch.ones(2, 4), "y": 3}, "'y' is a int"),
        ([torch.ones(2, 4)], "holds a list"),
        ({"x": torch.ones(2, 4), "y": torch.ones(2, 4).to_sparse()}, "sparse"),
        ({"x": torch.ones(2, 4), "y": torch.ones(2, 4, dtype=torch.complex64)}, "complex64"),
    ],
)
def test_a_pt_file_holds_dense_real_tensors_by_name(tmp_path, contents, message):
    with pytest.raises(DatasetError, match=message):
        read_dataset(save_torch(tmp_path / "bad.pt", contents))


def pdebench(path: Path, **contents: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in contents.items():
            file[name.replace("_coordinate", "-coordinate")] = array
    return path


def test_pdebench_darcy(tmp_path):
    x = axis_points(N, "cell").numpy().astype(np.float32)
    nu, tensor = two_phases(4, N, N).astype(np.float32), random(4, 1, N, N)
    dataset = read_dataset(pdebench(tmp_path / "d.hdf5", nu=nu, tensor=tensor, x_coordinate=x, y_coordinate=x))
    found_x, found_y = only(dataset)
    np.testing.assert_array_equal(found_x[:, 0], nu)
    np.testing.assert_array_equal(found_y, tensor)
    assert grid_of(dataset).alignment == "cell"


@pytest.mark.parametrize("grid", [(32,), (N, N)])
def test_pdebench_trajectory_maps_first_frame_to_last(tmp_path, grid):
    tensor = random(3, 7, *grid)
    coordinates = {"x_coordinate": np.arange(grid[0]) / grid[0], "t_coordinate": np.arange(8.0)}
    if len(grid) == 2:
        coordinates["y_coordinate"] = coordinates["x_coordinate"]
    dataset = read_dataset(pdebench(tmp_path / "t.hdf5", tensor=tensor, **coordinates))
    x, y = only(dataset)
    np.testing.assert_array_equal(x[:, 0], tensor[:, 0])
    np.testing.assert_array_equal(y[:, 0], tensor[:, -1])
    assert grid_of(dataset).alignment == "left"


def test_pdebench_flow_stacks_its_quantities(tmp_path):
    density, velocity = random(3, 5, 16, 16), 2 + random(3, 5, 16, 16)
    path = pdebench(tmp_path / "cfd.hdf5", density=density, Vx=velocity, x_coordinate=np.arange(16) / 16)
    x, y = only(read_dataset(path))
    np.testing.assert_array_equal(x, np.stack([velocity[:, 0], density[:, 0]], axis=1))
    np.testing.assert_array_equal(y, np.stack([velocity[:, -1], density[:, -1]], axis=1))
    x, y = only(read_dataset(path, inputs="density_first", outputs="density_last"))
    np.testing.assert_array_equal(y[:, 0], density[:, -1])


def test_pdebench_groups_of_samples(tmp_path):
    data = random(3, 5, N, N, 2)
    with h5py.File(tmp_path / "rd.h5", "w") as file:
        for k in range(3):
            file[f"{k:04d}/data"] = data[k]
            file[f"{k:04d}/grid/x"] = file[f"{k:04d}/grid/y"] = 2 * axis_points(N, "cell").numpy() - 1
    dataset = read_dataset(tmp_path / "rd.h5")
    x, y = only(dataset)
    np.testing.assert_array_equal(x, np.moveaxis(data[:, 0], -1, 1))
    np.testing.assert_array_equal(y, np.moveaxis(data[:, -1], -1, 1))
    assert grid_of(dataset).alignment == "cell"


def the_well(path: Path, steps: int | None, still: np.ndarray | None = None) -> tuple[Path, np.ndarray, np.ndarray]:
    """Two trajectories on 8 × 6 points: a scalar field, a vector field, periodic along y."""
    times = () if steps is None else (steps,)
    scalar, vector = random(2, *times, 8, 6), random(2, *times, 8, 6, 2)
    with h5py.File(path, "w") as file:
        file.attrs["n_trajectories"] = 2
        file.create_group("dimensions").attrs["spatial_dims"] = ["x", "y"]
        file["dimensions/x"] = axis_points(8, "left").numpy()
        file["dimensions/y"] = axis_points(6, "left").numpy()
        fields = {"t0_fields/pressure": scalar, "t1_fields/velocity": vector}
        if still is not None:
            fields["t0_fields/speed_of_sound"] = still
        for name, array in fields.items():
            file[name] = array
            file[name].attrs["sample_varying"] = array is not still
            file[name].attrs["time_varying"] = steps is not None and array is not still
            file[name].attrs["dim_varying"] = [True, True]
        file.create_group("t2_fields")
        wall = file.create_group("boundary_conditions/y_periodic")
        wall.attrs["bc_type"], wall.attrs["associated_dims"] = "PERIODIC", ["y"]
    return path, scalar, vector


def test_the_well_trajectories(tmp_path):
    """All moving fields are channels, first frame → last; what does not move is a further input."""
    still = random(8, 6)
    path, scalar, vector = the_well(tmp_path / "well.hdf5", steps=4, still=still)
    dataset = read_dataset(path)
    assert list(dataset.inputs) == ["state_first", "speed_of_sound"]
    for batch, frame, name in ((dataset.inputs, 0, "state_first"), (dataset.outputs, -1, "state_last")):
        expected = np.concatenate([scalar[:, frame, None], np.moveaxis(vector[:, frame], -1, 1)], axis=1)
        np.testing.assert_array_equal(batch[name], expected)
    np.testing.assert_array_equal(dataset.inputs["speed_of_sound"][1, 0], still)
    assert grid_of(dataset) == Grid((8, 6), "left", ("unknown", "periodic"))


def test_the_well_steady_maps_scalars_to_vectors(tmp_path):
    path, scalar, vector = the_well(tmp_path / "steady.hdf5", steps=None)
    x, y = only(read_dataset(path))
    np.testing.assert_array_equal(x[:, 0], scalar)
    np.testing.assert_array_equal(y, np.moveaxis(vector, -1, 1))


@pytest.mark.parametrize(
    "names", [("x", "y"), ("a", "u"), ("coeff", "sol"), ("input", "output"), ("inputs", "outputs")]
)
def test_npz_pairs(tmp_path, names):
    x, y = random(3, N, N), random(3, 2, N, N)
    np.savez(tmp_path / "d.npz", **{names[0]: x, names[1]: y})
    found_x, found_y = only(read_dataset(tmp_path / "d.npz"))
    np.testing.assert_array_equal(found_x[:, 0], x)
    np.testing.assert_array_equal(found_y, y)


@pytest.mark.parametrize("target", ["train_x.npy", "train_y.npy", ""])
def test_npy_pairs_by_either_file_or_their_directory(tmp_path, target):
    x, y = random(3, 20), random(3, 20)
    np.save(tmp_path / "train_x.npy", x)
    np.save(tmp_path / "train_y.npy", y)
    found_x, found_y = only(read_dataset(tmp_path / target))
    np.testing.assert_array_equal(found_x[:, 0], x)
    np.testing.assert_array_equal(found_y[:, 0], y)


def test_plain_hdf5_and_chosen_names(tmp_path):
    p, q = random(3, N), random(3, N)
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["run/p"], file["run/q"], file["note"] = p, q, "text"
    with pytest.raises(DatasetError, match=r"run/p \(3, 12\), run/q \(3, 12\).*--input-name and --output-name"):
        read_dataset(tmp_path / "d.h5")
    x, y = only(read_dataset(tmp_path / "d.h5", inputs=["run/q"], outputs="run/p"))
    np.testing.assert_array_equal(x[:, 0], q)
    np.testing.assert_array_equal(y[:, 0], p)
    with pytest.raises(DatasetError, match="no array 'r'; this HDF5 file holds run/p"):
        read_dataset(tmp_path / "d.h5", inputs="r", outputs="run/p")


def test_two_usual_pairs_are_ambiguous(tmp_path):
    np.savez(tmp_path / "d.npz", x=random(3, N), y=random(3, N), a=random(3, N), u=random(3, N))
    with pytest.raises(DatasetError, match="which arrays are inputs and outputs"):
        read_dataset(tmp_path / "d.npz")
    assert list(read_dataset(tmp_path / "d.npz", inputs="a", outputs="u").inputs) == ["a"]


def test_the_names_of_an_expected_problem_are_looked_for_first(tmp_path):
    spec = {name: FieldSpec(name, 1, Grid((N,))) for name in ("p", "q")}
    problem = RecordedProblem("f", (spec["p"],), (spec["q"],))
    np.savez(tmp_path / "d.npz", x=random(3, N), y=random(3, N), p=random(3, N), q=random(3, N))
    dataset = read_dataset(tmp_path / "d.npz", expected=problem)
    assert (list(dataset.inputs), list(dataset.outputs)) == (["p"], ["q"])
    assert list(read_inputs(tmp_path / "d.npz", expected=problem)) == ["p"]
    assert list(read_inputs(tmp_path / "d.npz", inputs="x", expected=problem)) == ["x"]


def test_a_name_that_a_data_set_of_ours_does_not_hold_is_refused(tmp_path):
    spec = [FieldSpec(name, 1, Grid((N,))) for name in ("x", "y")]
    fields = [Batch({name: torch.ones(2, 1, N)}) for name in ("x", "y")]
    write_dataset(tmp_path / "d.h5", Dataset(RecordedProblem("f", (spec[0],), (spec[1],)), *fields, "d"))
    assert list(read_inputs(tmp_path / "d.h5", inputs="x")) == ["x"]
    for read in (read_inputs, read_dataset):
        with pytest.raises(DatasetError, match="nosuch asked for, but this sciml file holds x"):
            read(tmp_path / "d.h5", inputs="nosuch")
    with pytest.raises(DatasetError, match="holds y"):
        read_dataset(tmp_path / "d.h5", outputs="x")


def test_inputs_can_be_read_alone(tmp_path):
    x = random(3, N, N)
    np.savez(tmp_path / "d.npz", x=x)
    np.testing.assert_array_equal(read_inputs(tmp_path / "d.npz")["x"][:, 0], x)
    np.save(tmp_path / "field.npy", x)
    np.testing.assert_array_equal(read_inputs(tmp_path / "field.npy")["x"][:, 0], x)
    with pytest.raises(DatasetError, match="--output-name"):
        read_dataset(tmp_path / "d.npz")
    x[1:, 0, 0] = np.inf
    np.savez(tmp_path / "d.npz", x=x)
    with pytest.raises(DatasetError, match="2 of 3 samples"):
        read_inputs(tmp_path / "d.npz")


@pytest.mark.parametrize(
    ("x", "y", "channels", "grid"),
    [
        ((5, 3, 32, 32), (5, 32, 32), (3, 1), (32, 32)),
        ((5, 32, 32, 3), (5, 32, 32), (3, 1), (32, 32)),
        ((5, 20, 32, 32), (5, 32, 32), (20, 1), (32, 32)),
        ((5, 8, 8, 8), (5, 8, 8, 8), (1, 1), (8, 8, 8)),
        ((5, 1, 8, 8, 8), (5, 2, 8, 8, 8), (1, 2), (8, 8, 8)),
        ((5, 16, 16), (5, 16, 16), (1, 1), (16, 16)),
        ((5, 2, 64), (5, 64), (2, 1), (64,)),
    ],
)
def test_axes_are_read_so_that_both_fields_share_a_grid(tmp_path, x, y, channels, grid):
    np.savez(tmp_path / "d.npz", x=random(*x), y=random(*y))
    found_x, found_y = only(read_dataset(tmp_path / "d.npz"))
    assert found_x.shape == (5, channels[0], *grid)
    assert found_y.shape == (5, channels[1], *grid)


def test_nan_is_reported_with_count_and_indices(tmp_path):
    y = random(9, N, N)
    y[[2, 5, 7], 0, 3] = np.nan
    np.savez(tmp_path / "d.npz", x=random(9, N, N), y=y)
    with pytest.raises(DatasetError, match=r"field 'y' holds NaN or infinity in 3 of 9 samples \(first: 2, 5, 7\)"):
        read_dataset(tmp_path / "d.npz")


def test_different_numbers_of_samples_are_refused(tmp_path):
    np.savez(tmp_path / "d.npz", x=random(9, N), y=random(8, N))
    with pytest.raises(DatasetError, match=r"different numbers of samples \(x 9, y 8\)"):
        read_dataset(tmp_path / "d.npz")


def every_format(folder: Path) -> list[Path]:
    x, y = random(20, 16, 16), random(20, 16, 16)
    np.savez(folder / "d.npz", x=x, y=y)
    np.save(folder / "d_x.npy", x)
    np.save(folder / "d_y.npy", y)
    return [
        folder / "d.npz",
        folder / "d_x.npy",
        matlab_5(folder / "d5.mat", coeff=x, sol=y),
        matlab_73(folder / "d73.mat", coeff=x, sol=y),
        save_torch(folder / "d.pt", {"x": torch.from_numpy(x), "y": torch.from_numpy(y)}),
        pdebench(folder / "d.hdf5", nu=x, tensor=y[:, None]),
        the_well(folder / "w.hdf5", steps=3)[0],
    ]


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.95])
def test_truncated_files_are_refused_in_one_line(tmp_path, share):
    for path in every_format(tmp_path):
        assert read_dataset(path).count > 0
        whole = path.read_bytes()
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(DatasetError) as caught:
            read_dataset(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_foreign_and_missing_files_are_refused(tmp_path):
    (tmp_path / "d.mat").write_text("not a data file")
    with pytest.raises(DatasetError, match="unknown format"):
        read_dataset(tmp_path / "d.mat")
    with pytest.raises(DatasetError, match="no such file"):
        read_dataset(tmp_path / "none.pt")
    with pytest.raises(DatasetError, match=r"expected one pair NAME_x\.npy"):
        read_dataset(tmp_path)
    np.savez(tmp_path / "o.npz", x=np.array([{}, {}], dtype=object), y=random(2, 4))
    with pytest.raises(DatasetError, match="Python objects"):
        read_dataset(tmp_path / "o.npz")
    np.savez(tmp_path / "c.npz", x=random(2, 4).astype(complex), y=random(2, 4))
    with pytest.raises(DatasetError, match="complex"):
        read_dataset(tmp_path / "c.npz")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_pair_of_real_arrays_survives(tmp_path, data):
    """Whatever the shape, dtype and byte order: values stay, precision stays, whole numbers become float32."""
    dtype = np.dtype(data.draw(st.sampled_from(["<f4", ">f4", "<f8", ">f8", "u1", "<i4", "?"])))
    grid = data.draw(st.lists(st.integers(4, 7), min_size=1, max_size=3))
    elements = {"allow_nan": False, "allow_infinity": False} if dtype.kind == "f" else None
    shape = (data.draw(st.integers(1, 4)), *grid)
    x = data.draw(arrays(dtype, shape, elements=elements))
    np.savez(tmp_path / "d.npz", x=x, y=x)
    scipy.io.savemat(
        tmp_path / "d.mat", {"x": x.astype(dtype.newbyteorder("=")), "y": x.astype(dtype.newbyteorder("="))}
    )
    for name in ("d.npz", "d.mat"):
        found, _ = only(read_dataset(tmp_path / name))
        assert found.dtype == {"f8": torch.float64}.get(dtype.str[1:], torch.float32)
        np.testing.assert_array_equal(found[:, 0], x.astype(found.numpy().dtype))
