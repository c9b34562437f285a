"""Seconds of a training step and of a prediction: the explicit gradient, autograd's, and a plain network."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor

from parts.proximal_cases import CASES, CNN, LPN
from parts.record import at_most
from parts.training_script import Session
from sciml.experiments import build_problem
from sciml.learner import learner_types

__all__ = ["times"]

BATCH, REPEATS = 16, 30


def times(session: Session) -> None:
    """Contenders in turn, medians of the ratios, on one thread; the nets whose quality is reported."""
    torch.set_num_threads(1)
    rows: list[list[Any]] = []
    worst: dict[str, tuple[float, str]] = {}
    for law, case in CASES.items():
        problem = build_problem("denoising", dict(case.tiny if session.scale.small else case.settings))
        kinds = learner_types()
        lpn = kinds[LPN.learner].from_problem(problem).network  # type: ignore[attr-defined]
        cnn = kinds[CNN.learner].from_problem(problem).module
        drawn = problem.sample(BATCH, torch.Generator().manual_seed(0))
        v = drawn["noisy"].to(torch.float32)

        def differentiated(v: Tensor, lpn: Any = lpn) -> Tensor:
            with torch.enable_grad():
                given = v.detach().requires_grad_()
                (slope,) = torch.autograd.grad(lpn.potential(given).sum(), given, create_graph=True)
            return slope

        networks: dict[str, tuple[Callable[[Tensor], Tensor], torch.nn.Module]] = {
            "explicit gradient": (lpn, lpn),
            "gradient by autograd": (differentiated, lpn),
            "plain CNN": (cnn, cnn),
        }
        found = _in_turn(networks, v, 2 if session.scale.small else REPEATS)
        for name, (_, module) in networks.items():
            size = sum(p.numel() for p in module.parameters())
            rows.append([law, name, size, *(1e3 * median(found[name][what]) for what in ("train", "predict"))])
        for what in ("train", "predict"):
            pairs = {other: _ratio(found["explicit gradient"][what], found[other][what]) for other in networks}
            for other in ("plain CNN", "gradient by autograd"):
                key = f"{what} {other}"
                worst[key] = max(worst.get(key, (0.0, "")), (pairs[other], law))
    columns = ["law", "network", "parameters", "training step ms", "prediction ms"]
    session.record.table("times", columns, rows, f"Batches of {BATCH} fields, medians of {REPEATS} turns, one thread.")
    _figures(session, worst)


def _figures(session: Session, worst: dict[str, tuple[float, str]]) -> None:
    bars = {
        "training_over_plain_denoiser.time": ("train plain CNN", 2.0),
        "prediction_over_plain_denoiser.time": ("predict plain CNN", 2.5),
        "explicit_over_autograd.training_time": ("train gradient by autograd", 0.85),
    }
    for name, (key, bar) in bars.items():
        value, law = worst[key]
        session.record.figure(name, value, bar=at_most(bar), unit="1", note=f"the largest of all laws: {law}")


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def _in_turn(
    networks: dict[str, tuple[Callable[[Tensor], Tensor], torch.nn.Module]], v: Tensor, repeats: int
) -> dict[str, dict[str, list[float]]]:
    """Processor seconds of every network, one after the other in each turn; the first turn warms up."""
    found: dict[str, dict[str, list[float]]] = {name: {"train": [], "predict": []} for name in networks}
    for turn in range(repeats + 1):
        for name, (network, module) in networks.items():
            began = time.process_time()
            (network(v) - v).square().mean().backward()
            trained = time.process_time()
            module.zero_grad()
            with torch.no_grad():
                again = time.process_time()
                network(v)
                ended = time.process_time()
            if turn:
                found[name]["train"].append(trained - began)
                found[name]["predict"].append(ended - again)
    return found
