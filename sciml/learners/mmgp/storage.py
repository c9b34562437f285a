"""A trained model as named tensors, plain values and one mesh, and back: nothing is ever unpickled."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from meshes import open_meshes, write_meshes
from meshes.mesh import Mesh
from sciml.errors import RunError
from sciml.files import read_json, read_tensors, write_json, write_tensors
from sciml.learners.mmgp.alignment import Frame
from sciml.learners.mmgp.bases import inner_product
from sciml.learners.mmgp.carrying import Carrier
from sciml.learners.mmgp.config import MMGPConfig
from sciml.learners.mmgp.gaussian_processes import decode_transforms, encode_transforms, restore
from sciml.learners.mmgp.inputs import InputColumns
from sciml.learners.mmgp.model import FieldModel, Model
from sciml.learners.mmgp.morphed import Morphed
from sciml.learners.mmgp.morphings import decode_morphing, encode_morphing
from sciml.learners.mmgp.parts import PartFamily
from sciml.learners.mmgp.reduction import Reduction
from sciml.learners.mmgp.refinement import refined
from sciml.learners.mmgp.regression import Columns
from sciml.learners.mmgp.rims import Rim
from sciml.learners.mmgp.trust import TrustLimits

__all__ = ["read_description", "read_model", "write_learner"]

_DESCRIPTION, _WEIGHTS, _MESH = "learner.json", "weights.safetensors", "reference.h5"


def write_learner(directory: Path, description: dict[str, Any], model: Model) -> None:
    """Write the tensors, the reference mesh and, last, the description with the model's plain values.

    Raises
    ------
    LearnerError
        The morphing is of another package.
    """
    values = {
        "morphing": encode_morphing(model.carrier.morphing),
        "rims": [rim.period for rim in model.carrier.reference.rims],
        "factors": {name: field.factor for name, field in model.fields.items()},
        "size": model.trust.size,
        "growth": model.trust.growth,
    }
    directory.mkdir(parents=True, exist_ok=True)
    write_tensors(directory / _WEIGHTS, _tensors(model))
    write_meshes(directory / _MESH, [model.carrier.reference.mesh])
    write_json(directory / _DESCRIPTION, {**description, "model": values})


def read_description(directory: Path, name: str, schema: int) -> dict[str, Any]:
    """What `write_learner` wrote as plain values.

    Raises
    ------
    RunError
        The directory holds no learner, one of another name, or one of another schema.
    """
    if not (directory / _DESCRIPTION).is_file():
        raise RunError(f"{directory}: no {_DESCRIPTION}, so no learner was saved here.")
    told: dict[str, Any] = read_json(directory / _DESCRIPTION)
    if told.get("learner") != name or told.get("schema") != schema:
        raise RunError(
            f"{directory}: a learner {told.get('learner')!r} of schema {told.get('schema')}, expected {name!r} of "
            f"schema {schema}: load it with its own class, or update sciml-pde."
        )
    return told


def read_model(directory: Path, family: PartFamily, config: MMGPConfig, values: dict[str, Any]) -> Model:
    """The model that `write_learner` wrote, from its plain values.

    Raises
    ------
    RunError, MeshFileError
        A file is missing or damaged, or does not fit the others.
    """
    tensors = read_tensors(directory / _WEIGHTS)
    try:
        return _model(tensors, open_meshes(directory / _MESH)[0], family, config, values)
    except (KeyError, IndexError) as error:
        raise RunError(
            f"{directory}: the files of this learner do not fit each other ({error}): save it anew."
        ) from error


def _tensors(model: Model) -> dict[str, Tensor]:
    found = _prefixed("shape", _of(model.shape))
    for number, field in enumerate(model.fields.values()):
        found |= _prefixed(f"field.{number}", _of(field.reduction))
        found |= {f"field.{number}.residual": field.residual, f"field.{number}.floor": field.floor}
    for number, rim in enumerate(model.carrier.reference.rims):
        found |= {f"rim.{number}.nodes": torch.from_numpy(rim.nodes.copy())}
        found |= {f"rim.{number}.places": torch.from_numpy(rim.places.copy())}
    if model.carrier.frame is not None:
        found |= _prefixed("frame", _of(model.carrier.frame))
    inputs = {"kept": model.inputs.kept, "low": model.inputs.low, "high": model.inputs.high}
    trust = {name: value for name, value in _of(model.trust).items() if isinstance(value, Tensor)}
    return {
        **found,
        **_prefixed("inputs", inputs),
        **_prefixed("trust", trust),
        **_prefixed("processes", dict(model.processes.state_dict())),
        "correlation": model.correlation,
        "scalar_factors": model.scalar_factors,
        "transforms": encode_transforms(model.transforms),
        "field_transforms": encode_transforms(tuple(field.transform for field in model.fields.values())),
    }


def _model(
    tensors: dict[str, Tensor], mesh: Mesh, family: PartFamily, config: MMGPConfig, values: dict[str, Any]
) -> Model:
    rims = tuple(
        Rim(tensors[f"rim.{i}.nodes"].numpy(), tensors[f"rim.{i}.places"].numpy(), period)
        for i, period in enumerate(values["rims"])
    )
    reference = Morphed(mesh, rims)
    common = refined(reference, config.refinements)
    frame = Frame(**_under("frame", tensors)) if "frame.places" in tensors else None
    shape = Reduction(**_under("shape", tensors))
    maps = decode_transforms(tensors["field_transforms"])
    fields = {}
    for number, name in enumerate(family.fields):
        own = _under(f"field.{number}", tensors)
        residual, floor = own.pop("residual"), own.pop("floor")
        fields[name] = FieldModel(Reduction(**own), residual, floor, values["factors"][name], maps[number])
    blocks = family.blocks(config.steps)
    ranks = {block: fields[names[0]].reduction.rank for block, names in blocks.items()}
    columns = Columns(ranks, family.output_scalars, {name: block for block, names in blocks.items() for name in names})
    places = shape.mean.reshape(-1, len(common.mesh.points)).mT
    return Model(
        family,
        Carrier(decode_morphing(values["morphing"]), reference, common, frame),
        inner_product(config.inner_product, common.mesh, common.mesh.with_points(places.numpy())),
        shape,
        fields,
        columns,
        InputColumns(family.input_scalars, **_under("inputs", tensors)),
        restore(_under("processes", tensors)),
        tensors["correlation"],
        tensors["scalar_factors"],
        decode_transforms(tensors["transforms"]),
        TrustLimits(values["size"], **_under("trust", tensors), growth=values.get("growth", 0.0)),
    )


def _of(item: Any) -> dict[str, Any]:
    return {f.name: getattr(item, f.name) for f in dataclasses.fields(item)}


def _prefixed(head: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{head}.{name}": tensor for name, tensor in tensors.items()}


def _under(head: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name[len(head) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(f"{head}.")}
