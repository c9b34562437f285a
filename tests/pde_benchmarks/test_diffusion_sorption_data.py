"""Diffusion and sorption: laws of the data, the published file, and input that has no meaning."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pde_benchmarks.datasets import read_dataset
from pde_benchmarks.diffusion_sorption import DiffusionSorption, DiffusionSorptionHard, read_diffusion_sorption
from pde_benchmarks.errors import DatasetError, ProblemError
from pde_benchmarks.grid import axis_points
from pde_benchmarks.problem import Batch
from pde_benchmarks.registry import describe_problem, problem_types, rebuild_problem

FRAMES, CELLS = 5, 16
PROBLEMS = pytest.mark.parametrize(
    "problem",
    [DiffusionSorption(resolution=CELLS, frames=FRAMES), DiffusionSorptionHard(resolution=CELLS, frames=9, levels=3)],
    ids=lambda problem: problem.name,
)


def sampled(problem, count=3, seed=0):
    return problem.sample(count, torch.Generator().manual_seed(seed))


def miniature(path, samples=3, cells=CELLS, frames=FRAMES, channels=1, alignment="cell"):
    """A file in the layout of the public one; the fields are those of the problem itself."""
    problem = DiffusionSorption(resolution=cells, frames=frames, refinement=1, steps=1)
    data = problem.solve(sampled(problem, samples))["solution"][:, 0, :, :, None].float()
    data = data.expand(-1, -1, -1, channels).numpy()
    with h5py.File(path, "w") as file:
        for k in range(samples):
            file[f"{k:04d}/data"] = data[k]
            file[f"{k:04d}/grid/x"] = axis_points(cells, alignment).numpy().astype(np.float32)
            file[f"{k:04d}/grid/t"] = np.linspace(0, 500, frames, dtype=np.float32)
    return path, data


@PROBLEMS
def test_problems_are_installed_and_survive_json(problem):
    assert problem_types()[problem.name] is type(problem)
    assert rebuild_problem(describe_problem(problem)) == problem


@PROBLEMS
def test_what_is_sampled_passes_its_own_check(problem):
    inputs = sampled(problem, 20)
    problem.check(inputs)
    assert all(array.shape == (20, 1, problem.frames, CELLS) for array in inputs.values())
    assert {spec.name for spec in problem.inputs} == set(inputs)
    assert inputs["initial"].min() >= 0
    assert inputs["initial"].max() <= 0.2


@PROBLEMS
def test_one_seed_is_one_sample(problem):
    assert all(torch.equal(sampled(problem)[name], sampled(problem)[name]) for name in sampled(problem))


@settings(deadline=None, max_examples=10)
@given(levels=st.integers(1, 8), seed=st.integers(0, 100))
def test_left_values_jump_as_often_as_asked(levels, seed):
    """``levels`` plateaus in [0.2, 1], the first of which holds from the start to the first frame at least."""
    problem = DiffusionSorptionHard(resolution=8, frames=9, levels=levels)
    left = sampled(problem, 5, seed)["left"][:, 0, :, 0]
    assert ((left.diff(dim=1) != 0).sum(1) == levels - 1).all()
    assert (left[:, 0] == left[:, 1]).all()
    assert left.min() >= 0.2
    assert left.max() <= 1


def test_diffusivities_are_log_uniform():
    spread = sampled(DiffusionSorptionHard(resolution=8), 2000)["diffusivity"][:, 0, 0, 0].log10()
    assert -4 <= spread.min() < -3.98
    assert -3.02 < spread.max() <= -3
    assert spread.mean().item() == pytest.approx(-3.5, abs=0.03)


def test_initial_functions_are_the_same_at_every_resolution():
    """One seed is one function: cell centres shared by 8 and 24 cells hold equal values."""
    coarse, fine = (sampled(DiffusionSorptionHard(resolution=n))["initial"][:, 0, 0] for n in (8, 24))
    torch.testing.assert_close(fine[:, 1::3], coarse)


def test_published_file_holds_whole_trajectories(tmp_path):
    path, data = miniature(tmp_path / "1D_diff-sorp_NA_NA.h5")
    dataset = read_diffusion_sorption(path)
    assert dataset.problem == DiffusionSorption(resolution=CELLS, frames=FRAMES)
    np.testing.assert_array_equal(dataset.outputs["solution"][:, 0], data[..., 0])
    np.testing.assert_array_equal(dataset.inputs["initial"][:, 0, 2], data[:, 0, :, 0])
    assert read_diffusion_sorption(path, count=2).count == 2
    dataset.problem.check(dataset.inputs)
    assert read_dataset(path).outputs["data_last"].shape == (3, 1, CELLS)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.95])
def test_truncated_files_are_refused_in_one_line(tmp_path, share):
    path, _ = miniature(tmp_path / "t.h5")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DatasetError) as caught:
        read_diffusion_sorption(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_foreign_files_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="no such file"):
        read_diffusion_sorption(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("no data")
    with pytest.raises(DatasetError, match="not an HDF5 file"):
        read_diffusion_sorption(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["tensor"] = np.ones((2, 3, 4))
    with pytest.raises(DatasetError, match="no samples of diffusion and sorption: expected groups 0000"):
        read_diffusion_sorption(tmp_path / "other.h5")
    with h5py.File(tmp_path / "bare.h5", "w") as file:
        file["0000/data"] = np.ones((3, 8, 1))
    with pytest.raises(DatasetError, match="sample 0000 holds data: expected groups"):
        read_diffusion_sorption(tmp_path / "bare.h5")
    with pytest.raises(DatasetError, match=r"data of shape \(5, 16, 2\) on 5 frames and 16 cells"):
        read_diffusion_sorption(miniature(tmp_path / "two.h5", channels=2)[0])
    with pytest.raises(DatasetError, match="expected the centres of equal cells"):
        read_diffusion_sorption(miniature(tmp_path / "nodes.h5", alignment="vertex")[0])
    with pytest.raises(DatasetError, match="7 samples asked for, the file holds 3"):
        read_diffusion_sorption(miniature(tmp_path / "few.h5")[0], count=7)


def test_samples_that_differ_or_are_not_finite_are_refused(tmp_path):
    path, data = miniature(tmp_path / "d.h5")
    with h5py.File(path, "a") as file:
        file["0001/data"][2, 3] = np.nan
    with pytest.raises(DatasetError, match="holds NaN or infinity in 1 of 3 samples"):
        read_diffusion_sorption(path)
    with h5py.File(path, "a") as file:
        del file["0002/data"]
        file["0002/data"] = data[2, 1:]
    with pytest.raises(DatasetError, match=r"sample 0002 has no data of shape \(5, 16, 1\)"):
        read_diffusion_sorption(path)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"porosity": 1.0}, "porosity 1.0: a number between 0 and 1"),
        ({"density": -1.0}, "density -1.0"),
        ({"exponent": 1.5}, "exponent 1.5: above 0 and at most 1"),
        ({"diffusivity": 0.0}, "diffusivity 0.0: a positive number"),
        ({"duration": float("inf")}, "duration inf"),
        ({"resolution": 4}, "resolution 4, frames 51: at least 8 cells"),
        ({"frames": 1}, "at least 8 cells and 2 frames"),
        ({"refinement": 2}, "refinement 2: an odd number"),
        ({"steps": 0}, "steps 0"),
        ({"right_sign": "other"}, "right_sign 'other' is unknown: use generator or printed"),
    ],
)
def test_parameters_without_meaning_are_refused(parameters, message):
    with pytest.raises(ProblemError, match=message):
        DiffusionSorption(**parameters)


def test_the_hard_law_refuses_its_own_parameters():
    with pytest.raises(ProblemError, match=r"low 0\.1, high 0\.01: expected 0 < low"):
        DiffusionSorptionHard(low=0.1, high=0.01)
    with pytest.raises(ProblemError, match="levels 9: between 1 and 4 fit 5 frames"):
        DiffusionSorptionHard(frames=5, levels=9)


@pytest.mark.filterwarnings("ignore:.* is ill-posed")
@pytest.mark.parametrize("kind", [DiffusionSorption, DiffusionSorptionHard])
def test_the_printed_sign_is_refused_on_fine_cells(kind):
    """h ≤ 2D: dividing by h/2 − D, the discrete boundary term changes its sign."""
    with pytest.warns(RuntimeWarning, match="right end is ill-posed, .* use right_sign=generator"):
        kind(right_sign="printed")
    with pytest.raises(ProblemError, match=r"right_sign=printed .* ill-posed .* use right_sign=generator"):
        kind(right_sign="printed", resolution=1024)


@pytest.mark.filterwarnings("ignore:.* is ill-posed")
def test_the_printed_sign_is_refused_on_the_fine_cells_of_the_reference():
    problem = DiffusionSorption(right_sign="printed", resolution=64, frames=3, refinement=17)
    with pytest.raises(ProblemError, match=r"on 1088 cells: .* lower resolution and refinement"):
        problem.solve(sampled(problem, 1))


@PROBLEMS
def test_data_without_meaning_are_refused(problem):
    inputs = sampled(problem)

    def changed(name, where, value):
        field = inputs[name].clone()
        field[where] = value
        return inputs.merged({name: field})

    with pytest.raises(ProblemError, match=r"'initial' of sample 1 reaches -0\.1"):
        problem.check(changed("initial", 1, -0.1))
    with pytest.raises(ProblemError, match="'initial' of sample 2 reaches nan"):
        problem.check(changed("initial", (2, 0, 0, 0), torch.nan))
    with pytest.raises(ProblemError, match="'initial' of sample 2 varies along time"):
        problem.check(changed("initial", (2, 0, 3), 0.7))
    with pytest.raises(ProblemError, match="'initial' of sample 1 reaches nan"):
        problem.solve(changed("initial", 1, torch.nan))
    column = problem.column(changed("initial", 1, torch.nan))
    with pytest.raises(ProblemError, match="sample 1 of the batch does not settle"):
        column.stage(column.initial, column.rate, column.initial)
    with pytest.raises(ProblemError, match=r"initial: array of shape \(3, 1, 16\)"):
        problem.solve(inputs.merged({"initial": inputs["initial"][:, :, 0]}))


def test_data_of_the_hard_variant_without_meaning_are_refused():
    problem = DiffusionSorptionHard(resolution=CELLS, frames=9)
    inputs = sampled(problem)
    uneven = torch.rand(3, 1, 9, CELLS, dtype=torch.float64)
    with pytest.raises(ProblemError, match="'left' of sample 0 varies along the column"):
        problem.check(inputs.merged({"left": uneven}))
    with pytest.raises(ProblemError, match="'diffusivity' of sample 0 varies along time"):
        problem.check(inputs.merged({"diffusivity": uneven}))
    with pytest.raises(ProblemError, match="'diffusivity' must be positive everywhere"):
        problem.check(inputs.merged({"diffusivity": 0 * uneven}))
    with pytest.raises(ProblemError, match="no field 'left'"):
        problem.solve(Batch({"initial": inputs["initial"]}))
    with pytest.raises(ProblemError, match=r"left: array of shape \(3, 1, 9\), but that of initial is \(3, 1, 9, 16\)"):
        problem.solve(inputs.merged({"left": inputs["left"][..., 0]}))
