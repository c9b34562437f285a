"""Hamiltonian Monte Carlo: chains that follow the gradient of the potential."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from sciml.errors import ConfigurationError
from sciml.inference.chains import ChainConfig, Move, run_chains
from sciml.inference.dual_averaging import DualAveraging
from sciml.inference.gaussian import Gaussian
from sciml.inference.laplace import fit_laplace, log_evidences
from sciml.inference.map_estimate import MapConfig, find_minima
from sciml.inference.posterior import Posterior
from sciml.inference.random_draws import normal, uniform
from sciml.inference.result import Advance, MapEstimate, PosteriorSamples

__all__ = ["HMCConfig", "HMCState", "hmc", "hmc_transition"]

DIVERGENT = 1000.0  # energy error in nats from which the trajectory has left the posterior, as in Stan
LARGEST_STEP = 1.2  # stable up to 2 where the posterior is the Gaussian of the mass matrix; tails suffer before
NEGLIGIBLE = 10.0  # minima whose mass is smaller by this many nats start no chain


@dataclass(frozen=True)
class HMCConfig(ChainConfig):
    """Hamiltonian Monte Carlo (Neal 2011) with the Laplace approximation's precision as mass matrix.

    Parameters
    ----------
    leapfrog
        Least and most leapfrog steps of a transition; drawn anew each time, so that no orbit closes.
    map
        How the minima are found from which the chains start.
    """

    leapfrog: tuple[int, int] = (10, 20)
    map: MapConfig = field(default_factory=MapConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        least, most = self.leapfrog
        if not 1 <= least <= most:
            raise ConfigurationError(f"leapfrog = {self.leapfrog}: two rising numbers from 1 are expected: (10, 20).")


@dataclass(frozen=True)
class HMCState:
    """Latents z and standardised positions w with z = m + S w, U and its gradient in w: ``(B, C, d)``, U ``(B, C)``."""

    latent: Tensor
    position: Tensor
    potential: Tensor
    gradient: Tensor


def hmc(
    posterior: Posterior, config: HMCConfig, generator: Generator, progress: Advance | None = None
) -> PosteriorSamples:
    """Chains of every observation together, started about the minima that carry mass."""
    estimate = find_minima(posterior, config.map, generator)
    gaussian = fit_laplace(estimate)
    evaluate = standardised_potential(posterior, gaussian)
    about = gaussian.standardised(_starts(estimate, config.chains))
    state = evaluate(about + normal(tuple(about.shape), generator, about))
    d = posterior.latent_dim
    steps = DualAveraging(torch.full_like(state.potential, d**-0.25), config.target_acceptance, LARGEST_STEP)

    def transition(state: HMCState, step: Tensor) -> Move[HMCState]:
        least, most = config.leapfrog
        leaps = int(torch.randint(least, most + 1, (), generator=generator, device=generator.device))
        momentum = normal(tuple(state.position.shape), generator, state.position)
        chance = uniform(tuple(state.potential.shape), generator, state.potential)
        return hmc_transition(evaluate, state, step, leaps, momentum, chance)

    return run_chains(transition, state, steps, config, estimate, progress)


def standardised_potential(posterior: Posterior, gaussian: Gaussian) -> Callable[[Tensor], HMCState]:
    """U and its gradient as functions of w; identity mass there is mass (S Sᵀ)⁻¹ in z."""

    def evaluate(w: Tensor) -> HMCState:
        z = gaussian.latent(w)
        U, g = posterior.potential_and_gradient(z)
        return HMCState(z, w, U, g @ gaussian.factor)

    return evaluate


def hmc_transition(
    evaluate: Callable[[Tensor], HMCState], state: HMCState, step: Tensor, leaps: int, momentum: Tensor, chance: Tensor
) -> Move[HMCState]:
    """One trajectory of ``leaps`` leapfrog steps, accepted where ``chance`` is below exp(−energy error).

    Parameters
    ----------
    step, chance
        Step size and uniform number of every chain, ``(B, C)``.
    momentum
        Standard normal, ``(B, C, d)``.
    """
    epsilon = step[..., None]
    energy = state.potential + momentum.square().sum(-1) / 2
    end, p = state, momentum - epsilon / 2 * state.gradient
    for leap in range(leaps):
        w = end.position + epsilon * p
        # A trajectory that has run away stays where it is: it is rejected, and the forward map sees no infinity.
        end = evaluate(torch.where(w.isfinite().all(-1, keepdim=True), w, end.position))
        p = p - (epsilon / 2 if leap == leaps - 1 else epsilon) * end.gradient
    error = (end.potential + p.square().sum(-1) / 2 - energy).nan_to_num(nan=torch.inf)
    acceptance = torch.exp(-error.clamp_min(0))
    accepted = chance < acceptance
    return Move(_where(accepted, end, state), acceptance, ~(error <= DIVERGENT))


def _where(accepted: Tensor, new: HMCState, old: HMCState) -> HMCState:
    chosen = accepted[..., None]
    return HMCState(
        torch.where(chosen, new.latent, old.latent),
        torch.where(chosen, new.position, old.position),
        torch.where(accepted, new.potential, old.potential),
        torch.where(chosen, new.gradient, old.gradient),
    )


def _starts(estimate: MapEstimate, chains: int) -> Tensor:
    """A minimum for every chain, in turn, ``(B, C, d)``; one of negligible mass is replaced by the lowest."""
    evidence = log_evidences(estimate)
    carries_mass = evidence >= evidence.amax(-1, keepdim=True) - NEGLIGIBLE
    centres = torch.where(carries_mass[..., None], estimate.minima, estimate.z[:, None])
    centres = torch.where(centres.isfinite(), centres, 0)
    return centres[:, torch.arange(chains) % centres.shape[1]]
