"""Bounds of the field in every point: positivity of a concentration."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from sciml.errors import ConfigurationError
from sciml.learners.hard_constraints.affine_rows import AffineRows
from sciml.learners.hard_constraints.boxes import Boxes
from sciml.learners.hard_constraints.expansion import Expansion
from sciml.learners.hard_constraints.stacked_rows import Block

__all__ = ["Bound", "LowerBound", "Unbounded"]


class Bound(ABC):
    """What is asked of u in every point beside the residual."""

    @abstractmethod
    def blocks(self, expansion: Expansion, boxes: Boxes) -> tuple[Block, ...]:
        """Rows that pull the weights of each expert towards the bound."""

    @abstractmethod
    def projected(self, values: Tensor) -> Tensor:
        """The nearest field within the bound; differentiable."""


@dataclass(frozen=True)
class Unbounded(Bound):
    """Nothing."""

    def blocks(self, expansion: Expansion, boxes: Boxes) -> tuple[Block, ...]:
        return ()

    def projected(self, values: Tensor) -> Tensor:
        return values


@dataclass(frozen=True)
class LowerBound(Bound):
    """u ≥ value: rows weight · min(u − value, 0), and a projection of what is left of the violation.

    The points below the bound are an active set that the solve finds: only they have rows, and the implicit gradient is
    that of this set. A projected point has no gradient of its own.

    Parameters
    ----------
    value
        The bound.
    weight
        Of the mean square of violations, against those of the residual.

    Examples
    --------
    >>> import torch
    >>> LowerBound(0.0).projected(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    value: float = 0.0
    weight: float = 1e4

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise ConfigurationError(f"LowerBound: value = {self.value:g}, expected a finite number, e.g. 0")
        if not self.weight > 0:
            raise ConfigurationError(f"LowerBound: weight = {self.weight:g}, expected a positive number")

    def blocks(self, expansion: Expansion, boxes: Boxes) -> tuple[Block, ...]:
        size = boxes.mask * (self.weight / boxes.loads.to(expansion.basis)).sqrt().unsqueeze(-1)
        matrix = boxes.gather(expansion.basis.flatten(2)).permute(0, 2, 3, 1) * size.unsqueeze(-1)
        constant = (boxes.gather(expansion.offset.flatten(1)) - self.value) * size
        return (Block(_ViolationRows(expansion.unknowns), (matrix, constant)),)

    def projected(self, values: Tensor) -> Tensor:
        return values.clamp(min=self.value)


class _ViolationRows(AffineRows):
    """min(A w + c, 0) with the parameters A ``(B, K, p, N)`` and c ``(B, K, p)``."""

    def __call__(self, x: Tensor, *parameters: Tensor) -> Tensor:
        return super().__call__(x, *parameters).clamp(max=0)

    def columns(self, x: Tensor, *parameters: Tensor) -> Tensor:
        return parameters[0] * (self(x, *parameters) < 0).unsqueeze(-1)
