"""Predictions for new meshes, with what is odd about them in words."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from meshes.mesh import Mesh
from sciml.errors import LearnerError
from sciml.learners.mmgp.carrying import Carried
from sciml.learners.mmgp.faults import MMGPWarning, in_sample
from sciml.learners.mmgp.model import Model
from sciml.learners.mmgp.parts import scalar_values
from sciml.learners.mmgp.prediction import MeshPrediction, predicted
from sciml.learners.mmgp.trust import TrustScore

__all__ = ["given_scalars", "inputs_of", "predict_all"]

#: A mesh with so many times fewer nodes than the common mesh does not show its shape.
_COARSE = 100


def predict_all(model: Model, meshes: Sequence[Mesh], units: Sequence[dict[str, float]]) -> list[MeshPrediction]:
    """Predict every mesh; the regression answers for all of them at once.

    Parameters
    ----------
    units
        For each mesh, name of what is predicted to its unit; 1 for names that are not there.

    Raises
    ------
    LearnerError, MeshError, MorphingError
        A mesh of another family, or without a scalar; the message names its number.
    """
    if not len(meshes):
        return []
    seen = [_seen(model, mesh, number) for number, mesh in enumerate(meshes)]
    joints = model.regress(torch.stack([one.coefficients for one in seen]), torch.stack([one.given for one in seen]))
    results = []
    for number, (one, joint) in enumerate(zip(seen, joints, strict=True)):
        notes = _notes(model, one)
        if notes:
            warnings.warn(f"sample {number}: {' '.join(notes)}", MMGPWarning, stacklevel=3)
        results.append(predicted(model, one.mesh, one.carried, joint, one.trust, notes, units[number]))
    return results


def inputs_of(model: Model, meshes: Sequence[Mesh]) -> Tensor:
    """What the regression sees of meshes, ``(q, d)``; raises as `predict_all`."""
    seen = [_seen(model, mesh, number) for number, mesh in enumerate(meshes)]
    return model.inputs(torch.stack([one.coefficients for one in seen]), torch.stack([one.given for one in seen]))


@dataclass(frozen=True)
class _Seen:
    mesh: Mesh
    carried: Carried
    coefficients: Tensor
    trust: TrustScore
    given: Tensor


def _seen(model: Model, mesh: Mesh, number: int) -> _Seen:
    given = given_scalars(model, mesh, number)
    with in_sample(number):
        carried = _carried(model, mesh)
    return _Seen(mesh, carried, *model.judge(carried), given)


def given_scalars(model: Model, mesh: Mesh, number: int) -> Tensor:
    """The scalars ``(p,)`` that the model is given of a mesh.

    Raises
    ------
    LearnerError
        One is missing or not finite.
    """
    try:
        values = [scalar_values(mesh, name) for name in model.family.input_scalars]
    except LearnerError as error:
        wanted = ", ".join(model.family.input_scalars)
        raise LearnerError(f"sample {number}: {error}: give {wanted} in the mesh's global data.") from error
    return torch.tensor(values, dtype=torch.float64)


def _carried(model: Model, mesh: Mesh) -> Carried:
    dimension = model.carrier_dimension
    if mesh.space_dimension != dimension:
        raise LearnerError(f"a mesh in {mesh.space_dimension}-D space: the training meshes are in {dimension}-D space.")
    return model.carrier.carry(mesh)


def _notes(model: Model, seen: _Seen) -> tuple[str, ...]:
    notes = []
    outside = model.inputs.outside(seen.given)
    if outside:
        notes.append(f"Outside the training range: {', '.join(outside)}.")
    if seen.trust.is_foreign:
        factor = seen.trust.inflation
        wider = f"; standard deviations are multiplied by {factor:.2g}" if factor > 1 else ""
        notes.append(f"A {seen.trust}{wider}.")
    nodes, common = len(seen.mesh.points), len(model.carrier.common.mesh.points)
    if nodes * _COARSE < common:
        notes.append(f"{nodes} nodes, where the common mesh has {common}: so coarse a mesh hardly shows its shape.")
    return tuple(notes)
