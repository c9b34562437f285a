"""What the report of learners with a constraint adds: whose solutions were read, the floor, and how the solves went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sciml.classical import DISCRETE, ClassicalRow
from sciml.learner import Learner
from sciml.report import Cell, Section, Table, counted

__all__ = ["constraint_section", "floor_sentence", "labels_sentence"]

#: Metrics of learners with a constraint, and their headings.
SOLVES = {
    "residual_error_norm": "residual, error norm",
    "residual_plain_norm": "residual, plain norm",
    "converged": "converged (share)",
    "iterations": "iterations",
    "condition": "condition (median)",
    "interface_jump": "jump between experts",
    "load_imbalance": "load imbalance",
}


def labels_sentence(learners: Mapping[str, Learner], samples: int) -> str:
    """How many solutions the training of each learner has read; empty where all have read the same number."""
    read: dict[int, list[str]] = {}
    for name, learner in learners.items():
        read.setdefault(learner.labels_read(samples), []).append(name)
    if len(read) < 2:
        return ""
    parts = [f"{_number(count, samples)} by {' and '.join(names)}" for count, names in read.items()]
    return f"Reference solutions read in training: {', '.join(parts)}: the errors above are not at equal knowledge."


def floor_sentence(learner: Learner, reference: Sequence[ClassicalRow], samples: int) -> str:
    """What an equation alone can teach at best; empty for a learner with labels, or without a discrete solution."""
    floor = next((row.metrics["relative_l2"] for row in reference if row.name == DISCRETE), None)
    if floor is None or learner.labels_read(samples):
        return ""
    return (
        f"The solution of the discrete equation that taught it is itself {floor:.2e} away from the reference: learning "
        "from that equation alone approaches it at best."
    )


def constraint_section(measured: Mapping[str, Mapping[str, Any]], test: str) -> list[Section]:
    """The residuals, and how the solves of constraints went, on one test set; nothing if no learner has any."""
    rows = {name: values["test"][test] for name, values in measured.items()}
    known = {name: row for name, row in rows.items() if "residual_error_norm" in row}
    if not known:
        return []
    shown = [key for key in SOLVES if any(key in row for row in known.values())]
    table: list[list[Cell]] = [[name, *(row.get(key) for key in shown)] for name, row in known.items()]
    text = (
        "Residuals are relative to the field; in the error norm that estimates the relative error against the discrete "
        "equation's solution. A system that did not converge keeps its last weights. The jump between experts is "
        "relative to the field, the load imbalance is the largest box over the mean."
    )
    return [Section("The equation", text, Table(["learner", *(SOLVES[key] for key in shown)], table))]


def _number(count: int, samples: int) -> str:
    return "none" if count == 0 else f"all {counted(samples, 'sample')}" if count >= samples else str(count)
