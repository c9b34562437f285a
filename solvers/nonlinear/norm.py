"""The Euclidean norm of residuals and steps of any size."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["norm"]


def norm(x: Tensor) -> Tensor:
    """‖x‖₂ over the last axis, which is kept; squares neither over- nor underflow."""
    if x.shape[-1] == 0:
        return x.new_zeros(*x.shape[:-1], 1)
    size = x.abs().amax(-1, keepdim=True)
    unit = torch.where((size > 0) & size.isfinite(), size, 1)
    return unit * torch.linalg.vector_norm(x / unit, dim=-1, keepdim=True)
