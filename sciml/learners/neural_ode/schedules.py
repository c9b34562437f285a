"""How the weight of a regularizer changes during training."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from sciml.learners.neural_ode.errors import IntegrationInputError

__all__ = ["ConstantSchedule", "ExponentialSchedule", "NFEBudgetSchedule"]


@dataclass(frozen=True)
class ConstantSchedule:
    """The same weight always.

    Examples
    --------
    >>> ConstantSchedule(0.1)(7)
    0.1
    """

    value: float

    def __post_init__(self) -> None:
        if not 0 <= self.value < inf:
            raise IntegrationInputError(f"weight {self.value}: expected a finite number of at least 0.")

    def __call__(self, epoch: float) -> float:
        """Return the weight."""
        return self.value


@dataclass(frozen=True)
class ExponentialSchedule:
    """From one weight to another along an exponential, ``start (end / start)^(epoch / total)``.

    Parameters
    ----------
    start, end
        Weights at epoch 0 and at epoch `total`, both positive; constant afterwards.
    total
        Epochs (or iterations: whatever it is called with).
    warm_up
        Below this epoch the weight is zero: random dynamics are left alone first.

    Examples
    --------
    >>> schedule = ExponentialSchedule(start=3.0, end=0.3, total=10)
    >>> [round(schedule(epoch), 3) for epoch in (0, 5, 10, 20)]
    [3.0, 0.949, 0.3, 0.3]
    """

    start: float
    end: float
    total: float
    warm_up: float = 0.0

    def __post_init__(self) -> None:
        if not (0 < self.start < inf and 0 < self.end < inf and self.total > 0):
            raise IntegrationInputError(
                f"start={self.start}, end={self.end}, total={self.total}: expected positive, finite numbers "
                "(ConstantSchedule(0.0) switches a regularizer off)."
            )

    def __call__(self, epoch: float) -> float:
        """Return the weight at an epoch, fractions allowed."""
        if epoch < self.warm_up:
            return 0.0
        return float(self.start * (self.end / self.start) ** min(epoch / self.total, 1.0))


@dataclass
class NFEBudgetSchedule:
    """Weight that grows while evaluations exceed a target and the validation error stays as good as it has been.

    Every observation multiplies the weight by `factor` if the mean number of evaluations is above the target and the
    error at most ``1 + tolerance`` times the best one seen, and divides it by `factor` otherwise.

    Parameters
    ----------
    target_nfe
        Evaluations per solve wanted.
    tolerance
        Relative rise of the validation error that is accepted.
    weight
        Weight to begin with.
    factor
        Change of the weight per observation, above 1.
    smallest, largest
        Limits of the weight.

    Examples
    --------
    >>> schedule = NFEBudgetSchedule(target_nfe=40, weight=1.0, factor=2.0)
    >>> schedule.observe(nfe=80, validation_error=0.10)
    2.0
    >>> schedule.observe(nfe=60, validation_error=0.13)  # too much was given up
    1.0
    """

    target_nfe: float
    tolerance: float = 0.02
    weight: float = 1.0
    factor: float = 1.5
    smallest: float = 1e-6
    largest: float = 1e6
    best_error: float = inf

    def __post_init__(self) -> None:
        if not (self.target_nfe > 0 and self.tolerance >= 0 and self.factor > 1):
            raise IntegrationInputError(
                f"target_nfe={self.target_nfe}, tolerance={self.tolerance}, factor={self.factor}: expected a positive "
                "target, a tolerance of at least 0 and a factor above 1."
            )
        if not 0 < self.smallest <= self.weight <= self.largest < inf:
            raise IntegrationInputError(
                f"weight={self.weight}: expected 0 < smallest <= weight <= largest, here {self.smallest} and "
                f"{self.largest}."
            )

    def __call__(self, epoch: float) -> float:
        """Return the present weight."""
        return self.weight

    def observe(self, nfe: float, validation_error: float) -> float:
        """Take in a validation (mean evaluations per solve, error) and return the new weight; NaN counts as worse."""
        good = validation_error <= (1 + self.tolerance) * self.best_error
        self.best_error = min(self.best_error, validation_error if good else inf)
        change = self.factor if good and nfe > self.target_nfe else 1 / self.factor
        self.weight = min(max(self.weight * change, self.smallest), self.largest)
        return self.weight

    def state(self) -> dict[str, float]:
        """Return what a checkpoint of a training run must keep."""
        return {"weight": self.weight, "best_error": self.best_error}

    def restore(self, state: dict[str, float]) -> None:
        """Continue from a stored state."""
        self.weight, self.best_error = state["weight"], state["best_error"]
