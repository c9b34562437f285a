"""Figures of an inversion: what is known of every field, how sure that is, and what is left at the sensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.errors import ConfigurationError
from sciml.figures import _COLOURS, _figure, _finish, _trim
from sciml.inversions.views import STD, TRUTH, Array, FieldView, colour_bar, draw, mark_sensors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["interval_cut", "posterior_fields", "posterior_samples", "sensor_residuals"]

WIDE = 3.0  # standard deviations at which the colours of residuals end, if none is larger


def posterior_fields(fields: Sequence[FieldView], title: str) -> Figure:
    """Truth where it is known, posterior mean, standard deviation and the most probable: one row a field.

    Truth, mean and most probable share one scale; sensors are dots on the mean of the field that they measured.

    Raises
    ------
    ConfigurationError
        If there is no field.
    """
    if not fields:
        raise ConfigurationError("fields is empty; there is nothing to draw. Give at least one field.")
    columns = max(len(field.panels) for field in fields)
    figure = _figure(3.3 * columns, 2.75 * len(fields) + 0.4)
    figure.get_layout_engine().set(w_pad=0.1)  # type: ignore[union-attr, call-arg]
    figure.suptitle(title, fontweight="bold")
    for row, field in enumerate(fields):
        for column, (name, array) in enumerate(field.panels.items()):
            axes = figure.add_subplot(len(fields), columns, row * columns + column + 1)
            axes.set_title(f"{field.name}: {name}", fontsize="medium")
            draw(axes, field, array, spread=name == STD)
            if name == field.mean_name:
                mark_sensors(axes, field)
    _trim(figure)
    return figure


def posterior_samples(field: FieldView, title: str, most: int = 7) -> Figure:
    """Some draws of the posterior on one scale, after the truth where it is known.

    Raises
    ------
    ConfigurationError
        If the field has no draws.
    """
    if field.samples is None:
        raise ConfigurationError(f"{field.name}: a MAP estimate has no draws: use laplace, hmc, pcn or svi.")
    panels = {} if field.truth is None else {TRUTH: field.truth}
    panels |= {f"draw {index + 1}": drawn for index, drawn in enumerate(field.samples[:most])}
    columns = min(len(panels), 4)
    rows = -(-len(panels) // columns)
    figure = _figure(2.5 * columns + 0.6, 2.5 * rows + 0.4)
    figure.suptitle(title, fontweight="bold")
    image, every = None, []
    for index, (name, array) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.set_title(name, fontsize="medium")
        image = draw(axes, field, array, bar=False)
        every.append(axes)
    if image is not None:
        colour_bar(image, every, field.name, field, field.phases)
    _trim(figure)
    return figure


def interval_cut(fields: Sequence[FieldView], level: float = 0.9) -> Figure:
    """Every field along the line through the middle of its grid: intervals, mean, and the truth where it is known."""
    figure = _figure(5.2 * len(fields), 3.6)
    for index, field in enumerate(fields):
        axes = figure.add_subplot(1, len(fields), index + 1)
        middle = len(field.axes[-1]) // 2
        cut = (slice(None), middle) if len(field.axes) == 2 else (slice(None),)
        x = field.axes[0]
        steps: dict[str, Any] = {"drawstyle": "steps-mid"} if field.phases else {}
        if field.low is not None and field.high is not None:
            axes.fill_between(
                x,
                field.low[cut],
                field.high[cut],
                step="mid" if field.phases else None,
                color=_COLOURS[0],
                alpha=0.2,
                linewidth=0,
                label=f"{level:.0%} interval",
            )
        axes.plot(x, field.mean[cut], color=_COLOURS[0], linewidth=1.8, label=field.mean_name)
        axes.plot(x, field.best[cut], color=_COLOURS[1], linewidth=1.2, linestyle=":", label=field.best_name, **steps)
        if field.truth is not None:
            axes.plot(x, field.truth[cut], color="black", linewidth=1.4, linestyle="--", label=TRUTH, **steps)
        axes.set(xlabel="x", ylabel=f"{field.name} ({field.unit})", xlim=(0, 1))
        axes.set_title(f"{field.name} along y = {field.axes[1][middle]:.3g}" if len(field.axes) == 2 else field.name)
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + 0.3 * (high - low))  # room for the legend
        _finish(axes, legend=False)
        axes.legend(loc="upper center", ncols=2, fontsize="small", framealpha=0.9)
    return figure


def sensor_residuals(points: Array, residuals: Array, title: str) -> Figure:
    """Re-simulated minus measured values, in standard deviations of the noise: where they are, and how large.

    Parameters
    ----------
    points
        Sensors ``(n, dim)``; of three axes the first two are drawn.
    residuals
        ``(n,)``.
    title
        Heading of the figure.

    Raises
    ------
    ConfigurationError
        If the numbers of points and residuals differ.
    """
    if points.ndim != 2 or residuals.shape != points.shape[:1]:
        raise ConfigurationError(f"{points.shape} points and {residuals.shape} residuals: one residual a point.")
    figure = _figure(9.0, 3.8)
    figure.suptitle(title, fontweight="bold")
    _place_residuals(figure.add_subplot(1, 2, 1), points, residuals)
    _count_residuals(figure.add_subplot(1, 2, 2), residuals)
    return figure


def _place_residuals(axes: Axes, points: Array, residuals: Array) -> None:
    label = "(re-simulated − measured) / σ (1)"
    if points.shape[1] == 1:
        axes.axhline(0, color="0.4", linewidth=1)
        axes.plot(points[:, 0], residuals, "o", color=_COLOURS[0], markersize=4)
        axes.set(xlabel="x", ylabel=label, xlim=(0, 1))
        axes.grid(True, color="0.9", linewidth=0.8)
        return
    most = max(WIDE, float(np.abs(residuals).max()))
    dots = axes.scatter(
        points[:, 0], points[:, 1], c=residuals, cmap="RdBu_r", vmin=-most, vmax=most, s=34, edgecolors="0.3",
        linewidths=0.5,
    )  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(0, 1), xticks=[0, 1], yticks=[0, 1], xlabel="x", ylabel="y", aspect="equal")
    axes.get_figure().colorbar(dots, ax=axes).set_label(label)  # type: ignore[union-attr]


def _count_residuals(axes: Axes, residuals: Array) -> None:
    most = max(WIDE, float(np.abs(residuals).max()))
    edges = np.linspace(-most, most, 2 * max(4, int(np.sqrt(len(residuals)) / 1.5)) + 1)
    axes.hist(residuals, bins=edges.tolist(), color=_COLOURS[0], alpha=0.35, label=f"{len(residuals)} sensors")
    x = np.linspace(-most, most, 200)
    density = len(residuals) * (edges[1] - edges[0]) * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    axes.plot(x, density, color="black", linewidth=1.4, linestyle="--", label="noise alone")
    chi_square = float(np.mean(residuals**2))
    axes.set(xlabel="(re-simulated − measured) / σ (1)", ylabel="number of sensors (1)")
    axes.set_title(f"chi-square {chi_square:.3g}", fontsize="medium")
    axes.margins(x=0)
    _finish(axes)
