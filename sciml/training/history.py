"""The course of a training: step, seconds, learning rate, training loss and validation error."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from io import StringIO

from sciml.errors import RunError

__all__ = ["History"]

Row = dict[str, float | None]

COLUMNS = ("step", "seconds", "learning_rate", "train_loss", "validation_error")


@dataclass
class History:
    """Rows with the entries ``step``, ``seconds``, ``learning_rate``, ``train_loss``, ``validation_error``.

    ``seconds`` are those charged to the budget, ``train_loss`` is the mean since the row before, and
    ``validation_error`` is None where it was not measured.

    Examples
    --------
    >>> history = History()
    >>> history.add(step=1, seconds=0.5, learning_rate=1e-3, train_loss=0.9, validation_error=None)
    >>> History.from_csv(history.to_csv()) == history
    True
    """

    rows: list[Row] = field(default_factory=list)

    def add(
        self, *, step: int, seconds: float, learning_rate: float, train_loss: float, validation_error: float | None
    ) -> None:
        """Append a row."""
        self.rows.append(dict(zip(COLUMNS, (step, seconds, learning_rate, train_loss, validation_error), strict=True)))

    @property
    def steps(self) -> int:
        """Optimisation steps made."""
        return int(self.rows[-1]["step"] or 0) if self.rows else 0

    @property
    def seconds(self) -> float:
        """Seconds charged to the budget."""
        return float(self.rows[-1]["seconds"] or 0.0) if self.rows else 0.0

    @property
    def validation_error(self) -> float | None:
        """The last validation error that was measured."""
        errors = [row["validation_error"] for row in self.rows]
        return next((error for error in reversed(errors) if error is not None), None)

    def to_csv(self) -> str:
        """The rows as CSV with a header; numbers keep every digit, an unmeasured one is empty."""
        text = StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([["" if row[c] is None else repr(row[c]) for c in COLUMNS] for row in self.rows])
        return text.getvalue()

    @classmethod
    def from_csv(cls, text: str) -> History:
        """Inverse of `to_csv`.

        Raises
        ------
        RunError
            If the header or a number is not what `to_csv` writes.
        """
        lines = list(csv.reader(StringIO(text)))
        if not lines or tuple(lines[0]) != COLUMNS:
            raise RunError(f"history: header {lines[:1]}, expected {','.join(COLUMNS)}.")
        try:
            rows = [dict(zip(COLUMNS, (_number(cell) for cell in line), strict=True)) for line in lines[1:]]
        except ValueError as error:
            raise RunError(f"history: {error}: the file is damaged or truncated.") from None
        return cls(rows)


def _number(cell: str) -> float | None:
    if cell == "":
        return None
    return int(cell) if cell.lstrip("-").isdigit() else float(cell)
