"""In which norm the residual is made small: of its rows, or of the error that they stand for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from sciml.errors import LearnerError
from sciml.learners.hard_constraints.affine_rows import AffineRows, SharedRows
from sciml.learners.hard_constraints.boxes import Boxes
from sciml.learners.hard_constraints.expansion import Expansion
from sciml.learners.hard_constraints.held_carrier import warn_of_held_carrier
from sciml.learners.hard_constraints.minimum import gauss_newton_step
from sciml.learners.hard_constraints.parts_of_grids import on_part, part_of
from sciml.learners.hard_constraints.row_maps import CarriedMap, WeightedMap
from sciml.learners.hard_constraints.stacked_rows import Block, StackedRows
from sciml.learners.hard_constraints.termwise_rows import TermwiseRows
from solvers.nonlinear import Factorisation

__all__ = ["ErrorNorm", "PlainNorm", "ResidualNorm"]


@dataclass(frozen=True)
class ResidualNorm(ABC):
    """The sum of squares of one expert: the mean over its points, and `conditions` times the mean over conditions.

    Parameters
    ----------
    conditions
        Weight of the initial and boundary rows, which every expert sees.
    points
        At most so many points of each expert are used, drawn anew at each call; None: all.
    """

    conditions: float = 1.0
    points: int | None = None

    @abstractmethod
    def approach(
        self,
        expansion: Expansion,
        boxes: Boxes,
        weights: Tensor,
        generator: Generator | None,
        factorisation: Factorisation,
    ) -> Tensor:
        """Weights ``(B, K, N)`` near the minimum, from others."""

    @abstractmethod
    def rows(
        self,
        expansion: Expansion,
        boxes: Boxes,
        weights: Tensor,
        generator: Generator | None,
        experts: slice = slice(None),
    ) -> StackedRows:
        """The rows of some experts near these weights of all, differentiable in their parameters."""

    def own(self, expansion: Expansion, boxes: Boxes, generator: Generator | None) -> Boxes:
        """The points of each expert that are not conditions.

        Raises
        ------
        LearnerError
            An expert has none, or fewer rows than there are basis functions.
        """
        conditions = expansion.residual.global_rows.flatten()
        own = boxes.without(conditions)
        own = own if self.points is None else own.drawn(self.points, generator)
        least, expert = (int(t) for t in own.loads.min(0))
        if least == 0:
            raise LearnerError(
                f"experts: expert {expert} of {own.count} has no point beside initial and boundary conditions on the "
                f"grid {boxes.shape}; use fewer experts or a finer grid"
            )
        _enough(least + int(conditions.sum()), expansion, f"expert {expert} of {own.count}")
        return own

    def fewest(self, conditions: Tensor, boxes: Boxes) -> int:
        """Rows of the expert that has the fewest, where `conditions` ``(G,)`` says which points are conditions."""
        loads = boxes.without(conditions).loads
        least = int(loads.min()) if self.points is None else min(int(loads.min()), self.points)
        return least + int(conditions.sum())

    def shared(self, A: Tensor, c: Tensor) -> tuple[Block, ...]:
        """The conditions' rows A ``(B, g, N)``, c ``(B, g)``, once for all experts."""
        if A.shape[1] == 0:
            return ()
        size = (self.conditions / A.shape[1]) ** 0.5
        A, c = size * A, size * c
        return (Block(SharedRows(A, c), (A, c)),)


@dataclass(frozen=True)
class PlainNorm(ResidualNorm):
    """The residual's rows themselves, which weigh steep modes and layers most.

    Several experts share the initial and boundary rows, linearised about the start: they are affine, or nearly so.
    """

    def approach(
        self,
        expansion: Expansion,
        boxes: Boxes,
        weights: Tensor,
        generator: Generator | None,
        factorisation: Factorisation,
    ) -> Tensor:
        return weights

    def rows(
        self,
        expansion: Expansion,
        boxes: Boxes,
        weights: Tensor,
        generator: Generator | None,
        experts: slice = slice(None),
    ) -> StackedRows:
        own = self.own(expansion, boxes, generator).only(experts)
        sizes = _mean_weights(own, expansion.basis)
        if boxes.count == 1:
            own, sizes = self.with_conditions(own, sizes, expansion)
            return StackedRows((_nonlinear(expansion, own, sizes),))
        about = expansion.moved_conditions(weights, boxes)
        return StackedRows((_nonlinear(expansion, own, sizes), *self.shared(*expansion.conditions(about))))

    def with_conditions(self, own: Boxes, sizes: Tensor, expansion: Expansion) -> tuple[Boxes, Tensor]:
        """One box with the conditions' points, too, and the sizes of its rows."""
        conditions = expansion.residual.global_rows.flatten().nonzero().mT
        # In the order of the grid, in which all of its points need no moving.
        points, order = torch.cat([own.points, conditions], 1).sort()
        size = (self.conditions / max(1, conditions.shape[1])) ** 0.5
        sizes = torch.cat([sizes, torch.full_like(conditions, size, dtype=sizes.dtype)], 1)
        return Boxes(own.shape, points, own.owner), sizes.gather(1, order)


@dataclass(frozen=True)
class ErrorNorm(ResidualNorm):
    """The residual carried through the approximate inverse of its derivative: the error to first order.

    The inverse is taken at the present field, updated `updates` times and then frozen; it is not differentiated:
    `ConstraintLayer` says which gradients are exact nevertheless. One
    solve for the whole grid keeps the residual nonlinear. Experts that know nothing of each other share one
    linearisation about the field assembled from them, because carrying spreads every row over the grid: their
    derivatives are those of Gauss and Newton.

    Parameters
    ----------
    conditions, points
        As in `ResidualNorm`; carried rows are smooth, 4 to 8 points for each basis function are enough.
    updates
        Gauss–Newton steps, each with the inverse at the field before it.
    """

    updates: int = 4

    def fewest(self, conditions: Tensor, boxes: Boxes) -> int:
        if boxes.count > 1:
            return super().fewest(conditions, boxes)
        return boxes.size if self.points is None else min(self.points, boxes.size)

    def approach(
        self,
        expansion: Expansion,
        boxes: Boxes,
        weights: Tensor,
        generator: Generator | None,
        factorisation: Factorisation,
    ) -> Tensor:
        for _ in range(self.updates):
            rows = self.linear(expansion, boxes, weights, generator)
            step = gauss_newton_step(rows, weights, factorisation)
            weights = torch.where(step.isfinite().all(-1, keepdim=True), weights + step, weights)
        return weights

    def rows(
        self,
        expansion: Expansion,
        boxes: Boxes,
        weights: Tensor,
        generator: Generator | None,
        experts: slice = slice(None),
    ) -> StackedRows:
        warn_of_held_carrier(expansion.residual)
        if boxes.count > 1:
            return self.linear(expansion, boxes, weights, generator, experts)
        residual = expansion.residual
        chosen = self.chosen(expansion, boxes, generator)
        about = expansion.field(weights, torch.ones_like(boxes.owner).unsqueeze(0)).detach()
        weigh = CarriedMap(residual.carrier(about), residual.shape, chosen)
        basis = expansion.terms.permute(1, 2, 0, 3).unsqueeze(1).contiguous()
        rows = TermwiseRows(residual, boxes, expansion.offset_terms.detach(), weigh, expansion.unknowns)
        return StackedRows((Block(rows, (basis, expansion.offset_terms.unsqueeze(1), *residual.parameters)),))

    def linear(
        self,
        expansion: Expansion,
        boxes: Boxes,
        weights: Tensor,
        generator: Generator | None,
        experts: slice = slice(None),
    ) -> StackedRows:
        """The carried rows, linearised about the field assembled from the experts.

        Carrying spreads every row over the grid: what is not finite is taken out before, and only its expert sees it.
        """
        residual, broken = expansion.residual, expansion.broken
        apart = boxes.count > 1 and bool(broken.any())
        if apart:
            expansion = expansion.without(broken)
        owners = torch.nn.functional.one_hot(boxes.owner, boxes.count).mT
        carry = residual.carrier(expansion.field(weights, owners).detach())
        A, c = expansion.linearised(expansion.moved_terms(weights, boxes))
        c = torch.where(broken, 0, c) if apart else c
        # One call for the columns and the constant: the carrier may factor what it needs once.
        carried = carry(torch.cat([A, c.unsqueeze(0)]).unflatten(-1, residual.shape)).flatten(2)
        A, c = carried[:-1], carried[-1]
        if boxes.count == 1:
            chosen = self.chosen(expansion, boxes, generator)
            own_matrix, constant = A[..., chosen].permute(1, 2, 0).unsqueeze(1), c[..., chosen].unsqueeze(1)
            size = len(chosen) ** -0.5
            return StackedRows((Block(AffineRows(expansion.unknowns), (size * own_matrix, size * constant)),))
        own = self.own(expansion, boxes, generator).only(experts)
        size_of = _mean_weights(own, c)
        matrix = (own.gather(A) * size_of).permute(1, 2, 3, 0)
        conditions = residual.global_rows.flatten().nonzero().squeeze(-1)
        shared = self.shared(A[..., conditions].permute(1, 2, 0), c[..., conditions])
        constant = own.gather(c) * size_of
        if apart:
            theirs = boxes.first_of(broken)[:, experts] < boxes.size
            constant = torch.where(theirs.unsqueeze(-1), torch.nan, constant)
        return StackedRows((Block(AffineRows(), (matrix, constant)), *shared))

    def chosen(self, expansion: Expansion, boxes: Boxes, generator: Generator | None) -> Tensor:
        """Flat indices of the rows of one solve for the whole grid."""
        _enough(self.fewest(expansion.residual.global_rows.flatten(), boxes), expansion, "the solve")
        if self.points is None or self.points >= boxes.size:
            return torch.arange(boxes.size, device=boxes.owner.device)
        return boxes.drawn(self.points, generator).points[0]


def _nonlinear(expansion: Expansion, own: Boxes, sizes: Tensor) -> Block:
    """The residual in each expert's points, times the sizes ``(K, p)``; where it can be, evaluated only about these."""
    basis = own.gather(expansion.terms).permute(1, 3, 2, 0, 4).contiguous()
    offset = own.gather(expansion.offset_terms).movedim(1, 2)
    residual, background = expansion.residual, expansion.offset_terms.detach()
    part = on_part(residual, own.extent)
    if part is not None:
        background = part_of(background.unflatten(-1, own.shape), part.extent).flatten(2)
        own = own.within(part.extent)
    rows = TermwiseRows(part or residual, own, background, WeightedMap(sizes), expansion.unknowns)
    return Block(rows, (basis, offset, *residual.parameters))


def _mean_weights(own: Boxes, like: Tensor) -> Tensor:
    """1 / √points of the expert, zero in the padding, ``(K, p)``."""
    return own.mask * own.loads.clamp(min=1).to(like).rsqrt().unsqueeze(-1)


def _enough(rows: int, expansion: Expansion, who: str) -> None:
    functions = expansion.functions
    if rows < functions:
        raise LearnerError(
            f"constraint: {who} has {rows} rows for {functions} basis functions, expected at least as many rows; use "
            "more points or fewer functions"
        )
