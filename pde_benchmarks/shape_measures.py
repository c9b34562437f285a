"""Numbers that a shape has without being told: they may stand in ratios beside given scalars."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from meshes.cross_sections import smallest_section_share
from meshes.mesh import Mesh

__all__ = ["SHAPE_MEASURES"]

#: The smallest cross-section normal to an axis over the largest: a load over it is the mean stress in the ligament.
SHAPE_MEASURES: dict[str, Callable[[Mesh], float]] = {
    f"net_section_{name}": partial(smallest_section_share, axis=axis) for axis, name in enumerate("xyz")
}
