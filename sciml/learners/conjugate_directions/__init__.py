"""Learned accelerators of the pressure solve: directions proposed by a network, and a multigrid cycle with learned
coefficients.
"""

from sciml.learners.conjugate_directions.coefficients import FieldCoefficients, ScalarCoefficients
from sciml.learners.conjugate_directions.cycle import FieldCycle, FieldCycleConfig, LearnedCycle, LearnedCycleConfig
from sciml.learners.conjugate_directions.defaults import default_scalars
from sciml.learners.conjugate_directions.direction_loss import direction_loss
from sciml.learners.conjugate_directions.network import DirectionNetwork
from sciml.learners.conjugate_directions.published import PublishedDirections, PublishedDirectionsConfig
from sciml.learners.conjugate_directions.training_vectors import eigenvector_sums, ritz_pairs, ritz_sums
from sciml.learners.conjugate_directions.unrolled import convergence_rate

__all__ = [
    "DirectionNetwork",
    "FieldCoefficients",
    "FieldCycle",
    "FieldCycleConfig",
    "LearnedCycle",
    "LearnedCycleConfig",
    "PublishedDirections",
    "PublishedDirectionsConfig",
    "ScalarCoefficients",
    "convergence_rate",
    "default_scalars",
    "direction_loss",
    "eigenvector_sums",
    "ritz_pairs",
    "ritz_sums",
]
