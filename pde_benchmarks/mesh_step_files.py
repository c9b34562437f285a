"""Series of mesh files, one a step, as solvers and ParaView leave them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload
from xml.etree import ElementTree

from meshes import Mesh, read_mesh
from pde_benchmarks.errors import DatasetError
from pde_benchmarks.mesh_steps import join_steps

__all__ = ["MeshSeriesFiles", "read_series", "series_files"]


def series_files(path: Path | str) -> dict[float, Path]:
    """Time to file of a ParaView collection (``.pvd``).

    Raises
    ------
    DatasetError
        No such file, or no collection of files with times.
    """
    path = Path(path)
    try:
        root = ElementTree.parse(path).getroot()
        entries = [(float(entry.attrib["timestep"]), entry.attrib["file"]) for entry in root.iter("DataSet")]
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such file.") from None
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise DatasetError(f"{path}: no collection of files with times ({error!r}): expected a .pvd file.") from error
    times = [time for time, _ in entries]
    twice = sorted({time for time in times if times.count(time) > 1})
    if not entries or twice:
        found = f"several files at time {twice[0]:g}" if twice else "no files"
        raise DatasetError(f"{path}: {found}: expected one file a time; join the parts of a parallel run before.")
    return {time: path.parent / file for time, file in entries}


def read_series(files: Mapping[float, Path | str] | Path | str, fields: Sequence[str] | None = None) -> Mesh:
    """One sample from the files of its steps, see `join_steps`.

    Parameters
    ----------
    files
        Step to the mesh file there, or a ParaView collection (``.pvd``).
    fields
        Point fields that are kept; None: all.

    Raises
    ------
    DatasetError, MeshFileError
        A file is missing or damaged; the files do not fit each other.

    Examples
    --------
    >>> from meshes import write_mesh
    >>> for step in (1, 2):
    ...     write_mesh(f"rod_{step}.vtu", Mesh([[0.0], [1.0]], {"line": [[0, 1]]}, {"u": [0.0, 0.1 * step]}))
    >>> sorted(read_series({0.5: "rod_1.vtu", 1.0: "rod_2.vtu"}).point_data)
    ['u@0.5', 'u@1']
    """
    if isinstance(files, (str, Path)):
        return read_series(series_files(files), fields)
    try:
        return join_steps({float(step): read_mesh(file) for step, file in files.items()}, fields)
    except DatasetError as error:
        raise DatasetError(f"{next(iter(files.values()), 'series')}: {error}") from error


@dataclass(frozen=True)
class MeshSeriesFiles(Sequence[Mesh]):
    """Samples that are series of files, read when they are asked for.

    Parameters
    ----------
    series
        For each sample a ``.pvd`` file, or step to file.
    fields
        As in `read_series`.

    Examples
    --------
    >>> len(MeshSeriesFiles(("part_1.pvd", "part_2.pvd")))
    2
    """

    series: tuple[Mapping[float, Path | str] | Path | str, ...]
    fields: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.series)

    @overload
    def __getitem__(self, index: int) -> Mesh: ...

    @overload
    def __getitem__(self, index: slice) -> MeshSeriesFiles: ...

    def __getitem__(self, index: int | slice) -> Mesh | MeshSeriesFiles:
        if isinstance(index, slice):
            return MeshSeriesFiles(self.series[index], self.fields)
        return read_series(self.series[index], self.fields)
