"""Errors of predictions where the truth is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from meshes.mesh import Mesh
from pde_benchmarks.mesh_metrics import field_errors, interval_coverage, scalar_errors
from sciml.errors import LearnerError
from sciml.learners.mmgp.parts import PartFamily, field_values, scalar_values
from sciml.learners.mmgp.prediction import MeshPrediction

__all__ = ["errors_of"]

_SCALAR_PARTS = ("scalar_mean", "scalar_std")


def errors_of(predictions: Sequence[MeshPrediction], meshes: Sequence[Mesh], family: PartFamily) -> dict[str, float]:
    """``metric.name`` of every field and scalar, see `pde_benchmarks.mesh_metrics`.

    A series of steps has the errors of each step, "rrmse.u@0.5", and those of all steps as one field, "rrmse.u".

    Raises
    ------
    LearnerError
        A mesh lacks a field or scalar of the truth.
    """
    errors: dict[str, float] = {}
    for series, names in family.series.items():
        sides = [_field_sides(predictions, meshes, name) for name in names]
        errors |= {key: value for side, name in zip(sides, names, strict=True) for key, value in _errors(side, name)}
        if len(names) > 1:
            joined = [[np.concatenate(steps) for steps in zip(*part, strict=True)] for part in zip(*sides, strict=True)]
            errors |= dict(_errors(joined, series))
    for name in family.output_scalars:
        mean, std = ([np.array([getattr(p, part)[name]]) for p in predictions] for part in _SCALAR_PARTS)
        truth = [np.array([value]) for value in _truths(meshes, scalar_values, name)]
        found = scalar_errors(np.concatenate(mean), np.concatenate(truth))
        found["coverage_95"] = interval_coverage(mean, std, truth)
        errors |= {f"{metric}.{name}": value for metric, value in found.items()}
    errors["foreign_share"] = float(np.mean([p.trust.is_foreign for p in predictions]))
    return errors


def _field_sides(predictions: Sequence[MeshPrediction], meshes: Sequence[Mesh], name: str) -> list[list[Any]]:
    """Mean, standard deviation and truth of one field, each a list by sample of values ``(n,)``."""
    mean, std = ([getattr(p, part)[name].numpy() for p in predictions] for part in ("mean", "std"))
    return [mean, std, _truths(meshes, field_values, name)]


def _errors(sides: Sequence[list[Any]], name: str) -> Iterator[tuple[str, float]]:
    mean, std, truth = sides
    found = field_errors(mean, truth) | {"coverage_95": interval_coverage(mean, std, truth)}
    for metric, value in found.items():
        yield f"{metric}.{name}", value


def _truths(meshes: Sequence[Mesh], read: Callable[[Mesh, str], Any], name: str) -> list[Any]:
    found = []
    for number, mesh in enumerate(meshes):
        try:
            found.append(read(mesh, name))
        except LearnerError as error:
            raise LearnerError(f"sample {number}: {error}: expected the truth to compare with.") from error
    return found
