"""Classical Runge-Kutta steps with an integrating factor, checked for stability as they go."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from pde_benchmarks.errors import ProblemError

__all__ = ["STABILITY_LIMIT", "Dynamics", "Scheme", "march", "march_checked", "runge_kutta_step"]

#: The classical Runge-Kutta method is stable up to ±2.82 i on the imaginary axis and −2.78 on the real one.
STABILITY_LIMIT = 2.75
_STEPS_BETWEEN_CHECKS = 8


class Dynamics(Protocol):
    """An equation dw/dt = tendency(w) − L w for states with one row a sample."""

    def tendency(self, state: Tensor) -> Tensor:
        """The part of the equation that is integrated explicitly."""
        ...

    def decay(self, duration: float) -> Tensor:
        """exp(−duration L), which is diagonal."""
        ...


class Scheme(Dynamics, Protocol):
    """A vorticity equation discretised in space."""

    def encode(self, field: Tensor) -> Tensor:
        """The state of real fields ``(batch, n, n)``."""
        ...

    def decode(self, state: Tensor, points: int) -> Tensor:
        """Fields ``(batch, points, points)``."""
        ...

    def frequency(self, state: Tensor) -> Tensor:
        """A bound of the angular frequencies of the tendency, ``(batch,)``."""
        ...


def runge_kutta_step(dynamics: Dynamics, state: Tensor, dt: float, half: Tensor, whole: Tensor) -> Tensor:
    """One step of the classical Runge-Kutta method for exp(t L) w (integrating factor, Canuto et al. 2006, app. D).

    ``half`` and ``whole`` are ``dynamics.decay`` of dt/2 and dt. Exact where the tendency vanishes.
    """
    a = dynamics.tendency(state)
    b = dynamics.tendency(half * (state + dt / 2 * a))
    c = dynamics.tendency(half * state + dt / 2 * b)
    d = dynamics.tendency(whole * state + dt * (half * c))
    return whole * (state + dt / 6 * a) + dt / 3 * (half * (b + c)) + dt / 6 * d


def march(dynamics: Dynamics, state: Tensor, steps: int, dt: float) -> Tensor:
    """The states after ``steps`` steps of length ``dt``.

    Where gradients are wanted the stages of a step are computed again on the way back, so that one state a step is
    kept, not four stages.
    """
    half, whole = dynamics.decay(dt / 2), dynamics.decay(dt)
    for _ in range(steps):
        if torch.is_grad_enabled() and state.requires_grad:
            state = checkpoint(runge_kutta_step, dynamics, state, dt, half, whole, use_reentrant=False)
        else:
            state = runge_kutta_step(dynamics, state, dt, half, whole)
    return state


def march_checked(scheme: Scheme, state: Tensor, steps: int, dt: float, where: str, first: int = 0) -> Tensor:
    """`march`, with a look at the fastest wave of every sample before every eighth step.

    Raises
    ------
    ProblemError
        If that wave leaves the stability region, or a state is not finite; the message begins with ``where`` and names
        the step and the sample, counted from ``first``.
    """
    for done in range(0, steps, _STEPS_BETWEEN_CHECKS):
        _require_stable(scheme, state, dt, f"{where}, step {done + 1} of {steps}", first)
        state = march(scheme, state, min(_STEPS_BETWEEN_CHECKS, steps - done), dt)
    _require_stable(scheme, state, dt, f"{where}, after step {steps}", first)
    return state


@torch.no_grad()
def _require_stable(scheme: Scheme, state: Tensor, dt: float, where: str, first: int) -> None:
    for sample, number in enumerate((scheme.frequency(state) * dt).tolist(), first):
        if not math.isfinite(number):
            raise ProblemError(f"{where}: sample {sample} is not finite: give finite fields, or set a shorter step.")
        if number > STABILITY_LIMIT:
            raise ProblemError(
                f"{where}: sample {sample} is too fast for time steps of {dt:.3g} (dt · frequency = {number:.3g}, "
                f"stable up to {STABILITY_LIMIT}): set step to {0.8 * dt * STABILITY_LIMIT / number:.2g} or less."
            )
