"""The network that proposes directions from residuals, in two and three dimensions."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from sciml.errors import LearnerError

__all__ = ["DirectionNetwork"]

LEAST = 8  # cells a side: three layers of one cell, and the two grids


class DirectionNetwork(nn.Module):
    """Residuals of norm one to directions, on a grid and one of half its resolution (Kaneda et al. 2023, figure 3).

    A linear convolution to `channels`; `before` + 1 convolutions with shortcuts; `coarse` pairs of convolutions on the
    grid of cells of 2^d; `after` pairs once more on the fine grid, with what went down added; one linear map per cell.
    Each convolution is 3^d with zero padding, its ReLU before every sum. Weights start as in the published code (Glorot
    and Bengio 2010, no bias).

    Parameters
    ----------
    dimension
        2 or 3.
    size
        64 or 128: the published networks for grids of that size (97 457 and 152 881 parameters in three dimensions).
        Both take any even number of cells.
    channels
        Width.

    Raises
    ------
    LearnerError
        In `forward`: another number of axes, or a side that is odd or has less than 8 cells.

    Examples
    --------
    >>> net = DirectionNetwork(3, 64)
    >>> sum(p.numel() for p in net.parameters())
    97457
    >>> net(torch.ones(2, 8, 10, 8)).shape
    torch.Size([2, 8, 10, 8])
    """

    def __init__(self, dimension: Literal[2, 3], size: Literal[64, 128] = 64, channels: int = 16) -> None:
        super().__init__()
        before, coarse, after = {64: (2, 3, 2), 128: (3, 5, 3)}[size]
        self.dimension = dimension
        kind = nn.Conv2d if dimension == 2 else nn.Conv3d
        self.pool = nn.AvgPool2d(2) if dimension == 2 else nn.AvgPool3d(2)
        self.up = nn.Upsample(scale_factor=2)
        self.enter = kind(1, channels, 3, padding=1)
        self.before = _Pairs(kind, channels, before)
        self.coarse = _Pairs(kind, channels, coarse)
        self.after = _Pairs(kind, channels, after)
        self.leave = kind(channels, 1, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Conv3d):
                nn.init.xavier_uniform_(layer.weight)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)

    def forward(self, r: Tensor) -> Tensor:
        """Directions for fields ``(batch, *grid)``."""
        self.check_grid(tuple(r.shape[1:]))
        fine = self.before.crossing(self.enter(r.unsqueeze(1)))
        coarse = self.coarse(self.pool(fine))
        leaving: Tensor = self.leave(self.after(self.up(coarse) + fine))
        return leaving.squeeze(1)

    def check_grid(self, grid: tuple[int, ...]) -> None:
        """Raise `LearnerError` unless the network can be applied to residuals on this grid."""
        if len(grid) != self.dimension:
            raise LearnerError(
                f"grid {'×'.join(map(str, grid))}: this network was made for {self.dimension} dimensions; train one "
                f"on a problem of dimension {len(grid)}."
            )
        if any(n % 2 or n < LEAST for n in grid):
            raise LearnerError(
                f"grid {'×'.join(map(str, grid))}: an even number of cells, at least {LEAST}, is expected along every "
                "axis; pad the grid with solid cells."
            )


class _Pairs(nn.Module):
    """Pairs of convolutions, each followed by a ReLU."""

    def __init__(self, kind: type[nn.Conv2d] | type[nn.Conv3d], channels: int, count: int) -> None:
        super().__init__()
        self.pairs = nn.ModuleList(
            nn.ModuleList(kind(channels, channels, 3, padding=1) for _ in range(2)) for _ in range(count)
        )

    def forward(self, s: Tensor) -> Tensor:
        """S ← conv(conv(s)) + s, pair by pair."""
        for first, second in self._modules_in_pairs():
            s = torch.relu(second(torch.relu(first(s)))) + s
        return s

    def crossing(self, x: Tensor) -> Tensor:
        """The way in: b = conv(a) and a ← conv(b) + a in turn; its last b."""
        (first, second), *others = self._modules_in_pairs()
        a = torch.relu(first(x))
        b = torch.relu(second(a))
        for first, second in others:
            a = torch.relu(first(b)) + a
            b = torch.relu(second(a))
        return b

    def _modules_in_pairs(self) -> list[tuple[nn.Module, nn.Module]]:
        return [(pair[0], pair[1]) for pair in self.pairs if isinstance(pair, nn.ModuleList)]
