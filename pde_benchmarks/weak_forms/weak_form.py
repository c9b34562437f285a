"""What a residual that can be minimised without labels offers: random points, and a loss from fields at them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Generator, Tensor

from pde_benchmarks.jet import Jet
from pde_benchmarks.quadrature import Quadrature

__all__ = ["WeakForm"]


class WeakForm(ABC):
    """One residual kind of one problem; `VariationalProblem.weak_form` makes it.

    ``fields`` are the decoded fields that it needs and their channels, ``order`` is the number of derivatives it needs
    of them (the first always, the second where it is 2). A form for another equation is a subclass beside these: it
    draws points, of space or of space and time, and turns jets at them into one number per sample.
    """

    kind: ClassVar[str]
    order: ClassVar[int] = 1

    @property
    @abstractmethod
    def fields(self) -> Mapping[str, int]:
        """Decoded fields and their channels, as ``{"solution": 1}``."""

    @abstractmethod
    def draw(
        self, generator: Generator, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> Quadrature:
        """Fresh random points of one step. They must not be used twice: a network learns to exploit fixed points."""

    @abstractmethod
    def loss(self, quadrature: Quadrature, coefficient: Tensor, fields: Mapping[str, Jet]) -> Tensor:
        """The residual of every sample as one number of order one, ``(batch,)``, differentiable in all arguments.

        Parameters
        ----------
        quadrature
            From `draw`.
        coefficient
            The input field at its points, ``(batch, n, channels)``.
        fields
            The jets of all `fields` at its points.
        """
