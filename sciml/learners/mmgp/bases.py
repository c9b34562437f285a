"""Modes of the shape and of every block of fields, in one inner product."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from meshes.mesh import Mesh
from sciml.learners.mmgp.config import MMGPConfig
from sciml.learners.mmgp.inner_products import InnerProduct, euclidean, mass_product
from sciml.learners.mmgp.reduction import Decomposition, Reduction, decompose, mean_of
from sciml.learners.mmgp.regression import Columns
from sciml.learners.mmgp.snapshots import JoinedSnapshots
from sciml.learners.mmgp.transport import Transported

__all__ = ["Bases", "decompose_all", "inner_product"]


@dataclass(frozen=True)
class Bases:
    """Decompositions of the coordinates and of the fields.

    Attributes
    ----------
    product
        Of fields on the common mesh.
    shape
        Coordinates, component by component.
    blocks
        Name of each block of fields to its decomposition, one field after the other.
    members
        Name of each block to the keys of its fields.
    """

    product: InnerProduct
    shape: Decomposition
    blocks: dict[str, Decomposition]
    members: Mapping[str, tuple[str, ...]]

    def columns(self, scalars: tuple[str, ...]) -> Columns:
        """Columns of the regression's targets."""
        ranks = {block: found.reduction.rank for block, found in self.blocks.items()}
        return Columns(ranks, scalars, {key: block for block, keys in self.members.items() for key in keys})

    def reduction(self, key: str) -> Reduction:
        """Mean and modes of one field."""
        block = next(block for block, keys in self.members.items() if key in keys)
        keys = self.members[block]
        whole = self.blocks[block].reduction
        return whole if len(keys) == 1 else whole.part(keys.index(key), len(keys))


def decompose_all(
    carried: Transported, common: Mesh, config: MMGPConfig, members: Mapping[str, tuple[str, ...]]
) -> Bases:
    """Decompose everything that was carried to the common mesh, the fields block by block."""
    places = mean_of(carried.shape).reshape(-1, len(common.points)).mT
    product = inner_product(config.inner_product, common, common.with_points(places.numpy()))
    shape = decompose(carried.shape, product, config.shape_rule)
    tables = {block: JoinedSnapshots([carried.fields[key] for key in keys]) for block, keys in members.items()}
    blocks = {block: decompose(table, product, config.field_rule) for block, table in tables.items()}
    return Bases(product, shape, blocks, members)


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
