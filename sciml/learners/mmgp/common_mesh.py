"""The common mesh: which sample of a family lends its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from meshes.errors import MeshError, MorphingError
from meshes.mesh import Mesh
from sciml.errors import LearnerError
from sciml.learners.mmgp.alignment import Frame
from sciml.learners.mmgp.carrying import Carrier
from sciml.learners.mmgp.faults import in_sample
from sciml.learners.mmgp.inner_products import mass_product
from sciml.learners.mmgp.morphed import Morphed, Morphing
from sciml.learners.mmgp.parts import PartFamily
from sciml.learners.mmgp.refinement import refined
from sciml.learners.mmgp.transfer import interpolation_between, transfer

__all__ = ["carrier_of", "central_sample"]

#: So many samples, evenly spread over the training set, are compared.
_CANDIDATES = 24


def central_sample(meshes: Sequence[Mesh], morphing: Morphing) -> int:
    """The number of the sample whose shape is nearest to the mean shape, of a few that stand for all.

    They are compared on the mesh of the first that serves; ones that cannot be morphed onto it are passed over (the
    pass over all samples will name them).

    Raises
    ------
    MorphingError
        None of the first samples can be morphed.
    """
    numbers = np.unique(np.linspace(0, len(meshes) - 1, min(_CANDIDATES, len(meshes))).astype(int)).tolist()
    first = numbers[0]
    with in_sample(first):
        common = morphing.reference(meshes[first])
    product = mass_product(common.mesh)
    shapes, served, refused = [], [], list[tuple[int, MeshError | MorphingError]]()
    for number in numbers:
        try:
            shapes.append(_shape(meshes[number], morphing, common))
            served.append(number)
        except (MeshError, MorphingError) as error:
            refused.append((number, error))
    if not shapes:
        number, reason = refused[0]
        with in_sample(number):
            raise reason
    table = torch.stack(shapes)
    table = table - table.mean(dim=0)
    return int(served[int(product.squared_norm(table).argmin())])


def _shape(mesh: Mesh, morphing: Morphing, common: Morphed) -> torch.Tensor:
    """Coordinates on the common mesh about their own centre, so that a part may lie anywhere."""
    places = torch.from_numpy(transfer(morphing.apply(mesh, common), common).to_common @ mesh.points.astype(np.float64))
    return (places - places.mean(dim=0)).mT.reshape(-1)


def carrier_of(mesh: Mesh, morphing: Morphing, family: PartFamily, refinements: int, align: bool) -> Carrier:
    """What carries a family onto the mesh of one of its samples.

    Parameters
    ----------
    refinements
        How many times the edges of that mesh are halved.
    align
        Whether parts are turned onto the sample before their shapes are compared.

    Raises
    ------
    LearnerError
        Parts are to be turned, but a vector field has not as many components as points have coordinates.
    """
    reference = morphing.reference(mesh)
    carrier = Carrier(morphing, reference, refined(reference, refinements))
    if not align:
        return carrier
    odd = [vector for vector in family.vectors if len(vector) != mesh.space_dimension]
    if odd:
        raise LearnerError(f"vectors {odd}: expected {mesh.space_dimension} components each, as points have.")
    places = torch.from_numpy(interpolation_between(reference, carrier.common) @ mesh.points.astype(np.float64))
    weights = mass_product(carrier.common.mesh).apply(torch.ones(len(places), dtype=torch.float64))
    return replace(carrier, frame=Frame(places, weights))
