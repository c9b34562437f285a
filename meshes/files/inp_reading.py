"""Read Abaqus' and CalculiX' input files: nodes, elements, and sets of both, however many pieces define them."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.cell_types import cell_type
from meshes.errors import MeshFileError
from meshes.files.opening import MeshFileWarning
from meshes.files.tag_numbers import TagNumbers
from meshes.files.tagging import facets_of_cells
from meshes.files.vtu_arrays import numbers_from_text
from meshes.interchange.cell_fields import planar
from meshes.mesh import Mesh

__all__ = ["read_inp"]

Array = NDArray[Any]

_COMMENT = re.compile(r"^[ \t]*\*\*.*$", re.MULTILINE)
_KEYWORD = re.compile(r"^[ \t]*\*[ \t]*([A-Za-z](?:[^\n]*,[ \t]*\n)?[^\n]*)$", re.MULTILINE)

#: Patterns of Abaqus' element names, and our types by the number that stands in them.
_ELEMENTS = (
    (r"STRI6(5)", {"5": "triangle6"}),
    (
        r"(?:C|DC|AC)3D(20|27|10|15|[4568])",
        {"4": "tetra", "5": "pyramid", "6": "wedge", "8": "hexahedron", "10": "tetra10"}
        | {"20": "hexahedron20", "27": "hexahedron27"},
    ),
    (
        r"(?:CPS|CPEG|CPE|CAX|DC2D|DCAX|AC2D|ACAX|STRI|S|M3D|SFM3D|R3D)([34689])",
        {"3": "triangle", "4": "quad", "6": "triangle6", "8": "quad8", "9": "quad9"},
    ),
    (r"(?:T[23]D|DC1D|AC1D|R2D|RB[23]D)([23])", {"2": "line", "3": "line3"}),
    (r"B[23]([123])", {"1": "line", "2": "line3", "3": "line"}),
)


@dataclass
class _Sets:
    """Sets under construction: their members as they stand in the file; names regardless of case."""

    rows: dict[str, list[tuple[bool, str]]] = field(default_factory=dict)
    own: dict[str, list[Array]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, text: str, generate: bool) -> None:
        self.names.setdefault(name.upper(), name)
        self.rows.setdefault(name.upper(), []).append((generate, text))

    def add_tags(self, name: str, tags: Array) -> None:
        self.names.setdefault(name.upper(), name)
        self.own.setdefault(name.upper(), []).append(tags)

    def members(self, numbers: TagNumbers) -> dict[str, Array]:
        """Places of the members of every set."""
        return {name: numbers.of(self._tags(key, numbers, ())) for key, name in self.names.items()}

    def _tags(self, key: str, numbers: TagNumbers, within: tuple[str, ...]) -> Array:
        if key in within or len(within) > 64:
            raise MeshFileError(f"the set {key[:40]!r} contains itself.")
        if key not in self.names:
            raise MeshFileError(f"no set {key[:40]!r}, which another one names; there are {sorted(self.names)[:8]}.")
        found = [np.zeros(0, dtype=np.int64), *self.own.get(key, [])]
        for generate, text in self.rows.get(key, []):
            words = [word.strip() for word in text.replace("\n", ",").split(",") if word.strip()]
            named = [word for word in words if not word.lstrip("+-").isdigit()]
            values = numbers_from_text(key, " ".join(w for w in words if w.lstrip("+-").isdigit()), np.dtype(np.int64))
            found += [self._tags(word.upper(), numbers, (*within, key)) for word in named]
            found += _generated(text, numbers.tags) if generate else [values]
        joined = np.concatenate(found)
        return joined[np.sort(np.unique(joined, return_index=True)[1])]


def read_inp(path: Path) -> Mesh:
    """The mesh of an input file; errors do not name the file.

    Sets of cells of one dimension less than the mesh become sets of facets. Elements that are no cells (springs,
    masses) and surfaces are passed over with a warning.
    """
    text = _COMMENT.sub("", path.read_bytes().decode("utf-8", "replace").replace("\r", ""))
    keywords = list(_KEYWORD.finditer(text))
    ends = [*(k.start() for k in keywords[1:]), len(text)]
    nodes, elements = _Sets(), _Sets()
    rows: list[Array] = []
    cells: dict[str, list[Array]] = {}
    for keyword, end in zip(keywords, ends, strict=False):
        name, options = _options(keyword.group(1))
        body = text[keyword.end() : end]
        if name == "NODE":
            rows.append(_nodes(body))
            if "NSET" in options:
                nodes.add_tags(options["NSET"], rows[-1][:, 0].astype(np.int64))
        elif name == "ELEMENT":
            _elements(path, options, body, cells, elements)
        elif name in ("NSET", "ELSET"):
            sets = nodes if name == "NSET" else elements
            sets.add(options.get(name, ""), body, "GENERATE" in options)
        elif name == "INCLUDE":
            raise MeshFileError("it refers to another file (*INCLUDE): put everything into one file.")
        elif name == "SURFACE":
            told = options.get("NAME", "")
            warnings.warn(f"{path}: surface {told!r}: passed over; define it as a set.", MeshFileWarning, stacklevel=5)
    if not rows:
        raise MeshFileError("no *NODE in it, expected an input file of Abaqus or CalculiX; it may be damaged.")
    return _mesh(np.concatenate(rows), {k: np.concatenate(v) for k, v in cells.items()}, nodes, elements)


def _mesh(rows: Array, cells: dict[str, Array], nodes: _Sets, elements: _Sets) -> Mesh:
    tags = rows[:, 0].astype(np.int64)
    if len(np.unique(tags)) != len(tags):
        raise MeshFileError("several nodes have one number (do parts count on their own?): flatten the model.")
    numbers = TagNumbers("node", tags)
    connectivity = {kind: numbers.of(table[:, 1:]) for kind, table in cells.items()}
    every = np.concatenate([np.zeros(0, dtype=np.int64), *(table[:, 0] for table in cells.values())])
    found = elements.members(TagNumbers("element", every))
    starts = np.cumsum([0, *(len(table) for table in cells.values())])
    cell_sets: dict[str, dict[str, Array]] = {name: {} for name in found}
    for name, places in found.items():
        for kind, start, stop in zip(cells, starts[:-1], starts[1:], strict=True):
            own = places[(places >= start) & (places < stop)] - start
            if len(own):
                cell_sets[name][kind] = own
    dimension = max((cell_type(kind).dimension for kind in cells), default=0)
    points = planar(rows[:, 1:], dimension)
    return facets_of_cells(Mesh(points, connectivity, node_sets=nodes.members(numbers), cell_sets=cell_sets))


def _options(line: str) -> tuple[str, dict[str, str]]:
    """The keyword in capitals, and its options."""
    name, *rest = (word.strip() for word in line.replace("\n", " ").split(","))
    pairs = [word.partition("=") for word in rest]
    return " ".join(name.upper().split()), {key.strip().upper(): value.strip().strip('"') for key, _, value in pairs}


def _nodes(body: str) -> Array:
    """Number and coordinates in space of each node."""
    lines = sum(1 for line in body.splitlines() if line.strip())
    values = numbers_from_text("*NODE", re.sub("[dD]", "e", body.replace(",", " ")), np.dtype(np.float64))
    width = values.size // lines if lines else 4
    if values.size != lines * width or not 2 <= width <= 4:
        raise MeshFileError(f"{values.size} numbers in {lines} lines of *NODE, expected number and coordinates each.")
    rows = np.zeros((lines, 4))
    rows[:, :width] = values.reshape(lines, width)
    return rows


def _elements(path: Path, options: dict[str, str], body: str, cells: dict[str, list[Array]], sets: _Sets) -> None:
    name = options.get("TYPE", "").upper()
    kind = next((kinds.get(m.group(1)) for p, kinds in _ELEMENTS if (m := re.match(p, name))), None)
    if kind is None:
        warnings.warn(f"{path}: elements of type {name[:24]!r}: passed over.", MeshFileWarning, stacklevel=6)
        return
    width = 1 + cell_type(kind).nodes
    values = numbers_from_text(name, body.replace(",", " "), np.dtype(np.int64))
    if values.size % width:
        raise MeshFileError(f"{values.size} numbers for elements {name}, expected a multiple of {width}: damaged.")
    table = values.reshape(-1, width)
    cells.setdefault(kind, []).append(table)
    if "ELSET" in options:
        sets.add_tags(options["ELSET"], table[:, 0])


def _generated(text: str, tags: Array) -> list[Array]:
    """The tags among those there are that lie on ranges: first, last, step."""
    found = []
    for line in text.splitlines():
        words = [int(word) for word in line.split(",") if word.strip()]
        if not words:
            continue
        first, last, step = (*words, 1)[:3] if len(words) > 1 else (words[0], words[0], 1)
        if step < 1 or max(abs(first), abs(last)) >= 2**63:
            raise MeshFileError(f"a range {line.strip()[:40]!r}: expected first, last, step.")
        found.append(tags[(tags >= first) & (tags <= last) & ((tags - first) % step == 0)])
    return found
