"""Input-convex networks whose output is the gradient of their potential, written out: learned proximal operators."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from operator import mul

import torch
from torch import Tensor, nn
from torch.nn import functional

from sciml.errors import ConfigurationError, LearnerError
from sciml.learners.proximal.constrained import ConstrainedNetwork
from sciml.learners.proximal.linear_maps import Convolution, LinearMap, Matrix

__all__ = ["ConvexNetwork", "FieldConvexNetwork", "VectorConvexNetwork"]

SOFTPLUS_THRESHOLD = 40.0  # e^40 is far from overflow in float32, and beyond it softplus is the identity in float64


class ConvexNetwork(ConstrainedNetwork):
    """f = ∇ψ of the convex potential

        z₀ = W₀x + b₀,   z_k = W_k s(z_{k−1}) + R_k x + b_k,   ψ(x) = Σ_k Σ ⟨a_k, s(z_k)⟩ + ⟨r, x⟩ + α‖x‖²

    with W_k ≥ 0 (k ≥ 1), a_k ≥ 0 and the convex increasing s(t) = log(1 + e^{βt})/β. As the gradient of a convex
    function, f is the proximal operator of some function R (Gribonval and Nikolova 2020; Fang, Buchanan and Sulam 2024,
    https://arxiv.org/abs/2310.14344). The gradient is written out as the transposed network: no double backward.

    Parameters
    ----------
    channels
        Channels (or entries) of x.
    first
        W₀.
    mixing
        W₁, W₂, ...; made non-negative.
    skips
        R₁, R₂, ...
    beta
        Sharpness β of the activation, in units of 1/x.
    alpha
        Weight of ‖x‖²: f is strongly monotone with modulus m = 2α.

    Raises
    ------
    ConfigurationError
        If β is not positive, or α is negative.
    """

    def __init__(
        self,
        channels: int,
        first: LinearMap,
        mixing: Sequence[LinearMap],
        skips: Sequence[LinearMap],
        beta: float,
        alpha: float,
    ) -> None:
        super().__init__()
        if not beta > 0:
            raise ConfigurationError(f"beta = {beta}: the activation's sharpness must be positive, e.g. beta=30.")
        if not alpha >= 0:
            raise ConfigurationError(f"alpha = {alpha}: the weight of the strongly convex term must not be negative.")
        self.channels, self.beta, self.alpha = channels, beta, alpha
        self.first = first
        self.mixing = nn.ModuleList(mixing)
        self.skips = nn.ModuleList(skips)
        widths = [len(layer.weight) for layer in (first, *mixing)]
        # Of all samples alike here; ``(batch, width)`` may stand in for them.
        self.biases = nn.ParameterList(torch.zeros(width) for width in widths)
        self.readouts = nn.ParameterList(torch.full((width,), 1.0 / width) for width in widths)
        self.shift = nn.Parameter(torch.zeros(channels))
        for layer in mixing:
            nn.init.uniform_(layer.weight, 0.0, 2.0 / layer.taps)

    @property
    def strong_convexity(self) -> float:
        """m with ⟨f(a) − f(b), a − b⟩ ≥ m ‖a − b‖²: 2α."""
        return 2.0 * self.alpha

    def forward(self, v: Tensor) -> Tensor:
        """f(v) = ∇ψ(v), shaped like v; differentiable as often as the activation."""
        return self._gradient(v, self._hidden(v))

    def potential(self, v: Tensor) -> Tensor:
        """ψ(v), ``(batch,)``."""
        return self._potential(v, self._hidden(v))

    def potential_and_gradient(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """ψ(v) ``(batch,)`` and f(v), for little more than f(v)."""
        hidden = self._hidden(v)
        return self._potential(v, hidden), self._gradient(v, hidden)

    def _hidden(self, v: Tensor) -> list[Tensor]:
        """Pre-activations z₀ … z_K."""
        self._check(v)
        z = self.first(v) + self._along(self.biases[0], v)
        hidden = [z]
        # A slice of a ParameterList would make new parameters of tensors that stand in for these.
        for mix, skip, bias in zip(self.mixing, self.skips, list(self.biases)[1:], strict=True):
            z = mix(self._activate(z)) + skip(v) + self._along(bias, v)
            hidden.append(z)
        return hidden

    def _potential(self, v: Tensor, hidden: list[Tensor]) -> Tensor:
        psi = self.alpha * v.square().flatten(1).sum(1) + (v * self._along(self.shift, v)).flatten(1).sum(1)
        for z, a in zip(hidden, self.readouts, strict=True):
            psi = psi + (self._activate(z) * self._along(a, z)).flatten(1).sum(1)
        return psi

    def _gradient(self, v: Tensor, hidden: list[Tensor]) -> Tensor:
        grid = v.shape[2:]
        g = 2 * self.alpha * v + self._along(self.shift, v)
        d = self._along(self.readouts[-1], v) * self._slope(hidden[-1])
        for level in range(len(hidden) - 2, -1, -1):
            z, skip, mix = hidden[level], self.skips[level], self.mixing[level]
            assert isinstance(skip, LinearMap)
            assert isinstance(mix, LinearMap)
            g = g + skip.transpose(d, grid)
            back = mix.transpose(d, z.shape[2:])
            d = (back + self._along(self.readouts[level], v)) * self._slope(z)
        return g + self.first.transpose(d, grid)

    def _activate(self, z: Tensor) -> Tensor:
        return functional.softplus(z, self.beta, SOFTPLUS_THRESHOLD)

    def _slope(self, z: Tensor) -> Tensor:
        return torch.sigmoid(self.beta * z)

    def _along(self, values: Tensor, like: Tensor) -> Tensor:
        """One value a channel, of all samples or of each, ready to be combined with fields like ``like``."""
        return values.reshape(-1, values.shape[-1], *(1,) * (like.ndim - 2))

    def constrained(self) -> list[Tensor]:
        """What multiplies activations: W_k, k ≥ 1, and a_k."""
        return [*(layer.weight for layer in self.mixing), *self.readouts]

    def _check(self, v: Tensor) -> None:
        if v.ndim != self.first.weight.ndim or v.shape[1] != self.channels:
            axes = "".join(f", n{axis}" for axis in "xyz"[: self.first.weight.ndim - 2])
            raise LearnerError(
                f"array of shape {tuple(v.shape)}: this network was built for (batch, {self.channels}{axes})."
            )


class FieldConvexNetwork(ConvexNetwork):
    """A convolutional convex potential of fields, a sum over positions: grids of any size in 1, 2 or 3 dimensions.

    Parameters
    ----------
    dim, channels
        Axes and channels of the fields.
    widths
        Channels of z₀, z₁, ...
    strides
        Of the same length, beginning with 1: the factor by which each level coarsens the grid of the one before.
    kernel
        Points of W_k along an axis (odd).
    filters
        Points of W₀, and of R_k on the finest grid (odd).
    beta, alpha
        As in `ConvexNetwork`.

    Examples
    --------
    >>> network = FieldConvexNetwork(dim=2, channels=1, widths=(8, 8), strides=(1, 2))
    >>> v = torch.rand(3, 1, 17, 20)
    >>> network(v).shape, network.potential(v).shape
    (torch.Size([3, 1, 17, 20]), torch.Size([3]))
    """

    def __init__(
        self,
        dim: int,
        channels: int = 1,
        widths: Sequence[int] = (16, 16, 16),
        strides: Sequence[int] = (1, 1, 2),
        kernel: int = 3,
        filters: int = 5,
        beta: float = 30.0,
        alpha: float = 5e-4,
    ) -> None:
        total = list(accumulate(strides, mul))
        first = Convolution(dim, channels, widths[0], filters)
        mixing = [
            Convolution(dim, source, width, kernel, stride)
            for source, width, stride in zip(widths[:-1], widths[1:], strides[1:], strict=True)
        ]
        skips = [
            Convolution(dim, channels, width, filters if t == 1 else 4 * t + 1, t)
            for width, t in zip(widths[1:], total[1:], strict=True)
        ]
        super().__init__(channels, first, mixing, skips, beta, alpha)


class VectorConvexNetwork(ConvexNetwork):
    """A dense convex potential of vectors ``(batch, entries)``.

    Examples
    --------
    >>> network = VectorConvexNetwork(entries=1, width=24, depth=2)
    >>> v = torch.linspace(-3, 3, 50)[:, None]
    >>> bool((network(v).diff(dim=0) >= 0).all())
    True
    """

    def __init__(self, entries: int, width: int = 24, depth: int = 2, beta: float = 10.0, alpha: float = 0.0) -> None:
        mixing = [Matrix(width, width) for _ in range(depth)]
        skips = [Matrix(entries, width) for _ in range(depth)]
        super().__init__(entries, Matrix(entries, width), mixing, skips, beta, alpha)
