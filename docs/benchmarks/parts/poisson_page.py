"""The page docs/benchmarks/poisson.md, rendered from the record: no number on it is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parts.page import figures_table, provenance, section

__all__ = ["render"]


def render(record: Mapping[str, Any]) -> str:
    """Markdown of the whole page."""
    tables, figures = record["tables"], record["figures"]
    parts = [
        "# Pressure solves",
        "Conjugate gradients on the pressure equation around random obstacles, preconditioned by classical methods "
        "and by a multigrid cycle whose coefficients are learned; beside them the published network. See "
        "[pressure](../pressure.md) for how to use them.",
        provenance(record),
        "## The bars\n\n" + figures_table({k: v for k, v in figures.items() if "bar" in v}),
        *(section(tables, f"iterations_{n}", f"## Iterations at {n}³") for n in (32, 64, 128)),
        *(section(tables, f"times_{n}", f"## Time at {n}³") for n in (64, 128)),
        section(tables, "certificates", "## Whatever the right-hand side"),
        section(tables, "published", "## The published network"),
        section(tables, "smoke", "## Smoke"),
        section(tables, "cavities", "## Lid-driven cavities"),
        "## All figures\n\n" + figures_table(figures),
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"
