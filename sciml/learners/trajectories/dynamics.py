"""Right-hand sides that are learned: smooth networks of a state and of a time for every sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from pde_benchmarks.grid import Grid
from sciml.errors import ConfigurationError
from sciml.learners.mgno.ghosts import GhostLayer

__all__ = ["ACTIVATIONS", "ConvolutionalDynamics", "DenseDynamics", "activation_named"]

# Kinks would cost the solver its order, so there is no ReLU.
ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "softplus": nn.Softplus, "silu": nn.SiLU}

_CONVOLUTIONS: tuple[type[nn.Conv1d | nn.Conv2d | nn.Conv3d], ...] = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_GHOST_RULES = {"periodic": "periodic", "dirichlet": "zeros", "neumann": "neumann", "unknown": "neumann"}


def activation_named(name: str) -> nn.Module:
    """An activation of `ACTIVATIONS`.

    Raises
    ------
    ConfigurationError
        If there is none of this name.
    """
    if name not in ACTIVATIONS:
        raise ConfigurationError(
            f"activation = {name!r}: use one of {', '.join(ACTIVATIONS)} (a kink would cost the solver its order)."
        )
    return ACTIVATIONS[name]()


class _Dynamics(nn.Module):
    """Layers with the activation between them; the time acts on each as a bias that is linear in it."""

    def __init__(self, layers: Sequence[nn.Module], widths: Sequence[int], inputs: Sequence[int], act: str) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.drifts = nn.ParameterList(
            [nn.Parameter((2 * torch.rand(n) - 1) / math.sqrt(seen)) for n, seen in zip(widths, inputs, strict=True)]
        )
        self.activation = activation_named(act)

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """Slopes ``(B, ...)`` of states ``(B, ...)`` at times ``(B,)``."""
        t = t.reshape(-1, *[1] * (z.ndim - 1))
        last = len(self.layers) - 1
        for index, (layer, drift) in enumerate(zip(self.layers, self.drifts, strict=True)):
            z = self.applied(layer, z) + t * drift.reshape(-1, *[1] * (z.ndim - 2))
            if index < last:
                z = self.activation(z)
        return z

    def applied(self, layer: nn.Module, z: Tensor) -> Tensor:
        """One layer without the time."""
        answer: Tensor = layer(z)
        return answer


class DenseDynamics(_Dynamics):
    """A multilayer perceptron of states ``(B, size)``.

    Parameters
    ----------
    size
        Entries of a state.
    width, depth
        Of the hidden layers, and how many there are.
    activation
        ``tanh``, ``softplus`` or ``silu``.

    Examples
    --------
    >>> DenseDynamics(3, width=16, depth=2)(torch.zeros(5), torch.zeros(5, 3)).shape
    torch.Size([5, 3])
    """

    def __init__(self, size: int, width: int = 64, depth: int = 2, activation: str = "tanh") -> None:
        sizes = [size, *[width] * depth, size]
        layers = [nn.Linear(n, m) for n, m in pairwise(sizes)]
        super().__init__(layers, sizes[1:], sizes[:-1], activation)


class ConvolutionalDynamics(_Dynamics):
    """Convolutions over neighbouring points of fields ``(B, channels, *grid)``, in one to three dimensions.

    Periodic axes are continued periodically; beyond a Dirichlet side there are zeros, beyond any other the last point
    again. On a periodic grid the dynamics commute with translations.

    Parameters
    ----------
    channels
        Of a state.
    grid
        Where it lives.
    width, depth
        Channels of the hidden layers, and how many there are.
    activation
        ``tanh``, ``softplus`` or ``silu``.

    Examples
    --------
    >>> grid = Grid((8,), "left", ("periodic",))
    >>> ConvolutionalDynamics(1, grid, width=4, depth=1)(torch.zeros(5), torch.zeros(5, 1, 8)).shape
    torch.Size([5, 1, 8])
    """

    def __init__(self, channels: int, grid: Grid, width: int = 32, depth: int = 2, activation: str = "tanh") -> None:
        sizes = [channels, *[width] * depth, channels]
        convolution = _CONVOLUTIONS[grid.dim - 1]
        layers = [convolution(n, m, 3) for n, m in pairwise(sizes)]
        super().__init__(layers, sizes[1:], [3**grid.dim * n for n in sizes[:-1]], activation)
        self.ghosts = GhostLayer(tuple((_GHOST_RULES[low], _GHOST_RULES[high]) for low, high in grid.sides))

    def applied(self, layer: nn.Module, z: Tensor) -> Tensor:
        """The convolution of the field with its ghosts."""
        answer: Tensor = layer(self.ghosts(z))
        return answer
