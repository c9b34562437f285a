"""What every objective offers, and the norm that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from torch import Generator, Tensor, nn

from pde_benchmarks.grid import AxisBoundary
from pde_benchmarks.metrics import relative_h1, relative_l2

if TYPE_CHECKING:
    from pde_benchmarks.datasets import Dataset

__all__ = ["Objective", "field_error"]


class Objective(Protocol):
    """A loss, and the arrays that it is computed from."""

    def prepare(self, dataset: Dataset) -> dict[str, Tensor]:
        """Arrays with one row a sample, float32."""

    def statistics(self, arrays: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Features, and the answers that the network should learn to give, both ``(count, channels, *grid)``."""

    def __call__(self, module: nn.Module, batch: Mapping[str, Tensor], generator: Generator) -> Tensor:
        """The loss of a batch: a scalar."""


def field_error(prediction: Tensor, truth: Tensor, boundary: Sequence[AxisBoundary], h1_weight: float) -> Tensor:
    """Relative L² + ``h1_weight`` · relative H¹ of every sample, float64 ``(batch,)``; ``nan`` where the truth is 0."""
    error = relative_l2(prediction, truth)
    if h1_weight:
        error = error + h1_weight * relative_h1(prediction, truth, boundary)
    return error
