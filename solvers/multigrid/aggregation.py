"""Multigrid over blocks of cells, for diffusion between obstacles: copies up, sums down, relaxed coarse matrices."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.errors import ShapeError
from solvers.kernels import kernels_for
from solvers.kernels.aggregation import AggregationLevels
from solvers.multigrid.aggregation_coefficients import TEXTBOOK, CoefficientRule, LevelCoefficients
from solvers.multigrid.aggregation_graph import CellGraph
from solvers.multigrid.aggregation_levels import aggregation_levels
from solvers.operators.linear_operator import LinearOperator
from solvers.preconditioners.projected import ProjectedInverse

__all__ = ["AggregationHierarchy", "AggregationMultigrid"]


@dataclass(frozen=True, eq=False)
class AggregationMultigrid:
    """A V-cycle whose every level is a weighted graph of cells, the next one that of its blocks of two cells an axis.

    Red-black Gauss-Seidel with relaxation before, and in reverse after the coarse correction; constant interpolation,
    restriction its transpose, coarse links and masses that are scaled sums (over-correction: Braess 1995). Two passes
    of the stencil a cycle. Coefficients may be fields, chosen for each operator by a rule: any positive ones leave the
    cycle symmetric positive definite, at the same cost. Any grid will do: a last odd cell is a block of its own. Links
    should be of one size in all directions; parts of the domain that nothing holds are handled.

    Parameters
    ----------
    coefficients
        `GALERKIN`, `TEXTBOOK`, `HAND_TUNED`, other `CycleCoefficients`, or a rule that chooses them.
    coarsest
        Grids of at most this many cells an axis (as a product) are solved densely.
    dtype
        Precision of the cycle; None: the operator's. ``torch.float32`` inside a float64 CG costs no iterations.

    Examples
    --------
    >>> import torch
    >>> from solvers import CG, finite_volume_operator, linear_solve
    >>> A = finite_volume_operator(torch.ones(64, 64, dtype=torch.float64), spacing=1 / 64)
    >>> b = torch.ones(64 * 64, dtype=torch.float64)
    >>> linear_solve(A, b, CG(), AggregationMultigrid()).stats.iterations < 20
    tensor(True)
    """

    coefficients: CoefficientRule = TEXTBOOK
    coarsest: int = 4
    dtype: torch.dtype | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.coarsest <= 8:
            raise ShapeError(f"coarsest = {self.coarsest}: expected 1 to 8 cells an axis, which are solved densely")

    @torch.no_grad()
    def setup(self, A: LinearOperator) -> AggregationHierarchy:
        """Coarsen A; all systems of the batch at once.

        Raises
        ------
        TagError
            A is not a `DiffusionOperator`.
        ShapeError
            An axis is periodic, or a coefficient is a field on another grid.
        ToleranceError
            A relaxation factor is not in (0, 2), or another coefficient not positive.
        """
        graph = CellGraph.of(A)
        graph = graph if self.dtype in (None, A.dtype) else graph.to(self.dtype)
        return AggregationHierarchy(A, aggregation_levels(graph, self._checked, self.coarsest))

    def _checked(self, level: int, fine: CellGraph, coarse: CellGraph) -> LevelCoefficients:
        """The rule's coefficients, if they give a positive definite cycle."""
        chosen = self.coefficients(level, fine, coarse)
        chosen.check(level)
        return chosen


class AggregationHierarchy(ProjectedInverse):
    """What `AggregationMultigrid.setup` built: call it for z = M r on flat vectors ``(*batch, n)``.

    M is symmetric positive definite on the range of A. No gradient flows through it; `aggregation_cycle` is the
    differentiable one.
    """

    is_spd = True

    def __init__(self, A: LinearOperator, data: AggregationLevels) -> None:
        super().__init__(A)
        self.data = data

    def apply(self, r: Tensor) -> Tensor:
        own, batch = self.operator.batch_shape, r.shape[:-1]
        if own != batch[len(batch) - len(own) :] and own.numel() != 1:
            raise ShapeError(
                f"hierarchy of batch shape {tuple(own)} and vectors {tuple(batch)}: expected its shape as the last "
                "batch axes; materialise the operator with expand"
            )
        field = r.to(self.data.coarse_inverse.dtype).reshape(-1, *self._grid)
        return kernels_for(field).aggregation_cycle(self.data, field).reshape(r.shape).to(r.dtype)

    @property
    def _grid(self) -> tuple[int, ...]:
        return self.data.levels[0].grid if self.data.levels else self.data.coarsest

    def __repr__(self) -> str:
        grids = [level.grid for level in self.data.levels] + [self.data.coarsest]
        dtype = str(self.data.coarse_inverse.dtype).removeprefix("torch.")
        lines = [
            f"AggregationHierarchy: {len(grids)} levels, batch {tuple(self.operator.batch_shape)}, {dtype}",
            *(f"  {number}: {' × '.join(map(str, grid))} cells" for number, grid in enumerate(grids)),
        ]
        return "\n".join(lines) + " (dense)"
