"""Components of vectors and tensors by the ends of their names: ``u_x``, ``u_y``, ``stress_xy``."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["odd_components", "vectors_in"]

_AXES = "xyz"


def vectors_in(fields: Sequence[str], dimension: int) -> tuple[tuple[str, ...], ...]:
    """Fields that are the components of a vector in space, all of them there and in order.

    Examples
    --------
    >>> vectors_in(["u_x", "u_y", "p", "stress_xx", "stress_yy"], 2)
    (('u_x', 'u_y'),)
    """
    axes = _AXES[:dimension]
    heads = dict.fromkeys(name[:-2] for name in fields if name[-2:-1] == "_" and name[-1] in axes)
    whole = [tuple(f"{head}_{axis}" for axis in axes) for head in heads]
    return tuple(names for names in whole if all(name in fields for name in names))


def odd_components(fields: Sequence[str], axis: int) -> tuple[str, ...]:
    """Components of vectors and tensors that change their sign if this axis is mirrored.

    Examples
    --------
    >>> odd_components(["u_x", "u_y", "stress_xx", "stress_xy", "w"], axis=0)
    ('u_x', 'stress_xy')
    """
    return tuple(name for name in fields if _letters(name, fields).count(_AXES[axis]) % 2)


def _letters(name: str, fields: Sequence[str]) -> str:
    """The axes that a component is of; nothing of a field that stands alone, such as ``load_x``."""
    head, line, tail = name.rpartition("_")
    if not line or not 1 <= len(tail) <= 2 or set(tail) - set(_AXES):
        return ""
    kin = [other for other in fields if other.startswith(f"{head}_") and len(other) == len(name)]
    return tail if len(kin) > 1 else ""
