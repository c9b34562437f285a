"""From a mesh to the common mesh and back: sparse interpolation between two meshes on one reference shape."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from meshes.interpolation import CellLocator, Nearest, interpolation_operator
from meshes.mesh import Mesh
from sciml.learners.mmgp.morphed import Morphed

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Transfer", "interpolation_between", "transfer"]

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Transfer:
    """P and Q between a mesh of n nodes and the common mesh of N nodes; rows sum to one, weights lie in [0, 1].

    Attributes
    ----------
    to_common
        P ``(N, n)``.
    to_mesh
        Q ``(n, N)``.
    """

    to_common: csr_array
    to_mesh: csr_array

    def lost(self, values: Array) -> Array:
        """f − Q P f of fields ``(n,)`` or ``(n, c)``: what no regression on the common mesh can bring back."""
        return values - self.to_mesh @ (self.to_common @ values)


def transfer(morphed: Morphed, common: Morphed) -> Transfer:
    """Both operators between a mesh on the reference shape and the common one.

    Examples
    --------
    >>> fan = {"triangle": [[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]]}
    >>> square = Morphed(Mesh([[0.0, 0], [1, 0], [1, 1], [0, 1], [0.5, 0.5]], fan))
    >>> both = transfer(square, square)
    >>> both.to_common.toarray().round(12).tolist() == np.eye(5).tolist()
    True
    """
    return Transfer(interpolation_between(morphed, common), interpolation_between(common, morphed))


def interpolation_between(source: Morphed, target: Morphed) -> csr_array:
    """Rows ``(target nodes, source nodes)``: values at the nodes of the target from those at the nodes of the source.

    Boundary nodes are served along their rims, where both meshes have them; other nodes by the cell in which they lie,
    or by the nearest place of the source if they lie between its boundary and the target's.
    """
    from scipy.sparse import csr_array, vstack

    n, m = len(source.mesh.points), len(target.mesh.points)
    rims = list(zip(source.rims, target.rims, strict=bool(source.rims and target.rims)))
    on_rim = [other.nodes for _, other in rims]
    inside = np.setdiff1d(np.arange(m), np.concatenate(on_rim)) if on_rim else np.arange(m)
    parts = [own.weights(other.places, n) for own, other in rims]
    if len(inside):
        points = target.mesh.points[inside]
        parts.append(interpolation_operator(_locator(source.mesh), points, Nearest()).to_scipy())
    order = np.argsort(np.concatenate([*on_rim, inside]), kind="stable")
    rows: csr_array = csr_array(vstack(parts, format="csr"))[order]
    return rows


class _Key:
    """A mesh by identity: meshes compare by value, which takes longer than to build what is remembered for them."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh

    def __hash__(self) -> int:
        return id(self.mesh)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other.mesh is self.mesh


def _locator(mesh: Mesh) -> CellLocator:
    return _remembered(_Key(mesh))


@lru_cache(maxsize=16)
def _remembered(key: _Key) -> CellLocator:
    """The common mesh is asked again for every sample; the key holds the mesh, so that its id is not given anew."""
    return CellLocator(key.mesh)
