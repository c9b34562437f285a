"""What a report says of learners with a constraint, beside learners of data."""

from __future__ import annotations

import pytest
import torch

from pde_benchmarks import Darcy
from pde_benchmarks.datasets import Dataset
from pde_benchmarks.diffusion_sorption import DiffusionSorption
from pde_benchmarks.discretised import DiscretisedProblem
from pde_benchmarks.interval import BurgersField
from pde_benchmarks.metrics import relative_l2
from pde_benchmarks.navier_stokes import DecayingFlow
from sciml.classical import DISCRETE, ClassicalRow, classical_rows
from sciml.experiments.constraint_section import constraint_section, floor_sentence, labels_sentence
from sciml.learner import learner_types
from sciml.learners.hard_constraints.soft import SoftConstraintConfig

COLUMN = DiffusionSorption(resolution=16, frames=8)


def learner(name, problem=COLUMN, **chosen):
    kind = learner_types()[name]
    return kind.from_problem(problem, kind.config_type(**chosen))


def test_the_solutions_read_in_training_are_told_where_they_differ():
    learners = {name: learner(name) for name in ("hard-constraint", "fixed-basis", "unet")}
    said = labels_sentence(learners, 32)
    assert "none by hard-constraint and fixed-basis, all 32 samples by unet" in said
    assert labels_sentence({"unet": learners["unet"]}, 32) == ""
    assert learner("hard-constraint", labels=5).labels_read(32) == 5
    soft = learner_types()["soft-constraint"]
    assert [
        soft.from_problem(COLUMN, SoftConstraintConfig(loss=loss)).labels_read(32) for loss in ("error", "data")
    ] == [0, 32]


def test_the_floor_is_told_to_who_learns_from_the_equation_alone():
    rows = [ClassicalRow("mean", {"relative_l2": 0.5}, 0.0), ClassicalRow(DISCRETE, {"relative_l2": 0.0154}, 0.1)]
    assert "itself 1.54e-02 away from the reference" in floor_sentence(learner("hard-constraint"), rows, 8)
    assert floor_sentence(learner("unet"), rows, 8) == ""
    assert floor_sentence(learner("hard-constraint"), rows[:1], 8) == ""


def test_residuals_and_solves_have_a_table_of_their_own():
    hard = {"relative_l2": 0.1, "residual_error_norm": 0.02, "converged": 0.75, "condition": 1e4, "interface_jump": 0.3}
    soft = {"relative_l2": 0.2, "residual_error_norm": 0.05}
    measured = {"hard": {"test": {"a": hard}}, "soft": {"test": {"a": soft}}, "unet": {"test": {"a": {"x": 1.0}}}}
    (section,) = constraint_section(measured, "a")
    assert list(section.table.columns) == [
        "learner",
        "residual, error norm",
        "converged (share)",
        "condition (median)",
        "jump between experts",
    ]
    assert section.table.rows == [["hard", 0.02, 0.75, 1e4, 0.3], ["soft", 0.05, None, None, None]]
    assert constraint_section({"unet": measured["unet"]}, "a") == []


@pytest.mark.parametrize(
    "problem",
    [COLUMN, BurgersField(resolution=33, frames=9, duration=0.3), DecayingFlow(resolution=16, frames=4)],
    ids=lambda problem: problem.name,
)
def test_the_discrete_solution_has_a_row_and_no_residual(problem):
    """The row's error is the distance between the two solutions, the residual's 1e-6 in double precision."""
    assert isinstance(problem, DiscretisedProblem)
    inputs = problem.sample(2, torch.Generator().manual_seed(0)).to(dtype=torch.float64)
    found = problem.discrete_solution(inputs)
    (name,) = found
    assert problem.residual(inputs, found)[name].abs().max() < 1e-6
    test = Dataset(problem, inputs, problem.solve(inputs), "test")
    (row,) = [row for row in classical_rows(problem, test, test, 0.0) if row.name == DISCRETE]
    distance = relative_l2(found[name], test.outputs[name]).mean().item()
    assert row.metrics["relative_l2"] == pytest.approx(distance, rel=1e-3)


def test_problems_whose_reference_is_discrete_have_no_such_row():
    assert not isinstance(Darcy(resolution=16), DiscretisedProblem)
