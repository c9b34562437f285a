"""How commands speak: results on standard output, progress and remarks on standard error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table

from sciml.report import significant

if TYPE_CHECKING:
    from sciml.experiments.data import Advance

__all__ = ["Terminal", "show", "table"]

PIPE_WIDTH = 140
TIME_WIDTH = len("0:00:00")

Cell = str | float | None


class Terminal:
    """Follows long jobs with progress bars that show the time left."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, soft_wrap=True)

    def say(self, text: str) -> None:
        """Print a sentence on standard error."""
        self._console.print(escape(text), highlight=False)

    @contextmanager
    def bar(self, title: str) -> Iterator[Advance]:
        """Show a bar while the job runs; what it yields takes the fraction that is done and a short text."""
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("left"),
            TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=TIME_WIDTH)),
            TextColumn("after"),
            TimeElapsedColumn(table_column=Column(no_wrap=True, min_width=TIME_WIDTH)),
            TextColumn("{task.fields[text]}", markup=False),
        )
        with Progress(*columns, console=self._console) as progress:
            task = progress.add_task(title, total=1.0, text="")

            def advance(fraction: float, text: str) -> None:
                progress.update(task, completed=fraction, text=text)

            yield advance
            progress.update(task, completed=1.0)


def show(text: str) -> None:
    """Print a line of results on standard output."""
    Console(soft_wrap=True).print(escape(text), highlight=False)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """Print a table on standard output; numbers are aligned and shown with three digits, None as a dash."""
    drawn = Table(title=escape(title), title_justify="left")
    for index, column in enumerate(columns):
        numeric = any(isinstance(row[index], Real) for row in rows)
        drawn.add_column(escape(column), justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
    for row in rows:
        drawn.add_row(*(escape(_text(cell)) for cell in row))
    # A file or a pipe has no width; a table in it should not be cut to that of a narrow terminal.
    console = Console() if Console().is_terminal else Console(width=PIPE_WIDTH)
    console.print(drawn)


def _text(cell: Cell) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, Integral):
        return f"{int(cell):,}".replace(",", " ")
    return significant(float(cell)) if isinstance(cell, Real) else str(cell)
