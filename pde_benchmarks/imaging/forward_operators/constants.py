"""Constants of an operator, in the precision and on the device of whatever they meet."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Constant"]


class Constant:
    """A float64 (or complex128) tensor, cast once for every dtype and device that asks for it.

    Examples
    --------
    >>> Constant(torch.ones(2, dtype=torch.float64)).like(torch.zeros(1)).dtype
    torch.float32
    """

    def __init__(self, values: Tensor) -> None:
        self.values = values.detach()
        self._cast: dict[tuple[torch.dtype, torch.device], Tensor] = {}

    def like(self, x: Tensor) -> Tensor:
        """In the precision of the real tensor ``x``, where it lives."""
        dtype = x.dtype.to_complex() if self.values.is_complex() else x.dtype
        key = (dtype, x.device)
        if key not in self._cast:
            self._cast[key] = self.values.to(device=x.device, dtype=dtype)
        return self._cast[key]
