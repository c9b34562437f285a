"""Rows that are affine in the weights: conditions shared by all experts, carried rows, a ridge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.learners.hard_constraints.rows import Rows
from sciml.learners.hard_constraints.unknowns import ALL, Unknowns

__all__ = ["AffineRows", "RidgeRows", "SharedRows"]


@dataclass(frozen=True)
class AffineRows(Rows):
    """A w + c with the parameters A ``(B, K, m, N)`` and c ``(B, K, m)``; unknowns ``(B, K, N)``.

    Parameters
    ----------
    unknowns
        Those that A has the columns of.
    """

    unknowns: Unknowns = ALL

    def __call__(self, x: Tensor, *parameters: Tensor) -> Tensor:
        A, c = parameters
        return self._times(A, x) + c

    def columns(self, x: Tensor, *parameters: Tensor) -> Tensor:
        """Those of the process's own unknowns, ``(B, K, m, N)``."""
        return parameters[0]

    def jacobian(self, x: Tensor, *parameters: Tensor) -> Tensor:
        return self.unknowns.gathered(self.columns(x, *parameters))

    def column_lengths(self, x: Tensor, *parameters: Tensor) -> Tensor:
        return self.unknowns.gathered(torch.linalg.vector_norm(self.columns(x, *parameters), dim=-2))

    def count(self, parameters: tuple[Tensor, ...]) -> int:
        return parameters[0].shape[-2]

    def normal_equations(self, x: Tensor, value: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        return self.unknowns.normal_equations(self.columns(x, *parameters).mT, value)

    def curvature(self, x: Tensor, *parameters: Tensor) -> Tensor:
        return x.new_zeros(*x.shape, x.shape[-1])

    def pullback(
        self, q: Tensor, x: Tensor, parameters: tuple[Tensor, ...], wanted: Sequence[bool]
    ) -> tuple[Tensor | None, ...]:
        r, s = self(x, *parameters), self._times(self.columns(x, *parameters), q)
        own = torch.stack([self.unknowns.own(q), self.unknowns.own(x)], -2) * self.unknowns.copies
        return (torch.stack([r, s], -1) @ own if wanted[0] else None), s

    def _times(self, A: Tensor, x: Tensor) -> Tensor:
        return self.unknowns.summed((A @ self.unknowns.own(x).unsqueeze(-1)).squeeze(-1))


class SharedRows(Rows):
    """A w_e + c for every expert e, with the parameters A ``(B, m, N)`` and c ``(B, m)``.

    Only the triangular factor of (A | c) is stacked, N + 1 rows with the same sum of squares, so that experts do not
    multiply the cost of shared rows.

    Parameters
    ----------
    A, c
        The parameters' values.
    """

    def __init__(self, A: Tensor, c: Tensor) -> None:
        self.reduced = torch.linalg.qr(torch.cat([A, c.unsqueeze(-1)], -1).detach(), mode="r")[1]

    def __call__(self, x: Tensor, *parameters: Tensor) -> Tensor:
        return x @ self.reduced[..., :-1].mT + self.reduced[:, None, :, -1]

    def halved_squares(self, x: Tensor, *parameters: Tensor) -> Tensor:
        A, c = parameters
        return (x @ A.mT + c.unsqueeze(1)).square().sum(-1) / 2

    def jacobian(self, x: Tensor, *parameters: Tensor) -> Tensor:
        return self.reduced[:, None, :, :-1].expand(-1, x.shape[1], -1, -1)

    def count(self, parameters: tuple[Tensor, ...]) -> int:
        return self.reduced.shape[-2]

    def normal_equations(self, x: Tensor, value: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        A = self.reduced[..., :-1]
        return (A.mT @ A).unsqueeze(1).expand(-1, x.shape[1], -1, -1), value @ A

    def curvature(self, x: Tensor, *parameters: Tensor) -> Tensor:
        return x.new_zeros(*x.shape, x.shape[-1])

    def pullback(
        self, q: Tensor, x: Tensor, parameters: tuple[Tensor, ...], wanted: Sequence[bool]
    ) -> tuple[Tensor | None, ...]:
        A, c = parameters
        r, s = x @ A.mT + c.unsqueeze(1), q @ A.mT
        return (r.mT @ q + s.mT @ x if wanted[0] else None), s.sum(1)


@dataclass(frozen=True)
class RidgeRows(Rows):
    """ε ‖J_j‖ w_j, no parameters; `lengths` ε ‖J_j‖ ``(B, K, N)`` are not differentiated."""

    lengths: Tensor

    def __call__(self, x: Tensor, *parameters: Tensor) -> Tensor:
        return self.lengths * x

    def jacobian(self, x: Tensor, *parameters: Tensor) -> Tensor:
        return torch.diag_embed(self.lengths)

    def count(self, parameters: tuple[Tensor, ...]) -> int:
        return self.lengths.shape[-1]

    def normal_equations(self, x: Tensor, value: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        return torch.diag_embed(self.lengths.square()), self.lengths * value

    def curvature(self, x: Tensor, *parameters: Tensor) -> Tensor:
        return x.new_zeros(*x.shape, x.shape[-1])

    def pullback(
        self, q: Tensor, x: Tensor, parameters: tuple[Tensor, ...], wanted: Sequence[bool]
    ) -> tuple[Tensor | None, ...]:
        return ()
