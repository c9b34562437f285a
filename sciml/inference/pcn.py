"""Preconditioned Crank–Nicolson: chains that need no gradient and leave the prior invariant by construction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from sciml.inference.chains import ChainConfig, Move, run_chains
from sciml.inference.dual_averaging import DualAveraging
from sciml.inference.posterior import Posterior
from sciml.inference.random_draws import normal, uniform
from sciml.inference.result import Advance, PosteriorSamples

__all__ = ["PCNConfig", "PCNState", "pcn", "pcn_transition"]

FIRST_STEP = 0.3


@dataclass(frozen=True)
class PCNConfig(ChainConfig):
    """Preconditioned Crank–Nicolson (Cotter, Roberts, Stuart & White 2013): short steps, many of them."""

    thin: int = 20
    warmup: int = 2000
    target_acceptance: float = 0.25


@dataclass(frozen=True)
class PCNState:
    """Latents ``(B, C, d)`` and their misfit, U without the prior, ``(B, C)``."""

    latent: Tensor
    misfit: Tensor


def pcn(
    posterior: Posterior, config: PCNConfig, generator: Generator, progress: Advance | None = None
) -> PosteriorSamples:
    """Chains of every observation together, started from draws of the prior."""

    def misfit(z: Tensor) -> Tensor:
        with torch.no_grad():
            return posterior.misfit(z)

    def transition(state: PCNState, step: Tensor) -> Move[PCNState]:
        noise = normal(tuple(state.latent.shape), generator, state.latent)
        chance = uniform(tuple(state.misfit.shape), generator, state.misfit)
        return pcn_transition(misfit, state, step, noise, chance)

    start = posterior.prior_draws(config.chains, generator)
    state = PCNState(start, misfit(start))
    steps = DualAveraging(torch.full_like(state.misfit, FIRST_STEP), config.target_acceptance, largest=1.0)
    return run_chains(transition, state, steps, config, progress=progress)


def pcn_transition(
    misfit: Callable[[Tensor], Tensor], state: PCNState, step: Tensor, noise: Tensor, chance: Tensor
) -> Move[PCNState]:
    """Propose √(1 − β²) z + β ξ; the prior cancels, so that the misfit alone decides.

    Parameters
    ----------
    step, chance
        β in (0, 1] and a uniform number of every chain, ``(B, C)``.
    noise
        ξ, standard normal, ``(B, C, d)``.
    """
    beta = step[..., None]
    z = (1 - beta.square()).sqrt() * state.latent + beta * noise
    proposed = misfit(z).nan_to_num(nan=torch.inf)
    # A start outside the forward map's domain (infinite misfit) goes wherever it is proposed to go.
    rise = torch.where(state.misfit.isfinite(), proposed - state.misfit, 0)
    acceptance = torch.exp(-rise.clamp_min(0))
    accepted = chance < acceptance
    moved = PCNState(torch.where(accepted[..., None], z, state.latent), torch.where(accepted, proposed, state.misfit))
    return Move(moved, acceptance, torch.zeros_like(accepted))
