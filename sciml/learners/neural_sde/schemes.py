"""Steps of strong order one for diagonal noise, with error estimates as a by-product; their sizes are constants.

Both take the noise's derivative along itself, g ∂g/∂z, as a difference quotient, so no derivatives of g are needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from sciml.learners.neural_ode.errors import IntegrationInputError
from sciml.learners.neural_ode.field import RowField

__all__ = ["SCHEMES", "Interpretation", "Scheme", "Start", "StochasticStep", "scheme_named"]

Interpretation = Literal["ito", "stratonovich"]


class Start(NamedTuple):
    """Where a step begins: times ``(G,)``, states, drift and diffusion there, ``(G, n)``."""

    t: Tensor
    x: Tensor
    drift: Tensor
    diffusion: Tensor


class StochasticStep(NamedTuple):
    """Outcome of one attempt for G rows, all ``(G, n)``.

    Attributes
    ----------
    end
        State at the end.
    drift_error
        h (f(t + h, z + h f) − f) / 2: what Euler's drift leaves out.
    noise_error
        What the noise of the Euler–Maruyama method leaves out.
    noise_slope
        Derivative of the noise along itself, g ∂g/∂z.
    drift_stages
        Sum of the drift's stages: not finite where one of them is not.
    """

    end: Tensor
    drift_error: Tensor
    noise_error: Tensor
    noise_slope: Tensor
    drift_stages: Tensor

    def interpolated(self, start: Start, noise: Tensor, rows: Tensor, fraction: Tensor, partial: Tensor) -> Tensor:
        """Return states inside of the step, from the path itself; the local error is that of the step, O(h^1.5).

        z(s) = z + θ (z_end − z) + g (w − θ ΔW) + g ∂g/∂z (w² − θ ΔW²) / 2, with w = W(s) − W(t), θ = (s − t) / h.

        Parameters
        ----------
        start, noise
            Begin of the step, and its increment ΔW ``(G, n)``.
        rows, fraction, partial
            Which row ``(q,)``, θ ``(q, 1)`` and w ``(q, n)`` of every state asked for.
        """
        x, whole = start.x[rows], noise[rows]
        line = torch.lerp(x, self.end[rows], fraction)
        bend = self.noise_slope[rows] * (partial**2 - fraction * whole**2) / 2
        return line + start.diffusion[rows] * (partial - fraction * whole) + bend


Advance = Callable[[RowField, RowField, Start, Tensor, Tensor], StochasticStep]


@dataclass(frozen=True)
class Scheme:
    """A one-step method, all that the loop has to know of it.

    Attributes
    ----------
    name, interpretation
        Its name, and the integral whose solution it approximates.
    evaluations_per_step
        Evaluations of the drift, and as many of the diffusion, in an attempt; one more of each at a new start.
    advance
        ``advance(drift, diffusion, start, h, noise)`` with sizes ``(G,)`` and increments of the path ``(G, n)``.
    order
        Largest power of h in the error estimate, for the controller: the drift's part falls like h², the noise's like
        h. With exponents for h, steps would oscillate wherever the noise is additive, small or absent; those for h²
        only answer more slowly where it is not, which pays: an estimate that is itself random is not worth a chase.
    measures_stiffness, stability_limit
        Whether a step yields the stiffness, and what it would be compared with; none here does.
    """

    name: str
    interpretation: Interpretation
    evaluations_per_step: int
    advance: Advance
    order: int = 2
    measures_stiffness: bool = False
    stability_limit: float = math.nan


def milstein(drift: RowField, diffusion: RowField, start: Start, h: Tensor, noise: Tensor) -> StochasticStep:
    """Take a step of Milstein's method for the Itô integral, with Heun's drift.

    z_end = z + h (f + f(t + h, z + h f)) / 2 + g ΔW + g ∂g/∂z (ΔW² − h) / 2: the Euler–Maruyama step plus its two error
    estimates (Kloeden & Platen, Numerical Solution of Stochastic Differential Equations, 10.3 and 11.1).
    """
    width = h[:, None]
    _, _, drift_stage, drift_error, noise_slope = _stages(drift, diffusion, start, h)
    noise_error = noise_slope * (noise**2 - width) / 2
    end = start.x + width * start.drift + drift_error + start.diffusion * noise + noise_error
    return StochasticStep(end, drift_error, noise_error, noise_slope, drift_stage.detach())


def euler_heun(drift: RowField, diffusion: RowField, start: Start, h: Tensor, noise: Tensor) -> StochasticStep:
    """Take a step of the Euler–Heun method for the Stratonovich integral.

    z̃ = z + h f + g ΔW, z_end = z + h (f + f(t + h, z̃)) / 2 + (g + g(t + h, z̃)) ΔW / 2, with the error estimates of
    Rackauckas & Nie (Stability-optimized high order methods …, 2020).
    """
    width = h[:, None]
    later, euler, drift_stage, drift_error, noise_slope = _stages(drift, diffusion, start, h)
    trial = euler + start.diffusion * noise
    mean_drift = (start.drift + drift(later, trial)) / 2
    mean_diffusion = (start.diffusion + diffusion(later, trial)) / 2
    end = start.x + width * mean_drift + mean_diffusion * noise
    noise_error = noise_slope * noise**2 / 2
    return StochasticStep(end, drift_error, noise_error, noise_slope, (drift_stage + mean_drift).detach())


def _stages(
    drift: RowField, diffusion: RowField, start: Start, h: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return t + h, z + h f, and the drift's stage and error, the noise's slope along itself."""
    width = h[:, None]
    later, euler = start.t + h, start.x + width * start.drift
    drift_stage = drift(later, euler)
    drift_error = width * (drift_stage - start.drift) / 2
    root = width.sqrt()
    noise_stage = diffusion(start.t, start.x + start.diffusion * root)
    # A row that waits has steps of length zero; its quotient is 0 / 1.
    noise_slope = (noise_stage - start.diffusion) / root.masked_fill(width == 0, 1.0)
    return later, euler, drift_stage, drift_error, noise_slope


SCHEMES = {
    scheme.name: scheme
    for scheme in (Scheme("milstein", "ito", 1, milstein), Scheme("euler_heun", "stratonovich", 2, euler_heun))
}


def scheme_named(name: str | None, interpretation: str) -> Scheme:
    """Return the scheme of a name, or the one of the interpretation.

    Raises
    ------
    IntegrationInputError
        If there is none, or it belongs to the other integral.
    """
    if interpretation not in ("ito", "stratonovich"):
        raise IntegrationInputError(f"interpretation={interpretation!r}: expected 'ito' or 'stratonovich'.")
    if name is None:
        return next(scheme for scheme in SCHEMES.values() if scheme.interpretation == interpretation)
    if name not in SCHEMES:
        raise IntegrationInputError(f"method {name!r} is unknown; expected one of {', '.join(SCHEMES)}, or None.")
    scheme = SCHEMES[name]
    if scheme.interpretation != interpretation:
        raise IntegrationInputError(
            f"method {name!r} solves the {scheme.interpretation} equation, not the {interpretation} one; pass "
            "method=None, or convert the drift: f_stratonovich = f_ito - g g' / 2."
        )
    return scheme
