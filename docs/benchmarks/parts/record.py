"""A benchmark's JSON record: figures with spread, seeds and bars, versions and hardware, written atomically."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

from sciml.files import read_json, write_json
from sciml.runs import hardware, versions

HERE = Path(__file__).resolve().parents[1]


class Record:
    """Figures of one benchmark in ``docs/benchmarks/NAME.json``; what was measured stays until it is measured again.

    Parameters
    ----------
    device
        ``cpu``, or the device whose name is appended to every figure's name.
    options
        What follows the script's name in the command that measures this again.
    """

    def __init__(self, name: str, device: str, directory: Path = HERE, options: str = "") -> None:
        self.path = directory / f"{name}.json"
        self.began = time.monotonic()
        earlier = read_json(self.path) if self.path.is_file() else {}
        gpu = hardware()["gpu"]
        self.suffix = "" if device == "cpu" else f"@{gpu or device}"
        self.content: dict[str, Any] = {
            "schema": 1,
            "benchmark": name,
            "command": f"python docs/benchmarks/{name}.py {options}".strip(),
            "commit": _commit(),
            "date": datetime.now(UTC).date().isoformat(),
            "seconds": earlier.get("seconds", 0),
            "hardware": hardware(),
            "versions": versions(),
            "figures": earlier.get("figures", {}),
            "tables": earlier.get("tables", {}),
        }
        self.earlier_seconds = self.content["seconds"]

    def figure(self, name: str, values: float | Sequence[float] | None, *, timed: bool = False, **facts: Any) -> None:
        """Add a figure: the mean over seeds with its standard deviation, or (``timed``) the median of repeats."""
        if values is None:
            entry: dict[str, Any] = {"value": None}
        else:
            numbers = [float(v) for v in (values if isinstance(values, Sequence) else [values])]
            entry = {"value": median(numbers) if timed else fmean(numbers)}
            if len(numbers) > 1:
                entry["spread"] = stdev(numbers)
        bar = facts.get("bar")
        if bar is not None and entry["value"] is not None:
            entry["reached"] = (
                entry["value"] <= bar["value"] if bar["sense"] == "<=" else entry["value"] >= bar["value"]
            )
        self.content["figures"][name + self.suffix] = {**entry, **facts}
        self.save()

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], caption: str) -> None:
        """Add a table; numbers stay numbers, the page formats them."""
        self.content["tables"][name + self.suffix] = {
            "columns": list(columns),
            "rows": [list(r) for r in rows],
            "caption": caption,
        }
        self.save()

    @property
    def figures(self) -> Path:
        """Where the page's pictures lie."""
        folder = self.path.parent / "figures"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def save(self) -> None:
        """Write what is known so far."""
        self.content["seconds"] = round(self.earlier_seconds + time.monotonic() - self.began)
        write_json(self.path, self.content)

    def value(self, name: str) -> float | None:
        """A figure's value, or None if it was not measured."""
        entry: Mapping[str, Any] = self.content["figures"].get(name + self.suffix, {})
        return entry.get("value")


def at_most(value: float) -> dict[str, Any]:
    """The bar behind a figure that should be small."""
    return {"sense": "<=", "value": value}


def at_least(value: float) -> dict[str, Any]:
    """The bar behind a figure that should be large."""
    return {"sense": ">=", "value": value}


def _commit() -> str:
    answer = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=HERE, check=False
    )
    return answer.stdout.strip() or "unknown"
