"""Residuals of diffusion tested with local functions: in the solution alone, or in solution and flux."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.jet import Jet
from pde_benchmarks.quadrature import Quadrature
from pde_benchmarks.test_functions import TestedPoints, WendlandTestFunctions
from pde_benchmarks.weak_forms.diffusion import Diffusion, constitutive_gap
from pde_benchmarks.weak_forms.weak_form import WeakForm

__all__ = ["MixedForm", "WeightedForm"]


@dataclass(frozen=True)
class _Tested(WeakForm):
    """Residuals r_j = [∫ s·∇v_j − ∫ f v_j] / ∫ v_j with m random local test functions.

    Parameters
    ----------
    equation
        Which diffusion problem.
    functions
        m, drawn anew every step.
    radius
        Of their supports. A radius below the size of a pixel makes this a strong form: few supports touch an interface.
    latin
        Whether the centres form a Latin hypercube.

    Raises
    ------
    ProblemError
        If there is no function, or the radius does not fit.
    """

    equation: Diffusion
    functions: int = 100
    radius: float = 0.05
    latin: bool = False

    def __post_init__(self) -> None:
        if self.functions < 1:
            raise ProblemError(f"functions {self.functions}: at least one test function is needed.")

    def draw(
        self, generator: Generator, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> TestedPoints:
        """The quadrature points of all test functions, one function after the other."""
        family = WendlandTestFunctions(self.equation.domain.dim, self.radius)
        return family.sample(self.equation.domain, self.functions, generator, self.latin, dtype, device)

    def residuals(self, quadrature: Quadrature, flux: Tensor) -> Tensor:
        """All r_j / typical f, ``(batch, m)``, of a flux at the points, ``(batch, n, dim)``."""
        assert isinstance(quadrature, TestedPoints)  # from `draw`
        source = self.equation.source(quadrature.points)[None]
        tested = quadrature.against_gradients(flux) - quadrature.against_values(source)
        return tested / self.equation.typical_source


@dataclass(frozen=True)
class WeightedForm(_Tested):
    """Mean over j of the squares of r_j = [∫ a ∇u·∇v_j − ∫ f v_j] / ∫ v_j, in units of f.

    Examples
    --------
    >>> form = WeightedForm(Diffusion(lambda x: torch.ones_like(x[:, 0]), 1.0, 0.07), functions=10)
    >>> form.draw(torch.Generator().manual_seed(0)).points.shape
    torch.Size([480, 2])
    """

    kind: ClassVar[str] = "weak"

    @property
    def fields(self) -> Mapping[str, int]:
        """The solution."""
        return {"solution": 1}

    def loss(self, quadrature: Quadrature, coefficient: Tensor, fields: Mapping[str, Jet]) -> Tensor:
        """Mean square residual of every sample, ``(batch,)``."""
        flux = coefficient * fields["solution"].gradient[:, :, 0]
        return self.residuals(quadrature, flux).square().mean(1)


@dataclass(frozen=True)
class MixedForm(_Tested):
    """Mean |a^(−1/2) s − a^(1/2) ∇u|² plus mean square of r_j = [∫ s·∇v_j − ∫ f v_j] / ∫ v_j, each in its unit.

    The flux s is a field of its own, so that the coefficient is never differentiated, nor a product tested. The unit of
    the first is that of twice the typical energy density, ∫ a |∇u|², that of the second the typical f.
    """

    kind: ClassVar[str] = "mixed"

    @property
    def fields(self) -> Mapping[str, int]:
        """The solution and the flux a ∇u."""
        return {"solution": 1, "flux": self.equation.domain.dim}

    def loss(self, quadrature: Quadrature, coefficient: Tensor, fields: Mapping[str, Jet]) -> Tensor:
        """Both terms of every sample, ``(batch,)``."""
        flux = fields["flux"].value
        unit = 2 * self.equation.typical_energy / self.equation.domain.volume
        gap = constitutive_gap(coefficient, fields["solution"], flux).mean(1) / unit
        return gap + self.residuals(quadrature, flux).square().mean(1)
