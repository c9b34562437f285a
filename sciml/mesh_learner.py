"""Learners of parts on meshes of varying shape: what they offer, and where they are found by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from pde_benchmarks.installed import installed
from pde_benchmarks.registry import find
from sciml.errors import RunError
from sciml.files import read_json
from sciml.runs import read_yaml

if TYPE_CHECKING:
    from meshes import Mesh
    from pde_benchmarks.mesh_problem import MeshProblem
    from sciml.learners.mmgp.parts import PartFamily
    from sciml.learners.mmgp.prediction import MeshPrediction

__all__ = ["MeshLearner", "is_mesh_learner", "load_mesh_learner", "mesh_learner_types"]


class MeshLearner(Protocol):
    """A map from meshes with given scalars to fields at their nodes and further scalars, with error bars."""

    name: ClassVar[str]
    config_type: ClassVar[type]
    family: PartFamily

    def __init__(self, family: PartFamily, config: Any = None, seed: int = 0) -> None: ...

    @classmethod
    def accepts(cls, problem: object) -> str | None:
        """None if this learner can learn ``problem``, else one sentence that says why not."""

    @classmethod
    def from_problem(cls, problem: MeshProblem, config: Any = None, seed: int = 0) -> Self:
        """An untrained learner."""

    def fit(
        self,
        training: Sequence[Mesh],
        validation: Sequence[Mesh] | None = None,
        progress: Callable[[float, str], None] | None = None,
    ) -> Any:
        """Learn; what comes back prints as a report."""

    def predict(self, meshes: Sequence[Mesh]) -> list[MeshPrediction]:
        """Fields and scalars of every mesh."""

    def evaluate(self, meshes: Sequence[Mesh]) -> dict[str, float]:
        """Errors on meshes that hold the truth, ``metric.name``."""

    @property
    def parameter_count(self) -> int:
        """Numbers that were learnt."""

    def save(self, directory: Path | str) -> None:
        """Write everything that `load` needs."""

    @classmethod
    def load(cls, directory: Path | str) -> Self:
        """A trained learner."""


@cache
def mesh_learner_types() -> dict[str, type[MeshLearner]]:
    """Installed learners of meshes by name (entry-point group ``sciml.mesh_learners``)."""
    return installed("sciml.mesh_learners")


def is_mesh_learner(directory: Path | str) -> bool:
    """Whether a directory is of a learner of meshes: a saved one, or a run in which none has been saved yet.

    Raises
    ------
    RunError
        What says so is damaged.
    """
    saved, planned = Path(directory) / "learner.json", Path(directory) / "config.yaml"
    if saved.is_file():
        return read_json(saved).get("learner") in mesh_learner_types()
    if not planned.is_file():
        return False
    experiment = read_yaml(planned).get("experiment")
    return isinstance(experiment, dict) and experiment.get("learner") in mesh_learner_types()


def load_mesh_learner(directory: Path | str) -> MeshLearner:
    """The learner that was saved in a directory.

    Raises
    ------
    RunError
        Training has not ended, or a file is missing or damaged.
    """
    directory = Path(directory)
    if not (directory / "learner.json").is_file():
        raise RunError(f"{directory}: its training has not ended: give its `sciml run` command again.")
    name = str(read_json(directory / "learner.json").get("learner"))
    kind: type[MeshLearner] = find(mesh_learner_types(), name, "learner of meshes")
    return kind.load(directory)
