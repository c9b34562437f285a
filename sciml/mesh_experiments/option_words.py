"""What the readers of files say of their arguments, in the words of the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from solvers.errors import ScimlError

__all__ = ["options_in_words"]

_WORDS = {
    "name it among the cell fields to have it averaged": "give it by --cell-field to have it averaged",
    "choose one kind by ending=": "choose one kind by --ending",
    "choose one by definition=, or give fields, inputs and outputs": "choose one by --plaid definition=NAME",
    "choose one, time=.": "choose one by --plaid time=NUMBER.",
    ": use read_mesh_splits, or read one of them": ": name one of them",
}


@contextmanager
def options_in_words() -> Iterator[None]:
    """Name options in the place of arguments in whatever of ours the block raises.

    Examples
    --------
    >>> from pde_benchmarks.errors import DatasetError
    >>> with options_in_words():
    ...     raise DatasetError("2 .vtu, 3 .vtk: choose one kind by ending=, such as '.vtk'.")
    Traceback (most recent call last):
    pde_benchmarks.errors.DatasetError: 2 .vtu, 3 .vtk: choose one kind by --ending, such as '.vtk'.
    """
    try:
        yield
    except ScimlError as error:
        text = str(error)
        for argument, option in _WORDS.items():
            text = text.replace(argument, option)
        error.args = (text, *error.args[1:])
        raise
