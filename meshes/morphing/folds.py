"""Cells that a morphing has turned inside out: found, counted, reported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.errors import MeshError, MorphingError
from meshes.geometry import cell_centroids, signed_volumes
from meshes.mesh import Mesh
from meshes.quality import scaled_jacobians

__all__ = ["FoldReport", "Morphing", "fold_report", "folds_between"]

Array = NDArray[Any]
_SHOWN = 5


@dataclass(frozen=True)
class FoldReport:
    """Fold-overs and quality of a morphed mesh.

    Attributes
    ----------
    cells
        Cells by type that have turned inside out or collapsed, the numbers within their block; empty without folds.
    centroids
        Where they lie in the morphed mesh, by type ``(m, dim)``.
    min_scaled_jacobian
        Quality of the worst cell: 1 for a regular one, 0 or less for a fold; NaN where it is not defined (wedges).
    volume_ratios
        Smallest and largest ratio of a cell's volume after and before, relative to that of the whole mesh.
    """

    cells: dict[str, Array]
    centroids: dict[str, Array]
    min_scaled_jacobian: float
    volume_ratios: tuple[float, float]

    @property
    def count(self) -> int:
        """Number of folded cells."""
        return sum(map(len, self.cells.values()))

    def __str__(self) -> str:
        quality = f"minimal scaled Jacobian {self.min_scaled_jacobian:.2g}"
        if not self.count:
            return f"no folded cells, {quality}"
        return f"{self.count} folded cell{'s' if self.count > 1 else ''} ({self._places()}), {quality}"

    def raise_if_folded(self, what: str, remedy: str) -> None:
        """Raise `MorphingError` "`what`: `count` folded cells (where) ...; `remedy`" if there are any."""
        if self.count:
            raise MorphingError(f"{what}: {self}: expected every cell to keep its orientation; {remedy}.")

    def _places(self) -> str:
        words = []
        for kind, members in self.cells.items():
            shown = zip(members[:_SHOWN], self.centroids[kind], strict=False)
            places = ", ".join(f"{i} at ({', '.join(f'{x:.3g}' for x in place)})" for i, place in shown)
            words.append(f"{kind} {places}{', …' if len(members) > _SHOWN else ''}")
        return "; ".join(words)


@dataclass(frozen=True)
class Morphing:
    """A mesh after morphing.

    Attributes
    ----------
    mesh
        The same mesh with its nodes at their new places.
    folds
        Cells that turned inside out.
    miss
        Largest distance of a control node from its target, relative to the mesh's diagonal; 0 where targets are met.
    """

    mesh: Mesh
    folds: FoldReport
    miss: float = 0.0

    def __repr__(self) -> str:
        return f"Morphing: {self.folds}, targets missed by {self.miss:.2g} of the diagonal\n{self.mesh!r}"


def fold_report(before: Mesh, after: Mesh) -> FoldReport:
    """Compare the cells of a mesh before and after its nodes have moved.

    A cell has folded where its volume or the smallest Jacobian at its corners is not positive. On surfaces in space,
    whose cells have no sign, only collapsed cells count. Of quadratic cells only the vertices are looked at.

    Raises
    ------
    MeshError
        Cells are inverted before morphing: no map could be judged.

    Examples
    --------
    >>> square = Mesh([[0.0, 0], [1, 0], [1, 1], [0, 1]], {"triangle": [[0, 1, 2], [0, 2, 3]]})
    >>> print(fold_report(square, square.with_points([[0.0, 0], [1, 0], [0.2, 0.4], [0.5, 0.5]])))
    1 folded cell (triangle 1 at (0.233, 0.3)), minimal scaled Jacobian -0.82
    """
    broken = {kind: members for kind, members in _folded(before).items() if len(members)}
    if broken:
        words = "; ".join(f"{len(m)} {kind} cells ({', '.join(map(str, m[:_SHOWN]))})" for kind, m in broken.items())
        raise MeshError(f"inverted or collapsed before morphing: {words}; mend the mesh with meshes.repair_mesh.")
    return folds_between(before, after)


def folds_between(before: Mesh, after: Mesh) -> FoldReport:
    """The same, whatever the cells were before."""
    cells = {kind: members for kind, members in _folded(after).items() if len(members)}
    every = cell_centroids(after)
    ratios = _ratios(before, after)
    return FoldReport(cells, {kind: every[kind][members] for kind, members in cells.items()}, _worst(after), ratios)


def _folded(mesh: Mesh) -> dict[str, Array]:
    quality = _qualities(mesh)
    folded = {}
    for kind, nodes in mesh.blocks().items():
        good = signed_volumes(mesh.points, kind, nodes) > 0
        folded[kind] = np.flatnonzero(~(good & (quality.get(kind, np.ones(len(nodes))) > 0)))
    return folded


def _qualities(mesh: Mesh) -> dict[str, Array]:
    if mesh.dimension < 2:
        return {}
    try:
        return scaled_jacobians(mesh)
    except MeshError:  # wedges and pyramids: the sign of their volume decides
        return {}


def _worst(mesh: Mesh) -> float:
    return min((float(values.min()) for values in _qualities(mesh).values()), default=float("nan"))


def _ratios(before: Mesh, after: Mesh) -> tuple[float, float]:
    old, new = (
        np.concatenate([signed_volumes(m.points, kind, nodes) for kind, nodes in m.blocks().items()])
        for m in (before, after)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = (new / np.abs(new).sum()) / (old / np.abs(old).sum())
    return float(scaled.min()), float(scaled.max())
