"""Checks of the numbers in a configuration."""

from __future__ import annotations

import math

from sciml.errors import ConfigurationError

__all__ = ["require_at_least", "require_fraction", "require_one_of", "require_positive"]


def require_at_least(bound: int, **values: float) -> None:
    """Raise ConfigurationError unless every value is finite and not below ``bound``."""
    for name, value in values.items():
        if not bound <= value < math.inf:
            raise ConfigurationError(f"{name} = {value}: a finite number, at least {bound}, is expected.")


def require_positive(**values: float) -> None:
    """Raise ConfigurationError unless every value is finite and positive."""
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise ConfigurationError(f"{name} = {value}: a finite number, positive, is expected.")


def require_fraction(**values: float) -> None:
    """Raise ConfigurationError unless every value lies strictly between 0 and 1."""
    for name, value in values.items():
        if not 0 < value < 1:
            raise ConfigurationError(f"{name} = {value}: a number between 0 and 1 is expected.")


def require_one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise ConfigurationError unless the value is among the choices."""
    if value not in choices:
        raise ConfigurationError(f"{name} = {value!r}: use one of {', '.join(choices)}.")
