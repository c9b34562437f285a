"""Neural ordinary differential equations whose solver reports, and can be trained on, how hard the dynamics are."""

from sciml.learners.neural_ode.controller import IController, PIController
from sciml.learners.neural_ode.end_time_jitter import EndTimeJitter, SeriesJitter
from sciml.learners.neural_ode.errors import IntegrationInputError, SolverError, SolverStatus
from sciml.learners.neural_ode.field import ScalarTime
from sciml.learners.neural_ode.implicit_tableau import ImplicitTableau
from sciml.learners.neural_ode.odesolve import odesolve
from sciml.learners.neural_ode.path_integrals import JacobianRegularizer, KineticRegularizer, TaylorRegularizer
from sciml.learners.neural_ode.regularizers import (
    CombinedRegularizer,
    ErrorRegularizer,
    LocalRegularizer,
    Regularizer,
    StiffnessRegularizer,
)
from sciml.learners.neural_ode.schedules import ConstantSchedule, ExponentialSchedule, NFEBudgetSchedule
from sciml.learners.neural_ode.solution import ODESolution, SolverStats
from sciml.learners.neural_ode.tableaux import IMPLICIT_TABLEAUX, TABLEAUX, Tableau

__all__ = [
    "IMPLICIT_TABLEAUX",
    "TABLEAUX",
    "CombinedRegularizer",
    "ConstantSchedule",
    "EndTimeJitter",
    "ErrorRegularizer",
    "ExponentialSchedule",
    "IController",
    "ImplicitTableau",
    "IntegrationInputError",
    "JacobianRegularizer",
    "KineticRegularizer",
    "LocalRegularizer",
    "NFEBudgetSchedule",
    "ODESolution",
    "PIController",
    "Regularizer",
    "ScalarTime",
    "SeriesJitter",
    "SolverError",
    "SolverStats",
    "SolverStatus",
    "StiffnessRegularizer",
    "Tableau",
    "TaylorRegularizer",
    "odesolve",
    "register_torchdiffeq_backend",
]


def register_torchdiffeq_backend() -> str:
    """Make the recording Dormand–Prince solver known to `torchdiffeq.odeint`; return its name there."""
    from sciml.learners.neural_ode.torchdiffeq_backend import register_torchdiffeq_backend as register

    return register()
