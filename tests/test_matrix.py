"""Every marked cell of the matrix of learners × problems works through the public API, and the page says no more."""

from __future__ import annotations

import importlib.util
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

from pde_benchmarks.datasets import Dataset
from pde_benchmarks.errors import ConfigurationError
from pde_benchmarks.problem import Batch
from pde_benchmarks.registry import configure, mesh_problem_types, problem_types
from sciml.learner import learner_types, load
from sciml.matrix import as_text, installed_matrices
from sciml.mesh_learner import load_mesh_learner, mesh_learner_types
from sciml.training import Trainer, TrainingConfig

PAGE = Path(__file__).resolve().parents[1] / "docs" / "matrix.md"

#: What makes a problem tiny.
PROBLEMS = {
    "burgers": {"resolution": 16, "viscosity": 0.1},
    "burgers-space-time": {"resolution": 33, "frames": 5, "viscosity": 0.3},
    "burgers-trajectories": {"resolution": 32, "frames": 3, "viscosity": 0.3},
    "burgers-walls": {"resolution": 32, "frames": 3, "viscosity": 0.3},
    "corrections": {"whole": {"name": "darcy", "config": {"resolution": 16}}},
    "darcy": {"resolution": 16},
    "darcy-blocks": {"resolution": 13},
    "darcy-smooth": {"resolution": 13},
    "darcy-three-phase": {"resolution": 13},
    "darcy-two-phase": {"resolution": 13},
    "darcy-upscaled": {"resolution": 16, "refinement": 2},
    "denoising": {"resolution": 16},
    "denoising-images": {"shape": (16, 16)},
    "diffusion-sorption": {"resolution": 16, "frames": 7},
    "diffusion-sorption-hard": {"resolution": 16, "frames": 7},
    "fitzhugh-nagumo": {"resolution": 32, "frames": 3},
    "gray-scott": {"resolution": 32, "frames": 3},
    "helmholtz": {"resolution": 17, "frequency": 400.0},
    "kuramoto-sivashinsky": {"resolution": 32, "frames": 3, "transient": 1.0},
    "navier-stokes": {"resolution": 16, "frames": 3},
    "navier-stokes-decay": {"resolution": 8, "frames": 4, "carried_points": 4},
    "pipe": {"resolution": 17},
    "poisson": {"resolution": 16},
    "pressure": {"resolution": 16},
    "reaction-diffusion": {"resolution": 17, "frames": 3},
    "robertson": {"count": 4},
    "stokes-cylinder": {"resolution": 17},
    "van-der-pol": {"frames": 4},
    "aerofoil": {"size": 0.1, "edge_size": 0.01},
    "blade": {"coarsest": (8, 6, 2), "finest": (10, 7, 2)},
    "blade-all": {"coarsest": (8, 6, 2), "finest": (10, 7, 2)},
    "bracket": {"smallest": 8.0, "largest": 9.0},
    **{name: {"size": 0.08} for name in ("plate", "plate-all", "plate-hole", "plate-linear", "plate-steps")},
}
ON_GRIDS = {"channels": 4, "layers": 1}
PADDED = {**ON_GRIDS, "fit": "pad"}  # grids that the levels do not halve
AT_POINTS = {"latent": 4, "width": 8, "depth": 3}
IN_TIME = {"width": 4, "depth": 1}
ON_MESHES = {"refinements": 0, "folds": 3}
REGRESSION = {"gaussian_processes": {"restarts": 1, "max_iterations": 10}, "heavy_tailed": ()}
#: What makes a learner small.
LEARNERS = {
    "mgno": PADDED,
    "mgno-data": ON_GRIDS,
    "mgno-published": PADDED,
    "mgno-scale": {"channels": 4},
    "fno": {**ON_GRIDS, "modes": 2},
    "unet": {"channels": 4, "depth": 1},
    "multionet": {**AT_POINTS, "aggregate": 2},
    "deeponet": AT_POINTS,
    "dgno": {**AT_POINTS, "aggregate": 2, "coefficient_width": 8},
    "hard-constraint": {"functions": 4, **ON_GRIDS},
    "soft-constraint": ON_GRIDS,
    "dcdm-published": {"channels": 4, "vectors": 16},
    "lpn": {"widths": (4, 4), "strides": (1, 2), "filters": 3},
    "neural-ode": IN_TIME,
    "latent-ode": {**IN_TIME, "latent": 3},
    "neural-sde": {**IN_TIME, "latent": 3},
    "mmgp": {**ON_MESHES, **REGRESSION, "scalar_transforms": "none"},
    "mmgp-published": {"folds": 3, "shape_modes": 3, "field_modes": 3, **REGRESSION},
    "nearest": ON_MESHES,
}
#: What single cells need beside it.
CELLS = {
    ("robertson", "neural-sde"): {"time": "logarithmic"},
    # Its own morphing is of discs, and these parts have a hole.
    ("aerofoil", "mmgp-published"): {"morphing": "auto"},
    ("plate-hole", "mmgp-published"): {"morphing": "auto"},
}
#: Cells that take more than a few seconds: their meshes are dear.
DEAR = ("aerofoil", "blade", "blade-all", "bracket", "plate-all", "plate-linear", "plate-steps", "stokes-cylinder")


def marked_cells():
    """Problem, learner and letters of every marked cell on the page: to read it costs nothing."""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|  |"):
            learners = cells[1:]
        elif line.startswith("| ") and "---" not in line:
            yield from ((cells[0], name, mark) for name, mark in zip(learners, cells[1:], strict=True) if mark != "·")


MARKED = list(marked_cells())
FIRST = {learner: problem for problem, learner, _ in reversed(MARKED) if problem not in DEAR}


def marks(number, problem, learner):
    """Every third cell, and the first one of each learner, are run always."""
    usual = number % 3 == 0 or FIRST.get(learner) == problem
    return [] if usual and problem not in DEAR else [pytest.mark.slow]


def cases(marked):
    return [
        pytest.param(problem, learner, marks=marks(number, problem, learner), id=f"{learner}-{problem}")
        for number, (problem, learner, _) in enumerate(marked)
    ]


ON_FIELDS = [cell for cell in MARKED if cell[0] not in mesh_problem_types()]
ON_PARTS = [cell for cell in MARKED if cell[0] in mesh_problem_types()]


@cache
def samples(name):
    problem = configure(problem_types()[name], PROBLEMS[name])
    # Recorded images have no law: these are of another one.
    law = problem if name != "denoising-images" else configure(problem_types()["denoising"], PROBLEMS["denoising"])
    inputs = law.sample(6, torch.Generator().manual_seed(0))
    return Dataset(problem, inputs, law.solve(inputs), name)


@cache
def parts(name):
    problem = configure(mesh_problem_types()[name], PROBLEMS[name])
    return problem, [problem.solve(problem.part(d, seed)) for seed, d in enumerate(problem.designs(10, 0))]


def untrained(data, learner, **more):
    kind = learner_types()[learner]
    chosen = {**LEARNERS.get(learner, {}), **CELLS.get((data.name, learner), {}), **more}
    return kind.from_problem(data.problem, configure(kind.config_type, chosen))


def fitted(data, learner, **more):
    built = untrained(data, learner, **more)
    few = Dataset(data.problem, data.inputs.rows(slice(0, 2)), samples(data.name).outputs.rows(slice(0, 2)), data.name)
    built.fit(data, few, Trainer(TrainingConfig(steps=2, batch_size=3, validations=1)))
    return built, few.inputs


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("problem", "learner"), cases(ON_FIELDS))
def test_a_learner_of_fields_is_trained_saved_and_loaded(problem, learner, tmp_path):
    built, inputs = fitted(samples(problem), learner)
    built.save(tmp_path)
    before, after = built.predict(inputs), load(tmp_path).predict(inputs)
    assert set(before.mean) == {spec.name for spec in built.problem.outputs}
    assert same(before.mean, after.mean)
    assert (before.std is None) == (after.std is None)
    assert before.std is None or same(before.std, after.std)


@pytest.mark.parametrize(("problem", "learner"), cases(ON_PARTS))
def test_a_learner_of_parts_is_trained_saved_and_loaded(problem, learner, tmp_path):
    posed, meshes = parts(problem)
    kind = mesh_learner_types()[learner]
    settings = {**LEARNERS[learner], **CELLS.get((problem, learner), {})}
    built = kind.from_problem(posed, configure(kind.config_type, settings))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so few parts are too few, and say so
        built.fit(meshes[:8])
        before = built.predict(meshes[8:])
        built.save(tmp_path)
        after = load_mesh_learner(tmp_path).predict(meshes[8:])
    for one, other in zip(before, after, strict=True):
        assert set(one.mean) == set(posed.fields)
        assert same(one.mean, other.mean)
        assert one.scalar_mean == other.scalar_mean
        for name, deviation in one.std.items():
            torch.testing.assert_close(other.std[name], deviation, rtol=1e-12, atol=0)


OFFERED = {"U": "uncertainty", "R": "resolution_change", "N": "no_labels"}


def first_cells(letter):
    """Of every learner that offers it the first cell."""
    found = {
        learner: problem
        for problem, learner, mark in reversed(ON_FIELDS)
        if letter in mark[1:] and "resolution" in PROBLEMS[problem]
    }
    return [
        pytest.param(learner, problem, id=f"{OFFERED[letter]}-{learner}") for learner, problem in sorted(found.items())
    ]


def asked_for(learner, letter):
    """The settings that a capability takes, as a user would type them."""
    settings = learner_types()[learner].capabilities.offers[OFFERED[letter]].settings
    pairs = [pair.strip().partition("=") for pair in settings.split(",") if pair]
    return {key: int(value) if value.isdigit() else value for key, _, value in pairs}


@pytest.mark.parametrize(("learner", "problem"), first_cells("U"))
def test_who_offers_uncertainty_gives_deviations(learner, problem):
    built, inputs = fitted(samples(problem), learner, **asked_for(learner, "U"))
    deviation = built.predict(inputs).std
    assert all((field >= 0).all() and field.isfinite().all() for field in deviation.values())


@pytest.mark.parametrize(("learner", "problem"), first_cells("N"))
def test_who_needs_no_labels_reads_none(learner, problem):
    seen = samples(problem)
    nothing = Batch({name: torch.full_like(field, torch.nan) for name, field in seen.outputs.items()})
    built, inputs = fitted(Dataset(seen.problem, seen.inputs, nothing, problem), learner, **asked_for(learner, "N"))
    assert all(field.isfinite().all() for field in built.predict(inputs).mean.values())


@pytest.mark.parametrize(("learner", "problem"), first_cells("R"))
def test_who_changes_the_resolution_predicts_on_a_finer_grid(learner, problem):
    built, _ = fitted(samples(problem), learner)
    finer = replace(built.problem, resolution=2 * built.problem.resolution - built.problem.resolution % 2)
    inputs = finer.sample(2, torch.Generator().manual_seed(1))
    (spec, *_) = finer.outputs
    assert built.predict(inputs).mean[spec.name].shape == finer.solve(inputs)[spec.name].shape


@pytest.mark.slow
@pytest.mark.parametrize("problem", list(dict.fromkeys(problem for problem, _, _ in ON_FIELDS)))
def test_with_default_settings_a_marked_cell_can_be_built_or_names_the_setting(problem):
    posed = problem_types()[problem]()
    for learner in (learner for name, learner, _ in ON_FIELDS if name == problem):
        try:
            learner_types()[learner].from_problem(posed)
        except ConfigurationError as error:
            assert "fit=pad" in str(error)  # noqa: PT017  # others need no setting


def test_the_page_is_what_is_installed():
    spec = importlib.util.spec_from_file_location("matrix_page", PAGE.with_suffix(".py"))
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert PAGE.read_text(encoding="utf-8") == script.page(), "run python docs/matrix.py"


def test_at_least_forty_cells_are_run_always():
    usual = [case for case in cases(ON_FIELDS) + cases(ON_PARTS) if not case.marks]
    assert len(usual) >= 40
    assert {learner for _, learner, _ in MARKED} == {case.values[1] for case in usual}


@pytest.mark.parametrize("width", [60, 100, 400])
def test_the_table_fits_the_terminal_and_loses_no_cell(width):
    text = as_text(installed_matrices(), width)
    tables = text.partition("\nF  ")[0]
    assert max(map(len, tables.splitlines())) <= width
    words = [word for line in tables.splitlines() for word in line.split() if word.startswith("F") and word.isupper()]
    assert sorted(words) == sorted(mark for _, _, mark in MARKED)
