"""What an inference hands back: samples, how they were judged, and any quantity's mean, spread and intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from sciml.errors import ConfigurationError, InferenceError

__all__ = ["Advance", "Diagnostics", "InferenceStatus", "MapEstimate", "PosteriorSamples"]

Advance = Callable[[float, str], None]
"""Follows a long job: takes the fraction that is done and a short text (``sciml.commands.console`` draws a bar)."""


class InferenceStatus(StrEnum):
    """How the inference of one observation ended."""

    CONVERGED = "converged"
    NOT_MIXED = "not_mixed"
    DIVERGED = "diverged"
    MAX_ITERATIONS = "max_iterations"


@dataclass(frozen=True)
class MapEstimate:
    """Minima of the potential U, from S starts for each of B observations.

    Parameters
    ----------
    minima, potentials
        Where each start ended ``(B, S, d)`` and U there ``(B, S)``.
    hessians
        Gauss–Newton Hessians there, ``(B, S, d, d)``.
    decrements
        What a Gauss–Newton step would still gain there, in nats, ``(B, S)``.
    distinct
        Number of different minima among them, ``(B,)``.
    status
        One an observation: converged, max_iterations, or diverged where U is nowhere finite.
    """

    minima: Tensor
    potentials: Tensor
    hessians: Tensor
    decrements: Tensor
    distinct: Tensor
    status: tuple[InferenceStatus, ...]

    @property
    def best(self) -> Tensor:
        """Which start reached the lowest potential, ``(B,)``."""
        return self.potentials.nan_to_num(nan=torch.inf).argmin(-1)

    @property
    def z(self) -> Tensor:
        """The most probable latents found, ``(B, d)``."""
        return self.minima[torch.arange(len(self.minima)), self.best]


@dataclass(frozen=True)
class Diagnostics:
    """What tells whether samples can be relied on; None where a method has no such number.

    Parameters
    ----------
    r_hat, ess
        Rank-normalised split R-hat and bulk effective sample size of every latent coordinate, ``(B, d)``.
    acceptance, step_size
        Mean acceptance after warm-up, and the step size, of every chain, ``(B, C)``.
    divergences
        Number of transitions after warm-up whose energy error is beyond repair, ``(B, C)``.
    importance
        Share of independent draws that importance weights of a Gaussian approximation leave, ``(B,)``; 1 where the
        posterior is that Gaussian, near 0 where the approximation misses it.
    """

    r_hat: Tensor | None = None
    ess: Tensor | None = None
    acceptance: Tensor | None = None
    step_size: Tensor | None = None
    divergences: Tensor | None = None
    importance: Tensor | None = None


@dataclass(frozen=True)
class PosteriorSamples:
    """Samples of the posterior, for every observation.

    Parameters
    ----------
    samples
        Latents ``(B, C, draws, d)``; for a MAP estimate its one point.
    map
        The minima of U that were found; None for methods that look for none.
    diagnostics
        Numbers behind the status.
    status
        One an observation.

    Examples
    --------
    >>> status = (InferenceStatus.CONVERGED,)
    >>> drawn = PosteriorSamples(torch.arange(9.0).reshape(1, 1, 9, 1), None, Diagnostics(), status)
    >>> drawn.mean(), drawn.intervals(0.5)
    (tensor([[4.]]), (tensor([[2.]]), tensor([[6.]])))
    """

    samples: Tensor
    map: MapEstimate | None
    diagnostics: Diagnostics
    status: tuple[InferenceStatus, ...]

    def thinned(self, count: int) -> Tensor:
        """About ``count`` of all draws at equal distances, ``(B, count, d)``: enough for fields, which cost memory."""
        if count < 1:
            raise ConfigurationError(f"count = {count}: at least 1 draw is expected.")
        flat = self.samples.flatten(1, 2)
        picked = torch.linspace(0, flat.shape[1] - 1, min(count, flat.shape[1])).round().long()
        return flat[:, picked.to(flat.device)]

    def pushed(self, quantity: Callable[[Tensor], Tensor] | None = None, count: int | None = None) -> Tensor:
        """The quantity of every draw (or of about ``count`` of them), ``(B, draws, ...)``.

        ``quantity`` maps latents ``(B, k, d)`` to ``(B, k, ...)``; None stands for the latents themselves.
        """
        z = self.samples.flatten(1, 2) if count is None else self.thinned(count)
        if quantity is None:
            return z
        with torch.no_grad():
            return torch.cat([quantity(part) for part in z.split(64, dim=1)], dim=1)

    def mean(self, quantity: Callable[[Tensor], Tensor] | None = None, count: int | None = None) -> Tensor:
        """Posterior mean, ``(B, ...)``."""
        return self.pushed(quantity, count).mean(1)

    def std(self, quantity: Callable[[Tensor], Tensor] | None = None, count: int | None = None) -> Tensor:
        """Posterior standard deviation, ``(B, ...)``."""
        self._require_spread()
        return self.pushed(quantity, count).std(1)

    def intervals(
        self, level: float, quantity: Callable[[Tensor], Tensor] | None = None, count: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Lower and upper ends, ``(B, ...)`` each, of the central intervals that hold ``level`` of the posterior."""
        if not 0 < level < 1:
            raise ConfigurationError(f"level = {level}: a number between 0 and 1 is expected, e.g. 0.9.")
        self._require_spread()
        # Sorted, not torch.quantile, which refuses large fields.
        ordered = self.pushed(quantity, count).sort(dim=1).values
        return _quantile(ordered, (1 - level) / 2), _quantile(ordered, (1 + level) / 2)

    def _require_spread(self) -> None:
        if self.samples.shape[1] * self.samples.shape[2] < 2:
            raise InferenceError("a MAP estimate has no spread: use laplace, hmc, pcn or svi for error bars.", self)


def _quantile(ordered: Tensor, level: float) -> Tensor:
    """Linear interpolation between order statistics along axis 1."""
    place = level * (ordered.shape[1] - 1)
    below = int(place)
    above = min(below + 1, ordered.shape[1] - 1)
    return ordered[:, below].lerp(ordered[:, above], place - below)
