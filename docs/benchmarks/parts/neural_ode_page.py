"""The page docs/benchmarks/neural_ode.md, rendered from the record: no number on it is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parts.page import figures_table, provenance, section

__all__ = ["render"]

SECTIONS = {
    "digits": "## Digits",
    "burgers_trajectories": "## Burgers",
    "kuramoto_sivashinsky": "## Kuramoto–Sivashinsky",
    "spiral_law": "## The spiral stochastic equation",
    "spiral_training": "### Learning its moments",
    "oscillators": "## Steps of their own",
    "robertson": "## Stiff kinetics",
    "steps": "## Seconds of a step",
}
PICTURES = {
    "burgers_trajectories": "figures/neural_ode_burgers_trajectories.png",
    "kuramoto_sivashinsky": "figures/neural_ode_kuramoto_sivashinsky.png",
}


def render(record: Mapping[str, Any]) -> str:
    """Markdown of the whole page."""
    tables, figures = record["tables"], record["figures"]
    parts = [
        "# Neural differential equations that learn to be easy to integrate",
        "Penalties on what an adaptive solver measures (its local errors, the stiffness), beside the same network "
        "without them, for the same number of steps. Evaluations are counted by SciPy's RK45 on the exported "
        "right-hand side at the tolerance of training, so that fewer of them are a property of the learned dynamics. "
        "Published (Pal et al. 2021, 2023): 0.56 to 0.73 of vanilla's evaluations at similar accuracy, for other "
        "networks and data. Surrogates gain less at equal error than the digits do, and their tables are whole curves. "
        "A likely reason, not shown here: a classifier is free to choose its dynamics, a surrogate has to follow those "
        "of the data. See [neural differential equations](../neural_ode.md).",
        provenance(record),
        "## The bars\n\n" + figures_table({k: v for k, v in figures.items() if "bar" in v}),
    ]
    for name, title in SECTIONS.items():
        parts.append(section(tables, name, title))
        if name in PICTURES and name in tables:
            parts.append(f"![error against evaluations]({PICTURES[name]})")
    parts.append("## All figures\n\n" + figures_table(figures))
    return "\n\n".join(part.strip() for part in parts if part) + "\n"
