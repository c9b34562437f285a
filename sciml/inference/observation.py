"""What was measured: sensors, values, and how noisy they are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.errors import ObservationError

__all__ = ["Observation"]

LISTED = 8  # indices named in a message


@dataclass(frozen=True)
class Observation:
    """Noisy values at sensors, for a batch of B independent observations of n numbers each.

    Parameters
    ----------
    points
        Places of the sensors, ``(n, dim)`` shared by the batch or ``(B, n, dim)``.
    values
        What was measured, ``(B, n)``, float32 or float64: the dtype of the inference.
    noise_std
        Standard deviation of the noise: a number, or an array that expands to ``(B, n)``.
    mask
        True where there is a value, ``(n,)`` or ``(B, n)``; None for everywhere. What is masked may be NaN.

    Raises
    ------
    ObservationError
        If shapes do not fit, a noise is not positive, or a value is not finite; the message lists where.

    Examples
    --------
    >>> values = torch.tensor([[1.0, 2.0, torch.nan]])
    >>> observation = Observation(torch.rand(3, 2), values, noise_std=0.1, mask=values.isfinite())
    >>> observation.std.shape, observation.observed.sum().item()
    (torch.Size([1, 3]), 2)
    """

    points: Tensor
    values: Tensor
    noise_std: float | Tensor
    mask: Tensor | None = None

    def __post_init__(self) -> None:
        _check_shapes(self.points, self.values)
        _expand("noise_std", self.noise_std, self.values)
        _expand("mask", self.mask, self.values)
        if self.mask is not None and self.mask.dtype != torch.bool:
            raise ObservationError(f"mask: dtype bool is expected, found {self.mask.dtype}; use mask=mask.bool().")
        _require(self.values.isfinite(), self.observed, "values: not finite", "mask it, or correct the file")
        _require(self.std.isfinite() & (self.std > 0), self.observed, "noise_std: not positive", "give its true size")
        places = self.points.isfinite().all(-1).expand_as(self.values)
        _require(places, self.observed, "points: not finite", "mask the sensor, or correct its place")

    @property
    def std(self) -> Tensor:
        """Standard deviation of the noise, ``(B, n)``."""
        return _expand("noise_std", self.noise_std, self.values)

    @property
    def observed(self) -> Tensor:
        """Where there is a value, ``(B, n)`` bool."""
        return _expand("mask", self.mask, self.values)

    @property
    def filled(self) -> Tensor:
        """The values, zero where nothing was measured, ``(B, n)``."""
        return torch.where(self.observed, self.values, 0)

    def require_inside(self, low: Tensor, high: Tensor) -> None:
        """Check that every sensor that has a value lies in the box from ``low`` to ``high``, ``(dim,)`` each.

        Raises
        ------
        ObservationError
            If one does not; the message lists which.
        """
        inside = ((self.points >= low) & (self.points <= high)).all(-1).expand_as(self.values)
        box = " × ".join(f"[{a:g}, {b:g}]" for a, b in zip(low.tolist(), high.tolist(), strict=True))
        _require(inside, self.observed, f"points: outside the domain {box}", "mask the sensor, or correct its place")

    def relative_misfit(self, predicted: Tensor) -> Tensor:
        """‖H u − y‖ / ‖y‖ of predicted values ``(B, n)``, over what was measured: ``(B,)``."""
        difference = torch.where(self.observed, predicted - self.filled, 0)
        return difference.norm(dim=-1) / self.filled.norm(dim=-1)

    def reduced_chi_square(self, predicted: Tensor) -> Tensor:
        """The mean of ((H u − y) / σ)² over what was measured, ``(B,)``; 1 where only noise is left."""
        scaled = torch.where(self.observed, (predicted - self.filled) / self.std, 0)
        return scaled.square().sum(-1) / self.observed.sum(-1)


def _check_shapes(points: Tensor, values: Tensor) -> None:
    if values.ndim != 2:
        raise ObservationError(
            f"values: shape (observations, sensors) is expected, found {tuple(values.shape)}; "
            "a single observation is values[None]."
        )
    if values.dtype not in (torch.float32, torch.float64):
        raise ObservationError(f"values: float32 or float64 is expected, found {values.dtype}.")
    count, sensors = values.shape
    fits = points.ndim in (2, 3) and points.shape[-2] == sensors and (points.ndim == 2 or len(points) == count)
    if not fits:
        raise ObservationError(
            f"points: shape ({sensors}, dim) or ({count}, {sensors}, dim) is expected for values of shape "
            f"{tuple(values.shape)}, found {tuple(points.shape)}."
        )


def _expand(name: str, given: float | Tensor | None, values: Tensor) -> Tensor:
    if given is None:
        return torch.ones_like(values, dtype=torch.bool)
    array = torch.as_tensor(given, device=values.device)
    if array.dtype != torch.bool:
        array = array.to(values.dtype)
    try:
        return array.expand(values.shape)
    except RuntimeError:
        raise ObservationError(
            f"{name}: a shape that expands to {tuple(values.shape)} (observations, sensors) is expected, "
            f"found {tuple(array.shape)}."
        ) from None


def _require(good: Tensor, where: Tensor, found: str, mend: str) -> None:
    """Raise unless ``good`` holds wherever ``where`` does; the first indices (observation, sensor) are listed."""
    bad = (where & ~good).nonzero().tolist()
    if bad:
        listed = ", ".join(str(tuple(index)) for index in bad[:LISTED]) + (", …" if len(bad) > LISTED else "")
        raise ObservationError(f"{found} at (observation, sensor) {listed}: {mend}.")
