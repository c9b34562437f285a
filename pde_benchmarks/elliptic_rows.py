"""Elliptic problems for hard constraints: one linear term a cell, V-cycles as the approximate inverse."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from pde_benchmarks.conservation import Conserved, ConservingProblem
from pde_benchmarks.grid import Grid, axis_points
from pde_benchmarks.problem import Batch, FieldSpec
from pde_benchmarks.termwise import TermwiseProblem, TermwiseResidual
from solvers import DenseOperator, DiffusionOperator, MultigridHierarchy

__all__ = ["ApproximateInverse", "EllipticRows", "TermwiseElliptic"]

CYCLES = 2


class EllipticRows(TermwiseResidual):
    """(A u − f) / ‖f‖, ‖f‖ the root mean square of the source: one linear term, boundary conditions in the stencil.

    Finite volumes: a row is what flows out of its cell minus what is produced there, so that rows which vanish conserve
    the flux cell by cell. The rows of cells at a side that is not periodic are the global ones.

    Parameters
    ----------
    operator
        A, one of every sample.
    load
        f, flat ``(B, n)``.
    hierarchy
        Gives its V-cycles, which are the approximate inverse.
    grid
        Of the samples.

    Examples
    --------
    >>> from pde_benchmarks import Darcy
    >>> problem = Darcy(resolution=16)
    >>> a = problem.sample(2, torch.Generator().manual_seed(0))
    >>> rows = problem.termwise(a)
    >>> bool(rows.rows(problem.solve(a)["solution"][:, 0]).abs().max() < 1e-7)
    True
    """

    def __init__(
        self, operator: DiffusionOperator, load: Tensor, hierarchy: Callable[[], MultigridHierarchy], grid: Grid
    ) -> None:
        self.operator, self.hierarchy, self.shape = operator, hierarchy, grid.shape
        size = load.detach().square().mean(1, keepdim=True).sqrt()
        self.size = torch.where(size > 0, size, 1)
        self.parameters = ((load / self.size).unflatten(1, self.shape),)
        self.global_rows = torch.zeros(self.shape, dtype=torch.bool, device=load.device)
        for axis, (low, _) in enumerate(grid.sides):
            if low != "periodic":
                self.global_rows.movedim(axis, 0)[[0, -1]] = True

    def terms(self, fields: Tensor) -> Tensor:
        """A u / ‖f‖, ``(*leading, B, 1, *shape)``; differentiable in the coefficients of A, too."""
        flat = fields.flatten(-len(self.shape))
        return (self.operator.mv(flat) / self.size).unflatten(-1, self.shape).unsqueeze(-len(self.shape) - 1)

    def combine(self, terms: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
        """The term minus f / ‖f‖."""
        return terms.squeeze(-len(self.shape) - 1) - parameters[0]

    @property
    def carrier_parameters(self) -> tuple[Tensor, ...]:
        """The coefficients of A."""
        return self.operator.parameters()

    def carrier(self, about: Tensor) -> Callable[[Tensor], Tensor]:
        """Two V-cycles; the same about every field, as the equation is linear."""
        hierarchy = self.hierarchy()

        def carried(rows: Tensor) -> Tensor:
            right = rows.flatten(-len(self.shape)) * self.size
            error: Tensor = ApproximateInverse.apply(hierarchy, right)
            for _ in range(CYCLES - 1):
                error = error + ApproximateInverse.apply(hierarchy, right - self.operator.mv(error))
            return error.unflatten(-1, self.shape)

        return carried


class TermwiseElliptic(TermwiseProblem, ConservingProblem):
    """What every problem A(a) u = f offers to a hard constraint; on the grid of the inputs at hand."""

    @property
    @abstractmethod
    def inputs(self) -> tuple[FieldSpec, ...]:
        """What is given."""

    @property
    @abstractmethod
    def output(self) -> FieldSpec:
        """The solution."""

    @abstractmethod
    def operator(self, inputs: Batch) -> DiffusionOperator:
        """A of all samples."""

    @abstractmethod
    def load(self, inputs: Batch) -> Tensor:
        """f, flat."""

    @abstractmethod
    def hierarchy(self, inputs: Batch) -> MultigridHierarchy:
        """Multigrid for A."""

    def termwise(self, inputs: Batch) -> EllipticRows:
        """The problem's own discrete equation."""
        fixed = Batch({name: field.detach() for name, field in inputs.items()})
        operator, load = self.operator(inputs), self.load(inputs)
        return EllipticRows(operator, load, cache(lambda: self.hierarchy(fixed)), self._grid_of(inputs))

    def offset(self, inputs: Batch) -> Tensor:
        """Zero."""
        (field, *_) = inputs.values()
        return torch.zeros_like(field[:, 0])

    def envelope(self, inputs: Batch) -> Tensor:
        """One: the boundary conditions are in the stencil."""
        return torch.ones_like(self.offset(inputs))

    def closed_forms(self, inputs: Batch) -> dict[str, Tensor]:
        """1, and a polynomial that vanishes on the ``dirichlet`` sides alone and in products with every coordinate."""
        points, grid = self._points(inputs), self._grid_of(inputs)
        vanishing = torch.ones_like(points[:, 0])
        for axis, (low, high) in enumerate(grid.sides):
            x = points[:, axis]
            vanishing = vanishing * (x if low == "dirichlet" else 1) * (1 - x if high == "dirichlet" else 1)
        products = {f"vanishing_x{axis}": vanishing * points[:, axis] for axis in range(grid.dim)}
        return {"one": torch.ones_like(vanishing), "vanishing": vanishing, **products}

    def conserved(self, inputs: Batch) -> Conserved:
        """What flows out through the boundary is what is produced: the sum of all rows, over n.

        As A is symmetric, 1ᵀA u = (A 1)·u: fluxes through interior faces cancel, and only cells at ``dirichlet`` sides
        (or with a reaction) have a part in it.
        """
        load = self.load(inputs)
        row = self.operator(inputs).mv(torch.ones_like(load)) / load.shape[1]
        return Conserved(DenseOperator(row[:, None]), load.mean(1, keepdim=True))

    def coordinates(self, inputs: Batch) -> Tensor:
        """Coordinates, then the inputs: the logarithm of positive ones, others over their root mean square."""
        channels = [self._points(inputs)]
        for spec in self.inputs:
            field = inputs[spec.name]
            size = field.square().flatten(1).mean(1).sqrt().reshape(-1, *[1] * (field.ndim - 1))
            channels.append(field.log() if spec.positive else field / torch.where(size > 0, size, 1))
        return torch.cat(channels, 1)

    def _points(self, inputs: Batch) -> Tensor:
        """``(B, dim, *grid)``."""
        (field, *_), grid = inputs.values(), self._grid_of(inputs)
        axes = [axis_points(n, grid.alignment).to(field) for n in grid.shape]
        return torch.stack(torch.meshgrid(*axes, indexing="ij")).expand(len(field), -1, *grid.shape)

    def _grid_of(self, inputs: Batch) -> Grid:
        (field, *_), own = inputs.values(), self.output.support
        assert isinstance(own, Grid)
        return Grid(tuple(field.shape[2:]), own.alignment, own.boundary)


class ApproximateInverse(torch.autograd.Function):
    """z = M r for a symmetric M: the derivative of a linear map is the map itself."""

    @staticmethod
    def forward(ctx: Any, hierarchy: MultigridHierarchy, r: Tensor) -> Tensor:
        ctx.hierarchy = hierarchy
        return hierarchy(r)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        (g,) = gradients
        return None, ApproximateInverse.apply(ctx.hierarchy, g)
