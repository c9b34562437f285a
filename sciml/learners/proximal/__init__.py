"""Learned proximal networks, and the plain denoiser beside them."""

from sciml.learners.proximal.convex_network import ConvexNetwork, FieldConvexNetwork, VectorConvexNetwork
from sciml.learners.proximal.learner import LPN, LPNConfig
from sciml.learners.proximal.matching import MatchingSchedule, matching_loss
from sciml.learners.proximal.plain_denoiser import PlainDenoiser, PlainDenoiserConfig
from sciml.learners.proximal.prior import PriorValue, prior_value

__all__ = [
    "LPN",
    "ConvexNetwork",
    "FieldConvexNetwork",
    "LPNConfig",
    "MatchingSchedule",
    "PlainDenoiser",
    "PlainDenoiserConfig",
    "PriorValue",
    "VectorConvexNetwork",
    "matching_loss",
    "prior_value",
]
