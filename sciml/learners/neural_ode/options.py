"""What `odesolve` accepts: its options, states, tolerances and measurements, each checked with a remedy."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.learners.neural_ode.errors import IntegrationInputError
from sciml.learners.neural_ode.estimates import Estimates
from sciml.learners.neural_ode.field import Dynamics
from sciml.learners.neural_ode.regularizers import without_stiffness
from sciml.learners.neural_ode.tableaux import Pair

__all__ = ["Options", "check_state", "check_tolerances", "chosen_estimates"]

_RECORDS = ("error", "raw_error", "stiffness", "h", "state")


@dataclass(frozen=True)
class Options:
    """The choices of a solve."""

    mode: str
    adjoint: str
    on_failure: str
    max_steps: int
    first_step: float | None
    compaction: float

    def check(self) -> None:
        """Raise `IntegrationInputError` for a choice that does not exist."""
        for name, value, known in (
            ("mode", self.mode, ("per_sample", "shared")),
            ("adjoint", self.adjoint, ("discrete", "checkpoint", "continuous")),
            ("on_failure", self.on_failure, ("raise", "status")),
        ):
            if value not in known:
                raise IntegrationInputError(f"{name}={value!r}: unknown; expected one of {', '.join(known)}.")
        if self.max_steps < 1:
            raise IntegrationInputError(f"max_steps={self.max_steps}: expected at least 1.")
        if self.first_step is not None and not self.first_step > 0:
            raise IntegrationInputError(
                f"first_step={self.first_step}: expected a positive size (also in reversed time), or None."
            )
        if not 0 <= self.compaction <= 1:
            raise IntegrationInputError(f"compaction={self.compaction}: expected a part between 0 (never) and 1.")


def check_state(f: Dynamics, z0: Tensor, sample_args: Sequence[Tensor]) -> None:
    """Raise `IntegrationInputError` for states, arguments or a right-hand side of another kind or shape."""
    if not torch.is_floating_point(z0):
        raise IntegrationInputError(f"z0 has dtype {z0.dtype}; expected a floating-point state, e.g. z0.double().")
    if z0.ndim < 2 or z0.numel() == 0:
        raise IntegrationInputError(
            f"z0 has shape {tuple(z0.shape)}; expected (batch, features...) with at least one of each "
            "(z0[None] makes one sample a batch)."
        )
    for index, arg in enumerate(sample_args):
        if len(arg) != len(z0):
            raise IntegrationInputError(
                f"sample_args[{index}] has {len(arg)} rows for {len(z0)} samples; expected one row per sample "
                "(what all samples share belongs in args)."
            )
    if not callable(f):
        raise IntegrationInputError(f"f is a {type(f).__name__}; expected a callable f(t, z).")


def check_tolerances(rtol: float, atol: float, z0: Tensor) -> None:
    """Raise for tolerances that are none, and warn of those below rounding."""
    if not (rtol >= 0 and atol >= 0 and rtol + atol > 0):
        raise IntegrationInputError(f"rtol={rtol}, atol={atol}: expected both at least 0 and one of them positive.")
    # Ten epsilons to one digit: 1e-6 is the tightest tolerance of float32 that makes sense.
    limit = float(f"{10 * torch.finfo(z0.dtype).eps:.0e}")
    size = float(z0.detach().abs().amax()) or 1.0
    if rtol < limit and atol < limit * size:
        warnings.warn(
            f"rtol={rtol}, atol={atol} is below ten roundings of {z0.dtype} ({limit:.0e}): the error estimate is "
            "rounding noise and so is the number of steps. Use z0.double() or a looser tolerance.",
            UserWarning,
            stacklevel=3,
        )


def chosen_estimates(tableau: Pair, record: Sequence[str] | None, rtol: float, atol: float) -> tuple[Estimates, bool]:
    """Return what every step measures, and whether states are kept."""
    if record is None:
        record = ("error", "stiffness", "h") if tableau.measures_stiffness else ("error", "h")
    unknown = [name for name in record if name not in _RECORDS]
    if unknown:
        raise IntegrationInputError(f"record: {unknown[0]!r} is unknown; expected some of {', '.join(_RECORDS)}.")
    if "stiffness" in record and not tableau.measures_stiffness:
        raise IntegrationInputError(
            f"record: {without_stiffness(tableau)}; use tsit5, dopri5 or heun_euler, or leave stiffness out of record."
        )
    estimates = Estimates(rtol, atol, "error" in record, "raw_error" in record, "stiffness" in record)
    return estimates, "state" in record
