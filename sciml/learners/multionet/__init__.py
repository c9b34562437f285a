"""MultiONet, a deep operator network that sums over its layers (Zang & Koutsourelakis 2025, arXiv 2502.06250)."""

from sciml.learners.multionet.encoders import ConvolutionalEncoder, DenseEncoder, PointSetEncoder
from sciml.learners.multionet.learner import DeepONetConfig, DeepONetLearner, MultiONetConfig, MultiONetLearner
from sciml.learners.multionet.network import MultiONet

__all__ = [
    "ConvolutionalEncoder",
    "DeepONetConfig",
    "DeepONetLearner",
    "DenseEncoder",
    "MultiONet",
    "MultiONetConfig",
    "MultiONetLearner",
    "PointSetEncoder",
]
