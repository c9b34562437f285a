"""Modes of the shape and of every field, in one inner product."""

from __future__ import annotations

from dataclasses import dataclass

from meshes.mesh import Mesh
from sciml.learners.mmgp.config import MMGPConfig
from sciml.learners.mmgp.inner_products import InnerProduct, euclidean, mass_product
from sciml.learners.mmgp.reduction import Decomposition, decompose, mean_of
from sciml.learners.mmgp.regression import Columns
from sciml.learners.mmgp.transport import Transported

__all__ = ["Bases", "decompose_all", "inner_product"]


@dataclass(frozen=True)
class Bases:
    """Decompositions of the coordinates and of each field."""

    product: InnerProduct
    shape: Decomposition
    fields: dict[str, Decomposition]

    def columns(self, scalars: tuple[str, ...]) -> Columns:
        """Columns of the regression's targets."""
        return Columns({name: found.reduction.rank for name, found in self.fields.items()}, scalars)


def decompose_all(carried: Transported, common: Mesh, config: MMGPConfig) -> Bases:
    """Decompose everything that was carried to the common mesh."""
    places = mean_of(carried.shape).reshape(-1, len(common.points)).mT
    product = inner_product(config.inner_product, common, common.with_points(places.numpy()))
    shape = decompose(carried.shape, product, config.shape_rule)
    return Bases(product, shape, {n: decompose(u, product, config.field_rule) for n, u in carried.fields.items()})


def inner_product(kind: str, common: Mesh, mean_shape: Mesh) -> InnerProduct:
    """The inner product of a name: "mean-shape", "reference" or "nodes".

    Examples
    --------
    >>> flat = Mesh([[0, 0], [1, 0], [0, 1]], {"triangle": [[0, 1, 2]]})
    >>> round(inner_product("mean-shape", flat, flat.with_points(2.0 * flat.points)).total, 9)
    2.0
    """
    if kind == "nodes":
        return euclidean(len(common.points))
    return mass_product(mean_shape if kind == "mean-shape" else common)
