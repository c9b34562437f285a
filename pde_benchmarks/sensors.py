"""Sensors: a field on a grid seen at arbitrary points, with noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Generator, Tensor

from pde_benchmarks.domains import Box
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.grid import Grid
from pde_benchmarks.point_values import PointValues

__all__ = ["Sensors", "noise_std"]


@dataclass(frozen=True, eq=False)
class Sensors:
    """Sensors at points of the unit cube that read fields of any grid on it, multilinear between the grid points.

    Parameters
    ----------
    points
        Shape ``(n, dim)``.

    Raises
    ------
    ProblemError
        If points lie outside the domain; their indices are listed.

    Examples
    --------
    >>> sensors = Sensors(torch.tensor([[0.5, 0.25], [1.0, 0.0]]))
    >>> field = torch.arange(9.0).reshape(1, 1, 3, 3)
    >>> sensors.observe(field).flatten()
    tensor([3.5000, 6.0000])
    """

    points: Tensor

    def __post_init__(self) -> None:
        dim = self.points.shape[-1] if self.points.ndim == 2 else 0
        if not 1 <= dim <= 3 or not len(self.points):
            raise ProblemError(f"sensors of shape {tuple(self.points.shape)}: expected (n, dim), n ≥ 1, dim 1 to 3.")
        Box((0.0,) * dim, (1.0,) * dim).require_inside(self.points, "sensors")

    @classmethod
    def at_inner_nodes(cls, grid: Grid) -> Self:
        """One at every grid point off the boundary, in the order of the grid."""
        lines = [grid.points(axis) for axis in range(grid.dim)]
        lines = [line[(line > 0) & (line < 1)] for line in lines]
        return cls(torch.stack(torch.meshgrid(*lines, indexing="ij"), -1).reshape(-1, grid.dim))

    @classmethod
    def random(cls, count: int, generator: Generator, dim: int = 2, margin: float = 0.0) -> Self:
        """``count`` uniform random points, ``margin`` away from the boundary or more, float64."""
        if count < 1:
            raise ProblemError(f"{count} sensors: at least one is needed.")
        return cls(Box((0.0,) * dim, (1.0,) * dim).draw(count, generator, margin))

    @classmethod
    def random_nodes(cls, count: int, grid: Grid, generator: Generator) -> Self:
        """At ``count`` different grid points off the boundary, drawn at random.

        Raises
        ------
        ProblemError
            If the grid has fewer.
        """
        every = cls.at_inner_nodes(grid).points
        if not 1 <= count <= len(every):
            raise ProblemError(f"{count} sensors on different inner nodes: the grid {grid.shape} has {len(every)}.")
        chosen = torch.randperm(len(every), generator=generator, device=generator.device)[:count].cpu()
        return cls(every[chosen])

    def operator(self, grid: Grid) -> PointValues:
        """The linear map from fields on ``grid`` to what the sensors see."""
        if grid.dim != self.points.shape[1]:
            raise ProblemError(f"sensors in {self.points.shape[1]} dimensions cannot read a grid of {grid.dim} axes.")
        return PointValues.linear(grid, self.points)

    def observe(self, field: Tensor, grid: Grid | None = None) -> Tensor:
        """Exact values ``(batch, n, channel)`` of ``field (batch, channel, *grid)``, differentiable in it.

        Parameters
        ----------
        grid
            Where the field lives; None: on nodes with both ends, as many as it has.
        """
        return self.operator(Grid(tuple(field.shape[2:]), "vertex") if grid is None else grid).of(field)

    def measure(
        self, field: Tensor, snr_db: float, generator: Generator, grid: Grid | None = None
    ) -> tuple[Tensor, Tensor]:
        """Values with normal noise ``(batch, n, channel)``, and its standard deviation `noise_std` ``(batch,)``."""
        exact, std = self.observe(field, grid), noise_std(field, snr_db)
        noise = torch.randn(exact.shape, generator=generator, dtype=exact.dtype, device=generator.device)
        return exact + std[:, None, None] * noise.to(exact.device), std


def noise_std(field: Tensor, snr_db: float) -> Tensor:
    """σ with σ² = mean(u²) / 10^(SNR/10), the mean over the whole noise-free field of each sample, ``(batch,)``.

    Parameters
    ----------
    field
        Shape ``(batch, channel, *grid)``.
    snr_db
        Ratio of signal to noise in decibels.

    Raises
    ------
    ProblemError
        If the ratio is not a finite number.

    Examples
    --------
    >>> noise_std(torch.full((1, 1, 4, 4), 3.0), snr_db=20.0)
    tensor([0.3000])
    """
    if not torch.tensor(float(snr_db)).isfinite():
        raise ProblemError(f"signal-to-noise ratio {snr_db} dB: a finite number is expected, as 25.")
    return (field.square().flatten(1).mean(1) / 10 ** (snr_db / 10)).sqrt()
