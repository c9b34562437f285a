"""The trained module: standardised states, an autoencoder, and dynamics that are integrated in between."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sciml.learners.neural_ode import ODESolution, odesolve
from sciml.learners.trajectories.autoencoders import Autoencoder

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


class Surrogate(nn.Module):
    """Follows states ``(B, *shape)`` in time; everything learned is inside, statistics of the data included.

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

    Attributes
    ----------
    budget
        Weight of the penalty and best error so far where the weight follows a budget of evaluations, ``(2,)``: stored
        here so that a training can be resumed.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        autoencoder: Autoencoder,
        dynamics: nn.Module,
        solver: Mapping[str, Any],
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.autoencoder, self.dynamics, self.solver = autoencoder, dynamics, dict(solver)
        per_channel = (shape[0], *[1] * (len(shape) - 1))
        self.register_buffer("shift", torch.zeros(per_channel))
        self.register_buffer("scale", torch.ones(per_channel))
        self.to(dtype)
        self.register_buffer("budget", torch.zeros(2, dtype=torch.float64))

    @torch.no_grad()
    def fit_statistics(self, states: Tensor, *, centred: bool) -> None:
        """Take the standard deviation, and with ``centred`` the mean, of every channel of ``(count, *shape)``."""
        axes = (0, *range(2, states.ndim))
        spread = states.double().std(axes, correction=0).reshape(self.scale.shape)
        self.scale.copy_(torch.where(spread > 0, spread, 1.0))
        if centred:
            self.shift.copy_(states.double().mean(axes).reshape(self.shift.shape))

    def standardised(self, states: Tensor) -> Tensor:
        """States in units of the training data's deviation."""
        return (states - self.shift) / self.scale

    def raw(self, standard: Tensor) -> Tensor:
        """Inverse of `standardised`."""
        return standard * self.scale + self.shift

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
        z0 = self.autoencoder.encode(self.standardised(initial))
        moments = torch.cat([times.new_zeros(1), times])
        solution = odesolve(self.dynamics, z0, moments, **self.solver, **options)
        followed = self.autoencoder.decode(solution.ys[1:].flatten(0, 1))
        states = self.raw(followed).unflatten(0, (len(times), len(initial))).transpose(0, 1)
        return RollOut(states, self.reconstructed(frames) if frames is not None else None, solution)

    def reconstructed(self, frames: Tensor) -> Tensor:
        """What the autoencoder makes of states ``(B, K, *shape)``."""
        flat = self.standardised(frames.flatten(0, 1))
        return self.raw(self.autoencoder.decode(self.autoencoder.encode(flat))).unflatten(0, frames.shape[:2])

    shift: Tensor
    scale: Tensor
    budget: Tensor
