"""Roll-outs of Navier–Stokes flow: the error frame by frame, the spectrum, and fifty frames from held-out states."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, cast

import torch

from parts.contenders import Case, data_of, trained
from parts.operator_cases import NAVIER_STOKES, ROLL_OUTS
from parts.record import at_most
from parts.training_script import Session
from pde_benchmarks.metrics import relative_l2
from pde_benchmarks.navier_stokes import NavierStokes, energy_spectrum, enstrophy
from pde_benchmarks.problem import Batch
from sciml.errors import LearnerError
from sciml.evolution_figures import frame_errors
from sciml.evolution_figures import spectra as draw_spectra
from sciml.figures import field_comparison
from sciml.files import write_figure
from sciml.learners.grid_learner import GridLearner

__all__ = ["roll_outs"]

LONG = 50
SAMPLES = 8
FIGURES = {"mgno": "mgno_enstrophy", "mgno, large steps inside": "mgno_physics_inside_enstrophy"}


def roll_outs(session: Session) -> None:
    """Ways to train a roll-out, under one budget: errors of first and last frame, spectrum, long roll-outs."""
    record, scale, work = session.record, session.scale, session.work
    case: Case = NAVIER_STOKES
    data = data_of(case, scale)
    test = data.tests["held_out"]
    problem = cast(NavierStokes, data.problem)
    frames = LONG if not scale.small else problem.frames + 2
    inputs = test.inputs.rows(slice(0, SAMPLES))
    # The forced flow grows faster than in the frames of training: the reference takes shorter steps.
    longer = dataclasses.replace(problem, frames=frames, step=problem.step / 3)
    truth = longer.solve(inputs)["vorticity"]
    table: list[list[Any]] = []
    curves: dict[str, list[float]] = {}
    spectra = {"reference": _spectrum(truth[:, problem.frames - 1])}
    largest = []
    for label, contender in ROLL_OUTS.items():
        learner, metrics = trained(case, scale, label, contender, scale.seeds[0], data, work)
        long = _long(cast(GridLearner, learner), inputs, frames)
        errors = _frame_errors(long, truth) if long is not None else []
        growth = float(enstrophy(long[:, -1]).max() / enstrophy(truth[:, -1]).max()) if long is not None else None
        largest.append(growth)
        if long is not None:
            curves[label] = errors
            spectra[label] = _spectrum(long[:, problem.frames - 1])
        keys = ("relative_l2_first_frame", "relative_l2", "relative_l2_last_frame")
        row = [100 * metrics[f"test.held_out.{key}"] for key in keys]
        table.append([label, *row, 100 * errors[-1] if errors else "not finite", growth, _tail(spectra, label)])
        if label == "mgno" and long is not None:
            _pictures(record.figures, truth, long, problem.frames - 1)
    write_figure(record.figures / "navier_stokes_frames.png", frame_errors(curves))
    write_figure(record.figures / "navier_stokes_spectrum.png", draw_spectra(spectra))
    caption = (
        f"Viscosity {problem.viscosity:g}, {problem.resolution}², per cent; first and last of {problem.frames} frames, "
        f"then frame {frames} of {len(inputs['initial_vorticity'])} held-out flows, the largest enstrophy there over "
        "the reference's, and the energy beyond wave number 16 over the reference's at the last training frame. "
        f"{scale.budget:g} s of processor time each, one seed."
    )
    columns = ["trained by", "first frame", "all frames", "last frame", f"frame {frames}", "enstrophy", "tail"]
    record.table("roll_outs", columns, table, caption)
    for label, name in FIGURES.items():
        growth = largest[list(ROLL_OUTS).index(label)]
        facts = {"seeds": [scale.seeds[0]], "unit": "1", "budget_s": scale.budget}
        reason = {} if growth is not None else {"reason": "the roll-out was not finite"}
        record.figure(f"navier_stokes.{name}_over_reference.frame_50", growth, bar=at_most(1.5), **facts, **reason)


def _long(learner: GridLearner, inputs: Batch, frames: int) -> torch.Tensor | None:
    try:
        return learner.roll_out(inputs, frames).mean["vorticity"]
    except LearnerError:
        return None


def _frame_errors(prediction: torch.Tensor, truth: torch.Tensor) -> list[float]:
    return [float(relative_l2(prediction[:, k], truth[:, k]).mean()) for k in range(truth.shape[1])]


def _spectrum(vorticity: torch.Tensor) -> torch.Tensor:
    """Mean energy spectrum from wave number 1 on."""
    return energy_spectrum(vorticity.double()).mean(0)[1:]


def _tail(spectra: dict[str, torch.Tensor], label: str) -> float | None:
    if label not in spectra:
        return None
    return float(spectra[label][15:].sum() / spectra["reference"][15:].sum())


def _pictures(folder: Path, truth: torch.Tensor, prediction: torch.Tensor, frame: int) -> None:
    panels = {
        "vorticity, reference": truth[0, frame, 0].numpy(),
        "mgno prediction": prediction[0, frame, 0].numpy(),
        "mgno error": (prediction - truth)[0, frame, 0].numpy(),
    }
    write_figure(folder / "navier_stokes_prediction.png", field_comparison(panels, f"Navier–Stokes, frame {frame + 1}"))
