"""An elliptic equation on the grids of a V-cycle, in the units of a network: what its physical channel obeys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pde_benchmarks.elliptic import EllipticProblem
from pde_benchmarks.problem import Batch
from sciml.errors import ConfigurationError
from solvers import DiffusionOperator, GeometricMultigrid, MultigridHierarchy
from solvers.kernels import Interpolation, Links, kernels_for
from solvers.multigrid.coarsening import coarsen

__all__ = ["EquationLevel", "GridEquation"]


@dataclass(frozen=True)
class EquationLevel:
    """One grid: operators A of all samples, scaled by their diagonals D, and the way to the next coarser grid.

    Fields are ``(batch, 1, *grid)``. Every map is linear and differentiable in its field; A is a constant.

    Parameters
    ----------
    links
        A.
    diagonal
        D, ``(batch, 1, *grid)``; points without links have 1.
    steps
        The interpolation P from the next grid; empty on the coarsest one.
    """

    links: Links
    diagonal: Tensor
    steps: tuple[Interpolation, ...]

    def scaled(self, u: Tensor) -> Tensor:
        """D⁻¹ A u."""
        return _mapped(self._product, self._product, u) / self.diagonal

    def restrict(self, coarse: EquationLevel, r: Tensor) -> Tensor:
        """D_c⁻¹ Pᵀ D r: the scaled residual on the next coarser grid."""
        return _mapped(self._restricted, self._prolonged, self.diagonal * r) / coarse.diagonal

    def prolong(self, u: Tensor) -> Tensor:
        """P u."""
        return _mapped(self._prolonged, self._restricted, u)

    def _product(self, u: Tensor) -> Tensor:
        return kernels_for(u).apply(self.links, u)

    def _restricted(self, r: Tensor) -> Tensor:
        return kernels_for(r).restrict(self.steps, r)

    def _prolonged(self, u: Tensor) -> Tensor:
        return kernels_for(u).prolong(self.steps, u)


@dataclass(frozen=True)
class GridEquation:
    """D⁻¹ A(a) e = D⁻¹ (f − A(a) u_b) / s on a grid and coarser ones: what u = u_b + s e must solve.

    All axes are halved together, whatever the coefficient, so that the grids are those of the network and a sample's
    answer does not depend on the others of its batch. Below the coarsest grid the problem's own multigrid goes on.

    Parameters
    ----------
    levels
        Finest first.
    load
        D⁻¹ (f − A u_b) / s on the finest grid; differentiable in the inputs.
    below
        Multigrid for the coarsest operators.

    Examples
    --------
    >>> from pde_benchmarks import Darcy
    >>> problem = Darcy(resolution=16)
    >>> a = problem.sample(2, torch.Generator().manual_seed(0))
    >>> equation = GridEquation.of(problem, a, None, torch.tensor(0.01), levels=3)
    >>> [tuple(level.diagonal.shape[2:]) for level in equation.levels]
    [(16, 16), (8, 8), (4, 4)]
    >>> bool(equation.residual(problem.solve(a)["solution"] / 0.01).abs().max() < 1e-8)
    True
    """

    levels: tuple[EquationLevel, ...]
    load: Tensor
    below: MultigridHierarchy

    @classmethod
    def of(
        cls, problem: EllipticProblem, inputs: Batch, base: Tensor | None, scale: Tensor, levels: int
    ) -> GridEquation:
        """The equations of a batch.

        Parameters
        ----------
        problem, inputs
            They say what A and f are, for any grid.
        base
            u_b, ``(batch, 1, *grid)``; None: zero.
        scale
            s, a positive number as a tensor.
        levels
            Number of grids.

        Raises
        ------
        ConfigurationError
            If the operator lives on another grid than the inputs.
        """
        A, f = problem.operator(inputs), problem.load(inputs)
        (first, *_) = inputs.values()
        if A.grid != tuple(first.shape[2:]):
            raise ConfigurationError(
                f"residual=operator: the operator of {problem.name} has {A.grid} unknowns, but the fields are on "
                f"{tuple(first.shape[2:])} points: use residual=learned."
            )
        if base is not None:
            f = f - A.mv(base.flatten(1))
        load = f.reshape(-1, 1, *A.grid) / (_diagonal(A) * scale)
        with torch.no_grad():
            grids, coarsest = _levels(A, levels)
            return cls(grids, load, GeometricMultigrid().setup(coarsest))

    def residual(self, e: Tensor) -> Tensor:
        """D⁻¹ (f − A (u_b + s e)) / s: the step of an undamped Jacobi sweep, in units of e."""
        return self.load - self.levels[0].scaled(e)

    def coarse_solution(self, r: Tensor) -> Tensor:
        """Approximately A⁻¹ D r on the coarsest grid, by one V-cycle of multigrid."""
        return _mapped(self._cycle, self._cycle, self.levels[-1].diagonal * r)

    def _cycle(self, r: Tensor) -> Tensor:
        return self.below(r.flatten(1)).reshape(r.shape)


def _levels(A: DiffusionOperator, count: int) -> tuple[tuple[EquationLevel, ...], DiffusionOperator]:
    """`count` grids, and the operator on the coarsest."""
    grids = []
    for level in range(count):
        links, diagonal = A.links, _diagonal(A).detach()
        steps: tuple[Interpolation, ...] = ()
        if level < count - 1:
            steps, A = coarsen(A, tuple(range(len(A.grid))))
        grids.append(EquationLevel(links, diagonal, steps))
    return tuple(grids), A


def _diagonal(A: DiffusionOperator) -> Tensor:
    diagonal = A.diagonal().reshape(-1, 1, *A.grid)
    return torch.where(diagonal > 0, diagonal, 1.0)


def _mapped(there: Callable[[Tensor], Tensor], back: Callable[[Tensor], Tensor], field: Tensor) -> Tensor:
    """A linear map of ``(batch, *grid)`` with the transpose `back`, applied to ``(batch, 1, *grid)``."""
    result: Tensor = _LinearMap.apply(there, back, field[:, 0].contiguous())
    return result[:, None]


class _LinearMap(torch.autograd.Function):
    """y = L x: the derivative of a linear map is its transpose, whose derivative is the map again."""

    @staticmethod
    def forward(ctx: Any, there: Callable[[Tensor], Tensor], back: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        ctx.maps = there, back
        return there(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None, Tensor]:
        there, back = ctx.maps
        (g,) = gradients
        return None, None, _LinearMap.apply(back, there, g.contiguous())
