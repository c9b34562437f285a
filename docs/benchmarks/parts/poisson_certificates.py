"""What a mask promises whatever the right-hand side: condition numbers, and the worst of hard right-hand sides."""

from __future__ import annotations

from statistics import fmean

import torch
from torch import Generator

from parts.poisson_iterations import searched
from parts.poisson_learned import NUMBERS, learned
from parts.poisson_methods import prepared
from parts.poisson_systems import systems, worst_sides
from parts.record import at_most
from parts.training_script import Session
from solvers import AggregationMultigrid, preconditioned_spectrum

__all__ = ["certificates"]


def certificates(session: Session) -> None:
    """κ(M A) by Lanczos steps in float64, and most steps over right-hand sides of every kind."""
    torch.set_num_threads(1)
    n, count = (16, 2) if session.scale.small else (32, 20)
    cycles = {
        "textbook": [AggregationMultigrid()],
        "tuned by hand": [AggregationMultigrid(searched(session))],
        "learned, numbers per level": learned(session, NUMBERS),
    }
    spectra: dict[str, list[list[tuple[float, float]]]] = {}
    worst: dict[str, list[list[int]]] = {}
    cases = systems((n,) * 3, count)
    for name, recipes in cycles.items():
        spectra[name], worst[name] = [], []
        for recipe in recipes:
            extremes = [
                preconditioned_spectrum(s.matrix, recipe.setup(s.matrix), Generator().manual_seed(k))
                for k, s in enumerate(cases)
            ]
            spectra[name].append([(float(low), float(high)) for low, high in extremes])
            most = []
            for k, system in enumerate(cases):
                solver = prepared(system.matrix, recipe)
                sides = worst_sides(system, Generator().manual_seed(k))
                most.append(max(solver.iterations(b) for b in sides.values()))
            worst[name].append(most)
    _record(session, n, spectra, worst)


def _record(
    session: Session, n: int, spectra: dict[str, list[list[tuple[float, float]]]], worst: dict[str, list[list[int]]]
) -> None:
    rows = []
    for name, seeds in spectra.items():
        low = fmean(a for seed in seeds for a, _ in seed)
        high = fmean(b for seed in seeds for _, b in seed)
        kappa = [b / a for seed in seeds for a, b in seed]
        rows.append([name, low, high, fmean(kappa), max(kappa), fmean(k for seed in worst[name] for k in seed)])
    columns = ["cycle", "smallest eigenvalue", "largest", "condition number", "its largest", "worst steps"]
    masks = len(spectra["textbook"][0])
    caption = (
        f"{masks} masks of {n}³ cells; eigenvalues of M A; the most steps to 1e-4 over noise, smooth, delta, "
        "checkerboard and constant right-hand sides, means over masks (and seeds)."
    )
    session.record.table("certificates", columns, rows, caption)
    facts = {"unit": "1", "seeds": list(session.scale.seeds)}
    ours = spectra["learned, numbers per level"]
    kappas = [
        fmean((b / a) / (d / c) for (a, b), (c, d) in zip(seed, spectra["textbook"][0], strict=True)) for seed in ours
    ]
    name = f"learned_over_textbook_mgcg.condition_number.{n}cubed"
    session.record.figure(name, kappas, bar=at_most(0.45), **facts)
    session.record.figure(
        "worst_right_hand_side_over_textbook_mgcg.iterations",
        max(
            a / b
            for seed in worst["learned, numbers per level"]
            for a, b in zip(seed, worst["textbook"][0], strict=True)
        ),
        bar=at_most(1),
        note="the largest ratio over masks and seeds of the most steps over right-hand sides",
        **facts,
    )
