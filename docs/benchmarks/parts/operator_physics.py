"""The equation inside the learner: against the learner without it, and against solvers of equal prediction time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from parts.contenders import L2, Case, Contender, Scale, best_of, data_of, trained
from parts.operator_cases import DARCY_SMOOTH, PHYSICS
from parts.operator_classical import classical_solvers
from parts.record import Record, at_least, at_most
from parts.training_script import Session
from pde_benchmarks import UpscaledDarcy
from pde_benchmarks.datasets import Dataset
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.problem import Batch
from sciml.classical import seconds_per_sample
from sciml.learner import Learner

__all__ = ["few_labels", "physics_inside", "transfer", "uncertainty"]

TIMED = 64
FRESH_SEED = 7
LABELS = (0, 16, 64, 256, 1024)


@dataclass(frozen=True)
class _Row:
    name: str
    error: float
    milliseconds: float


def physics_inside(session: Session) -> None:
    """Errors with and without the equation inside, and what solvers reach in the learner's prediction time."""
    record, scale, work = session.record, session.scale, session.work
    table: list[list[Any]] = []
    over_plain: dict[str, list[float]] = {}
    over_classical: dict[str, list[float]] = {}
    for name, (case, contender) in PHYSICS.items():
        data = data_of(case, scale)
        _, plain, _ = best_of(case, scale, case.families["mgno"], data, work)
        label = f"{name}, physics inside"
        runs = [trained(case, scale, label, contender, seed, data, work) for seed in scale.seeds]
        reference = fmean(run[L2] for run in plain)
        over_plain[name] = [metrics[L2] / reference for _, metrics in runs]
        test = _test_of(case, data.tests["held_out"], scale)
        answers = [_measured("learner", learner, test) for learner, _ in runs]
        milliseconds = fmean(row.milliseconds for row in answers)
        rows = _classical_rows(test)
        caption = f"{case.name}, no learning."
        record.table(f"classical_{case.name}", ["solver", "L² %", "ms per sample"], _cells(rows), caption)
        affordable = [row for row in rows if row.milliseconds <= milliseconds] or [min(rows, key=_time)]
        best = min(affordable, key=lambda row: row.error)
        over_classical[name] = [row.error / best.error for row in answers]
        ours = 100 * fmean(row.error for row in answers)
        table.append([name, 100 * reference, ours, milliseconds, best.name, 100 * best.error, best.milliseconds])
        facts = {"seeds": list(scale.seeds), "unit": "1", "budget_s": scale.budget}
        over, _, variant = name.partition(", ")
        suffix = f".{variant.replace(' ', '_')}" if variant else ""
        record.figure(f"{over}.physics_inside_over_plain.relative_l2{suffix}", over_plain[name], **facts)
        record.figure(
            f"{over}.physics_inside_over_classical_of_equal_prediction_time.relative_l2{suffix}",
            over_classical[name],
            note=f"against {best.name}",
            **facts,
        )
    columns = ["problem", "plain L² %", "physics inside L² %", "ms", "best solver in that time", "L² %", "ms "]
    caption = (
        f"{scale.budget:g} s of processor time for training each, mean over seeds {', '.join(map(str, scale.seeds))}; "
        "prediction times per sample in batches of 32 on one thread, in the same process. The solvers work in the "
        "inputs' single precision where they allow it."
    )
    record.table("physics", columns, table, caption)
    _summary(record, "physics_inside_over_plain.relative_l2.second_best_problem", over_plain, 1, 0.5)
    _summary(
        record,
        "physics_inside_over_classical_of_equal_prediction_time.relative_l2.best_problem",
        over_classical,
        0,
        1.0,
    )


def few_labels(session: Session) -> None:
    """Darcy smooth with 0 to 1024 labels: the labelled samples alone, and with the equation as a second teacher."""
    record, scale, work = session.record, session.scale, session.work
    case = DARCY_SMOOTH
    data = data_of(case, scale)
    supervised = [
        trained(case, scale, "supervised", Contender("mgno-data"), seed, data, work)[1][L2] for seed in scale.seeds
    ]
    free = [
        trained(case, scale, "error norm, no labels", _taught("error", 0), seed, data, work)[1][L2]
        for seed in scale.seeds
    ]
    facts = {"seeds": list(scale.seeds), "unit": "1", "budget_s": scale.budget}
    ratios = [value / fmean(supervised) for value in free]
    note = "error norm by two V-cycles; supervised with 1024 labels"
    record.figure("darcy_smooth.label_free_over_supervised.relative_l2", ratios, bar=at_most(1.3), note=note, **facts)
    energy = trained(case, scale, "energy, no labels", _taught("energy", 0), scale.seeds[0], data, work)[1][L2]
    rows: list[list[Any]] = [[0, None, 100 * fmean(free), 100 * energy]]
    for labels in [count for count in LABELS if 0 < count <= data.train.count]:
        both = trained(case, scale, f"error norm, {labels} labels", _taught("error", labels), 0, data, work)[1][L2]
        few = case.experiment(scale, Contender("mgno-data")).samples == labels
        alone = fmean(supervised) if few else _alone(case, scale, labels, data, work)
        rows.append([labels, 100 * alone, 100 * both, None])
    columns = ["labels", "labels alone %", "labels and error norm %", "energy %"]
    caption = f"Darcy smooth, 64², {data.train.count} coefficients, {scale.budget:g} s each; test errors L²."
    record.table("labels", columns, rows, caption)


def transfer(session: Session) -> None:
    """Darcy rough: trained on at most 64², tested on finer grids, by the scale-consistent V-cycle and by anchoring."""
    record, scale, work = session.record, session.scale, session.work
    case, _ = PHYSICS["darcy_rough"]
    data = data_of(case, scale)
    home = data.problem.resolution  # type: ignore[attr-defined]
    generator = torch.Generator()
    rows, ratios = [], []
    contenders = {"mgno-scale, direct": Contender("mgno-scale"), "mgno-data, anchored": Contender("mgno-data")}
    sizes = (home // 2, home, 2 * home, 4 * home)
    tests = {}
    for size in sizes:
        finer = data.problem.at_resolution(size)  # type: ignore[attr-defined]
        inputs = finer.sample(64 if not scale.small else 2, generator.manual_seed(FRESH_SEED))
        tests[size] = Dataset(finer, inputs, finer.solve(inputs), f"{size}²")
    for label, contender in contenders.items():
        for seed in scale.seeds:
            learner, _ = trained(case, scale, label, contender, seed, data, work)
            errors = [learner.evaluate(tests[size])["relative_l2"] for size in sizes]
            rows.append([label, seed, *(100 * error for error in errors)])
            if contender.learner == "mgno-scale":
                ratios.append(errors[3] / errors[1])
    columns = ["learner", "seed", *(f"{size}² %" for size in sizes)]
    caption = (
        f"Darcy rough, trained on {home // 2}² and {home}² (mgno-scale) or {home}², {scale.budget:g} s each. Every "
        "grid draws the same Gaussian fields at its own points: the interface is resolved more finely on finer grids."
    )
    record.table("transfer", columns, rows, caption)
    record.figure(
        "darcy_rough.scale_consistent_transfer_256_over_64.relative_l2",
        ratios,
        bar=at_most(1.5),
        seeds=list(scale.seeds),
        unit="1",
        budget_s=scale.budget,
        note="applied directly, without anchoring",
    )


def uncertainty(session: Session) -> None:
    """Coverage of 90 % intervals of the last-layer Laplace approximation on held-out samples."""
    record, scale, work = session.record, session.scale, session.work
    values, table = [], []
    for name in ("darcy_smooth", "darcy_multiscale", "helmholtz"):
        case = DARCY_SMOOTH if name == "darcy_smooth" else PHYSICS[name][0]
        data = data_of(case, scale)
        contender = Contender("mgno-data", {"uncertainty": "laplace"})
        _, metrics = trained(case, scale, "mgno, laplace", contender, scale.seeds[0], data, work)
        covered = metrics["test.held_out.coverage_90"]
        values.append(covered)
        table.append([name, 100 * metrics[L2], 100 * covered])
    record.table("uncertainty", ["problem", "L² %", "coverage of 90 % intervals, %"], table, "One seed each.")
    record.figure("laplace.coverage_90.smallest", min(values), bar=at_least(0.85), unit="1", budget_s=scale.budget)


def _taught(kind: str, labels: int) -> Contender:
    return Contender("mgno-data", {"physics": kind, "labels": labels})


def _alone(case: Case, scale: Scale, labels: int, data: Any, work: Path) -> float:
    """Supervised training on the labelled samples only."""
    experiment = case.experiment(scale, Contender("mgno-data"), samples=labels)
    fewer = Case(
        f"{case.name}_{labels}", case.problem, case.settings, (labels, case.samples[1]), case.families, case.tiny
    )
    part = type(data)(data.problem, data.train.rows(slice(0, experiment.samples)), data.validation, data.tests)
    return float(trained(fewer, scale, "supervised", Contender("mgno-data"), scale.seeds[0], part, work)[1][L2])


def _test_of(case: Case, test: Dataset, scale: Scale) -> Dataset:
    """A part of the test set in single precision; of upscaled problems a fresh one that holds the fine coefficient."""
    rows = test.rows(slice(0, TIMED if not scale.small else 4))
    problem = test.problem
    if isinstance(problem, UpscaledDarcy):
        inputs = problem.sample(rows.count, torch.Generator().manual_seed(FRESH_SEED))
        rows = Dataset(problem, inputs, problem.solve(inputs), "fresh")
    return Dataset(problem, rows.inputs.to(dtype=torch.float32), rows.outputs, case.name)


def _measured(name: str, learner: Learner, test: Dataset) -> _Row:
    seen = Batch({spec.name: test.inputs[spec.name] for spec in test.problem.inputs})
    error = test.problem.metrics(learner.predict(seen).mean, test.outputs)["relative_l2"]
    return _Row(name, error, 1e3 * seconds_per_sample(lambda rows: learner.predict(rows).mean, seen))


def _classical_rows(test: Dataset) -> list[_Row]:
    """One row a solver; time steps that are too long for a sample are refused, and have none."""
    rows = []
    for name, solve in classical_solvers(test.problem).items():
        try:
            error = test.problem.metrics(solve(test.inputs), test.outputs)["relative_l2"]
        except ProblemError as refusal:
            print(f"{name}: {refusal}", flush=True)
            continue
        rows.append(_Row(name, error, 1e3 * seconds_per_sample(solve, test.inputs, repeats=2)))
    return rows


def _time(row: _Row) -> float:
    return row.milliseconds


def _cells(rows: list[_Row]) -> list[list[Any]]:
    return [[row.name, 100 * row.error, row.milliseconds] for row in rows]


def _summary(record: Record, figure: str, ratios: dict[str, list[float]], rank: int, bar: float) -> None:
    best: dict[str, str] = {}  # the better of the rows of every problem
    for name in sorted(ratios, key=lambda name: fmean(ratios[name])):
        best.setdefault(name.partition(",")[0], name)
    order = list(best.values())
    chosen = order[rank]
    record.figure(figure, ratios[chosen], bar=at_most(bar), unit="1", note=f"{chosen}; in order: {', '.join(order)}")
