"""The time that the network sees: from 0 at the beginning to 1 at the last instant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.errors import ConfigurationError, LearnerError

__all__ = ["TIME_SCALES", "TimeScale"]

TIME_SCALES = ("linear", "logarithmic")


@dataclass(frozen=True)
class TimeScale:
    """Increasing map of the time t ≥ 0 with 0 ↦ 0 and ``last`` ↦ 1.

    Linear: t / T. Logarithmic: log(1 + t/τ) / log(1 + T/τ) with τ the first instant, for instants over several
    decades: they lie evenly then, and dynamics that slow down like 1/t keep their speed.

    Parameters
    ----------
    first, last
        τ and T, the first and the last instant of the training data.
    kind
        ``linear`` or ``logarithmic``.

    Raises
    ------
    ConfigurationError
        If the kind is unknown.

    Examples
    --------
    >>> TimeScale(1.0, 4.0)([1.0, 2.0, 4.0])
    tensor([0.2500, 0.5000, 1.0000], dtype=torch.float64)
    >>> TimeScale(1.0, 7.0, "logarithmic")([1.0, 3.0, 7.0])
    tensor([0.3333, 0.6667, 1.0000], dtype=torch.float64)
    """

    first: float
    last: float
    kind: str = "linear"

    def __post_init__(self) -> None:
        if self.kind not in TIME_SCALES:
            raise ConfigurationError(f"time = {self.kind!r}: use {' or '.join(TIME_SCALES)}.")

    def __call__(self, instants: Sequence[float]) -> Tensor:
        """Scaled times, float64, of instants after 0 in increasing order.

        Raises
        ------
        LearnerError
            If there are none, or they do not increase from above 0.
        """
        times = torch.as_tensor(instants, dtype=torch.float64)
        bounded = times.ndim == 1 and len(times) > 0 and bool(times.isfinite().all())
        if not bounded or not bool((torch.cat([times.new_zeros(1), times]).diff() > 0).all()):
            raise LearnerError(f"instants {list(instants)}: finite times that increase from above 0 are expected.")
        if self.kind == "linear":
            return times / self.last
        end = torch.tensor(self.last / self.first, dtype=torch.float64)
        return (times / self.first).log1p() / end.log1p()
