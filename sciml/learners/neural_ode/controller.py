"""Choice of the next step size from the error of the last one; nothing here is differentiated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Controller", "IController", "PIController", "Times", "first_step", "refined_first_step"]

# Times, step sizes and scaled errors of all rows live on the host in float64, whatever the state is.
Times = NDArray[np.float64]

# Below it an error says only that the step may grow as far as allowed.
_SMALLEST_ERROR = 1e-10


class Controller(Protocol):
    """Anything that turns errors into factors of the step size."""

    @property
    def smallest(self) -> float:
        """The strongest reduction, also taken after a step that was not finite."""
        ...

    def factor(self, error: Times, previous: Times, order: int) -> Times:
        """Return the factor of the step size for scaled errors of this and of the last accepted step, ``(G,)``."""
        ...


@dataclass(frozen=True)
class IController:
    """Integral control, ``safety · E^(−1/p)``, within limits.

    Parameters
    ----------
    safety, smallest, largest
        Safety factor and the limits of one change.

    Examples
    --------
    >>> IController().factor(np.array([1.0, 0.0]), np.ones(2), order=5)
    array([ 0.9, 10. ])
    """

    safety: float = 0.9
    smallest: float = 0.2
    largest: float = 10.0

    def factor(self, error: Times, previous: Times, order: int) -> Times:
        """Return the factor of the step size, ``(G,)``; ``previous`` is not used."""
        raw = self.safety * np.maximum(error, _SMALLEST_ERROR) ** (-1 / order)
        return np.minimum(np.maximum(raw, self.smallest), self.largest)


@dataclass(frozen=True)
class PIController:
    """Proportional–integral control, ``safety · E^(−0.85/p) · E_previous^(0.2/p)``, within limits.

    Steps change more smoothly and fewer are rejected than with `IController`. The exponents are those of DOPRI5 (Hairer
    & Wanner, Solving ODEs II, IV.2; β = 0.04). Stronger damping, Gustafsson's 0.7 and 0.4, leaves errors at a
    thirtieth of the tolerance wherever steps grow, and takes half as many steps again.

    Parameters
    ----------
    safety, smallest, largest
        Safety factor and the limits of one change.
    proportional, integral
        Exponents, times p, of the previous and of this error.

    Examples
    --------
    >>> PIController().factor(np.array([1.0, 1.0]), np.array([1.0, 0.1]), order=5).round(3)
    array([0.9  , 0.821])
    """

    safety: float = 0.9
    smallest: float = 0.2
    largest: float = 10.0
    proportional: float = 0.2
    integral: float = 0.85

    def factor(self, error: Times, previous: Times, order: int) -> Times:
        """Return the factor of the step size, ``(G,)``."""
        raw = self.safety * np.maximum(error, _SMALLEST_ERROR) ** (-self.integral / order)
        # An accidentally tiny error must not forbid growth for ever.
        memory = np.maximum(previous, 1e-4) ** (self.proportional / order)
        return np.minimum(np.maximum(raw * memory, self.smallest), self.largest)


def first_step(slope_size: Times, state_size: Times) -> Times:
    """Return the trial step of the two-evaluation rule (Hairer, Nørsett & Wanner, Solving ODEs I, II.4), ``(G,)``."""
    tiny = (state_size < 1e-5) | (slope_size < 1e-5)
    return np.where(tiny, 1e-6, 0.01 * state_size / np.where(tiny, 1.0, slope_size))


def refined_first_step(trial: Times, slope_size: Times, curvature_size: Times, order: int) -> Times:
    """Return the first step from the trial step and the change of the slope over it, ``(G,)``."""
    largest = np.maximum(slope_size, curvature_size)
    flat = largest <= 1e-15
    by_slope = (0.01 / np.where(flat, 1.0, largest)) ** (1 / order)
    return np.minimum(100 * trial, np.where(flat, np.maximum(1e-3 * trial, 1e-6), by_slope))
