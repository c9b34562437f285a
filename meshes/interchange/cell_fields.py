"""Cell fields on some blocks only, in packages that want a value for every cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["dense_blocks", "planar", "sparse_blocks"]

Array = NDArray[Any]


def dense_blocks(field: Mapping[str, Array], counts: Mapping[str, int]) -> list[Array]:
    """One array for every block; NaN (and float64) where the field is not given."""
    given = list(field.values())
    if field.keys() == counts.keys():
        return [np.asarray(field[kind]) for kind in counts]
    trailing = given[0].shape[1:] if given else ()
    return [
        np.asarray(field[kind], dtype=np.float64) if kind in field else np.full((count, *trailing), np.nan)
        for kind, count in counts.items()
    ]


def sparse_blocks(values: Mapping[str, Array]) -> dict[str, Array]:
    """The blocks that hold anything but NaN."""
    return {kind: v for kind, v in values.items() if v.dtype.kind not in "fc" or not v.size or not np.isnan(v).all()}


def planar(points: Array, dimension: int) -> Array:
    """Points of a mesh of the given cell dimension without the trailing coordinates that are zero throughout.

    Many formats know points in space only: a plane mesh comes back as a plane mesh, a curved surface as it is.
    """
    size = points.shape[1]
    while size > max(dimension, 1) and len(points) and not points[:, size - 1].any():
        size -= 1
    return points[:, :size]
