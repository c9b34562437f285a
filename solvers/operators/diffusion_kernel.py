"""The kernel of a diffusion operator: constants on every connected part of its grid that nothing holds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

__all__ = ["DiffusionKernel"]


class DiffusionKernel:
    """The parts of the grid that links join, and which of them no Dirichlet face and no reaction holds.

    Without walls (links of zero between cells) there is one part a system. A cell without any link is a part of its
    own, where a vector of the range is zero.

    Parameters
    ----------
    links
        Links to the next point of each axis, ``(*batch, *grid)``; those of the last point are zero unless the axis is
        periodic.
    held
        Points with a Dirichlet face or a reaction, ``(*batch, *grid)``.
    """

    def __init__(self, links: Sequence[Tensor], held: Tensor, periodic: Sequence[bool]) -> None:
        d, grid = len(links), held.shape[held.ndim - len(links) :]
        batch, n = held.shape[: held.ndim - d], grid.numel()
        self._size = n
        self.joined, self.held = joined, held = [link != 0 for link in links], held
        inner = [
            bool((flag if wraps else flag.narrow(k - d, 0, max(grid[k] - 1, 0))).all())
            for k, (flag, wraps) in enumerate(zip(joined, periodic, strict=True))
            if grid[k] > 1
        ]
        self.parts: Tensor | None = None
        if all(inner):
            free = ~held.reshape(*batch, n).any(-1)
            #: The systems with a kernel, ``(*batch)``.
            self.is_singular = free
        else:
            self.parts = _labels(joined, periodic, batch, grid)
            count = int(self.parts.max()) + 1 if self.parts.numel() else 0
            flat = self.parts.reshape(-1)
            sizes = torch.zeros(count, dtype=torch.float64, device=held.device).index_add_(
                0, flat, torch.ones_like(flat, dtype=torch.float64)
            )
            fixed = torch.zeros(count, dtype=torch.float64, device=held.device).index_add_(
                0, flat, held.reshape(-1).to(torch.float64)
            )
            #: 1 / number of points of a part that nothing holds, 0 for others.
            self.weight = torch.where(fixed == 0, 1 / sizes, 0)
            self.is_singular = (self.weight[self.parts] > 0).any(-1).reshape(batch)
        self.exists = bool(self.is_singular.any())

    @property
    def labels(self) -> Tensor:
        """Number of the part of every point, counted over the whole batch, ``(*batch, n)``."""
        batch, n = self.is_singular.shape, self._size
        if self.parts is not None:
            return self.parts.reshape(*batch, n)
        return torch.arange(batch.numel(), device=self.held.device).reshape(*batch, 1).expand(*batch, n)

    @property
    def is_floating(self) -> Tensor:
        """True at the points of parts that nothing holds, where vectors of the range sum to zero, ``(*batch, n)``."""
        if self.parts is not None:
            return (self.weight > 0)[self.labels]
        return self.is_singular.unsqueeze(-1).expand(*self.is_singular.shape, self._size)

    def is_of(self, links: Sequence[Tensor], held: Tensor) -> bool:
        """Whether these links and held points have the same kernel, because they vanish at the same places."""
        return (
            self.held.device == held.device
            and torch.equal(self.held, held)
            and all(torch.equal(known, link != 0) for known, link in zip(self.joined, links, strict=True))
        )

    def project(self, x: Tensor) -> Tensor:
        """X ``(*batch, n)`` without its component in the kernel; x itself if there is none."""
        if not self.exists:
            return x
        if self.parts is None:
            return x - torch.where(self.is_singular.unsqueeze(-1), x.mean(-1, keepdim=True), 0)
        shape = torch.broadcast_shapes(x.shape, (*self.is_singular.shape, 1))
        flat, labels = x.expand(shape).reshape(-1, self.parts.numel()), self.parts.reshape(-1)
        sums = x.new_zeros(flat.shape[0], self.weight.numel()).index_add(1, labels, flat)
        means = sums * self.weight.to(x.dtype)
        return (flat - means.index_select(1, labels)).reshape(shape)


def _labels(joined: Sequence[Tensor], periodic: Sequence[bool], batch: torch.Size, grid: torch.Size) -> Tensor:
    """Number of the part of every point, ``(batch, n)``, counted over all systems: one graph for the whole batch."""
    import scipy.sparse

    count, n = batch.numel(), grid.numel()
    index = torch.arange(count * n).reshape(count, *grid)
    ends = []
    for k, (flags, wraps) in enumerate(zip(joined, periodic, strict=True)):
        if grid[k] == 1:
            continue
        kept = flags.expand(*batch, *grid).reshape(count, *grid).cpu()
        there = index.roll(-1, k + 1)
        if not wraps:
            length = grid[k] - 1
            kept, here, there = (t.narrow(k + 1, 0, length) for t in (kept, index, there))
        else:
            here = index
        ends.append(torch.stack([here[kept], there[kept]]))
    row, col = torch.cat(ends, 1).numpy()
    graph = scipy.sparse.coo_array((np.ones(len(row), dtype=bool), (row, col)), shape=(count * n,) * 2)
    _, labels = scipy.sparse.csgraph.connected_components(graph, directed=False)
    return torch.from_numpy(labels).long().to(joined[0].device).reshape(count, n)
