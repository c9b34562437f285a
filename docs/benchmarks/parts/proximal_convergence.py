"""What the theorem promises of the iteration, at steps inside and outside of it; and denoisers without a theorem."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from parts.proximal_cases import FAMILIES, Draw, Family, learner_of
from parts.proximal_inverse import REPORTED_SEED
from parts.proximal_methods import fidelity_of
from parts.record import at_least
from parts.training_script import Session
from pde_benchmarks.imaging.forward_operators import PixelMask
from sciml.plug_and_play import (
    AcceleratedProximalGradient,
    DenoiserPrior,
    GaussianFidelity,
    LearnedPrior,
    Prior,
    ProximalGradient,
    Reconstruction,
    reconstruct,
)

__all__ = ["convergence"]

#: Of the inverse of the Lipschitz constant of the data's gradient; the theorem asks for less than 1.
INSIDE, OUTSIDE = (0.25, 0.5, 0.99), 1.95
FIELDS, LEVEL, TOLERANCE = 1, 0.03, 1e-6


@dataclass(frozen=True)
class _Run:
    """One iteration: which, at which step, and how it ended."""

    family: str
    prior: str
    step: float
    found: Reconstruction

    def row(self) -> list[Any]:
        """For the table."""
        found = self.found
        monotone = "" if found.objective is None else 100 * float(found.monotone().double().mean())
        reached = 100 * float(found.converged.double().mean())
        return [self.family, self.prior, self.step, int(found.iterations.max()), float(found.residuals[-1].max()),
                reached, monotone, "yes" if found.within_theorem else "no"]  # fmt: skip


def convergence(session: Session) -> None:
    """Every linear operator at four steps, with the learned prior and with a plain network in its place."""
    runs = []
    for family in FAMILIES:
        if family.is_linear:
            for run in _runs(session, family):
                runs.append(run)
                print(run.row(), flush=True)
    _table(session, runs)
    inside = [run for run in runs if run.prior != "plain CNN" and run.step < 1]
    monotone = fmean(float(run.found.monotone().double().mean()) for run in inside)
    note = f"{len(inside)} iterations: four operators, steps {INSIDE} / L, accelerated ones too"
    session.record.figure("proximal_gradient.monotone_fraction", monotone, bar=at_least(1.0), note=note, unit="1")
    reached = fmean(float(run.found.converged.double().mean()) for run in inside)
    note = f"fixed-point residual below {TOLERANCE:g} within 3000 steps"
    session.record.figure("proximal_gradient.converged_fraction", reached, note=note, unit="1")
    _rotation(session)


def _runs(session: Session, family: Family) -> list[_Run]:
    draw = Draw.of(family, family.resolution(session), LEVEL, FIELDS, REPORTED_SEED)
    learned = LearnedPrior(learner_of(session, family.law, "LPN", 0)[0].network.double())
    plain = DenoiserPrior(learner_of(session, family.law, "plain CNN", 0)[0].module.double())
    steps = 5 if session.scale.small else 3000
    lipschitz = fidelity_of(draw).lipschitz
    assert lipschitz is not None
    found = []
    for step in (*INSIDE, OUTSIDE):
        method = ProximalGradient(TOLERANCE, steps, step / lipschitz, check=False)
        found.append(_Run(family.name, "LPN", step, _iterate(draw, learned, method)))
        found.append(_Run(family.name, "plain CNN", step, _iterate(draw, plain, method)))
    method = AcceleratedProximalGradient(TOLERANCE, steps, INSIDE[-1] / lipschitz)
    found.append(_Run(family.name, "LPN, accelerated", INSIDE[-1], _iterate(draw, learned, method)))
    return found


def _iterate(draw: Draw, prior: Prior, method: ProximalGradient) -> Reconstruction:
    """The weight that makes the prior's own proximal operator the step: no inner minimisation."""
    assert method.step is not None
    return reconstruct(fidelity_of(draw), prior, 1 / method.step, method, throw=False)


def _table(session: Session, runs: list[_Run]) -> None:
    columns = ["operator", "prior", "step · L", "iterations", "last residual", "converged %", "never rose %",
               "within the theorem"]  # fmt: skip
    caption = (
        f"{FIELDS} field an operator, noise {LEVEL:g}, first seed, float64; the weight is one over the step. "
        f"Converged: fixed-point residual below {TOLERANCE:g}. The objective is that of the learned prior; a plain "
        "network has none."
    )
    session.record.table("convergence", columns, [run.row() for run in runs], caption)


def _rotation(session: Session) -> None:
    """A denoiser that is the gradient of nothing: pairs of unseen pixels go round for ever."""
    size = 8
    mask = torch.ones(size, dtype=torch.bool)
    mask[size // 2 :] = False
    operator = PixelMask(mask)

    def rotated(v: Tensor) -> Tensor:
        unseen = v[..., size // 2 :].unflatten(-1, (-1, 2))
        turned = torch.stack([-unseen[..., 1], unseen[..., 0]], -1).flatten(-2)
        return torch.cat([v[..., : size // 2], turned], -1)

    data = operator.apply(torch.ones(1, 1, size, dtype=torch.float64))
    fidelity = GaussianFidelity(operator, data)
    method = ProximalGradient(TOLERANCE, 1500, 0.99)
    start = torch.ones(1, 1, size, dtype=torch.float64)
    found = reconstruct(fidelity, DenoiserPrior(rotated), 1 / 0.99, method, start=start, throw=False)
    note = "a denoiser that rotates pairs of unseen pixels, after 1500 steps"
    session.record.figure("rotation.fixed_point_residual", float(found.residuals[-1].max()), note=note, unit="1")
