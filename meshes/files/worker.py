"""A process of its own in which meshio or VTK reads a file: what goes wrong there, a crash included, stays there.

Run as ``python -I worker.py FORMAT FILE RESULT MEMORY SECONDS``; it imports nothing of this package. RESULT becomes a
NumPy archive of plain arrays with a JSON text of their places, or for the formats ``vtk-any`` and ``vtk-cgns`` a VTU
file; trouble is one line and the exit code 3.
"""

from __future__ import annotations

import json
import sys
from typing import Any

__all__: list[str] = []


def main(name: str, source: str, result: str, memory: int, seconds: int) -> None:
    """Read a file within bounds and store what it holds."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except ImportError:  # Windows has no such limits; there the time limit of the caller remains
        pass
    if name == "vtk-any":
        store_grid([data_set(source)], result)
    elif name == "vtk-cgns":
        store_grid(cgns_zones(source), result)
    else:
        by_meshio(name, source, result)


def data_set(source: str) -> Any:
    """A data set of any kind in one of VTK's own files."""
    from vtkmodules.vtkIOLegacy import vtkGenericDataObjectReader
    from vtkmodules.vtkIOXML import vtkXMLGenericDataObjectReader

    if source.endswith(".vtk"):
        reader: Any = vtkGenericDataObjectReader()
        for what in ("Scalars", "Vectors", "Normals", "Tensors", "Fields", "TCoords", "ColorScalars"):
            getattr(reader, f"ReadAll{what}On")()
    else:
        reader = vtkXMLGenericDataObjectReader()
    reader.SetFileName(source)
    reader.Update()
    return reader.GetOutput()


def cgns_zones(source: str) -> list[Any]:
    """The zones of all bases of a CGNS file, structured or not; components named …X, …Y, …Z become vectors."""
    from vtkmodules.vtkIOCGNSReader import vtkCGNSReader

    reader: Any = vtkCGNSReader()
    reader.SetFileName(source)
    reader.UpdateInformation()
    for what in ("Bases", "PointArrays", "CellArrays"):
        getattr(reader, f"EnableAll{what}")()
    reader.SetDoublePrecisionMesh(1)
    reader.Update()
    place = reader.GetOutput().NewIterator()
    zones = []
    while not place.IsDoneWithTraversal():
        zone = place.GetCurrentDataObject()
        zone.GetFieldData().Initialize()  # the reader's own marks, and names
        zones.append(zone)
        place.GoToNextItem()
    return zones


def store_grid(found: list[Any], result: str) -> None:
    """Store data sets as one unstructured grid; points that several of them share become one."""
    from vtkmodules.vtkFiltersCore import vtkAppendFilter
    from vtkmodules.vtkIOXML import vtkXMLUnstructuredGridWriter

    parts = [part for part in found if part is not None and part.GetNumberOfPoints()]
    if not parts:
        raise ValueError("VTK finds no points in it")
    grid = vtkAppendFilter()
    grid.SetMergePoints(len(parts) > 1)
    for part in parts:
        grid.AddInputData(part)
    writer = vtkXMLUnstructuredGridWriter()
    writer.SetFileName(result)
    writer.SetInputConnection(grid.GetOutputPort())
    writer.SetCompressorTypeToNone()
    if not writer.Write():
        raise ValueError("VTK cannot turn it into an unstructured grid")


def by_meshio(name: str, source: str, result: str) -> None:
    """Read a mesh and store its arrays."""
    import meshio
    import numpy as np

    mesh = meshio._helpers.reader_map[name](source)
    arrays = [np.asarray(mesh.points)]

    def kept(values: object) -> int:
        arrays.append(np.asarray(values))
        return len(arrays) - 1

    places = {
        "cells": [[block.type, kept(block.data)] for block in mesh.cells],
        "point_data": {key: kept(values) for key, values in mesh.point_data.items()},
        "cell_data": {key: [kept(v) for v in values] for key, values in mesh.cell_data.items()},
        "field_data": {key: kept(values) for key, values in mesh.field_data.items()},
        "point_sets": {key: kept(values) for key, values in mesh.point_sets.items()},
        "cell_sets": {key: [None if v is None else kept(v) for v in values] for key, values in mesh.cell_sets.items()},
        "point_tags": {int(key): list(names) for key, names in getattr(mesh, "point_tags", {}).items()},
        "cell_tags": {int(key): list(names) for key, names in getattr(mesh, "cell_tags", {}).items()},
    }
    named: dict[str, Any] = {f"a{i}": array for i, array in enumerate(arrays) if array.dtype.kind in "fiubc"}
    np.savez(result, places=np.array(json.dumps(places)), **named)


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
    except MemoryError:
        print("needs more memory than the file can be worth: check the sizes in its header")
        sys.exit(3)
    # Whatever the reader raises is the answer to the question what is wrong with the file.
    except (Exception, SystemExit) as error:
        print(" ".join(f"{type(error).__name__} {error}".split())[:300])
        sys.exit(3)
