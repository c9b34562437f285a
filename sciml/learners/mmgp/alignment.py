"""Rigid motions that bring a part on top of another, node by node on the common mesh (Kabsch 1976)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Frame", "turned"]


@dataclass(frozen=True, eq=False)
class Frame:
    """Where parts are turned to.

    Parameters
    ----------
    places
        Coordinates ``(N, d)`` of the reference part at the common nodes.
    weights
        ``(N,)``, positive: how much each node counts.

    Examples
    --------
    >>> corner = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    >>> frame = Frame(corner, torch.ones(3, dtype=torch.float64))
    >>> quarter = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)
    >>> back, rotation = frame.align(corner @ quarter.T + 5.0)
    >>> bool((back - corner).abs().max() < 1e-12), bool((rotation - quarter.T).abs().max() < 1e-12)
    (True, True)
    """

    places: Tensor
    weights: Tensor

    def align(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Coordinates ``(N, d)`` after the rigid motion closest to the frame, and its rotation ``(d, d)``.

        A vector v at a node becomes rotation @ v; never a reflection.
        """
        share = (self.weights / self.weights.sum())[:, None]
        ours, theirs = (share * places).sum(dim=0), (share * self.places).sum(dim=0)
        u, _, vh = torch.linalg.svd((self.places - theirs).mT @ (share * (places - ours)))
        signs = torch.ones(len(u), dtype=u.dtype)
        signs[-1] = torch.linalg.det(u @ vh).sign()
        rotation = u @ (signs[:, None] * vh)
        return (places - ours) @ rotation.mT + theirs, rotation


def turned(fields: dict[str, Tensor], vectors: tuple[tuple[str, ...], ...], rotation: Tensor) -> dict[str, Tensor]:
    """Fields ``(*batch, n)`` with the components of each vector turned by a rotation ``(d, d)``."""
    result = dict(fields)
    for vector in vectors:
        parts = torch.stack([fields[name] for name in vector], dim=-1) @ rotation.mT
        result.update({name: parts[..., i] for i, name in enumerate(vector)})
    return result
