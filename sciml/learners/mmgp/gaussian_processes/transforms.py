"""Monotone maps of outputs to a scale on which they are closer to normal, and back."""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass, fields
from typing import Protocol

import torch
from torch import Tensor

from sciml.errors import LearnerError
from sciml.learners.mmgp.gaussian_processes.posterior import GaussianPrediction

__all__ = [
    "TRANSFORMS",
    "Asinh",
    "BoundedAsinh",
    "Identity",
    "Logarithm",
    "Transform",
    "YeoJohnson",
    "decode_transforms",
    "encode_transforms",
    "original_moments",
    "original_quantile",
]

NODES = 40
"""Of the Gauss–Hermite quadrature that carries moments back."""


class Transform(Protocol):
    """An increasing, differentiable map w ↦ z of the real numbers (of the positive ones for `Logarithm`)."""

    def forward(self, w: Tensor) -> Tensor:
        """z of any shape."""

    def inverse(self, z: Tensor) -> Tensor:
        """w, so that ``inverse(forward(w)) == w``."""

    def log_slope(self, w: Tensor) -> Tensor:
        """log dz/dw: what turns a density of z into one of w."""


@dataclass(frozen=True)
class Identity:
    """z = w.

    Examples
    --------
    >>> Identity().forward(torch.tensor(2.0))
    tensor(2.)
    """

    def forward(self, w: Tensor) -> Tensor:
        return w

    def inverse(self, z: Tensor) -> Tensor:
        return z

    def log_slope(self, w: Tensor) -> Tensor:
        return torch.zeros_like(w)


@dataclass(frozen=True)
class Asinh:
    """z = asinh(w/scale): linear where |w| is below the scale, logarithmic above; for heavy tails of either sign.

    Examples
    --------
    >>> Asinh(2.0).inverse(Asinh(2.0).forward(torch.tensor(5.0)))
    tensor(5.0000)
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        _require_positive_scale(self.scale)

    def forward(self, w: Tensor) -> Tensor:
        return torch.asinh(w / self.scale)

    def inverse(self, z: Tensor) -> Tensor:
        return self.scale * torch.sinh(z)

    def log_slope(self, w: Tensor) -> Tensor:
        return -torch.log(torch.hypot(w, torch.full_like(w, self.scale)))


@dataclass(frozen=True)
class Logarithm:
    """z = log w of positive values.

    Examples
    --------
    >>> Logarithm().inverse(torch.tensor(0.0))
    tensor(1.)
    """

    def forward(self, w: Tensor) -> Tensor:
        if (w <= 0).any():
            raise LearnerError(
                f"the logarithm of {w.min().item():.3g}: use asinh where values may be zero or negative."
            )
        return torch.log(w)

    def inverse(self, z: Tensor) -> Tensor:
        return torch.exp(z)

    def log_slope(self, w: Tensor) -> Tensor:
        return -torch.log(w)


@dataclass(frozen=True)
class YeoJohnson:
    """The power transform of Yeo & Johnson (2000) of w/scale; a power of 1 is w/scale itself.

    Powers are within [0, 2]: outside, z would be bounded, and a normal z have no w.

    Examples
    --------
    >>> YeoJohnson(0.5, 1.0).forward(torch.tensor([3.0, 0.0]))
    tensor([2., 0.])
    """

    power: float = 1.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        _require_positive_scale(self.scale)
        if not 0 <= self.power <= 2:
            raise LearnerError(f"power = {self.power}: a number from 0 to 2 is expected.")

    def forward(self, w: Tensor) -> Tensor:
        return torch.copysign(_box_cox(w.abs() / self.scale, self._power(w)), w)

    def inverse(self, z: Tensor) -> Tensor:
        power = self._power(z)
        vanishing = power.abs() < 1e-6
        safe = torch.where(vanishing, 1, power)
        size = torch.where(vanishing, torch.expm1(z.abs()), torch.expm1(torch.log1p(safe * z.abs()) / safe))
        return torch.copysign(self.scale * size, z)

    def log_slope(self, w: Tensor) -> Tensor:
        return (self._power(w) - 1) * torch.log1p(w.abs() / self.scale) - math.log(self.scale)

    def _power(self, values: Tensor) -> Tensor:
        """The Box–Cox power of each value: p above zero and 2 − p below."""
        above = torch.full_like(values, self.power)
        return torch.where(values >= 0, above, 2 - above)


@dataclass(frozen=True)
class BoundedAsinh:
    """`Asinh` whose inverse stops at ±bound: without, the mean of sinh of a normal variable knows no measure.

    Examples
    --------
    >>> BoundedAsinh(1.0, 20.0).inverse(torch.tensor([2.0, 5.0, -9.0]))
    tensor([  3.6269,  20.0000, -20.0000])
    """

    scale: float
    bound: float

    def __post_init__(self) -> None:
        _require_positive_scale(self.scale)
        if not self.bound > 0:
            raise LearnerError(f"bound = {self.bound}: a positive number is expected.")

    def forward(self, w: Tensor) -> Tensor:
        return Asinh(self.scale).forward(w)

    def inverse(self, z: Tensor) -> Tensor:
        end = math.asinh(self.bound / self.scale)
        return Asinh(self.scale).inverse(z.clamp(-end, end))

    def log_slope(self, w: Tensor) -> Tensor:
        return Asinh(self.scale).log_slope(w)


TRANSFORMS: tuple[type[Transform], ...] = (Identity, Asinh, Logarithm, YeoJohnson, BoundedAsinh)
"""In the order of their numbers in files: add at the end."""


def original_moments(transform: Transform, latent: GaussianPrediction) -> GaussianPrediction:
    """Mean and variance of w where z is normal, by Gauss–Hermite quadrature.

    The mean of w is not the image of the mean of z. The tails of sinh and exp need a standard deviation of z below
    about three.

    Examples
    --------
    >>> z = GaussianPrediction(torch.zeros(1, 1), torch.ones(1, 1))
    >>> original_moments(Logarithm(), z).mean  # of a log-normal: exp(1/2)
    tensor([[1.6487]])
    """
    if isinstance(transform, Identity):
        return latent
    import numpy as np

    nodes, weights = (torch.from_numpy(part).to(latent.mean) for part in np.polynomial.hermite_e.hermegauss(NODES))
    weights = weights / weights.sum()
    values = transform.inverse(latent.mean[..., None] + latent.variance.sqrt()[..., None] * nodes)
    mean = (values * weights).sum(-1)
    return GaussianPrediction(mean, ((values - mean[..., None]).square() * weights).sum(-1))


def original_quantile(transform: Transform, latent: GaussianPrediction, level: float) -> Tensor:
    """The ``level`` quantile of w where z is normal: exactly the image of z's, since the map is increasing.

    Examples
    --------
    >>> z = GaussianPrediction(torch.zeros(1, 1), torch.ones(1, 1))
    >>> original_quantile(Logarithm(), z, 0.5)
    tensor([[1.]])
    """
    if not 0 < level < 1:
        raise LearnerError(f"level = {level}: a number between 0 and 1 is expected.")
    normal = torch.special.ndtri(torch.tensor(level, dtype=torch.float64)).item()
    return transform.inverse(latent.mean + normal * latent.variance.sqrt())


def encode_transforms(transforms: tuple[Transform, ...]) -> Tensor:
    """Numbers and parameters ``(m, 3)``, float64, for a file of tensors; `decode_transforms` is the inverse.

    Examples
    --------
    >>> encode_transforms((Identity(), YeoJohnson(0.5, 2.0)))
    tensor([[0.0000, 0.0000, 0.0000],
            [3.0000, 0.5000, 2.0000]], dtype=torch.float64)
    """
    rows = torch.zeros(len(transforms), 3, dtype=torch.float64)
    for row, transform in zip(rows, transforms, strict=True):
        parameters = astuple(transform)  # type: ignore[call-overload]
        row[0] = TRANSFORMS.index(type(transform))
        row[1 : 1 + len(parameters)] = torch.tensor(parameters, dtype=torch.float64)
    return rows


def decode_transforms(rows: Tensor) -> tuple[Transform, ...]:
    """What `encode_transforms` wrote.

    Raises
    ------
    LearnerError
        If a number is that of no transform.

    Examples
    --------
    >>> decode_transforms(encode_transforms((Identity(), Asinh(0.25))))
    (Identity(), Asinh(scale=0.25))
    """
    found: list[Transform] = []
    for number, *parameters in rows.tolist():
        if number not in range(len(TRANSFORMS)):
            raise LearnerError(f"transform number {number}: this version knows 0 to {len(TRANSFORMS) - 1}.")
        kind = TRANSFORMS[int(number)]
        found.append(kind(*parameters[: len(fields(kind))]))  # type: ignore[arg-type]
    return tuple(found)


def _box_cox(size: Tensor, power: Tensor) -> Tensor:
    """((1 + s)^p − 1)/p, continued by log(1 + s) at p = 0."""
    vanishing = power.abs() < 1e-6
    safe = torch.where(vanishing, 1, power)
    logarithm = torch.log1p(size)
    return torch.where(vanishing, logarithm, torch.expm1(safe * logarithm) / safe)


def _require_positive_scale(scale: float) -> None:
    if not 0 < scale < math.inf:
        raise LearnerError(f"scale = {scale}: a positive finite number, in the output's unit, is expected.")
