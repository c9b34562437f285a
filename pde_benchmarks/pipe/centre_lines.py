"""Random channels of constant width: a centre line, its normals, and the grid between its walls."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from pde_benchmarks.errors import ProblemError

__all__ = ["CentreLines"]

GAUSS_POINTS = 8
PEAK_POINTS = 64  # for every half wave of the highest mode


@dataclass(frozen=True)
class CentreLines:
    """Channels of width 1 about centre lines of given arc length, whose direction is a random series.

    The angle of the centre line to the x-axis is θ(s) = bend · ζ · f(s)/max|f|, f(σ) = sin σ Σ_k ξ_k sin kσ with
    σ = πs/length, normal ξ_k and ζ uniform in [1/4, 1]. So |θ| ≤ bend and, by Bernstein's inequality for polynomials of
    degree modes + 1, |θ'| ≤ bend · (modes + 1) π/length. A point of the channel is P(s, t) = C(s) + t N(s), |t| ≤ 1/2,
    with area element 1 − t θ'(s). As |θ| < π/2 and |θ'| < 2 are asked for, this is positive and x grows along every
    line of constant t: the channel neither folds nor meets itself. It begins and ends in the direction of x without
    curvature: a parabola at a bent inlet would leave singularities in its corners.

    Raises
    ------
    ProblemError
        The bounds do not exclude folds.
    """

    length: float
    bend: float
    modes: int

    def __post_init__(self) -> None:
        if not (self.length > 0 and math.isfinite(self.length)):
            raise ProblemError(f"pipe length {self.length}: a positive number of widths is expected.")
        if self.modes < 1:
            raise ProblemError(f"pipe modes {self.modes}: at least 1 is needed.")
        if not 0 <= self.bend < math.pi / 2:
            raise ProblemError(f"pipe bend {self.bend}: an angle in [0, π/2) is expected, so that no pipe turns back.")
        if not self.largest_curvature < 2:
            raise ProblemError(
                f"pipe bend {self.bend} with {self.modes} modes on length {self.length}: curvatures reach "
                f"{self.largest_curvature:.2g}, and from 2 on a channel of width 1 folds: bend less, or be longer."
            )

    @property
    def largest_curvature(self) -> float:
        """Bound of |θ'|, 1/width."""
        return self.bend * (self.modes + 1) * math.pi / self.length

    def sample(self, count: int, n: int, generator: Generator) -> Tensor:
        """Grids ``(count, 2, n, n)``, float64; one seed gives the same channels for every n."""
        xi = torch.randn((count, self.modes), generator=generator, dtype=torch.float64)
        zeta = 1 - 0.75 * torch.rand((count, 1), generator=generator, dtype=torch.float64)
        s = torch.linspace(0, self.length, PEAK_POINTS * (self.modes + 1) + 1, dtype=torch.float64)
        # Between these points |f| is larger by at most this factor (Ehlich & Zeller 1964).
        peak = self._series(xi, s).abs().amax(1, keepdim=True) / math.cos(math.pi / 2 / PEAK_POINTS)
        return self.nodes(self.bend * zeta * xi / peak, n)

    def nodes(self, amplitudes: Tensor, n: int) -> Tensor:
        """Grids for θ = sin σ Σ_k a_k sin kσ, a ``(count, modes)``: along the pipe, then from right to left."""
        s = torch.linspace(0, self.length, n, dtype=torch.float64)
        t = torch.linspace(-0.5, 0.5, n, dtype=torch.float64)
        theta = self._series(amplitudes, s)
        normal = torch.stack((-theta.sin(), theta.cos()), 1)
        return self._centre(amplitudes, s)[..., None] + normal[..., None] * t

    def _series(self, amplitudes: Tensor, s: Tensor) -> Tensor:
        """Sums ``(count, *s.shape)``."""
        sigma = s[..., None] * (math.pi / self.length)
        k = torch.arange(1, self.modes + 1, dtype=torch.float64)
        return torch.tensordot(amplitudes, sigma.sin() * torch.sin(k * sigma), dims=([1], [-1]))

    def _centre(self, amplitudes: Tensor, s: Tensor) -> Tensor:
        """C(s) = ∫ (cos θ, sin θ), ``(count, 2, n)``, by Gauss' rule between neighbours."""
        x, w = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(GAUSS_POINTS))
        h = s.diff()
        theta = self._series(amplitudes, s[:-1, None] + h[:, None] * (1 + x) / 2)
        steps = torch.stack((theta.cos(), theta.sin()), 1) @ w * (h / 2)
        return torch.nn.functional.pad(steps.cumsum(-1), (1, 0))
