"""Fields that satisfy a residual by construction: a least-squares solve inside the network, split over experts."""

from sciml.learners.hard_constraints.adjoints import Adjoint, Envelope, Implicit
from sciml.learners.hard_constraints.bounds import Bound, LowerBound, Unbounded
from sciml.learners.hard_constraints.boxes import Boxes
from sciml.learners.hard_constraints.constrained_field import ConstrainedField
from sciml.learners.hard_constraints.expert_metrics import interface_jump, load_imbalance
from sciml.learners.hard_constraints.expert_parallel import ExpertParallel
from sciml.learners.hard_constraints.layer import ConstraintLayer
from sciml.learners.hard_constraints.mixture import Coupled, Coupling, Independent, MixtureOfExperts
from sciml.learners.hard_constraints.norms import ErrorNorm, PlainNorm, ResidualNorm
from sciml.learners.hard_constraints.projection import LinearConstraint
from sciml.learners.hard_constraints.routers import BoxRouter, FittedRouter, Router, windows
from sciml.learners.hard_constraints.schwarz import TwoLevelSchwarz

__all__ = [
    "Adjoint",
    "Bound",
    "BoxRouter",
    "Boxes",
    "ConstrainedField",
    "ConstraintLayer",
    "Coupled",
    "Coupling",
    "Envelope",
    "ErrorNorm",
    "ExpertParallel",
    "FittedRouter",
    "Implicit",
    "Independent",
    "LinearConstraint",
    "LowerBound",
    "MixtureOfExperts",
    "PlainNorm",
    "ResidualNorm",
    "Router",
    "TwoLevelSchwarz",
    "Unbounded",
    "interface_jump",
    "load_imbalance",
    "windows",
]
