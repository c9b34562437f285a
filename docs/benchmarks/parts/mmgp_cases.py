"""The families of parts of the MMGP benchmark, their pools of solved meshes, and the splits of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

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

    ``unscored`` are fields that vanish in some samples, so that an error relative to their largest value says little;
    ``similarity`` is what dimensional analysis knows of the family, as settings of MMGP.
    """

    name: str
    problem: MeshProblem
    train: int
    test: int
    tiny: MeshProblem
    unscored: tuple[str, ...] = ()
    similarity: Mapping[str, Any] = field(default_factory=dict)


#: Strains at yield and yield stresses are the units of an elastoplastic part.
_YIELDING = {
    "ratios": ("P/R0", "H/E"),
    "scales": {
        **dict.fromkeys(("u", "v", "p", "max_v", "max_p"), "R0/E"),
        **dict.fromkeys(("s11", "s22", "s12", "vM", "max_vM", "max_s22"), "R0"),
    },
}
#: A linear part: displacements and stresses per pressure, which the centrifugal load is compared with.
_TURNING = {
    "ratios": ("speed*speed/pressure",),
    "scales": {
        **dict.fromkeys(("u", "v", "w", "tip_displacement"), "pressure/young"),
        **dict.fromkeys(("vM", "max_vM"), "pressure"),
    },
}

CASES = (
    MeshCase("plate", NotchedPlate(), 200, 100, NotchedPlate(size=0.1), ("p",), _YIELDING),
    MeshCase("plate_averages", NotchedPlate(recovery="averages"), 200, 100, NotchedPlate(size=0.1), ("p",), _YIELDING),
    MeshCase("plate_all", NotchedPlateAll(), 200, 100, NotchedPlateAll(size=0.1), ("p",), _YIELDING),
    MeshCase("aerofoil", PotentialAerofoil(), 200, 60, PotentialAerofoil()),
    MeshCase("blade", TwistedBlade(), 200, 60, TwistedBlade(), similarity=_TURNING),
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
