"""Independent experts on two processes against all of them on one: a training step."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from parts.hard_constraint_cases import LayerCase, sorption
from parts.hard_constraint_costs import EQUAL, equal_iterations
from parts.record import at_most
from parts.training_script import Session
from sciml.files import read_json, write_json
from sciml.learners.hard_constraints import BoxRouter, ConstraintLayer, ExpertParallel, MixtureOfExperts, PlainNorm
from sciml.learners.hard_constraints.mixture import Independent

__all__ = ["processes"]

WORLD = 2


def processes(session: Session) -> None:
    """Rounds in which one process trains alone, then both together; one thread each."""
    small = session.scale.small
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "seconds.json"
        torch.multiprocessing.spawn(_rank, (folder, str(answer), small), nprocs=WORLD)
        times: dict[str, Any] = read_json(answer)
    ratios = [two / one for one, two in zip(times["one"], times["two"], strict=True)]
    one, two = 1e3 * median(times["one"]), 1e3 * median(times["two"])
    session.record.figure(
        "two_processes_over_one.training_step_time",
        ratios,
        timed=True,
        unit="1",
        bar=at_most(0.65),
        note=f"{two:.0f} against {one:.0f} ms; {times['setting']}",
    )


def _rank(rank: int, folder: str, answer: str, small: bool) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=WORLD)
    case, split = (sorption(2, 8, 16, 9), (1, 2)) if small else (sorption(16, 16, 64, 51), (2, 4))
    layer = equal_iterations(ConstraintLayer(PlainNorm()))
    alone = _step(case, MixtureOfExperts(layer, BoxRouter(split), Independent()))
    together = _step(case, ExpertParallel(layer, BoxRouter(split), Independent()))
    times: dict[str, list[float]] = {"one": [], "two": []}
    for round_ in range(2 if small else 11):
        for name in times:
            dist.barrier()
            began = time.perf_counter()
            if name == "two":
                dist.all_reduce(together() / WORLD)
                dist.barrier()
            elif rank == 0:
                alone()
            if round_:
                times[name].append(time.perf_counter() - began)
    if rank == 0:
        setting = (
            f"{len(case.basis)} samples, {split[0] * split[1]} independent experts of {case.basis.shape[1]} functions, "
            f"plain norm, {EQUAL} iterations, gloo, the functions mixed by one trained matrix"
        )
        write_json(Path(answer), {**times, "setting": setting})
    dist.destroy_process_group()


def _step(case: LayerCase, experts: MixtureOfExperts | ExpertParallel) -> Callable[[], Tensor]:
    """Forward and backward to the gradient of a network: here a matrix that mixes known functions."""
    functions = case.basis.shape[1]
    mixing = torch.eye(functions, dtype=torch.float64, requires_grad=True)

    def step() -> Tensor:
        basis = (mixing @ case.basis.flatten(2)).unflatten(-1, case.residual.shape)
        loss = (case.functional * experts(case.residual, basis, case.offset).values).sum()
        return torch.autograd.grad(loss, mixing)[0]

    return step
