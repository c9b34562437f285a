"""Every sample predicted by a surrogate that does not know it: bases and regression repeated for each fold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.learners.mmgp.fold_basis import refit_basis
from sciml.learners.mmgp.inputs import InputColumns
from sciml.learners.mmgp.reduction import Decomposition
from sciml.learners.mmgp.regression import Columns

__all__ = ["LeftOut", "leave_folds_out"]

#: Inputs and targets of the samples kept, inputs of those left out -> mean and variance (noise included) of these.
Refit = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class LeftOut:
    """Predictions of samples by the others.

    Attributes
    ----------
    mean, variance, truth
        Of every column ``(n, m)``; truth are the coefficients in the basis of the sample's fold.
    weights
        Name of a block of fields to the predictions as combinations of the snapshots ``(n, n)``; rows sum to one.
    outside
        Distance (squared, ‖·‖_M²) of each shape from the span of the others' modes ``(n,)``.
    unusual
        Mahalanobis distance of its coefficients in the others' modes ``(n,)``.
    """

    mean: Tensor
    variance: Tensor
    truth: Tensor
    weights: dict[str, Tensor]
    outside: Tensor
    unusual: Tensor

    @property
    def scores(self) -> Tensor:
        """(truth − mean) / standard deviation ``(n, m)``; zero where both are."""
        error, deviation = self.truth - self.mean, self.variance.sqrt()
        return torch.where(error == 0, 0.0, error / deviation)


def leave_folds_out(
    folds: list[Tensor],
    shape: Decomposition,
    blocks: dict[str, Decomposition],
    given: tuple[InputColumns, Tensor],
    outputs: Tensor,
    columns: Columns,
    refit: Refit,
    progress: Callable[[int, int], None] | None = None,
) -> LeftOut:
    """Predict the samples of each fold by the others.

    Parameters
    ----------
    folds
        Numbers of the samples of each.
    shape, blocks
        Decompositions of all snapshots, of fields by the name of their block.
    given
        The columns that the regression sees, and the given scalars ``(n, p)``.
    outputs
        Scalars to predict ``(n, q)``.
    refit
        The regression, its hyper-parameters being those of all samples.
    """
    n = len(outputs)
    mean, variance, truth = (torch.zeros(n, columns.count, dtype=torch.float64) for _ in range(3))
    weights = {name: torch.zeros(n, n, dtype=torch.float64) for name in blocks}
    outside, unusual = torch.zeros(n, dtype=torch.float64), torch.zeros(n, dtype=torch.float64)
    for number, left in enumerate(folds):
        kept = torch.ones(n, dtype=torch.bool).index_fill(0, left, False).nonzero().flatten()
        own = refit_basis(shape, kept)
        outside[left] = own.outside[left]
        deviation = (own.coefficients[kept].square().sum(dim=0) / max(1, len(kept) - 1)).sqrt()
        unusual[left] = (own.coefficients[left] / torch.where(deviation > 0, deviation, 1.0)).norm(dim=1)
        bases = {name: refit_basis(block, kept) for name, block in blocks.items()}
        targets = torch.cat([*(basis.coefficients for basis in bases.values()), outputs], dim=1)
        inputs = given[0](own.coefficients, given[1])
        mean[left], variance[left] = refit(inputs[kept], targets[kept], inputs[left])
        truth[left] = targets[left]
        for name, basis in bases.items():
            weights[name][left[:, None], kept] = basis.weights(mean[left, columns.of(name)])
        if progress is not None:
            progress(number + 1, len(folds))
    return LeftOut(mean, variance, truth, weights, outside, unusual)
