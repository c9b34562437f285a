"""The plain data that kernels work on: links and taps of grid operators, grid transfers, a multigrid hierarchy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from types import EllipsisType
from typing import Any

import torch
from torch import Tensor

from solvers.kernels.nesting import AxisTransfer

__all__ = ["Interpolation", "Level", "Levels", "Links", "Smoothing", "Taps", "repeating", "windows"]

Window = tuple[EllipsisType | slice, ...]


@dataclass(frozen=True)
class Taps:
    """A stencil: y(i) = Σ_q sign_q · c_q(j) · x(i + shift_q), where j is i, or i + shift_q if `moved` says so.

    The coefficients c_q = ``data[:, part_q]`` are given separately, ``(batch, parts, *grid)``. What lies outside the
    grid is left out, or wraps around along a periodic axis.
    """

    shift: tuple[tuple[int, ...], ...]
    part: tuple[int, ...]
    sign: tuple[float, ...]
    moved: tuple[bool, ...]
    periodic: tuple[bool, ...]

    @staticmethod
    def forward(offsets: Sequence[tuple[int, ...]], periodic: Sequence[bool]) -> Taps:
        """y(i) = Σ_q c_q(i) x(i + o_q)."""
        count = len(offsets)
        return Taps(tuple(offsets), tuple(range(count)), (1.0,) * count, (False,) * count, tuple(periodic))

    @staticmethod
    def adjoint(offsets: Sequence[tuple[int, ...]], periodic: Sequence[bool]) -> Taps:
        """The transpose: y(i) = Σ_q c_q(i − o_q) x(i − o_q)."""
        count, back = len(offsets), tuple(tuple(-step for step in offset) for offset in offsets)
        return Taps(back, tuple(range(count)), (1.0,) * count, (True,) * count, tuple(periodic))

    @staticmethod
    def of_links(d: int) -> Taps:
        """The operator of a `Links` in d dimensions, with its data as the coefficients."""
        unit = [tuple(int(j == k) for j in range(d)) for k in range(d)]
        there = tuple(step for e in unit for step in (e, tuple(-s for s in e)))
        part = (d, *(k for k in range(d) for _ in range(2)))
        return Taps(((0,) * d, *there), part, (1.0,) + (-1.0,) * 2 * d, (False,) + (False, True) * d, (True,) * d)


@dataclass(frozen=True)
class Links:
    """A symmetric (2d+1)-point operator: (A u)ᵢ = diagonalᵢ uᵢ − Σ_k (cₖ(i) u(i + eₖ) + cₖ(i − eₖ) u(i − eₖ)).

    `data` is ``(batch, d + 2, *grid)``: the links c_0 … c_{d−1} to the next point of each axis, the diagonal, and its
    inverse (0 where the diagonal is 0). Indices wrap around; the last link of an axis is 0 unless it is periodic.
    """

    data: Tensor

    @staticmethod
    def build(upper: Sequence[Tensor], diagonal: Tensor) -> Links:
        """From tensors ``(*batch, *grid)``; the batch is flattened."""
        grid = diagonal.shape[-len(upper) :]
        inverse = torch.where(diagonal != 0, 1 / diagonal, 0)
        data = torch.stack([*upper, diagonal, inverse], dim=-len(grid) - 1)
        return Links(data.reshape(-1, len(upper) + 2, *grid))

    @property
    def grid(self) -> tuple[int, ...]:
        return tuple(self.data.shape[2:])

    def matching(self, own: torch.Size, wanted: torch.Size) -> Links:
        """Links whose batch, repeated, runs along the flattened batch `wanted`; `own` is its own batch."""
        if own == wanted[len(wanted) - len(own) :] or own.numel() == 1:
            return self
        return Links(repeating(self.data.reshape(*own, *self.data.shape[1:]), len(own), wanted))


def repeating(data: Tensor, batch_ndim: int, wanted: torch.Size) -> Tensor:
    """Data ``(*own, …)`` with its batch flattened to k, so that repeating k runs along the flattened batch `wanted`."""
    own, rest = data.shape[:batch_ndim], data.shape[batch_ndim:]
    if own != wanted[len(wanted) - len(own) :] and own.numel() != 1:
        data, own = data.expand(*wanted, *rest), wanted
    return data.reshape(own.numel(), *rest)


def windows(grid: Sequence[int], shift: Sequence[int], periodic: Sequence[bool]) -> Iterator[tuple[Window, Window]]:
    """Pairs of windows (here, there) with there = here + shift, which together cover all points that have one."""
    axes = [_axis_windows(n, step, wraps) for n, step, wraps in zip(grid, shift, periodic, strict=True)]
    for pairs in product(*axes):
        yield (..., *(here for here, _ in pairs)), (..., *(there for _, there in pairs))


def _axis_windows(n: int, step: int, wraps: bool) -> list[tuple[slice, slice]]:
    shifts = [step] if not wraps else [step % n, step % n - n]
    pairs = []
    for shift in shifts:
        low, high = max(0, -shift), min(n, n - shift)
        if low < high:
            pairs.append((slice(low, high), slice(low + shift, high + shift)))
    return pairs


@dataclass(frozen=True)
class Interpolation:
    """Along one axis: fine(i) = (1 − w(i)) coarse(parent(i)) + w(i) coarse(other(i)), zero outside of the coarse grid.

    Cells: the parent of i is ⌊i/2⌋, the other its neighbour on i's side. Vertices: coarse vertices are the odd ones,
    with w = 0, and an even one lies between the parent before and the other after it.
    `weight` is ``(batch, *grid)`` on the grid that is finer along `axis`; `coarse` the number of points there.
    """

    weight: Tensor
    axis: int
    coarse: int
    alignment: str
    periodic: bool

    @property
    def grid(self) -> tuple[int, ...]:
        """The finer grid."""
        return tuple(self.weight.shape[1:])

    @cached_property
    def relatives(self) -> tuple[Tensor, Tensor]:
        """Index of parent and other of every fine index; `coarse` for outside."""
        m, fine = self.coarse, torch.arange(self.grid[self.axis], device=self.weight.device)
        if self.alignment == "cell":
            parent = fine // 2
            other = parent + 2 * (fine % 2) - 1
        else:
            parent, other = (fine - 1) // 2, fine // 2
        if self.periodic:
            return parent % m, other % m
        return torch.where(parent < 0, m, parent), torch.where((other < 0) | (other > m), m, other)


@dataclass(frozen=True)
class Smoothing:
    """`pre` sweeps before, `post` after the coarse correction; red-black Gauss-Seidel if `omega` is None, or Jacobi."""

    pre: int
    post: int
    omega: float | None


@dataclass(frozen=True)
class Level:
    """One grid: its links and the transfers to the next coarser one (none on the coarsest).

    `steps` carry corrections, one axis after the other from fine to coarse; `source` and `cubic`, one for each axis,
    the right-hand sides and first guesses of nested iteration.
    """

    links: Links
    steps: tuple[Interpolation, ...] = ()
    source: tuple[AxisTransfer, ...] = ()
    cubic: tuple[AxisTransfer, ...] = ()


@dataclass(frozen=True)
class Levels:
    """A hierarchy from fine to coarse; the coarsest is solved by ``coarse_inverse (batch, n, n)``.

    `prepared` holds what a backend derives from it (packed buffers), by backend name.
    """

    levels: tuple[Level, ...]
    coarse_inverse: Tensor
    smoothing: Smoothing
    prepared: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def prepare(self, backend: str, build: Callable[[Levels], Any]) -> Any:
        if backend not in self.prepared:
            self.prepared[backend] = build(self)
        return self.prepared[backend]
