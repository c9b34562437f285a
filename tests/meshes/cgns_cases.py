"""CGNS trees made by hand, and files of them in the standard's HDF5 layout."""

import h5py
import numpy as np

TYPES = {"f4": "R4", "f8": "R8", "i4": "I4", "i8": "I8", "i1": "C1"}


def node(name, label, value=None, children=()):
    return [name, value, list(children), label]


def text(name, label, word):
    return node(name, label, np.frombuffer(word.encode(), dtype="i1"))


def section(name, code, first, cells):
    cells = np.asarray(cells)
    span = np.array([first, first + len(cells) - 1])
    parts = [node("ElementRange", "IndexRange_t", span), node("ElementConnectivity", "DataArray_t", cells.ravel() + 1)]
    return node(name, "Elements_t", np.array([code, 0], dtype="i4"), parts)


def solution(name, location, **fields):
    values = [node(key, "DataArray_t", np.asarray(v, dtype=float)) for key, v in fields.items()]
    return node(name, "FlowSolution_t", None, [text("GridLocation", "GridLocation_t", location), *values])


def zone(points, parts, cell_count, name="Zone"):
    points = np.asarray(points, dtype=float)
    axes = [node(f"Coordinate{a}", "DataArray_t", x.copy()) for a, x in zip("XYZ", points.T, strict=False)]
    inside = [text("ZoneType", "ZoneType_t", "Unstructured"), node("GridCoordinates", "GridCoordinates_t", None, axes)]
    return node(name, "Zone_t", np.array([[len(points), cell_count, 0]]), [*inside, *parts])


def tree(*zones, dimension=2, more=()):
    base = node("Base", "CGNSBase_t", np.array([dimension, 3], dtype="i4"), zones)
    version = node("CGNSLibraryVersion", "CGNSLibraryVersion_t", np.array([4.2], dtype="f4"))
    return node("CGNSTree", "CGNSTree_t", None, [version, base, *more])


def write(path, root):
    with h5py.File(path, "w", track_order=True) as file:
        _describe(file, "HDF5 MotherNode", "Root Node of HDF5 File", "MT")
        file[" format"] = np.frombuffer(b"IEEE_LITTLE_32\0", dtype="i1")
        file[" hdf5version"] = np.frombuffer(b"HDF5 Version 1.12.1".ljust(33, b"\0"), dtype="i1")
        for child in root[2]:
            _write(file, child)


def _write(parent, child):
    name, value, children, label = child
    group = parent.create_group(name, track_order=True)
    kind = "MT" if value is None else TYPES[value.dtype.str[1:]]
    _describe(group, name, label, kind)
    group.attrs.create("flags", np.array([1], dtype="i4"))
    if value is not None:
        group[" data"] = value.T
    for grandchild in children:
        _write(group, grandchild)


def _describe(group, name, label, kind):
    for key, word, size in (("name", name, 33), ("label", label, 33), ("type", kind, 3)):
        group.attrs.create(key, np.array(word.encode(), dtype=f"S{size}"))
