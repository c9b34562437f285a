"""What algebraic multigrid builds for an operator: levels, cycle, and the way to new values on the same pattern."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from solvers.multigrid.cycle import CycleLevel, DenseInverse, VCycle
from solvers.multigrid.transfers import Transfers
from solvers.operators.csr import CSROperator
from solvers.operators.linear_operator import LinearOperator
from solvers.preconditioners.chebyshev import Chebyshev
from solvers.preconditioners.entries import entries
from solvers.preconditioners.products import Products
from solvers.preconditioners.projected import ProjectedInverse
from solvers.preconditioners.ssor import SSOR

__all__ = ["AlgebraicHierarchy"]

_DENSE_LIMIT = 1000


class AlgebraicHierarchy(ProjectedInverse):
    """What `SmoothedAggregation` and `RugeStuben` set up: call it for z = M r on flat vectors ``(*batch, n)``.

    One V-cycle with equal smoothing before and after the coarse correction: symmetric positive definite if A is. The
    coarsest level is solved densely, or smoothed where coarsening stopped above 1000 unknowns. No gradient flows
    through it; print it to see its levels.

    Parameters
    ----------
    A
        The operator it approximates the inverse of.
    matrices
        A and its coarse versions, finest first, ``(*batch)``.
    transfers
        Restriction and interpolation between them.
    smoother, dtype
        As in the recipe.
    """

    def __init__(
        self,
        A: LinearOperator,
        matrices: Sequence[CSROperator],
        transfers: Transfers,
        smoother: Chebyshev | SSOR,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__(A)
        self.matrices, self.transfers, self.smoother, self.dtype = tuple(matrices), transfers, smoother, dtype
        self.cycle = self._cycle(dtype or A.dtype)
        self.is_spd = self.cycle.is_spd

    @property
    def H(self) -> ProjectedInverse:
        """The adjoint cycle."""
        return self if "symmetric" in self.operator.tags else self.cycle.H

    @property
    def operator_complexity(self) -> float:
        """Entries of all levels over entries of the finest: what a product on every level costs."""
        entries_of = [matrix.values.shape[-1] for matrix in self.matrices]
        return sum(entries_of) / max(1, entries_of[0])

    @torch.no_grad()
    def update(self, A: LinearOperator) -> AlgebraicHierarchy:
        """The hierarchy for new values (or another batch) on the same pattern, with the same interpolation.

        Nothing is searched for: coarse values are a linear map of the values (`GalerkinMap`), which a batch builds at
        its set-up and a single system at its first update. The interpolation stays that of the first matrix.

        Raises
        ------
        PatternError
            The pattern is another one.
        TagError
            The operator does not know its entries.
        """
        matrices = self.transfers.matrices(entries(A, type(self).__name__))
        return AlgebraicHierarchy(A, matrices, self.transfers, self.smoother, self.dtype)

    def apply(self, r: Tensor) -> Tensor:
        return self.cycle.apply(r)

    def _cycle(self, dtype: torch.dtype) -> VCycle:
        levels = []
        for matrix, (R, P) in zip(self.matrices, self.transfers.pairs, strict=False):
            A = _converted(matrix, dtype)
            restrict, interpolate = (Products(_converted(transfer, dtype)) for transfer in (R, P))
            levels.append(CycleLevel(Products(A), self.smoother.setup(A), restrict, interpolate))
        last = self.matrices[-1]
        small = last.shape[0] <= _DENSE_LIMIT
        coarsest = DenseInverse.of(last).to(dtype) if small else self.smoother.setup(_converted(last, dtype))
        return VCycle(self.operator, levels, coarsest, dtype)

    def __repr__(self) -> str:
        sizes = [matrix.shape[0] for matrix in self.matrices]
        dtype = str(self.cycle.dtype).removeprefix("torch.")
        lines = [
            f"AlgebraicHierarchy: {len(sizes)} levels, operator complexity {self.operator_complexity:.2f}, "
            f"grid complexity {sum(sizes) / max(1, sizes[0]):.2f}, batch {tuple(self.matrices[0].batch_shape)}, {dtype}"
        ]
        for number, matrix in enumerate(self.matrices):
            note = " (dense)" if number == len(sizes) - 1 and sizes[-1] <= _DENSE_LIMIT else ""
            lines.append(f"  {number}: {sizes[number]} unknowns, {matrix.values.shape[-1]} entries{note}")
        return "\n".join(lines)


def _converted(A: CSROperator, dtype: torch.dtype) -> CSROperator:
    return A if A.dtype == dtype else A.replace((A.values.to(dtype),))
