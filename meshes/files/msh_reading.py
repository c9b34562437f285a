"""Read Gmsh's files, versions 2 and 4.1, text and binary, with physical groups and fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.cell_types import cell_type
from meshes.errors import MeshFileError
from meshes.files.cursor import Cursor
from meshes.files.msh_contents import Block, MshContents, kind_of
from meshes.mesh import Mesh

__all__ = ["read_msh"]

Array = NDArray[Any]


def read_msh(path: Path) -> Mesh:
    """The mesh of a Gmsh file; errors do not name the file."""
    data = path.read_bytes()
    if not data.lstrip().startswith((b"$MeshFormat", b"$Comments")):
        raise MeshFileError(f"it begins with {data[:16]!r}, expected '$MeshFormat' (Gmsh).")
    cursor = Cursor(data, "<")
    contents = MshContents()
    version, groups = "", {}
    while words := cursor.words():
        section = words[0].removeprefix("$")
        if section == "MeshFormat":
            version = _format(cursor)
        elif section == "PhysicalNames":
            _names(cursor, contents)
        elif section == "Entities":
            groups = _entities(cursor)
        elif section in ("Nodes", "Elements"):
            _SECTIONS[section, version](cursor, contents, groups)
        elif section == "NodeData":
            _field(cursor, contents.node_data)
        elif section == "ElementData":
            _field(cursor, contents.element_data)
        _leave(cursor, section)
    if not len(contents.points):
        raise MeshFileError("no nodes in it.")
    return contents.mesh()


def _format(cursor: Cursor) -> str:
    words = cursor.words()
    version = cursor.text(words, 0)
    known = "2" if version.startswith("2") else version
    if known not in ("2", "4.1") or cursor.text(words, 2) != "8":
        raise MeshFileError(
            f"version {' '.join(words)[:30]!r}: expected 2.x or 4.1 with numbers of 8 bytes; save it so."
        )
    cursor.binary = cursor.text(words, 1) == "1"
    if cursor.binary:
        mark = cursor.numbers(1, "i4")[0]
        if mark != 1:
            cursor.order, mark = ">", int(np.int32(mark).byteswap())
        if mark != 1:
            raise MeshFileError(f"the mark of the byte order is {mark}, expected 1: damaged.")
    return known


def _leave(cursor: Cursor, section: str) -> None:
    """Go behind the end of a section."""
    mark = f"$End{section}".encode()
    at = cursor.data.find(mark, max(0, cursor.at - 1))
    if at < 0:
        raise MeshFileError(f"the file ends early: no $End{section[:40]}.")
    cursor.at = at + len(mark)


def _names(cursor: Cursor, contents: MshContents) -> None:
    for _ in range(cursor.count(cursor.words(), 0)):
        words = cursor.line().split(None, 2)
        name = cursor.text(words, 2).strip().removeprefix('"').removesuffix('"')
        contents.names[int(words[0]), int(words[1])] = name


def _entities(cursor: Cursor) -> dict[tuple[int, int], list[int]]:
    """(dimension, tag) of a part of the geometry to its physical groups."""
    groups = {}
    for dimension, count in enumerate(cursor.numbers(4, "u8").tolist()):
        if count > len(cursor.data):
            raise MeshFileError(f"{count} entities in a file of {len(cursor.data)} bytes: damaged.")
        for _ in range(count):
            tag = int(cursor.numbers(1, "i4")[0])
            cursor.numbers(6 if dimension else 3, "f8")
            groups[dimension, tag] = [abs(int(k)) for k in cursor.numbers(_size(cursor), "i4")]
            if dimension:
                cursor.numbers(_size(cursor), "i4")
    return groups


def _size(cursor: Cursor) -> int:
    return int(cursor.numbers(1, "u8")[0])


def _nodes_4(cursor: Cursor, contents: MshContents, groups: Any) -> None:
    blocks = int(cursor.numbers(4, "u8")[0])
    tags, points = [contents.tags], [contents.points]
    for _ in range(min(blocks, len(cursor.data))):
        dimension, _, parametric = cursor.numbers(3, "i4").tolist()
        count = _size(cursor)
        tags.append(cursor.numbers(count, "u8").astype(np.int64))
        width = 3 + (min(max(dimension, 0), 3) if parametric else 0)
        points.append(cursor.numbers(count * width, "f8").reshape(count, width)[:, :3])
    contents.tags, contents.points = np.concatenate(tags), np.concatenate(points)


def _elements_4(cursor: Cursor, contents: MshContents, groups: dict[tuple[int, int], list[int]]) -> None:
    blocks = int(cursor.numbers(4, "u8")[0])
    for _ in range(min(blocks, len(cursor.data))):
        dimension, entity, number = cursor.numbers(3, "i4").tolist()
        kind = kind_of(number)
        count, width = _size(cursor), cell_type(kind).nodes + 1
        table = cursor.numbers(count * width, "u8").reshape(count, width).astype(np.int64)
        members = {tag: np.arange(count) for tag in groups.get((dimension, entity), [])}
        contents.blocks.append(Block(kind, table[:, 0], table[:, 1:], members))


def _nodes_2(cursor: Cursor, contents: MshContents, groups: Any) -> None:
    count = cursor.count(cursor.words(), 0)
    if cursor.binary:
        table = cursor.numbers(count, [("tag", "i4"), ("x", "f8", 3)])
        contents.tags, contents.points = table["tag"].astype(np.int64), table["x"]
    else:
        numbers = cursor.numbers(4 * count, "f8").reshape(count, 4)
        contents.tags, contents.points = numbers[:, 0].astype(np.int64), numbers[:, 1:]


def _elements_2(cursor: Cursor, contents: MshContents, groups: Any) -> None:
    count = cursor.count(cursor.words(), 0)
    if not cursor.binary:
        return _element_lines(cursor, contents, count)
    done = 0
    while done < count:
        number, size, tags = cursor.numbers(3, "i4").tolist()
        kind = kind_of(number)
        width = 1 + tags + cell_type(kind).nodes
        if size < 1 or tags < 0:
            raise MeshFileError(f"a block of {size} elements with {tags} tags: damaged.")
        table = cursor.numbers(size * width, "i4").reshape(size, width).astype(np.int64)
        contents.blocks.append(_tagged(kind, table, tags))
        done += size
    return None


def _element_lines(cursor: Cursor, contents: MshContents, count: int) -> None:
    """Elements in text, one a line, of any length: runs of one type and number of tags become blocks."""
    end = cursor.data.find(b"$EndElements", cursor.at)
    text = cursor.data[cursor.at : end if end >= 0 else len(cursor.data)]
    letters = np.frombuffer(b"\n" + text, dtype=np.uint8)
    starts = np.flatnonzero((letters[:-1] <= 32) & (letters[1:] > 32))
    numbers = cursor.numbers(len(starts), "i8")
    lines = np.searchsorted(starts, np.flatnonzero(letters[1:] == 10))
    first = np.unique(np.concatenate([[0], lines[lines < len(starts)]])) if len(starts) else np.zeros(0, dtype=np.int64)
    widths = np.diff(np.append(first, len(starts)))
    if len(first) != count or (widths < 4).any():
        raise MeshFileError(f"{len(first)} lines of elements, {count} announced, each of at least 4 numbers: damaged.")
    kinds, tags = numbers[first + 1], numbers[first + 2]
    breaks = np.flatnonzero((np.diff(kinds) != 0) | (np.diff(tags) != 0) | (np.diff(widths) != 0)) + 1
    for run in np.split(np.arange(count), breaks) if count else []:
        kind, own, width = kind_of(int(kinds[run[0]])), int(tags[run[0]]), int(widths[run[0]])
        if own < 0 or width != 3 + own + cell_type(kind).nodes:
            raise MeshFileError(f"an element of type {kind} with {own} tags takes {width} numbers: damaged.")
        table = numbers[first[run[0]] : first[run[0]] + width * len(run)].reshape(len(run), width)
        contents.blocks.append(_tagged(kind, np.delete(table, [1, 2], axis=1), own))


def _tagged(kind: str, table: Array, tags: int) -> Block:
    """A block out of rows of element, tags, nodes; the first tag is the physical group, 0 for none."""
    physical = table[:, 1] if tags else np.zeros(len(table), dtype=np.int64)
    members = {int(tag): np.flatnonzero(physical == tag) for tag in np.unique(physical) if tag}
    return Block(kind, table[:, 0], table[:, 1 + tags :], members)


def _field(cursor: Cursor, data: dict[str, tuple[Array, Array]]) -> None:
    """One field of nodes or elements; of several time steps the last stays."""
    texts = [cursor.line().strip().strip('"') for _ in range(cursor.count(cursor.words(), 0))]
    for _ in range(cursor.count(cursor.words(), 0)):
        cursor.line()
    sizes = [cursor.count(cursor.words(), 0) for _ in range(cursor.count(cursor.words(), 0))]
    if not texts or len(sizes) < 3 or not sizes[1]:
        raise MeshFileError("a field without name, number of components or number of values: damaged.")
    width, count = sizes[1], sizes[2]
    if cursor.binary:
        if count * width > len(cursor.data):
            raise MeshFileError(f"a field of {count}×{width} numbers in {len(cursor.data)} bytes: damaged.")
        table = cursor.numbers(count, [("tag", "i4"), ("values", "f8", (width,))])
        tags, values = table["tag"].astype(np.int64), table["values"]
    else:
        numbers = cursor.numbers(count * (width + 1), "f8").reshape(count, width + 1)
        tags, values = numbers[:, 0].astype(np.int64), numbers[:, 1:]
    data[texts[0]] = tags, values[:, 0] if width == 1 else values


_SECTIONS = {
    ("Nodes", "2"): _nodes_2,
    ("Nodes", "4.1"): _nodes_4,
    ("Elements", "2"): _elements_2,
    ("Elements", "4.1"): _elements_4,
}
