"""Meshes of an experiment that are read from files: which of them are for training, and what is given and predicted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from meshes import MeshFileError, open_meshes
from pde_benchmarks.datasets import MeshFolder, read_mesh_folder, read_mesh_splits
from sciml.errors import ConfigurationError
from sciml.experiments.data import TEST, Watcher
from sciml.learners.mmgp.parts import PartFamily
from sciml.mesh_experiments.components import vectors_in
from sciml.mesh_experiments.experiment import MeshExperiment
from sciml.mesh_experiments.found import found_in_files, is_mesh_file
from sciml.mesh_experiments.option_words import options_in_words
from sciml.mesh_experiments.plaid_sets import PlaidChoice, is_plaid, plaid_sets, plaid_tests
from sciml.report import counted

__all__ = ["holds_meshes", "read_meshes_like", "recorded_meshes"]

#: Of samples in one folder, every so manieth is tested on.
_EVERY = 5


def recorded_meshes(
    experiment: MeshExperiment, watcher: Watcher
) -> tuple[PartFamily, MeshFolder, dict[str, MeshFolder], tuple[str, ...]]:
    """Names of a family, its training samples, its test sets by name, and what was found in sentences.

    Every file is read once, so that all faulty ones are named before the training begins.

    Raises
    ------
    ConfigurationError, DatasetError, MeshFileError
        No samples, too few of them, or samples that do not have what is asked for.
    """
    with options_in_words():
        train, tests = _sets(experiment)
        with watcher.bar("checking files") as advance:
            for number, folder in enumerate((train, *tests.values())):
                advance(number / (1 + len(tests)), counted(len(folder), "sample"))
                folder.check()
    family = _family(experiment, train)
    return family, train, tests, found_in_files(experiment, family, train, tests)


def read_meshes_like(
    path: Path, family: PartFamily, scalars: Path | str | None, experiment: MeshExperiment | None = None
) -> dict[str, MeshFolder]:
    """Test sets by name, with the fields and scalars of a family, each sample read once; raises as `recorded_meshes`.

    Parameters
    ----------
    experiment
        The one whose run is tested: it says which fields are on cells, and how a PLAID data set is read.
    """
    asked = experiment or MeshExperiment(data=str(path))
    on_cells = tuple(name for name in family.fields if _is_of(name, asked.cell_fields))
    wanted = {
        "fields": tuple(name for name in family.fields if name not in on_cells),
        "cell_fields": on_cells,
        "inputs": family.input_scalars,
        "outputs": family.output_scalars,
    }
    with options_in_words():
        if is_plaid(path):
            _refuse_table(path, scalars)
            choice = replace(PlaidChoice.of(asked.plaid), definition=None, split=None)
            found = {f"{path.stem}_{name}": one for name, one in plaid_tests(path, choice, wanted).items()}
        else:
            found = {path.stem: read_mesh_folder(path, **wanted, scalars=_table(scalars, path), ending=asked.ending)}
        for folder in found.values():
            folder.check()
    return found


def holds_meshes(path: Path) -> bool:
    """Whether a folder, its sub-folders or a file are of meshes, or a folder is of PLAID's."""
    if is_plaid(path):
        return True
    if path.is_dir():
        folders = (path, *(entry for entry in path.iterdir() if entry.is_dir()))
        return any(is_mesh_file(file) for folder in folders for file in folder.iterdir())
    if path.suffix not in (".h5", ".hdf5"):
        return is_mesh_file(path)
    try:
        open_meshes(path)
    except MeshFileError:
        return False
    return True


def _sets(experiment: MeshExperiment) -> tuple[MeshFolder, dict[str, MeshFolder]]:
    path = Path(str(experiment.data))
    fields = tuple(experiment.fields) if experiment.fields or experiment.cell_fields else None
    inputs, outputs = experiment.inputs or None, tuple(experiment.outputs)
    wanted: dict[str, Any] = {"fields": fields, "cell_fields": tuple(experiment.cell_fields)}
    wanted |= {"inputs": inputs, "outputs": outputs}
    if is_plaid(path):
        _refuse_table(path, experiment.scalars)
        if experiment.test_data is not None:
            raise ConfigurationError(f"--test-data: {path} is a PLAID data set, its other splits are tested on.")
        choice = PlaidChoice.of(experiment.plaid)
        return _first_and_others(path, plaid_sets(path, choice, {**wanted, "outputs": outputs or None}))
    if experiment.plaid:
        raise ConfigurationError(f"--plaid: {path} is no PLAID data set (no infos.yaml in it): leave it out.")
    wanted["ending"] = experiment.ending
    if experiment.test_data is not None:
        return _with_tests(path, Path(experiment.test_data), experiment.scalars, wanted)
    if _has_splits(path):
        return _first_and_others(path, read_mesh_splits(path, **wanted, scalars=experiment.scalars))
    return _parted(path, read_mesh_folder(path, **wanted, scalars=_table(experiment.scalars, path)))


def _with_tests(
    path: Path, other: Path, scalars: str | None, wanted: dict[str, Any]
) -> tuple[MeshFolder, dict[str, MeshFolder]]:
    """Samples of two folders; the first decides what "all fields" are."""
    train = read_mesh_folder(path, **wanted, scalars=_table(scalars, path))
    same = {**wanted, "fields": train.point_fields, "inputs": train.input_scalars}
    return train, {TEST: read_mesh_folder(other, **same, scalars=_table(scalars, other))}


def _first_and_others(path: Path, splits: dict[str, MeshFolder]) -> tuple[MeshFolder, dict[str, MeshFolder]]:
    """The first split and the others; if there is only one, it is parted."""
    first, *others = splits
    if not others and is_plaid(path):
        return _parted(path, splits[first])
    if not others:
        raise ConfigurationError(f"{path}: one split, {first}: give another by --test-data, or its folder itself.")
    return splits[first], {name: splits[name] for name in others}


def _parted(path: Path, both: MeshFolder) -> tuple[MeshFolder, dict[str, MeshFolder]]:
    """Every so manieth sample is kept for testing."""
    if len(both) < 2 * _EVERY:
        raise ConfigurationError(
            f"{path}: {counted(len(both), 'sample')}, expected at least {2 * _EVERY} to learn from and to test on; "
            "give more, or test samples of their own by --test-data."
        )
    return both.subset([i for i in range(len(both)) if (i + 1) % _EVERY]), {TEST: both[_EVERY - 1 :: _EVERY]}


def _family(experiment: MeshExperiment, train: MeshFolder) -> PartFamily:
    """With vectors as the files have them, and as they are named."""
    found = vectors_in(train.fields, train[0].space_dimension)
    named = tuple(tuple(names) for names in experiment.vectors)
    members = {name for names in named for name in names}
    vectors = (*named, *(names for names in found if not members & set(names)))
    return PartFamily(
        train.fields, train.input_scalars, train.output_scalars, tuple(experiment.landmarks), vectors=vectors
    )


def _is_of(name: str, stored: list[str]) -> bool:
    """Whether a field is one of those, or a component of one."""
    return any(name == one or name.startswith(f"{one}_") for one in stored)


def _refuse_table(path: Path, scalars: Path | str | None) -> None:
    if scalars is not None:
        raise ConfigurationError(f"--scalars: {path} is a PLAID data set, which holds its scalars: leave it out.")


def _has_splits(path: Path) -> bool:
    return path.is_dir() and any(entry.name.startswith("train") for entry in path.iterdir() if _is_split(entry))


def _is_split(entry: Path) -> bool:
    return entry.is_dir() or entry.suffix in (".h5", ".hdf5")


def _table(scalars: Path | str | None, folder: Path) -> Path | None:
    """The CSV file as it is named, or of this name in the folder of the meshes."""
    if scalars is None:
        return None
    inside = folder / scalars
    return inside if not Path(scalars).is_file() and inside.is_file() else Path(scalars)
