"""What every module that follows states has: their statistics, an autoencoder, and dynamics of latent states."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sciml.learners.trajectories.autoencoders import Autoencoder

__all__ = ["LatentStates"]


class LatentStates(nn.Module):
    """Between states ``(B, *shape)`` and latent ones; everything learned is inside, statistics of the data included.

    Parameters
    ----------
    shape
        Of a state, ``(channels, *grid)``.
    autoencoder
        Between standardised states and latent ones.
    dynamics
        Right-hand side of latent states, in scaled time; of a stochastic equation the drift.

    Attributes
    ----------
    budget
        Weight of the penalty and best error so far where the weight follows a budget of evaluations, ``(2,)`` float64:
        stored here so that a training can be resumed.
    """

    def __init__(self, shape: tuple[int, ...], autoencoder: Autoencoder, dynamics: nn.Module) -> None:
        super().__init__()
        self.autoencoder, self.dynamics = autoencoder, dynamics
        per_channel = (shape[0], *[1] * (len(shape) - 1))
        self.register_buffer("shift", torch.zeros(per_channel))
        self.register_buffer("scale", torch.ones(per_channel))
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

    def encoded(self, states: Tensor) -> Tensor:
        """Latent states ``(B, *latent)`` of states ``(B, *shape)``."""
        return self.autoencoder.encode(self.standardised(states))

    def decoded(self, latent: Tensor) -> Tensor:
        """States of latent states."""
        return self.raw(self.autoencoder.decode(latent))

    def reconstructed(self, frames: Tensor) -> Tensor:
        """What the autoencoder makes of states ``(B, K, *shape)``."""
        return self.decoded(self.encoded(frames.flatten(0, 1))).unflatten(0, frames.shape[:2])

    def in_dtype(self, dtype: torch.dtype) -> None:
        """Give everything learned a dtype; the budget keeps its own."""
        self.to(dtype)
        self.budget = self.budget.double()

    shift: Tensor
    scale: Tensor
    budget: Tensor
