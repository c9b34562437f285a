"""Figures of one predicted trajectory: space and time, frames side by side, or components over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from sciml.errors import ConfigurationError
from sciml.figures import _COLOURS, Array, _figure, _finish, _finite, _limits
from sciml.report import significant

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Trajectory", "logarithmic", "trajectory_figure"]

#: Frames of a field on a rectangle that stand side by side.
_FRAMES = 5
#: Time is drawn logarithmically if the widest gap between instants is this many times the narrowest.
_UNEVEN = 20.0
_ROWS = ("truth", "prediction", "error")


@dataclass(frozen=True)
class Trajectory:
    """One state over time, as it was to be and as it was predicted.

    Parameters
    ----------
    name
        Of the state.
    instants
        Times of the frames, increasing, in the problem's unit.
    truth, prediction
        ``(time, channel)`` of plain numbers, ``(time, channel, n)`` or ``(time, channel, nx, ny)`` of fields on the
        unit interval or square.
    unit
        Of the state.

    Raises
    ------
    ConfigurationError
        Other shapes, values that are not finite, or instants that do not increase.

    Examples
    --------
    >>> import numpy as np
    >>> Trajectory("velocity", [1.0, 2.0], np.zeros((2, 1, 8)), np.ones((2, 1, 8))).error.shape
    (2, 1, 8)
    """

    name: str
    instants: ArrayLike
    truth: ArrayLike
    prediction: ArrayLike
    unit: str = "1"

    def __post_init__(self) -> None:
        for what in ("truth", "prediction"):
            object.__setattr__(self, what, _finite(what, getattr(self, what), (2, 3, 4)))
        times = _finite("instants", self.instants, (1,))
        object.__setattr__(self, "instants", times)
        truth, prediction = np.shape(self.truth), np.shape(self.prediction)
        if truth != prediction or len(times) != truth[0]:
            raise ConfigurationError(
                f"{self.name}: truth {truth}, prediction {prediction}, {len(times)} instants: two arrays (time, "
                "channel, *grid) of one shape with a frame for every instant are expected."
            )
        if (np.diff(times) <= 0).any():
            raise ConfigurationError(f"{self.name}: the instants must increase, and are {times.tolist()}.")

    @property
    def error(self) -> Array:
        """|prediction − truth|."""
        return np.abs(np.asarray(self.prediction) - np.asarray(self.truth))

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(np.shape(self.truth)[1])

    @property
    def dimensions(self) -> int:
        """Axes of the grid; 0 for plain numbers."""
        return np.ndim(self.truth) - 2

    def label(self, channel: int) -> str:
        """The name of a channel."""
        name = self.name.replace("_", " ")
        return name if self.channels == 1 else f"{name} {channel + 1}"

    def measured(self, channel: int, panel: str) -> str:
        """What the numbers of a panel are, with their unit."""
        return f"{'|error|' if panel == 'error' else self.label(channel)} ({self.unit})"

    def fields(self, channel: int) -> dict[str, Array]:
        """Truth, prediction and error of a channel, ``(time, *grid)``."""
        return {
            name: np.asarray(array)[:, channel]
            for name, array in zip(_ROWS, (self.truth, self.prediction, self.error), strict=True)
        }


def trajectory_figure(trajectory: Trajectory, channel: int = 0) -> Figure:
    """Draw truth, prediction and error of a trajectory.

    A field on an interval over space and time, a field on a square at a few instants, one channel of it; of plain
    numbers every component over time. Truth and prediction share one scale.

    Parameters
    ----------
    trajectory
        What is drawn.
    channel
        Of a field: which one.

    Examples
    --------
    >>> import numpy as np
    >>> waves = np.random.default_rng(0).normal(size=(4, 1, 16))
    >>> figure = trajectory_figure(Trajectory("velocity", [0.1, 0.2, 0.3, 0.4], waves, 0.9 * waves))
    >>> [axes.get_title() for axes in figure.axes if axes.get_title()]
    ['truth', 'prediction', 'error']
    """
    if trajectory.dimensions == 0:
        return _components(trajectory)
    return (_space_time if trajectory.dimensions == 1 else _snapshots)(trajectory, channel)


def logarithmic(instants: ArrayLike) -> bool:
    """Whether instants are so uneven that only a logarithmic axis shows them all.

    Examples
    --------
    >>> logarithmic([1.0, 2.0, 3.0]), logarithmic([0.01, 0.1, 1.0, 10.0])
    (False, True)
    """
    times = np.asarray(instants, dtype=np.float64)
    gaps = np.diff(times)
    return bool(len(gaps) and times[0] > 0 and gaps.max() > _UNEVEN * gaps.min())


def _space_time(trajectory: Trajectory, channel: int) -> Figure:
    figure = _figure(10.5, 3.4)
    fields = trajectory.fields(channel)
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    times = np.asarray(trajectory.instants)
    for axes, (name, field) in zip(panels, fields.items(), strict=True):
        positions = (np.arange(field.shape[1]) + 0.5) / field.shape[1]
        options = colours(fields, name)
        image = axes.pcolormesh(_edges(times), _edges(positions), field.T, rasterized=True, **options)
        axes.set(title=name, xlabel="time t", ylim=(0, 1), yticks=[0, 0.5, 1])
        if logarithmic(times):
            axes.set_xscale("log")
        axes.label_outer()
        colour_bar(figure, image, axes, trajectory.measured(channel, name))
    panels[0].set_ylabel("x, of the domain's length")
    figure.suptitle(trajectory.label(channel), fontweight="bold")
    return figure


def _snapshots(trajectory: Trajectory, channel: int) -> Figure:
    times = np.asarray(trajectory.instants)
    chosen = np.unique(np.linspace(0, len(times) - 1, _FRAMES).round().astype(int))
    figure = _figure(1.75 * len(chosen) + 1.5, 6.0)
    fields = trajectory.fields(channel)
    panels = figure.subplots(3, len(chosen), squeeze=False, sharex=True, sharey=True)
    for row, (name, field) in zip(panels, fields.items(), strict=True):
        options = colours(fields, name)
        for axes, index in zip(row, chosen, strict=True):
            image = axes.imshow(field[index].T, origin="lower", extent=(0, 1, 0, 1), **options)
            axes.set(xticks=[], yticks=[])
        row[0].set_ylabel(name)
        colour_bar(figure, image, list(row), trajectory.measured(channel, name))
    for axes, index in zip(panels[0], chosen, strict=True):
        axes.set_title(f"t = {significant(times[index])}", fontsize="medium")
    figure.suptitle(trajectory.label(channel), fontweight="bold")
    return figure


def _components(trajectory: Trajectory) -> Figure:
    times = np.asarray(trajectory.instants)
    figure = _figure(9.0, 1.9 * trajectory.channels + 0.6)
    panels = figure.subplots(trajectory.channels, 2, squeeze=False, sharex=True)
    for channel, (left, right) in enumerate(panels):
        fields = trajectory.fields(channel)
        draw_component(left, times, fields)
        left.set_ylabel(trajectory.measured(channel, "truth"))
        wrong = fields["error"] > 0  # a logarithmic axis has no place for none
        right.plot(times[wrong], fields["error"][wrong], color=_COLOURS[1])
        right.set_ylabel(trajectory.measured(channel, "error"))
        if wrong.any():
            low, high = fields["error"][wrong].min(), fields["error"].max()
            right.set_ylim(low / 1.5, high * 1.5)
            right.set_yscale("log")
        for axes in (left, right):
            axes.set_xscale("log" if logarithmic(times) else "linear")
            axes.tick_params(labelsize="small")
            _finish(axes, legend=False)
    for axes in panels[-1]:
        axes.set_xlabel("time t")
    legend_above(panels[0][0])
    return figure


def legend_above(axes: Axes) -> None:
    """A legend where it hides nothing."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize="small", borderaxespad=0.2)


def draw_component(axes: Axes, times: Array, fields: dict[str, Array]) -> None:
    """Truth and prediction of one number over time."""
    axes.plot(times, fields["truth"], color=_COLOURS[0], linewidth=2.4, alpha=0.55, label="truth")
    axes.plot(times, fields["prediction"], color=_COLOURS[1], linestyle="--", label="prediction")


def colours(fields: dict[str, Array], name: str) -> dict[str, Any]:
    """Colours of a panel: truth and prediction alike, with zero in the middle where a field has both signs."""
    if name == "error":
        largest = float(fields["error"].max())
        return {"vmin": 0.0, "vmax": largest or 1.0, "cmap": "magma"}
    low, high = _limits("solution", [fields["truth"], fields["prediction"]])
    return {"vmin": low, "vmax": high, "cmap": "RdBu_r" if low == -high else "viridis"}


def colour_bar(figure: Figure, image: Any, axes: Any, label: str) -> None:
    """A bar with few round numbers, none of which has its power of ten elsewhere."""
    from matplotlib.ticker import FormatStrFormatter, MaxNLocator

    bar = figure.colorbar(image, ax=axes, format=FormatStrFormatter("%.3g"))
    bar.locator = MaxNLocator(5)
    bar.update_ticks()
    bar.ax.tick_params(labelsize="small")
    bar.set_label(label, fontsize="small")


def _edges(centres: Array) -> Array:
    """Edges of cells around the centres; a single centre gets a cell of its own size."""
    if len(centres) == 1:
        return np.array([0.0, 2 * centres[0]])
    middle = (centres[1:] + centres[:-1]) / 2
    first, last = 2 * centres[0] - middle[0], 2 * centres[-1] - middle[-1]
    # Before the first instant lies the start: no logarithmic axis could show a time below 0.
    return np.concatenate([[first if first > 0 or centres[0] <= 0 else centres[0] / 2], middle, [last]])
