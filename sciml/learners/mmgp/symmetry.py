"""Parts that may be mirrored: a family in which the mirror image of every sample is a sample, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from meshes.errors import MeshError
from meshes.mesh import Mesh
from pde_benchmarks.mesh_steps import split_step

__all__ = ["Mirror", "WithMirrorImages"]

Array = NDArray[Any]

#: Node orders of mirrored cells, which have the orientation of the others again.
_ORDERS: dict[str, tuple[int, ...]] = {
    "vertex": (0,),
    "line": (1, 0),
    "triangle": (0, 2, 1),
    "quad": (0, 3, 2, 1),
    "tetra": (0, 2, 1, 3),
    "hexahedron": (0, 3, 2, 1, 4, 7, 6, 5),
    "wedge": (0, 2, 1, 3, 5, 4),
}


@dataclass(frozen=True)
class Mirror:
    """x_axis → −x_axis, and what it does to fields, scalars and names.

    Parameters
    ----------
    axis
        0, 1 or 2.
    odd
        Fields and scalars that change their sign, such as the displacement along the axis; "u" stands for all its
        steps.
    swapped
        Pairs of names of node and facet sets that change places, such as (("left", "right"),).

    Examples
    --------
    >>> mesh = Mesh([[0, 0], [2, 0], [0, 1]], {"triangle": [[0, 1, 2]]}, {"u": [1.0, 2.0, 3.0]})
    >>> image = Mirror(0, odd=("u",)).image(mesh)
    >>> image.points[1].tolist(), image.cells["triangle"].tolist(), image.point_data["u"].tolist()
    ([-2.0, 0.0], [[0, 2, 1]], [-1.0, -2.0, -3.0])
    """

    axis: int = 0
    odd: tuple[str, ...] = ()
    swapped: tuple[tuple[str, str], ...] = ()

    def image(self, mesh: Mesh) -> Mesh:
        """The mirror image; cell data are left out.

        Raises
        ------
        MeshError
            An axis that the mesh does not have, or cells of a kind that is not mirrored.
        """
        if not 0 <= self.axis < mesh.space_dimension:
            raise MeshError(f"mirror along axis {self.axis}: the mesh has axes 0 to {mesh.space_dimension - 1}.")
        points = np.array(mesh.points)
        points[:, self.axis] *= -1
        other = {a: b for pair in self.swapped for a, b in (pair, pair[::-1])}
        return Mesh(
            points,
            {kind: _mirrored(kind, nodes) for kind, nodes in mesh.cells.items()},
            {name: -values if self._is_odd(name) else values for name, values in mesh.point_data.items()},
            global_data={n: -values if self._is_odd(n) else values for n, values in mesh.global_data.items()},
            node_sets={other.get(name, name): nodes for name, nodes in mesh.node_sets.items()},
            facet_sets={
                other.get(name, name): {kind: _mirrored(kind, nodes) for kind, nodes in blocks.items()}
                for name, blocks in mesh.facet_sets.items()
            },
        )

    def _is_odd(self, name: str) -> bool:
        return name in self.odd or (split_step(name) or (name,))[0] in self.odd


@dataclass(frozen=True)
class WithMirrorImages(Sequence[Mesh]):
    """The samples, then their mirror images, made when they are asked for."""

    samples: Sequence[Mesh]
    mirror: Mirror

    def __len__(self) -> int:
        return 2 * len(self.samples)

    @overload
    def __getitem__(self, index: int) -> Mesh: ...

    @overload
    def __getitem__(self, index: slice) -> list[Mesh]: ...

    def __getitem__(self, index: int | slice) -> Mesh | list[Mesh]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}.")
        turn, number = divmod(index % len(self), len(self.samples))
        return self.mirror.image(self.samples[number]) if turn else self.samples[number]


def _mirrored(kind: str, nodes: Array) -> Array:
    if kind not in _ORDERS:
        raise MeshError(f"{kind} cells are not mirrored: expected {', '.join(_ORDERS)}.")
    return nodes[:, list(_ORDERS[kind])]
