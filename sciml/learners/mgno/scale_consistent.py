"""A V-cycle with a limit when the grid is refined: levels count from the coarsest grid, fine ones share weights."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import torch.nn.functional as functional
from torch import Tensor, nn

from sciml.errors import ConfigurationError
from sciml.learners.mgno.ghosts import GhostLayer
from sciml.learners.mgno.network import activated
from sciml.learners.mgno.v_cycle import CONVOLUTIONS, GridMap

__all__ = ["COARSEST", "PureTransfers", "ScaleConsistentNetwork", "ScaleConsistentVCycle", "halvings"]

COARSEST = 4  # cells along the shortest side of the coarsest grid
_POOL = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}
_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


def halvings(shape: tuple[int, ...]) -> int:
    """How many times a grid halves until its shortest side has 4 cells.

    Raises
    ------
    ConfigurationError
        If it does not get there: the message names sizes that do.

    Examples
    --------
    >>> halvings((64, 64)), halvings((32, 64, 96))
    (4, 3)
    """
    shortest = min(shape)
    steps = max((shortest // COARSEST).bit_length() - 1, 0)
    if shortest != COARSEST << steps or any(size % (1 << steps) for size in shape):
        sizes = "×".join(map(str, shape))
        below = COARSEST << steps
        raise ConfigurationError(
            f"grid {sizes}: scale-consistent levels halve the grid until its shortest side has {COARSEST} cells, so "
            f"that side must have {COARSEST}·2^k cells, e.g. {below} or {2 * below}, and 2^k must divide the others: "
            "resample the fields onto such a grid."
        )
    return steps


@dataclass(frozen=True)
class PureTransfers:
    """Restriction and prolongation without weights, exact for what is linear in x.

    Parameters
    ----------
    ghosts
        Boundary rules; bilinear prolongation meets the boundary value at its true place.
    nodal
        False: cells, whose block means are values at the centres of coarse cells. True: left nodes x_i = i/N of a
        periodic grid, whose even nodes are the coarse ones (full weighting, linear interpolation).
    """

    ghosts: GhostLayer
    nodal: bool = False

    def restrict(self, field: Tensor) -> Tensor:
        """``(batch, channel, *grid)`` on the grid of half the points."""
        dim = field.ndim - 2
        if self.nodal:
            field = _POOL[dim](functional.pad(field, [1, 0] * dim, mode="circular"), 2, stride=1)
        return _POOL[dim](field, 2)

    def prolong(self, field: Tensor) -> Tensor:
        """``(batch, channel, *grid)`` on the grid of twice the points."""
        dim = field.ndim - 2
        if self.nodal:
            fine = functional.interpolate(
                functional.pad(field, [0, 1] * dim, mode="circular"),
                size=[2 * n + 1 for n in field.shape[2:]],
                mode=_LINEAR[dim],
                align_corners=True,
            )
            once: tuple[Any, ...] = (..., *[slice(-1)] * dim)  # the last node is the first
            return fine[once]
        fine = functional.interpolate(self.ghosts(field), scale_factor=2.0, mode=_LINEAR[dim], align_corners=False)
        inside: tuple[Any, ...] = (..., *[slice(2, -2)] * dim)
        return fine[inside]


class ScaleConsistentVCycle(nn.Module):
    """Linear operator W: f ↦ u by one V-cycle whose answer converges when the grid is refined.

    Levels count from the coarsest grid (4 cells along its shortest side) upwards. The ``own`` coarsest levels have
    weights S, A of their own, u ← u + S (f − A u), and transfers followed by a mix of the channels. A finer level, of
    spacing h, shares the S of the finest own one, of spacing h_s: u ← u + (h/h_s)² S f. An A would come with
    (h_s/h)²; but u there is of order h² itself, and the product S A would be applied once more for every further
    level: the answer then converges at the mercy of the spectrum of 1 − S A, without it at order h² for any weights.
    For the same reason the transfers of finer levels are pure: with a mix there is no limit at all. What such a level
    receives is the change u_c − Π u of the coarse value, not u_c: else every S f would count once more on each level
    that it passes, and make h² log h.

    Parameters
    ----------
    inputs, outputs
        Channels of f and of u.
    own
        Number of levels with weights of their own.
    transfers
        Boundary rules and kind of points.

    Examples
    --------
    >>> import torch
    >>> W = ScaleConsistentVCycle(1, 4, 2, PureTransfers(GhostLayer(("dirichlet", "dirichlet"))))
    >>> [tuple(W(torch.ones(2, 1, n, n)).shape) for n in (8, 16, 32)]
    [(2, 4, 8, 8), (2, 4, 16, 16), (2, 4, 32, 32)]
    """

    def __init__(self, inputs: int, outputs: int, own: int, transfers: PureTransfers) -> None:
        super().__init__()
        self.own, self.transfers = own, transfers
        ghosts = transfers.ghosts
        self.levels = nn.ModuleList(Step(inputs, outputs, ghosts) for _ in range(own))
        # The coarsest grid is where the reach ends: a second step there costs nothing.
        self.last = Step(inputs, outputs, ghosts)
        dim = len(ghosts.rules)
        self.mix_rhs = nn.ModuleList(ChannelMix(inputs, dim) for _ in range(own - 1))
        self.mix_start = nn.ModuleList(ChannelMix(outputs, dim) for _ in range(own - 1))
        self.mix_correction = nn.ModuleList(ChannelMix(outputs, dim) for _ in range(own - 1))

    def forward(self, f: Tensor) -> Tensor:
        """Apply W to ``(batch, inputs, *grid)``; the shortest side has 4 · 2^k cells."""
        finest = halvings(tuple(f.shape[2:]))
        u: Tensor | None = None
        values: dict[int, Tensor] = {}
        starts: dict[int, Tensor] = {}
        for level in range(finest, -1, -1):
            step = cast(Step, self.levels[min(level, self.own - 1)])
            u = step(f, u) if level < self.own else step.shared(f, u, 0.25 ** (level - self.own + 1))
            values[level] = u
            if level:
                f, u = self.transfers.restrict(f), self.transfers.restrict(u)
                starts[level] = u
                if level < self.own:
                    f, u = self.mix_rhs[level - 1](f), self.mix_start[level - 1](u)
        assert u is not None
        u = self.last(f, u)
        for level in range(1, finest + 1):
            # Mixing commutes with the prolongation, and is cheaper before it.
            correction = self.mix_correction[level - 1](u) if level < self.own else u - starts[level]
            u = values[level] + self.transfers.prolong(correction)
        return u


class Step(nn.Module):
    """One smoothing of a level; u = None stands for zero."""

    def __init__(self, inputs: int, outputs: int, ghosts: GhostLayer) -> None:
        super().__init__()
        self.smooth = GridMap("same", inputs, outputs, ghosts)
        self.operator = GridMap("same", outputs, inputs, ghosts)

    def forward(self, f: Tensor, u: Tensor | None) -> Tensor:
        """u + S (f − A u)."""
        if u is None:
            return self.smooth(f)
        return u + self.smooth(f - self.operator(u))

    def shared(self, f: Tensor, u: Tensor | None, scale: float) -> Tensor:
        """u + scale · S f, for levels finer than the one that this step belongs to."""
        change = self.smooth(f, scale)
        return change if u is None else u + change


class ChannelMix(nn.Module):
    """Pointwise linear map between channels, near the identity at first."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.map = CONVOLUTIONS[dim](channels, channels, 1, bias=False)
        weight = self.map.weight
        nn.init.normal_(weight, std=0.1 / channels**0.5)
        weight.data += nn.init.dirac_(weight.detach().clone())

    def forward(self, field: Tensor) -> Tensor:
        """Mix the channels of ``(batch, channel, *grid)``."""
        return self.map(field)


class ScaleConsistentLayer(nn.Module):
    """v ↦ W v + B v + b with a scale-consistent W, a pointwise B and a constant b."""

    def __init__(self, inputs: int, outputs: int, own: int, transfers: PureTransfers) -> None:
        super().__init__()
        dim = len(transfers.ghosts.rules)
        self.cycle = ScaleConsistentVCycle(inputs, outputs, own, transfers)
        self.pointwise = CONVOLUTIONS[dim](inputs, outputs, 1)
        nn.init.zeros_(cast(Tensor, self.pointwise.bias))

    def forward(self, v: Tensor) -> Tensor:
        """Apply the affine operator to ``(batch, inputs, *grid)``."""
        return self.cycle(v) + self.pointwise(v)


class ScaleConsistentNetwork(nn.Module):
    """v ← σ(W v + B v + b), K times, then a pointwise linear map; W scale-consistent, hence the network, too.

    Parameters
    ----------
    inputs, outputs, channels
        Channels of the input and output functions, and of the hidden layers.
    layers
        K.
    own, transfers
        As in `ScaleConsistentVCycle`.
    checkpointing
        In training, keep the functions between the layers only, and compute what is inside again for the gradient.

    Examples
    --------
    >>> import torch
    >>> transfers = PureTransfers(GhostLayer(("periodic",)), nodal=True)
    >>> network = ScaleConsistentNetwork(2, 1, channels=4, layers=2, own=3, transfers=transfers)
    >>> network(torch.zeros(1, 2, 64)).shape
    torch.Size([1, 1, 64])
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        channels: int,
        layers: int,
        own: int,
        transfers: PureTransfers,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        widths = [inputs, *[channels] * layers]
        self.layers = nn.ModuleList(
            ScaleConsistentLayer(source, target, own, transfers) for source, target in pairwise(widths)
        )
        self.readout = CONVOLUTIONS[len(transfers.ghosts.rules)](channels, outputs, 1, bias=False)

    def forward(self, v: Tensor) -> Tensor:
        """Map ``(batch, inputs, *grid)`` to ``(batch, outputs, *grid)`` on any grid with 4 · 2^k cells a side."""
        for layer in self.layers:
            v = activated(layer, v, self.checkpointing and self.training)
        return self.readout(v)
