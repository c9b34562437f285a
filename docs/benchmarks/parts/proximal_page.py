"""The page docs/benchmarks/proximal.md, rendered from the record: no number on it is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parts.page import figures_table, provenance, section

__all__ = ["render"]

SECTIONS = {
    "laplace": "## Laplace numbers: the prior that is known",
    "denoising": "## Denoising",
    "prior": "## What the learned prior says",
    "inverse_heat_source": "## Heat source",
    "inverse_deblurring": "## Deblurring",
    "inverse_tomography": "## Tomography with fifteen views",
    "inverse_compressed_sensing": "## Compressed sensing",
    "inverse_darcy": "## Permeability from pressures",
    "convergence": "## Convergence",
    "times": "## Times",
}


def render(record: Mapping[str, Any]) -> str:
    """Markdown of the whole page."""
    tables, figures = record["tables"], record["figures"]
    parts = [
        "# Learned proximal networks",
        "A network that is the proximal operator of a learned prior, beside other priors and denoisers: what it adds "
        "is a certificate, an objective that never rises. Every network is trained for the same number of steps; the "
        "learning rate of either kind was chosen out of three by validation fields of ellipses (of the convex network "
        "seven other settings were tried, too, and not used). "
        "Published figures are for photographs at sizes that are not trained here. See [learned priors]"
        "(../proximal.md).",
        provenance(record),
        "## The bars\n\n" + figures_table({k: v for k, v in figures.items() if "bar" in v}),
        *(section(tables, name, title) for name, title in SECTIONS.items()),
        "## All figures\n\n" + figures_table(figures),
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"
