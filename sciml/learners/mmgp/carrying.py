"""One sample onto the common mesh: morphed, interpolated, turned if wanted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from meshes.mesh import Mesh
from sciml.learners.mmgp.alignment import Frame
from sciml.learners.mmgp.morphed import Morphed, Morphing
from sciml.learners.mmgp.transfer import Transfer, transfer

__all__ = ["Carried", "Carrier"]


@dataclass(frozen=True, eq=False)
class Carried:
    """A mesh seen from the common mesh.

    Attributes
    ----------
    transfer
        Operators from the mesh to the common one and back.
    shape
        Coordinates of the part at the common nodes, component by component, ``(d N,)``.
    rotation
        ``(d, d)`` by which the part was turned; None where parts are not turned.
    """

    transfer: Transfer
    shape: Tensor
    rotation: Tensor | None

    def to_mesh(self, fields: Tensor) -> Tensor:
        """Fields ``(*batch, N)`` at the nodes of the mesh, ``(*batch, n)``."""
        flat = fields.reshape(-1, fields.shape[-1]).numpy()
        there = np.ascontiguousarray((self.transfer.to_mesh @ flat.T).T)
        return torch.from_numpy(there).reshape(*fields.shape[:-1], there.shape[1])


@dataclass(frozen=True, eq=False)
class Carrier:
    """Brings samples onto the common mesh.

    Parameters
    ----------
    morphing
        Onto the reference shape, prepared for the family.
    reference
        The sample that the reference shape is from.
    common
        The common mesh: its own, or a refinement of it.
    frame
        Where parts are turned to before their shapes are compared; None: shapes are compared as they lie.
    """

    morphing: Morphing
    reference: Morphed
    common: Morphed
    frame: Frame | None = None

    def carry(self, mesh: Mesh) -> Carried:
        """Morph a mesh and find both operators.

        Raises
        ------
        MeshError, MorphingError
            The mesh cannot be morphed.
        """
        both = transfer(self.morphing.apply(mesh, self.reference), self.common)
        places = torch.from_numpy(both.to_common @ mesh.points.astype(np.float64))
        rotation = None
        if self.frame is not None:
            places, rotation = self.frame.align(places)
        return Carried(both, places.mT.reshape(-1).contiguous(), rotation)
