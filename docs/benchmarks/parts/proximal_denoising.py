"""Denoising beside a plain network of equal size and steps; what the prior says of spoilt fields; certificates."""

from __future__ import annotations

from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from parts.contenders import data_of
from parts.proximal_cases import CASES, learner_of, scale_of
from parts.record import at_least
from parts.training_script import Session
from sciml.learners.proximal import prior_value

__all__ = ["denoising", "priors"]

PSNR = "test.held_out.psnr_db"
FIELDS = 8
NOISES = (0.05, 0.2)
PRIOR_COLUMNS = [
    "law",
    "spoilt by",
    "prior above that of the clean field, % of fields",
    "largest residual of inversion",
]


def denoising(session: Session) -> None:
    """Every law, every seed; the figure is the worst law's mean difference."""
    rows: list[list[Any]] = []
    differences: dict[str, list[float]] = {}
    for law in CASES:
        for seed in session.scale.seeds:
            ours, theirs = (learner_of(session, law, label, seed)[1] for label in ("LPN", "plain CNN"))
            differences.setdefault(law, []).append(ours[PSNR] - theirs[PSNR])
            for label, run in (("LPN", ours), ("plain CNN", theirs)):
                rows.append([law, label, seed, run[PSNR], run["parameters"], run["train_steps"], run["train_seconds"],
                             run["predict_ms_per_sample"]])  # fmt: skip
            _table(session, rows)
    record = session.record
    facts = {"seeds": list(session.scale.seeds), "unit": "dB"}
    worst = min(differences, key=lambda law: fmean(differences[law]))
    note = f"{worst}, the worst of {', '.join(differences)}"
    record.figure("denoising.lpn_minus_plain_cnn.psnr_db", differences[worst], bar=at_least(-1.0), note=note, **facts)
    for law, found in differences.items():
        record.figure(f"denoising.lpn_minus_plain_cnn.psnr_db.{law}", found, **facts)


def _table(session: Session, rows: list[list[Any]]) -> None:
    columns = ["law", "network", "seed", "PSNR dB", "parameters", "steps", "training s", "prediction ms"]
    caption = "Noise 0.1 of the range, 20 dB; 128 held-out fields a law; one thread."
    session.record.table("denoising", columns, rows, caption)


def priors(session: Session) -> None:
    """Whether R rises from clean fields to spoilt ones, and whether the map is a gradient."""
    rows: list[list[Any]] = []
    asymmetries: list[float] = []
    for law, case in CASES.items():
        network = learner_of(session, law, "LPN", session.scale.seeds[0])[0].network.double()
        dataset = data_of(case, scale_of(session)).tests["held_out"]
        clean = dataset.outputs["clean"][: 2 if session.scale.small else FIELDS].double()
        generator = torch.Generator().manual_seed(0)
        base = prior_value(network, clean, throw=False)
        spoilt = {f"noise {level:g}": _noisy(clean, level, generator) for level in NOISES}
        spoilt |= {"half of another": (clean + clean.roll(1, 0)) / 2, "blurred": _blurred(clean)}
        for name, field in spoilt.items():
            value = prior_value(network, field, throw=False)
            share = 100 * float((value.value > base.value).double().mean())
            rows.append([law, name, share, float(value.residual.max())])
        asymmetries.append(_asymmetry(network, clean, generator))
        session.record.table("prior", PRIOR_COLUMNS, rows, f"First seed, {FIELDS} held-out fields, float64.")
    session.record.figure(
        "certificate.asymmetry", max(asymmetries), unit="1", note="|⟨a, Jb⟩ − ⟨Ja, b⟩| / (‖a‖ ‖b‖), float64"
    )


def _noisy(clean: Tensor, level: float, generator: torch.Generator) -> Tensor:
    return clean + level * torch.randn(clean.shape, generator=generator, dtype=clean.dtype)


def _blurred(clean: Tensor) -> Tensor:
    """A mean of three points along every axis, the field mirrored at its sides."""
    for axis in range(2, clean.ndim):
        first, last = clean.narrow(axis, 0, 1), clean.narrow(axis, clean.shape[axis] - 1, 1)
        wide = torch.cat([first, clean, last], axis)
        n = clean.shape[axis]
        clean = (wide.narrow(axis, 0, n) + wide.narrow(axis, 1, n) + wide.narrow(axis, 2, n)) / 3
    return clean


def _asymmetry(network: Any, v: Tensor, generator: torch.Generator) -> float:
    a, b = (torch.randn(v.shape, generator=generator, dtype=v.dtype) for _ in range(2))
    _, along_a = torch.func.jvp(network, (v,), (a,))
    _, along_b = torch.func.jvp(network, (v,), (b,))
    size = a.flatten(1).norm(dim=1) * b.flatten(1).norm(dim=1)
    apart = ((a * along_b).flatten(1).sum(1) - (along_a * b).flatten(1).sum(1)).abs()
    return float((apart / size).max().detach())
