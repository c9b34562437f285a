"""The page docs/benchmarks/hard_constraints.md, rendered from the record: no number on it is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parts.page import figures_table, provenance, section

__all__ = ["render"]

#: Why bars are missed; the numbers stand in the tables.
REASONS = """\
- Diffusion and sorption, scalar variant: every learner in the error norm ends at the exact solution of its residual, so
  that ratios between learners say little, and closed forms without any network are as good. With jumps there is room.
- Decaying vorticity: in the same time the soft constraint takes more than three times the steps of one solve, and a
  network with labels is no better after as many steps: forty-five seconds are too few for any of them. Coupled experts
  with closed forms, and the equation enforced at prediction, gain most.
- Coupled experts against one solve: equal seconds are fewer steps for them. Without labels and with closed forms added
  they lead.
- Forward and backward over unrolling: the backward pass is a fraction of the unrolled one's, the forward pass its
  equal, since Freundlich's law has a kink at zero that changes the set of active points for many iterations.
- Two processes: terms along the whole boundary and the small steps of the damped iteration are done on both.
"""


def render(record: Mapping[str, Any]) -> str:
    """Markdown of the whole page."""
    tables, figures = record["tables"], record["figures"]
    parts = [
        "# Hard constraints",
        "A layer that chooses, inside the network, the combination of its basis functions that satisfies the equation "
        "best, and experts that share the domain. What the problems are is said in [problems](../problems.md).",
        provenance(record),
        "## The bars\n\n" + figures_table({k: v for k, v in figures.items() if "bar" in v}),
        "## Why some are missed\n\n" + REASONS,
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
