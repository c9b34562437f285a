"""A problem as decoders see it: its fields at the points of their grids, or anywhere."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pde_benchmarks.grid import Grid
from pde_benchmarks.jet import Jet
from pde_benchmarks.problem import Batch, FieldSpec, Meshes, Problem, Support, Times
from pde_benchmarks.variational import VariationalProblem, summed
from sciml.errors import LearnerError
from sciml.learners.dgno.network import LatentFields

__all__ = ["DecodedProblem", "VariationalOnGrid", "grid_points"]


class VariationalOnGrid(Problem, VariationalProblem):
    """The type of a problem that is both; never made."""


@dataclass(frozen=True)
class DecodedProblem:
    """One input field on a grid, and output fields on grids, at instants or on a mesh, evaluated by decoders."""

    problem: VariationalOnGrid

    @property
    def input(self) -> FieldSpec:
        """The input field."""
        (spec,) = self.problem.inputs
        return spec

    @property
    def input_points(self) -> Tensor:
        """Points of the input's grid, ``(n, dim)``, float64."""
        assert isinstance(self.input.support, Grid)
        return grid_points(self.input.support)

    def outputs(self, networks: LatentFields, latent: Tensor, inputs: Batch) -> Batch:
        """The problem's outputs where they live.

        ``(B, channels, *grid)``, at instants ``(B, time, channels, *grid)``, on a mesh ``(B, points, channels)``.
        """
        fields = {}
        for spec in self.problem.outputs:
            points = self._output_points(spec.support).to(latent)
            fields[spec.name] = _arranged(self.field_at(networks, spec.name, latent, points, inputs), spec.support)
        return Batch(fields)

    def field_at(self, networks: LatentFields, name: str, latent: Tensor, points: Tensor, inputs: Batch) -> Tensor:
        """One output, its boundary values built in, ``(B, n, channels)``, at points ``(n, dim)``; time comes last."""
        decoded = self.problem.decoded_field(name)
        raw = networks.solution(decoded).jet(latent, points, order=1)
        return self.problem.output_of(name, self.imposed(networks, decoded, points, raw, inputs))

    def imposed(self, networks: LatentFields, name: str, points: Tensor, raw: Jet, inputs: Batch) -> Jet:
        """A decoder's answer with the boundary values built in, on top of the coarse solution where there is one."""
        jet = self.problem.impose(name, points, raw, inputs)
        if networks.coarse is None:
            return jet
        return summed(jet, networks.coarse.jet(inputs[self.input.name], points))

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

    def _output_points(self, support: Support) -> Tensor:
        """Where an output lives, float64; of instants, the last coordinate is the time, and varies slowest."""
        match support:
            case Grid():
                return grid_points(support)
            case Times(grid=instants, support=Grid() as grid):
                places, times = grid_points(grid), torch.tensor(instants, dtype=torch.float64)
                repeated = times.repeat_interleave(len(places))[:, None]
                return torch.cat([places.repeat(len(times), 1), repeated], 1)
            case Meshes():
                return self.problem.mesh_points
        raise LearnerError(f"{self.problem.name}: DGNO answers on grids, at instants on grids, or on a mesh.")


def grid_points(grid: Grid) -> Tensor:
    """All points of a grid, the last axis fastest: ``(n, dim)``, float64."""
    axes = torch.meshgrid(*[grid.points(axis) for axis in range(grid.dim)], indexing="ij")
    return torch.stack(axes, -1).flatten(0, -2)


def _arranged(values: Tensor, support: Support) -> Tensor:
    """Values ``(B, n, channels)`` at the points of a support, in the shape of its fields."""
    match support:
        case Grid(shape=shape):
            return values.mT.unflatten(2, shape)
        case Times(grid=instants, support=Grid(shape=shape)):
            return values.unflatten(1, (len(instants), -1)).mT.unflatten(3, shape)
    return values
