"""Several blocks of rows of one least-squares problem, one below the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.learners.hard_constraints.rows import Rows

__all__ = ["Block", "StackedRows"]


@dataclass(frozen=True)
class Block:
    """Rows with the values of their parameters."""

    rows: Rows
    parameters: tuple[Tensor, ...]


@dataclass(frozen=True)
class StackedRows(Rows):
    """(r₁; r₂; …), whose parameters are those of the blocks, one after the other."""

    blocks: tuple[Block, ...]

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """Of all blocks."""
        return tuple(p for block in self.blocks for p in block.parameters)

    def __call__(self, x: Tensor, *parameters: Tensor) -> Tensor:
        return torch.cat([rows(x, *own) for rows, own in self._split(parameters)], -1)

    def count(self, parameters: tuple[Tensor, ...]) -> int:
        return sum(rows.count(own) for rows, own in self._split(parameters))

    def halved_squares(self, x: Tensor, *parameters: Tensor) -> Tensor:
        total = x.new_zeros(x.shape[:-1])
        for rows, own in self._split(parameters):
            total = total + rows.halved_squares(x, *own)
        return total

    def jacobian(self, x: Tensor, *parameters: Tensor) -> Tensor:
        return torch.cat([rows.jacobian(x, *own) for rows, own in self._split(parameters)], -2)

    def column_lengths(self, x: Tensor, *parameters: Tensor) -> Tensor:
        parts = [rows.column_lengths(x, *own) for rows, own in self._split(parameters)]
        return torch.linalg.vector_norm(torch.stack(parts), dim=0)

    def normal_equations(self, x: Tensor, value: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        gram, slope, begin = x.new_zeros(*x.shape, x.shape[-1]), torch.zeros_like(x), 0
        for rows, own in self._split(parameters):
            end = begin + rows.count(own)
            squares, pulled = rows.normal_equations(x, value[..., begin:end], *own)
            gram, slope, begin = gram + squares, slope + pulled, end
        return gram, slope

    def slope(self, x: Tensor, *parameters: Tensor) -> Tensor:
        return torch.stack([rows.slope(x, *own) for rows, own in self._split(parameters)]).sum(0)

    def curvature(self, x: Tensor, *parameters: Tensor) -> Tensor:
        total = x.new_zeros(*x.shape, x.shape[-1])
        for rows, own in self._split(parameters):
            total = total + rows.curvature(x, *own)
        return total

    def pullback(
        self, q: Tensor, x: Tensor, parameters: tuple[Tensor, ...], wanted: Sequence[bool]
    ) -> tuple[Tensor | None, ...]:
        choices = iter(wanted)
        gradients: list[Tensor | None] = []
        for rows, own in self._split(parameters):
            gradients += rows.pullback(q, x, own, [next(choices) for _ in own])
        return tuple(gradients)

    def _split(self, parameters: tuple[Tensor, ...]) -> Iterator[tuple[Rows, tuple[Tensor, ...]]]:
        begin = 0
        for block in self.blocks:
            end = begin + len(block.parameters)
            yield block.rows, parameters[begin:end]
            begin = end
