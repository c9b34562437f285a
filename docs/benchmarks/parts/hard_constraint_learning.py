"""Hard and soft constraints without labels, one solve and experts, in both norms; beside them no network at all."""

from __future__ import annotations

import time
from statistics import fmean
from typing import Any

from parts.contenders import L2, Case, Contender, data_of, trained
from parts.hard_constraint_contenders import CASES, FIXED, PLAIN, PUBLISHED, SHORT
from parts.record import at_most
from parts.training_script import Session
from pde_benchmarks.discretised import DiscretisedProblem
from pde_benchmarks.problem import Batch
from sciml.enforce import enforce
from sciml.experiments import ExperimentData

__all__ = ["learning"]

BARS = {"hard_over_soft": 0.85, "error_norm_over_plain": 0.3, "coupled_experts_over_one_solve": 0.85}
FLOOR_BAR = 1.3
FLOW_BARS = {"hard_over_soft": 0.85, "error_norm_over_plain": 0.5}
COLUMNS = [
    "learner",
    "norm",
    "L² %",
    "to the floor's field %",
    "residual, error norm %",
    "converged %",
    "parameters",
    "steps",
    "ms per field",
]


def learning(session: Session) -> None:
    """Equal training seconds and no labels, but for the row that says so."""
    for case in CASES:
        if session.cases and case.name not in session.cases:
            continue
        data = data_of(case, session.scale)
        discrete = _discrete(data)
        table: list[list[Any]] = [[f"published ({PUBLISHED[case.name]})", *[""] * (len(COLUMNS) - 1)]]
        errors: dict[str, list[float]] = {}
        validation: dict[str, float] = {}
        apart: dict[str, list[float]] = {}
        fixed = {**FIXED[case.name], **PLAIN[case.name]}
        for label, contender in fixed.items():
            found = _row(session, case, label, contender, data, discrete, table, seeds=(0,))
            errors[label], apart[label], validation[label] = found
        for contenders in case.families.values():
            for label, contender in contenders.items():
                found = _row(session, case, label, contender, data, discrete, table, session.scale.seeds)
                errors[label], apart[label], validation[label] = found
                _save(session, case, data, table)
        for label in ("soft, error", "the network with labels"):
            errors[f"{label}, enforced"] = _enforced(session, case, label, data, discrete, table)
        floor = float(data.problem.metrics(discrete, data.tests["held_out"].outputs)["relative_l2"])
        table.append(["the residual's exact solution (the floor)", "", 100 * floor, 0.0, "", "", "", "", ""])
        _save(session, case, data, table)
        _figures(session, case, errors, apart, validation, floor)


def _row(
    session: Session,
    case: Case,
    label: str,
    contender: Contender,
    data: ExperimentData,
    discrete: Batch,
    table: list[list[Any]],
    seeds: tuple[int, ...],
) -> tuple[list[float], list[float], float]:
    """Of all seeds the test errors and the distances to the discrete solution; their mean validation error; a row."""
    both = [trained(case, session.scale, label, contender, seed, data, session.work) for seed in seeds]
    runs = [run for _, run in both]
    inputs = data.tests["held_out"].inputs
    distances = [
        float(data.problem.metrics(learner.predict(inputs).mean, discrete)["relative_l2"]) for learner, _ in both
    ]
    found = [run["test"]["held_out"] for run in runs]
    errors = [run[L2] for run in runs]
    norm = contender.settings.get("norm", contender.settings.get("loss", "error"))
    first = runs[0]
    converged = [100 * one["converged"] for one in found if "converged" in one]
    table.append(
        [
            label.removesuffix(f", {norm}"),
            norm,
            f"{100 * fmean(errors):.3g}" + (f" ± {50 * (max(errors) - min(errors)):.1g}" if len(errors) > 1 else ""),
            100 * fmean(distances),
            100 * fmean(one["residual_error_norm"] for one in found),
            fmean(converged) if converged else None,
            first["parameters"],
            first["train_steps"],
            first["predict_ms_per_sample"],
        ]
    )
    return errors, distances, fmean(run["validation.relative_l2"] for run in runs)


def _enforced(
    session: Session, case: Case, label: str, data: ExperimentData, discrete: Batch, table: list[list[Any]]
) -> list[float]:
    """A trained network's predictions, the equation enforced on them afterwards; the first seed."""
    contender = next(family[label] for family in case.families.values() if label in family)
    learner, metrics = trained(case, session.scale, label, contender, session.scale.seeds[0], data, session.work)
    test = data.tests["held_out"]
    began = time.process_time()
    found = enforce(data.problem, test.inputs, learner.predict(test.inputs).mean)
    milliseconds = 1e3 * (time.process_time() - began) / test.count
    error = data.problem.metrics(found.outputs, test.outputs)["relative_l2"]
    estimated = 100 * float(found.estimated_error.mean())
    apart = data.problem.metrics(found.outputs, discrete)["relative_l2"]
    facts = [100 * error, 100 * apart, estimated, None, metrics["parameters"], metrics["train_steps"], milliseconds]
    table.append([f"{label.removesuffix(', error')}, enforced at prediction", "error", *facts])
    return [error]


def _save(session: Session, case: Case, data: ExperimentData, table: list[list[Any]]) -> None:
    seeds = ", ".join(map(str, session.scale.seeds))
    caption = (
        f"{data.train.count} inputs, {data.tests['held_out'].count} test samples, {session.scale.budget:g} s of "
        f"processor time on one thread, seeds {seeds}. Learned bases of 16 functions; closed forms are "
        "added where it says so. The third column is the distance to the exact solution of the discrete residual: "
        "the learner's own part of the error."
    )
    session.record.table(f"learning_{case.name}", COLUMNS, table, caption)


def _discrete(data: ExperimentData) -> Batch:
    """The exact solution of the discrete residual: its distance to the reference is the floor."""
    problem = data.problem
    if not isinstance(problem, DiscretisedProblem):
        raise TypeError(f"{problem.name} has no discrete solution")
    return problem.discrete_solution(data.tests["held_out"].inputs)


def _figures(
    session: Session,
    case: Case,
    errors: dict[str, list[float]],
    apart: dict[str, list[float]],
    validation: dict[str, float],
    floor: float,
) -> None:
    """Ratios of mean errors; the spread is that of the numerator's seeds."""
    record, name = session.record, SHORT[case.name]
    facts = {"seeds": list(session.scale.seeds), "unit": "1", "budget_s": session.scale.budget}
    ratios = {
        "hard_over_soft": ("one solve, error", "soft, error"),
        "hard_over_soft_plain": ("one solve, plain", "soft, plain"),
        "error_norm_over_plain": ("one solve, error", "one solve, plain"),
        "error_norm_over_plain_soft": ("soft, error", "soft, plain"),
        "coupled_experts_over_one_solve": ("coupled experts, error", "one solve, error"),
        "independent_experts_over_one_solve_plain": ("independent experts, plain", "one solve, plain"),
    }
    bars = FLOW_BARS if case.name == "vorticity" else BARS if case.name == "sorption" else {}
    for ratio, (ours, theirs) in ratios.items():
        bar = {"bar": at_most(bars[ratio])} if ratio in bars else {}
        values = [error / fmean(errors[theirs]) for error in errors[ours]]
        record.figure(f"{name}.{ratio}.relative_l2", values, **bar, **facts)
        values = [one / fmean(apart[theirs]) for one in apart[ours]]
        record.figure(f"{name}.{ratio}.relative_l2_to_discrete_solution", values, **facts)
    learned = [label for labels in case.families.values() for label in labels if "labels" not in label]
    # Chosen on validation samples: the best of many on the test samples would be better than any is.
    best = min(learned, key=validation.__getitem__)
    best_fixed = min(FIXED[case.name], key=validation.__getitem__)
    over_floor = [error / floor for error in errors[best]]
    bar = {"bar": at_most(FLOOR_BAR)} if case.name == "sorption" else {}
    record.figure(f"{name}.best_over_discretisation_floor.relative_l2", over_floor, note=best, **bar, **facts)
    over_fixed = [error / fmean(errors[best_fixed]) for error in errors[best]]
    bar = {"bar": at_most(1.0)} if case.name == "sorption_hard" else {}
    note = f"{best}, over {best_fixed}"
    record.figure(f"{name}.learned_over_fixed_basis.relative_l2", over_fixed, note=note, **bar, **facts)
    record.figure(f"{name}.discretisation_floor.relative_l2", floor, unit="1")
    for label in (best, best_fixed):
        values = errors[label]
        record.figure(f"{name}.{'best_fixed' if label == best_fixed else 'best'}.relative_l2", values, unit="1")
