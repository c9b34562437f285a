"""Local test functions with a quadrature that is exact for them, to be scattered at random over a domain."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from pde_benchmarks.domains import Box
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.quadrature import Quadrature

__all__ = ["TestRule", "TestedPoints", "WendlandTestFunctions"]

# ∫ v over the unit ball.
INTEGRALS = {1: 2 / 3, 2: math.pi / 9, 3: 32 * math.pi / 495}
SMALLEST_IN_SINGLE = 1e-3


@dataclass(frozen=True)
class TestRule:
    """One test function on its ball of radius R around the origin: q points with value, gradient and weight there."""

    __test__ = False  # no test class, whatever its name

    offsets: Tensor  # (q, dim)
    values: Tensor  # (q,)
    gradients: Tensor  # (q, dim)
    weights: Tensor  # (q,)


@dataclass(frozen=True)
class TestedPoints(Quadrature):
    """m copies of one rule: ``points (m·q, dim)``, function after function, and the means that test a field."""

    __test__ = False

    rule: TestRule

    def against_values(self, field: Tensor) -> Tensor:
        """∫ g v_j / ∫ v_j of fields ``(batch, m·q)``: ``(batch, m)``."""
        v = self.rule.weights * self.rule.values
        return field.unflatten(1, (-1, len(v))) @ (v / v.sum())

    def against_gradients(self, field: Tensor) -> Tensor:
        """∫ s·∇v_j / ∫ v_j of vector fields ``(batch, m·q, dim)``: ``(batch, m)``."""
        v = self.rule.weights @ self.rule.values
        gradient = self.rule.weights[:, None] * self.rule.gradients / v
        return (field.unflatten(1, (-1, len(gradient))) * gradient).sum((-1, -2))


@dataclass(frozen=True)
class WendlandTestFunctions:
    """v((x − x_j)/R) with v(z) = (1 − r)₊^(l+2) [(l² + 4l + 3) r² + (3l + 6) r + 3] / 3, r = |z|, l = ⌊d/2⌋ + 3.

    Twice continuously differentiable and more (C⁴), positive on its ball and zero outside (Wendland 1995). On it v is a
    polynomial in r. The quadrature is a product of Gauss-Jacobi radii, weight r^(d−1), and directions: both ends of an
    interval, ``n_angular`` equal angles, or in three dimensions n_angular/2 Gauss-Legendre heights times ``n_angular``
    angles. With 6 and 8 it is exact for v p, deg p ≤ 2, and ∇v · s, deg s ≤ 3: without that, residuals of the exact
    solution do not vanish, and their minimiser is off by the rule's relative error. Every draw turns it at random.

    Parameters
    ----------
    dim
        1, 2 or 3.
    radius
        R.
    n_radial, n_angular
        Radii, and angles on a circle (even).

    Raises
    ------
    ProblemError
        If a parameter is out of range.

    Examples
    --------
    >>> functions = WendlandTestFunctions(2, radius=0.1)
    >>> rule = functions.rule(torch.Generator().manual_seed(0), torch.float64)
    >>> bool((rule.weights @ rule.values - functions.integral).abs() < 1e-15)
    True
    """

    dim: int
    radius: float = 0.05
    n_radial: int = 6
    n_angular: int = 8

    def __post_init__(self) -> None:
        if self.dim not in INTEGRALS:
            raise ProblemError(f"test functions in {self.dim} dimensions: use 1, 2 or 3.")
        if not (self.radius > 0 and math.isfinite(self.radius)):
            raise ProblemError(f"radius {self.radius}: a positive number is expected.")
        if self.n_radial < 1 or self.n_angular < 2 or self.n_angular % 2:
            raise ProblemError(
                f"n_radial {self.n_radial}, n_angular {self.n_angular}: at least 1 radius and an even "
                "number of angles, at least 2, are expected."
            )

    @property
    def integral(self) -> float:
        """∫ v((x − x_j)/R) dx."""
        return INTEGRALS[self.dim] * self.radius**self.dim

    def value(self, z: Tensor) -> Tensor:
        """v at ``z (…, dim)`` in units of the radius: ``(…,)``."""
        exponent = self._exponent
        r = z.norm(dim=-1)
        polynomial = (exponent**2 + 4 * exponent + 3) * r**2 + (3 * exponent + 6) * r + 3
        return (1 - r).clamp(min=0) ** (exponent + 2) * polynomial / 3

    def gradient(self, z: Tensor) -> Tensor:
        """∇v at ``z (…, dim)`` in units of the radius: −((l+3)(l+4)/3) (1 − r)₊^(l+1) [1 + (l+1) r] z."""
        exponent = self._exponent
        r = z.norm(dim=-1, keepdim=True)
        factor = (exponent + 3) * (exponent + 4) / 3
        return -factor * (1 - r).clamp(min=0) ** (exponent + 1) * (1 + (exponent + 1) * r) * z

    def rule(
        self, generator: Generator, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> TestRule:
        """The quadrature on the ball of radius R around the origin, turned at random.

        Values and gradients are computed from the offsets in float64, before they are added to any centre.

        Raises
        ------
        ProblemError
            If R is too small for ``dtype``: float32 resolves coordinates of order one to 6e-8 only.
        """
        if dtype != torch.float64 and self.radius < SMALLEST_IN_SINGLE:
            raise ProblemError(
                f"radius {self.radius:g} is too small for {dtype}: use {SMALLEST_IN_SINGLE:g} or more, or float64."
            )
        radii, radial_weights = _radii(self.n_radial, self.dim)
        directions, direction_weights = _directions(self.dim, self.n_angular)
        directions = directions @ _rotation(self.dim, generator)
        z = (radii[:, None, None] * directions).reshape(-1, self.dim)
        weights = (radial_weights[:, None] * direction_weights).flatten() * self.radius**self.dim
        parts = (z * self.radius, self.value(z), self.gradient(z) / self.radius, weights)
        return TestRule(*(part.to(dtype=dtype, device=device) for part in parts))

    def sample(
        self,
        domain: Box,
        count: int,
        generator: Generator,
        latin: bool = False,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> TestedPoints:
        """``count`` random test functions whose supports lie within ``domain``.

        Parameters
        ----------
        latin
            Whether the centres form a Latin hypercube; else they are uniform and independent.

        Raises
        ------
        ProblemError
            If the radius is too large for the domain, or too small for the dtype.
        """
        if domain.dim != self.dim:
            raise ProblemError(f"test functions in {self.dim} dimensions on a domain of {domain.dim}: they must agree.")
        rule = self.rule(generator, dtype, device)
        centres = domain.draw(count, generator, self.radius, latin, dtype, device)
        points = (centres[:, None] + rule.offsets).reshape(-1, self.dim)
        return TestedPoints(points, rule.weights.repeat(count), rule)

    @property
    def _exponent(self) -> int:
        return self.dim // 2 + 3


def _radii(count: int, dim: int) -> tuple[Tensor, Tensor]:
    """Gauss-Jacobi points and weights for ∫₀¹ g(r) r^(d−1) dr, exact for polynomials g of degree 2·count − 1."""
    from scipy.special import roots_jacobi

    nodes, weights = roots_jacobi(count, 0, dim - 1)
    return torch.from_numpy((nodes + 1) / 2), torch.from_numpy(weights / 2**dim)


def _directions(dim: int, angles: int) -> tuple[Tensor, Tensor]:
    """Unit vectors ``(k, dim)`` and weights that add up to the sphere's area."""
    if dim == 1:
        return torch.tensor([[-1.0], [1.0]], dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    phase = 2 * math.pi * torch.arange(angles, dtype=torch.float64) / angles
    circle = torch.stack([phase.cos(), phase.sin()], 1)
    weights = torch.full((angles,), 2 * math.pi / angles, dtype=torch.float64)
    if dim == 2:
        return circle, weights
    from numpy.polynomial.legendre import leggauss

    height, height_weights = (torch.from_numpy(part) for part in leggauss(angles // 2))
    ring = (1 - height**2).sqrt()[:, None, None] * circle
    top = height[:, None, None].expand(-1, angles, 1)
    return torch.cat([ring, top], -1).reshape(-1, 3), (height_weights[:, None] * weights).flatten()


def _rotation(dim: int, generator: Generator) -> Tensor:
    """A random orthogonal matrix (Haar), float64: QR of a normal one, the signs of R made positive (Mezzadri 2007)."""
    normal = torch.randn((dim, dim), generator=generator, dtype=torch.float64, device=generator.device).cpu()
    q, r = torch.linalg.qr(normal)
    return q * r.diagonal().sign()
