"""The page docs/benchmarks/hard_constraints.md, rendered from the record: no number on it is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parts.page import figures_table, provenance, section

__all__ = ["render"]


def render(record: Mapping[str, Any]) -> str:
    """Markdown of the whole page."""
    tables, figures = record["tables"], record["figures"]
    parts = [
        "# Hard constraints",
        "A layer that chooses, inside the network, the combination of its basis functions that satisfies the equation "
        "best, and experts that share the domain. What the problems are is said in [problems](../problems.md).",
        provenance(record),
        "## The bars\n\n" + figures_table({k: v for k, v in figures.items() if "bar" in v}),
        section(tables, "learning_sorption_hard", "## Diffusion and sorption with jumps"),
        section(tables, "learning_sorption", "## Diffusion and sorption"),
        section(tables, "learning_vorticity", "## Decaying vorticity"),
        section(tables, "beyond_sorption_hard", "## Times beyond the training's: diffusion and sorption with jumps"),
        section(tables, "beyond_vorticity", "## Times beyond the training's: decaying vorticity"),
        section(tables, "costs", "## Implicit against unrolled"),
        section(tables, "experts", "## Number of experts"),
        section(tables, "functions", "## Number of functions"),
        section(tables, "rivals", "## Beside Optimistix"),
        "## All figures\n\n" + figures_table(figures),
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"
