"""Meshes of an experiment that are read from files: which of them are for training, and what is given and predicted."""

from __future__ import annotations

import glob
from pathlib import Path

from meshes import Mesh, MeshFileError, open_meshes, read_mesh
from meshes.files.formats import FORMATS
from pde_benchmarks.datasets import MeshFolder, read_mesh_folder, read_mesh_splits
from sciml.errors import ConfigurationError
from sciml.experiments.data import TEST, Watcher
from sciml.learners.mmgp.parts import PartFamily
from sciml.mesh_experiments.experiment import MeshExperiment
from sciml.report import counted

__all__ = ["holds_meshes", "read_meshes_like", "recorded_meshes"]

#: Of samples in one folder, every so manieth is tested on.
_EVERY = 5
_ENDINGS = tuple(ending for form in FORMATS for ending in form.endings)


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
    train, tests = _sets(experiment)
    with watcher.bar("checking files") as advance:
        for number, folder in enumerate((train, *tests.values())):
            advance(number / (1 + len(tests)), counted(len(folder), "sample"))
            folder.check()
    family = PartFamily(train.fields, train.input_scalars, train.output_scalars, tuple(experiment.landmarks))
    fields, given, predicted = (
        ", ".join(names) or "none" for names in (train.fields, train.input_scalars, train.output_scalars)
    )
    found = (
        f"{experiment.data}: {counted(len(train), 'sample')} to learn from; fields {fields}; scalars given: {given}; "
        f"predicted: {predicted}.",
        *(f"test set {name}: {counted(len(test), 'sample')}." for name, test in tests.items()),
        *_unused(train),
    )
    return family, train, tests, found


def read_meshes_like(path: Path, family: PartFamily, scalars: Path | str | None) -> MeshFolder:
    """Samples with the fields and scalars of a family, each read once; raises as `recorded_meshes`."""
    folder = read_mesh_folder(
        path,
        family.fields,
        scalars=_table(scalars, path),
        inputs=family.input_scalars,
        outputs=family.output_scalars,
    )
    folder.check()
    return folder


def holds_meshes(path: Path) -> bool:
    """Whether a folder, its sub-folders or a file are of meshes."""
    if path.is_dir():
        folders = (path, *(entry for entry in path.iterdir() if entry.is_dir()))
        return any(_is_mesh_file(file) for folder in folders for file in folder.iterdir())
    if path.suffix not in (".h5", ".hdf5"):
        return _is_mesh_file(path)
    try:
        open_meshes(path)
    except MeshFileError:
        return False
    return True


def _sets(experiment: MeshExperiment) -> tuple[MeshFolder, dict[str, MeshFolder]]:
    path = Path(str(experiment.data))
    fields, inputs, outputs = experiment.fields or None, experiment.inputs or None, tuple(experiment.outputs)
    scalars = _table(experiment.scalars, path)
    if experiment.test_data is not None:
        train = read_mesh_folder(path, fields, scalars=scalars, inputs=inputs, outputs=outputs)
        other = Path(experiment.test_data)
        test = read_mesh_folder(
            other,
            train.fields,
            scalars=_table(experiment.scalars, other),
            inputs=train.input_scalars,
            outputs=outputs,
        )
        return train, {TEST: test}
    if _has_splits(path):
        splits = read_mesh_splits(path, fields, scalars=experiment.scalars, inputs=inputs, outputs=outputs)
        first, *others = splits
        if not others:
            raise ConfigurationError(f"{path}: one split, {first}: give another by --test-data, or its folder itself.")
        return splits[first], {name: splits[name] for name in others}
    return _parted(path, read_mesh_folder(path, fields, scalars=scalars, inputs=inputs, outputs=outputs))


def _parted(path: Path, both: MeshFolder) -> tuple[MeshFolder, dict[str, MeshFolder]]:
    """Every so manieth sample is kept for testing."""
    if len(both) < 2 * _EVERY:
        raise ConfigurationError(
            f"{path}: {counted(len(both), 'sample')}, expected at least {2 * _EVERY} to learn from and to test on; "
            "give more, or test samples of their own by --test-data."
        )
    return both.subset([i for i in range(len(both)) if (i + 1) % _EVERY]), {TEST: both[_EVERY - 1 :: _EVERY]}


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


def _unused(train: MeshFolder) -> tuple[str, ...]:
    """Numbers in the meshes that have no role: they are as easily forgotten as results are mistaken for loads."""
    known = {*train.input_scalars, *train.output_scalars}
    left = [name for name, values in _first(train).global_data.items() if values.size == 1 and name not in known]
    if not left:
        return ()
    return (
        f"not used: {', '.join(left)} in the meshes' global data; --given-scalars names what is known beforehand, "
        "--predict-scalars what is not.",
    )


def _first(folder: MeshFolder) -> Mesh:
    """The first mesh with everything that its file holds."""
    if folder.path.is_file():
        return open_meshes(folder.path)[0]
    named = sorted(file for file in folder.path.glob(f"{glob.escape(folder.names[0])}.*") if _is_mesh_file(file))
    return read_mesh(named[0])


def _is_mesh_file(path: Path) -> bool:
    return path.name.lower().endswith(_ENDINGS)
