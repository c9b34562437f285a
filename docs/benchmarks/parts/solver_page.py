"""The page docs/benchmarks/solvers.md, rendered from the record: no number on it is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parts.page import figures_table, provenance, section

__all__ = ["render"]


def render(record: Mapping[str, Any]) -> str:
    """Markdown of the whole page."""
    tables, figures = record["tables"], record["figures"]
    parts = [
        "# Sparse solvers, beside SciPy, PyAMG and torch-sla",
        "Dirichlet Poisson problems with 5- and 7-point stencils (diagonal 4 and 6) and a batch of diffusion problems. "
        "All solvers get the same matrix, the same standard normal right-hand side and a zero start, stop at a "
        "relative residual of 1e-8, and run in turn in one process on one thread; times are the least of the rounds, "
        "ratios are ours over theirs.",
        provenance(record),
        "## The bars\n\n" + figures_table({k: v for k, v in figures.items() if "bar" in v}),
        section(tables, "conjugate_gradients", "## Conjugate gradients"),
        section(tables, "multigrid", "## Multigrid"),
        section(tables, "smoothed_aggregation", "## Smoothed aggregation"),
        section(tables, "iterations", "## Mesh independence"),
        section(tables, "batches", "## Batches"),
        section(tables, "products", "## Products"),
        "## All figures\n\n" + figures_table(figures),
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"
