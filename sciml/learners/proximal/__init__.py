"""Learned proximal networks, and the plain denoiser beside them."""

from sciml.learners.proximal.conditioned_learner import ConditionedLPN, ConditionedLPNConfig
from sciml.learners.proximal.conditioned_network import ConditionedNetwork
from sciml.learners.proximal.convex_network import ConvexNetwork, FieldConvexNetwork, VectorConvexNetwork
from sciml.learners.proximal.learner import LPN, LPNConfig
from sciml.learners.proximal.matching import MatchingSchedule, matching_loss
from sciml.learners.proximal.noise_levels import NoiseLevels
from sciml.learners.proximal.plain_denoiser import PlainDenoiser, PlainDenoiserConfig
from sciml.learners.proximal.prior import PriorValue, prior_value

__all__ = [
    "LPN",
    "ConditionedLPN",
    "ConditionedLPNConfig",
    "ConditionedNetwork",
    "ConvexNetwork",
    "FieldConvexNetwork",
    "LPNConfig",
    "MatchingSchedule",
    "NoiseLevels",
    "PlainDenoiser",
    "PlainDenoiserConfig",
    "PriorValue",
    "VectorConvexNetwork",
    "matching_loss",
    "prior_value",
]
