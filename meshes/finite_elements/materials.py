"""Isotropic linear elastic materials: Lamé's constants, strains and stresses."""

from __future__ import annotations

import torch
from torch import Tensor

from meshes.errors import MeshError

__all__ = ["lame", "lame_plane_stress", "strain", "stress", "von_mises"]


def lame(young: Tensor | float, poisson: Tensor | float) -> Tensor:
    """Lamé's constants ``(..., 2)``, λ = E ν / ((1 + ν)(1 − 2ν)) and μ = E / (2 (1 + ν)), for 3D and plane strain.

    Parameters
    ----------
    young, poisson
        E in Pa and ν, of shapes that broadcast (one a cell); numbers become float64. Differentiable, and linear in E.

    Raises
    ------
    MeshError
        A Poisson ratio outside (−1, 1/2): at 1/2 the material is incompressible and λ infinite.

    Examples
    --------
    >>> lame(2.5, 0.25)
    tensor([1., 1.], dtype=torch.float64)
    """
    E, nu = _numbers(young, poisson, limit=0.5)
    return torch.stack([E * nu / ((1 + nu) * (1 - 2 * nu)), E / (2 * (1 + nu))], dim=-1)


def lame_plane_stress(young: Tensor | float, poisson: Tensor | float) -> Tensor:
    """The pair ``(..., 2)`` that gives plane stress, λ* = E ν / (1 − ν²) instead of λ: thin sheets, σ_zz = 0.

    Examples
    --------
    >>> lame_plane_stress(1.0, 0.0)
    tensor([0.0000, 0.5000], dtype=torch.float64)
    """
    E, nu = _numbers(young, poisson, limit=1.0)
    return torch.stack([E * nu / (1 - nu**2), E / (2 * (1 + nu))], dim=-1)


def strain(gradient: Tensor) -> Tensor:
    """ε = (∇u + ∇uᵀ)/2 of displacement gradients ``(..., d, d)``."""
    return 0.5 * (gradient + gradient.mT)


def stress(gradient: Tensor, lame: Tensor) -> Tensor:
    """σ = λ tr(ε) I + 2 μ ε ``(..., d, d)``, in the unit of Lamé's constants.

    Parameters
    ----------
    gradient
        ∂u_i/∂x_j ``(..., d, d)``, as `cell_gradients` gives it.
    lame
        ``(..., 2)``, broadcast over the batch: what the operator was assembled with.
    """
    identity = torch.eye(gradient.shape[-1], dtype=gradient.dtype, device=gradient.device)
    trace = gradient.diagonal(dim1=-2, dim2=-1).sum(-1)
    first, second = lame[..., 0, None, None], lame[..., 1, None, None]
    return first * trace[..., None, None] * identity + 2 * second * strain(gradient)


def von_mises(stress: Tensor) -> Tensor:
    """Equivalent stress √(3/2 s:s), s the deviator, of stresses ``(..., 3, 3)``, or ``(..., 2, 2)`` in plane stress.

    For plane strain append σ_zz = ν (σ_xx + σ_yy) first.

    Examples
    --------
    >>> von_mises(torch.tensor([[-2.0, 0.0], [0.0, 0.0]])).round(decimals=5)
    tensor(2.)
    """
    trace = stress.diagonal(dim1=-2, dim2=-1).sum(-1)
    square = 1.5 * (stress.square().sum((-2, -1)) - trace**2 / 3)
    return square.clamp(min=torch.finfo(stress.dtype).tiny).sqrt()  # not 0, where the root has no derivative


def _numbers(young: Tensor | float, poisson: Tensor | float, limit: float) -> tuple[Tensor, Tensor]:
    E, nu = (v if isinstance(v, Tensor) else torch.tensor(v, dtype=torch.float64) for v in (young, poisson))
    if bool(((nu <= -1) | (nu >= limit)).any()):
        raise MeshError(f"Poisson ratios from {float(nu.min()):g} to {float(nu.max()):g}: expected −1 < ν < {limit:g}.")
    E, nu = torch.broadcast_tensors(E, nu)
    return E, nu
