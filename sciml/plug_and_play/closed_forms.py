"""Priors whose proximal operators are closed forms."""

from __future__ import annotations

import torch
from torch import Tensor

from sciml.errors import ConfigurationError
from sciml.plug_and_play.inversion import per_sample
from sciml.plug_and_play.priors import Prior, ProximalPoint, check_strength, is_one, strengthened_lipschitz
from solvers import CG, IdentityOperator, LinearOperator, Status, linear_solve

__all__ = ["QuadraticPrior", "SoftThreshold"]


class QuadraticPrior(Prior):
    """R(x) = ½ ⟨x − m, P (x − m)⟩: a Gaussian law with precision P; Tikhonov's regularisation.

    Parameters
    ----------
    precision
        P, symmetric, on flat vectors ``(B, n)``; every eigenvalue of I + τ P must be positive.
    mean
        m, ``(channels, *grid)`` or with a batch axis; zero by default.
    tau
        Strength τ of τ R, a number or ``(B,)``.
    smallest
        A lower bound of P's eigenvalues, from which the Lipschitz constant of the proximal operator follows.

    Examples
    --------
    >>> import torch
    >>> from solvers import DiagonalOperator
    >>> prior = QuadraticPrior(DiagonalOperator(torch.tensor([1.0, 3.0]), {"spd"}))
    >>> prior.prox(torch.tensor([[2.0, 4.0]])).x
    tensor([[1.0000, 1.0000]])
    """

    def __init__(
        self,
        precision: LinearOperator,
        mean: Tensor | None = None,
        tau: float | Tensor = 1.0,
        smallest: float = 0.0,
    ) -> None:
        if "symmetric" not in precision.tags:
            raise ConfigurationError(f"{precision!r} is not tagged symmetric: the precision of a Gaussian law is.")
        check_strength(tau)
        self.precision, self.mean, self.tau, self.smallest = precision, mean, tau, smallest
        self.lipschitz = strengthened_lipschitz(1 / (1 + smallest), float(torch.as_tensor(tau).max()))

    def prox(self, v: Tensor, start: Tensor | None = None) -> ProximalPoint:
        centre = torch.zeros((), dtype=v.dtype, device=v.device) if self.mean is None else self.mean.to(v)
        away = (v - centre).flatten(1)
        scaled = self.tau * self.precision
        identity = IdentityOperator(away.shape[-1], v.dtype, v.device)
        solver = CG(1e-12 if v.dtype == torch.float64 else 1e-5, 10_000, assume_spd=True)
        guess = None if start is None else (start - centre).flatten(1)
        solution = linear_solve(identity + scaled, away, solver, x0=guess, throw=False)
        value = (solution.value * scaled.mv(solution.value)).sum(-1) / 2
        x = centre + solution.value.reshape(v.shape)
        return ProximalPoint(x, value, x, solution.status == Status.CONVERGED)

    def scaled(self, tau: float | Tensor) -> Prior:
        if is_one(tau):
            return self
        return QuadraticPrior(self.precision, self.mean, tau * self.tau, self.smallest)


class SoftThreshold(Prior):
    """R(x) = threshold · ‖x‖₁: sparse fields.

    Parameters
    ----------
    threshold
        A number or one a sample ``(B,)``.

    Examples
    --------
    >>> import torch
    >>> SoftThreshold(1.0).prox(torch.tensor([[-3.0, 0.5, 2.0]])).x
    tensor([[-2.,  0.,  1.]])
    """

    lipschitz = 1.0

    def __init__(self, threshold: float | Tensor = 1.0) -> None:
        check_strength(threshold)
        self.threshold = threshold

    def prox(self, v: Tensor, start: Tensor | None = None) -> ProximalPoint:
        threshold = per_sample(self.threshold, v)
        x = v - v.clamp(min=-threshold, max=threshold)
        return ProximalPoint(x, (threshold * x.abs()).flatten(1).sum(-1), v)

    def scaled(self, tau: float | Tensor) -> Prior:
        return self if is_one(tau) else SoftThreshold(tau * self.threshold)
