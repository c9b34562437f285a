"""The page docs/benchmarks/dgno.md, rendered from the record: no number on it is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parts.page import figures_table, provenance, section

__all__ = ["render"]

SHORT = """Where bars are missed: on Burgers, with shocks of about a mesh width, a sum of products of functions of the
input and functions of the point has to place a moving front, which neither network does. The centred correlation is
that of posterior means; chains with the exact law of the media, on fewer of them and not mixed, reach more, which
suggests that a better prior would. Intervals are conservative: those of two phases hold one value or both, and all
points of a drawn medium share one quantile, so that its interfaces move together. Without labels DGNO and a MultiONet
of the same size do equally well once they are taught by the same energy; what DGNO adds is the decoder of the input,
hence the inversion."""


def render(record: Mapping[str, Any]) -> str:
    """Markdown of the whole page."""
    tables, figures = record["tables"], record["figures"]
    parts = [
        "# MultiONet and DGNO",
        "Operator networks that answer at any point, learned with labels and from the equation alone, and the "
        "inversion of sensor values in their latent space. What the problems are is said in "
        "[problems](../problems.md). Errors are means over held-out samples of relative L² norms.",
        provenance(record),
        "## The bars\n\n" + figures_table({k: v for k, v in figures.items() if "bar" in v}),
        SHORT,
        section(tables, "label_free_darcy_smooth", "## Smooth media without labels"),
        section(tables, "label_free_darcy_two_phase", "## Two phases without labels"),
        section(tables, "variants_darcy_smooth", "## Other residuals and networks: smooth media"),
        section(tables, "variants_darcy_two_phase", "## Other residuals and networks: two phases"),
        section(tables, "far", "## Burgers and Stokes without labels"),
        section(tables, "supervised", "## With labels: MultiONet and DeepONet"),
        section(tables, "inverse", "## From sensors to media"),
        section(tables, "other_media", "## Media of other laws"),
        "## All figures\n\n" + figures_table(figures),
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"
