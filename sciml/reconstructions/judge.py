"""How good a reconstruction is: against the truth where it is known, and against the data in any case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pde_benchmarks.imaging.peak_signal import psnr_db
from pde_benchmarks.metrics import relative_l2
from sciml.plug_and_play import Reconstruction
from sciml.reconstructions.case import ReconstructionCase
from sciml.reconstructions.conduct import Answer
from sciml.report import Cell, significant
from solvers import Status

__all__ = ["LEARNED", "Judged", "assumption_rows", "columns", "judged", "rows", "verdict"]

LEARNED = "learned prior"


@dataclass(frozen=True)
class Judged:
    """One way of reconstruction; every number ``(B,)``, None where there is no truth, noise or weight."""

    name: str
    psnr: Tensor | None
    relative_l2: Tensor | None
    deviation: Tensor | None
    weight: Tensor | None

    @property
    def plain(self) -> dict[str, Any]:
        """Means, for ``metrics.json``."""
        numbers = {
            "psnr_db": self.psnr,
            "relative_l2": self.relative_l2,
            "deviation_over_noise": self.deviation,
            "weight": self.weight,
        }
        return {name: values.mean().item() for name, values in numbers.items() if values is not None}


def judged(case: ReconstructionCase, answer: Answer, peak: float) -> list[Judged]:
    """The learned prior's reconstruction first, then those beside it."""
    found = [_judged(LEARNED, case, answer.result.x, answer.weight, peak)]
    return found + [_judged(name, case, one.x, one.weight, peak) for name, one in answer.beside.items()]


def columns() -> tuple[str, ...]:
    """Headings of the table."""
    return ("reconstruction", "PSNR (dB)", "relative L²", "deviation / noise", "weight")


def rows(found: list[Judged]) -> list[list[Cell]]:
    """Means over the samples, under `columns`."""
    return [
        [
            one.name,
            *(None if v is None else v.mean().item() for v in (one.psnr, one.relative_l2, one.deviation, one.weight)),
        ]
        for one in found
    ]


def assumption_rows(result: Reconstruction) -> list[list[Cell]]:
    """Every condition of the theorem, and whether it was met."""
    return [[assumption.statement, "yes" if assumption.met else "no"] for assumption in result.assumptions]


def verdict(result: Reconstruction) -> str:
    """What the iteration's record proves, in words."""
    failed = (~result.converged).nonzero().flatten().tolist()
    if len(result.residuals):
        last = f"fixed-point residual {significant(float(result.residuals[-1].max()))}"
    else:
        last = "no step was made"
    steps = int(result.iterations.max())
    if failed:
        names = sorted({Status(int(result.status[row])).name.lower().replace("_", " ") for row in failed})
        state = (
            f"{result.method} has not converged ({', '.join(names)}) after {steps} steps, {last}: these are the last "
            f"good iterates. {result.failure}".strip()
        )
    else:
        state = f"{result.method} converged in {steps} steps, {last}."
    return f"{state} {_objective(result)} {_theorem(result)}"


def _objective(result: Reconstruction) -> str:
    if result.objective is None:
        return "The prior has no value, so that nothing is minimised."
    stationary = significant(float(result.stationarity.max()))
    if len(result.objective) < 2:
        return f"The start was a critical point already (stationarity {stationary})."
    falls = "never rose" if bool(result.monotone().all()) else "rose in some steps"
    return f"Its objective {falls}; stationarity at the end {stationary}."


def _theorem(result: Reconstruction) -> str:
    if result.within_theorem:
        return "Every condition of the convergence theorem was met."
    unmet = "; ".join(a.statement for a in result.assumptions if not a.met)
    return f"Outside of the convergence theorem ({unmet}): the record is all that speaks for the result."


def _judged(name: str, case: ReconstructionCase, x: Tensor, weight: Tensor | None, peak: float) -> Judged:
    quality = error = deviation = None
    if case.truth is not None:
        quality, error = psnr_db(x, case.truth, peak), relative_l2(x, case.truth)
    if case.sigma is not None:
        deviation = case.fidelity.discrepancy(x)
    return Judged(name, quality, error, deviation, weight if weight is None else torch.as_tensor(weight))
