"""Figures of predictions with error bars: do intervals cover what they promise, and how far are scalars off."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from sciml.errors import ConfigurationError
from sciml.figures import _COLOURS, Array, _figure, _finish, _finite, _some, _styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["calibration_plot", "scalar_scatter"]

#: Half the width of a Gaussian interval of 95 % in standard deviations.
_WIDTH_95 = 1.959963984540054


def calibration_plot(nominal: ArrayLike, measured: Mapping[str, ArrayLike]) -> Figure:
    """Draw which part of the truth intervals cover, against the part that they promise; one curve a field.

    Below the diagonal intervals are too narrow, above it too wide.

    Parameters
    ----------
    nominal
        Promised coverages ``(levels,)``, between 0 and 1 and rising, such as 0.1, 0.2, …, 0.9, 0.95.
    measured
        Field to measured coverages ``(levels,)``.

    Raises
    ------
    ConfigurationError
        No field, coverages outside [0, 1], levels that do not rise, or another number of them.

    Examples
    --------
    >>> figure = calibration_plot([0.5, 0.95], {"stress": [0.48, 0.93], "displacement": [0.55, 0.97]})
    >>> figure.axes[0].get_xlabel()
    'nominal coverage (1)'
    """
    levels = _coverages("nominal", nominal)
    if (np.diff(levels) <= 0).any():
        raise ConfigurationError(f"nominal: {levels}: coverages that rise are expected.")
    figure = _figure(4.8, 4.6)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.4", linewidth=1, label="as promised")
    for name, style in _styled(_some("measured", measured)):
        curve = _coverages(name, measured[name])
        if curve.shape != levels.shape:
            raise ConfigurationError(f"{name}: {curve.size} coverages for {levels.size} nominal ones; give one each.")
        axes.plot(levels, curve, **style)
    axes.set(xlim=(0, 1), ylim=(0, 1.01), aspect="equal")
    axes.set(xlabel="nominal coverage (1)", ylabel="measured coverage (1)")
    _finish(axes)
    return figure


def scalar_scatter(
    scalars: Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike]], units: Mapping[str, str] | None = None
) -> Figure:
    """Draw predicted against true scalars, one panel a scalar, with intervals of 95 %.

    The heading of a panel says how much of the variance is explained, Q² = 1 − Σ(w − ŵ)² / Σ(w − mean w)², and how many
    of the intervals (the mean ± 1.96 standard deviations) hold the truth; those that do not are drawn in another
    colour.

    Parameters
    ----------
    scalars
        Name to truth, predicted mean and standard deviation, each ``(samples,)``.
    units
        Name to unit; "1" otherwise.

    Raises
    ------
    ConfigurationError
        No scalar, values that are not finite, other lengths, or a negative deviation.

    Examples
    --------
    >>> figure = scalar_scatter({"max vM": ([200.0, 250.0], [204.0, 251.0], [3.0, 1.0])}, {"max vM": "MPa"})
    >>> figure.axes[0].get_title()
    'max vM: Q² 0.9864, 2 of 2 within 95 %'
    """
    panels = {name: _sample(name, *values) for name, values in _some("scalars", scalars).items()}
    columns = min(len(panels), 3)
    rows = ceil(len(panels) / columns)
    figure = _figure(4.3 * columns, 4.2 * rows)
    for index, (name, (truth, mean, deviation)) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, columns, index + 1)
        _draw_scalar(axes, name, truth, mean, deviation)
        unit = (units or {}).get(name, "1")
        axes.set(xlabel=f"truth ({unit})", ylabel=f"prediction ({unit})", aspect="equal")
        _finish(axes, legend=index == 0)
    return figure


def _draw_scalar(axes: Axes, name: str, truth: Array, mean: Array, deviation: Array) -> None:
    bars = _WIDTH_95 * deviation
    held = np.abs(truth - mean) <= bars
    low, high = min(truth.min(), (mean - bars).min()), max(truth.max(), (mean + bars).max())
    margin = 0.04 * (high - low) if high > low else 0.5
    ends = (low - margin, high + margin)
    axes.plot(ends, ends, color="0.4", linewidth=1, label="prediction = truth")
    for inside, colour, marker, label in ((held, _COLOURS[0], "o", "within"), (~held, _COLOURS[1], "^", "outside")):
        if inside.any():
            style: dict[str, Any] = {"fmt": marker, "color": colour, "markersize": 3.5, "elinewidth": 0.9, "alpha": 0.8}
            axes.errorbar(truth[inside], mean[inside], yerr=bars[inside], label=f"{label} its 95 % interval", **style)
    axes.set(xlim=ends, ylim=ends)
    axes.locator_params(nbins=5)
    axes.ticklabel_format(scilimits=(-2, 4))
    spread = float(np.sum((truth - truth.mean()) ** 2))
    quality = f"Q² {1 - float(np.sum((truth - mean) ** 2)) / spread:.4f}, " if spread > 0 else ""
    axes.set_title(f"{name}: {quality}{int(held.sum())} of {held.size} within 95 %", fontsize="medium")


def _sample(name: str, truth: ArrayLike, mean: ArrayLike, deviation: ArrayLike) -> tuple[Array, Array, Array]:
    named = {"truth": truth, "mean": mean, "deviation": deviation}
    arrays = [_finite(f"{name}, {what}", values, (1,)) for what, values in named.items()]
    sizes = {array.size for array in arrays}
    if len(sizes) > 1:
        found = ", ".join(str(array.size) for array in arrays)
        raise ConfigurationError(f"{name}: {found} values of truth, mean and deviation; give all for each sample.")
    if (arrays[2] < 0).any():
        raise ConfigurationError(f"{name}: a standard deviation of {arrays[2].min():.3g}; expected none below zero.")
    return arrays[0], arrays[1], arrays[2]


def _coverages(name: str, values: ArrayLike) -> Array:
    array = _finite(name, values, (1,))
    if (array < 0).any() or (array > 1).any():
        raise ConfigurationError(
            f"{name}: coverages from {array.min():.3g} to {array.max():.3g}; parts of one, from 0 to 1, are expected."
        )
    return array
