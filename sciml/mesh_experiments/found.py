"""What was found in files of meshes, in sentences."""

from __future__ import annotations

import glob
from collections.abc import Mapping
from pathlib import Path

from meshes import Mesh, open_meshes, read_mesh
from meshes.files.formats import FORMATS
from pde_benchmarks.datasets import MeshFolder
from sciml.learners.mmgp.parts import PartFamily
from sciml.mesh_experiments.experiment import MeshExperiment
from sciml.report import counted

__all__ = ["found_in_files", "is_mesh_file"]

_ENDINGS = tuple(ending for form in FORMATS for ending in form.endings)


def found_in_files(
    experiment: MeshExperiment, family: PartFamily, train: MeshFolder, tests: Mapping[str, MeshFolder]
) -> tuple[str, ...]:
    """Samples, fields, scalars and test sets, and numbers in the meshes that have no role."""
    parts = (family.fields, family.input_scalars, family.output_scalars)
    fields, given, predicted = (", ".join(names) or "none" for names in parts)
    averaged = [name for name in train.fields if name not in train.point_fields]
    return (
        f"{experiment.data}: {counted(len(train), 'sample')} to learn from; fields {fields}; scalars given: {given}; "
        f"predicted: {predicted}.",
        *((f"averaged from cells to points: {', '.join(averaged)}.",) if averaged else ()),
        *((f"vectors: {'; '.join(', '.join(names) for names in family.vectors)}.",) if family.vectors else ()),
        *(f"test set {name}: {counted(len(test), 'sample')}." for name, test in tests.items()),
        *_unused(train),
    )


def is_mesh_file(path: Path) -> bool:
    """Whether a file ends as those of meshes do."""
    return path.name.lower().endswith(_ENDINGS)


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
    named = sorted(file for file in folder.path.glob(f"{glob.escape(folder.names[0])}.*") if is_mesh_file(file))
    return read_mesh(named[0]) if named else folder[0]
