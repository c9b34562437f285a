"""Refusal of states that are not finite, given or computed, by the number of their sample."""

from __future__ import annotations

import torch
from torch import Tensor

from pde_benchmarks.errors import ProblemError

__all__ = ["require_finite_flow", "require_finite_start"]


@torch.no_grad()
def require_finite_start(name: str, start: Tensor) -> None:
    """Refuse initial states ``(batch, …)`` with NaN or infinity; raises ProblemError."""
    wrong = _broken(start)
    if wrong:
        raise ProblemError(
            f"{name}: the initial state of sample {wrong[0]} is not finite ({len(wrong)} of {len(start)} are not): "
            "remove or mend it."
        )


@torch.no_grad()
def require_finite_flow(name: str, flow: Tensor, remedy: str) -> None:
    """Refuse computed states ``(batch, …)`` with NaN or infinity; raises ProblemError."""
    wrong = _broken(flow)
    if wrong:
        raise ProblemError(
            f"{name}: sample {wrong[0]} does not stay finite ({len(wrong)} of {len(flow)} samples do not): {remedy}."
        )


def _broken(state: Tensor) -> list[int]:
    return (~state.isfinite()).flatten(1).any(1).nonzero().flatten().tolist()
