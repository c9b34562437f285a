"""The energy that the solution of a symmetric diffusion problem minimises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from pde_benchmarks.jet import Jet
from pde_benchmarks.quadrature import Quadrature
from pde_benchmarks.weak_forms.diffusion import Diffusion, jittered_points
from pde_benchmarks.weak_forms.weak_form import WeakForm

__all__ = ["EnergyForm"]


@dataclass(frozen=True)
class EnergyForm(WeakForm):
    """J(u) = ∫ (a |∇u|² / 2 − f u), divided by a typical ∫ f u / 2: about −1 at its minimum.

    J(u) − J(u*) = ∫ a |∇(u − u*)|² / 2 exactly for every u with the right boundary values (Ritz 1909): the residual in
    its natural dual norm. It needs first derivatives only and no flux, and is right for discontinuous a. The minimum
    differs from sample to sample, so that losses compare within a sample only. It is estimated with an error from
    sampling: the points must be new at every step and not too few (3000 or more).

    Parameters
    ----------
    equation
        Which diffusion problem.
    cells
        Cells per axis, each with one random point; see `jittered_points` for the numbers that suit a pixel grid.

    Examples
    --------
    >>> form = EnergyForm(Diffusion(lambda x: torch.ones_like(x[:, 0]), 1.0, 0.07))
    >>> q = form.draw(torch.Generator().manual_seed(0))
    >>> q.points.shape, bool((q.weights.sum() - 1).abs() < 1e-4)
    (torch.Size([3136, 2]), True)
    """

    equation: Diffusion
    cells: int = 56
    kind: ClassVar[str] = "energy"

    @property
    def fields(self) -> Mapping[str, int]:
        """The solution."""
        return {"solution": 1}

    def draw(
        self, generator: Generator, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> Quadrature:
        """One jittered point per cell."""
        return jittered_points(self.equation.domain, self.cells, generator, dtype, device)

    def loss(self, quadrature: Quadrature, coefficient: Tensor, fields: Mapping[str, Jet]) -> Tensor:
        """J of every sample in units of the typical energy, ``(batch,)``."""
        u = fields["solution"]
        stored = (coefficient * u.gradient[:, :, 0].square()).sum(-1) / 2
        work = self.equation.source(quadrature.points) * u.value[..., 0]
        return (stored - work) @ quadrature.weights / self.equation.typical_energy
