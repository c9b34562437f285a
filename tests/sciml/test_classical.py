"""Rows without learning: what they are, where they stop, and what is said of them."""

import pytest
import torch

from pde_benchmarks import Darcy, FieldSpec, Grid, RecordedProblem
from pde_benchmarks.datasets import Dataset
from pde_benchmarks.problem import Batch
from sciml.classical import ClassicalRow, classical_rows, seconds_per_sample, verdict


def data(count: int, seed: int) -> Dataset:
    problem = Darcy(resolution=16)
    a = problem.sample(count, torch.Generator().manual_seed(seed))
    return Dataset(problem, a, problem.solve(a), "darcy")


def row(name: str, error: float, seconds: float) -> ClassicalRow:
    return ClassicalRow(name, {"relative_l2": error}, seconds)


def test_multigrid_rows_get_better_and_stop_at_the_learners_time():
    train, test = data(8, 0), data(4, 1)
    rows = classical_rows(train.problem, train, test, learner_seconds=0.0)
    assert [r.name.split(",")[0].split(" and")[0] for r in rows] == [
        "mean of the training fields", "coarse grid (n/4)", "full multigrid", "full multigrid", "full multigrid",
    ]  # fmt: skip
    errors = [r.metrics["relative_l2"] for r in rows[2:]]
    assert errors == sorted(errors, reverse=True)


def test_the_mean_field_is_the_training_mean():
    train, test = data(8, 0), data(4, 1)
    (mean, *_) = classical_rows(train.problem, train, test, 0.0)
    expected = train.outputs["solution"].mean(0, keepdim=True).expand_as(test.outputs["solution"])
    errors = (expected - test.outputs["solution"]).flatten(1).norm(dim=1) / test.outputs["solution"].flatten(1).norm(
        dim=1
    )
    assert mean.metrics["relative_l2"] == pytest.approx(float(errors.mean()))


def test_recorded_data_has_only_the_mean():
    source = data(4, 0)
    specs = [FieldSpec(name, 1, Grid((16, 16))) for name in ("coefficient", "solution")]
    recorded = Dataset(RecordedProblem("f", (specs[0],), (specs[1],)), source.inputs, source.outputs, "f")
    assert [r.name for r in classical_rows(recorded.problem, recorded, recorded, 1.0)] == [
        "mean of the training fields"
    ]


@pytest.mark.parametrize(("error", "says"), [(1e-2, "learning is not needed"), (1e-4, "the learner reaches")])
def test_the_verdict_says_who_wins_within_the_learners_time(error, says):
    rows = [row("one pass", 1e-3, 1e-4), row("many cycles", 1e-9, 1.0)]
    assert says in verdict(rows, error, learner_seconds=1e-3)


@pytest.mark.parametrize(("long", "passes"), [(float("inf"), 4), (0.0, 1)])
def test_a_long_pass_is_timed_once(long, passes, monkeypatch):
    monkeypatch.setattr("sciml.classical.LONG", long)
    calls = []
    seconds_per_sample(lambda rows: calls.append(rows.count) or rows, Batch({"a": torch.zeros(3, 1)}))
    assert calls == [3] * passes
