"""The page docs/benchmarks/operators.md, rendered from the record: no number on it is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parts.page import figures_table, provenance, section

TITLES = {
    "darcy_rough": "Darcy flow, rough law",
    "darcy_smooth": "Darcy flow, smooth law",
    "darcy_multiscale": "Darcy flow, multiscale law",
    "helmholtz": "Helmholtz",
    "navier_stokes": "Navier–Stokes",
    "pipe": "Pipe flow on mapped grids",
    "burgers": "Burgers",
}

REMARKS = {
    "burgers": "MgNO loses here. Where a shock lies is a question of the whole initial value, which the FNO's lowest "
    "modes answer in one layer and a V-cycle of small convolutions by detours; and a convolution along one axis costs "
    "its overhead, so that MgNO makes a third of the FNO's steps. Other depths, channels, patches and batch sizes did "
    "not help when tried by hand, outside of this script; the equation inside does.",
    "navier_stokes": "Errors of whole roll-outs of ten frames; fifty frames are shown below.",
}
READING = (
    "Where the last columns are smaller than the learner's error, the classical solver wins in the learner's own "
    "prediction time. On Navier–Stokes the learner adds nothing to its first guess, which resolves the flow."
)
BEYOND = (
    "Fifty frames are five times those of training, and the force drives the flow far beyond the states seen there: "
    "all learners stay finite, none of those that know no equation stays near the reference."
)

FULL_RUN = (
    "The full published runs belong on a GPU, which is used where torch sees one: `sciml run darcy "
    "--problem-set law=rough --problem-set resolution=256 --learner mgno-published --set levels='10 10 10 10 10 20' "
    "--samples 1280 --test-samples 112 --steps 80000 --baselines none`; for the smooth law `law=smooth`, "
    "`resolution=211`, also `--set fit=pad`, 1000 and 100 samples and `--steps 62500`."
)


def render(record: Mapping[str, Any]) -> str:
    """Markdown of the whole page."""
    tables, figures = record["tables"], record["figures"]
    parts = [
        "# Operator learning on grids",
        "Learners from data alone under equal training time, the same learners with the equation inside, roll-outs, "
        "transfer between resolutions, training without labels, and error bars. What the problems are is said in "
        "[problems](../problems.md). Errors are means over held-out samples of relative norms, in per cent.",
        provenance(record),
        "## The bars\n\n" + figures_table({k: v for k, v in figures.items() if "bar" in v}),
    ]
    for name, title in TITLES.items():
        if name in tables:
            parts += [
                section(tables, name, f"## {title}"),
                REMARKS.get(name, ""),
                f"![Validation error against training seconds](figures/operators_{name}.png)",
            ]
    parts += [
        section(tables, "physics", "## The equation inside"),
        READING if "physics" in tables else "",
        *(_classical(tables, name) for name in sorted(tables) if name.startswith("classical_")),
        section(tables, "transfer", "## Other resolutions"),
        section(tables, "labels", "## Few labels or none"),
        section(tables, "roll_outs", "## Roll-outs"),
        BEYOND if "roll_outs" in tables else "",
        "![Error frame by frame](figures/navier_stokes_frames.png)" if "roll_outs" in tables else "",
        "![Energy spectrum](figures/navier_stokes_spectrum.png)" if "roll_outs" in tables else "",
        "![A prediction](figures/navier_stokes_prediction.png)" if "roll_outs" in tables else "",
        section(tables, "uncertainty", "## Error bars"),
        section(tables, "preconditioner", "## A network as preconditioner"),
        section(tables, "published", "## Beside the published numbers"),
        FULL_RUN if "published" in tables else "",
        "## All figures\n\n" + figures_table(figures),
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _classical(tables: Mapping[str, Any], name: str) -> str:
    return section(tables, name, f"### Solvers without learning: {name.removeprefix('classical_').replace('_', ' ')}")
