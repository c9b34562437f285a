"""Batches of sparse matrices of different sizes and patterns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Self

import torch
from torch import Tensor

from solvers.errors import DeviceError, DTypeError, ShapeError
from solvers.operators.csr import CSROperator
from solvers.operators.csr_pattern import CSRPattern, row_pointers
from solvers.operators.kept import Kept
from solvers.operators.linear_operator import LinearOperator, closed

__all__ = ["BlockDiagonalOperator"]


class BlockDiagonalOperator(LinearOperator):
    """Square sparse matrices with different patterns and sizes nᵢ, as a batch ``(B,)`` of systems of one size.

    Every system is padded with rows of the identity to the largest size n, so that vectors are ``(*batch, B, n)`` and a
    solver gives each system its own step lengths and status: padding keeps a matrix symmetric and definite, and with
    zeros there (see `pack`) solutions have zeros, too. The product is one with a single sparse matrix, `joined`.

    Parameters
    ----------
    blocks
        Square `CSROperator` without batch axes, of one dtype and device; their values are the differentiable
        parameter, concatenated.
    tags
        What else is known of all blocks; what every block claims is kept.

    Attributes
    ----------
    sizes
        (n₁, …, n_B).

    Raises
    ------
    ShapeError, DTypeError, DeviceError
        A block is not square, has batch axes, or differs in dtype or device.

    Examples
    --------
    >>> import torch
    >>> from solvers import linear_solve
    >>> small, large = (CSROperator.from_dense(2 * torch.eye(n), tags={"spd"}) for n in (2, 3))
    >>> A = BlockDiagonalOperator([small, large])
    >>> x = linear_solve(A, A.pack([torch.ones(2), torch.ones(3)])).value
    >>> [part.tolist() for part in A.unpack(x)]
    [[0.5, 0.5], [0.5, 0.5, 0.5]]
    """

    def __init__(self, blocks: Sequence[CSROperator], tags: Iterable[str] = ()) -> None:
        if not blocks:
            raise ShapeError("no blocks: a BlockDiagonalOperator needs at least one")
        _check(blocks)
        self.patterns = tuple(block.pattern for block in blocks)
        self.sizes = tuple(block.shape[0] for block in blocks)
        self.tags = closed(tags) | frozenset.intersection(*(block.tags for block in blocks))
        pattern, places = _padded(self.patterns, max(self.sizes))
        self._set(torch.cat([block.values for block in blocks]), pattern, places)

    def _set(self, values: Tensor, pattern: CSRPattern, places: Tensor) -> None:
        self.values, self._pattern, self._places, self._kept = values, pattern, places, Kept(values)

    @property
    def joined(self) -> CSROperator:
        """The padded matrices along the diagonal of one ``(B n, B n)`` matrix; differentiable in `values`."""
        padded = self.values.new_ones(self._pattern.col.numel()).index_copy(0, self._places, self.values)
        return CSROperator.from_pattern(self._pattern, padded, self.tags)

    @property
    def blocks(self) -> list[CSROperator]:
        """The matrices one by one, without padding; differentiable in `values`."""
        parts = self.values.split([pattern.col.numel() for pattern in self.patterns])
        return [CSROperator.from_pattern(p, v, self.tags) for p, v in zip(self.patterns, parts, strict=True)]

    def pack(self, vectors: Sequence[Tensor]) -> Tensor:
        """One vector a block, ``(*batch, nᵢ)`` each, as ``(*batch, B, n)`` with zeros for padding; differentiable.

        Raises
        ------
        ShapeError
            Their number or a length is not that of the blocks.
        """
        lengths = tuple(v.shape[-1] if v.ndim else None for v in vectors)
        if lengths != self.sizes:
            raise ShapeError(f"vectors of lengths {lengths}: the blocks have {self.sizes} unknowns")
        n = self.shape[0]
        return torch.stack([torch.nn.functional.pad(v, (0, n - v.shape[-1])) for v in vectors], -2)

    def unpack(self, x: Tensor) -> list[Tensor]:
        """The vectors ``(*batch, nᵢ)`` of the blocks, without padding, from ``(*batch, B, n)``."""
        if x.ndim < 2 or x.shape[-2:] != (len(self.sizes), self.shape[0]):
            raise ShapeError(
                f"vectors {tuple(x.shape)}: expected (*batch, {len(self.sizes)}, {self.shape[0]}), as pack returns"
            )
        return [x[..., i, :size] for i, size in enumerate(self.sizes)]

    @property
    def shape(self) -> tuple[int, int]:
        n = max(self.sizes)
        return n, n

    @property
    def batch_shape(self) -> torch.Size:
        return torch.Size((len(self.sizes),))

    @property
    def contents(self) -> str:
        return f"blocks of {min(self.sizes)} to {max(self.sizes)} unknowns, {self.values.numel()} entries, "

    def parameters(self) -> tuple[Tensor, ...]:
        return (self.values,)

    def replace(self, parameters: tuple[Tensor, ...]) -> Self:
        new = type(self).__new__(type(self))
        device = parameters[0].device
        new.patterns = tuple(pattern.to(device) for pattern in self.patterns)
        new.sizes, new.tags = self.sizes, self.tags
        new._set(parameters[0], self._pattern.to(device), self._places.to(device))
        return new

    def is_finite(self) -> Tensor:
        parts = self.values.split([pattern.col.numel() for pattern in self.patterns])
        return torch.stack([part.isfinite().all() for part in parts])

    def pullback(self, left: Tensor, right: Tensor) -> tuple[Tensor, ...]:
        batch = torch.broadcast_shapes(self.batch_shape, left.shape[:-1], right.shape[:-1])
        (gradient,) = self._joined.pullback(self._flat(left, batch), self._flat(right, batch))
        return (gradient[self._places],)

    def pushforward(self, tangents: tuple[Tensor, ...], x: Tensor) -> Tensor:
        return torch.where(self._is_unknown, self.replace(tangents).mv(x), 0)  # the padding does not move

    def pushforward_adjoint(self, tangents: tuple[Tensor, ...], y: Tensor) -> Tensor:
        return torch.where(self._is_unknown, self.replace(tangents).rmv(y), 0)

    def diagonal(self) -> Tensor:
        return self.joined.diagonal().reshape(len(self.sizes), self.shape[0])

    @property
    def _is_unknown(self) -> Tensor:
        """False for padding, ``(B, n)`` bool."""
        sizes = torch.tensor(self.sizes, device=self.device)
        return torch.arange(self.shape[0], device=self.device) < sizes.unsqueeze(-1)

    @property
    def _joined(self) -> CSROperator:
        """`joined` without gradient, kept."""
        return self._kept.get("joined", None, lambda: self.replace((self.values.detach(),)).joined)

    def _mv(self, x: Tensor) -> Tensor:
        batch = torch.broadcast_shapes(self.batch_shape, x.shape[:-1])
        return self._joined._mv(self._flat(x, batch)).reshape(*batch, self.shape[0])

    def _rmv(self, x: Tensor) -> Tensor:
        batch = torch.broadcast_shapes(self.batch_shape, x.shape[:-1])
        return self._joined._rmv(self._flat(x, batch)).reshape(*batch, self.shape[0])

    def _flat(self, x: Tensor, batch: torch.Size) -> Tensor:
        """The vectors of all blocks in a row, ``(*batch, B n)``."""
        count, n = len(self.sizes), self.shape[0]
        # A batch of one block also serves vectors whose last batch axis is longer.
        rows = batch[:-1] if count > 1 else batch
        return x.expand(*batch, n).reshape(*rows, count * n)


def _check(blocks: Sequence[CSROperator]) -> None:
    first = blocks[0]
    for i, block in enumerate(blocks):
        if block.batch_shape or block.shape[0] != block.shape[1]:
            raise ShapeError(f"block {i}, {block!r}: expected square matrices without batch axes")
        if block.dtype != first.dtype:
            raise DTypeError(f"block {i} holds {block.dtype}, block 0 {first.dtype}: convert one with .to(dtype)")
        if block.device != first.device:
            raise DeviceError(f"block {i} is on {block.device}, block 0 on {first.device}: move one with .to(device)")


def _padded(patterns: Sequence[CSRPattern], n: int) -> tuple[CSRPattern, Tensor]:
    """The pattern of all matrices along one diagonal, padded with ones, and the places of their entries in it."""
    device = patterns[0].col.device
    counts, columns, places, first = [], [], [], 0
    for i, pattern in enumerate(patterns):
        padding = torch.arange(pattern.shape[0], n, device=device)
        counts += [pattern.crow[1:] - pattern.crow[:-1], torch.ones_like(padding)]
        columns += [pattern.column + i * n, padding + i * n]
        places.append(torch.arange(pattern.col.numel(), device=device) + first)
        first += pattern.col.numel() + padding.numel()
    size = len(patterns) * n
    return CSRPattern(row_pointers(torch.cat(counts)), torch.cat(columns), (size, size)), torch.cat(places)
