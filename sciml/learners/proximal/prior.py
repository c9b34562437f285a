"""The prior that a learned proximal network stands for, read off."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sciml.plug_and_play import ProximalNetwork, invert_strength
from solvers import Status

__all__ = ["PriorValue", "prior_value"]


@dataclass(frozen=True)
class PriorValue:
    """R at B fields.

    Attributes
    ----------
    value
        R(x) up to one constant of the network, ``(B,)``: compare differences.
    residual
        ‖f(v) − x‖₂ / max(1, ‖x‖₂) of the v that was found, ``(B,)``: the value is that of f(v).
    status
        How each sample ended, `solvers.Status` codes ``(B,)``; a field outside of the range of f does not converge.
    """

    value: Tensor
    residual: Tensor
    status: Tensor

    @property
    def converged(self) -> Tensor:
        """Where the residual is within the tolerance, ``(B,)``."""
        return self.status == Status.CONVERGED


def prior_value(
    network: ProximalNetwork, x: Tensor, *, tolerance: float | None = None, throw: bool = True
) -> PriorValue:
    """R(x) = ⟨v, x⟩ − ½‖x‖² − ψ(v) with f(v) = x: the network is inverted by a convex minimisation.

    Parameters
    ----------
    network
        f = ∇ψ with its potential, in the dtype of x.
    x
        Fields ``(B, channels, *grid)``; float64 for residuals of 1e-8.
    tolerance
        Of the residual: 1e-8 in double, 1e-5 in single precision if None.
    throw
        Raise if a sample has not converged. False: read ``status``.

    Raises
    ------
    SolveError
        A sample has not converged and `throw` is set, as for fields outside of the range of f.

    Examples
    --------
    >>> import torch
    >>> from sciml.plug_and_play import QuadraticNetwork
    >>> network = QuadraticNetwork(0.5 * torch.eye(2, dtype=torch.float64))  # R(x) = ½‖x‖²
    >>> float(prior_value(network, torch.tensor([[3.0, 4.0]], dtype=torch.float64)).value.round(decimals=6))
    12.5
    """
    found = invert_strength(network, x, 0.0, tolerance=tolerance, throw=throw)
    return PriorValue(found.prior_value, found.residual, found.status)
