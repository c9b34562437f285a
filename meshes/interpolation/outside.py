"""What to do with target points that lie in no cell: refuse, take the nearest place, extrapolate, leave blank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from meshes.errors import MeshError
from meshes.interpolation.cell_locator import CellLocator, Location

__all__ = ["Blank", "Extrapolate", "Nearest", "Outside", "Refuse"]

Array = NDArray[Any]


class Outside(Protocol):
    """Gives the points that are in no cell a place, or refuses to; what stays at cell −1 becomes NaN."""

    def settle(self, locator: CellLocator, targets: Array, location: Location) -> Location:
        """The location ``(m,)`` of the targets ``(m, dim)`` with the points outside placed."""
        ...


@dataclass(frozen=True)
class Refuse:
    """Raise `MeshError` that counts the points outside and names the first."""

    def settle(self, locator: CellLocator, targets: Array, location: Location) -> Location:
        out = location.outside
        if len(out):
            away = locator.nearest(targets[out]).distance
            raise MeshError(
                f"{len(out)} of {len(targets)} target points are outside of the mesh, the first is {out[0]} at "
                f"{_place(targets[out[0]])}, the largest distance {away.max():.3g}: pass outside=Nearest() to take "
                "the nearest value, Extrapolate() or Blank()."
            )
        return location


@dataclass(frozen=True)
class Nearest:
    """The value at the nearest place of the mesh: constant along the normal of the boundary.

    Parameters
    ----------
    within
        Points further away than this, in the unit of the coordinates, are refused with `MeshError`.
    """

    within: float = np.inf

    def settle(self, locator: CellLocator, targets: Array, location: Location) -> Location:
        out = location.outside
        if not len(out):
            return location
        near = locator.nearest(targets[out])
        _check_reach(near, out, targets, self.within)
        return _replaced(location, out, near)


@dataclass(frozen=True)
class Extrapolate:
    """The polynomial of the nearest cell, continued to the point: exact for what the cells represent.

    The sides of quadrilaterals and hexahedra that are no parallelograms meet somewhere: points beyond are refused.

    Parameters
    ----------
    within
        Points further away than this, in the unit of the coordinates, are refused with `MeshError`.
    """

    within: float = np.inf

    def settle(self, locator: CellLocator, targets: Array, location: Location) -> Location:
        out = location.outside
        if not len(out):
            return location
        near = locator.nearest(targets[out])
        _check_reach(near, out, targets, self.within)
        continued = locator.coordinates_in(near.cell, targets[out])
        lost = np.flatnonzero(np.isnan(continued).any(axis=1))
        if len(lost):
            raise MeshError(
                f"{len(lost)} of {len(targets)} target points cannot be reached by continuing the nearest cell, the "
                f"first is {out[lost[0]]} at {_place(targets[out[lost[0]]])}: its sides meet before; pass "
                "outside=Nearest()."
            )
        return _replaced(location, out, Location(near.cell, continued, near.distance))


@dataclass(frozen=True)
class Blank:
    """NaN at every point outside."""

    def settle(self, locator: CellLocator, targets: Array, location: Location) -> Location:
        return location


def _replaced(location: Location, rows: Array, other: Location) -> Location:
    cell, coordinates, distance = location.cell.copy(), location.coordinates.copy(), location.distance.copy()
    cell[rows], coordinates[rows], distance[rows] = other.cell, other.coordinates, other.distance
    return Location(cell, coordinates, distance)


def _check_reach(near: Location, rows: Array, targets: Array, within: float) -> None:
    far = np.flatnonzero(~(near.distance <= within))
    if len(far):
        first = rows[far[0]]
        raise MeshError(
            f"{len(far)} of {len(targets)} target points are further than {within:.3g} from the mesh, the first is "
            f"{first} at {_place(targets[first])}, {near.distance[far[0]]:.3g} away: enlarge `within`, or check that "
            "both meshes have one unit and origin."
        )


def _place(point: Array) -> str:
    return "(" + ", ".join(f"{x:.4g}" for x in point) + ")"
