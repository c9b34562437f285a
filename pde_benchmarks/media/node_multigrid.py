"""Multigrid for diffusion between nodes: on the inner nodes, as those on the boundary are not linked to them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from solvers import DiffusionOperator, GeometricMultigrid, MultigridHierarchy

__all__ = ["node_hierarchy"]


@torch.no_grad()
def node_hierarchy(A: DiffusionOperator) -> MultigridHierarchy:
    """Multigrid on the inner nodes, the inverse diagonal at those on the boundary, for `node_diffusion`'s operators.

    They are block-diagonal in the two. On the inner nodes alone the coarse grids have the boundary, where u vanishes,
    in its true place: for two phases of contrast 2 on 29² nodes a V-cycle contracts by 0.26 instead of 0.5, and one
    full-multigrid pass errs by 0.2 % instead of 9 %, which is what `GeometricMultigrid` reaches on all nodes at once.
    Called for its cycles; as a preconditioner of CG, `GeometricMultigrid` on all nodes has a compiled loop.
    """
    return _NodeHierarchy(A, GeometricMultigrid().setup(_inner_block(A)))


class _NodeHierarchy(MultigridHierarchy):
    """The hierarchy of the inner nodes, applied to vectors over all nodes."""

    def __init__(self, A: DiffusionOperator, inner: MultigridHierarchy) -> None:
        super().__init__(A, inner.operators, inner.data)
        self.inner = inner

    @property
    def H(self) -> MultigridHierarchy:
        """The cycle with pre- and post-smoothing exchanged."""
        return _NodeHierarchy(self.operator, self.inner.H)

    @torch.no_grad()
    def __call__(self, r: Tensor) -> Tensor:
        """One V-cycle from zero."""
        return self._blockwise(r, self.inner)

    @torch.no_grad()
    def full_multigrid(self, b: Tensor, cycles: int = 1) -> Tensor:
        """Nested iteration."""
        return self._blockwise(b, lambda inner: self.inner.full_multigrid(inner, cycles))

    def _blockwise(self, r: Tensor, solve: Callable[[Tensor], Tensor]) -> Tensor:
        grid = self.operator.grid
        z = (r / self.operator.diagonal()).unflatten(-1, grid)
        block = solve(r.unflatten(-1, grid)[..., 1:-1, 1:-1].flatten(-2))
        z[..., 1:-1, 1:-1] = block.unflatten(-1, [n - 2 for n in grid])
        return z.flatten(-2)


def _inner_block(A: DiffusionOperator) -> DiffusionOperator:
    """The block of the inner nodes, its links to the boundary taken out of the reaction and put on the faces.

    Where a node has two such links their sum is known only; it is shared in proportion to the squared mesh widths.
    """
    assert A.reaction is not None
    held = A.reaction[..., 1:-1, 1:-1]
    weights = []
    for axis, count in enumerate(A.grid):
        ends = torch.zeros_like(held)
        for side in (0, -1):
            ends.select(axis - 2, side).fill_((count - 1) ** 2)
        weights.append(ends)
    total = torch.stack(weights).sum(0).clamp(min=1)
    faces = []
    for axis, (face, weight) in enumerate(zip(A.faces, weights, strict=True)):
        dim, across = axis - 2, -1 - axis
        links = face.narrow(across, 1, A.grid[1 - axis] - 2).narrow(dim, 1, A.grid[axis] - 1).clone()
        share = held * weight / total
        for side in (0, -1):
            links.select(dim, side).copy_(share.select(dim, side))
        faces.append(links)
    return DiffusionOperator(faces, alignment="vertex")
