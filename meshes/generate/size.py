"""How large cells shall be, from place to place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from meshes.errors import MeshError

__all__ = ["GradedSize", "Size"]

Array = NDArray[Any]

#: The wanted edge length: one number, or a function of points ``(m, 2)`` that returns ``(m,)``.
Size = float | Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class GradedSize:
    """h(x) = min(smallest + growth · distance to the nearest point of interest, largest).

    Parameters
    ----------
    points
        Points of interest ``(k, 2)``: a notch, a wall, sampled finely.
    smallest, largest
        Edge lengths there and far away.
    growth
        Increase of the edge length for every unit of distance; beyond 0.5 or so cells lose their shape.

    Raises
    ------
    MeshError
        Lengths that are not positive or not in order, or a negative growth.

    Examples
    --------
    >>> GradedSize([[0.0, 0.0]], smallest=0.1, largest=1.0, growth=0.2)(np.array([[0.0, 0.0], [1.0, 0.0], [9.0, 0.0]]))
    array([0.1, 0.3, 1. ])
    """

    points: ArrayLike
    smallest: float
    largest: float
    growth: float = 0.2

    def __post_init__(self) -> None:
        from scipy.spatial import cKDTree

        if not 0 < self.smallest <= self.largest or self.growth < 0:
            raise MeshError(
                f"GradedSize with smallest {self.smallest}, largest {self.largest}, growth {self.growth}: expected "
                "0 < smallest ≤ largest and growth ≥ 0."
            )
        object.__setattr__(self, "_tree", cKDTree(np.asarray(self.points, dtype=np.float64)))

    def __call__(self, x: Array) -> Array:
        distance: Array = self._tree.query(x)[0]  # type: ignore[attr-defined]
        return np.minimum(self.smallest + self.growth * distance, self.largest)
