"""Nodes and elements by the numbers that a file gives them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.errors import MeshFileError

__all__ = ["TagNumbers"]

Array = NDArray[Any]


class TagNumbers:
    """From tags, which may be sparse and in any order, to places counted from 0.

    Parameters
    ----------
    what
        What has the tags, for messages: "node" or "element".
    tags
        One for each.
    """

    def __init__(self, what: str, tags: Array) -> None:
        self.what = what
        self.tags = tags
        dense = bool(len(tags)) and int(tags[0]) == 1 and bool((np.diff(tags.astype(np.int64)) == 1).all())
        self.order = None if dense else np.argsort(tags, kind="stable")

    def of(self, wanted: Array) -> Array:
        """Places of tags; `MeshFileError` for one that is not there."""
        wanted = wanted.astype(np.int64)
        if self.order is None:
            found = wanted - 1
            bad = (found < 0) | (found >= len(self.tags))
        else:
            sorted_tags = self.tags[self.order].astype(np.int64)
            at = np.searchsorted(sorted_tags, wanted)
            bad = at >= len(sorted_tags)
            at[bad] = 0
            if len(sorted_tags):
                bad |= sorted_tags[at] != wanted
            found = self.order[at] if len(sorted_tags) else at
        if bad.any():
            raise MeshFileError(f"no {self.what} has the tag {wanted[bad].flat[0]}, which an element or field names.")
        return found
