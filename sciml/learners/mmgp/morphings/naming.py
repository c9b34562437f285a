"""Morphings by name for configurations, and as plain values for files."""

from __future__ import annotations

import dataclasses
from typing import Any

from meshes.errors import MeshError, MorphingError
from meshes.mesh import Mesh
from meshes.morphing import ElasticMorphing, HarmonicMorphing, RadialBasisMorphing
from sciml.errors import LearnerError
from sciml.learners.mmgp.morphed import Morphing
from sciml.learners.mmgp.morphings.boundary import BoundaryMorphing
from sciml.learners.mmgp.morphings.disc import DiscMorphing
from sciml.learners.mmgp.morphings.faces import FacesMorphing
from sciml.learners.mmgp.morphings.given import GivenMorphing, SameCells
from sciml.learners.mmgp.morphings.named_faces import named_faces

__all__ = ["MORPHINGS", "decode_morphing", "encode_morphing", "named_morphing"]

MORPHINGS: dict[str, Morphing] = {
    "disc": DiscMorphing(),
    "disc-mean-value": DiscMorphing(("mean-value", "uniform")),
    "disc-uniform": DiscMorphing(("uniform",)),
    "harmonic": BoundaryMorphing(HarmonicMorphing()),
    "elastic": BoundaryMorphing(ElasticMorphing()),
    "radial-basis": BoundaryMorphing(RadialBasisMorphing()),
    "faces": FacesMorphing(HarmonicMorphing()),
    "faces-elastic": FacesMorphing(ElasticMorphing()),
    "faces-radial-basis": FacesMorphing(RadialBasisMorphing(steps=5)),
    "given": GivenMorphing(),
    "same-cells": SameCells(),
}

_STAGES: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (DiscMorphing, BoundaryMorphing, FacesMorphing, GivenMorphing, SameCells)
}
_INTERIORS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (HarmonicMorphing, ElasticMorphing, RadialBasisMorphing)
}


def named_morphing(name: str, mesh: Mesh) -> Morphing:
    """The morphing of a name; "auto" chooses by the first mesh of a family.

    Surfaces that are discs are flattened, plane parts with holes go to a reference by their boundaries, solids by
    their named faces; where there are holes the inside follows by radial basis functions, for harmonic maps fold the
    cells around a hole that grows to twice its size.

    Raises
    ------
    LearnerError
        An unknown name.

    Examples
    --------
    >>> type(named_morphing("auto", Mesh([[0, 0], [1, 0], [0, 1]], {"triangle": [[0, 1, 2]]}))).__name__
    'DiscMorphing'
    """
    if name == "auto":
        name = _fitting(mesh)
    if name not in MORPHINGS:
        raise LearnerError(f"morphing {name!r}: expected auto, {', '.join(MORPHINGS)}.")
    return MORPHINGS[name]


def _fitting(mesh: Mesh) -> str:
    from meshes.morphing.surfaces import surface

    if mesh.dimension == 3:
        return "faces-radial-basis" if _has_holed_faces(mesh) else "faces"
    if list(mesh.blocks()) == ["triangle"] and len(surface(mesh).loops) == 1:
        return "disc"
    return "radial-basis"


def _has_holed_faces(mesh: Mesh) -> bool:
    try:
        return any(len(face.rims) > 1 for face in named_faces(mesh, tuple(mesh.facet_sets), ()).values())
    except (MeshError, MorphingError):  # the morphing says what is wrong
        return False


def encode_morphing(morphing: Morphing) -> dict[str, Any]:
    """A morphing as JSON-ready values.

    Raises
    ------
    LearnerError
        A morphing of another package, or with a kernel of your own: it cannot be rebuilt from a file.
    """
    kind = type(morphing).__name__
    if kind not in _STAGES or type(morphing) is not _STAGES[kind]:
        raise LearnerError(f"a morphing of type {kind} cannot be saved: known are {', '.join(_STAGES)}.")
    values = {f.name: getattr(morphing, f.name) for f in dataclasses.fields(morphing)}  # type: ignore[arg-type]
    interior = values.get("interior")
    if interior is not None:
        settings = {f.name: getattr(interior, f.name) for f in dataclasses.fields(interior)}
        if settings.pop("kernel", None) is not None:
            raise LearnerError("a radial basis morphing with its own kernel cannot be saved: leave the kernel out.")
        values["interior"] = {"type": type(interior).__name__, **settings}
    return {"type": kind, **values}


def decode_morphing(values: dict[str, Any]) -> Morphing:
    """The morphing that `encode_morphing` described.

    Raises
    ------
    LearnerError
        An unknown type.

    Examples
    --------
    >>> decode_morphing(encode_morphing(MORPHINGS["elastic"])) == MORPHINGS["elastic"]
    True
    """
    settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k != "type"}
    kind = _STAGES.get(values.get("type", ""))
    if kind is None:
        raise LearnerError(f"a morphing of type {values.get('type')!r}: known are {', '.join(_STAGES)}.")
    inner = settings.get("interior")
    if inner is not None:
        if inner.get("type") not in _INTERIORS:
            raise LearnerError(f"an inner morphing of type {inner.get('type')!r}: known are {', '.join(_INTERIORS)}.")
        settings["interior"] = _INTERIORS[inner["type"]](**{k: v for k, v in inner.items() if k != "type"})
    morphing: Morphing = kind(**settings)
    return morphing
