"""MgNO: an ordinary network whose weights are V-cycle operators and whose biases are functions."""

from __future__ import annotations

import math
from itertools import pairwise, product
from typing import Literal

import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pde_benchmarks.grid import axis_points
from sciml.learners.mgno.ghosts import GhostLayer
from sciml.learners.mgno.schedule import Schedule
from sciml.learners.mgno.v_cycle import CONVOLUTIONS, VCycle

__all__ = [
    "BiasFunction",
    "ChannelNorm",
    "MgNOLayer",
    "MgNONetwork",
    "activated",
    "blocks_to_channels",
    "channels_to_blocks",
]


class BiasFunction(nn.Module):
    """b(x) = Σ_m β_m φ_m(x), one a channel, φ the products of Legendre polynomials of degree at most ``degree``.

    Degree 0 is the published constant per channel. The function does not depend on the grid it is read on.
    """

    def __init__(self, channels: int, dim: int, degree: int, alignment: str) -> None:
        super().__init__()
        self.alignment = alignment
        self.exponents = [e for e in product(range(degree + 1), repeat=dim) if sum(e) <= degree]
        self.coefficients = nn.Parameter(torch.zeros(channels, len(self.exponents)))

    def forward(self, shape: tuple[int, ...]) -> Tensor:
        """Values on a grid of ``shape``: ``(channels, *shape)``."""
        if len(self.exponents) == 1:
            return self.coefficients.reshape(-1, *[1] * len(shape))
        lines = [2 * axis_points(n, self.alignment).to(self.coefficients) - 1 for n in shape]
        functions = []
        for exponents in self.exponents:
            value = torch.ones((), dtype=self.coefficients.dtype, device=self.coefficients.device)
            for line, degree in zip(lines, exponents, strict=True):
                value = value[..., None] * _legendre(line, degree)
            functions.append(value)
        return torch.tensordot(self.coefficients, torch.stack(functions), dims=1)


class MgNOLayer(nn.Module):
    """v ↦ W v + B v + b with a V-cycle W, a pointwise B and a bias function b."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        schedule: Schedule,
        ghosts: GhostLayer,
        restrict: Literal["rhs", "residual"],
        degree: int,
    ) -> None:
        super().__init__()
        dim = len(ghosts.rules)
        self.cycle = VCycle(inputs, outputs, schedule, ghosts, restrict)
        self.pointwise = CONVOLUTIONS[dim](inputs, outputs, 1, bias=False)
        self.bias = BiasFunction(outputs, dim, degree, ghosts.grid)

    def forward(self, v: Tensor) -> Tensor:
        """Apply the affine operator to ``(batch, inputs, *grid)``."""
        return self.cycle(v) + self.pointwise(v) + self.bias(tuple(v.shape[2:]))


class ChannelNorm(nn.Module):
    """Mean 0 and variance 1 over the channels of every point, then a factor and an offset per channel.

    It knows neither the grid nor its neighbours: shifts commute with it, and every size is as good as another.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, v: Tensor) -> Tensor:
        """Normalise ``(batch, channels, *grid)``."""
        return torch.movedim(self.norm(torch.movedim(v, 1, -1)), -1, 1)


class MgNONetwork(nn.Module):
    """v ← σ(W v + B v + b), K times, then a pointwise linear map; no lifting and no projection network.

    Parameters
    ----------
    inputs, outputs
        Channels of the input and output functions.
    channels
        Width of the hidden layers.
    layers
        K.
    patch
        Blocks of ``patch`` points an axis become channels before the first layer and blocks again after the last: the
        finest levels are where the time goes.
    norm
        ``layer`` normalises the channels of W v + B v + b in every point, before σ; W itself stays linear.
    checkpointing
        In training, keep the functions between the layers only, and compute what is inside again for the gradient.

    Examples
    --------
    >>> ghosts = GhostLayer(("dirichlet", "dirichlet"))
    >>> network = MgNONetwork(3, 1, channels=8, layers=2, schedule=Schedule.parse("11 20"), ghosts=ghosts, patch=2)
    >>> network(torch.zeros(1, 3, 16, 16)).shape
    torch.Size([1, 1, 16, 16])
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        channels: int,
        layers: int,
        schedule: Schedule,
        ghosts: GhostLayer,
        patch: int = 1,
        restrict: Literal["rhs", "residual"] = "rhs",
        bias_degree: int = 0,
        norm: Literal["none", "layer"] = "none",
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        dim = len(ghosts.rules)
        self.patch, self.checkpointing = patch, checkpointing
        widths = [inputs * patch**dim, *[channels] * layers]
        self.layers = nn.ModuleList(
            MgNOLayer(source, target, schedule, ghosts, restrict, bias_degree) for source, target in pairwise(widths)
        )
        self.readout = CONVOLUTIONS[dim](channels, outputs * patch**dim, 1, bias=False)
        if norm == "layer":
            self.layers = nn.ModuleList(nn.Sequential(layer, ChannelNorm(channels)) for layer in self.layers)

    def forward(self, v: Tensor) -> Tensor:
        """Map ``(batch, inputs, *grid)`` to ``(batch, outputs, *grid)``."""
        v = blocks_to_channels(v, self.patch)
        for layer in self.layers:
            v = activated(layer, v, self.checkpointing and self.training)
        return channels_to_blocks(self.readout(v), self.patch)


def activated(layer: nn.Module, v: Tensor, again: bool) -> Tensor:
    """σ(layer(v)); ``again`` keeps v alone for the backward pass and computes the rest a second time there."""
    if not again or not torch.is_grad_enabled():
        return functional.gelu(layer(v))
    # Nothing in a layer is drawn at random: the state of the generators need not be kept.
    return checkpoint(lambda v: functional.gelu(layer(v)), v, use_reentrant=False, preserve_rng_state=False)


def blocks_to_channels(field: Tensor, patch: int) -> Tensor:
    """``(batch, c, *grid)`` to ``(batch, c · patchᵈ, *(n / patch))``; inverse of `channels_to_blocks`."""
    if patch == 1:
        return field
    if field.ndim == 4:
        return _memory_format(functional.pixel_unshuffle(field, patch), field)
    dim = field.ndim - 2
    for axis in range(dim):
        field = field.unflatten(2 + 2 * axis, (-1, patch))
    order = [0, 1, *range(3, 3 + 2 * dim, 2), *range(2, 2 + 2 * dim, 2)]
    return field.permute(order).flatten(1, 1 + dim)


def channels_to_blocks(field: Tensor, patch: int) -> Tensor:
    """``(batch, c · patchᵈ, *grid)`` to ``(batch, c, *(n · patch))``."""
    if patch == 1:
        return field
    if field.ndim == 4:
        return functional.pixel_shuffle(field, patch)
    dim = field.ndim - 2
    shape = [n * patch for n in field.shape[2:]]
    field = field.unflatten(1, (-1, *[patch] * dim))
    order = [0, 1]
    for axis in range(dim):
        order += [2 + dim + axis, 2 + axis]
    return field.permute(order).reshape(field.shape[0], field.shape[1], *shape)


def _memory_format(field: Tensor, like: Tensor) -> Tensor:
    return (
        field.contiguous(memory_format=torch.channels_last)
        if like.is_contiguous(memory_format=torch.channels_last)
        else field
    )


def _legendre(x: Tensor, degree: int) -> Tensor:
    """P_n scaled to unit mean square on [-1, 1], by the three-term recurrence."""
    before, current = torch.ones_like(x), x
    if degree == 0:
        return before
    for n in range(1, degree):
        before, current = current, ((2 * n + 1) * x * current - n * before) / (n + 1)
    return math.sqrt(2 * degree + 1) * current
