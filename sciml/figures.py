"""Figures of fields, errors and convergence, from plain arrays.

Every function returns a `matplotlib.figure.Figure` and touches neither the disk nor matplotlib's global state.
matplotlib itself is loaded on the first call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciml.errors import ConfigurationError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = [
    "certificate_scatter",
    "convergence",
    "error_against",
    "error_histogram",
    "field_comparison",
    "solver_convergence",
    "training_curves",
]

Array = NDArray[np.float64]
Value = TypeVar("Value")

# Okabe & Ito's palette, told apart with any colour vision; the marker and the dash say the same once more.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
MOST_BINS = 60
TITLE = 9.5  # letters of a title to an inch
BOTTOM = 0.05  # inches below the lowest label
SIGNED = 0.05  # a field has both signs if the smaller extreme is more than this part of the larger
_RELATIVE_ERROR = "relative L² error (1)"
_X_LABELS = {"seconds": "training time (s)", "parameters": "trainable parameters (1)"}


def field_comparison(
    panels: Mapping[str, ArrayLike],
    title: str,
    units: Mapping[str, str] | None = None,
    axis_names: tuple[str, str] = ("x", "y"),
    lengths: tuple[float, float] = (1.0, 1.0),
) -> Figure:
    """Draw fields side by side: coefficient, reference, prediction, errors.

    The last word of a panel's name says how it is scaled. All panels that end in *reference* or *prediction* share
    one scale; all that end in *error* share another, logarithmic in the magnitude, so that a small and a large error
    can be compared; any other panel has its own. A field with both signs is drawn with zero in the middle of its scale,
    one of two values with two colours.

    Parameters
    ----------
    panels
        Name to field on an interval ``(n,)`` or a rectangle ``(nx, ny)``; the first axis is x. One that is the same
        everywhere is written as a number.
    title
        Heading of the figure.
    units
        Name to unit, where a field has one; ``"1"`` otherwise.
    axis_names
        Of the first and the second axis of the fields.
    lengths
        Where these axes end; they begin at 0.

    Raises
    ------
    ConfigurationError
        No panel, a field that is not 1-D or 2-D, or values that are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> u = np.random.default_rng(0).random((16, 16))
    >>> figure = field_comparison({"reference": u, "prediction": 1.1 * u, "error": 0.1 * u}, "an example")
    """
    fields = {name: _finite(name, values, (1, 2)) for name, values in _some("panels", panels).items()}
    fields = {name: np.abs(field) if _group(name) == "error" else field for name, field in fields.items()}
    limits = {group: _limits(group, members) for group, members in _by_group(fields).items()}

    columns = len(fields) if len(fields) <= 3 else ceil(len(fields) / 2)
    rows = ceil(len(fields) / columns)
    figure = _figure(3.3 * columns, 2.6 * rows + 0.4)
    figure.get_layout_engine().set(w_pad=0.1)  # type: ignore[union-attr, call-arg]
    figure.suptitle(fill(title, int(TITLE * 3.3 * columns), break_on_hyphens=False), fontweight="bold")
    for index, (name, field) in enumerate(fields.items()):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.set_title(name)
        unit = (units or {}).get(name, "1")
        if _group(name) not in ("error", "solution") and field.min() == field.max():
            _write_number(axes, float(field.flat[0]), unit)
            continue
        (_draw_line if field.ndim == 1 else _draw_image)(axes, field, _group(name), limits[_group(name)], unit)
        axes.set_xlabel(axis_names[0])
        if field.ndim == 2:
            axes.set_xticks([0, 1], ["0", f"{lengths[0]:g}"])
            axes.set_ylabel(axis_names[1])
            axes.set_yticks([0, 1], ["0", f"{lengths[1]:g}"])
    _trim(figure)
    return figure


def training_curves(
    histories: Mapping[str, Sequence[Mapping[str, float | None]]], budget: float | None = None
) -> Figure:
    """Draw validation error and training loss against seconds, one colour a learner.

    Parameters
    ----------
    histories
        Learner to rows with the entries ``seconds``, ``step``, ``train_loss`` and ``validation_error``; an entry that
        is missing, None or NaN is left out of its curve. The runs ``"mgno/0"``, ``"mgno/1"`` are drawn as one
        learner ``mgno`` with two curves.
    budget
        Seconds that were granted, marked where given.

    Raises
    ------
    ConfigurationError
        No history, or one without a single row that has both ``seconds`` and ``validation_error``.
    """
    figure = _figure(9.0, 3.8)
    panels = (("validation_error", f"validation {_RELATIVE_ERROR}"), ("train_loss", "training loss (1)"))
    for index, (column, label) in enumerate(panels):
        axes = figure.add_subplot(1, 2, index + 1)
        for name, style in _styled(_some("histories", histories)):
            curve = _pairs(histories[name], "seconds", column)
            if len(curve):
                axes.plot(curve[:, 0], curve[:, 1], **style, markevery=max(1, len(curve) // 12))
            elif column == "validation_error":
                raise ConfigurationError(
                    f"histories: {name!r} has {len(histories[name])} rows and none with finite 'seconds' and "
                    "'validation_error'; give the history of a run that was validated at least once."
                )
        # An energy may have any sign.
        scale = "log" if all((np.asarray(line.get_ydata()) > 0).all() for line in axes.get_lines()) else "linear"
        if budget is not None:
            axes.axvline(budget, color="0.4", linewidth=1, label=f"budget {budget:g} s")
        axes.set(yscale=scale, xlabel=_X_LABELS["seconds"], ylabel=label)
        _finish(axes, legend=index == 0)
    return figure


def error_against(
    points: Mapping[str, ArrayLike],
    x: Literal["seconds", "parameters"] = "seconds",
    references: Mapping[str, float] | None = None,
) -> Figure:
    """Draw test error against what it cost, both logarithmic.

    Parameters
    ----------
    points
        Learner to rows ``(x, error)`` or ``(x, error, spread)``; a spread becomes an error bar.
    x
        What the first column is: training seconds or the number of trainable parameters.
    references
        Errors that need no learner, drawn as horizontal lines under their names.

    Raises
    ------
    ConfigurationError
        An unknown `x`, no points, another number of columns, or values that are not finite and positive.
    """
    if x not in _X_LABELS:
        raise ConfigurationError(f"x: {x!r} is not a cost that can be drawn; choose one of {', '.join(_X_LABELS)}.")
    figure = _figure(6.0, 4.2)
    axes = figure.add_subplot()
    for name, style in _styled(_some("points", points)):
        rows = _finite(name, points[name], (2,))
        if rows.shape[1] not in (2, 3) or (rows[:, :2] <= 0).any():
            raise ConfigurationError(
                f"points: {name!r} has shape {rows.shape} and smallest value {rows.min():.3g}; rows (x, error) or "
                "(x, error, spread) with x and error positive are expected."
            )
        rows = rows[np.argsort(rows[:, 0], kind="stable")]
        spread = rows[:, 2] if rows.shape[1] == 3 else None
        if len(rows) == 1:
            style |= {"linestyle": "none", "markersize": 7}
        # Hollow, so that markers on the same place are all seen.
        axes.errorbar(rows[:, 0], rows[:, 1], yerr=spread, **style, capsize=3, markerfacecolor="none")
    for name, error in (references or {}).items():
        axes.axhline(error, color="0.4", linewidth=1, label=name)
    axes.set(xscale="log", yscale="log", xlabel=_X_LABELS[x], ylabel=f"test {_RELATIVE_ERROR}")
    _finish(axes)
    return figure


def error_histogram(errors_by_learner: Mapping[str, ArrayLike], bins: int | None = None) -> Figure:
    """Draw how the errors of single samples are distributed, on bins that all learners share.

    Parameters
    ----------
    errors_by_learner
        Learner to relative L2 errors ``(samples,)``.
    bins
        Number of bins, equal in the logarithm of the error; by default so many that every learner spreads over the root
        of its number of samples, at least 5, and at most 60 in all.

    Raises
    ------
    ConfigurationError
        No learner, or errors that are not finite and positive.
    """
    from matplotlib.ticker import MaxNLocator

    errors = {name: _positive(name, e) for name, e in _some("errors_by_learner", errors_by_learner).items()}
    low, high = min(e.min() for e in errors.values()), max(e.max() for e in errors.values())
    bins = bins if bins is not None else _bins(list(errors.values()))
    edges = np.geomspace(low / 1.05, high * 1.05, bins + 1)
    figure = _figure(6.0, 4.2)
    axes = figure.add_subplot()
    for name, style in _styled(errors):
        label = f"{name}, median {np.median(errors[name]):.2g}"
        outline = {"color": style["color"], "linestyle": style["linestyle"], "linewidth": 1.6}
        axes.hist(errors[name], bins=edges.tolist(), histtype="step", label=label, **outline)
        axes.hist(errors[name], bins=edges.tolist(), color=style["color"], alpha=0.15)
    axes.set(xscale="log", xlabel=f"test {_RELATIVE_ERROR}", ylabel="number of samples (1)")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    _finish(axes, legend=False)
    # Above, where it hides nothing.
    axes.legend(fontsize="small", loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, frameon=False)
    return figure


def certificate_scatter(estimated: ArrayLike, true: ArrayLike) -> Figure:
    """Draw estimated against true errors, one point a sample; on the diagonal the estimate is exact.

    Parameters
    ----------
    estimated, true
        Relative errors of the same samples, ``(samples,)``.

    Raises
    ------
    ConfigurationError
        Different lengths, or errors that are not finite and positive.
    """
    estimate, truth = _positive("estimated", estimated), _positive("true", true)
    if estimate.shape != truth.shape:
        raise ConfigurationError(
            f"estimated has {estimate.size} errors and true has {truth.size}; give both for each sample."
        )
    ratio = estimate / truth
    ends = [min(estimate.min(), truth.min()) / 1.2, max(estimate.max(), truth.max()) * 1.2]
    figure = _figure(4.8, 4.6)
    axes = figure.add_subplot()
    axes.plot(ends, ends, color="0.4", linewidth=1, label="estimate = truth")
    label = f"samples, median ratio {np.median(ratio):.2f} ({ratio.min():.2f} to {ratio.max():.2f})"
    axes.scatter(truth, estimate, s=14, color=_COLOURS[0], alpha=0.7, label=label)
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, aspect="equal")
    axes.set(xlabel=f"true {_RELATIVE_ERROR}", ylabel=f"estimated {_RELATIVE_ERROR}")
    _finish(axes)
    return figure


def convergence(histories: Mapping[str, ArrayLike], tolerance: float | None = None) -> Figure:
    """Draw the residual of an iteration for several starting points.

    Parameters
    ----------
    histories
        Start to relative residuals ``(iterations + 1,)``, the first one before the first iteration.
    tolerance
        Drawn as a line where given.

    Raises
    ------
    ConfigurationError
        No history, or residuals that are not finite and positive.
    """
    from matplotlib.ticker import MaxNLocator

    figure = _figure(6.0, 4.2)
    axes = figure.add_subplot()
    for name, style in _styled(_some("histories", histories)):
        residuals = _positive(name, histories[name])
        axes.plot(np.arange(residuals.size), residuals, **style, markevery=max(1, residuals.size // 12))
    if tolerance is not None:
        axes.axhline(tolerance, color="0.4", linewidth=1, label=f"tolerance {tolerance:.0e}")
    axes.set(yscale="log", xlabel="iterations (1)", ylabel="relative residual ‖b − A x‖₂ / ‖b‖₂ (1)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _finish(axes)
    return figure


def solver_convergence(
    history: ArrayLike, title: str, tolerance: float | None = None, measure: str = "‖b − A x‖₂ / ‖b‖₂"
) -> Figure:
    """Draw the residuals of one solve: a line for each of a few systems, else their median and the range of all.

    Parameters
    ----------
    history
        Relative residuals ``(steps + 1, systems)``, the first ones before the first step; what is not finite is left
        out.
    title
        The method.
    tolerance
        Drawn as a line where given.
    measure
        Formula of what converges.

    Raises
    ------
    ConfigurationError
        A history of another shape, without a step, or without a positive residual.

    Examples
    --------
    >>> import numpy as np
    >>> figure = solver_convergence(np.geomspace(1, 1e-9, 20)[:, None], "CG + Jacobi", 1e-8)
    """
    from matplotlib.ticker import MaxNLocator

    residuals = np.asarray(history, dtype=np.float64)
    if residuals.ndim != 2 or len(residuals) < 2 or not (residuals > 0).any():
        raise ConfigurationError(
            f"history: shape {residuals.shape}, {int((residuals > 0).sum())} positive values; residuals "
            "(steps + 1, systems) of at least one step are expected."
        )
    residuals = np.where(np.isfinite(residuals), np.maximum(residuals, np.finfo(np.float64).eps), np.nan)
    steps, systems = np.flatnonzero(np.isfinite(residuals).any(axis=1)), residuals.shape[1]
    residuals = residuals[steps]
    figure = _figure(6.0, 4.2)
    axes = figure.add_subplot()
    axes.set_title(title)
    few = systems <= len(_COLOURS)
    names = ["residual"] if systems == 1 else [f"column {k}" for k in range(systems)] if few else ["median"]
    curves = residuals.T if few else np.nanmedian(residuals, axis=1)[None]
    for (_, style), curve in zip(_styled(dict.fromkeys(names)), curves, strict=True):
        axes.plot(steps, curve, **style, markevery=max(1, len(steps) // 12))
    if not few:
        low, high = np.nanmin(residuals, axis=1), np.nanmax(residuals, axis=1)
        axes.fill_between(steps, low, high, color=_COLOURS[0], alpha=0.15, label=f"all {systems} columns")
    if tolerance is not None:
        axes.axhline(tolerance, color="0.4", linewidth=1, label=f"tolerance {tolerance:.0e}")
    axes.set(yscale="log", xlabel="iterations (1)", ylabel=f"relative residual {measure} (1)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _finish(axes)
    return figure


# Checks


def _some(argument: str, entries: Mapping[str, Value]) -> Mapping[str, Value]:
    if not entries:
        raise ConfigurationError(f"{argument} is empty; there is nothing to draw. Give at least one entry.")
    return entries


def _finite(name: str, values: ArrayLike, dimensions: tuple[int, ...]) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim not in dimensions or array.size == 0:
        expected = " or ".join(f"{d}-D" for d in dimensions)
        raise ConfigurationError(f"{name}: shape {array.shape}, but a {expected} array with values is expected.")
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        first = tuple(int(i) for i in bad[0])
        raise ConfigurationError(
            f"{name}: {len(bad)} of {array.size} values are NaN or infinite, the first at {first}."
        )
    return array


def _positive(name: str, values: ArrayLike) -> Array:
    array = _finite(name, values, (1,))
    if (array < 0).any() or not (array > 0).any():
        raise ConfigurationError(f"{name}: smallest value {array.min():.3g}; errors and residuals are positive.")
    # An exact answer has error 0, which a logarithmic axis cannot show: it stands at the smallest rounding unit.
    return np.maximum(array, np.finfo(np.float64).tiny if (array > 0).all() else np.finfo(np.float64).eps)


# Drawing


def _bins(errors: Sequence[Array]) -> int:
    """So many that each of the distributions, decades apart maybe, fills the root of its number of samples."""
    extent = float(np.log(max(e.max() for e in errors) / min(e.min() for e in errors)))
    widths = [float(np.log(e.max() / e.min())) / max(5, ceil(e.size**0.5)) for e in errors if e.max() > e.min()]
    return min(MOST_BINS, max(5, ceil(extent / min(widths)))) if widths else 5


def _trim(figure: Figure) -> None:
    """Take away the empty band that square panels leave at the bottom: their height follows from the width."""
    figure.draw_without_rendering()
    width, height = figure.get_size_inches()
    band = figure.get_tightbbox().y0 - BOTTOM
    if band > 0:
        figure.set_size_inches(width, height - band)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=120, layout="compressed", facecolor="white")


def _finish(axes: Axes, legend: bool = True) -> None:
    """Ticks, grid and legend, once the data are drawn."""
    _space_logarithmic_ticks(axes.xaxis, axes.get_xlim())
    _space_logarithmic_ticks(axes.yaxis, axes.get_ylim())
    axes.grid(True, which="major", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    if legend:
        axes.legend(fontsize="small", framealpha=0.9)


def _space_logarithmic_ticks(axis: Axis, limits: tuple[float, float]) -> None:
    """Over less than two decades, label a few round values: powers of ten are too few, every digit is too many."""
    from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullLocator

    if axis.get_scale() != "log":
        return
    decades = np.log10(max(limits) / min(limits))
    if decades < 1.7:
        axis.set_major_locator(MaxNLocator(4) if decades < 1 else LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FormatStrFormatter("%g"))
        axis.set_minor_locator(NullLocator())


def _styled(names: Mapping[str, object]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each name with its style; runs ``learner/seed`` share the style, and one legend entry, of their learner."""
    seen: list[str] = []
    for name in names:
        learner = name.rpartition("/")[0] or name
        new = learner not in seen
        seen += [learner] if new else []
        turn, index = divmod(seen.index(learner), len(_COLOURS))
        # Colours come again with other dashes.
        dashes = _DASHES[(index + turn) % len(_DASHES)]
        style = {"color": _COLOURS[index], "marker": _MARKERS[index], "linestyle": dashes}
        yield name, {**style, "markersize": 4, "linewidth": 1.6, "label": learner if new else "_"}


def _pairs(rows: Sequence[Mapping[str, float | None]], x: str, y: str) -> Array:
    """Return the rows ``(x, y)`` where both are finite."""
    found = [(row.get(x), row.get(y)) for row in rows]
    pairs = np.array([p for p in found if None not in p], dtype=np.float64).reshape(-1, 2)
    finite: Array = pairs[np.isfinite(pairs).all(axis=1)]
    return finite


def _group(name: str) -> str:
    last = name.lower().split()[-1] if name.strip() else ""
    if last in ("reference", "prediction"):
        return "solution"
    return "error" if last == "error" else name


def _by_group(fields: Mapping[str, Array]) -> dict[str, list[Array]]:
    groups: dict[str, list[Array]] = {}
    for name, field in fields.items():
        groups.setdefault(_group(name), []).append(field)
    return groups


def _limits(group: str, members: Sequence[Array]) -> tuple[float, float]:
    high = max(float(m.max()) for m in members)
    if group != "error":
        low = min(float(m.min()) for m in members)
        largest = max(-low, high)
        if min(-low, high) > SIGNED * largest:
            return -largest, largest
        return (low, high) if low < high else (low - 0.5, high + 0.5)
    if high == 0:
        return 1e-16, 1.0
    # A decade below the typical value of the most accurate panel; zeros (a boundary, say) take the lowest colour.
    low = min(float(np.median(m)) for m in members) / 10
    return min(max(low, 1e-6 * high), 0.1 * high), high


def _draw_image(axes: Axes, field: Array, group: str, limits: tuple[float, float], unit: str) -> None:
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm, Normalize

    error = group == "error"
    norm = (LogNorm if error else Normalize)(*limits, clip=True)
    cmap = colormaps[{"error": "magma", "solution": "viridis"}.get(group, "cividis")]
    values = np.unique(field)
    if not error and limits[0] == -limits[1]:
        cmap = colormaps["RdBu_r"]
    elif group not in ("error", "solution") and len(values) == 2:
        cmap = cmap.resampled(2)
    image = axes.imshow(field.T, origin="lower", extent=(0, 1, 0, 1), norm=norm, cmap=cmap, interpolation="nearest")
    axes.set(xticks=[0, 1], yticks=[0, 1], xlabel="x", ylabel="y", aspect="equal")
    axes.xaxis.labelpad = axes.yaxis.labelpad = -8
    bar = axes.get_figure().colorbar(image, ax=axes)  # type: ignore[union-attr]
    bar.set_label(f"magnitude ({unit})" if error else f"value ({unit})")
    if cmap.N == 2:
        bar.set_ticks(values.tolist())


def _write_number(axes: Axes, value: float, unit: str) -> None:
    """A field that is the same everywhere: a colour would say nothing."""
    text = f"{value:.4g}" if unit == "1" else f"{value:.4g} {unit}"
    axes.text(0.5, 0.5, f"{text}\neverywhere", ha="center", va="center", transform=axes.transAxes)
    axes.set(xticks=[], yticks=[], aspect="equal")


def _draw_line(axes: Axes, field: Array, group: str, limits: tuple[float, float], unit: str) -> None:
    error = group == "error"
    low, high = limits
    margin = 0 if error else 0.05 * (high - low)
    colour = _COLOURS[1] if error else _COLOURS[0]
    axes.plot(np.linspace(0, 1, field.size), np.maximum(field, low) if error else field, color=colour)
    axes.set(xlabel="x", ylabel=f"magnitude ({unit})" if error else f"value ({unit})")
    axes.set(yscale="log" if error else "linear", ylim=(low - margin, high * 1.2 if error else high + margin))
    _finish(axes, legend=False)
