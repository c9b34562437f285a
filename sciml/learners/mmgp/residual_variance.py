"""What a Gaussian process does not know of a field: the modes left out and its own misfit, from samples left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.learners.mmgp.gaussian_processes import GaussianPrediction, Transform, original_moments
from sciml.learners.mmgp.probes import Probe
from sciml.learners.mmgp.snapshots import Snapshots, column_blocks
from sciml.learners.mmgp.trust import upper_quantile

__all__ = ["QUANTILE", "LeftOutField", "residual_variance"]

_LEVEL = 0.95
#: The 97.5 % quantile of a standard normal variable.
QUANTILE = 1.959963984540054


@dataclass(frozen=True)
class LeftOutField:
    """How a field was predicted for samples that were left out, basis and regression made without them.

    Attributes
    ----------
    residual
        Variance ``(N,)`` to add to that of the regression at the common nodes: mean squared error less mean variance,
        never negative.
    factor
        By which standard deviations are multiplied so that 1.96 of them hold 95 % of the values at the meshes' own
        nodes (split conformal prediction, Vovk et al. 2005).
    rrmse
        √(mean over samples of mean squared error over their nodes / max f²), samples without any values left out.
    scores
        Root mean square over its nodes of error / standard deviation, the factor left out, for each sample ``(n,)``.
    squared_error, spread
        Sums over all samples and nodes of the squared error and of the squared deviation from the mean.
    """

    residual: Tensor
    factor: float
    scores: Tensor
    rrmse: float
    squared_error: float
    spread: float

    @property
    def q2(self) -> float:
        """1 − squared error / spread."""
        return 1 - self.squared_error / self.spread if self.spread > 0 else 1.0


def residual_variance(
    snapshots: Snapshots,
    weights: Tensor,
    modes: Tensor,
    covariances: Tensor,
    floor: Tensor,
    probes: Sequence[Probe],
    key: str,
    transform: Transform,
) -> LeftOutField:
    """Compare a field with its predictions by other samples; one pass over the snapshots, in blocks of nodes.

    Parameters
    ----------
    snapshots
        ``(n, N)``.
    weights
        Predictions as combinations of snapshots, ``(n, n)``, rows sum to one.
    modes
        ``(r, N)``.
    covariances
        Of the predicted coefficients of each sample, ``(n, r, r)``.
    floor
        Variance ``(N,)`` of what the transfer loses.
    probes, key
        Nodes of every mesh, and the key of the field in them.
    transform
        By which the field has become the snapshots; errors are those of the field itself.
    """
    residual = torch.empty(snapshots.size, dtype=torch.float64)
    errors = [probe.lost[key].clone() for probe in probes]
    average = covariances.mean(dim=0)
    for begin, end in column_blocks(snapshots):
        u = snapshots.columns(begin, end)
        error = u - weights @ u
        known = ((average @ modes[:, begin:end]) * modes[:, begin:end]).sum(dim=0)
        residual[begin:end] = (error.square().mean(dim=0) - known).clamp_min(0)
        for own, probe, row in zip(errors, probes, error, strict=True):
            own += torch.from_numpy(probe.rows[:, begin:end] @ row.numpy())
    deviations = [
        _deviation(probe.at(modes), covariance, probe.at(residual + floor))
        for probe, covariance in zip(probes, covariances, strict=True)
    ]
    pairs = list(zip(errors, deviations, strict=True))
    scores = [_score(*pair) for pair in pairs]
    factor = upper_quantile(torch.cat(scores), _LEVEL) / QUANTILE
    typical = torch.stack([score.square().mean().sqrt() for score in scores])
    truths = [probe.values[key] for probe in probes]
    means = [
        original_moments(transform, GaussianPrediction(truth - error, (factor * deviation).square())).mean
        for truth, (error, deviation) in zip(truths, pairs, strict=True)
    ]
    originals = [transform.inverse(truth) for truth in truths]
    wrong = [mean - truth for mean, truth in zip(means, originals, strict=True)]
    return LeftOutField(residual, factor, typical, *_errors(wrong, originals))


def _deviation(modes: Tensor, covariance: Tensor, rough: Tensor) -> Tensor:
    """Standard deviation at nodes ``(k,)``, from modes there ``(r, k)`` and the variance beside them."""
    return (((covariance @ modes) * modes).sum(dim=0) + rough).sqrt()


def _score(error: Tensor, deviation: Tensor) -> Tensor:
    """|error| / standard deviation; where a field never varies, nothing is uncertain and nothing is wrong."""
    return torch.where((deviation == 0) & (error == 0), 0.0, error.abs() / deviation)


def _errors(errors: list[Tensor], truths: list[Tensor]) -> tuple[float, float, float]:
    """RRMSE, squared error and spread."""
    relative = [
        float(error.square().mean() / truth.abs().max().square())
        for error, truth in zip(errors, truths, strict=True)
        if truth.abs().max() > 0
    ]
    every = torch.cat(truths)
    spread = float((every - every.mean()).square().sum())
    rrmse = (sum(relative) / len(relative)) ** 0.5 if relative else 0.0
    return rrmse, float(torch.cat(errors).square().sum()), spread
