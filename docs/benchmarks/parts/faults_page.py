"""The page docs/benchmarks/faults.md, rendered from the record: no number on it is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parts.page import figures_table, provenance, section

__all__ = ["render"]

SECTIONS = {
    "matrix": "## Cells of the matrix",
    "kills": "## Kills",
    "fuzz": "## Damaged files",
}


def render(record: Mapping[str, Any]) -> str:
    """Markdown of the whole page."""
    tables, figures = record["tables"], record["figures"]
    parts = [
        "# Faults",
        "Whether every learner works on every problem that it accepts, what a process that is killed leaves behind, "
        "and what commands say of damaged files.",
        provenance(record),
        "## The bars\n\n" + figures_table({k: v for k, v in figures.items() if "bar" in v}),
        *(section(tables, name, title) for name, title in SECTIONS.items()),
        "## All figures\n\n" + figures_table(figures),
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"
