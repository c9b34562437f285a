"""The penalties by name: what each measures, and weights that suit a time span of 1 and a relative loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Generator

from sciml.errors import ConfigurationError
from sciml.learners.neural_ode import (
    CombinedRegularizer,
    ErrorRegularizer,
    JacobianRegularizer,
    KineticRegularizer,
    LocalRegularizer,
    Regularizer,
    StiffnessRegularizer,
    TaylorRegularizer,
)

__all__ = ["PENALTIES", "Penalty", "penalty_named"]

_PathIntegral = KineticRegularizer | JacobianRegularizer | TaylorRegularizer
_STATES = ("error", "stiffness", "h", "state")


@dataclass(frozen=True)
class Penalty:
    """How a penalty on the dynamics is made.

    Parameters
    ----------
    weight
        Usual weights at the beginning and at the end of training.
    make
        The penalty; a random one draws from the generator that it is given.
    record
        What the solver must keep for it; None for what it keeps anyway.
    """

    weight: tuple[float, float]
    make: Callable[[Generator | None], Regularizer]
    record: tuple[str, ...] | None = None

    def carried(self, regularizer: Regularizer) -> tuple[_PathIntegral, ...]:
        """What the solver must integrate along for the penalty that `make` made."""
        return (regularizer,) if isinstance(regularizer, _PathIntegral) else ()


def _error_and_stiffness(_: Generator | None) -> Regularizer:
    return CombinedRegularizer([(1.0, ErrorRegularizer("mean")), (0.1, StiffnessRegularizer("mean"))])


PENALTIES: dict[str, Penalty] = {
    "error": Penalty((3.0, 0.3), lambda _: ErrorRegularizer("sum")),
    "error-mean": Penalty((10.0, 1.0), lambda _: ErrorRegularizer("mean")),
    "error-square": Penalty((3.0, 0.3), lambda _: ErrorRegularizer("sum", 2)),
    "stiffness": Penalty((0.1, 0.1), lambda _: StiffnessRegularizer("mean")),
    "error-stiffness": Penalty((1.0, 1.0), _error_and_stiffness),
    "local-error": Penalty((2.5, 1.0), lambda draw: LocalRegularizer("error", generator=draw), _STATES),
    "local-stiffness": Penalty((0.1, 0.1), lambda draw: LocalRegularizer("stiffness", generator=draw), _STATES),
    "kinetic": Penalty((0.05, 0.05), lambda _: KineticRegularizer()),
    "jacobian": Penalty((0.01, 0.01), JacobianRegularizer),
    "taylor2": Penalty((0.01, 0.01), lambda _: TaylorRegularizer(2)),
}


def penalty_named(name: str) -> Penalty | None:
    """One of `PENALTIES`, or None for ``none``.

    Raises
    ------
    ConfigurationError
        If there is none of this name.
    """
    if name == "none":
        return None
    if name not in PENALTIES:
        raise ConfigurationError(f"regularizer = {name!r}: use none, {', '.join(PENALTIES)}.")
    return PENALTIES[name]
