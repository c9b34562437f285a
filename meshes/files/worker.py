"""A process of its own in which meshio or VTK reads a file: what goes wrong there, a crash included, stays there.

Run as ``python -I worker.py FORMAT FILE RESULT MEMORY SECONDS``; it imports nothing of this package. RESULT becomes a
NumPy archive of plain arrays with a JSON text of their places, or for the format ``vtk-any`` a VTU file; trouble is one
line and the exit code 3.
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
        by_vtk(source, result)
    else:
        by_meshio(name, source, result)


def by_vtk(source: str, result: str) -> None:
    """Read a data set of any kind and store it as an unstructured grid."""
    from vtkmodules.vtkFiltersCore import vtkAppendFilter
    from vtkmodules.vtkIOLegacy import vtkGenericDataObjectReader
    from vtkmodules.vtkIOXML import vtkXMLGenericDataObjectReader, vtkXMLUnstructuredGridWriter

    if source.endswith(".vtk"):
        reader: Any = vtkGenericDataObjectReader()
        for what in ("Scalars", "Vectors", "Normals", "Tensors", "Fields", "TCoords", "ColorScalars"):
            getattr(reader, f"ReadAll{what}On")()
    else:
        reader = vtkXMLGenericDataObjectReader()
    reader.SetFileName(source)
    reader.Update()
    found = reader.GetOutput()
    if found is None or not found.GetNumberOfPoints():
        raise ValueError("VTK finds no points in it")
    grid = vtkAppendFilter()
    grid.AddInputData(found)
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
