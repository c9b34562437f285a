"""Gaussian processes in batches: fits, posteriors, leave-one-out, and transforms of outputs."""

from sciml.learners.mmgp.gaussian_processes.config import GaussianProcessConfig, InducingConfig
from sciml.learners.mmgp.gaussian_processes.fitting import (
    fit_gaussian_processes,
    fit_shared_gaussian_processes,
    restore,
)
from sciml.learners.mmgp.gaussian_processes.posterior import GaussianPrediction, GaussianProcesses
from sciml.learners.mmgp.gaussian_processes.transform_choice import TransformChoice, choose_transforms
from sciml.learners.mmgp.gaussian_processes.transforms import (
    Asinh,
    BoundedAsinh,
    Identity,
    Logarithm,
    Transform,
    YeoJohnson,
    decode_transforms,
    encode_transforms,
    original_moments,
    original_quantile,
)

__all__ = [
    "Asinh",
    "BoundedAsinh",
    "GaussianPrediction",
    "GaussianProcessConfig",
    "GaussianProcesses",
    "Identity",
    "InducingConfig",
    "Logarithm",
    "Transform",
    "TransformChoice",
    "YeoJohnson",
    "choose_transforms",
    "decode_transforms",
    "encode_transforms",
    "fit_gaussian_processes",
    "fit_shared_gaussian_processes",
    "original_moments",
    "original_quantile",
    "restore",
]
