"""What a step of each network costs, and how fast the reference solver is."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import scipy.sparse.linalg
import torch
from torch.utils.flop_counter import FlopCounterMode

from parts.record import Record, at_most
from parts.timing import interleaved
from pde_benchmarks import Batch, Darcy
from sciml.learners.baselines.fno import FNO, FNOConfig
from sciml.learners.baselines.unet import UNet
from sciml.learners.grid_learner import GridLearner
from sciml.learners.mgno import DataMgNO, MgNO, PublishedMgNO
from sciml.learners.mgno.schedule import Schedule
from solvers import CSROperator

BATCH = 8


def networks(record: Record, quick: bool, device: str) -> None:
    """Time, memory, multiply-adds and parameters per sample, forward and backward, at 64² and 128²."""
    plans: dict[str, tuple[type[GridLearner], Any]] = {
        "mgno (network alone)": (MgNO, None),
        "mgno-data": (DataMgNO, None),
        "mgno-published": (PublishedMgNO, None),
        "fno 24 channels, 8 modes": (FNO, None),
        "fno 32 channels, 12 modes": (FNO, FNOConfig(channels=32, modes=12)),
        "unet": (UNet, None),
    }
    rows = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for size in (32,) if quick else (64, 128):
        steps = {}
        for name, (kind, config) in plans.items():
            learner = kind.from_problem(Darcy(resolution=size), config)
            features = torch.randn(BATCH, learner.fields.features.channels, size, size, device=device)
            learner.module.to(device)
            steps[name] = (learner, _step(learner.module, features), features)
        rounds = interleaved({name: step for name, (_, step, _) in steps.items()}, repeats=3 if quick else 7)
        times = {name: median(seconds) for name, seconds in rounds.items()}
        for name, (learner, step, features) in steps.items():
            multiply_adds, saved = _operations(learner.module, features), _saved_bytes(step)
            rows.append(
                [
                    name,
                    f"{size}²",
                    learner.parameter_count,
                    multiply_adds / 1e6,
                    saved / 2**20,
                    1e3 * times[name] / BATCH,
                ]
            )
    torch.set_num_threads(threads)
    caption = (
        "Forward and backward, batch of 8, float32, one thread, per sample; times are medians of interleaved repeats. "
        "Multiply-adds (forward) are those of convolutions and matrix products, without Fourier transforms. Memory is "
        "what is kept for the backward pass."
    )
    columns = ["network", "grid", "parameters", "10⁶ multiply-adds", "MiB kept", "ms per sample"]
    record.table("costs", columns, rows, caption)
    _against_formula(record, quick)


def _against_formula(record: Record, quick: bool) -> None:
    """Multiply-adds of the published layout against the card's count for its convolutions."""
    size, c = (32 if quick else 64), 24
    learner = PublishedMgNO.from_problem(Darcy(resolution=size))
    schedule = Schedule.parse("10 10 10 10 20")
    per_point = 0.0
    for level, k in enumerate(schedule.pre):
        same = 9 * (2 * k - 1 if level == 0 else 2 * k)
        transfers = (2 * 9 / 4 + 16 / 4) if level < schedule.levels - 1 else 0
        per_point += (same + transfers) / 4**level
    inner = size**2 * c**2 * per_point
    network = learner.module.network
    counted = _operations(network.layers[1].cycle, torch.randn(BATCH, c, size, size))  # type: ignore[union-attr, index]
    record.figure(
        "published_layout_over_formula.multiply_adds", counted / inner, unit="1", note="one hidden V-cycle operator"
    )


def _step(module: torch.nn.Module, features: torch.Tensor) -> Callable[[], None]:
    def step() -> None:
        module.zero_grad(set_to_none=True)
        module(features).square().mean().backward()
        if features.is_cuda:
            torch.cuda.synchronize()

    return step


def _operations(module: torch.nn.Module, features: torch.Tensor) -> float:
    with FlopCounterMode(display=False) as counter:
        module(features)
    return counter.get_total_flops() / 2 / len(features)


def _saved_bytes(step: Callable[[], None]) -> float:
    seen: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        step()
    return sum(seen.values()) / BATCH


def reference_solver(record: Record, quick: bool) -> None:
    """Darcy samples at 128² by batched multigrid-CG, against a loop of SciPy's SuperLU (assembly excluded for it)."""
    count, size = (4, 32) if quick else (256, 128)
    problem = Darcy(resolution=size)
    a = problem.sample(count, torch.Generator().manual_seed(0))
    A = problem.operator(a).to_csr()
    matrices = [CSROperator.from_pattern(A.pattern, values).to_scipy().tocsc() for values in A.values]
    ones = np.ones(size * size)
    answers: list[np.ndarray] = []

    def loop() -> None:
        answers[:] = [
            scipy.sparse.linalg.splu(m, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve(ones)
            for m in matrices
        ]

    def ours() -> Batch:
        return problem.solve(a)

    def ours_on_one_thread() -> None:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        problem.solve(a)
        torch.set_num_threads(threads)

    solution = ours()
    jobs = {"ours": ours, "ours, one thread": ours_on_one_thread, "superlu": loop}
    times = {name: median(seconds) for name, seconds in interleaved(jobs, repeats=1 if quick else 3).items()}
    difference = float(
        np.abs(np.stack(answers) - solution["solution"].flatten(1).numpy()).max() / np.abs(np.stack(answers)).max()
    )
    note = (
        f"{count} samples at {size}², SuperLU with its best symmetric ordering and ready-made matrices; "
        f"largest difference {difference:.1e}"
    )
    record.figure(
        "reference_solver_over_superlu_loop.time",
        times["ours"] / times["superlu"],
        timed=True,
        bar=at_most(0.2),
        unit="1",
        note=note,
    )
    record.figure(
        "reference_solver_over_superlu_loop.time.one_thread",
        times["ours, one thread"] / times["superlu"],
        timed=True,
        unit="1",
    )
    rows = [[name, 1e3 * seconds / count] for name, seconds in times.items()]
    record.table("reference_solver", ["solver", "ms per sample"], rows, note + ".")
