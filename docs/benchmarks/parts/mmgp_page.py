"""The page docs/benchmarks/mmgp.md, rendered from the record: no number on it is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parts.page import figures_table, provenance, section

__all__ = ["render"]

TITLES = {
    "plate": "Notched plate, elastoplastic",
    "plate_averages": "Notched plate, stresses averaged over cells",
    "plate_all": "Notched plate, near collapse too",
    "aerofoil": "Aerofoil",
    "blade": "Turning blade",
}


def render(record: Mapping[str, Any]) -> str:
    """Markdown of the whole page."""
    tables, figures = record["tables"], record["figures"]
    parts = [
        "# Parts on meshes of varying shape",
        "Mesh morphing Gaussian processes on families of parts, each sample on its own mesh; beside them the weights "
        "and ranks of the published code, a graph network and the nearest training sample. See [MMGP](../mmgp.md).",
        provenance(record),
        "## The bars\n\n" + figures_table({k: v for k, v in figures.items() if "bar" in v}),
        *(_family(tables, name, title) for name, title in TITLES.items()),
        section(tables, "graph_network", "## A graph network"),
        section(tables, "gaussian_processes", "## The regression"),
        section(tables, "training_stages", "## Training, stage by stage"),
        section(tables, "snapshot_memory", "### Memory"),
        "## All figures\n\n" + figures_table(figures),
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _family(tables: Mapping[str, Any], name: str, title: str) -> str:
    found = [
        section(tables, f"fields_{name}", f"## {title}"),
        section(tables, f"scalars_{name}", "### Scalars"),
        section(tables, f"settings_{name}", "### The choice of settings"),
    ]
    return "\n\n".join(part.strip() for part in found if part)
