"""Any grid for networks that halve it: pad to the next size that fits, apply, crop."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as functional
from torch import Tensor, nn

__all__ = ["Padded"]


class Padded(nn.Module):
    """Continues fields to the next size that the levels can halve, applies the network and crops."""

    def __init__(self, network: nn.Module, unit: int, offset: int) -> None:
        super().__init__()
        self.network, self.unit, self.offset = network, unit, offset

    def forward(self, field: Tensor) -> Tensor:
        """Same shape out as in, for any grid."""
        shape = field.shape[2:]
        extra = [-(n - self.offset) % self.unit for n in shape]
        if not any(extra):
            return self._applied(field)
        pads = [count for more in reversed(extra) for count in (more // 2, more - more // 2)]
        result = self._applied(functional.pad(field, pads, mode="replicate"))
        crop = tuple(slice(more // 2, more // 2 + n) for more, n in zip(extra, shape, strict=True))
        index: tuple[Any, ...] = (..., *crop)
        return result[index]

    def _applied(self, field: Tensor) -> Tensor:
        result: Tensor = self.network(field)
        return result
