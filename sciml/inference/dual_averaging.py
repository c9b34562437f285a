"""Step sizes that reach a wanted acceptance, adapted during warm-up."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["DualAveraging"]

SHRINKAGE, DELAY, DECAY = 0.05, 10.0, 0.75  # γ, t₀ and κ of the paper


class DualAveraging:
    """Nesterov's dual averaging of log step sizes (Hoffman & Gelman 2014, section 3.2), one for every chain.

    Parameters
    ----------
    initial
        First steps, any shape.
    target
        Wanted mean acceptance.
    largest
        Bound of the steps.

    Examples
    --------
    >>> steps = DualAveraging(torch.ones(1), target=0.8, largest=10.0)
    >>> for _ in range(500):
    ...     steps.update(torch.exp(-steps.current))  # accepts less, the longer the step
    >>> abs(torch.exp(-steps.averaged).item() - 0.8) < 0.02
    True
    """

    def __init__(self, initial: Tensor, target: float, largest: float) -> None:
        self.current = initial.clone()
        self.averaged = initial.clone()
        self._target = target
        self._largest = largest
        self._centre = (10 * initial).log()
        self._shortfall = torch.zeros_like(initial)
        self._count = 0

    def update(self, acceptance: Tensor) -> None:
        """Take in the acceptance probabilities of one transition with the current steps."""
        self._count += 1
        t = self._count
        self._shortfall = self._shortfall + (self._target - acceptance - self._shortfall) / (t + DELAY)
        self.current = (self._centre - t**0.5 / SHRINKAGE * self._shortfall).exp().clamp_max(self._largest)
        weight = t**-DECAY
        self.averaged = (weight * self.current.log() + (1 - weight) * self.averaged.log()).exp()
