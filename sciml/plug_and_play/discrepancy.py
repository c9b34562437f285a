"""The prior's weight by Morozov's discrepancy principle: fit the data as well as their noise allows, and no better."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.errors import ConfigurationError, InferenceError
from sciml.plug_and_play.data_fidelity import DataFidelity

__all__ = ["DiscrepancyChoice", "discrepancy_weight"]


@dataclass(frozen=True)
class DiscrepancyChoice:
    """Weights at which reconstructions fit the data to their noise; B samples.

    Attributes
    ----------
    weight
        ``(B,)``.
    x
        The fields at these weights, ``(B, channels, *grid)``.
    discrepancy
        Root mean square of the data's deviations in units of their noise, ``(B,)``.
    reached
        Where that is the level that was asked for, to the tolerance, ``(B,)``; elsewhere the weight is the end of the
        interval that comes closest.
    trials
        Reconstructions of the batch.
    """

    weight: Tensor
    x: Tensor
    discrepancy: Tensor
    reached: Tensor
    trials: int


@torch.no_grad()
def discrepancy_weight(
    solve: Callable[[Tensor], Tensor],
    fidelity: DataFidelity,
    lowest: float,
    highest: float,
    *,
    level: float = 1.0,
    tolerance: float = 0.02,
    max_trials: int = 25,
    throw: bool = True,
) -> DiscrepancyChoice:
    """Choose every sample's weight by bisection of its logarithm.

    Parameters
    ----------
    solve
        Weights ``(B,)`` to reconstructions ``(B, channels, *grid)``, whose misfit grows with the weight.
    fidelity
        With the noise level σ of the data.
    lowest, highest
        The interval of weights.
    level
        ‖A x − b‖ / (σ √m) that is asked for: 1, or a little more where the model is not exact.
    tolerance
        Relative, of the level.
    max_trials
        Reconstructions after which the search ends.
    throw
        Raise if the interval does not hold the weight of a sample, or the search ended early.

    Raises
    ------
    ConfigurationError
        The interval is empty or not positive.
    InferenceError
        The level was not reached and `throw` is set; the choice is attached.

    Examples
    --------
    >>> from pde_benchmarks.imaging.forward_operators import from_functions
    >>> from sciml.plug_and_play import GaussianFidelity, tikhonov
    >>> same = from_functions(lambda x: x, lambda y: y, input_shape=(4,), output_shape=(4,), norm=1.0)
    >>> fidelity = GaussianFidelity(same, torch.full((1, 4), 3.0, dtype=torch.float64), sigma=1.0)
    >>> choice = discrepancy_weight(lambda weight: tikhonov(fidelity, weight), fidelity, 0.01, 100.0, tolerance=1e-3)
    >>> round(float(choice.weight), 2)  # x = 3 / (1 + weight) is 1 away from the data
    0.5
    """
    if not (0 < lowest < highest < math.inf and level > 0 and 0 < tolerance < 1 and max_trials >= 2):
        raise ConfigurationError(
            f"lowest = {lowest}, highest = {highest}, level = {level}, tolerance = {tolerance}, max_trials = "
            f"{max_trials}: an interval of positive weights, a positive level, a tolerance in (0, 1) and at least two "
            "trials are expected."
        )
    count, like = len(fidelity.data), fidelity.data
    ends = like.new_full((count,), math.log(lowest)), like.new_full((count,), math.log(highest))
    best = _trial(solve, fidelity, ends[0], level)
    best = best.closer(_trial(solve, fidelity, ends[1], level))
    low, high = ends
    trials = 2
    # A level outside of the interval is as close as it gets at the end where it was left.
    while trials < max_trials and not bool((best.error <= tolerance).all()):
        middle = (low + high) / 2
        trial = _trial(solve, fidelity, middle, level)
        low = torch.where(trial.discrepancy < level, middle, low)
        high = torch.where(trial.discrepancy < level, high, middle)
        best = best.closer(trial)
        trials += 1
    choice = DiscrepancyChoice(best.log_weight.exp(), best.x, best.discrepancy, best.error <= tolerance, trials)
    if throw and not bool(choice.reached.all()):
        first = int((~choice.reached).nonzero()[0])
        raise InferenceError(
            f"discrepancy_weight: sample {first} of {count}: the deviation nearest to {level:g} times the noise is "
            f"{float(choice.discrepancy[first]):.3g}, at the weight {float(choice.weight[first]):.3g} of "
            f"[{lowest:g}, {highest:g}]: widen the interval, check sigma, or raise max_trials.",
            choice,
        )
    return choice


@dataclass(frozen=True)
class _Trial:
    log_weight: Tensor
    x: Tensor
    discrepancy: Tensor
    error: Tensor

    def closer(self, other: _Trial) -> _Trial:
        """Of every sample the one that is closer to the level."""
        mask = other.error < self.error
        along = mask.reshape(-1, *(1,) * (self.x.ndim - 1))
        return _Trial(
            torch.where(mask, other.log_weight, self.log_weight),
            torch.where(along, other.x, self.x),
            torch.where(mask, other.discrepancy, self.discrepancy),
            torch.where(mask, other.error, self.error),
        )


def _trial(solve: Callable[[Tensor], Tensor], fidelity: DataFidelity, log_weight: Tensor, level: float) -> _Trial:
    x = solve(log_weight.exp())
    found = fidelity.discrepancy(x)
    return _Trial(log_weight, x, found, (found / level - 1).abs())
