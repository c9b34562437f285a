"""How to train: the budget, the optimiser and its learning rate as a function of progress."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from sciml.errors import ConfigurationError

__all__ = ["TrainingConfig"]


@dataclass(frozen=True)
class TrainingConfig:
    """Training by AdamW with a linear warm-up and a cosine decay over a budget of seconds or of steps.

    Parameters
    ----------
    budget_seconds
        Seconds of optimisation; validation, checkpoints and display are not charged. Ignored where `steps` is given.
    steps
        Number of optimisation steps; the result is then deterministic.
    batch_size
        Samples per step, over all processes together.
    learning_rate
        Its peak.
    weight_decay
        Decoupled weight decay of AdamW.
    warmup
        Fraction of the budget over which the learning rate rises linearly.
    final_fraction
        Learning rate at the end, as a fraction of the peak.
    clip_norm
        Largest Euclidean norm of the gradient; None leaves it as it is.
    precision
        ``fp32``, or ``bf16`` for mixed precision.
    compile
        Pass the module through `torch.compile`; compiling takes up to minutes before the first step, in silence.
    checkpoint_seconds
        Seconds between two checkpoints.
    validations
        How many times the validation error is measured, at equal fractions of the budget.
    seed
        Seed of batches and augmentation.
    clock
        ``wall``, or ``cpu`` for the processor time of this process, which other jobs on the machine disturb less
        (meaningful with one thread).

    Raises
    ------
    ConfigurationError
        If a value is out of its range.
    """

    budget_seconds: float | None = 60.0
    steps: int | None = None
    batch_size: int = 8
    learning_rate: float = 2e-3
    weight_decay: float = 1e-5
    warmup: float = 0.15
    final_fraction: float = 1e-3
    clip_norm: float | None = 1.0
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False
    checkpoint_seconds: float = 15.0
    validations: int = 10
    seed: int = 0
    clock: Literal["wall", "cpu"] = "wall"

    def __post_init__(self) -> None:
        if self.steps is None and self.budget_seconds is None:
            raise ConfigurationError("neither budget_seconds nor steps is given: give one, e.g. budget_seconds=60.")
        positive = ("budget_seconds", "steps", "batch_size", "learning_rate", "final_fraction", "clip_norm")
        not_negative = ("weight_decay", "warmup", "checkpoint_seconds", "validations")
        for name in (*positive, *not_negative):
            value = getattr(self, name)
            if value is None and name in ("budget_seconds", "steps", "clip_norm"):
                continue
            if not (value > 0 or (value == 0 and name in not_negative)) or not math.isfinite(value):
                bound = "positive" if name in positive else "zero or positive"
                raise ConfigurationError(f"{name} = {value}: a finite number, {bound}, is expected.")
        for name, choices in (("precision", ("fp32", "bf16")), ("clock", ("wall", "cpu"))):
            if getattr(self, name) not in choices:
                raise ConfigurationError(f"{name} = {getattr(self, name)!r}: use one of {', '.join(choices)}.")

    def fraction(self, step: int, seconds: float) -> float:
        """Progress in [0, 1] after ``step`` steps and ``seconds`` charged seconds."""
        if self.steps is not None:
            return step / self.steps
        assert self.budget_seconds is not None  # __post_init__ saw to it
        return min(seconds / self.budget_seconds, 1.0)

    def rate(self, fraction: float) -> float:
        """Learning rate at a given progress: linear rise, then half a cosine down to ``final_fraction``.

        Examples
        --------
        >>> config = TrainingConfig(learning_rate=1.0, warmup=0.5, final_fraction=0.1)
        >>> [round(config.rate(f), 3) for f in (0.0, 0.25, 0.5, 0.75, 1.0)]
        [0.1, 0.5, 1.0, 0.55, 0.1]
        """
        low = self.final_fraction
        if fraction < self.warmup:
            return self.learning_rate * max(fraction / self.warmup, low)
        decay = (fraction - self.warmup) / max(1.0 - self.warmup, 1e-12)
        return self.learning_rate * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(decay, 1.0))))
