"""The diffusion that is learned: a strength for every latent entry, changed by a network within bounds."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sciml.learners.trajectories.dynamics import DenseDynamics

__all__ = ["NoiseStrength"]


class NoiseStrength(nn.Module):
    """g(t, z) = amplitude · 2 sigmoid(network(t, z)) for latent states ``(B, size)``.

    Bounded, since noise visits states that no training trajectory does. With an amplitude of zero there is no noise.

    Parameters
    ----------
    size
        Entries of a latent state.
    width, depth, activation
        Of the network.
    amplitude
        Of all entries before training, in deviations of the data per root of the whole time.

    Examples
    --------
    >>> strength = NoiseStrength(3, amplitude=0.2)(torch.zeros(5), torch.randn(5, 3))
    >>> bool((0 < strength).all() and (strength < 0.4).all())
    True
    """

    def __init__(
        self, size: int, width: int = 64, depth: int = 1, activation: str = "tanh", amplitude: float = 0.1
    ) -> None:
        super().__init__()
        self.network = DenseDynamics(size, width, depth, activation)
        self.amplitude = nn.Parameter(torch.full((size,), amplitude))

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """Strength of the noise of every entry, ``(B, size)``."""
        strength: Tensor = self.amplitude * (2 * torch.sigmoid(self.network(t, z)))
        return strength
