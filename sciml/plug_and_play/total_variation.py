"""Total variation: fields with few jumps."""

from __future__ import annotations

import torch
from torch import Tensor

from sciml.errors import ConfigurationError
from sciml.plug_and_play.inversion import per_sample
from sciml.plug_and_play.priors import Prior, ProximalPoint, check_strength, is_one

__all__ = ["TotalVariation", "differences", "differences_transposed", "project_on_balls", "total_variation"]


class TotalVariation(Prior):
    """R(x) = Σ ‖(∇x)ᵢ‖₂, isotropic, with forward differences and free boundaries, each channel by itself.

    The proximal operator (Rudin, Osher & Fatemi 1992) is found by accelerated projected gradients on the dual problem
    (Beck & Teboulle 2009), until the duality gap bounds its distance to the exact one.

    Parameters
    ----------
    tau
        Strength τ of τ R, a number or ``(B,)``.
    tolerance
        Of the distance to the exact point, relative to the size of the input. None: 1e-6 in double, 1e-4 in single
        precision.
    max_iterations
        Of the inner iteration.

    Examples
    --------
    >>> import torch
    >>> step = torch.tensor([[[0.0, 0.0, 1.0, 1.0]]], dtype=torch.float64)
    >>> [round(value, 3) for value in TotalVariation(0.2).prox(step).x[0, 0].tolist()]
    [0.1, 0.1, 0.9, 0.9]
    """

    lipschitz = 1.0

    def __init__(self, tau: float | Tensor = 1.0, tolerance: float | None = None, max_iterations: int = 5000) -> None:
        check_strength(tau)
        if max_iterations < 1 or (tolerance is not None and not 0 < tolerance < 1):
            raise ConfigurationError(
                f"tolerance = {tolerance}, max_iterations = {max_iterations}: a tolerance in (0, 1) and at least one "
                "step are expected."
            )
        self.tau, self.tolerance, self.max_iterations = tau, tolerance, max_iterations

    def prox(self, v: Tensor, start: Tensor | None = None) -> ProximalPoint:
        tau = per_sample(self.tau, v)
        dim = v.ndim - 2
        goal = (self.tolerance or (1e-6 if v.dtype == torch.float64 else 1e-4)) * v.flatten(1).norm(dim=-1)
        # The dual of nearby points of another strength: scaled, and inside of the balls.
        p = torch.zeros_like(differences(v))
        if start is not None and start.shape == p.shape:
            p = project_on_balls(start, tau)
        q, momentum = p, 1.0
        for _ in range(self.max_iterations):
            before = p
            p = project_on_balls(q + differences(v - differences_transposed(q)) / (4 * dim), tau)
            after = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
            q, momentum = p + (momentum - 1) / after * (p - before), after
            x = v - differences_transposed(p)
            # P(x) − D(p) ≥ ½‖x − prox‖², as the problem is strongly convex.
            gap = self.tau * total_variation(x) - (differences(x) * p).flatten(1).sum(-1)
            close = (2 * gap.clamp(min=0)).sqrt() <= goal
            if bool(close.all()):
                break
        return ProximalPoint(x, self.tau * total_variation(x), p, close)

    def scaled(self, tau: float | Tensor) -> Prior:
        return self if is_one(tau) else TotalVariation(tau * self.tau, self.tolerance, self.max_iterations)


def total_variation(x: Tensor) -> Tensor:
    """Σ ‖(∇x)ᵢ‖₂ of ``(B, channels, *grid)``: ``(B,)``."""
    return differences(x).norm(dim=1).flatten(1).sum(-1)


def differences(x: Tensor) -> Tensor:
    """Forward differences along every axis of the grid, zero at the last points: ``(B, dim, channels, *grid)``."""
    along = []
    for axis in range(2, x.ndim):
        jump = x.diff(dim=axis)
        last = torch.zeros_like(x.narrow(axis, 0, 1))
        along.append(torch.cat([jump, last], axis))
    return torch.stack(along, 1)


def differences_transposed(p: Tensor) -> Tensor:
    """The transpose of `differences`, minus the divergence: ``(B, channels, *grid)``."""
    total = torch.zeros_like(p[:, 0])
    for axis in range(2, total.ndim):
        jump = p[:, axis - 2].narrow(axis, 0, p.shape[axis + 1] - 1)
        edge = torch.zeros_like(total.narrow(axis, 0, 1))
        total = total + torch.cat([edge, jump], axis) - torch.cat([jump, edge], axis)
    return total


def project_on_balls(p: Tensor, radius: Tensor) -> Tensor:
    """P with every vector ``p[:, :, c, i]`` cut to the length radius ``(B, 1, …)``."""
    size = p.norm(dim=1, keepdim=True)
    limit = radius.unsqueeze(1)
    return p * (limit / size.clamp(min=torch.finfo(p.dtype).tiny)).clamp(max=1)
