"""A decomposition repeated without some of the samples, from its Gram matrix alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from sciml.learners.mmgp.reduction import LOST, Decomposition, eigenpairs

__all__ = ["FoldBasis", "folds_of", "refit_basis"]


@dataclass(frozen=True)
class FoldBasis:
    """Modes of the snapshots that were kept, turned within their span to be closest to the modes of all snapshots.

    The span is what counts; the turn makes column a of both decompositions mean the same, so that kernels that were
    fitted to the one fit the other.

    Attributes
    ----------
    kept
        Numbers ``(k,)`` of the samples it is made of.
    coefficients
        Of all samples, also those left out, ``(n, r)``.
    combination
        mode_a = Σ_i combination_ia (u_i − mean of the kept), ``(k, r)``.
    outside
        ‖u_i − mean of the kept − its projection‖² of all samples ``(n,)``; zero rank leaves everything outside.
    """

    kept: Tensor
    coefficients: Tensor
    combination: Tensor
    outside: Tensor

    def weights(self, coefficients: Tensor) -> Tensor:
        """Weights ``(q, k)`` of the kept snapshots, Σ = 1, in mean + Σ_a c_a mode_a for coefficients ``(q, r)``."""
        centred = self.combination - self.combination.mean(dim=0)
        return coefficients @ centred.mT + 1.0 / len(self.kept)


def refit_basis(decomposition: Decomposition, kept: Tensor) -> FoldBasis:
    """Repeat a decomposition with the samples ``kept (k,)`` only, at the same rank if they span as much.

    Examples
    --------
    >>> from sciml.learners.mmgp.inner_products import euclidean
    >>> from sciml.learners.mmgp.reduction import CountRule, decompose
    >>> from sciml.learners.mmgp.snapshots import SnapshotTable
    >>> u = torch.tensor([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [9, 1, 0]], dtype=torch.float64)
    >>> fold = refit_basis(decompose(SnapshotTable(u), euclidean(3), CountRule(1)), torch.tensor([0, 1, 2]))
    >>> weights = fold.weights(fold.coefficients[3:])  # the last sample, seen from a basis that does not know it
    >>> (weights @ u[:3]).round(decimals=6).tolist(), round(float(fold.outside[3]), 6)
    ([[9.0, 0.0, 0.0]], 0.333333)
    """
    gram, rank = decomposition.gram, decomposition.reduction.rank
    mean = gram[:, kept].mean(dim=1)
    centred = gram - mean[:, None] - mean[None, :] + mean[kept].mean()
    energies, vectors = eigenpairs(centred[kept][:, kept], LOST * float(decomposition.reduction.energies[:1].sum()))
    count = min(rank, len(energies))
    combination = vectors[:, :count] / energies[:count].sqrt()
    coefficients = centred[:, kept] @ combination
    outside = (centred.diagonal() - coefficients.square().sum(dim=1)).clamp_min(0)
    overlap = combination.mT @ (decomposition.coefficients[kept] - decomposition.coefficients[kept].mean(dim=0))
    left, _, right = torch.linalg.svd(overlap, full_matrices=False)
    turn = left @ right
    return FoldBasis(kept, coefficients @ turn, combination @ turn, outside)


def folds_of(groups: Tensor, count: int, generator: Generator) -> list[Tensor]:
    """The samples ``(n,)`` of each fold; those of one group stay together.

    Parameters
    ----------
    groups
        Group number of each sample ``(n,)``, such as a part and its mirror image.
    count
        Folds wanted; no more than there are groups.

    Examples
    --------
    >>> sorted(len(fold) for fold in folds_of(torch.tensor([0, 1, 2, 0, 1, 2]), 2, Generator().manual_seed(0)))
    [2, 4]
    """
    names = groups.unique()
    order = names[torch.randperm(len(names), generator=generator)]
    parts = order.tensor_split(min(count, len(names)))
    return [torch.isin(groups, part).nonzero().flatten() for part in parts]
