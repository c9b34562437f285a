"""One field of an inversion, and how it is drawn: an image or a curve, phases with a colour each, sensors as dots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sciml.errors import ConfigurationError
from sciml.figures import _COLOURS, _limits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

__all__ = ["MEAN", "STD", "TRUTH", "Array", "FieldView", "colour_bar", "draw", "mark_sensors"]

Array = NDArray[np.float64]
TRUTH, MEAN, STD, DECODED = "truth", "posterior mean", "standard deviation", "decoded at the maximum"


@dataclass(frozen=True)
class FieldView:
    """One field of one observation; arrays on its grid ``(*grid)``, of one or two axes.

    Parameters
    ----------
    name, unit
        Of the field.
    axes
        Coordinates of the grid points, one array an axis.
    mean, best
        Posterior mean, and what belongs to the most probable input.
    best_name
        What ``best`` is called.
    truth
        Where it is known.
    std, low, high, samples
        Standard deviation, ends of the intervals, some draws ``(k, *grid)``; None for a MAP estimate.
    phases
        The values that the field takes, where it is made of phases.
    sensors
        Points ``(n, dim)`` where this field was measured.
    """

    name: str
    axes: tuple[Array, ...]
    mean: Array
    best: Array
    best_name: str
    truth: Array | None = None
    std: Array | None = None
    low: Array | None = None
    high: Array | None = None
    samples: Array | None = None
    phases: tuple[float, ...] = ()
    sensors: Array | None = None
    unit: str = "1"

    def __post_init__(self) -> None:
        shape = tuple(len(axis) for axis in self.axes)
        if len(shape) not in (1, 2) or self.mean.shape != shape:
            raise ConfigurationError(
                f"{self.name}: shape {self.mean.shape} on axes of lengths {shape}: fields on one or two axes are drawn."
            )

    @property
    def limits(self) -> tuple[float, float]:
        """Smallest and largest value of truth, mean, best and phases together."""
        shown = [array for array in (self.truth, self.mean, self.best, np.array(self.phases)) if array is not None]
        shown = [array for array in shown if array.size]
        return _limits("", shown)

    @property
    def mean_name(self) -> str:
        """What ``mean`` is called: a MAP estimate has no posterior mean, but what its latents are decoded to."""
        return DECODED if self.std is None else MEAN

    @property
    def panels(self) -> dict[str, Array]:
        """What is drawn of the field, by title."""
        given = {TRUTH: self.truth, self.mean_name: self.mean, STD: self.std, self.best_name: self.best}
        return {name: array for name, array in given.items() if array is not None}


def draw(axes: Axes, field: FieldView, array: Array, spread: bool = False, bar: bool = True) -> AxesImage | None:
    """An image, or a curve of a field on one axis."""
    if len(field.axes) == 1:
        axes.plot(field.axes[0], array, color=_COLOURS[1] if spread else _COLOURS[0])
        axes.set(xlabel="x", ylabel=f"{'deviation' if spread else 'value'} ({field.unit})", xlim=(0, 1))
        axes.grid(True, color="0.9", linewidth=0.8)
        if not spread:
            low, high = field.limits
            axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
        return None
    image = _phase_image(axes, field, array) if _decided(field, array) else _image(axes, field, array, spread)
    axes.set(xlim=(0, 1), ylim=(0, 1), xticks=[0, 1], yticks=[0, 1], xlabel="x", ylabel="y", aspect="equal")
    axes.xaxis.labelpad = axes.yaxis.labelpad = -8
    if bar:
        label = "deviation" if spread else "value"
        colour_bar(image, [axes], label, field, [] if spread else field.phases)
    return image


def _decided(field: FieldView, array: Array) -> bool:
    """Whether every value is one of the phases."""
    return bool(field.phases) and bool(np.isin(np.round(array, 5), np.round(field.phases, 5)).all())


def _phase_image(axes: Axes, field: FieldView, array: Array) -> AxesImage:
    """One colour a phase: the one that the scale of the mean has at its value."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    low, high = field.limits
    values = np.asarray(field.phases)
    colours = colormaps["cividis"]((values - low) / (high - low))
    index = np.abs(array[..., None] - values).argmin(-1)
    return axes.imshow(
        index.T, origin="lower", extent=_extent(field), vmin=-0.5, vmax=len(values) - 0.5, cmap=ListedColormap(colours),
        interpolation="nearest",
    )  # fmt: skip


def _image(axes: Axes, field: FieldView, array: Array, spread: bool) -> AxesImage:
    low, high = (0.0, float(array.max()) or 1.0) if spread else field.limits
    return axes.imshow(
        array.T, origin="lower", extent=_extent(field), vmin=low, vmax=high, interpolation="nearest",
        cmap="magma" if spread else "cividis" if field.phases else "viridis",
    )  # fmt: skip


def colour_bar(
    image: AxesImage, axes: Sequence[Axes], label: str, field: FieldView, phases: Sequence[float] = ()
) -> None:
    """A bar beside all axes; it shows the values of phases."""
    shape = {"fraction": 0.04, "aspect": 35} if len(axes) > 1 else {}
    bar = axes[0].get_figure().colorbar(image, ax=list(axes), **shape)  # type: ignore[union-attr, arg-type]
    bar.set_label(f"{label} ({field.unit})")
    if phases:
        decided = image.get_clim()[0] == -0.5
        bar.set_ticks(list(range(len(phases))) if decided else list(phases), labels=[f"{value:g}" for value in phases])


def _extent(field: FieldView) -> tuple[float, float, float, float]:
    """Pixels lie around their grid points."""
    sides = []
    for axis in field.axes:
        half = float(axis[1] - axis[0]) / 2 if len(axis) > 1 else 0.5
        sides += [float(axis[0]) - half, float(axis[-1]) + half]
    return sides[0], sides[1], sides[2], sides[3]


def mark_sensors(axes: Axes, field: FieldView) -> None:
    """Put a dot where the field was measured."""
    if field.sensors is None:
        return
    flat = len(field.axes) == 1
    heights = np.interp(field.sensors[:, 0], field.axes[0], field.mean) if flat else field.sensors[:, 1]
    axes.set_title(f"{axes.get_title()}, sensors", fontsize="medium")
    axes.plot(
        field.sensors[:, 0], heights, "o", color="white", markeredgecolor="black", markeredgewidth=0.6, markersize=2.6,
        clip_on=False,
    )  # fmt: skip
