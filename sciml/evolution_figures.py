"""Figures of evolutions: the error of a roll-out frame by frame, and spectra."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from sciml.errors import ConfigurationError
from sciml.figures import _figure, _finish, _finite, _some, _styled
from sciml.trajectory_figures import logarithmic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["frame_errors", "spectra"]


def frame_errors(errors: Mapping[str, ArrayLike], instants: ArrayLike | None = None) -> Figure:
    """Draw the relative L² error of every frame of a roll-out, logarithmic, one curve a learner.

    Parameters
    ----------
    errors
        Learner to the errors of frames 1, 2, …
    instants
        Times of the frames, where they have any; drawn logarithmically where they are very uneven.

    Raises
    ------
    ConfigurationError
        No errors, values that are not finite, or another number of instants.

    Examples
    --------
    >>> frame_errors({"mgno": [0.01, 0.02, 0.04]}).axes[0].get_xlabel()
    'frame'
    """
    from matplotlib.ticker import MaxNLocator

    figure = _figure(6.0, 4.2)
    axes = figure.add_subplot()
    times = None if instants is None else _finite("instants", instants, (1,))
    for name, style in _styled(_some("errors", errors)):
        values = _finite(name, errors[name], (1,))
        if times is not None and len(times) != len(values):
            raise ConfigurationError(f"{name}: {len(values)} errors for {len(times)} instants: one each is expected.")
        axes.plot(np.arange(1, len(values) + 1) if times is None else times, values, **style)
    axes.set(yscale="log", ylabel="relative L² error, mean over samples", xlabel="frame")
    if times is None:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    else:
        axes.set(xlabel="time t", xscale="log" if logarithmic(times) else "linear")
    _finish(axes)
    return figure


def spectra(energies: Mapping[str, ArrayLike]) -> Figure:
    """Draw energy against wave number, both logarithmic, one curve a flow.

    Parameters
    ----------
    energies
        Name to the energies at wave numbers 1, 2, …

    Raises
    ------
    ConfigurationError
        No spectra, or values that are not finite.

    Examples
    --------
    >>> spectra({"reference": [1.0, 0.1, 0.01]}).axes[0].get_xlabel()
    'wave number'
    """
    figure = _figure(6.0, 4.2)
    axes = figure.add_subplot()
    for name, style in _styled(_some("energies", energies)):
        values = _finite(name, energies[name], (1,))
        axes.plot(np.arange(1, len(values) + 1), values, **{**style, "marker": ""})
    axes.set(xscale="log", yscale="log", xlabel="wave number", ylabel="energy")
    _finish(axes)
    return figure
