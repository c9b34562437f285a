"""The learned cycles of the benchmark, trained at one size only."""

from __future__ import annotations

from parts.contenders import Case, Contender, data_of, trained
from parts.training_script import Session
from sciml.learners.conjugate_directions import LearnedCycle

__all__ = ["FIELDS", "NUMBERS", "learned"]

NUMBERS, FIELDS = "learned cycle, numbers per level", "learned cycle, fields"
CONTENDERS = {NUMBERS: Contender("dcdm"), FIELDS: Contender("dcdm-fields")}
CASE = Case(
    "pressure_cycle",
    "pressure",
    {"dimension": 3, "resolution": 32},
    (200, 8),
    {"ours": CONTENDERS},
    {"dimension": 3, "resolution": 16},
)


def learned(session: Session, label: str) -> list[LearnedCycle]:
    """One trained learner a seed."""
    data = data_of(CASE, session.scale)
    found = []
    for seed in session.scale.seeds:
        learner, _ = trained(CASE, session.scale, label, CONTENDERS[label], seed, data, session.work)
        assert isinstance(learner, LearnedCycle)
        found.append(learner)
    return found
