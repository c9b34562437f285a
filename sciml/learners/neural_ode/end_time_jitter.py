"""Training with random times, so that the dynamics are easy around the data and not only at them (STEER)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from sciml.learners.neural_ode.errors import IntegrationInputError

__all__ = ["EndTimeJitter", "SeriesJitter"]


@dataclass(frozen=True)
class EndTimeJitter:
    """End time uniform in ``(t_end − width, t_end + width)`` (STEER: Ghosh et al., NeurIPS 2020).

    Parameters
    ----------
    width
        Half the length of the interval; below the last gap between the times.
    generator
        Source of randomness on the CPU; None: torch's own.

    Examples
    --------
    >>> jitter = EndTimeJitter(0.25, torch.Generator().manual_seed(0))
    >>> t = jitter(torch.tensor([0.0, 1.0], dtype=torch.float64))
    >>> bool((t[1] - 1).abs() < 0.25)
    True
    """

    width: float
    generator: Generator | None = None

    def __call__(self, t_eval: Tensor) -> Tensor:
        """Return times ``(M,)`` with another last one.

        Raises
        ------
        IntegrationInputError
            If the width is not positive or reaches the time before.
        """
        gap = float((t_eval[-1] - t_eval[-2]).abs())
        if not 0 < self.width < gap:
            raise IntegrationInputError(f"width={self.width}: expected more than 0 and less than the last gap, {gap}.")
        shift = self.width * (2 * torch.rand(1, dtype=torch.float64, generator=self.generator) - 1)
        return torch.cat([t_eval[:-1], t_eval[-1:] + shift.to(t_eval)])


@dataclass(frozen=True)
class SeriesJitter:
    """Every time but the first moved by up to half of the smaller gap beside it, within the first and last time.

    Order is kept, so the times stay strictly monotone.

    Parameters
    ----------
    part
        Part of half a gap, at most 1.
    generator
        Source of randomness on the CPU; None: torch's own.

    Examples
    --------
    >>> jitter = SeriesJitter(generator=torch.Generator().manual_seed(0))
    >>> t = jitter(torch.linspace(0, 1, 5, dtype=torch.float64))
    >>> bool((t.diff() > 0).all()), float(t[0])
    (True, 0.0)
    """

    part: float = 1.0
    generator: Generator | None = None

    def __post_init__(self) -> None:
        if not 0 < self.part <= 1:
            raise IntegrationInputError(f"part={self.part}: expected more than 0 and at most 1.")

    def __call__(self, t_eval: Tensor) -> Tensor:
        """Return jittered times ``(M,)``."""
        gaps = t_eval.diff().abs()
        room = torch.minimum(gaps, torch.cat([gaps[1:], gaps[-1:]]))
        uniform = 2 * torch.rand(len(gaps), dtype=torch.float64, generator=self.generator).to(t_eval) - 1
        moved = t_eval[1:] + self.part * 0.5 * room * uniform
        low, high = torch.minimum(t_eval[0], t_eval[-1]), torch.maximum(t_eval[0], t_eval[-1])
        return torch.cat([t_eval[:1], moved.clamp(low, high)])
