"""Activations with an identity path, and their first two derivatives.

The identity keeps deep networks trainable without normalisation layers; the sine lets a coordinate network oscillate.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from sciml.errors import ConfigurationError

__all__ = ["Activation", "activation", "silu_identity", "silu_sin", "tanh_sin"]

Activation = Callable[[Tensor, int], tuple[Tensor, ...]]
"""``f(z, order)`` returns f and its first ``order`` (0, 1 or 2) derivatives at z, each of the shape of z."""


def tanh_sin(z: Tensor, order: int = 0) -> tuple[Tensor, ...]:
    """tanh(sin(π (z + 1))) + z and its first ``order`` derivatives."""
    # sin(π (z + 1)) = −sin(π z), without the digits that z + 1 would lose.
    s = -torch.sin(math.pi * z)
    t = torch.tanh(s)
    if order == 0:
        return (t + z,)
    s1, curl = -math.pi * torch.cos(math.pi * z), 1 - t * t
    if order == 1:
        return t + z, curl * s1 + 1
    return t + z, curl * s1 + 1, curl * (-(math.pi**2) * s - 2 * t * s1 * s1)


def silu_sin(z: Tensor, order: int = 0) -> tuple[Tensor, ...]:
    """silu(sin(π (z + 1))) + z and its first ``order`` derivatives."""
    s = -torch.sin(math.pi * z)
    outer = _silu(s, order)
    if order == 0:
        return (outer[0] + z,)
    s1 = -math.pi * torch.cos(math.pi * z)
    first = outer[1] * s1 + 1
    if order == 1:
        return outer[0] + z, first
    return outer[0] + z, first, outer[2] * s1 * s1 - math.pi**2 * outer[1] * s


def silu_identity(z: Tensor, order: int = 0) -> tuple[Tensor, ...]:
    """silu(z) + z and its first ``order`` derivatives."""
    outer = _silu(z, order)
    return (outer[0] + z, *(outer[k] + (1 if k == 1 else 0) for k in range(1, order + 1)))


def activation(name: str) -> Activation:
    """The activation of this name: ``tanh_sin``, ``silu_sin`` or ``silu_identity``.

    Raises
    ------
    ConfigurationError
        If there is none; the known ones are listed.

    Examples
    --------
    >>> value, slope = activation("silu_identity")(torch.zeros(1), 1)
    >>> slope
    tensor([1.5000])
    """
    if name not in ACTIVATIONS:
        raise ConfigurationError(f"activation {name!r} is unknown: use one of {', '.join(ACTIVATIONS)}.")
    return ACTIVATIONS[name]


def _silu(z: Tensor, order: int) -> tuple[Tensor, ...]:
    """z σ(z) and its first ``order`` derivatives."""
    g = torch.sigmoid(z)
    if order == 0:
        return (z * g,)
    h = 1 - g
    first = g * (1 + z * h)
    if order == 1:
        return z * g, first
    return z * g, first, g * h * (2 + z * (h - g))


ACTIVATIONS: dict[str, Activation] = {"tanh_sin": tanh_sin, "silu_sin": silu_sin, "silu_identity": silu_identity}
