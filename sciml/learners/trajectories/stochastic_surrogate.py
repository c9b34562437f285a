"""The trained module of a stochastic learner: many paths of latent states, and what the latent space leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sciml.learners.neural_sde import BrownianPath, SDESolution, sdesolve
from sciml.learners.trajectories.autoencoders import Autoencoder
from sciml.learners.trajectories.latent_states import LatentStates

__all__ = ["PathRollOut", "StochasticSurrogate"]


class PathRollOut(NamedTuple):
    """States that were followed in time, on several paths each.

    Attributes
    ----------
    states
        At the requested times, ``(B, K, M, *shape)``, in the unit of the data.
    residual
        Deviation of what the latent space leaves out, of every entry, ``shape``, in the unit of the data.
    reconstruction
        What the autoencoder makes of the given frames, of their shape; None where none were given.
    solution
        Of the latent states, with what the solver measured; sample b on path k is row b K + k.
    """

    states: Tensor
    residual: Tensor
    reconstruction: Tensor | None
    solution: SDESolution


class StochasticSurrogate(LatentStates):
    """Follows states ``(B, *shape)`` along paths of a stochastic differential equation (Itô) of their latent states.

    Parameters
    ----------
    shape
        Of a state, ``(channels, *grid)``.
    autoencoder
        Between standardised states and latent ones.
    dynamics, diffusion
        Coefficients of the equation of latent states, in scaled time.
    solver
        Arguments of `sdesolve`.
    dtype
        Of everything learned.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        autoencoder: Autoencoder,
        dynamics: nn.Module,
        diffusion: nn.Module,
        solver: Mapping[str, Any],
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(shape, autoencoder, dynamics)
        self.diffusion, self.solver = diffusion, dict(solver)
        self.register_buffer("left_out", torch.zeros(shape))
        self.log_residual = nn.Parameter(torch.zeros(()))
        self.in_dtype(dtype)

    @torch.no_grad()
    def fit_residual(self, states: Tensor) -> None:
        """Measure what the autoencoder loses of states ``(count, *shape)``; training scales it."""
        lost = self.reconstructed(states.to(self.scale)[:, None])[:, 0] - states.to(self.scale)
        self.left_out.copy_(lost.double().square().mean(0).sqrt())

    @property
    def residual(self) -> Tensor:
        """Deviation of what the latent space leaves out, ``shape``."""
        return self.left_out * self.log_residual.exp()

    def forward(
        self, initial: Tensor, times: Tensor, seeds: Tensor, frames: Tensor | None = None, **options: Any
    ) -> PathRollOut:
        """Follow initial states to the scaled ``times`` ``(M,)``, increasing from above 0, float64.

        Parameters
        ----------
        initial
            ``(B, *shape)``, in the unit of the data.
        times
            Scaled times.
        seeds
            Of the paths of every state, ``(B, K)`` int64.
        frames
            States ``(B, N, *shape)`` for the autoencoder to reconstruct.
        options
            Further arguments of `sdesolve`.

        Raises
        ------
        SolverError
            If a path cannot be followed to its end.
        """
        count, paths = seeds.shape
        z0 = self.encoded(initial).repeat_interleave(paths, 0)
        # Of one length for all times up to the usual last one, so that these lie on the same paths.
        brownian = BrownianPath(seeds.flatten(), z0.shape[1], end=max(1.0, float(times[-1])))
        moments = torch.cat([times.new_zeros(1), times])
        solution = sdesolve(self.dynamics, self.diffusion, z0, moments, brownian=brownian, **self.solver, **options)
        states = self.decoded(solution.ys[1:].flatten(0, 1)).unflatten(0, (len(times), count, paths)).movedim(0, 2)
        found = self.reconstructed(frames) if frames is not None else None
        return PathRollOut(states, self.residual, found, solution)

    left_out: Tensor
