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
        *(_iterations(tables, n) for n in (32, 64, 128, 256)),
        *(section(tables, f"times_{n}", f"## Time and memory at {n}³") for n in (64, 128)),
        section(tables, "empty_box", "## An empty box"),
        section(tables, "certificates", "## Whatever the right-hand side"),
        section(tables, "published", "## The published network"),
        section(tables, "published_choice", "### How long it is trained"),
        section(tables, "smoke", "## Smoke"),
        section(tables, "cavities", "## Lid-driven cavities"),
        "## All figures\n\n" + figures_table(figures),
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _iterations(tables: Mapping[str, Any], n: int) -> str:
    """The steps at one size, with the residuals of the first mask."""
    table = section(tables, f"iterations_{n}", f"## Iterations at {n}³")
    picture = f"![Residuals step by step, noise, the first mask of {n}³ cells](figures/poisson_residuals_{n}.png)"
    return f"{table}\n{picture}" if table else ""
