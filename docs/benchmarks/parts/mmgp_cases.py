"""The families of parts of the MMGP benchmark, their pools of solved meshes, and the splits of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from meshes import Mesh, MeshSet
from parts.training_script import Session
from pde_benchmarks.aerofoil import PotentialAerofoil
from pde_benchmarks.datasets import cached_meshes
from pde_benchmarks.elasticity import NotchedPlate, NotchedPlateAll, TwistedBlade
from pde_benchmarks.mesh_problem import MeshProblem

__all__ = ["CASES", "Chosen", "MeshCase", "pool", "split"]

POOL_SEED = 0


@dataclass(frozen=True)
class MeshCase:
    """A family, and how many of its samples are learned from and tested on.

    ``unscored`` are fields that vanish in some samples, so that an error relative to their largest value says little.
    """

    name: str
    problem: MeshProblem
    train: int
    test: int
    tiny: MeshProblem
    unscored: tuple[str, ...] = ()


CASES = (
    MeshCase("plate", NotchedPlate(), 200, 100, NotchedPlate(size=0.1), ("p",)),
    MeshCase("plate_averages", NotchedPlate(recovery="averages"), 200, 100, NotchedPlate(size=0.1), ("p",)),
    MeshCase("plate_all", NotchedPlateAll(), 200, 100, NotchedPlateAll(size=0.1), ("p",)),
    MeshCase("aerofoil", PotentialAerofoil(), 200, 60, PotentialAerofoil()),
    MeshCase("blade", TwistedBlade(), 200, 60, TwistedBlade()),
)


class Chosen(Sequence[Mesh]):
    """Some meshes of a set, read when they are asked for."""

    def __init__(self, meshes: Sequence[Mesh], numbers: Sequence[int]) -> None:
        self.meshes, self.numbers = meshes, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> Mesh: ...

    @overload
    def __getitem__(self, index: slice) -> Chosen: ...

    def __getitem__(self, index: int | slice) -> Mesh | Chosen:
        if isinstance(index, slice):
            return Chosen(self.meshes, self.numbers[index])
        return self.meshes[int(self.numbers[index])]


def pool(session: Session, case: MeshCase) -> MeshSet:
    """Training and test samples together, generated once."""
    if session.scale.small:
        return cached_meshes(case.tiny, 24, POOL_SEED, session.work / "meshes", workers=2)
    return cached_meshes(case.problem, case.train + case.test, POOL_SEED)


def split(session: Session, case: MeshCase, meshes: MeshSet, seed: int) -> tuple[Chosen, Chosen]:
    """The training and the test samples of one random split."""
    order = np.random.default_rng(seed).permutation(len(meshes)).tolist()
    train = 18 if session.scale.small else case.train
    return Chosen(meshes, order[:train]), Chosen(meshes, order[train:])
