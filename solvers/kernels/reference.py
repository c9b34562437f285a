"""The kernels in plain torch, on any device: the specification that every other backend must equal."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from solvers.kernels.aggregation import AggregationLevels, aggregation_cycle
from solvers.kernels.structures import Interpolation, Levels, Links, Smoothing, Taps, windows
from solvers.kernels.triangular import Triangles, found_pivots, substituted

__all__ = ["Reference"]


class Reference:
    """Fields are ``(batch, *grid)``; the batch of what acts on them is repeated to the batch of the field.

    A backend is a subclass that overrides what it does faster: the cycles are made of the other functions.
    """

    #: Whether whole runs of conjugate gradients are compiled.
    has_conjugate_gradients: bool = False

    def stencil(self, taps: Taps, data: Tensor, x: Tensor) -> Tensor:
        """The product with the stencil that has the coefficients ``data (batch, parts, *grid)``."""
        y = torch.zeros_like(x)
        parts = _repeat(data, x.shape[0])
        for shift, part, sign, moved in zip(taps.shift, taps.part, taps.sign, taps.moved, strict=True):
            c = parts.select(1, part)
            for here, there in windows(x.shape[1:], shift, taps.periodic):
                y[here].addcmul_(c[there if moved else here], x[there], value=sign)
        return y

    def multiplies(self, matrices: int) -> bool:
        """Whether `csr_product` beats torch's own product with a batch of so many different sparse matrices."""
        return False

    def csr_product(self, crow: Tensor, col: Tensor, values: Tensor, x: Tensor) -> Tensor:
        """A x for sparse matrices of one pattern and values ``(k, nnz)``, repeated along vectors ``(batch, n)``."""
        row = torch.repeat_interleave(torch.arange(crow.numel() - 1, device=x.device), crow.diff())
        terms = _repeat(values, x.shape[0]) * x[:, col]
        return x.new_zeros(x.shape[0], crow.numel() - 1).index_add_(1, row, terms)

    def pivots(self, triangles: Triangles, values: Tensor, relaxation: float, smallest: float) -> Tensor:
        """Pivots ``(k, n)`` of incomplete factors whose other entries are those of the matrices ``values (k, nnz)``."""
        return found_pivots(triangles, values, relaxation, smallest)

    def substitute(self, triangles: Triangles, values: Tensor, over_pivots: Tensor, r: Tensor) -> Tensor:
        """(E + U)⁻¹ E (E + L)⁻¹ r for ``r (batch, n)``."""
        return substituted(triangles, values, over_pivots, r)

    def apply(self, links: Links, u: Tensor) -> Tensor:
        """A u."""
        return _part(links, u, -2) * u - _neighbours(links, u)

    def residual(self, links: Links, b: Tensor, u: Tensor) -> Tensor:
        """b − A u."""
        return b - self.apply(links, u)

    def jacobi(self, links: Links, b: Tensor, u: Tensor, omega: float) -> Tensor:
        """One damped Jacobi sweep: u + ω D⁻¹ (b − A u)."""
        return u + omega * _part(links, u, -1) * self.residual(links, b, u)

    def red_black(self, links: Links, b: Tensor, u: Tensor, reverse: bool = False) -> Tensor:
        """One Gauss-Seidel sweep, first the points with even index sum, then the odd ones (`reverse`: odd first)."""
        axes = [torch.arange(n, device=u.device) for n in links.grid]
        colour = torch.stack(torch.meshgrid(*axes, indexing="ij")).sum(0) % 2
        for current in (1, 0) if reverse else (0, 1):
            u = torch.where(colour == current, (b + _neighbours(links, u)) * _part(links, u, -1), u)
        return u

    def prolong(self, steps: Sequence[Interpolation], coarse: Tensor) -> Tensor:
        """Interpolate along one axis after the other, from the coarsest grid to the finest."""
        for step in reversed(steps):
            axis, w = step.axis + 1, _repeat(step.weight, coarse.shape[0])
            outside = torch.zeros_like(coarse.narrow(axis, 0, 1))
            padded = torch.cat([coarse, outside], axis)
            parent, other = (padded.index_select(axis, index) for index in step.relatives)
            coarse = (1 - w) * parent + w * other
        return coarse

    def restrict(self, steps: Sequence[Interpolation], fine: Tensor) -> Tensor:
        """The transpose of `prolong`."""
        for step in steps:
            axis, w = step.axis + 1, _repeat(step.weight, fine.shape[0])
            shape = [step.coarse + 1 if k == axis else n for k, n in enumerate(fine.shape)]
            parent, other = step.relatives
            sums = fine.new_zeros(shape).index_add(axis, parent, (1 - w) * fine).index_add(axis, other, w * fine)
            fine = sums.narrow(axis, 0, step.coarse)
        return fine

    def correct(self, levels: Levels, r: Tensor, start: int = 0) -> Tensor:
        """One V-cycle from zero for A z = r on level `start`: the multigrid preconditioner."""
        if start == len(levels.levels) - 1:
            return _solve_coarsest(levels, r)
        level = levels.levels[start]
        z = self.smooth(level.links, levels.smoothing, r, torch.zeros_like(r), before=True)
        coarse = self.restrict(level.steps, self.residual(level.links, r, z))
        z = z + self.prolong(level.steps, self.correct(levels, coarse, start + 1))
        return self.smooth(level.links, levels.smoothing, r, z, before=False)

    def full_multigrid(self, levels: Levels, b: Tensor, cycles: int) -> Tensor:
        """Nested iteration: the coarsest solution, interpolated cubically, `cycles` V-cycles on every level."""
        rhs = [b]
        for level in levels.levels[:-1]:
            rhs.append(_along_axes([transfer.matrix.mT for transfer in level.source], rhs[-1]))
        u = _solve_coarsest(levels, rhs[-1])
        for index in reversed(range(len(rhs) - 1)):
            level = levels.levels[index]
            u = _along_axes([transfer.matrix for transfer in level.cubic], u)
            for _ in range(cycles):
                u = u + self.correct(levels, self.residual(level.links, rhs[index], u), index)
        return u

    def aggregation_cycle(self, levels: AggregationLevels, r: Tensor) -> Tensor:
        """One V-cycle over blocks of cells from zero."""
        return aggregation_cycle(levels, r)

    def smooth(self, links: Links, smoothing: Smoothing, b: Tensor, u: Tensor, before: bool) -> Tensor:
        """The sweeps before, or (adjoint: in reversed colour order) after the coarse correction."""
        for _ in range(smoothing.pre if before else smoothing.post):
            if smoothing.omega is None:
                u = self.red_black(links, b, u, reverse=not before)
            else:
                u = self.jacobi(links, b, u, smoothing.omega)
        return u


def _solve_coarsest(levels: Levels, r: Tensor) -> Tensor:
    inverse = _repeat(levels.coarse_inverse, r.shape[0])
    return (inverse @ r.reshape(r.shape[0], -1, 1)).reshape(r.shape)


def _along_axes(matrices: Sequence[Tensor], field: Tensor) -> Tensor:
    """Each matrix ``(out, in)`` along its axis."""
    for axis, matrix in enumerate(matrices, start=1):
        field = torch.tensordot(field, matrix.to(field), dims=([axis], [1])).movedim(-1, axis)
    return field


def _neighbours(links: Links, u: Tensor) -> Tensor:
    total = torch.zeros_like(u)
    for k in range(len(links.grid)):
        axis, c = k - len(links.grid), _part(links, u, k)
        total = total + c * u.roll(-1, axis) + (c * u).roll(1, axis)
    return total


def _part(links: Links, u: Tensor, index: int) -> Tensor:
    return _repeat(links.data.select(1, index), u.shape[0])


def _repeat(tensor: Tensor, batch: int) -> Tensor:
    own = tensor.shape[0]
    return tensor if own in (1, batch) else tensor.repeat(batch // own, *(1,) * (tensor.ndim - 1))
