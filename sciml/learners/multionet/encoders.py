"""From a field to a latent vector: fully connected, convolutional, or over a set of points anywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from sciml.errors import ConfigurationError, LearnerError
from sciml.learners.mgno.v_cycle import CONVOLUTIONS
from sciml.learners.multionet.activations import activation

__all__ = ["ConvolutionalEncoder", "DenseEncoder", "PointSetEncoder"]

COARSEST = 4  # points of the shortest axis at which strided convolutions end


class DenseEncoder(nn.Module):
    """A fully connected network over the standardised values of a field on a fixed grid.

    Parameters
    ----------
    channels, grid
        Shape of a field without its batch axis.
    latent
        Numbers in the latent vector.
    widths
        Neurons of the hidden layers.

    Examples
    --------
    >>> encoder = DenseEncoder(1, (29, 29), latent=128)
    >>> encoder.fit_statistics(torch.rand(50, 1, 29, 29))
    >>> encoder(torch.rand(3, 1, 29, 29)).shape
    torch.Size([3, 128])
    """

    def __init__(self, channels: int, grid: tuple[int, ...], latent: int, widths: Sequence[int] = (512, 256)) -> None:
        super().__init__()
        self.shape = (channels, *grid)
        self.register_buffer("shift", torch.zeros(self.shape))
        self.register_buffer("scale", torch.ones(self.shape))
        self.layers = _dense(math.prod(self.shape), widths, latent)

    @torch.no_grad()
    def fit_statistics(self, fields: Tensor) -> None:
        """Take the mean and the deviation of every value from fields ``(count, channels, *grid)``.

        A value that does not vary keeps its scale: it becomes zero, and what differs from it later is not blown up.
        """
        self._check(fields)
        mean = fields.mean(0)
        deviation = (fields - mean).square().mean(0).sqrt()
        # What rounding leaves of a constant is no variation.
        varies = deviation > 16 * torch.finfo(fields.dtype).eps * mean.abs()
        self.shift.copy_(mean)
        self.scale.copy_(torch.where(varies, deviation, 1.0))

    def forward(self, field: Tensor) -> Tensor:
        """Latent vectors ``(B, latent)`` of fields ``(B, channels, *grid)``.

        Raises
        ------
        LearnerError
            If the fields have another shape.
        """
        self._check(field)
        result: Tensor = self.layers(((field - self.shift) / self.scale).flatten(1))
        return result

    def _check(self, field: Tensor) -> None:
        if tuple(field.shape[1:]) != self.shape:
            raise LearnerError(_other_shape("dense", field, self.shape))

    shift: Tensor
    scale: Tensor


class ConvolutionalEncoder(nn.Module):
    """Convolutions of stride 2 until an axis is a few points long, then a fully connected network.

    Parameters
    ----------
    channels, grid
        Shape of a field without its batch axis; one to three axes.
    latent
        Numbers in the latent vector.
    filters
        Channels of every convolution.
    widths
        Neurons of the hidden layers that follow.

    Examples
    --------
    >>> encoder = ConvolutionalEncoder(1, (29, 29), latent=128)
    >>> encoder(torch.rand(3, 1, 29, 29)).shape
    torch.Size([3, 128])
    """

    def __init__(
        self,
        channels: int,
        grid: tuple[int, ...],
        latent: int,
        filters: int = 64,
        widths: Sequence[int] = (128, 128),
    ) -> None:
        super().__init__()
        if len(grid) not in CONVOLUTIONS:
            raise ConfigurationError(f"a grid of {len(grid)} axes: convolutions are offered for one to three.")
        self.shape = (channels, *grid)
        stages = max(1, math.ceil(math.log2(max(min(grid) / COARSEST, 1))))
        layers: list[nn.Module] = []
        for stage in range(stages):
            layers += [CONVOLUTIONS[len(grid)](filters if stage else channels, filters, 3, 2, 1), nn.SiLU()]
            grid = tuple((n + 1) // 2 for n in grid)
        self.layers = nn.Sequential(*layers, nn.Flatten(), _dense(filters * math.prod(grid), widths, latent))

    def forward(self, field: Tensor) -> Tensor:
        """Latent vectors ``(B, latent)`` of fields ``(B, channels, *grid)``.

        Raises
        ------
        LearnerError
            If the fields have another shape.
        """
        if tuple(field.shape[1:]) != self.shape:
            raise LearnerError(_other_shape("convolutional", field, self.shape))
        result: Tensor = self.layers(field)
        return result


class PointSetEncoder(nn.Module):
    """Means over the points of value × learned function of the place, then a fully connected network.

    The means (1/n) Σᵢ a(xᵢ) ψⱼ(xᵢ) approximate integrals ∫ a ψⱼ: they know no order of the points, hardly depend on
    their number, and are linear in the values as the first layer of a dense network is. The values are joined by a
    constant one, whose means tell how the points are spread.

    Parameters
    ----------
    dim, channels
        Coordinates of a point, and numbers measured there.
    latent
        Numbers in the latent vector.
    functions
        How many ψⱼ there are.
    widths
        Neurons of the hidden layers that follow.

    Examples
    --------
    >>> encoder = PointSetEncoder(dim=2, channels=1, latent=128)
    >>> encoder(torch.rand(3, 40, 1), torch.rand(40, 2)).shape
    torch.Size([3, 128])
    """

    def __init__(
        self, dim: int, channels: int, latent: int, functions: int = 128, widths: Sequence[int] = (256, 256)
    ) -> None:
        super().__init__()
        self.dim, self.channels = dim, channels
        self.activation = activation("tanh_sin")
        self.places = nn.ModuleList([nn.Linear(dim, functions), *(nn.Linear(functions, functions) for _ in range(2))])
        self.layers = _dense((channels + 1) * functions, widths, latent)

    def forward(self, values: Tensor, points: Tensor, mask: Tensor | None = None) -> Tensor:
        """Latent vectors ``(B, latent)`` of values measured at points.

        Parameters
        ----------
        values
            ``(B, n, channels)``.
        points
            ``(n, dim)``, or ``(B, n, dim)`` where every sample has its own.
        mask
            ``(B, n)``, false where a row only fills up the array; whatever stands there is ignored. None: all count.

        Raises
        ------
        LearnerError
            If shapes do not fit, or a sample has no point.
        """
        self._check(values, points, mask)
        if mask is not None:
            values = values.masked_fill(~mask[..., None], 0)
            if points.ndim == 3:
                points = points.masked_fill(~mask[..., None], 0)
        ones = values.new_ones(values.shape[:2]) if mask is None else mask.to(values.dtype)
        for layer in self.places:
            (points,) = self.activation(layer(points), 0)
        rule = "bnc,nj->bcj" if points.ndim == 2 else "bnc,bnj->bcj"
        sums = torch.einsum(rule, torch.cat([values, ones[..., None]], -1), points)
        result: Tensor = self.layers((sums / ones.sum(1)[:, None, None]).flatten(1))
        return result

    def _check(self, values: Tensor, points: Tensor, mask: Tensor | None) -> None:
        if values.ndim != 3 or values.shape[-1] != self.channels:
            raise LearnerError(f"values of shape {tuple(values.shape)}: expected (samples, n, {self.channels}).")
        count, n, _ = values.shape
        if points.shape not in ((n, self.dim), (count, n, self.dim)):
            raise LearnerError(
                f"points of shape {tuple(points.shape)}: expected ({n}, {self.dim}), or ({count}, {n}, {self.dim}), a "
                "place for every value."
            )
        if mask is not None and (mask.shape != (count, n) or mask.dtype != torch.bool):
            raise LearnerError(f"mask {tuple(mask.shape)} of {mask.dtype}: expected ({count}, {n}) of torch.bool.")
        measured = torch.full((count,), n > 0) if mask is None else mask.any(1)
        if not bool(measured.all()):
            rows = (~measured).nonzero().flatten().tolist()
            raise LearnerError(f"{len(rows)} of {count} samples have no point (first: {rows[0]}): leave them out.")


def _dense(inputs: int, widths: Sequence[int], outputs: int) -> nn.Sequential:
    """Linear layers with SiLU between them."""
    sizes = [inputs, *widths]
    hidden = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.SiLU())]
    return nn.Sequential(*hidden, nn.Linear(sizes[-1], outputs))


def _other_shape(branch: str, field: Tensor, shape: tuple[int, ...]) -> str:
    expected = ", ".join(map(str, shape))
    return (
        f"the {branch} branch was made for fields (samples, {expected}), not {tuple(field.shape)}: bring them to that "
        "grid, or use branch=points."
    )
