"""The page docs/benchmarks/darcy.md, rendered from the record: no number on it is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parts.page import figures_table, provenance, section

FULL_RUN = (
    "sciml run darcy --problem-set law=rough --problem-set resolution=256 --learner mgno-published "
    "--samples 1280 --test-samples 112 --steps 80000 --baselines none"
)


def render(record: Mapping[str, Any]) -> str:
    """Markdown of the whole page."""
    tables, figures = record["tables"], record["figures"]
    parts = [
        "# Darcy flow: learned solution operators, beside solvers without learning",
        "−∇·(a ∇u) = 1 in the unit square, u = 0 on its boundary; the map a ↦ u. Two-valued coefficients (12 and 3 by "
        "the sign of a Gaussian field), 64² cells, unless stated. Errors are means over held-out samples of relative "
        "norms, in per cent.",
        provenance(record),
        "## The bars\n\n" + figures_table({k: v for k, v in figures.items() if "bar" in v}),
        section(tables, "learners", "## Equal training seconds"),
        _winner(tables, "learners", "the smooth law"),
        "![Error against training seconds](figures/darcy_seconds.png)",
        "![Error against parameters](figures/darcy_parameters.png)",
        "![A prediction](figures/darcy_prediction.png)",
        section(tables, "transfer", "## Another resolution"),
        section(tables, "rough", "## The rough law"),
        _winner(tables, "rough", "the rough law"),
        section(tables, "multiscale", "## The multiscale law"),
        _winner(tables, "multiscale", "the multiscale law"),
        section(tables, "certificates", "## Certificates"),
        "![Estimated against true error](figures/darcy_certificate.png)",
        section(tables, "costs", "## What a step costs"),
        section(tables, "reference_solver", "## The reference solver"),
        section(tables, "published", "## Beside the published numbers"),
        f"The full published run takes a GPU some hours: `{FULL_RUN}` (500 epochs of 1280 samples in batches of 8).",
        "## All figures\n\n" + figures_table(figures),
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _winner(tables: Mapping[str, Any], name: str, law: str) -> str:
    """Say who wins at the learner's own prediction time."""
    if name not in tables:
        return ""
    rows = {row[0]: row for row in tables[name]["rows"]}
    learner = rows["mgno"]
    error, milliseconds = float(str(learner[1]).split(" ")[0]), learner[5]
    affordable = {k: r for k, r in rows.items() if "multigrid" in k and r[5] <= milliseconds}
    if not affordable:
        return f"On {law} no multigrid row is as fast as the default learner's {milliseconds:.2f} ms per sample."
    best = min(affordable.values(), key=lambda row: float(row[1]))
    wins = "Multigrid alone wins" if float(best[1]) <= error else "The learner wins"
    return (
        f"**{wins}** on {law} at the default learner's prediction time: {best[0]} reaches {best[1]} % in "
        f"{best[5]:.2f} ms per sample, "
        f"mgno {error:.3g} % in {milliseconds:.2f} ms."
    )
