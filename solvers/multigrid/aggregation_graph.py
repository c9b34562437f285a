"""A diffusion operator as a weighted graph of cells: links over faces, mass in cells; and its sums over blocks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from solvers.errors import ShapeError, TagError
from solvers.kernels.aggregation import block_sum, neighbours
from solvers.operators.diffusion import DiffusionOperator
from solvers.operators.linear_operator import LinearOperator

__all__ = ["CellGraph"]


@dataclass(frozen=True, eq=False)
class CellGraph:
    """(A u)ᵢ = Dᵢ uᵢ − Σⱼ kᵢⱼ uⱼ with Dᵢ = qᵢ + Σⱼ kᵢⱼ: links k ≥ 0 between neighbours and mass q ≥ 0 in cells.

    Parameters
    ----------
    links
        kᵢⱼ to the next cell of every axis, ``(batch, d, *grid)``; zero for the last cell of the axis.
    mass
        qᵢ, ``(batch, *grid)``: the faces to the value zero, and the reaction.

    Examples
    --------
    >>> import torch
    >>> graph = CellGraph.of(DiffusionOperator([torch.tensor([2.0, 1.0, 1.0, 1.0, 0.0])]))
    >>> graph.links, graph.mass
    (tensor([[[1., 1., 1., 0.]]]), tensor([[2., 0., 0., 0.]]))
    >>> graph.coarse().links, graph.coarse().mass
    (tensor([[[1., 0.]]]), tensor([[2., 0.]]))
    """

    links: Tensor
    mass: Tensor

    @classmethod
    def of(cls, A: LinearOperator) -> CellGraph:
        """The graph of a diffusion operator, without gradient; batch axes are flattened to one.

        Raises
        ------
        TagError
            Another operator.
        ShapeError
            A periodic axis.
        """
        if not isinstance(A, DiffusionOperator):
            raise TagError(f"{type(A).__name__}: blocks of cells need a DiffusionOperator (finite_volume_operator)")
        if any(A.periodic):
            raise ShapeError(f"periodic axes {A.periodic}: blocks of cells end at a boundary; use GeometricMultigrid")
        d, shape = len(A.grid), (*A.batch_shape, *A.grid)
        with torch.no_grad():
            upper = A.links.data[:, :d]
            mass = torch.zeros(shape, dtype=A.dtype, device=A.device)
            for k, face in enumerate(A.faces):
                for side in (0, -1):
                    mass.select(k - d, side).add_(face.detach().select(k - d, side))
            if A.reaction is not None:
                mass += A.reaction.detach()
        return cls(upper, mass.reshape(-1, *A.grid))

    @property
    def grid(self) -> tuple[int, ...]:
        return tuple(self.mass.shape[1:])

    @cached_property
    def diagonal(self) -> Tensor:
        """D, ``(batch, *grid)``."""
        total = self.mass
        for k in range(len(self.grid)):
            link = self.links.select(1, k)
            total = total + link + link.roll(1, k + 1)
        return total

    def apply(self, u: Tensor) -> Tensor:
        """A u for fields ``(batch, *grid)``; differentiable."""
        return self.diagonal * u - neighbours(self.links, u)

    def coarse(self) -> CellGraph:
        """The graph of the blocks of two cells an axis: the sums of the links between them, and of their mass."""
        links = [_joined(self.links.select(1, k), k + 1) for k in range(len(self.grid))]
        return CellGraph(torch.stack(links, 1), block_sum(self.mass))

    def scaled(self, link: Tensor, mass: Tensor) -> CellGraph:
        """The graph with its links and mass multiplied by factors that broadcast against them."""
        return CellGraph(link * self.links, mass * self.mass)

    def to(self, dtype: torch.dtype) -> CellGraph:
        """In another precision."""
        return CellGraph(self.links.to(dtype), self.mass.to(dtype))


def _joined(link: Tensor, axis: int) -> Tensor:
    """The links along `axis` that leave a block, summed over its common face with the next."""
    n = link.shape[axis]
    if n > 1:
        if n % 2:
            link = torch.cat([link, torch.zeros_like(link.narrow(axis, 0, 1))], axis)
        link = link.unflatten(axis, (-1, 2)).select(axis + 1, 1)
    return block_sum(link, skip=axis)
