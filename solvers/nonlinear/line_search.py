"""How far along a Newton direction each system goes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from solvers.nonlinear.norm import norm
from solvers.status import Status

__all__ = ["Backtracking", "FullStep", "LineSearch"]


class LineSearch(ABC):
    """A rule for the step length of every system."""

    #: How a system ends for which the rule finds no length.
    failure: ClassVar[Status]

    @abstractmethod
    def search(
        self, function: Callable[[Tensor], Tensor], x: Tensor, value: Tensor, step: Tensor, slope: Tensor, where: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The next x, its value, and the systems ``(*batch, 1)`` for which a length was found.

        Parameters
        ----------
        value
            r = function(x).
        slope
            −⟨r, J step⟩ / ‖r‖², ``(*batch, 1)``: 1 for Newton's direction; the relative descent of ½‖r‖².
        where
            The systems that search; the others stay.
        """


@dataclass(frozen=True)
class FullStep(LineSearch):
    """Always the whole step: quadratic convergence close to a solution, anything far from it."""

    failure: ClassVar[Status] = Status.NONFINITE_ITERATE

    def search(
        self, function: Callable[[Tensor], Tensor], x: Tensor, value: Tensor, step: Tensor, slope: Tensor, where: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        trial = torch.where(where, x + step, x)
        reached = function(trial)
        found = where & norm(reached).isfinite()
        return torch.where(found, trial, x), torch.where(found, reached, value), found


@dataclass(frozen=True)
class Backtracking(LineSearch):
    """The largest of the tried lengths t ≤ 1 with ‖r(x + t s)‖² ≤ (1 − 2 decrease · t · slope) ‖r(x)‖² (Armijo 1966).

    The next length minimises the parabola through what is known, between a tenth and a half of the last one
    (Dennis & Schnabel 1983, section 6.3). Values that are not finite count as no descent.

    Parameters
    ----------
    decrease
        The part of the predicted decrease that is asked for.
    trials
        A system that has found no length after so many is given up.
    """

    decrease: float = 1e-4
    trials: int = 30

    failure: ClassVar[Status] = Status.STAGNATION

    def search(
        self, function: Callable[[Tensor], Tensor], x: Tensor, value: Tensor, step: Tensor, slope: Tensor, where: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        start = norm(value)
        searching, length = where, torch.ones_like(start)
        for _ in range(self.trials):
            trial = torch.where(searching, x + length * step, x)
            reached = function(trial)
            # (‖r(x + t s)‖ / ‖r(x)‖)²; a quotient first, so that no square overflows.
            ratio = (norm(reached) / start).square()
            # Strictly below 1: a length so short that rounding hides what is asked for has found nothing.
            accepted = searching & (ratio < 1) & (ratio <= 1 - 2 * self.decrease * length * slope)
            x, value = torch.where(accepted, trial, x), torch.where(accepted, reached, value)
            searching = searching & ~accepted
            if not searching.any():
                break
            best = length.square() * slope / (ratio - 1 + 2 * length * slope)
            best = torch.where(best.isfinite(), best, length / 4)
            length = torch.maximum(torch.minimum(best, length / 2), length / 10)
        return x, value, where & ~searching
