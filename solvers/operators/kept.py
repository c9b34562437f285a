"""What an operator derives from its values once, for many products."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar, cast

import torch
from torch import Tensor

__all__ = ["Kept"]

T = TypeVar("T")


class Kept:
    """Things made from the values of tensors, outside of autograd, and made again after one was changed in place.

    One thing a name is kept: the one for the last key.
    """

    def __init__(self, *values: Tensor) -> None:
        self._values = values
        self._things: dict[str, tuple[Hashable, object]] = {}

    def __getstate__(self) -> dict[str, object]:
        return {"_values": self._values, "_things": {}}  # copies make their own: torch cannot copy its CSR matrices

    def get(self, name: str, key: Hashable, build: Callable[[], T]) -> T:
        """The thing of this name for this key."""
        if any(values.is_inference() for values in self._values):  # nobody counts the changes of such tensors
            return build()
        stamp = tuple(values._version for values in self._values), key
        kept = self._things.get(name)
        if kept is None or kept[0] != stamp:
            with torch.no_grad():
                kept = stamp, build()
            self._things[name] = kept
        return cast(T, kept[1])
