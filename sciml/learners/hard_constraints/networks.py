"""Networks that give the functions of a basis: coordinates ``(B, C, *grid)`` to ``(B, N, *grid)``."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from pde_benchmarks.grid import Grid, axis_points
from sciml.errors import ConfigurationError
from sciml.learners.hard_constraints.spectral_network import SpectralNetwork
from sciml.learners.mgno.boundaries import boundary_rules
from sciml.learners.mgno.ghosts import GhostLayer
from sciml.learners.mgno.network import MgNONetwork
from sciml.learners.mgno.schedule import Schedule
from sciml.learners.mgno.v_cycle import CONVOLUTIONS
from sciml.learners.multionet.encoders import PointSetEncoder
from sciml.learners.multionet.network import MultiONet
from sciml.learners.multionet.on_grid import GridMultiONet
from sciml.learners.padded import Padded

__all__ = ["NETWORKS", "PointwiseNetwork", "basis_network"]


class PointwiseNetwork(nn.Module):
    """A fully connected network of the coordinates, the same in every point.

    Parameters
    ----------
    inputs, outputs
        Channels.
    dim
        Axes of the grid, 1 to 3.
    channels, layers
        Neurons of a hidden layer, hidden layers.

    Examples
    --------
    >>> PointwiseNetwork(3, 16, dim=2)(torch.zeros(2, 3, 5, 7)).shape
    torch.Size([2, 16, 5, 7])
    """

    def __init__(self, inputs: int, outputs: int, dim: int, channels: int = 64, layers: int = 4) -> None:
        super().__init__()
        widths = [inputs, *[channels] * layers]
        parts: list[nn.Module] = []
        for a, b in pairwise(widths):
            parts += [CONVOLUTIONS[dim](a, b, 1), nn.Tanh()]
        self.layers = nn.Sequential(*parts, CONVOLUTIONS[dim](channels, outputs, 1))

    def forward(self, v: Tensor) -> Tensor:
        """Map ``(B, inputs, *grid)`` to ``(B, outputs, *grid)``."""
        answer: Tensor = self.layers(v)
        return answer


class _WithPlaces(nn.Module):
    """A network over channels followed by the coordinates of the grid's points in [-1, 1]."""

    def __init__(self, network: nn.Module, alignment: str) -> None:
        super().__init__()
        self.network, self.alignment = network, alignment

    def forward(self, v: Tensor) -> Tensor:
        shape = v.shape[2:]
        lines = [2 * axis_points(n, self.alignment).to(v) - 1 for n in shape]
        places = torch.stack(torch.meshgrid(*lines, indexing="ij")).expand(len(v), -1, *shape)
        answer: Tensor = self.network(torch.cat([v, places], 1))
        return answer


def basis_network(
    name: str, inputs: int, outputs: int, grid: Grid, channels: int | None, layers: int | None
) -> nn.Module:
    """An untrained network of one of the kinds `NETWORKS`.

    Parameters
    ----------
    name
        ``fno``: `SpectralNetwork`; ``mlp``: `PointwiseNetwork`; ``multionet``: a latent vector from all points times
        functions of the place; ``mgno``: V-cycles.
    inputs, outputs
        Channels.
    grid
        That of training; every kind can also be applied to another one.
    channels, layers
        Width and depth; None: what suits the kind.

    Raises
    ------
    ConfigurationError
        If the kind is unknown, or a number is not positive.
    """
    if name not in NETWORKS:
        raise ConfigurationError(f"network = {name!r}: use one of {', '.join(NETWORKS)}.")
    for key, value in (("functions", outputs), ("channels", channels), ("layers", layers)):
        if value is not None and value < 1:
            raise ConfigurationError(f"{key} = {value}: at least 1 is expected.")
    given = {key: value for key, value in (("channels", channels), ("layers", layers)) if value is not None}
    return NETWORKS[name](inputs, outputs, grid, given)


def _spectral(inputs: int, outputs: int, grid: Grid, sizes: dict[str, int]) -> nn.Module:
    return SpectralNetwork(inputs, outputs, grid.dim, **sizes)


def _pointwise(inputs: int, outputs: int, grid: Grid, sizes: dict[str, int]) -> nn.Module:
    return PointwiseNetwork(inputs, outputs, grid.dim, **sizes)


def _multionet(inputs: int, outputs: int, grid: Grid, sizes: dict[str, int]) -> nn.Module:
    latent, width, depth = 64, sizes.get("channels", 64), sizes.get("layers", 4)
    encoder = PointSetEncoder(grid.dim, inputs, latent, functions=64, widths=(128, 128))
    decoder = MultiONet(grid.dim, latent, width, depth, min(depth, 4), outputs)
    return _WithPlaces(GridMultiONet(encoder, decoder), grid.alignment)


def _v_cycles(inputs: int, outputs: int, grid: Grid, sizes: dict[str, int]) -> nn.Module:
    schedule = Schedule.parse("11 11 20")
    # All levels see cells, whatever the points are: padding makes the grid one that halves.
    ghosts = GhostLayer(boundary_rules("auto", grid), "cell")
    channels, layers = sizes.get("channels", 16), sizes.get("layers", 3)
    network = MgNONetwork(inputs, outputs, channels, layers, schedule, ghosts, bias_degree=2)
    return Padded(network, 2 ** (schedule.levels - 1), offset=0)


NETWORKS: dict[str, Callable[[int, int, Grid, dict[str, int]], nn.Module]] = {
    "fno": _spectral,
    "mlp": _pointwise,
    "multionet": _multionet,
    "mgno": _v_cycles,
}
