"""Error bars from samples that were left out: of fields, of scalars, of shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from sciml.learners.mmgp.bases import Bases
from sciml.learners.mmgp.correlation import shrunk_correlation
from sciml.learners.mmgp.distance_growth import distance_growth
from sciml.learners.mmgp.fitted import Fitted
from sciml.learners.mmgp.fold_basis import folds_of
from sciml.learners.mmgp.gaussian_processes import (
    GaussianPrediction,
    Transform,
    original_moments,
)
from sciml.learners.mmgp.leave_out import LeftOut, leave_folds_out
from sciml.learners.mmgp.regression import Columns, refit_and_predict
from sciml.learners.mmgp.residual_variance import QUANTILE, LeftOutField, residual_variance
from sciml.learners.mmgp.transport import Transported
from sciml.learners.mmgp.trust import TrustLimits, upper_quantile
from sciml.learners.mmgp.variants import Variant

__all__ = ["ErrorBars", "measure_error_bars"]


@dataclass(frozen=True)
class ErrorBars:
    """What was learnt from samples left out.

    Attributes
    ----------
    correlation
        Correlation matrix ``(m, m)`` of the regression's errors.
    fields
        By key of the variant.
    scalar_factors, scalar_q2
        Conformal factor and Q² of each predicted scalar ``(q,)``.
    scalar_scores
        |error| / standard deviation of each sample and scalar ``(n, q)``.
    distances
        Mahalanobis distance of each shape from the others ``(n,)``.
    trust
        Scores of the training shapes.
    """

    correlation: Tensor
    fields: dict[str, LeftOutField]
    scalar_factors: Tensor
    scalar_q2: Tensor
    scalar_scores: Tensor
    distances: Tensor
    trust: TrustLimits

    def judged(self, keys: Iterable[str]) -> TrustLimits:
        """What shapes are judged by, with the growth of the errors of these fields and of the scalars."""
        scores = [*(self.fields[key].scores for key in keys), *self.scalar_scores.mT]
        return replace(self.trust, growth=distance_growth(self.distances, scores))


def measure_error_bars(
    carried: Transported,
    bases: Bases,
    fitted: Fitted,
    variants: Mapping[str, Variant],
    groups: Tensor,
    folds: int,
    seed: int,
    progress: Callable[[float, float], None] | None = None,
) -> ErrorBars:
    """Leave out each fold in turn, and compare predictions with the truth.

    Parameters
    ----------
    variants
        Of the fields.
    groups
        ``(n,)``; samples of one group are left out together.
    folds
        How many.
    """
    columns = fitted.columns
    left = leave_folds_out(
        folds_of(groups, folds, Generator().manual_seed(seed)),
        bases.shape,
        bases.blocks,
        (fitted.inputs, fitted.table.inputs),
        fitted.table.outputs,
        columns,
        lambda x, y, at: refit_and_predict(fitted.processes, x, y, at),
        progress,
    )
    correlation = shrunk_correlation(left.scores)
    root = torch.linalg.cholesky(correlation)
    fields = {key: _field(key, variant, carried, bases, left, columns, root) for key, variant in variants.items()}
    first = columns.count - len(columns.scalars)
    scalars = [_scalar(left, first + i, transform) for i, transform in enumerate(fitted.transforms)]
    factors, q2 = torch.tensor(scalars, dtype=torch.float64).reshape(-1, 2).unbind(1)
    of_scalars = left.scores[:, first:].abs()
    return ErrorBars(correlation, fields, factors, q2, of_scalars, left.unusual, _trust(bases, left))


def _scalar(left: LeftOut, column: int, transform: Transform) -> tuple[float, float]:
    """Conformal factor of a scalar, and its Q² in its own unit."""
    factor = upper_quantile(left.scores[:, column].abs(), 0.95) / QUANTILE
    latent = GaussianPrediction(left.mean[:, column], left.variance[:, column])
    truth = transform.inverse(left.truth[:, column])
    error = float((original_moments(transform, latent).mean - truth).square().sum())
    spread = float((truth - truth.mean()).square().sum())
    return factor, 1 - error / spread if spread > 0 else 1.0


def _field(
    key: str, variant: Variant, carried: Transported, bases: Bases, left: LeftOut, columns: Columns, root: Tensor
) -> LeftOutField:
    reduction, own = bases.reduction(key), columns.of(key)
    roots = left.variance[:, own].sqrt()[:, :, None] * root[own]
    return residual_variance(
        carried.fields[key],
        left.weights[variant.block],
        reduction.modes,
        roots @ roots.mT,
        carried.floors[key].variance,
        carried.probes,
        key,
        variant.transform,
    )


def _trust(bases: Bases, left: LeftOut) -> TrustLimits:
    reduction = bases.shape.reduction
    n = len(bases.shape.gram)
    places = reduction.mean.reshape(-1, bases.product.operator.shape[0])
    centre = bases.product.apply(places).sum(dim=1) / bases.product.total
    size = float(bases.product.squared_norm((places - centre[:, None]).flatten()).sqrt())
    deviations = (reduction.energies[: reduction.rank] / (n - 1)).sqrt()
    return TrustLimits(size, deviations, (left.outside.sqrt() / size).sort().values, left.unusual.sort().values)
