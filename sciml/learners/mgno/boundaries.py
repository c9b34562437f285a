"""Which boundary rule holds on each side of a grid: read from a configuration, or from the problem's own grid."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pde_benchmarks.grid import AxisBoundary, Grid
from sciml.errors import ConfigurationError
from sciml.learners.grid_features import ScaledNetwork
from sciml.learners.mgno.ghosts import BOUNDARY_RULES

__all__ = ["Boundary", "ImposedNetwork", "boundary_rules", "check_boundary", "imposable"]

Boundary = str | tuple[str | tuple[str, str], ...]


def check_boundary(boundary: Boundary) -> None:
    """Make sure that every name is known.

    Raises
    ------
    ConfigurationError
        If one is not; the message lists those that are.
    """
    if boundary in ("problem", "auto"):
        return
    for name in _names(boundary):
        if name not in BOUNDARY_RULES:
            raise ConfigurationError(
                f"boundary {name!r} is unknown: use problem, auto, or one of {', '.join(BOUNDARY_RULES)} for every "
                "side, or a list with one of them, or a pair [low, high], for every axis."
            )


def boundary_rules(boundary: Boundary, grid: Grid) -> tuple[AxisBoundary, ...]:
    """The rule of every axis, or of its two sides where they differ, for `sciml.learners.mgno.ghosts.GhostLayer`.

    Parameters
    ----------
    boundary
        ``problem`` for the grid's own conditions (an unknown one becomes ``zeros``), ``auto`` for ``periodic`` where
        the grid is and ``zeros`` elsewhere, one name for all sides, or a name or a pair (low side, high side) for every
        axis.
    grid
        The problem's grid.

    Raises
    ------
    ConfigurationError
        If a name is unknown, or there is not one entry for every axis.

    Examples
    --------
    >>> grid = Grid((8, 8), boundary=(("unknown", "neumann"), "periodic"))
    >>> boundary_rules("problem", grid)
    (('zeros', 'neumann'), 'periodic')
    >>> boundary_rules("auto", grid)
    ('zeros', 'periodic')
    >>> boundary_rules("dirichlet", grid)
    ('dirichlet', 'dirichlet')
    """
    check_boundary(boundary)
    if boundary == "problem":
        known = [tuple("zeros" if name == "unknown" else name for name in pair) for pair in grid.sides]
        return tuple(low if low == high else (low, high) for low, high in known)
    if boundary == "auto":
        return tuple("periodic" if low == "periodic" else "zeros" for low, _ in grid.sides)
    if isinstance(boundary, str):
        return (boundary,) * grid.dim
    if len(boundary) != grid.dim:
        raise ConfigurationError(
            f"boundary {[list(entry) if isinstance(entry, tuple) else entry for entry in boundary]}: {len(boundary)} "
            f"entries for a grid of {grid.dim} axes: give one name, or one pair [low, high], for every axis."
        )
    return boundary


class ImposedNetwork(ScaledNetwork):
    """A scaled network whose answer is exactly zero in the grid points on Dirichlet sides.

    Such points exist on both sides of a vertex grid, and on the low side of a grid of left nodes.
    """

    def __init__(self, network: nn.Module, channels: int, outputs: int, support: Grid) -> None:
        super().__init__(network, channels, outputs, support)
        self.sides = support.sides

    def forward(self, features: Tensor) -> Tensor:
        """Map raw channels ``(batch, channels, *grid)`` to raw outputs ``(batch, outputs, *grid)``."""
        return self._held(super().forward(features))

    def deviation(self, features: Tensor) -> Tensor:
        """Standard deviation of the outputs: zero where the answer is imposed."""
        return self._held(super().deviation(features))

    def _held(self, answer: Tensor) -> Tensor:
        free = torch.ones((), dtype=torch.bool, device=answer.device)
        for size, sides in zip(answer.shape[2:], self.sides, strict=True):
            line = torch.ones(size, dtype=torch.bool, device=answer.device)
            line[_ends(sides, self.alignment)] = False
            free = free[..., None] & line
        return torch.where(free, answer, 0.0)


def imposable(grid: Grid) -> bool:
    """Whether a point of the grid lies on a Dirichlet side."""
    return any(_ends(sides, grid.alignment) for sides in grid.sides)


def _ends(sides: tuple[str, str], alignment: str) -> list[int]:
    """Positions along an axis that lie on a Dirichlet side."""
    present = {"vertex": (0, -1), "left": (0,)}.get(alignment, ())
    return [end for end in present if sides[end] == "dirichlet"]


def _names(boundary: Boundary) -> list[str]:
    if isinstance(boundary, str):
        return [boundary]
    return [name for entry in boundary for name in ([entry] if isinstance(entry, str) else entry)]
