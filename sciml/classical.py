"""What can be had without learning: the rows that every learner is printed beside."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch

from pde_benchmarks.datasets import Dataset
from pde_benchmarks.discretised import DiscretisedProblem
from pde_benchmarks.elliptic import EllipticProblem
from pde_benchmarks.evolution import EvolutionProblem
from pde_benchmarks.guessed import GuessedProblem
from pde_benchmarks.problem import Batch, Problem

__all__ = ["DISCRETE", "ClassicalRow", "best_in_time", "classical_rows", "left_out", "seconds_per_sample", "verdict"]

MOST_CYCLES = 12
BATCH = 32
#: Row of a problem's own discrete solution.
DISCRETE = "the exact solution of the discrete equation"
#: Seconds of a pass that is timed once.
LONG = 5.0


@dataclass(frozen=True)
class ClassicalRow:
    """A method without learning: its errors on the test set, and its seconds per sample."""

    name: str
    metrics: dict[str, float]
    seconds_per_sample: float


def classical_rows(problem: Problem, train: Dataset, test: Dataset, learner_seconds: float) -> list[ClassicalRow]:
    """Mean field, then what the equation gives without learning, up to the learner's time per sample.

    For elliptic problems that is a coarse-grid solve, full multigrid and further V-cycles; for others their first
    guesses; for evolutions also the initial state, standing still; for fields of space and time the solution of their
    own discrete equation, whatever its time: the floor of what is learned from the residual.

    Parameters
    ----------
    train
        Where the mean field is taken from.
    learner_seconds
        The learner's prediction time per sample; one row beyond it is kept, at least two cycles and at most twelve.
    """
    rows = [_row("mean of the training fields", lambda inputs: _mean_field(train, inputs), test)]
    if isinstance(problem, EvolutionProblem):
        rows.append(_row("the initial state, standing still", lambda inputs: _standing(problem, inputs), test))
    if isinstance(problem, DiscretisedProblem):
        rows.append(_row(DISCRETE, problem.discrete_solution, test))
    if not isinstance(problem, EllipticProblem):
        return rows + (_guess_rows(problem, test) if isinstance(problem, GuessedProblem) else [])
    if not left_out(problem, test):
        rows.append(
            _row("coarse grid (n/4), solved exactly", lambda inputs: problem.first_guess(inputs, "coarse"), test)
        )
    for cycles in range(MOST_CYCLES + 1):
        row = _row(_cycles_name(cycles), lambda inputs, k=cycles: problem.full_multigrid(inputs, k), test)  # type: ignore[misc]
        rows.append(row)
        if cycles >= 2 and row.seconds_per_sample > learner_seconds:
            break
    return rows


def left_out(problem: Problem, test: Dataset) -> str:
    """One sentence on the row of the coarse grid where this grid has none; empty otherwise."""
    if not isinstance(problem, EllipticProblem):
        return ""
    if "coarse" not in problem.guesses:
        return f"No row of the coarse grid (n/4): {problem.name} has no such equation there."
    shape = test.outputs[problem.output.name].shape[2:]
    if all(size % 4 == 0 for size in shape):
        return ""
    return f"No row of the coarse grid (n/4): {'×'.join(map(str, shape))} is no multiple of 4."


def best_in_time(rows: list[ClassicalRow], seconds: float) -> ClassicalRow:
    """The most accurate of the rows that need at most ``seconds`` per sample, or of all where none is so fast."""
    affordable = [row for row in rows if row.seconds_per_sample <= seconds]
    return min(affordable or rows, key=lambda row: row.metrics["relative_l2"])


def verdict(rows: list[ClassicalRow], learner_error: float, learner_seconds: float) -> str:
    """Say in words whether a method without learning is as accurate in the learner's time."""
    best = best_in_time(rows, learner_seconds)
    error, milliseconds = best.metrics["relative_l2"], best.seconds_per_sample * 1e3
    if error <= learner_error:
        return (
            f"Without learning, {best.name} reaches {error:.2e} in {milliseconds:.2f} ms per sample: "
            f"at least as accurate as the learner ({learner_error:.2e} in {learner_seconds * 1e3:.2f} ms). "
            "Where the equation is known and this cheap to solve, learning is not needed."
        )
    return (
        f"The best method without learning in the same time, {best.name}, reaches {error:.2e} in {milliseconds:.2f} "
        f"ms per sample; the learner reaches {learner_error:.2e} in {learner_seconds * 1e3:.2f} ms."
    )


def seconds_per_sample(predict: Callable[[Batch], Batch], inputs: Batch, repeats: int = 3) -> float:
    """Fastest of ``repeats`` passes over the inputs in batches of 32, after one to warm up.

    A pass of more than `LONG` seconds is not repeated: what it warms up is small beside it.
    """
    times: list[float] = []
    while len(times) <= repeats and not (times and times[0] > LONG):
        began = time.perf_counter()
        for rows in _batches(inputs):
            predict(rows)
        times.append(time.perf_counter() - began)
    return min(times[1:] or times) / max(inputs.count, 1)


def _row(name: str, predict: Callable[[Batch], Batch], test: Dataset) -> ClassicalRow:
    inputs = test.inputs.to(dtype=torch.float32)
    parts = [predict(rows) for rows in _batches(inputs)]
    prediction = Batch({key: torch.cat([part[key] for part in parts]) for key in parts[0]})
    return ClassicalRow(name, test.problem.metrics(prediction, test.outputs), seconds_per_sample(predict, inputs))


def _batches(inputs: Batch) -> Iterator[Batch]:
    for start in range(0, inputs.count, BATCH):
        yield inputs.rows(slice(start, start + BATCH))


def _mean_field(train: Dataset, inputs: Batch) -> Batch:
    return Batch(
        {
            name: field.mean(0, keepdim=True).expand(inputs.count, *field.shape[1:])
            for name, field in train.outputs.items()
        }
    )


def _guess_rows(problem: GuessedProblem, test: Dataset) -> list[ClassicalRow]:
    return [
        _row(f"first guess: {kind.replace('_', ' ')}", partial(problem.first_guess, kind=kind), test)
        for kind in problem.guesses
    ]


def _standing(problem: EvolutionProblem, inputs: Batch) -> Batch:
    state = inputs[problem.inputs[0].name][:, None]
    return Batch({problem.state.name: state.expand(-1, problem.frames, *state.shape[2:])})


def _cycles_name(cycles: int) -> str:
    if cycles == 0:
        return "full multigrid, one pass"
    return f"full multigrid and {cycles} more V-cycle{'s' if cycles > 1 else ''}"
