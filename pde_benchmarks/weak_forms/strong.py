"""Diffusion as a first-order system, by least squares at points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from pde_benchmarks.jet import Jet
from pde_benchmarks.quadrature import Quadrature
from pde_benchmarks.weak_forms.diffusion import Diffusion, constitutive_gap, jittered_points
from pde_benchmarks.weak_forms.weak_form import WeakForm

__all__ = ["StrongForm"]


@dataclass(frozen=True)
class StrongForm(WeakForm):
    """Mean of |a^(−1/2) s − a^(1/2) ∇u|² and of (∇·s + f)², each in its unit (that of `MixedForm`).

    The first-order system needs no derivative of a. Where a jumps the flux along the interface jumps with it, which a
    smooth s cannot follow.

    Parameters
    ----------
    equation
        Which diffusion problem.
    cells
        Cells per axis, each with one random point.

    Examples
    --------
    >>> StrongForm(Diffusion(lambda x: torch.ones_like(x[:, 0]), 1.0, 0.07)).fields
    {'solution': 1, 'flux': 2}
    """

    equation: Diffusion
    cells: int = 56
    kind: ClassVar[str] = "strong"

    @property
    def fields(self) -> Mapping[str, int]:
        """The solution and the flux a ∇u."""
        return {"solution": 1, "flux": self.equation.domain.dim}

    def draw(
        self, generator: Generator, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> Quadrature:
        """One jittered point per cell."""
        return jittered_points(self.equation.domain, self.cells, generator, dtype, device)

    def loss(self, quadrature: Quadrature, coefficient: Tensor, fields: Mapping[str, Jet]) -> Tensor:
        """Both terms of every sample, ``(batch,)``."""
        flux = fields["flux"]
        unit = 2 * self.equation.typical_energy / self.equation.domain.volume
        gap = constitutive_gap(coefficient, fields["solution"], flux.value) / unit
        divergence = flux.gradient.diagonal(dim1=-2, dim2=-1).sum(-1)
        imbalance = (divergence + self.equation.source(quadrature.points)) / self.equation.typical_source
        return (gap + imbalance.square()).mean(1)
