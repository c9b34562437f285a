"""Boundary curves of morphed meshes: where their nodes are along the reference's curve, and interpolation along it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from meshes.errors import MorphingError
from meshes.mesh import Mesh
from meshes.morphing.surfaces import boundary_loops
from meshes.topology import boundary_facets

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Rim", "rims_along", "rims_of"]

Array = NDArray[Any]

#: A boundary node lies on the reference's boundary if it is no further away than this share of the box's diagonal.
_NEAR = 1e-6


@dataclass(frozen=True, eq=False)
class Rim:
    """A closed boundary curve of a morphed mesh.

    Two meshes on one reference shape have different polygons as boundaries; but along the curve their nodes can be
    compared, so that values on the boundary come from values on the boundary.

    Parameters
    ----------
    nodes
        Node numbers ``(m,)`` in order.
    places
        Where they are along the reference's curve ``(m,)``: rising by less than a period.
    period
        Length of the curve in the unit of the places.

    Examples
    --------
    >>> import numpy as np
    >>> rim = Rim(np.array([5, 2, 7]), np.array([0.0, 1.0, 3.0]), 4.0)
    >>> rim.weights(np.array([2.0, 3.5]), 8).toarray()[:, [5, 2, 7]]  # halfway to node 7, and on from there to node 5
    array([[0. , 0.5, 0.5],
           [0.5, 0. , 0.5]])
    """

    nodes: Array
    places: Array
    period: float

    def weights(self, places: Array, size: int) -> csr_array:
        """Rows ``(len(places), size)`` of linear interpolation between the rim's nodes at places along the curve."""
        from scipy.sparse import csr_array

        start = self.places[0]
        closed = np.append(self.places, start + self.period)
        # Rounding may bring a place just below the period to the period itself, which is the start again.
        at = start + np.mod(places - start, self.period)
        before = np.clip(np.searchsorted(closed, at, side="right") - 1, 0, len(self.nodes) - 1)
        share = np.clip((at - closed[before]) / (closed[before + 1] - closed[before]), 0.0, 1.0)
        columns = np.stack([self.nodes[before], self.nodes[(before + 1) % len(self.nodes)]], axis=1).ravel()
        values = np.stack([1.0 - share, share], axis=1).ravel()
        return csr_array((values, columns, np.arange(0, 2 * len(at) + 1, 2)), shape=(len(at), size))


def rims_of(mesh: Mesh) -> tuple[Rim, ...]:
    """The boundary loops of a plane mesh with the arc length of their own polygons; the longest (in nodes) first."""
    if not mesh.space_dimension == mesh.dimension == 2:
        return ()
    points = mesh.points.astype(np.float64)
    rims = []
    for loop in boundary_loops(boundary_facets(mesh)["line"]):
        reached = np.concatenate([[0.0], np.cumsum(_lengths(points[loop]))])
        rims.append(Rim(loop, reached[:-1], float(reached[-1])))
    return tuple(rims)


def rims_along(mesh: Mesh, targets: Array, reference: Mesh, curves: Sequence[Rim]) -> tuple[Rim, ...]:
    """The boundary loops of a mesh along the reference's, one for each, in the order of the reference's.

    Parameters
    ----------
    mesh
        Plane mesh of the topology of the reference.
    targets
        Places ``(n, 2)`` of its nodes on the reference shape; only those of boundary nodes count.
    reference, curves
        The reference mesh and its own `rims_of`.

    Raises
    ------
    MorphingError
        A boundary loop does not lie on the reference's boundary, or does not follow it in order.
    """
    found: dict[int, Rim] = {}
    corners = reference.points.astype(np.float64)
    diagonal = float(np.linalg.norm(np.ptp(corners, axis=0)))
    for loop in boundary_loops(boundary_facets(mesh)["line"]):
        distances, places = zip(*(_project(targets[loop], corners, curve) for curve in curves), strict=True)
        number = int(np.argmin([distance.max() for distance in distances]))
        if distances[number].max() > _NEAR * diagonal or number in found:
            raise MorphingError(
                f"a boundary loop of {len(loop)} nodes misses the reference's boundary by "
                f"{distances[number].max():.3g} (diagonal {diagonal:.3g}): expected each loop on its own; check the "
                "landmarks, and that both have the same holes."
            )
        found[number] = _ordered(loop, places[number], curves[number].period)
    return tuple(found[number] for number in range(len(curves)))


def _project(points: Array, corners: Array, curve: Rim) -> tuple[Array, Array]:
    """Distance of points ``(m, 2)`` from a closed polygon, and the arc length at the nearest place of it."""
    begin = corners[curve.nodes]
    edge = np.roll(begin, -1, axis=0) - begin
    length = np.linalg.norm(edge, axis=1)
    offset = points[:, None, :] - begin
    share = np.clip((offset * edge).sum(axis=2) / length**2, 0.0, 1.0)
    distance = np.linalg.norm(offset - share[..., None] * edge, axis=2)
    nearest = distance.argmin(axis=1)
    row = np.arange(len(points))
    return distance[row, nearest], curve.places[nearest] + share[row, nearest] * length[nearest]


def _ordered(loop: Array, places: Array, period: float) -> Rim:
    """The loop from the node of the smallest place on; places rise along it."""
    place = np.mod(places, period)
    start = int(place.argmin())
    loop, place = np.roll(loop, -start), np.roll(place, -start)
    if (np.diff(place) <= 0).any():
        where = int(loop[int(np.flatnonzero(np.diff(place) <= 0)[0])])
        raise MorphingError(
            f"boundary nodes come in another order on the reference's boundary (from node {where} on): expected them "
            "to follow it; check the landmarks' order, and that cells are counterclockwise."
        )
    return Rim(loop, place, period)


def _lengths(corners: Array) -> Array:
    return np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
