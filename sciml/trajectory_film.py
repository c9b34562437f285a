"""One predicted trajectory as a film, a picture for every instant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sciml.errors import ConfigurationError
from sciml.figures import _COLOURS, Array, _figure, _finish, _limits, _trim
from sciml.report import significant
from sciml.trajectory_figures import Trajectory, colour_bar, colours, draw_component, legend_above, logarithmic

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

    Move = Callable[[int], None]

__all__ = ["trajectory_film"]

#: Further channels are left out.
_CHANNELS = 3


def trajectory_film(trajectory: Trajectory, title: str = "") -> list[NDArray[np.uint8]]:
    """Draw every frame of a trajectory: truth and prediction in one picture, with the time above them.

    Parameters
    ----------
    trajectory
        What is filmed; its first three channels, or all components of plain numbers.
    title
        Stands before the time.

    Returns
    -------
    list of arrays
        Pictures ``(height, width, 3)`` of one even size, as many as instants.

    Raises
    ------
    ConfigurationError
        Fields in space: there is no way to show them whole.

    Examples
    --------
    >>> waves = np.random.default_rng(0).normal(size=(4, 1, 16))
    >>> len(trajectory_film(Trajectory("velocity", [0.1, 0.2, 0.3, 0.4], waves, 0.9 * waves)))
    4
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    if trajectory.dimensions > 2:
        raise ConfigurationError(f"{trajectory.name}: fields on up to two axes can be filmed, not on three.")
    figure, move = (_numbers, _lines, _images)[trajectory.dimensions](trajectory)
    canvas = FigureCanvasAgg(figure)
    pictures = []
    for index, time in enumerate(np.asarray(trajectory.instants)):
        move(index)
        figure.suptitle(f"{title}{', ' if title else ''}t = {significant(time)}", fontweight="bold", x=0.5)
        canvas.draw()
        if index == 0:
            _trim(figure)
            figure.set_layout_engine("none")  # nothing may move from frame to frame
            canvas.draw()
        seen = np.asarray(canvas.buffer_rgba())[..., :3]
        height, width = (size // 2 * 2 for size in seen.shape[:2])  # as films want them
        pictures.append(seen[:height, :width].copy())
    return pictures


def _numbers(trajectory: Trajectory) -> tuple[Figure, Move]:
    """Components over time, and a mark that moves along them."""
    times = np.asarray(trajectory.instants)
    figure = _figure(6.0, 1.6 * trajectory.channels + 0.8)
    panels = figure.subplots(trajectory.channels, 1, squeeze=False, sharex=True)[:, 0]
    marks: list[tuple[Any, Array]] = []
    for channel, axes in enumerate(panels):
        fields = trajectory.fields(channel)
        draw_component(axes, times, fields)
        for name, colour in (("truth", _COLOURS[0]), ("prediction", _COLOURS[1])):
            (mark,) = axes.plot([], [], "o", color=colour, markersize=7)
            marks.append((mark, fields[name]))
        axes.set(xscale="log" if logarithmic(times) else "linear")
        axes.set_ylabel(trajectory.measured(channel, "truth"), fontsize="small")
        _finish(axes, legend=False)
    legend_above(panels[0])
    panels[-1].set_xlabel("time t")

    def move(index: int) -> None:
        for mark, values in marks:
            mark.set_data([times[index]], [values[index]])

    return figure, move


def _lines(trajectory: Trajectory) -> tuple[Figure, Move]:
    """Fields on an interval as curves."""
    channels = min(trajectory.channels, _CHANNELS)
    figure = _figure(6.0, 2.4 * channels + 0.9)
    panels = figure.subplots(channels, 1, squeeze=False, sharex=True)[:, 0]
    curves: list[tuple[Any, Array]] = []
    for channel, axes in enumerate(panels):
        fields = trajectory.fields(channel)
        x = (np.arange(fields["truth"].shape[1]) + 0.5) / fields["truth"].shape[1]
        draw_component(axes, x, {name: field[0] for name, field in fields.items()})
        curves += zip(axes.get_lines(), (fields["truth"], fields["prediction"]), strict=True)
        low, high = _limits(trajectory.name, [fields["truth"], fields["prediction"]])
        axes.set(xlim=(0, 1), ylim=(low - 0.05 * (high - low), high + 0.05 * (high - low)))
        axes.set_ylabel(trajectory.measured(channel, "truth"))
        _finish(axes, legend=False)
    legend_above(panels[0])
    panels[-1].set_xlabel("x, of the domain's length")

    def move(index: int) -> None:
        for line, field in curves:
            line.set_ydata(field[index])

    return figure, move


def _images(trajectory: Trajectory) -> tuple[Figure, Move]:
    """Fields on a square: truth, prediction and error side by side, one row a channel."""
    channels = min(trajectory.channels, _CHANNELS)
    figure = _figure(9.0, 2.6 * channels + 0.6)
    rows = figure.subplots(channels, 3, squeeze=False, sharex=True, sharey=True)
    images: list[tuple[Any, Array]] = []
    for channel, row in enumerate(rows):
        fields = trajectory.fields(channel)
        for axes, (name, field) in zip(row, fields.items(), strict=True):
            image = axes.imshow(field[0].T, origin="lower", extent=(0, 1, 0, 1), **colours(fields, name))
            axes.set(xticks=[], yticks=[])
            if channel == 0:
                axes.set_title(name, fontsize="medium")
            colour_bar(figure, image, axes, trajectory.measured(channel, name))
            images.append((image, field))
        row[0].set_ylabel(trajectory.label(channel))

    def move(index: int) -> None:
        for image, field in images:
            image.set_data(field[index].T)

    return figure, move
