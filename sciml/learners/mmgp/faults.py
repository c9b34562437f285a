"""Errors that say which sample of a set they are about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from solvers.errors import ScimlError

__all__ = ["MMGPWarning", "in_sample", "listed"]

_SHOWN = 8


class MMGPWarning(UserWarning):
    """Data that can be used, but look like a mistake."""


@contextmanager
def in_sample(number: int) -> Iterator[None]:
    """Begin the message of whatever of ours the block raises with the number of the sample."""
    try:
        yield
    except ScimlError as error:
        head = f"sample {number}: "
        if not str(error).startswith("sample "):
            error.args = (f"{head}{error}", *error.args[1:])
        raise


def listed(numbers: list[int]) -> str:
    """The first of some numbers in words.

    Examples
    --------
    >>> listed([3, 5]), listed(list(range(20)))
    ('3, 5', '0, 1, 2, 3, 4, 5, 6, 7, …')
    """
    return ", ".join(map(str, numbers[:_SHOWN])) + (", …" if len(numbers) > _SHOWN else "")
