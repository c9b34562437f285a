"""Mirror images of parts, as the options ``--mirror`` describe them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sciml.errors import ConfigurationError
from sciml.learners.mmgp.parts import PartFamily
from sciml.learners.mmgp.symmetry import Mirror
from sciml.mesh_experiments.components import odd_components

__all__ = ["mirror_of"]

_AXES = "xyz"
_KEYS = ("axis", "odd", "swapped")


def mirror_of(settings: Mapping[str, Any], family: PartFamily) -> Mirror | None:
    """The mirror of a family; None if nothing is said of one.

    Components of vectors and tensors, of which the names end on their axes, change their sign by themselves.

    Parameters
    ----------
    settings
        ``axis``: "x", "y" or "z". ``odd``: further names of fields and scalars that change their sign, one text with
        commas or a list. ``swapped``: sets that change places, "left:right, toe:heel", or a list of pairs.

    Raises
    ------
    ConfigurationError
        An unknown key, no axis, a name that is none of the family, or no pairs.

    Examples
    --------
    >>> family = PartFamily(("u_x", "u_y", "s12"), landmarks=("foot", "toe"))
    >>> mirror_of({"axis": "x", "odd": "s12", "swapped": "foot:toe"}, family)
    Mirror(axis=0, odd=('u_x', 's12'), swapped=(('foot', 'toe'),))
    """
    if not settings:
        return None
    foreign = [key for key in settings if key not in _KEYS]
    if foreign:
        raise ConfigurationError(f"--mirror {foreign[0]}=…: expected {', '.join(_KEYS)}.")
    axis = str(settings.get("axis", "")).lower()
    if len(axis) != 1 or axis not in _AXES:
        raise ConfigurationError(f"--mirror axis={axis}: expected x, y or z, the axis that changes its direction.")
    number = _AXES.index(axis)
    names = (*family.fields, *family.input_scalars, *family.output_scalars)
    odd = _listed(settings.get("odd", ()))
    unknown = [name for name in odd if name not in names]
    if unknown:
        raise ConfigurationError(f"--mirror odd={unknown[0]}: expected fields or scalars of {', '.join(names)}.")
    found = tuple(dict.fromkeys((*odd_components(family.fields, number), *odd)))
    return Mirror(number, found, tuple(_pair(one) for one in _listed(settings.get("swapped", ()))))


def _listed(value: Any) -> list[Any]:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else list(value)


def _pair(one: Any) -> tuple[str, str]:
    names = [part.strip() for part in one.split(":")] if isinstance(one, str) else list(one)
    if len(names) != 2 or not all(names):
        raise ConfigurationError(f"--mirror swapped={one}: expected pairs of names of sets, such as left:right.")
    return str(names[0]), str(names[1])
