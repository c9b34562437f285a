"""A bounded linear operator between functions, parametrised by one multigrid V-cycle (He, Liu, Xu 2024, section 3)."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, cast

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from sciml.learners.mgno.ghosts import GhostLayer
from sciml.learners.mgno.schedule import Schedule

__all__ = ["GridMap", "VCycle"]

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


class GridMap(nn.Module):
    """A local linear map that honours the boundary rule: same size (S, A), restriction (R, Π) or prolongation (P).

    Parameters
    ----------
    kind
        ``same`` (3 points, stride 1), ``restrict`` (3 points, stride 2) or ``prolong`` (4 points on cells, 3 on
        vertices, stride 2, transposed).
    """

    def __init__(
        self, kind: Literal["same", "restrict", "prolong"], inputs: int, outputs: int, ghosts: GhostLayer
    ) -> None:
        super().__init__()
        self.kind, self.ghosts = kind, ghosts
        dim = len(ghosts.rules)
        self.stride = 1 if kind == "same" else 2
        # The framework's default initialisation of a convolution without bias.
        if kind == "prolong":
            shape: nn.Module = TRANSPOSED[dim](inputs, outputs, 4 if ghosts.grid == "cell" else 3, bias=False)
        else:
            shape = CONVOLUTIONS[dim](inputs, outputs, 3, bias=False)
        self.weight = nn.Parameter(cast(Tensor, shape.weight).detach())

    def forward(self, field: Tensor, scale: float = 1.0) -> Tensor:
        """Apply ``scale`` times the map to ``(batch, channel, *grid)``."""
        weight = self.weight if scale == 1.0 else scale * self.weight
        stride, dim = self.stride, field.ndim - 2
        if self.kind != "prolong":
            if self.ghosts.grid == "interior" and self.kind == "restrict":
                return _CONVOLVE[dim](field, weight, stride=stride)
            if self.ghosts.is_zero:
                return _CONVOLVE[dim](field, weight, stride=stride, padding=1)
            return _CONVOLVE[dim](self.ghosts(field), weight, stride=stride)
        match self.ghosts.grid:
            case "interior":
                return _PROLONG[dim](field, weight, stride=2)
            case "vertex":
                return _PROLONG[dim](field, weight, stride=2, padding=1)
        if self.ghosts.is_zero:
            return _PROLONG[dim](field, weight, stride=2, padding=1)
        # The coarse ghosts spread into the fine grid, so that P obeys the boundary condition, too.
        return _PROLONG[dim](self.ghosts(field), weight, stride=2, padding=3)


_CONVOLVE = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_PROLONG = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}


class VCycle(nn.Module):
    """Linear operator W: f ↦ u computed by one V-cycle for an unknown learned equation A u = f.

    u⁰ = S f on the finest level, then u ← u + S (f − A u) on every level on the way down and up; coarse right-hand
    sides are R f (as in the published runs) or R (f − A u) (the correction scheme), coarse starting values Π u,
    corrections P u.

    Parameters
    ----------
    inputs, outputs
        Channels of f and of u.
    schedule
        Smoothing steps per level; every step has weights of its own.
    ghosts
        Boundary rule and kind of grid, used in every map.
    restrict
        ``rhs`` or ``residual``.

    Notes
    -----
    With c channels and no post-smoothing it has c² (9 (2 Σk − 1) + (L − 1)(9 + 9 + 16)) weights in two dimensions, and
    costs O(N) operations.

    Examples
    --------
    >>> W = VCycle(1, 4, Schedule.parse("11 20"), GhostLayer(("dirichlet", "dirichlet")))
    >>> W(torch.ones(2, 1, 8, 8)).shape
    torch.Size([2, 4, 8, 8])
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        schedule: Schedule,
        ghosts: GhostLayer,
        restrict: Literal["rhs", "residual"] = "rhs",
    ) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            Level(inputs, outputs, schedule, index, ghosts, restrict) for index in range(schedule.levels)
        )

    def forward(self, f: Tensor) -> Tensor:
        """Apply W to ``(batch, inputs, *grid)``."""
        levels = [cast(Level, level) for level in self.levels]
        rhs: list[Tensor] = []
        values: list[Tensor] = []
        u: Tensor | None = None
        for level in levels:
            u = level.relax_down(f, u)
            rhs.append(f)
            values.append(u)
            if level is not levels[-1]:
                f, u = level.coarse(f, u)
        for level, f, value in zip(levels[-2::-1], rhs[-2::-1], values[-2::-1], strict=True):
            assert u is not None
            u = level.relax_up(f, level.correct(value, u))
        assert u is not None
        return u


class Level(nn.Module):
    """The maps of one level: its relaxation steps, and the transfers to and from the next coarser one, if any."""

    def __init__(
        self, inputs: int, outputs: int, schedule: Schedule, index: int, ghosts: GhostLayer, restrict: str
    ) -> None:
        super().__init__()
        self.ghosts = ghosts
        finest, coarsest = index == 0, index == schedule.levels - 1
        # The very first step starts from u = 0 and needs no operator.
        self.down = nn.ModuleList(
            Relaxation(inputs, outputs, ghosts, from_zero=finest and step == 0) for step in range(schedule.pre[index])
        )
        self.up = nn.ModuleList(
            Relaxation(inputs, outputs, ghosts) for _ in range(0 if coarsest else schedule.post[index])
        )
        self.residual_operator = GridMap("same", outputs, inputs, ghosts) if restrict == "residual" else None
        if coarsest:
            self.residual_operator = None
        else:
            self.restrict_rhs = GridMap("restrict", inputs, inputs, ghosts)
            self.restrict_start = GridMap("restrict", outputs, outputs, ghosts)
            self.prolong = GridMap("prolong", outputs, outputs, ghosts)

    def relax_down(self, f: Tensor, u: Tensor | None) -> Tensor:
        """All pre-smoothing steps."""
        for step in self.down:
            u = step(f, u)
        assert u is not None  # the schedule has a step on the finest level
        return u

    def relax_up(self, f: Tensor, u: Tensor) -> Tensor:
        """All post-smoothing steps."""
        for step in self.up:
            u = step(f, u)
        return u

    def coarse(self, f: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Right-hand side and starting value of the next coarser level."""
        right = f if self.residual_operator is None else f - self.residual_operator(u)
        return self.restrict_rhs(right), _held(self.ghosts, self.restrict_start(u))

    def correct(self, u: Tensor, coarse: Tensor) -> Tensor:
        """u + P u_coarse."""
        return _held(self.ghosts, u + self.prolong(coarse))


class Relaxation(nn.Module):
    """u ← u + S (f − A u); without A, from u = 0, u = S f."""

    def __init__(self, inputs: int, outputs: int, ghosts: GhostLayer, from_zero: bool = False) -> None:
        super().__init__()
        self.smooth = GridMap("same", inputs, outputs, ghosts)
        self.operator = None if from_zero else GridMap("same", outputs, inputs, ghosts)

    def forward(self, f: Tensor, u: Tensor | None) -> Tensor:
        """One step."""
        if self.operator is None or u is None:
            return _held(self.smooth.ghosts, self.smooth(f))
        return _held(self.smooth.ghosts, u + self.smooth(f - self.operator(u)))


def _held(ghosts: GhostLayer, u: Tensor) -> Tensor:
    """On vertex grids the points on a Dirichlet side hold its value, zero."""
    if ghosts.grid != "vertex":
        return u
    return u * _inside(ghosts, tuple(u.shape[2:]), u.dtype, u.device)


@lru_cache(maxsize=256)
def _inside(ghosts: GhostLayer, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """1 inside, 0 on the points of Dirichlet sides."""
    mask = torch.ones((), dtype=dtype, device=device)
    for size, (low, high) in zip(shape, ghosts.sides, strict=True):
        line = torch.ones(size, dtype=dtype, device=device)
        line[0] = 0.0 if low == "dirichlet" else 1.0
        line[-1] = 0.0 if high == "dirichlet" else 1.0
        mask = mask[..., None] * line
    return mask
