"""What evolutions between two walls share: their grid of nodes, their forms, and starts that are built in."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.grid import Grid
from pde_benchmarks.jet import Jet
from pde_benchmarks.variational import VariationalProblem
from pde_benchmarks.weak_forms import EVOLUTION_FORMS, Evolution, WeakForm

__all__ = ["WalledEvolution", "require_evolution", "wall_and_start"]


class WalledEvolution(VariationalProblem):
    """Mixin of a problem u_t = D u_xx + s(u, u_x, a) for 0 < x < 1, u = 0 at both ends.

    Subclasses are frozen dataclasses with the fields ``resolution``, ``frames`` and ``interval``. Fields live on the
    nodes i/(n − 1), both walls included.
    """

    residual_kinds: ClassVar[tuple[str, ...]] = tuple(EVOLUTION_FORMS)
    resolution: int
    frames: int
    interval: float

    @property
    @abstractmethod
    def equation(self) -> Evolution:
        """The equation in coordinates (x, t) of [0, 1] × [0, T]."""

    @property
    def duration(self) -> float:
        """T, the time of the last frame."""
        return self.frames * self.interval

    @property
    def nodes(self) -> Grid:
        """n nodes on [0, 1]."""
        return Grid((self.resolution,), "vertex")

    def weak_form(self, kind: str | None = None, **options: Any) -> WeakForm:
        """``weak`` (functions, radius) or ``strong`` (cells), at points (x, t) of [0, 1] × [0, T]."""
        form = EVOLUTION_FORMS[self.chosen_kind(kind)]
        self.check_options(form, options)
        return form(self.equation, **options)

    def require_solution(self, name: str) -> None:
        """Refuse any other field; raises ProblemError."""
        if name != "solution":
            raise ProblemError(f"{self.name}: no field {name!r}: known is solution.")


def wall_and_start(points: Tensor, order: int = 1) -> Jet:
    """t sin πx at (x, t) as a jet of batch size one: exactly zero at both walls, and at the start."""
    x, t = points.unbind(-1)
    # sin π(1 − x) = sin πx: the smaller of the two arguments is exactly zero at either wall.
    sine, cosine = torch.sin(math.pi * torch.minimum(x, 1 - x)), math.pi * torch.cos(math.pi * x)
    gradient = torch.stack([t * cosine, sine], -1)
    hessian = None
    if order == 2:
        rows = [torch.stack([-(math.pi**2) * t * sine, cosine], -1), torch.stack([cosine, torch.zeros_like(t)], -1)]
        hessian = torch.stack(rows, -2)[None, :, None]
    return Jet((t * sine)[None, :, None], gradient[None, :, None], hessian)


def require_evolution(name: str, resolution: int, frames: int, **positive: float) -> None:
    """Refuse parameters that make no evolution; raises ProblemError."""
    if resolution < 8 or frames < 1:
        raise ProblemError(f"{name} resolution {resolution}, frames {frames}: at least 8 nodes and 1 frame are needed.")
    for parameter, value in positive.items():
        if not 0 < value < math.inf:
            raise ProblemError(f"{name} {parameter} {value}: a positive number is needed.")
