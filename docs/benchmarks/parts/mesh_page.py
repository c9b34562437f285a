"""The page docs/benchmarks/meshes.md, rendered from the record: no number on it is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parts.page import figures_table, provenance, section

__all__ = ["render"]

TITLES = {
    "orders": "## Orders of convergence",
    "assembly": "## Batched assembly",
    "interpolation": "## Interpolation",
    "embedding": "## Embeddings",
    "files": "## Files",
}


def render(record: Mapping[str, Any]) -> str:
    """Markdown of the whole page."""
    tables, figures = record["tables"], record["figures"]
    rest = [name for name in tables if name not in TITLES]
    titles = TITLES | {name: f"## {name.replace('_', ' ').capitalize()}" for name in rest}
    parts = [
        "# Meshes: finite elements, interpolation, embeddings, files",
        "Errors are against manufactured solutions or exact values; times are the least of interleaved rounds in one "
        "process on one thread, ratios are ours over theirs.",
        provenance(record),
        "## The bars\n\n" + figures_table({k: v for k, v in figures.items() if "bar" in v}),
        *(section(tables, name, title) for name, title in titles.items()),
        "## All figures\n\n" + figures_table(figures),
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"
