"""What a problem on meshes of varying shape is: a family of parts, the scalars of a load case, and a reference solver.

Every sample is one `meshes.Mesh`: its named node sets are landmarks, its point fields are what is predicted at nodes,
and its global data are the scalars, those that are given and those that are predicted.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from meshes import Mesh
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.problem import FieldSpec, Meshes, Scalars

__all__ = ["MeshProblem", "Parameter"]

Array = NDArray[Any]

#: Draws for each sample that is wanted before a law is called impossible.
_PATIENCE = 200


@dataclass(frozen=True)
class Parameter:
    """A number that varies from sample to sample, uniformly between two bounds.

    ``is_given`` says whether a learner is told it (a load, a material) or must see it in the mesh (a radius).
    """

    name: str
    low: float
    high: float
    unit: str = "1"
    is_given: bool = True

    def __post_init__(self) -> None:
        if not -math.inf < self.low <= self.high < math.inf:
            raise ProblemError(f"parameter {self.name!r} from {self.low} to {self.high}: expected finite low ≤ high.")


class MeshProblem(ABC):
    """A family of parts, each with its own mesh, and the equation that is solved on it.

    Subclasses are frozen dataclasses of what stays the same in the family. ``usual_samples`` are the numbers of
    training and test samples of an experiment, ``foreign_kinds`` what `foreign` can make.
    """

    name: ClassVar[str]
    dimension: ClassVar[int]
    usual_samples: ClassVar[tuple[int, int]] = (200, 100)
    foreign_kinds: ClassVar[tuple[str, ...]] = ()

    @property
    @abstractmethod
    def parameters(self) -> tuple[Parameter, ...]:
        """What varies, in the order of a design's columns."""

    @property
    @abstractmethod
    def outputs(self) -> tuple[FieldSpec, ...]:
        """Point fields (support `Meshes`) and scalars (support `Scalars`) that a learner predicts."""

    @property
    def inputs(self) -> tuple[FieldSpec, ...]:
        """Scalars that a learner is given beside the mesh."""
        return tuple(FieldSpec(p.name, 1, Scalars(), p.unit) for p in self.parameters if p.is_given)

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the point fields that are predicted."""
        return tuple(spec.name for spec in self.outputs if isinstance(spec.support, Meshes))

    @property
    def scalars(self) -> tuple[str, ...]:
        """Names of the scalars that are predicted."""
        return tuple(spec.name for spec in self.outputs if isinstance(spec.support, Scalars))

    @property
    def landmarks(self) -> tuple[str, ...]:
        """Node sets of one boundary node each that every mesh of the family has, in their order on the boundary."""
        return ()

    @property
    def ratios(self) -> tuple[str, ...]:
        """Products and quotients of given scalars that alone count, by dimensional analysis, such as "P/R0"; or none.

        What is measured on the mesh (`pde_benchmarks.shape_measures`) may stand in them, too: "P/R0/net_section_y".
        They go with `scales`: with fields in these units, samples of equal shape and ratios have equal solutions.
        """
        return ()

    @property
    def scales(self) -> dict[str, str]:
        """Name of a field or scalar that is predicted to its unit in given scalars, such as "R0/E"."""
        return {}

    def is_admissible(self, designs: Array) -> Array:
        """Which rows of designs ``(n, k)`` belong to the family, ``(n,)`` bool; by default all."""
        return np.ones(len(designs), dtype=bool)

    def designs(self, count: int, seed: int) -> Array:
        """The first ``count`` admissible rows ``(count, k)`` of a scrambled Sobol sequence within the bounds.

        The first rows of a longer list are those of a shorter one of the same seed.

        Raises
        ------
        ProblemError
            If hardly any row is admissible.
        """
        from scipy.stats import qmc

        low, high = (np.array([getattr(p, side) for p in self.parameters]) for side in ("low", "high"))
        sequence = qmc.Sobol(len(low), rng=np.random.default_rng(seed))
        found = np.empty((0, len(low)))
        for _ in range(_PATIENCE):
            rows = low + (high - low) * sequence.random(_power_of_two(count))
            found = np.concatenate([found, rows[self.is_admissible(rows)]])
            if len(found) >= count:
                return found[:count]
        raise ProblemError(
            f"{self.name}: {len(found)} admissible designs after {_PATIENCE} rounds, {count} wanted: widen its limits."
        )

    @abstractmethod
    def part(self, design: Array, seed: int) -> Mesh:
        """The mesh of one design ``(k,)``, with the given scalars in its global data.

        Meshes of one design and different seeds are different meshes of one shape.
        """

    def foreign(self, kind: str, seed: int) -> Mesh:
        """A part that is none of the family, for tests of what a learner says of the unknown; not solved yet.

        Raises
        ------
        ProblemError
            The family has no such kind; by default it has none.
        """
        known = ", ".join(self.foreign_kinds) or "none"
        raise ProblemError(f"{self.name}: foreign part {kind!r} is unknown: known are {known}.")

    @abstractmethod
    def solve(self, mesh: Mesh) -> Mesh:
        """The same mesh with the reference solution's fields and scalars."""

    def given_scalars(self, mesh: Mesh) -> dict[str, float]:
        """The scalars of a mesh that a learner is given, by name.

        Raises
        ------
        ProblemError
            One is missing, or not a finite number.
        """
        names = [p.name for p in self.parameters if p.is_given]
        missing = [name for name in names if name not in mesh.global_data]
        if missing:
            raise ProblemError(
                f"{self.name}: the mesh has no {', '.join(missing)} in its global data, which holds "
                f"{', '.join(mesh.global_data) or 'nothing'}: give {', '.join(names)}."
            )
        bad = [name for name in names if mesh.global_data[name].size != 1 or not np.isfinite(mesh.global_data[name])]
        if bad:
            raise ProblemError(f"{self.name}: {bad[0]} = {mesh.global_data[bad[0]]}: expected one finite number.")
        return {name: float(mesh.global_data[name].flat[0]) for name in names}


def _power_of_two(count: int) -> int:
    return 1 << max(3, (count - 1).bit_length())
