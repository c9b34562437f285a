"""What every learner of trajectories can choose."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Generator

from sciml.errors import ConfigurationError
from sciml.learners.neural_ode import (
    ConstantSchedule,
    ExponentialSchedule,
    IntegrationInputError,
    NFEBudgetSchedule,
    odesolve,
)
from sciml.learners.trajectories.dynamics import activation_named
from sciml.learners.trajectories.penalties import penalty_named
from sciml.learners.trajectories.time_scale import TimeScale

__all__ = ["DynamicsConfig", "TrajectoryConfig"]

# Random dynamics are left alone at the beginning.
_WARM_UP = 0.03
# Weights change so much per validation where they follow a budget of evaluations.
_FACTOR = 2.0


@dataclass(frozen=True)
class DynamicsConfig:
    """The network of the dynamics, how accurately they are followed, and the weight of a penalty on them.

    Parameters
    ----------
    width, depth
        Of the hidden layers of the dynamics (channels, on a grid), and how many there are.
    activation
        ``tanh``, ``softplus`` or ``silu``.
    time
        The time that the dynamics see, from 0 to 1: ``linear``, or ``logarithmic`` for instants over several decades.
    rtol, atol, max_steps
        As in `sciml.learners.neural_ode.odesolve`, in training as in prediction.
    regularizer
        Penalty on the dynamics; ``none``, or one of those that the learner names.
    weight
        Weight of the penalty at the beginning and at the end of training, exponential in between, or one number
        for both; None for usual ones.
    target_evaluations
        The weight follows a budget instead: it grows while the validation samples take more evaluations than this and
        their error is as good as it has been.
    dtype
        ``float32``, or ``float64`` for tolerances below 1e-6.

    Raises
    ------
    ConfigurationError
        If a value is unknown or out of its range.
    """

    width: int = 64
    depth: int = 2
    activation: str = "tanh"
    time: str = "linear"
    rtol: float = 1e-5
    atol: float = 1e-5
    max_steps: int = 1000
    regularizer: str = "none"
    weight: tuple[float, float] | float | None = None
    target_evaluations: int | None = None
    dtype: Literal["float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        for name in ("width", "depth", "max_steps"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} = {getattr(self, name)}: a whole number of at least 1 is expected.")
        if self.dtype not in ("float32", "float64"):
            raise ConfigurationError(f"dtype = {self.dtype!r}: use float32 or float64.")
        activation_named(self.activation)
        TimeScale(1.0, 1.0, self.time)
        self._check_weight()

    @property
    def torch_dtype(self) -> torch.dtype:
        """Dtype of network and states."""
        return torch.float64 if self.dtype == "float64" else torch.float32

    def schedule(self) -> ConstantSchedule | ExponentialSchedule | NFEBudgetSchedule:
        """Weight of the penalty as a function of the progress in [0, 1]."""
        penalty = penalty_named(self.regularizer)
        if penalty is None:
            return ConstantSchedule(0.0)
        start, end = self._ends() or penalty.weight
        if self.target_evaluations is not None:
            return NFEBudgetSchedule(self.target_evaluations, weight=start, factor=_FACTOR)
        if start == end == 0:
            return ConstantSchedule(0.0)
        return ExponentialSchedule(start, end, total=1.0, warm_up=_WARM_UP)

    def _ends(self) -> tuple[float, float] | None:
        """The weight at the beginning and at the end, where it is given."""
        return (self.weight, self.weight) if isinstance(self.weight, int | float) else self.weight

    def _check_weight(self) -> None:
        penalized = penalty_named(self.regularizer) is not None
        for name in ("weight", "target_evaluations"):
            if getattr(self, name) is not None and not penalized:
                raise ConfigurationError(
                    f"{name} = {getattr(self, name)} without a penalty: choose a regularizer, e.g. regularizer=error."
                )
        if self.target_evaluations is not None and self.target_evaluations < 1:
            raise ConfigurationError(f"target_evaluations = {self.target_evaluations}: at least 1 is expected.")
        ends = self._ends()
        if ends is None:
            return
        start, end = ends
        positive = 0 < start < math.inf and 0 < end < math.inf
        if not positive and (self.target_evaluations is not None or not start == end == 0):
            raise ConfigurationError(
                f"weight = {self.weight}: a positive, finite number is expected, or two (0 for no penalty)."
            )


@dataclass(frozen=True)
class TrajectoryConfig(DynamicsConfig):
    """As `DynamicsConfig`, and how an ordinary differential equation is solved.

    Parameters
    ----------
    method, mode, adjoint
        As in `sciml.learners.neural_ode.odesolve`, in training as in prediction.
    regularizer
        Penalty on the dynamics: ``none``, ``error``, ``error-mean``, ``error-square``, ``stiffness``,
        ``error-stiffness``, ``local-error``, ``local-stiffness``, ``kinetic``, ``jacobian`` or ``taylor2``.
    jitter
        In training instants move at random by up to this part of half the gap beside them, while the data stays.

    Raises
    ------
    ConfigurationError
        If a value is unknown or out of its range, or the solver cannot combine them.
    """

    method: str = "tsit5"
    mode: Literal["per_sample", "shared"] = "per_sample"
    adjoint: Literal["discrete", "checkpoint", "continuous"] = "discrete"
    jitter: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.jitter <= 1:
            raise ConfigurationError(f"jitter = {self.jitter}: a part between 0 (never) and 1 is expected.")
        self._try_solver()

    @property
    def solver(self) -> dict[str, Any]:
        """Arguments of `odesolve`."""
        names = ("method", "rtol", "atol", "mode", "adjoint", "max_steps")
        return {name: getattr(self, name) for name in names}

    def _try_solver(self) -> None:
        """Let the solver itself say which of its options go together, on one small step."""
        rate = torch.ones((), dtype=self.torch_dtype, requires_grad=True)
        z0 = torch.ones(1, 1, dtype=self.torch_dtype)
        penalty = penalty_named(self.regularizer)
        regularizer = penalty.make(Generator().manual_seed(0)) if penalty is not None else None
        extra: dict[str, Any] = {"args": (rate,), "first_step": 0.1}
        if penalty is not None and regularizer is not None:
            extra |= {"record": penalty.record, "integrals": penalty.carried(regularizer)}
        try:
            solution = odesolve(_decay, z0, torch.tensor([0.0, 0.1]), **self.solver, **extra)
            if regularizer is not None:
                regularizer(solution)
        except IntegrationInputError as error:
            local = " By name: regularizer=local-error." if self.adjoint == "continuous" else ""
            raise ConfigurationError(f"{self.regularizer} with {self.method}: {error}{local}") from None


def _decay(t: torch.Tensor, z: torch.Tensor, rate: torch.Tensor) -> torch.Tensor:
    return -rate * z
