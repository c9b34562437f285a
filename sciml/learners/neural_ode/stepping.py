"""Which function takes the steps of a pair."""

from __future__ import annotations

from collections.abc import Callable

from sciml.learners.neural_ode.estimates import Estimates
from sciml.learners.neural_ode.implicit_step import CheckpointedImplicitStep, ImplicitStep
from sciml.learners.neural_ode.implicit_tableau import ImplicitTableau
from sciml.learners.neural_ode.stage_newton import StageNewton
from sciml.learners.neural_ode.step import Step, checkpointed_step, embedded_step
from sciml.learners.neural_ode.tableaux import Pair

__all__ = ["checkpointed_stepper", "stepper"]


def stepper(tableau: Pair, tolerances: Estimates) -> Callable[..., Step]:
    """Return what takes steps of the pair; implicit stages are solved to a part of the tolerances."""
    if isinstance(tableau, ImplicitTableau):
        return ImplicitStep(StageNewton(tolerances))
    return embedded_step


def checkpointed_stepper(tableau: Pair, tolerances: Estimates) -> Callable[..., Step]:
    """Return the same with the memory of the states only."""
    if isinstance(tableau, ImplicitTableau):
        return CheckpointedImplicitStep(ImplicitStep(StageNewton(tolerances)))
    return checkpointed_step
