"""Accuracy against the cost of solving: which of several ways to train gives the better bargain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from sciml.errors import ConfigurationError
from sciml.figures import _COLOURS, _MARKERS, Array, _figure, _finish, _finite, _some

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["error_against_evaluations"]


def error_against_evaluations(panels: Mapping[str, Mapping[str, ArrayLike]]) -> Figure:
    """Draw test error against evaluations of the right-hand side, a marker for each way to train.

    A line joins those that no other beats in both.

    Parameters
    ----------
    panels
        Who counted the evaluations, to names with ``(evaluations, its spread, error, its spread)`` each; spreads become
        bars.

    Raises
    ------
    ConfigurationError
        Nothing to draw, or evaluations and errors that are not finite and positive.

    Examples
    --------
    >>> points = {"none": [200, 10, 0.02, 0.001], "error": [120, 5, 0.021, 0.002]}
    >>> error_against_evaluations({"own solver": points}).axes[0].get_xlabel()
    'evaluations of a sample (1), own solver'
    """
    _some("panels", panels)
    figure = _figure(4.4 * len(panels) + 1.9, 4.2)
    names = list(dict.fromkeys(name for points in panels.values() for name in points))
    rows = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, (counter, points) in zip(rows, panels.items(), strict=True):
        found = {name: _numbers(name, point) for name, point in _some(counter, points).items()}
        _draw_front(axes, np.array([numbers[[0, 2]] for numbers in found.values()]))
        for name, numbers in found.items():
            _draw_point(axes, name, numbers, names.index(name))
        axes.set(xscale="log", yscale="log", xlabel=f"evaluations of a sample (1), {counter}")
        _finish(axes, legend=False)
        axes.label_outer()
    rows[0].set_ylabel("test relative L² error (1)")
    # Beside the panels, where it hides nothing.
    longest = max(rows, key=lambda axes: len(axes.get_legend_handles_labels()[0]))
    figure.legend(*longest.get_legend_handles_labels(), loc="outside right upper", fontsize="small", frameon=False)
    return figure


def _numbers(name: str, point: ArrayLike) -> Array:
    numbers = _finite(name, point, (1,))
    if len(numbers) != 4 or min(numbers[0], numbers[2]) <= 0:
        raise ConfigurationError(
            f"{name}: {numbers.tolist()}; evaluations, their spread, error and its spread are expected, both positive."
        )
    return numbers


def _draw_point(axes: Axes, name: str, numbers: Array, turn: int) -> None:
    evaluations, wide, error, high = numbers
    again, index = divmod(turn, len(_COLOURS))
    # Hollow the first time, filled when the colours come again.
    face = _COLOURS[index] if again else "white"
    style: dict[str, Any] = {
        "color": _COLOURS[index],
        "marker": _MARKERS[(index + again) % len(_MARKERS)],
        "linestyle": "none",
    }
    axes.errorbar(
        evaluations, error, xerr=wide, yerr=high, label=name, capsize=3, markersize=7, markerfacecolor=face, **style
    )


def _draw_front(axes: Axes, points: Array) -> None:
    """The line through the points that none beats: fewer evaluations at no larger error."""
    order = points[np.lexsort((points[:, 1], points[:, 0]))]
    best = np.minimum.accumulate(order[:, 1])
    front = order[np.concatenate([[True], best[1:] < best[:-1]])]
    axes.plot(front[:, 0], front[:, 1], color="0.75", linewidth=1, zorder=0)
