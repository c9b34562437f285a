"""Minimisation of many independent functions at once, one an observation and a start."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Iterate", "adam", "lbfgs", "lbfgs_iterates"]

Objective = Callable[[Tensor], tuple[Tensor, Tensor]]

MEMORY = 10  # pairs that L-BFGS remembers
HALVINGS = 15  # of a step that does not descend
ARMIJO = 1e-4


def adam(objective: Objective, z: Tensor, steps: int, learning_rate: float) -> Tensor:
    """Adam (Kingma & Ba 2015) with a cosine decay to zero, from ``z (..., d)``.

    Parameters
    ----------
    objective
        Latents ``(..., d)`` to values ``(...)`` and gradients ``(..., d)``.

    Examples
    --------
    >>> z = adam(lambda z: ((z - 1).square().sum(-1) / 2, z - 1), torch.zeros(1, 2), 200, 0.1)
    >>> torch.allclose(z, torch.ones(1, 2), atol=1e-3)
    True
    """
    beta, gamma = 0.9, 0.999
    mean, square = torch.zeros_like(z), torch.zeros_like(z)
    for step in range(steps):
        _, gradient = objective(z)
        mean = beta * mean + (1 - beta) * gradient
        square = gamma * square + (1 - gamma) * gradient.square()
        rate = learning_rate * 0.5 * (1 + math.cos(math.pi * step / steps))
        scale = (square / (1 - gamma ** (step + 1))).sqrt() + 1e-8
        z = z - rate * mean / (1 - beta ** (step + 1)) / scale
    return z


def lbfgs(objective: Objective, z: Tensor, steps: int, tolerance: float) -> Tensor:
    """Limited-memory BFGS (Nocedal 1980) with backtracking, from ``z (..., d)``.

    Each function has its own step length and memory, and rests once ½‖g‖² is at most ``tolerance`` or no step
    descends: for U with curvature of at least one, ½‖g‖² bounds what is left to gain.

    Examples
    --------
    >>> scale = torch.tensor([1.0, 100.0])
    >>> z = lbfgs(lambda z: ((scale * (z - 1).square()).sum(-1) / 2, scale * (z - 1)), torch.zeros(1, 2), 50, 1e-8)
    >>> torch.allclose(z, torch.ones(1, 2), atol=1e-4)
    True
    """
    for iterate in lbfgs_iterates(objective, z, tolerance):
        z = iterate.z
        if steps <= 0 or not iterate.active.any():
            break
        steps -= 1
    return z


@dataclass(frozen=True)
class Iterate:
    """Where L-BFGS is: points, their values and gradients, and which functions go on, ``(...)``."""

    z: Tensor
    value: Tensor
    gradient: Tensor
    active: Tensor


def lbfgs_iterates(objective: Objective, z: Tensor, tolerance: float) -> Iterator[Iterate]:
    """The iterates of `lbfgs`, the start first, without an end: for those who watch and stop it."""
    value, gradient = objective(z)
    active = torch.ones_like(value, dtype=torch.bool)
    pairs: list[tuple[Tensor, Tensor]] = []
    while True:
        active = active & (gradient.square().sum(-1) > 2 * tolerance) & value.isfinite()
        yield Iterate(z, value, gradient, active)
        direction = -_inverse_hessian_times(gradient, pairs)
        descends = _dot(direction, gradient) < 0
        direction = torch.where(descends, direction, -gradient)
        if not pairs:
            direction = direction / gradient.norm(dim=-1, keepdim=True).clamp_min(1)
        new, new_value, new_gradient, accepted = _search(objective, z, value, gradient, direction, active)
        # A function that rests leaves a pair of zeros, which the recursion skips.
        pairs = [*pairs[1 - MEMORY :], (new - z, new_gradient - gradient)]
        z, value, gradient, active = new, new_value, new_gradient, active & accepted


def _search(
    objective: Objective, z: Tensor, value: Tensor, gradient: Tensor, direction: Tensor, active: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Halve each function's step until it descends enough; where none does, stay."""
    slope = _dot(direction, gradient)[..., 0]
    length = torch.ones_like(value)
    best = (z, value, gradient)
    accepted = ~active
    for _ in range(HALVINGS):
        trial = torch.where(accepted[..., None], best[0], z + length[..., None] * direction)
        trial_value, trial_gradient = objective(trial)
        good = ~accepted & (trial_value <= value + ARMIJO * length * slope) & trial_gradient.isfinite().all(-1)
        best = (
            torch.where(good[..., None], trial, best[0]),
            torch.where(good, trial_value, best[1]),
            torch.where(good[..., None], trial_gradient, best[2]),
        )
        accepted = accepted | good
        if accepted.all():
            break
        length = length / 2
    return (*best, accepted)


def _inverse_hessian_times(gradient: Tensor, pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The two-loop recursion; pairs without positive curvature are left out, function by function."""
    q, coefficients = gradient, []
    scale = torch.ones_like(gradient[..., :1])
    inverses = [torch.where(_dot(s, y) > 1e-10 * _dot(y, y), 1 / _dot(s, y), 0) for s, y in pairs]
    for (s, y), rho in zip(reversed(pairs), reversed(inverses), strict=True):
        coefficients.append(rho * _dot(s, q))
        q = q - coefficients[-1] * y
    for (_, y), rho in zip(pairs, inverses, strict=True):
        scale = torch.where(rho > 0, 1 / (rho * _dot(y, y)), scale)
    q = scale * q
    for (s, y), rho, coefficient in zip(pairs, inverses, reversed(coefficients), strict=True):
        q = q + (coefficient - rho * _dot(y, q)) * s
    return q


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(-1, keepdim=True)
