"""What all Markov chains share: warm-up, recording, and the judgement whether they have mixed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

from sciml.inference.diagnostics import bulk_ess, split_r_hat
from sciml.inference.dual_averaging import DualAveraging
from sciml.inference.limits import require_at_least, require_fraction, require_positive
from sciml.inference.result import Advance, Diagnostics, InferenceStatus, MapEstimate, PosteriorSamples

__all__ = ["ChainConfig", "Move", "run_chains"]


@dataclass(frozen=True)
class ChainConfig:
    """Length of Markov chains, and when they are believed.

    Parameters
    ----------
    chains
        Per observation; their agreement is the evidence of convergence.
    draws, thin
        Samples kept of every chain, one in every ``thin`` transitions.
    warmup
        Transitions before, in which the step size is adapted and which are thrown away.
    target_acceptance
        Mean acceptance that the step sizes aim at.
    max_r_hat, min_ess
        Chains have mixed when no coordinate's R-hat is above, and no bulk effective sample size below these (Vehtari et
        al. 2021 recommend 1.01, and 100 a chain).
    max_divergent
        Share of transitions after warm-up that may diverge.

    Raises
    ------
    ConfigurationError
        If a value is out of its range.
    """

    chains: int = 4
    draws: int = 1000
    thin: int = 1
    warmup: int = 500
    target_acceptance: float = 0.8
    max_r_hat: float = 1.01
    min_ess: float = 400.0
    max_divergent: float = 0.01

    def __post_init__(self) -> None:
        require_at_least(1, chains=self.chains, thin=self.thin, max_r_hat=self.max_r_hat)
        require_at_least(4, draws=self.draws)
        require_at_least(0, warmup=self.warmup, max_divergent=self.max_divergent)
        require_fraction(target_acceptance=self.target_acceptance)
        require_positive(min_ess=self.min_ess)


class State(Protocol):
    """Where the chains stand, and what their kernel wants to remember about it."""

    @property
    def latent(self) -> Tensor:
        """Latents ``(B, C, d)``."""


S = TypeVar("S", bound=State)


@dataclass(frozen=True)
class Move(Generic[S]):
    """One transition: the new state, the acceptance probability ``(B, C)`` and whether it diverged ``(B, C)``."""

    state: S
    acceptance: Tensor
    diverged: Tensor


def run_chains(
    transition: Callable[[S, Tensor], Move[S]],
    state: S,
    steps: DualAveraging,
    config: ChainConfig,
    estimate: MapEstimate | None = None,
    progress: Advance | None = None,
) -> PosteriorSamples:
    """Warm up, draw, and judge; ``transition`` takes a state and step sizes ``(B, C)``.

    An observation whose chains did not mix is `NOT_MIXED`; one with too many divergences, or with a state that is not
    finite, is `DIVERGED`.
    """
    total = config.warmup + config.draws * config.thin
    kept, acceptance, divergences = [], torch.zeros_like(steps.current), torch.zeros_like(steps.current)
    for index in range(total):
        warming = index < config.warmup
        move = transition(state, steps.current if warming else steps.averaged)
        state = move.state
        if warming:
            steps.update(move.acceptance)
        else:
            acceptance, divergences = acceptance + move.acceptance, divergences + move.diverged
            if (index - config.warmup) % config.thin == config.thin - 1:
                kept.append(state.latent)
        if progress is not None:
            progress((index + 1) / total, "warm-up" if warming else f"acceptance {move.acceptance.mean().item():.2f}")
    samples = torch.stack(kept, dim=2)
    transitions = config.draws * config.thin
    diagnostics = Diagnostics(
        split_r_hat(samples), bulk_ess(samples), acceptance / transitions, steps.averaged, divergences.long()
    )
    return PosteriorSamples(samples, estimate, diagnostics, _judge(samples, diagnostics, config))


def _judge(samples: Tensor, diagnostics: Diagnostics, config: ChainConfig) -> tuple[InferenceStatus, ...]:
    assert diagnostics.r_hat is not None
    assert diagnostics.ess is not None
    assert diagnostics.divergences is not None
    mixed = (diagnostics.r_hat <= config.max_r_hat).all(-1) & (diagnostics.ess >= config.min_ess).all(-1)
    share = diagnostics.divergences.sum(-1) / (config.chains * config.draws * config.thin)
    diverged = (share > config.max_divergent) | ~samples.isfinite().flatten(1).all(-1)
    return tuple(
        InferenceStatus.DIVERGED if bad else InferenceStatus.CONVERGED if good else InferenceStatus.NOT_MIXED
        for bad, good in zip(diverged.tolist(), mixed.tolist(), strict=True)
    )
