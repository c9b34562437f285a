"""The page docs/benchmarks/poisson.md, rendered from the record: no number on it is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parts.page import figures_table, markdown_table, provenance, section

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
        _growth(tables),
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


def _growth(tables: Mapping[str, Any]) -> str:
    """How many steps more the largest grid of twenty masks takes than the smallest, column by column."""
    if not {"iterations_32", "iterations_128"} <= set(tables):
        return ""
    small, large = ({row[0]: row[1:] for row in tables[f"iterations_{n}"]["rows"]} for n in (32, 128))
    columns = tables["iterations_32"]["columns"]
    kinds = range(len(columns) - 3)
    rows = [[name, *(large[name][k] - small[name][k] for k in kinds)] for name in small if large[name][-1] > 1]
    caption = "Steps at 128³ less steps at 32³, from the tables above; the figure of the bars is that of noise at 1e-4."
    return "## Growth with the grid\n\n" + markdown_table({"columns": columns[:-2], "rows": rows, "caption": caption})
