"""What all residuals of −∇·(a ∇u) = f share: domain, source, and the sizes that make them numbers of order one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from pde_benchmarks.domains import Box
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.jet import Jet
from pde_benchmarks.quadrature import Quadrature

__all__ = ["Diffusion", "Source", "constitutive_gap", "jittered_points"]

Source = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Diffusion:
    """−∇·(a ∇u) = f in a box, u given on its boundary.

    Parameters
    ----------
    source
        f: points ``(n, dim)`` ↦ ``(n,)``.
    typical_source, typical_solution
        Sizes of f and of max |u|.
    domain
        Where.
    """

    source: Source
    typical_source: float
    typical_solution: float
    domain: Box = field(default_factory=Box)

    @property
    def typical_energy(self) -> float:
        """∫ f u / 2 for a typical u, about ∫ a |∇u|² / 2: a quarter of f max u per volume.

        It is 0.238 of it for constant a and f in the unit square, by the sine series.
        """
        return self.typical_source * self.typical_solution * self.domain.volume / 4


def jittered_points(
    domain: Box, cells: int, generator: Generator, dtype: torch.dtype, device: torch.device | str
) -> Quadrature:
    """One uniform random point in every cell of a ``cells`` × … grid on the box, those in cut-out discs dropped.

    Stratified Monte Carlo: without bias, with the variance of a second-order rule where the integrand is smooth in the
    cells. Therefore the cells should be the pieces on which a coefficient is smooth. Pixels centred on the nodes i/N of
    a vertex grid have their edges at (i + 1/2)/N, and the pieces between nodes theirs at i/N: 2N cells an axis, or a
    multiple, are aligned with both.

    Raises
    ------
    ProblemError
        If ``cells`` is not positive.
    """
    if cells < 1:
        raise ProblemError(f"cells {cells}: at least one cell per axis is needed.")
    lines = [torch.arange(cells, dtype=torch.float64, device=generator.device)] * domain.dim
    corners = torch.stack(torch.meshgrid(*lines, indexing="ij"), -1).reshape(-1, domain.dim)
    jitter = torch.rand(corners.shape, generator=generator, dtype=torch.float64, device=generator.device)
    points = domain.from_unit((corners + jitter) / cells)
    if domain.discs:
        points = points[domain.contains(points)]
    points = points.to(dtype=dtype, device=device)
    return Quadrature(points, torch.full_like(points[:, 0], domain.volume / cells**domain.dim))


def constitutive_gap(coefficient: Tensor, solution: Jet, flux: Tensor) -> Tensor:
    """|a^(−1/2) s − a^(1/2) ∇u|² at every point, ``(batch, n)``, from a ``(batch, n, 1)`` and s ``(batch, n, dim)``."""
    gradient = solution.gradient[:, :, 0]
    return ((flux - coefficient * gradient).square() / coefficient).sum(-1)
