"""Names of pressure solvers: the classical ones, and those that were learned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pde_benchmarks.smoke import PRESSURE_METHODS, PressureMethod
from sciml.errors import ConfigurationError
from solvers import CG, AggregationMultigrid

__all__ = ["METHODS", "pressure_method"]


def _learned_cycle(rtol: float, dimension: int) -> PressureMethod:
    """CG with the multigrid cycle whose coefficients come with this package."""
    from sciml.learners.conjugate_directions import default_scalars

    axes: Literal[2, 3] = 3 if dimension == 3 else 2
    return PressureMethod(CG(rtol), AggregationMultigrid(coefficients=default_scalars(axes).cycle()))


#: Name to a function of the relative tolerance and the dimension.
METHODS: dict[str, Callable[[float, int], PressureMethod]] = {**PRESSURE_METHODS, "dcdm": _learned_cycle}


def pressure_method(name: str, rtol: float, dimension: int) -> PressureMethod:
    """The solver of this name.

    Raises
    ------
    ConfigurationError
        There is none; the message lists them.

    Examples
    --------
    >>> pressure_method("cg", 1e-6, 2).solver.rtol
    1e-06
    """
    if name not in METHODS:
        raise ConfigurationError(f"--solver {name}: unknown; there are {', '.join(METHODS)}.")
    return METHODS[name](rtol, dimension)
