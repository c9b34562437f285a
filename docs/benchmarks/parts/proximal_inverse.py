"""Inverse problems at three noise levels: every method's weight tuned on other fields than the reported ones."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from parts.proximal_cases import CASES, FAMILIES, Draw, Family, chosen_families, learner_of
from parts.proximal_methods import (
    Solve,
    at_the_step_bound,
    exact_strength,
    linear_methods,
    nonlinear_methods,
    smooth,
)
from parts.record import at_least, at_most
from parts.training_script import Session
from pde_benchmarks.imaging import psnr_db
from pde_benchmarks.imaging.forward_operators import SparseRadon, filtered_back_projection
from pde_benchmarks.imaging.forward_operators.composition import Scaled

__all__ = ["inverse"]

NOISES = (0.01, 0.03, 0.1)
TUNING, REPORTED = 4, 8
TUNING_SEED, REPORTED_SEED = 1000, 99
#: Weights that are tried, of ½‖G(x) − b‖² / unit² + weight · R; every second one where a gradient costs two solves.
TRIALS = {True: tuple(10.0**k for k in (-4.0, -3.25, -2.5, -1.75, -1.0, -0.25, 0.5)), False: (1e-3, 1e-1)}
SMOOTH = "Tikhonov, smoothness"
EXACT, BOUND, BACK_PROJECTION = "LPN, exact strength", "LPN at the step bound", "filtered back-projection"
Cells = dict[str, dict[float, list[float]]]


def inverse(session: Session) -> None:
    """PSNR of every method, family, noise level and seed; a seed is a training and a draw of data."""
    for family in chosen_families(session):
        cells: Cells = {}
        ends: dict[str, int] = {}
        relative: Cells = {}
        for seed in session.scale.seeds:
            for level in NOISES:
                _one(session, family, seed, level, cells, relative, ends)
                _table(session, family, cells, ends)
        _figures(session, family, cells, relative)
    _over_families(session)


def _one(
    session: Session, family: Family, seed: int, level: float, cells: Cells, relative: Cells, ends: dict[str, int]
) -> None:
    """One training, one draw of data, one noise level."""
    resolution = family.resolution(session)
    few = session.scale.small
    tuned, told = (2, 2) if few else _counts(family)
    tuning = Draw.of(family, resolution, level, tuned, TUNING_SEED + seed)
    reported = Draw.of(family, resolution, level, told, REPORTED_SEED + seed)
    network = learner_of(session, family.law, "LPN", seed)[0].network.double()
    denoiser = learner_of(session, family.law, "plain CNN", seed)[0].module.double()
    trials = _trials(family, few)
    if family.is_linear:
        methods = linear_methods(family, network, denoiser)
    else:
        methods = {SMOOTH: smooth, **nonlinear_methods(network, _tuned(smooth, tuning, trials))}
    chosen: dict[str, float] = {}
    for name, solve in methods.items():
        chosen[name] = _tuned(solve, tuning, trials)
        ends[name] = ends.get(name, 0) + (chosen[name] in (trials[0], trials[-1]))
        _note(name, level, solve(reported, chosen[name]), reported, cells, relative)
    if family.is_linear:
        _untuned(network, chosen["LPN, ADMM"], level, reported, cells, relative, exact=seed == session.scale.seeds[0])
    said = ", ".join(f"{name} {values[level][-1]:.2f}" for name, values in cells.items() if values.get(level))
    print(f"{family.name} noise {level:g} seed {seed}: {said}", flush=True)


def _counts(family: Family) -> tuple[int, int]:
    """Fields for the weights, and fields that are reported: half as many where every gradient is two solves."""
    return (TUNING, REPORTED) if family.is_linear else (TUNING // 2, REPORTED // 2)


def _trials(family: Family, few: bool) -> Sequence[float]:
    return TRIALS[not few] if family.is_linear else TRIALS[not few][::2]


def _untuned(network: Any, weight: float, level: float, draw: Draw, cells: Cells, relative: Cells, exact: bool) -> None:
    """What has no weight of its own: the exact strength minimises the objective of ADMM, at its weight."""
    _note(BOUND, level, at_the_step_bound(network)(draw), draw, cells, relative)
    if exact:
        _note(EXACT, level, exact_strength(network)(draw, weight), draw, cells, relative)
    if isinstance(draw.operator, Scaled) and isinstance(draw.operator.operator, SparseRadon):
        radon = draw.operator.operator
        image = filtered_back_projection(radon, draw.data / draw.operator.factor).clamp(0, 1)
        _note(BACK_PROJECTION, level, image, draw, cells, relative)


def _tuned(solve: Solve, draw: Draw, trials: Sequence[float]) -> float:
    """The weight of the best PSNR on fields that are not reported."""
    return max(trials, key=lambda weight: _quality(solve(draw, weight), draw.truth))


def _quality(found: Tensor, truth: Tensor) -> float:
    """Mean PSNR; fields that are not finite count as black."""
    return float(psnr_db(torch.nan_to_num(found), truth).mean())


def _note(name: str, level: float, found: Tensor, draw: Draw, cells: Cells, relative: Cells) -> None:
    cells.setdefault(name, {}).setdefault(level, []).append(_quality(found, draw.truth))
    away = (torch.nan_to_num(found) - draw.truth).flatten(1).norm(dim=1)
    size = draw.truth.flatten(1).norm(dim=1)
    relative.setdefault(name, {}).setdefault(level, []).append(float((away[size > 0] / size[size > 0]).mean()))


def _table(session: Session, family: Family, cells: Cells, ends: dict[str, int]) -> None:
    columns = ["method", *(f"noise {level:g}" for level in NOISES), "tuned weight at an end of the range"]
    rows: list[list[Any]] = []
    for name, values in cells.items():
        numbers = [_spread(values.get(level, [])) for level in NOISES]
        rows.append([name, *numbers, ends.get(name)])
    ways = (
        "The exact strength (first seed) takes the weight of ADMM, whose objective it minimises."
        if family.is_linear
        else "Total variation and the exact strength start at Tikhonov's answer."
    )
    tuned, told = _counts(family)
    caption = (
        f"Mean PSNR in dB of {told} fields ({family.law}, {CASES[family.law].settings['resolution']} points a "
        f"side); half the range over seeds, of which each is a training and a draw of data. Weights chosen out of "
        f"{len(_trials(family, few=False))} on {tuned} other fields. {ways}"
    )
    session.record.table(f"inverse_{family.name}", columns, rows, caption)


def _spread(values: Sequence[float]) -> str | None:
    if not values:
        return None
    return f"{fmean(values):.2f}" + (f" ± {(max(values) - min(values)) / 2:.2f}" if len(values) > 1 else "")


def _differences(cells: Cells, ours: str, theirs: str) -> dict[float, list[float]]:
    """By noise level the differences within each seed."""
    return {
        level: [a - b for a, b in zip(values, cells[theirs][level], strict=True)]
        for level, values in cells[ours].items()
    }


def _figures(session: Session, family: Family, cells: Cells, relative: Cells) -> None:
    record = session.record
    facts = {"seeds": list(session.scale.seeds), "unit": "dB"}
    best = "LPN, ADMM" if family.is_linear else EXACT
    bars: dict[str, Any] = {}
    if family.name == "heat_source":
        bars = {"tikhonov": at_least(0.5), "cnn_admm": at_least(-1.0), "total_variation": at_least(0.5)}
    others = {"tikhonov": SMOOTH, "cnn_admm": "plain CNN, ADMM"}
    for short, other in others.items():
        if other in cells:
            gains = _differences(cells, best, other)
            worst = min(gains, key=lambda level: fmean(gains[level]))
            bar = {"bar": bars[short]} if short in bars else {}
            name = f"{family.name}.lpn_minus_{short}.psnr_db.worst_noise"
            record.figure(name, gains[worst], note=f"noise {worst:g}", **bar, **facts)
    gains = _differences(cells, best, "total variation")[NOISES[-1]]
    bar = {"bar": bars["total_variation"]} if bars else {}
    record.figure(f"{family.name}.lpn_minus_total_variation.psnr_db.highest_noise", gains, **bar, **facts)
    if family.name == "darcy":
        ours, theirs = ([e for level in NOISES for e in relative[name][level]] for name in (EXACT, others["tikhonov"]))
        note = (
            "mean over three noise levels; sharp phase boundaries that the data leave open cost more in this norm than "
            "the smooth ones of Tikhonov, which average over them"
        )
        ratio = [a / fmean(theirs) for a in ours]
        record.figure(
            "darcy.lpn_over_tikhonov.relative_l2", ratio, bar=at_most(0.9), note=note, seeds=facts["seeds"], unit="1"
        )


def _over_families(session: Session) -> None:
    """At the highest noise: by how much the second best family beats total variation."""
    names = (f"{family.name}.lpn_minus_total_variation.psnr_db.highest_noise" for family in FAMILIES)
    gains = {name: value for name in names if (value := session.record.value(name)) is not None}
    if len(gains) < 2:
        return
    second = sorted(gains, key=gains.__getitem__, reverse=True)[1]
    session.record.figure(
        "lpn_minus_total_variation.psnr_db.second_best_family",
        gains[second],
        bar=at_least(0.0),
        note=f"{second.partition('.')[0]}, noise {NOISES[-1]:g}; of {len(gains)} families",
        unit="dB",
        seeds=list(session.scale.seeds),
    )
