"""Conjugate gradients as a function that is differentiated: how fast a preconditioner makes them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["convergence_rate"]

Map = Callable[[Tensor], Tensor]


def convergence_rate(apply: Map, precondition: Map, b: Tensor, steps: int = 6) -> Tensor:
    """Mean over the batch of log(‖r_K‖/‖r_0‖)/K for K steps of conjugate gradients from zero.

    Parameters
    ----------
    apply, precondition
        u ↦ A u and r ↦ M r for fields ``(batch, *grid)``, differentiable.
    b
        Right-hand sides in the range of A, not zero.
    steps
        K.

    Examples
    --------
    >>> D = torch.tensor([1.0, 2.0, 4.0])
    >>> rate = convergence_rate(lambda u: D * u, lambda r: r, torch.ones(1, 3), steps=2)
    >>> bool(rate < 0)
    True
    """
    axes = tuple(range(1, b.ndim))
    tiny = torch.finfo(b.dtype).tiny
    r = b
    z = precondition(r)
    p, rz = z, _inner(r, z, axes)
    for step in range(steps):
        Ap = apply(p)
        length = rz / (_inner(p, Ap, axes) + tiny)
        r = r - length * Ap
        if step + 1 < steps:
            z = precondition(r)
            rz, before = _inner(r, z, axes), rz
            p = z + rz / (before + tiny) * p
    left = (_inner(r, r, axes) + tiny) / (_inner(b, b, axes) + tiny)
    return left.log().mean() / (2 * steps)


def _inner(u: Tensor, v: Tensor, axes: tuple[int, ...]) -> Tensor:
    return (u * v).sum(axes, keepdim=True)
