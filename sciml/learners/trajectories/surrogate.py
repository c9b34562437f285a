"""The trained module: standardised states, an autoencoder, and dynamics that are integrated in between."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sciml.learners.neural_ode import ODESolution, odesolve
from sciml.learners.trajectories.autoencoders import Autoencoder
from sciml.learners.trajectories.latent_states import LatentStates

__all__ = ["RollOut", "Surrogate"]


class RollOut(NamedTuple):
    """States that were followed in time.

    Attributes
    ----------
    states
        At the requested times, ``(B, M, *shape)``, in the unit of the data.
    reconstruction
        What the autoencoder makes of the given frames, of their shape; None where none were given.
    solution
        Of the latent states, with what the solver measured.
    """

    states: Tensor
    reconstruction: Tensor | None
    solution: ODESolution


class Surrogate(LatentStates):
    """Follows states ``(B, *shape)`` in time along an ordinary differential equation of their latent states.

    Parameters
    ----------
    shape
        Of a state, ``(channels, *grid)``.
    autoencoder
        Between standardised states and latent ones.
    dynamics
        Right-hand side of latent states, in scaled time.
    solver
        Arguments of `odesolve`.
    dtype
        Of everything learned.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        autoencoder: Autoencoder,
        dynamics: nn.Module,
        solver: Mapping[str, Any],
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(shape, autoencoder, dynamics)
        self.solver = dict(solver)
        self.in_dtype(dtype)

    def forward(self, initial: Tensor, times: Tensor, frames: Tensor | None = None, **options: Any) -> RollOut:
        """Follow initial states to the scaled ``times`` ``(M,)``, increasing from above 0, float64.

        Parameters
        ----------
        initial
            ``(B, *shape)``, in the unit of the data.
        times
            Scaled times.
        frames
            States ``(B, K, *shape)`` for the autoencoder to reconstruct.
        options
            Further arguments of `odesolve`.

        Raises
        ------
        SolverError
            If a sample cannot be followed to its end.
        """
        moments = torch.cat([times.new_zeros(1), times])
        solution = odesolve(self.dynamics, self.encoded(initial), moments, **self.solver, **options)
        states = self.decoded(solution.ys[1:].flatten(0, 1)).unflatten(0, (len(times), len(initial))).transpose(0, 1)
        return RollOut(states, self.reconstructed(frames) if frames is not None else None, solution)
