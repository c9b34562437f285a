"""A field and its derivatives at points that all samples of a batch share."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["Jet"]


@dataclass(frozen=True)
class Jet:
    """Values and derivatives of fields at n points of a d-dimensional domain, B samples of c channels.

    Parameters
    ----------
    value
        ``(B, n, c)``.
    gradient
        ∂/∂xᵢ, ``(B, n, c, d)``; the last coordinate is time where there is one.
    hessian
        ∂²/∂xᵢ∂xⱼ, ``(B, n, c, d, d)``, or None where second derivatives were not asked for.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[0.5, 2.0]])
    >>> jet = Jet(value=x.prod(-1)[None, :, None], gradient=x.flip(-1)[None, :, None])  # of the field x y
    >>> jet.gradient.shape
    torch.Size([1, 1, 1, 2])
    """

    value: Tensor
    gradient: Tensor
    hessian: Tensor | None = None
