"""What a file has lost of a mesh: the mesh beside what was read back, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.mesh import Mesh

__all__ = ["losses"]

Array = NDArray[Any]


def losses(mesh: Mesh, back: Mesh) -> tuple[str, ...]:
    """One sentence for everything of `mesh` that is missing from, or changed in `back`; what `back` has more is fine.

    Raises
    ------
    MeshError
        The cells of the two meshes have nothing to do with each other.
    """
    found = [*_geometry(mesh, back)]
    for what in ("point_data", "global_data"):
        title = what.replace("_data", " field").replace("global field", "global data")
        for name, values in getattr(mesh, what).items():
            found += _field(f"{title} {name!r}", values, getattr(back, what).get(name))
    for name, parts in mesh.cell_data.items():
        given = back.cell_data.get(name, {})
        worst = [
            _field(f"cell field {name!r}", values, _first(given, kind, len(values))) for kind, values in parts.items()
        ]
        found += next((words for words in worst if words), [])
    for name, ids in mesh.node_sets.items():
        found += _members(f"node set {name!r}", np.unique(ids), back.node_sets.get(name))
    for name, parts in mesh.cell_sets.items():
        found += _set_of_blocks(f"cell set {name!r}", parts, back.cell_sets.get(name))
    for name, parts in mesh.facet_sets.items():
        found += _set_of_blocks(f"facet set {name!r}", parts, back.facet_sets.get(name))
    return tuple(found)


def _geometry(mesh: Mesh, back: Mesh) -> list[str]:
    words = []
    if mesh.space_dimension != back.space_dimension:
        words.append(f"points in {mesh.space_dimension}-D come back in {back.space_dimension}-D")
    size = max(mesh.space_dimension, back.space_dimension)
    ours, theirs = _in_space(mesh.points, size), _in_space(back.points, size)
    lost = [kind for kind, nodes in mesh.cells.items() if len(nodes) and _cells_at(back, kind, len(nodes)) is None]
    if lost:
        words.append("cells: " + ", ".join(f"{len(mesh.cells[k])} {k}" for k in lost) + " left out or renumbered")
    kept = [kind for kind, nodes in mesh.cells.items() if len(nodes) and kind not in lost]
    same = ours.shape == theirs.shape and all(
        np.array_equal(mesh.cells[k], _cells_at(back, k, len(mesh.cells[k]))) for k in kept
    )
    if not same:
        words.append(f"the numbers of the points ({len(mesh.points)} before, {len(back.points)} after)")
        pairs = [(ours[mesh.cells[k]], theirs[_cells_at(back, k, len(mesh.cells[k]))]) for k in kept]
    else:
        pairs = [(ours, theirs)]
    worst = max((_gap(a, b) for a, b in pairs), default=0.0)
    if worst > 1e-3:
        words.append("the order of the cells or of their nodes")
    elif worst:
        words.append(f"coordinates rounded (up to {worst:.1e} of the largest)")
    return words


def _cells_at(back: Mesh, kind: str, count: int) -> Any:
    """As many cells of a type as there were; sets of facets may have added more behind them."""
    nodes = back.cells.get(kind)
    return None if nodes is None or len(nodes) < count else nodes[:count]


def _first(parts: Mapping[str, Array], kind: str, count: int) -> Array | None:
    values = parts.get(kind)
    return None if values is None else values[:count]


def _field(what: str, before: Array, after: Array | None) -> list[str]:
    if after is None:
        return [f"{what}: left out"] if before.size and not _all_nan(before) else []
    if before.shape != after.shape:
        return [f"{what}: shape {before.shape} comes back as {after.shape}"]
    changed = f"{before.dtype} comes back as {after.dtype}" if before.dtype != after.dtype else ""
    if not np.array_equal(before, after, equal_nan=before.dtype.kind in "fc" and after.dtype.kind in "fc"):
        gap = _gap(np.asarray(before), np.asarray(after))
        rounded = f"values rounded (up to {gap:.1e} of the largest)"
        changed = ", ".join(words for words in (changed, rounded) if words)
    return [f"{what}: {changed}"] if changed else []


def _all_nan(values: Array) -> bool:
    return values.dtype.kind in "fc" and bool(np.isnan(values).all())


def _members(what: str, before: Array, after: Array | None) -> list[str]:
    if after is None:
        return [f"{what}: left out"]
    return [] if np.array_equal(before, np.unique(after)) else [f"{what}: other members"]


def _set_of_blocks(what: str, before: Mapping[str, Array], after: Mapping[str, Array] | None) -> list[str]:
    if after is None:
        return [f"{what}: left out"]
    parts = {kind: ids for kind, ids in before.items() if len(ids)}
    same = parts.keys() == {kind for kind, ids in after.items() if len(ids)}
    equal = same and all(np.array_equal(_rows(ids), _rows(after[kind])) for kind, ids in parts.items())
    return [] if equal else [f"{what}: other members"]


def _rows(members: Array) -> Array:
    return np.unique(members, axis=0)


def _in_space(points: Array, size: int) -> Array:
    return np.pad(points, ((0, 0), (0, size - points.shape[1])))


def _gap(a: Array, b: Array) -> float:
    """Largest difference over the largest magnitude; NaN agrees with NaN only."""
    if not a.size:
        return 0.0
    x, y = (np.asarray(v, dtype=np.complex128 if v.dtype.kind == "c" else np.float64) for v in (a, b))
    difference = np.abs(x - y)
    difference[(x == y) | (np.isnan(x) & np.isnan(y))] = 0
    scale = float(np.max(np.abs(x), where=np.isfinite(x), initial=0))
    worst = float(np.max(np.where(np.isnan(difference), np.inf, difference)))
    return worst / scale if scale else worst
