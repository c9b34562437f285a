"""What installed packages offer under an entry-point group, those that cannot be loaded left out and remembered."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

__all__ = ["Installed", "installed"]


class Installed(dict[str, Any]):
    """Objects by name.

    Attributes
    ----------
    broken
        By name, one sentence that says why the others could not be loaded.
    """

    def __init__(self, points: Iterable[EntryPoint] = ()) -> None:
        super().__init__()
        self.broken: dict[str, str] = {}
        for point in points:
            try:
                self[point.name] = point.load()
            # Whatever the import of a foreign package raises: the others must not suffer from it.
            except Exception as error:
                self.broken[point.name] = _reason(point, error)


def installed(group: str) -> Installed:
    """Load what is installed under an entry-point group; a `RuntimeWarning` names each entry that cannot be loaded.

    Examples
    --------
    >>> "darcy" in installed("pde_benchmarks.problems")
    True
    """
    found = Installed(entry_points(group=group))
    for reason in found.broken.values():
        warnings.warn(f"{reason} It is left out.", RuntimeWarning, stacklevel=2)
    return found


def _reason(point: EntryPoint, error: Exception) -> str:
    distribution = "an unknown distribution" if point.dist is None else f"{point.dist.name} {point.dist.version}"
    return (
        f"entry point {point.name} = {point.value} ({point.group}) of {distribution} cannot be loaded "
        f"({type(error).__name__}: {error}): repair, update or uninstall that package."
    )
