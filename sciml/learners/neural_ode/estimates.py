"""What a step reveals about the dynamics: its local error in units of the tolerance, and their stiffness."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Estimates", "Evidence", "scaled_size", "stiffness_estimate"]

# Below this multiple of rounding the last two stages are the same point and their quotient is noise.
_INDISTINCT = 100.0


class Evidence(NamedTuple):
    """The vectors of one step, or of several stacked, from which it is judged, each ``(..., G, n)``.

    Attributes
    ----------
    local_error
        Difference of the pair's two solutions.
    start, end
        States at both ends.
    end_slope
        Slope at the end.
    other_end, other_slope
        State and slope of the stage before the last one.
    """

    local_error: Tensor
    start: Tensor
    end: Tensor
    end_slope: Tensor
    other_end: Tensor
    other_slope: Tensor

    def detached(self) -> Evidence:
        """Return the same vectors without a graph."""
        return Evidence(*(vector.detach() for vector in self))


@dataclass(frozen=True)
class Estimates:
    """What is measured, and with which tolerances.

    Parameters
    ----------
    rtol, atol
        Tolerances of the scaled error.
    error, raw_error, stiffness
        Whether each is kept as a differentiable quantity.
    """

    rtol: float
    atol: float
    error: bool = True
    raw_error: bool = False
    stiffness: bool = True

    def scaled_error(self, evidence: Evidence) -> Tensor:
        """Return the RMS of the local error in units of the tolerance, ``(..., G)``."""
        return scaled_size(evidence.local_error, evidence.start, evidence.end, self)

    def measured(self, steps: list[Evidence]) -> dict[str, Tensor]:
        """Return what is wanted of some steps, ``(steps, G)`` each; one batched computation is cheaper than many."""
        if not (self.error or self.raw_error or self.stiffness):
            return {}
        stacked = Evidence(*(torch.stack(vectors) for vectors in zip(*steps, strict=True)))
        values = {}
        if self.error:
            values["error"] = self.scaled_error(stacked)
        if self.raw_error:
            values["raw_error"] = _rms(stacked.local_error)
        if self.stiffness:
            values["stiffness"] = stiffness_estimate(
                stacked.end_slope - stacked.other_slope, stacked.end - stacked.other_end, stacked.end
            )
        return values


def scaled_size(vector: Tensor, start: Tensor, end: Tensor, tolerances: Estimates) -> Tensor:
    """Return the RMS of ``vector / (atol + rtol max(|start|, |end|))`` over the features, ``(..., G)``."""
    if tolerances.rtol == 0.0:
        return _rms(vector) / tolerances.atol
    scale = torch.maximum(start.abs(), end.abs())
    if tolerances.atol == 0.0:  # a state that is exactly zero has no relative error
        scale = scale.masked_fill((scale == 0) & (vector == 0), 1.0)
    else:
        scale = scale + tolerances.atol / tolerances.rtol
    return torch.linalg.vector_norm(vector / scale, dim=-1) / (tolerances.rtol * vector.shape[-1] ** 0.5)


def stiffness_estimate(slope_change: Tensor, state_change: Tensor, end: Tensor) -> Tensor:
    """Return ‖k_s − k_(s−1)‖ / ‖z_end − G_(s−1)‖, ``(..., G)``: the modulus of the dominant eigenvalue, roughly.

    Zero where the two points coincide up to rounding.
    """
    distance = torch.linalg.vector_norm(state_change, dim=-1)
    with torch.no_grad():
        size = torch.linalg.vector_norm(end, dim=-1)
        same = distance <= size * (_INDISTINCT * torch.finfo(end.dtype).eps)
    # Divided by infinity both the value and the gradient are zero; a quotient by zero would spoil the gradient even
    # where it is not selected.
    return torch.linalg.vector_norm(slope_change, dim=-1) / distance.masked_fill(same, math.inf)


def _rms(vector: Tensor) -> Tensor:
    # vector_norm has the gradient zero at zero, where the root of a mean of squares has NaN.
    return torch.linalg.vector_norm(vector, dim=-1) / vector.shape[-1] ** 0.5
