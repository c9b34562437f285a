"""Times beyond the training's: each learner goes on from its own last frame, with the weights that it has."""

from __future__ import annotations

from statistics import fmean
from typing import Any

import torch
from torch import Generator, Tensor

from parts.contenders import Case, data_of, trained
from parts.hard_constraint_contenders import CASES, FIXED, PLAIN
from parts.training_script import Session
from pde_benchmarks.diffusion_sorption import DiffusionSorptionHard
from pde_benchmarks.navier_stokes import DecayingFlow
from pde_benchmarks.problem import Batch, Problem
from sciml.experiments import ExperimentData

__all__ = ["beyond"]

WINDOWS = 2
COLUMNS = ["learner", "trained times %", *(f"times {k} to {k + 1} %" for k in range(1, WINDOWS + 1))]
#: Boundary values of later windows.
SEED = 20260


def beyond(session: Session) -> None:
    """Relative L² errors window by window; the reference goes on from its own last frame."""
    for case in CASES:
        if case.name == "sorption" or (session.cases and case.name not in session.cases):
            continue  # its input is a number, so that no frame can be a start
        data = data_of(case, session.scale)
        inputs, outputs = data.tests["held_out"].inputs, data.tests["held_out"].outputs
        drawn = [_drawn(data.problem, outputs.count, k) for k in range(WINDOWS)]
        truths = [outputs]
        for later in drawn:
            truths.append(data.problem.solve(_continued(data.problem, inputs, truths[-1], later)))
        rows = []
        for label, contender in {**FIXED[case.name], **PLAIN[case.name], **_learned(case)}.items():
            seeds = (0,) if label.startswith("no network") else session.scale.seeds
            found = []
            for seed in seeds:
                learner, _ = trained(case, session.scale, label, contender, seed, data, session.work)
                found.append(_errors(data, learner, truths, drawn))
            means = [100 * fmean(one[k] for one in found) for k in range(WINDOWS + 1)]
            rows.append([label, *means])
            _save(session, case, data, rows)


def _learned(case: Case) -> dict[str, Any]:
    return {label: one for family in case.families.values() for label, one in family.items()}


def _errors(data: ExperimentData, learner: Any, truths: list[Batch], drawn: list[Batch]) -> list[float]:
    """Of the training's times, then of each later window."""
    inputs, errors = data.tests["held_out"].inputs, []
    for k, truth in enumerate(truths):
        predicted = learner.predict(inputs).mean
        errors.append(float(data.problem.metrics(predicted, truth)["relative_l2"]))
        if k < WINDOWS:
            inputs = _continued(data.problem, data.tests["held_out"].inputs, predicted, drawn[k])
    return errors


def _drawn(problem: Problem, count: int, window: int) -> Batch:
    return problem.sample(count, Generator().manual_seed(SEED + window))


def _continued(problem: Problem, inputs: Batch, outputs: Batch, drawn: Batch) -> Batch:
    """Inputs of the next window: the last frame is the start; boundary values are new, coefficients are not."""
    match problem:
        case DecayingFlow():
            return problem.held(outputs["vorticity"][:, 0, -1])
        case DiffusionSorptionHard():
            last: Tensor = outputs["solution"][:, :, -1:].clamp(min=0)
            left = drawn["left"].to(last)
            return Batch({**inputs, "initial": last.expand_as(left).contiguous(), "left": left})
        case other:
            raise TypeError(f"{other.name} cannot be continued")


def _save(session: Session, case: Case, data: ExperimentData, rows: list[list[Any]]) -> None:
    torch.set_num_threads(1)
    caption = (
        f"{data.tests['held_out'].count} test samples, seeds {', '.join(map(str, session.scale.seeds))}; after the "
        "training's times every learner starts again from its own last frame (negative concentrations cut off), with "
        "nothing trained anew; the reference starts from its own."
    )
    session.record.table(f"beyond_{case.name}", COLUMNS, rows, caption)
