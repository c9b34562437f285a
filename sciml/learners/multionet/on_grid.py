"""MultiONet between fields on a grid: encode the inputs, answer at the grid's points or at any others."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sciml.learners.grid_features import ScaledNetwork
from sciml.learners.multionet.encoders import ConvolutionalEncoder, DenseEncoder, PointSetEncoder
from sciml.learners.multionet.network import MultiONet

__all__ = ["GridMultiONet", "ScaledMultiONet"]


class GridMultiONet(nn.Module):
    """Fields ``(B, channels + dim, *grid)``, their coordinates last, to fields ``(B, outputs, *grid)``.

    Coordinates are the same in every sample: only a branch over a set of points is given them, and the trunk.

    Parameters
    ----------
    encoder
        From the channels before the coordinates to the latent vector, which is then bounded by tanh.
    decoder
        From the latent vector to the field at points with coordinates in [-1, 1].
    """

    def __init__(self, encoder: DenseEncoder | ConvolutionalEncoder | PointSetEncoder, decoder: MultiONet) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, seen: Tensor) -> Tensor:
        """The answer on the inputs' own grid."""
        return self.at(seen, self._points(seen)).unflatten(2, seen.shape[2:])

    def at(self, seen: Tensor, points: Tensor) -> Tensor:
        """The answer ``(B, outputs, n)`` at points ``(n, dim)``."""
        answer: Tensor = self.decoder(self.latent(seen), points)
        return answer.mT

    def latent(self, seen: Tensor) -> Tensor:
        """Latent vectors ``(B, latent)`` in (-1, 1)."""
        values = seen[:, : -self.decoder.dim_x]
        if isinstance(self.encoder, PointSetEncoder):
            return torch.tanh(self.encoder(values.flatten(2).mT, self._points(seen)))
        return torch.tanh(self.encoder(values))

    def _points(self, seen: Tensor) -> Tensor:
        """The grid's points ``(n, dim)``, which every sample repeats."""
        return seen[0, -self.decoder.dim_x :].flatten(1).T


class ScaledMultiONet(ScaledNetwork):
    """A scaled network that also answers between the points of the grid."""

    network: GridMultiONet

    def fit_statistics(self, features: Tensor, target: Tensor, centred: bool) -> None:
        """Statistics of the channels, and for a dense branch those of every value of the standardised fields."""
        super().fit_statistics(features, target, centred)
        if isinstance(self.network.encoder, DenseEncoder):
            self.network.encoder.fit_statistics((features - self.shift) / self.scale)

    def at(self, features: Tensor, points: Tensor) -> Tensor:
        """Raw outputs ``(B, outputs, n)`` at points ``(n, dim)`` of the unit cube, for raw channels on a grid."""
        answer = self.network.at(self.standardised(features), 2 * points - 1)
        return answer * self.output_scale.flatten(1) + self.output_shift.flatten(1)
