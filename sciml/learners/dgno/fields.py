"""A problem as decoders see it: its fields at the points of their grids, or anywhere."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pde_benchmarks.grid import Grid
from pde_benchmarks.problem import Batch, FieldSpec, Problem
from pde_benchmarks.variational import VariationalProblem
from sciml.learners.dgno.network import LatentFields

__all__ = ["DecodedProblem", "VariationalOnGrid", "grid_points"]


class VariationalOnGrid(Problem, VariationalProblem):
    """The type of a problem that is both; never made."""


@dataclass(frozen=True)
class DecodedProblem:
    """One input field on a grid, and output fields on grids, evaluated by decoders."""

    problem: VariationalOnGrid

    @property
    def input(self) -> FieldSpec:
        """The input field."""
        (spec,) = self.problem.inputs
        return spec

    @property
    def input_points(self) -> Tensor:
        """Points of the input's grid, ``(n, dim)``, float64."""
        return grid_points(self.input)

    def outputs(self, networks: LatentFields, latent: Tensor, inputs: Batch) -> Batch:
        """The problem's outputs on their own grids, ``(B, channels, *grid)``."""
        fields = {}
        for spec in self.problem.outputs:
            values = self.field_at(networks, spec.name, latent, grid_points(spec).to(latent), inputs)
            assert isinstance(spec.support, Grid)
            fields[spec.name] = values.mT.unflatten(2, spec.support.shape)
        return Batch(fields)

    def field_at(self, networks: LatentFields, name: str, latent: Tensor, points: Tensor, inputs: Batch) -> Tensor:
        """One output with its boundary values, ``(B, n, channels)``, at points ``(n, dim)``."""
        raw = networks.solution(name).jet(latent, points, order=1)
        return self.problem.impose(name, points, raw, inputs).value

    def coefficient_at(self, networks: LatentFields, latent: Tensor, points: Tensor) -> Tensor:
        """The expected input field, ``(B, n, channels)``, at points ``(n, dim)``; differentiable in the latent."""
        return networks.likelihood.mean(networks.coefficient(latent, points))

    def input_fields(self, networks: LatentFields, latent: Tensor) -> Batch:
        """The expected input field on its grid, ``(B, channels, *grid)``."""
        values = self.coefficient_at(networks, latent, self.input_points.to(latent))
        return Batch({self.input.name: values.mT.unflatten(2, self.shape)})

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the input's grid."""
        assert isinstance(self.input.support, Grid)
        return self.input.support.shape


def grid_points(spec: FieldSpec) -> Tensor:
    """All points of a field's grid, the last axis fastest: ``(n, dim)``, float64."""
    grid = spec.support
    assert isinstance(grid, Grid)
    axes = torch.meshgrid(*[grid.points(axis) for axis in range(grid.dim)], indexing="ij")
    return torch.stack(axes, -1).flatten(0, -2)
