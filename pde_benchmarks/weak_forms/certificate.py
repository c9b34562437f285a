"""A guaranteed bound of the error of a diffusion field, from any flux in balance with the source."""

from __future__ import annotations

from torch import Tensor

from pde_benchmarks.jet import Jet
from pde_benchmarks.weak_forms.diffusion import constitutive_gap

__all__ = ["energy_error_bound"]


def energy_error_bound(coefficient: Tensor, solution: Jet, flux: Tensor, weights: Tensor) -> Tensor:
    """‖a^(−1/2) s − a^(1/2) ∇u‖ ≥ ‖a^(1/2) ∇(u − u*)‖ for every u with the right boundary values and s with ∇·s = −f.

    Prager and Synge (1947): ‖a^(1/2) ∇(u − u*)‖² + ‖a^(−1/2) (s − a ∇u*)‖² = ‖a^(−1/2) s − a^(1/2) ∇u‖², so that the
    bound is the error of both together, and sharp when s is good. It holds up to the quadrature, and only as far as s
    is in balance with the source: as it is when made from a potential, s = s₀ + (∂ψ/∂y, −∂ψ/∂x) with ∇·s₀ = −f.

    Parameters
    ----------
    coefficient
        a, shape ``(batch, n, 1)``.
    solution
        The jet of u at the same points.
    flux
        s, shape ``(batch, n, dim)``.
    weights
        Of a quadrature of the whole domain, shape ``(n,)``.

    Returns
    -------
    Tensor
        Shape ``(batch,)``.
    """
    return (constitutive_gap(coefficient, solution, flux) @ weights).sqrt()
