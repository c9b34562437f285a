"""Snapshot proper orthogonal decomposition in the inner product of a mass matrix (Sirovich 1987)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.errors import LearnerError
from sciml.learners.mmgp.inner_products import InnerProduct
from sciml.learners.mmgp.snapshots import Snapshots, row_blocks

__all__ = [
    "LOST",
    "CountRule",
    "Decomposition",
    "EnergyRule",
    "RankRule",
    "Reduction",
    "decompose",
    "eigenpairs",
    "mean_of",
]

#: Below this share of the largest eigenvalue a Gram matrix knows nothing: it halves the digits.
LOST = 1e-14


@dataclass(frozen=True)
class EnergyRule:
    """The smallest rank that leaves out at most the share ``tolerance²`` of the energy, but no more than ``most``.

    Examples
    --------
    >>> EnergyRule(0.1).rank(torch.tensor([100.0, 10.0, 0.5, 0.1]))
    2
    """

    tolerance: float
    most: int = 1000

    def rank(self, energies: Tensor) -> int:
        """How many modes of falling energies to keep."""
        left = energies.flip(0).cumsum(0).flip(0)
        wanted = int((left > self.tolerance**2 * energies.sum()).sum())
        return min(wanted, self.most)


@dataclass(frozen=True)
class CountRule:
    """So many modes, however small their energies.

    Examples
    --------
    >>> CountRule(2).rank(torch.tensor([3.0, 2.0, 1.0]))
    2
    """

    count: int

    def rank(self, energies: Tensor) -> int:
        """How many modes to keep.

        Raises
        ------
        LearnerError
            There are fewer.
        """
        if self.count > len(energies):
            raise LearnerError(
                f"{self.count} modes are wanted of snapshots that span {len(energies)} dimensions (samples less one, "
                "less what is constant): give more samples, fewer modes, or choose them by energy."
            )
        return self.count


RankRule = EnergyRule | CountRule


@dataclass(frozen=True)
class Reduction:
    """u ≈ mean + Σ c_a mode_a with modesᵀ M modes = I.

    Attributes
    ----------
    mean
        ``(N,)``.
    modes
        ``(r, N)``, float64.
    energies
        Σ_i c_ia² of all modes with energy ``(s,)``, falling; the kept ones are the first r.
    """

    mean: Tensor
    modes: Tensor
    energies: Tensor

    @property
    def rank(self) -> int:
        """Number of modes."""
        return len(self.modes)

    @property
    def discarded_share(self) -> float:
        """√(energy left out / energy): the relative error of the training snapshots, their mean taken away."""
        total = self.energies.sum()
        return float((self.energies[self.rank :].sum() / total).sqrt()) if total > 0 else 0.0

    def part(self, number: int, count: int) -> Reduction:
        """Of fields that were joined from `count` of one size, that one: its modes are orthonormal with the others.

        Examples
        --------
        >>> both = Reduction(torch.tensor([1.0, 2.0]), torch.tensor([[3.0, 4.0]]), torch.ones(1))
        >>> both.part(1, 2).modes
        tensor([[4.]])
        """
        return Reduction(
            self.mean.chunk(count)[number].clone(), self.modes.chunk(count, dim=1)[number].clone(), self.energies
        )

    def coefficients(self, fields: Tensor, product: InnerProduct) -> Tensor:
        """Coefficients ``(*batch, r)`` of fields ``(*batch, N)``."""
        return product.apply(fields - self.mean) @ self.modes.mT

    def expand(self, coefficients: Tensor) -> Tensor:
        """Fields ``(*batch, N)`` of coefficients ``(*batch, r)``."""
        return self.mean + coefficients @ self.modes


@dataclass(frozen=True)
class Decomposition:
    """A reduction with what it was made of.

    Attributes
    ----------
    reduction
        Mean, modes, energies.
    coefficients
        Of the snapshots, ``(n, r)``.
    gram
        ⟨u_i − mean, u_j − mean⟩ ``(n, n)``: enough to repeat the decomposition without some of the samples.
    """

    reduction: Reduction
    coefficients: Tensor
    gram: Tensor


def decompose(snapshots: Snapshots, product: InnerProduct, rule: RankRule) -> Decomposition:
    """Decompose snapshots ``(n, N)``; time O(n² N), memory O(n² + r N + block).

    With G_ij = ⟨u_i − mean, u_j − mean⟩ = V diag(L) Vᵀ, mode_a = Σ_i V_ia (u_i − mean) / √L_a and c_ia = √L_a V_ia;
    then Σ_i ‖u_i − its projection‖² = Σ_{a > r} L_a. Identical snapshots give rank 0.

    Examples
    --------
    >>> from sciml.learners.mmgp.inner_products import euclidean
    >>> from sciml.learners.mmgp.snapshots import SnapshotTable
    >>> u = SnapshotTable(torch.tensor([[1.0, 0.0, 5.0], [3.0, 0.0, 5.0]], dtype=torch.float64))
    >>> found = decompose(u, euclidean(3), EnergyRule(1e-3)).reduction
    >>> found.mean.tolist(), found.rank, round(float(found.energies), 4)
    ([2.0, 0.0, 5.0], 1, 0.6667)
    """
    mean = mean_of(snapshots)
    gram = _gram(snapshots, mean, product)
    rounding = 4 * torch.finfo(torch.float64).eps
    energies, vectors = eigenpairs(gram, snapshots.count * rounding**2 * float(product.squared_norm(mean)))
    rank = rule.rank(energies)
    kept = vectors[:, :rank] / energies[:rank].sqrt()
    modes = mean.new_zeros(rank, snapshots.size)
    for begin, end in row_blocks(snapshots):
        modes += kept[begin:end].mT @ (snapshots.rows(begin, end) - mean)
    return Decomposition(Reduction(mean, modes, energies), vectors[:, :rank] * energies[:rank].sqrt(), gram)


def eigenpairs(gram: Tensor, floor: float = 0.0) -> tuple[Tensor, Tensor]:
    """Eigenvalues ``(s,)``, falling, and eigenvectors ``(n, s)`` of a Gram matrix, without those lost in rounding.

    Parameters
    ----------
    gram
        ``(n, n)``, symmetric positive semidefinite, of centred snapshots.
    floor
        Eigenvalues up to here are rounding.
    """
    values, vectors = torch.linalg.eigh(gram)
    values, vectors = values.flip(0), vectors.flip(1)
    floor = max(floor, LOST * float(values[:1].clamp_min(0).sum()))
    # Centring takes one dimension away.
    count = min(int((values > floor).sum()), max(0, len(gram) - 1))
    values, vectors = values[:count], vectors[:, :count]
    # The sign is free: the largest coefficient is positive.
    largest = vectors.gather(0, vectors.abs().argmax(dim=0, keepdim=True)) if count else vectors[:1]
    return values, vectors * largest.sign()


def mean_of(snapshots: Snapshots) -> Tensor:
    """Mean ``(N,)`` of all rows."""
    total = torch.zeros(snapshots.size, dtype=torch.float64)
    for begin, end in row_blocks(snapshots):
        total += snapshots.rows(begin, end).sum(dim=0)
    return total / snapshots.count


def _gram(snapshots: Snapshots, mean: Tensor, product: InnerProduct) -> Tensor:
    """Blocks of rows against blocks of rows: two of them are in memory."""
    gram = torch.zeros(snapshots.count, snapshots.count, dtype=torch.float64)
    blocks = list(row_blocks(snapshots))
    for number, (begin, end) in enumerate(blocks):
        u = snapshots.rows(begin, end) - mean
        weighted = product.apply(u)
        gram[begin:end, begin:end] = weighted @ u.mT
        for first, last in blocks[:number]:
            part = weighted @ (snapshots.rows(first, last) - mean).mT
            gram[begin:end, first:last] = part
            gram[first:last, begin:end] = part.mT
    return (gram + gram.mT) / 2
