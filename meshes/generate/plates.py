"""Rectangular plates with holes and notches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from meshes.errors import MeshError
from meshes.generate.outline import Loop, arc, polygon
from meshes.generate.seeding import inside
from meshes.generate.size import Size
from meshes.generate.triangulation import triangulate
from meshes.mesh import Mesh

__all__ = ["EllipticNotch", "Notch", "WedgeNotch", "plate", "plate_outline", "rectangle"]

Array = NDArray[Any]

_SIDES = ("bottom", "right", "top", "left")


class Notch(Protocol):
    """A cut into one side of a plate.

    Attributes
    ----------
    side
        "bottom", "right", "top" or "left".
    at
        Coordinate of its middle along the side (x or y).
    depth, half_width
        Lengths across and along the side.
    """

    @property
    def side(self) -> str: ...
    @property
    def at(self) -> float: ...
    @property
    def depth(self) -> float: ...
    @property
    def half_width(self) -> float: ...

    def curves(self) -> list[Array]:
        """Its outline ``(k, 2)`` in pieces, along the side from −half_width to half_width, depth inward."""
        ...


@dataclass(frozen=True)
class EllipticNotch:
    """Half an ellipse, of semi-axes depth and half_width; its deepest point is a node."""

    side: str
    at: float
    depth: float
    half_width: float

    def curves(self) -> list[Array]:
        axes = (self.half_width, self.depth)
        return [arc([0.0, 0.0], axes, np.pi, np.pi / 2), arc([0.0, 0.0], axes, np.pi / 2, 0.0)]


@dataclass(frozen=True)
class WedgeNotch:
    """A V, whose tip is a node."""

    side: str
    at: float
    depth: float
    half_width: float

    def curves(self) -> list[Array]:
        tip = [0.0, self.depth]
        return [np.array([[-self.half_width, 0.0], tip]), np.array([tip, [self.half_width, 0.0]])]


def rectangle(center: ArrayLike, sides: tuple[float, float], name: str) -> Loop:
    """A rectangle parallel to the axes, as a hole.

    Examples
    --------
    >>> rectangle([0.0, 0.0], (2.0, 1.0), "hole").points.tolist()
    [[-1.0, -0.5], [1.0, -0.5], [1.0, 0.5], [-1.0, 0.5]]
    """
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]) * sides
    return polygon(corners + np.asarray(center, dtype=np.float64), name)


def plate(
    width: float,
    height: float,
    size: Size,
    holes: Sequence[Loop] = (),
    notches: Sequence[Notch] = (),
    seed: int = 0,
) -> Mesh:
    """Triangles in a plate [−width/2, width/2] × [−height/2, height/2] with holes and notches.

    Parameters
    ----------
    width, height
        Side lengths.
    size
        Wanted edge length, see `triangulate`; `GradedSize` makes it small at the notches.
    holes
        Loops inside the plate: `circle`, `ellipse`, `rectangle`, `polygon`.
    notches
        Cuts into its sides: `EllipticNotch`, `WedgeNotch`.
    seed
        See `triangulate`.

    Returns
    -------
    Mesh
        Facet and node sets "bottom", "right", "top", "left", "notch", and the names of the holes.

    Raises
    ------
    MeshError
        Notches that overlap or leave their side, holes that reach out of the plate or cross.

    Examples
    --------
    >>> from meshes.generate import circle
    >>> mesh = plate(2.0, 1.0, 0.1, [circle([0.0, 0.0], 0.2, "hole")], [WedgeNotch("left", 0.0, 0.2, 0.1)])
    >>> sorted(mesh.facet_sets)
    ['bottom', 'hole', 'left', 'notch', 'right', 'top']
    """
    outer = plate_outline(width, height, notches)
    ends = np.stack([outer.points, np.roll(outer.points, -1, axis=0)], axis=1)
    for hole in holes:
        if not inside(hole.points, ends).all():
            raise MeshError(f"hole {hole.names[0]!r} reaches out of the plate or into a notch: move or shrink it.")
    return triangulate([outer, *holes], size, seed)


def plate_outline(width: float, height: float, notches: Sequence[Notch] = ()) -> Loop:
    """The boundary of such a plate, for `triangulate` with other holes or as points for `GradedSize`.

    Raises
    ------
    MeshError
        As `plate`.
    """
    corners = 0.5 * np.array([[-width, -height], [width, -height], [width, height], [-width, height]])
    unknown = sorted({notch.side for notch in notches} - set(_SIDES))
    if unknown or not min(width, height) > 0:
        raise MeshError(f"plate {width} × {height}, sides {unknown}: expected positive lengths and {_SIDES}.")
    names: list[str] = []
    pieces: list[Array] = []
    for number, side in enumerate(_SIDES):
        begin, end = corners[number], corners[(number + 1) % 4]
        length = float(np.linalg.norm(end - begin))
        along = (end - begin) / length
        across = np.array([-along[1], along[0]])
        axis = number % 2
        own = sorted((n for n in notches if n.side == side), key=lambda n: n.at * along[axis])
        reached, corner = 0.0, begin
        for notch in own:
            middle = (notch.at - begin[axis]) * along[axis]
            _check(notch, reached, middle, length, (height, width)[axis])
            start = begin + (middle - notch.half_width) * along
            names.append(side)
            pieces.append(np.stack([corner, start]))
            for curve in notch.curves():
                names.append("notch")
                pieces.append(begin + (middle + curve[:, :1]) * along + curve[:, 1:] * across)
            reached, corner = middle + notch.half_width, begin + (middle + notch.half_width) * along
        names.append(side)
        pieces.append(np.stack([corner, end]))
    return Loop(tuple(names), tuple(pieces))


def _check(notch: Notch, reached: float, middle: float, length: float, room: float) -> None:
    if not (notch.half_width > 0 and 0 < notch.depth < room):
        raise MeshError(f"{notch}: expected a positive half_width and a depth between 0 and {room}.")
    if middle - notch.half_width <= reached or middle + notch.half_width >= length:
        raise MeshError(f"{notch}: overlaps another one or leaves the side, whose length is {length}.")
