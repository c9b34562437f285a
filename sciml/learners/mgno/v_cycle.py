"""A bounded linear operator between functions, parametrised by one multigrid V-cycle (He, Liu, Xu 2024, section 3)."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from sciml.learners.mgno.ghosts import GhostLayer
from sciml.learners.mgno.schedule import Schedule

__all__ = ["GridMap", "VCycle"]

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


class GridMap(nn.Module):
    """A local linear map on a grid that honours the boundary rule: same size (S, A), restriction (R, Π) or prolongation (P).

    Parameters
    ----------
    kind
        ``same`` (3 points, stride 1), ``restrict`` (3 points, stride 2) or ``prolong`` (4 points on cells, 3 on vertices,
        stride 2, transposed).
    """

    def __init__(self, kind: Literal["same", "restrict", "prolong"], inputs: int, outputs: int, ghosts: GhostLayer) -> None:
        super().__init__()
        self.kind, self.ghosts = kind, ghosts
        dim = len(ghosts.rules)
        if kind == "prolong":
            self.convolution = TRANSPOSED[dim](inputs, outputs, 4 if ghosts.grid == "cell" else 3, stride=2, bias=False)
        else:
            self.convolution = CONVOLUTIONS[dim](inputs, outputs, 3, stride=1 if kind == "same" else 2, bias=False)

    def forward(self, field: Tensor) -> Tensor:
        """Apply the map to ``(batch, channel, *grid)``."""
        weight = self.convolution.weight
        dim = field.ndim - 2
        stride = self.convolution.stride[0]
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

    u⁰ = S f on the finest level, then u ← u + S (f − A u) on every level on the way down and up; coarse right-hand sides are
    R f (as in the published runs) or R (f − A u) (the correction scheme), coarse starting values Π u, corrections P u.

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
    With c channels and no post-smoothing it has c² (9 (2 Σk − 1) + (L − 1)(9 + 9 + 16)) weights in two dimensions, and costs
    O(N) operations.

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
        self.schedule, self.ghosts, self.restrict = schedule, ghosts, restrict

        def maps(kind: Literal["same", "restrict", "prolong"], source: int, target: int, counts: list[int]) -> nn.ModuleList:
            rows = [nn.ModuleList(GridMap(kind, source, target, ghosts) for _ in range(count)) for count in counts]
            return nn.ModuleList(rows)

        pre, post = list(schedule.pre), list(schedule.post)
        post[-1] = 0  # on the coarsest level there is nothing to come back from
        transfers = [1] * (schedule.levels - 1)
        self.smooth_down = maps("same", inputs, outputs, pre)
        self.operator_down = maps("same", outputs, inputs, [pre[0] - 1, *pre[1:]])
        self.smooth_up = maps("same", inputs, outputs, post)
        self.operator_up = maps("same", outputs, inputs, post)
        self.restrict_rhs = maps("restrict", inputs, inputs, transfers)
        self.restrict_start = maps("restrict", outputs, outputs, transfers)
        self.prolong = maps("prolong", outputs, outputs, transfers)
        self.residual_operator = maps("same", outputs, inputs, transfers if restrict == "residual" else [0] * len(transfers))

    def forward(self, f: Tensor) -> Tensor:
        """Apply W to ``(batch, inputs, *grid)``."""
        rhs, values = [f], [self._boundary(self.smooth_down[0][0](f))]
        for level in range(self.schedule.levels):
            f, u = rhs[level], values[level]
            steps = list(self.smooth_down[level])[1 if level == 0 else 0 :]
            for smooth, operator in zip(steps, self.operator_down[level], strict=True):
                u = self._boundary(u + smooth(f - operator(u)))
            values[level] = u
            if level < self.schedule.levels - 1:
                right = f - self.residual_operator[level][0](u) if self.restrict == "residual" else f
                rhs.append(self.restrict_rhs[level][0](right))
                values.append(self._boundary(self.restrict_start[level][0](u)))
        u = values[-1]
        for level in reversed(range(self.schedule.levels - 1)):
            u = self._boundary(values[level] + self.prolong[level][0](u))
            for smooth, operator in zip(self.smooth_up[level], self.operator_up[level], strict=True):
                u = self._boundary(u + smooth(rhs[level] - operator(u)))
        return u

    def _boundary(self, u: Tensor) -> Tensor:
        """On vertex grids the points on a Dirichlet side hold its value, zero."""
        if self.ghosts.grid != "vertex":
            return u
        return u * _inside(self.ghosts, tuple(u.shape[2:]), u.dtype, u.device)


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
