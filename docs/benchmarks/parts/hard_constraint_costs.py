"""What the constraint layer costs: against unrolling, with the number of experts, with the number of functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import median

import torch
from torch import Tensor

from parts.hard_constraint_cases import LayerCase, sorption
from parts.kept_memory import kept_bytes
from parts.record import at_most
from parts.timing import interleaved
from parts.training_script import Session
from parts.unrolled import unrolled
from sciml.learners.hard_constraints import (
    BoxRouter,
    ConstraintLayer,
    Coupled,
    Coupling,
    ErrorNorm,
    Independent,
    MixtureOfExperts,
    PlainNorm,
)

__all__ = ["EQUAL", "costs", "equal_iterations", "scaling"]

UNROLLED = 10
MIB = 2**20
#: Boxes in time and in space.
EXPERTS = ((1, 1), (1, 2), (2, 2), (2, 4), (4, 4), (4, 8), (8, 8))
FUNCTIONS = (8, 16, 32, 64)
#: Iterations of every solve where only the arithmetic is compared.
EQUAL = 12


def costs(session: Session) -> None:
    """Forward and backward through the layer, converged, against ten iterations left to autograd."""
    small = session.scale.small
    torch.set_num_threads(1)
    case = sorption(2, 8, 16, 9) if small else sorption(6, 16, 64, 51)
    layer = ConstraintLayer(PlainNorm())
    basis = case.basis.clone().requires_grad_()
    start = layer.start(layer.expansion(case.residual, case.basis, case.offset), 1, None)
    fixed = replace(layer, solver=replace(layer.solver, max_iterations=UNROLLED, polish=0))
    losses: dict[str, Callable[[], Tensor]] = {
        "layer, to its tolerance": lambda: _loss(case, layer(case.residual, basis, case.offset).values),
        f"layer, {UNROLLED} iterations": lambda: _loss(case, fixed(case.residual, basis, case.offset).values),
        f"unrolled, {UNROLLED} iterations": lambda: _loss(
            case, unrolled(case.residual, basis, case.offset, start[:, 0], UNROLLED)
        ),
    }
    forward, backward = _halves(losses, 2 if small else 15)
    kept = {name: kept_bytes(loss) / MIB for name, loss in losses.items()}
    ours, equal, theirs = losses
    found = layer(case.residual, case.basis, case.offset)
    facts = {"timed": True, "unit": "1"}
    note = f"{int(found.iterations.min())} to {int(found.iterations.max())} iterations against {UNROLLED}"
    for name, figure in ((ours, "time"), (equal, "time.equal_iterations")):
        both = [a + b for a, b in zip(forward[name], backward[name], strict=True)]
        against = [a + b for a, b in zip(forward[theirs], backward[theirs], strict=True)]
        bar = {"bar": at_most(0.4), "note": note} if name == ours else {}
        session.record.figure(f"forward_backward_over_unrolled.{figure}", _ratios(both, against), **facts, **bar)
    session.record.figure(
        "backward_over_unrolled.time",
        [a / (b + c) for a, b, c in zip(backward[ours], backward[theirs], forward[theirs], strict=True)],
        note="backward alone over forward and backward unrolled",
        bar=at_most(0.2),
        **facts,
    )
    session.record.figure("backward_over_unrolled.memory", kept[ours] / kept[theirs], unit="1", bar=at_most(0.2))
    rows = [[name, 1e3 * median(forward[name]), 1e3 * median(backward[name]), kept[name]] for name in losses]
    shape = "×".join(map(str, case.residual.shape))
    caption = (
        f"Diffusion–sorption, plain norm: {len(case.basis)} samples, {case.basis.shape[1]} functions, {shape} points, "
        "float64, one thread, medians of interleaved rounds; the loss is a random functional of the field."
    )
    session.record.table("costs", ["way", "forward ms", "backward ms", "kept MiB"], rows, caption)


def scaling(session: Session) -> None:
    """A training step and a prediction against the number of experts and of functions, at fixed points."""
    small = session.scale.small
    torch.set_num_threads(1)
    repeats = 1 if small else 5
    grid = (16, 9) if small else (64, 51)
    case, few = sorption(2 if small else 6, 8 if small else 16, *grid), sorption(2, 8 if small else 16, *grid)
    rows, steps = [], {}
    for split in EXPERTS[:3] if small else EXPERTS:
        row = [split[0] * split[1]]
        for one, norm, coupling in ((case, PlainNorm(), Independent()), (few, ErrorNorm(), Coupled())):
            step, prediction, kept = _mixture(one, equal_iterations(ConstraintLayer(norm)), split, coupling, repeats)
            row += [1e3 * median(step), 1e3 * median(prediction), kept]
            steps[row[0], norm] = step
        rows.append(row)
    count = rows[-1][0]
    for norm, name in ((PlainNorm(), "independent"), (ErrorNorm(), "coupled")):
        ratios = _ratios(steps[count, norm], steps[1, norm])
        session.record.figure(f"experts_{count}_over_1.training_step_time.{name}", ratios, timed=True, unit="1")
    columns = ["experts", *(f"{who}: {what}" for who in ("independent", "coupled") for what in COLUMNS)]
    caption = (
        f"Independent experts in the plain norm ({len(case.basis)} samples), coupled ones in the error norm "
        f"({len(few.basis)} samples); {case.basis.shape[1]} functions an expert, {_shape(case)} points in all, {EQUAL} "
        "iterations of each solve, one thread, medians of interleaved rounds."
    )
    session.record.table("experts", columns, rows, caption)
    rows = []
    for functions in FUNCTIONS[:2] if small else FUNCTIONS:
        one = sorption(2 if small else 6, functions, *grid)
        step, prediction, kept = _mixture(
            one, equal_iterations(ConstraintLayer(PlainNorm())), (1, 1), Independent(), repeats
        )
        rows.append([functions, 1e3 * median(step), 1e3 * median(prediction), kept])
    session.record.table("functions", ["functions", *COLUMNS], rows, "One solve in the plain norm, otherwise as above.")


COLUMNS = ("training step ms", "prediction ms", "kept MiB")


def _mixture(
    case: LayerCase, layer: ConstraintLayer, split: tuple[int, int], coupling: Coupling, repeats: int
) -> tuple[list[float], list[float], float]:
    """Seconds of training steps and of predictions, and MiB kept between forward and backward."""
    experts = MixtureOfExperts(layer, BoxRouter(split), coupling)
    basis = case.basis.clone().requires_grad_()

    def loss() -> Tensor:
        return _loss(case, experts(case.residual, basis, case.offset).values)

    def predict() -> Tensor:
        with torch.no_grad():
            return experts(case.residual, case.basis, case.offset).values

    times = interleaved({"step": lambda: loss().backward(), "prediction": predict}, repeats)
    return times["step"], times["prediction"], kept_bytes(loss) / MIB


def equal_iterations(layer: ConstraintLayer) -> ConstraintLayer:
    """The layer with a fixed number of iterations."""
    return replace(layer, solver=replace(layer.solver, rtol=1e-14, max_iterations=EQUAL, polish=0))


def _halves(
    losses: dict[str, Callable[[], Tensor]], repeats: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds of building every loss and of its backward pass, in interleaved rounds."""
    built: dict[str, Tensor] = {}
    jobs: dict[str, Callable[[], None]] = {}
    for name, loss in losses.items():
        jobs[f"{name} forward"] = lambda name=name, loss=loss: built.update({name: loss()})
        jobs[f"{name} backward"] = lambda name=name: built.pop(name).backward()
    times = interleaved(jobs, repeats)
    return tuple({name: times[f"{name} {half}"] for name in losses} for half in ("forward", "backward"))


def _loss(case: LayerCase, values: Tensor) -> Tensor:
    return (case.functional * values).sum()


def _ratios(ours: list[float], theirs: list[float]) -> list[float]:
    return [a / b for a, b in zip(ours, theirs, strict=True)]


def _shape(case: LayerCase) -> str:
    return "×".join(map(str, case.residual.shape))
