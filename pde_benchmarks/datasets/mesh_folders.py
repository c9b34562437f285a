"""Folders of mesh files with a table of scalars, as people's solvers and post-processors leave them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

from meshes import Mesh, MeshFileError, open_meshes, read_mesh
from meshes.files.formats import FORMATS
from pde_benchmarks.datasets.mesh_samples import MeshFolder, mesh_samples, wanted_of
from pde_benchmarks.datasets.scalar_table import ScalarTable, read_scalars
from pde_benchmarks.errors import DatasetError

__all__ = ["read_mesh_folder", "read_mesh_splits"]

#: Files that belong to others: a table of scalars, the arrays of XDMF.
_COMPANIONS = (".csv", ".h5", ".hdf5", ".bin")
_ENDINGS = tuple(sorted((ending for form in FORMATS for ending in form.endings), key=len, reverse=True))


@dataclass(frozen=True)
class MeshFiles(Sequence[Mesh]):
    """The meshes of files, read when they are asked for."""

    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, index: int) -> Mesh: ...

    @overload
    def __getitem__(self, index: slice) -> MeshFiles: ...

    def __getitem__(self, index: int | slice) -> Mesh | MeshFiles:
        return MeshFiles(self.paths[index]) if isinstance(index, slice) else read_mesh(self.paths[index])


def read_mesh_folder(
    path: Path | str,
    fields: Sequence[str] | None = None,
    *,
    cell_fields: Sequence[str] = (),
    scalars: Path | str | None = None,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] = (),
    ending: str | None = None,
) -> MeshFolder:
    r"""Samples in a folder of mesh files (VTU, XDMF, CGNS, and all that `meshes.read_mesh` knows), or in one file.

    Only the first mesh is read at once, the others when they are asked for; `MeshFolder.check` reads them all. Units
    are not known, and nothing is converted: use one system of units throughout. Formats that are read in a process of
    their own (XDMF, CGNS) take about a second a file; ``meshes.write_meshes("set.h5", folder)`` makes one fast file.

    Parameters
    ----------
    path
        A folder with one file a sample, in the order of their names with numbers by value; or an HDF5 file of
        `meshes.write_meshes`, whose samples are named "0", "1", ….
    fields
        Point fields to predict, by name: a vector or tensor stands for all its components (``u`` for ``u_x``, ``u_y``),
        each may be named alone. None: all that the first mesh has.
    cell_fields
        Fields on cells that are averaged to the points, weighted by the cells' areas or volumes: peaks become lower.
    scalars
        A CSV file: a header, then one row a sample, its first cell the file's name with or without ending.
    inputs, outputs
        Scalars that a learner is given and scalars that it predicts: columns of the CSV file, or numbers in the meshes'
        global data. By default every column that is no output is an input: name all results of the simulation as
        outputs, else the learner is told what it should predict.
    ending
        Of the files to read, such as ".vtu", if there are several kinds.

    Raises
    ------
    DatasetError
        No mesh files, several kinds of them, a field that the first mesh lacks, a sample without a row, a role for a
        column that is not there, or a scalar that is both input and output.
    MeshFileError
        The first file, or the HDF5 file, is damaged.

    Warns
    -----
    UserWarning
        Files of unknown kind were passed over, or the CSV file has rows without a file.

    Examples
    --------
    >>> from meshes import write_mesh
    >>> Path("bars").mkdir()
    >>> for k in (1, 2):
    ...     write_mesh(f"bars/bar_{k}.vtu", Mesh([[0.0], [k]], {"line": [[0, 1]]}, {"u": [0.0, 0.1 * k]}))
    >>> _ = Path("bars/loads.csv").write_text("file,force\nbar_1.vtu,5\nbar_2.vtu,7\n")
    >>> folder = read_mesh_folder("bars", ["u"], scalars="bars/loads.csv")
    >>> folder.names, folder.input_scalars, float(folder[1].global_data["force"])
    (('bar_1', 'bar_2'), ('force',), 7.0)
    """
    wanted = wanted_of(fields, cell_fields, inputs, outputs)
    source = _open(Path(path), ending)
    table = read_scalars(scalars) if scalars is not None else None
    folder = mesh_samples(source.path, source.meshes, tuple(source.files), wanted, source.rows(table))
    if table is not None:
        table.warn_of_others(source.files)
    return folder


def read_mesh_splits(
    path: Path | str,
    fields: Sequence[str] | None = None,
    *,
    cell_fields: Sequence[str] = (),
    scalars: Path | str | None = None,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] = (),
    ending: str | None = None,
) -> dict[str, MeshFolder]:
    """Samples in a folder with one sub-folder, or one HDF5 file, a split: ``train/``, ``test/`` or ``train.h5``, ….

    Parameters
    ----------
    path
        The folder. Splits whose names begin with "train" come first; where `fields` is None the first decides.
    scalars
        A CSV file in every split, if each has one of this name, else one CSV file for all of them.
    fields, cell_fields, inputs, outputs, ending
        As for `read_mesh_folder`, for every split.

    Raises
    ------
    DatasetError
        There are no splits, or as for `read_mesh_folder`.
    """
    path = Path(path)
    found = _splits(path)
    if not found:
        raise DatasetError(f"{path}: no splits in it: expected sub-folders of mesh files, such as train/ and test/.")
    wanted = wanted_of(fields, cell_fields, inputs, outputs)
    folders: dict[str, MeshFolder] = {}
    files: dict[Path, dict[str, str]] = {}
    for name, split in found.items():
        source = _open(split, ending)
        own = split / scalars if scalars is not None and (split / scalars).is_file() else scalars
        table = read_scalars(own) if own is not None else None
        folders[name] = mesh_samples(split, source.meshes, tuple(source.files), wanted, source.rows(table))
        if wanted.fields is None:
            wanted = replace(wanted, fields=folders[name].point_fields)
        if table is not None:
            files.setdefault(table.path, {}).update(source.files)
    for csv, samples in files.items():
        read_scalars(csv).warn_of_others(samples)
    return folders


@dataclass(frozen=True)
class _Source:
    """Meshes, not read yet, and the name of each with that of its file."""

    path: Path
    meshes: Sequence[Mesh]
    files: dict[str, str]

    def rows(self, table: ScalarTable | None) -> ScalarTable | None:
        return table.of_samples(self.files) if table is not None else None


def _open(path: Path, ending: str | None) -> _Source:
    if path.is_file():
        meshes = open_meshes(path)
        return _Source(path, meshes, {str(i): str(i) for i in range(len(meshes))})
    if not path.is_dir():
        raise DatasetError(f"{path}: no such folder or file.")
    kinds, unknown = _files_by_ending(path)
    if ending is not None:
        chosen = ending.lower() if ending.startswith(".") else f".{ending.lower()}"
        if chosen not in kinds:
            raise DatasetError(f"{path}: no mesh files that end in {chosen!r}; {_inventory(kinds, unknown)}.")
        kinds, unknown = {chosen: kinds[chosen]}, []
    if not kinds:
        splits = _splits(path)
        hint = f" It holds the splits {', '.join(splits)}: use read_mesh_splits, or read one of them." if splits else ""
        raise DatasetError(f"{path}: no mesh files; {_inventory(kinds, unknown)}.{hint}")
    if len(kinds) > 1:
        raise DatasetError(f"{path}: {_inventory(kinds, [])}: choose one kind by ending=, such as {min(kinds)!r}.")
    if unknown:
        warnings.warn(f"{path}: passed over, as no known mesh files: {', '.join(unknown[:5])}.", stacklevel=3)
    ((suffix, paths),) = kinds.items()
    return _Source(path, MeshFiles(tuple(paths)), {file.name[: -len(suffix)]: file.name for file in paths})


def _files_by_ending(folder: Path) -> tuple[dict[str, list[Path]], list[str]]:
    """Mesh files by their ending, each list in the order of names with numbers by value; names of the others."""
    kinds: dict[str, list[Path]] = {}
    unknown = []
    for file in sorted((f for f in folder.iterdir() if f.is_file()), key=lambda f: _in_order(f.name)):
        name = file.name.lower()
        ending = next((ending for ending in _ENDINGS if name.endswith(ending)), None)
        if ending is not None and not name.startswith("."):
            kinds.setdefault(ending, []).append(file)
        elif not name.startswith(".") and not name.endswith(_COMPANIONS):
            unknown.append(file.name)
    return kinds, unknown


def _in_order(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name) if part]


def _splits(path: Path) -> dict[str, Path]:
    """Sub-folders with mesh files and HDF5 files of meshes, those for training first."""
    if not path.is_dir():
        return {}
    found = {}
    for entry in sorted(path.iterdir()):
        if entry.is_dir() and _files_by_ending(entry)[0]:
            found[entry.name] = entry
        elif entry.is_file() and entry.suffix in (".h5", ".hdf5") and _is_mesh_set(entry):
            found[entry.stem] = entry
    return dict(sorted(found.items(), key=lambda item: not item[0].startswith("train")))


def _is_mesh_set(path: Path) -> bool:
    try:
        open_meshes(path)
    except MeshFileError:
        return False
    return True


def _inventory(kinds: dict[str, list[Path]], unknown: list[str]) -> str:
    words = [f"{len(files)} {ending}" for ending, files in kinds.items()] + unknown[:5]
    return f"it holds {', '.join(words) or 'nothing'}"
