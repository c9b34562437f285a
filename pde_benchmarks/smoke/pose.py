"""Where a rigid body is at one moment."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["Pose"]


@dataclass(frozen=True, eq=False)
class Pose:
    """x = R (X − about) + about + shift, from the body's own coordinates X to those of the box.

    Parameters
    ----------
    rotation
        R, ``(d, d)``.
    about, shift
        ``(d,)``.

    Examples
    --------
    >>> import torch
    >>> turned = Pose(torch.tensor([[0.0, -1.0], [1.0, 0.0]]), torch.ones(2), torch.zeros(2))
    >>> turned.to_box(torch.tensor([[2.0, 1.0]])), turned.to_body(torch.tensor([[1.0, 2.0]]))
    (tensor([[1., 2.]]), tensor([[2., 1.]]))
    """

    rotation: Tensor
    about: Tensor
    shift: Tensor

    def to_box(self, points: Tensor) -> Tensor:
        """Points ``(..., d)`` of the body, in the box."""
        return (points - self.about) @ self.rotation.mT + self.about + self.shift

    def to_body(self, points: Tensor) -> Tensor:
        """Points ``(..., d)`` of the box, in the body."""
        return (points - self.about - self.shift) @ self.rotation + self.about
