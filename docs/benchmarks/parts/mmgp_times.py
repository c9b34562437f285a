"""Seconds of training by stage and of one prediction at ten thousand nodes, memory, and scikit-learn's regression."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import overload

import numpy as np
import torch

from meshes import Mesh
from parts import mmgp_gaussian_processes
from parts.record import at_most
from parts.training_script import Session
from pde_benchmarks.elasticity import ElasticNotchedPlate
from sciml.learners.mmgp import MMGP
from sciml.learners.mmgp.inner_products import euclidean
from sciml.learners.mmgp.reduction import CountRule, decompose
from sciml.learners.mmgp.snapshots import SnapshotFile

__all__ = ["memory", "regression", "times"]

#: Edge length at the notches: about ten thousand nodes.
FINE, COARSE = 0.0085, 0.1


def times(session: Session) -> None:
    """Five hundred meshes: a few real ones, bent, with fields in closed form, so that no solver is waited for."""
    torch.set_num_threads(1)
    count, distinct = (16, 4) if session.scale.small else (500, 10)
    problem = ElasticNotchedPlate(size=COARSE if session.scale.small else FINE)
    bases = [problem.part(design, seed) for seed, design in enumerate(problem.designs(distinct, 0))]
    family = Bent(bases, count)
    landmarks = problem.landmarks
    began = time.perf_counter()
    learner = MMGP.from_meshes(family, ("w", "s"), ("load",), (), landmarks)
    total = time.perf_counter() - began
    assert learner.report is not None
    nodes = int(np.mean([len(mesh.points) for mesh in bases]))
    rows = [[stage, seconds] for stage, seconds in learner.report.seconds.items()]
    caption = (
        f"Training on {count} meshes of {nodes} nodes on average, two fields, one thread: {distinct} notched plates, "
        "bent smoothly in different ways, with fields in closed form."
    )
    session.record.table("training_stages", ["stage", "seconds"], [*rows, ["all", total]], caption)
    session.record.figure("train_500_meshes_10k_nodes.seconds", total, unit="s", note=caption)
    seconds, sizes = [], []
    for number in range(count, count + 5):
        mesh = family.bent(number)
        began = time.perf_counter()
        learner.predict([mesh])
        seconds.append(time.perf_counter() - began)
        sizes.append(len(mesh.points))
    session.record.figure(
        "predict_one_mesh_10k_nodes.seconds",
        seconds,
        timed=True,
        unit="s",
        bar=at_most(1),
        note=f"{min(sizes)} to {max(sizes)} nodes, morphing included, median {median(seconds):.2f} s, one thread",
    )


def memory(session: Session) -> None:
    """Peak memory of the decomposition of snapshots on the disk, for more and more of them, each in its own process."""
    counts, size = ((20, 40), 2_000) if session.scale.small else ((250, 500, 1000, 2000), 40_000)
    rows = []
    for count in counts:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            rows.append([count, count * size * 8 / 2**20, pool.apply(decomposition_memory, (count, size))])
    caption = (
        f"Snapshots of {size} numbers in a file, ten modes, blocks of 64 MiB: peak memory of a process above what it "
        "needs to start. The Gram matrix of all snapshots is in it."
    )
    session.record.table("snapshot_memory", ["snapshots", "file, MiB", "peak memory, MiB"], rows, caption)
    least, most = rows[0][2], rows[-1][2]
    # A smoke run needs no memory above that of an empty process.
    more = most / least if least > 0 else None
    session.record.figure("snapshots_8_times_as_many.memory", more, unit="1", note=caption)


def decomposition_memory(count: int, size: int) -> float:
    """Peak memory (MiB) of a decomposition above that of a process that has decomposed next to nothing."""
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        peaks = []
        for rows, width in ((3, 4), (count, size)):
            table = SnapshotFile(Path(folder) / f"{rows}.bin", width)
            generator = torch.Generator().manual_seed(0)
            for _ in range(rows):
                table.append(torch.randn(width, generator=generator, dtype=torch.float64))
            decompose(table, euclidean(width), CountRule(2 if rows == 3 else 10))
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return peaks[1] - peaks[0]


def regression(session: Session) -> None:
    """The Gaussian processes beside a loop of scikit-learn's."""
    mmgp_gaussian_processes.measure(session.record, session.scale.small)


class Bent(Sequence[Mesh]):
    """Meshes bent by smooth maps, each with a load and two smooth fields of place, shape and load."""

    def __init__(self, bases: Sequence[Mesh], count: int) -> None:
        self.bases, self.count = bases, count

    def __len__(self) -> int:
        return self.count

    @overload
    def __getitem__(self, index: int) -> Mesh: ...

    @overload
    def __getitem__(self, index: slice) -> list[Mesh]: ...

    def __getitem__(self, index: int | slice) -> Mesh | list[Mesh]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self.count))]
        if not -self.count <= index < self.count:
            raise IndexError(index)
        return self.bent(index % self.count)

    def bent(self, number: int) -> Mesh:
        """The mesh of a number."""
        base, rng = self.bases[number % len(self.bases)], np.random.default_rng(number)
        a, b, load = rng.uniform(-0.1, 0.1), rng.uniform(-0.1, 0.1), rng.uniform(1, 2)
        x, y = base.points.T
        points = np.stack([x * (1 + a * np.sin(y)), y * (1 + b * np.cos(x))], axis=1)
        x, y = points.T
        fields = {"w": load * (x**2 + a * y), "s": load * np.sin(2 * x + b) * np.cos(y)}
        return replace(base, points=points, point_data=fields, global_data={"load": np.array(load)})
