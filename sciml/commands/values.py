"""Values on the command line: durations, ``key=value`` settings, comma-separated names."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from sciml.errors import ConfigurationError

__all__ = ["names", "seconds", "settings"]

_UNITS = {"": 1.0, "s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """A duration in seconds.

    Raises
    ------
    ConfigurationError
        If it is not a positive number with the unit s, min or h.

    Examples
    --------
    >>> seconds("60s"), seconds("2min"), seconds("0.5h")
    (60.0, 120.0, 1800.0)
    """
    match = re.fullmatch(r"\s*([0-9.]+(?:e[+-]?[0-9]+)?)\s*([a-z]*)\s*", text.lower())
    try:
        value = float(match[1]) * _UNITS[match[2]] if match else math.nan
    except (ValueError, KeyError):
        value = math.nan
    if not (0 < value < math.inf):
        raise ConfigurationError(f"budget {text!r}: a positive duration such as 60s, 2min or 1h is expected.")
    return value


def settings(pairs: Sequence[str] | None) -> dict[str, Any]:
    """``key=value`` pairs as a dictionary; values are read as YAML.

    Raises
    ------
    ConfigurationError
        If a pair has no ``=``, a key comes twice, or a value is not YAML.

    Examples
    --------
    >>> settings(["layers=4", "base=null", "levels=11 11 20"])
    {'layers': 4, 'base': None, 'levels': '11 11 20'}
    """
    import yaml

    values: dict[str, Any] = {}
    for pair in pairs or ():
        key, sign, value = pair.partition("=")
        if not sign or not key:
            raise ConfigurationError(f"setting {pair!r}: key=value is expected.")
        if key in values:
            raise ConfigurationError(f"setting {key!r} is given twice.")
        try:
            values[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigurationError(f"setting {pair!r}: {value!r} is not a value; quote it if it is text.") from None
    return values


def names(text: str | None) -> list[str] | None:
    """Comma-separated names; ``none`` is an empty list, None stays None.

    Examples
    --------
    >>> names("mgno, fno"), names("none")
    (['mgno', 'fno'], [])
    """
    if text is None:
        return None
    found = [name.strip() for name in text.split(",") if name.strip()]
    return [] if found == ["none"] else found
