"""Scalars of samples in a CSV file: a header, then one row a sample, which begins with the name of its file."""

from __future__ import annotations

import csv
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pde_benchmarks.errors import DatasetError

__all__ = ["ScalarTable", "read_scalars"]

_DELIMITERS = ",;\t"


@dataclass(frozen=True)
class ScalarTable:
    """Rows of text by the name in their first cell.

    Attributes
    ----------
    path
        The file.
    columns
        Names of the columns behind the first.
    rows
        Name of the sample to its cells, one a column.
    """

    path: Path
    columns: tuple[str, ...]
    rows: dict[str, tuple[str, ...]] = field(repr=False)

    def value(self, name: str, column: str) -> float:
        """The number in a row and a column.

        Raises
        ------
        DatasetError
            There is no such row or column, or no finite number in the cell.

        Examples
        --------
        >>> ScalarTable(Path("s.csv"), ("load",), {"a.vtu": ("4.5",)}).value("a.vtu", "load")
        4.5
        """
        if name not in self.rows:
            raise DatasetError(f"{self.path}: no row {name!r}: add one, its first cell the name of the file.")
        if column not in self.columns:
            raise DatasetError(f"{self.path}: no column {column!r}; there are {', '.join(self.columns) or 'none'}.")
        cell = self.rows[name][self.columns.index(column)]
        try:
            number = float(cell)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise DatasetError(
                f"{self.path}, row {name!r}, column {column!r}: {cell!r} is not a finite number: write one with a "
                "decimal point, or leave the column out of the inputs and outputs."
            )
        return number

    def of_samples(self, samples: Mapping[str, str]) -> ScalarTable:
        """The rows of samples, under their names.

        Parameters
        ----------
        samples
            Name of the sample to the name of its file; a row may begin with either.

        Raises
        ------
        DatasetError
            Samples without a row, or with two of them.
        """
        missing = [file for name, file in samples.items() if not self.rows.keys() & {name, file}]
        if missing:
            raise DatasetError(
                f"{self.path}: no row for {len(missing)} of {len(samples)} samples ({_some(missing)}); its first "
                f"column, the names of the files, holds {_some(list(self.rows))}."
            )
        twice = [file for name, file in samples.items() if name != file and self.rows.keys() >= {name, file}]
        if twice:
            raise DatasetError(f"{self.path}: two rows for {_some(twice)}, with and without ending: keep one.")
        rows = {name: self.rows[file if file in self.rows else name] for name, file in samples.items()}
        return replace(self, rows=rows)

    def warn_of_others(self, samples: Mapping[str, str]) -> None:
        """Warn of rows that belong to none of the samples (name to file)."""
        known = {*samples, *samples.values()}
        others = [row for row in self.rows if row not in known]
        if others:
            warnings.warn(f"{self.path}: rows without a mesh: {_some(others)}.", stacklevel=3)


def read_scalars(path: Path | str) -> ScalarTable:
    r"""Read a CSV file; cells may be separated by commas, semicolons or tabs.

    Raises
    ------
    DatasetError
        The file is missing, not text, has no header or no rows, rows of another length than the header, or a name or
        a column twice.

    Examples
    --------
    >>> _ = Path("s.csv").write_text("file,load,radius\na.vtu,4.5,1\n")
    >>> read_scalars("s.csv").columns
    ('load', 'radius')
    """
    path = Path(path)
    if not path.is_file():
        raise DatasetError(f"{path}: no such file; expected a CSV file of scalars.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: not text in UTF-8 (byte {error.start}): save it as CSV in UTF-8.") from error
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        raise DatasetError(f"{path}: {len(lines)} lines, expected a header and one row a sample.")
    delimiter = max(_DELIMITERS, key=lines[0].count)
    header, *rows = ([cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter))
    columns = header[1:]
    _require_once(path, "column", columns)
    _require_once(path, "row", [row[0] for row in rows])
    for row in rows:
        if len(row) != len(header):
            raise DatasetError(
                f"{path}, row {row[0]!r}: {len(row)} cells, but the header has {len(header)} ({_some(header)})."
            )
    return ScalarTable(path, tuple(columns), {row[0]: tuple(row[1:]) for row in rows})


def _require_once(path: Path, what: str, names: list[str]) -> None:
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice or "" in names:
        found = f"twice: {_some(twice)}" if twice else "without a name"
        raise DatasetError(f"{path}: a {what} {found}: give each {what} a name of its own.")


def _some(names: list[str], most: int = 5) -> str:
    more = f", … ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more
