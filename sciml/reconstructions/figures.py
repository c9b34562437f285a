"""Figures of a reconstruction: the fields, how the iteration went, and the prior along paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sciml.figures import _COLOURS, _DASHES, _MARKERS, _figure, _finish, _trim
from sciml.reconstructions.prior_path import PriorPath

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["course", "fields_beside_each_other", "prior_along_paths"]

Array = NDArray[np.float64]
ERROR = "error"
DATA = "data"


def fields_beside_each_other(panels: Mapping[str, Tensor], title: str) -> Figure:
    """Fields ``(channels, *grid)`` by name, on one scale but for the data and what ends in *error*.

    Errors have zero in the middle of their own scale. Of three axes the middle slice is drawn.
    """
    count = len(panels)
    columns = count if count <= 4 else -(-count // 2)
    rows = -(-count // columns)
    shown = {name: _numpy(field) for name, field in panels.items()}
    figure = _figure(2.7 * columns + 0.4, 2.5 * rows + 0.4)
    figure.suptitle(title, fontweight="bold")
    common = [a for name, a in shown.items() if name != DATA and not name.endswith(ERROR)]
    limits = min(float(a.min()) for a in common), max(float(a.max()) for a in common)
    for index, (name, array) in enumerate(shown.items()):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.set_title(name, fontsize="medium")
        _draw(axes, name, array, limits)
    _trim(figure)
    return figure


def course(objective: Tensor | None, residuals: Tensor, tolerance: float, title: str) -> Figure:
    """How an iteration went: its objective above the smallest value, and its fixed-point residual.

    Parameters
    ----------
    objective, residuals
        ``(steps,)`` of one sample; the objective where there is one.
    tolerance
        At which the iteration ends.
    title
        Heading.
    """
    figure = _figure(9.0, 3.6)
    figure.suptitle(title, fontweight="bold")
    left, right = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2)
    steps = np.arange(1, len(residuals) + 1)
    if objective is None:
        left.text(0.5, 0.5, "no objective:\nthis prior has no value", ha="center", transform=left.transAxes)
        left.set_axis_off()
    else:
        values = _numpy(objective)
        above = values - np.nanmin(values)
        positive = np.where(above > 0, above, np.nan)
        left.plot(np.arange(1, len(values) + 1), positive, color=_COLOURS[0])
        scale = "log" if np.isfinite(positive).any() else "linear"
        left.set(xlabel="step", ylabel="objective − its smallest value (1)", yscale=scale)
        _finish(left, legend=False)
    right.plot(steps, _numpy(residuals).clip(min=1e-300), color=_COLOURS[1], label="fixed-point residual")
    right.axhline(tolerance, color="0.4", linewidth=1, linestyle="--", label="tolerance")
    right.set(xlabel="step", ylabel="fixed-point residual (1)", yscale="log")
    _finish(right)
    return figure


def prior_along_paths(paths: Sequence[PriorPath], start: str) -> Figure:
    """The prior from a field, named by `start`, to worse versions of it."""
    figure = _figure(6.0, 3.8)
    axes = figure.add_subplot(1, 1, 1)
    for index, path in enumerate(paths):
        axes.plot(
            _numpy(path.t), _numpy(path.value), color=_COLOURS[index], marker=_MARKERS[index],
            linestyle=_DASHES[index], label=f"to {path.name}",
        )  # fmt: skip
    axes.axhline(0, color="0.4", linewidth=1)
    axes.set(xlabel=f"part of the way from the {start} (1)", ylabel=f"R − R({start}) (1)")
    axes.set_title("the learned prior along paths")
    _finish(axes)
    return figure


def _draw(axes: Axes, name: str, array: Array, limits: tuple[float, float]) -> None:
    picture = _picture(array)
    if name.endswith(ERROR):
        most = float(np.abs(array).max()) or 1.0
        low, high, colours = -most, most, "RdBu_r"
    elif name == DATA:
        low, high, colours = float(array.min()), float(array.max()), "viridis"
    else:
        low, high, colours = *limits, "viridis"
    if picture.ndim == 1:
        axes.plot(np.arange(len(picture)), picture, color=_COLOURS[0], linewidth=1.2)
        margin = 0.05 * ((high - low) or 1.0)
        axes.set(xlabel="index", ylim=(low - margin, high + margin))
        axes.grid(True, color="0.9", linewidth=0.8)
        return
    if picture.ndim == 3:
        picture = (picture - low) / ((high - low) or 1.0)
        axes.imshow(picture.clip(0, 1), interpolation="nearest")
    else:
        image = axes.imshow(picture, vmin=low, vmax=high, cmap=colours, interpolation="nearest", aspect="auto")
        axes.get_figure().colorbar(image, ax=axes)  # type: ignore[union-attr]
        if picture.shape[0] == picture.shape[1]:
            axes.set_aspect("equal")
    axes.set(xticks=[], yticks=[])


def _picture(array: Array) -> Array:
    """A line, an image, or an image with three colours on its last axis."""
    while array.ndim > 3:  # channels and three axes of space
        array = array[..., array.shape[-1] // 2]
    if array.ndim == 3 and array.shape[0] == 3:
        return np.moveaxis(array, 0, -1)
    if array.ndim == 3 or (array.ndim == 2 and array.shape[0] == 1):
        return array[0]
    return array


def _numpy(array: Tensor) -> Array:
    return np.asarray(array.detach().cpu().double().numpy())
