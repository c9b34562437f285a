"""Posterior inference in a latent space: what noisy observations tell about latents, for any forward map."""

from sciml.inference.chains import ChainConfig
from sciml.inference.diagnostics import bulk_ess, split_r_hat
from sciml.inference.flow_prior import FlowFit, FlowPrior
from sciml.inference.hmc import HMCConfig
from sciml.inference.laplace import LaplaceConfig
from sciml.inference.map_estimate import MapConfig
from sciml.inference.methods import infer
from sciml.inference.model_error import ErrorCovariance, ErrorFraction, ErrorVariance, ModelError
from sciml.inference.observation import Observation
from sciml.inference.pcn import PCNConfig
from sciml.inference.posterior import Posterior
from sciml.inference.priors import GaussianPrior, LatentPrior, StandardNormal
from sciml.inference.result import Diagnostics, InferenceStatus, MapEstimate, PosteriorSamples
from sciml.inference.variational import SVIConfig

__all__ = [
    "ChainConfig",
    "Diagnostics",
    "ErrorCovariance",
    "ErrorFraction",
    "ErrorVariance",
    "FlowFit",
    "FlowPrior",
    "GaussianPrior",
    "HMCConfig",
    "InferenceStatus",
    "LaplaceConfig",
    "LatentPrior",
    "MapConfig",
    "MapEstimate",
    "ModelError",
    "Observation",
    "PCNConfig",
    "Posterior",
    "PosteriorSamples",
    "SVIConfig",
    "StandardNormal",
    "bulk_ess",
    "infer",
    "split_r_hat",
]
