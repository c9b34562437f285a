"""What one experiment on meshes is: the plain values in ``config.yaml`` that decide everything it computes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from pde_benchmarks.mesh_problem import MeshProblem
from pde_benchmarks.registry import configure, find, mesh_problem_types
from sciml.errors import ConfigurationError

__all__ = ["MeshExperiment"]


@dataclass(frozen=True)
class MeshExperiment:
    """One learner on one family of parts, from a problem or from files.

    Parameters
    ----------
    learner, learner_settings
        A registered learner of meshes and its configuration.
    problem, problem_settings
        A registered problem on meshes and its configuration; or else `data`.
    samples, test_samples
        How many samples of the problem are generated; None for what is usual for the problem.
    workers
        Samples that are generated at a time; None: as many as there are processors.
    data, test_data
        Folders of mesh files, or files of ``meshes.write_meshes``. Without `test_data`, splits in `data` are used, or
        every fifth sample is tested on.
    fields, cell_fields, scalars, inputs, outputs, landmarks
        Of files: point fields to predict (all if neither they nor cell fields are named), fields on cells that are
        averaged to the points, a CSV file of scalars, scalars that are given (all others in that file if empty) and
        that are predicted, and node sets of one boundary node each.
    ending
        Of the files to read, such as ".vtu", where a folder holds several kinds.
    vectors
        Fields that are stored one by one and are the components of a vector, each a list such as ["u", "v"]; those of
        vectors in the files are known.
    mirror
        Parts of which the mirror image is a part of the family, too: ``axis`` (x, y or z), ``odd`` fields and scalars
        that change their sign, ``swapped`` pairs of node and facet sets (see `sciml.mesh_experiments.mirrors`).
    plaid
        Of a PLAID data set: ``definition``, ``split`` to learn from, ``base`` and ``time``, as of
        `pde_benchmarks.datasets.read_plaid`.
    seed
        Of the learner. The data does not depend on it.

    Raises
    ------
    ConfigurationError
        If neither or both of `problem` and `data` are given, or a number is out of range.
    """

    learner: str = "mmgp"
    problem: str | None = None
    problem_settings: dict[str, Any] = field(default_factory=dict)
    learner_settings: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    samples: int | None = None
    test_samples: int | None = None
    workers: int | None = None
    threads: int | None = None
    data: str | None = None
    test_data: str | None = None
    fields: list[str] = field(default_factory=list)
    cell_fields: list[str] = field(default_factory=list)
    scalars: str | None = None
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    landmarks: list[str] = field(default_factory=list)
    ending: str | None = None
    vectors: list[list[str]] = field(default_factory=list)
    mirror: dict[str, Any] = field(default_factory=dict)
    plaid: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.problem is None) == (self.data is None):
            raise ConfigurationError("name a problem, e.g. `sciml run plate`, or give a folder by --data; not both.")
        for name in ("samples", "test_samples", "workers", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigurationError(f"{name} = {value}: at least 1 is needed.")
        if self.seed < 0:
            raise ConfigurationError(f"seed = {self.seed}: a whole number, at least 0, is expected.")

    def plain(self) -> dict[str, Any]:
        """As plain values, for ``config.yaml``."""
        return dataclasses.asdict(self)

    def posed(self) -> MeshProblem:
        """The problem; raises ConfigurationError where it is unknown or its settings do not fit."""
        found: MeshProblem = configure(
            find(mesh_problem_types(), str(self.problem), "problem on meshes"), self.problem_settings
        )
        return found
