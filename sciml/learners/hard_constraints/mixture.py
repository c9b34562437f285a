"""A constraint split over experts: each has its own box and weights, and one continuous field comes back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Generator, Tensor

from pde_benchmarks.termwise import TermwiseResidual
from sciml.errors import LearnerError
from sciml.learners.hard_constraints.boxes import Boxes
from sciml.learners.hard_constraints.constrained_field import ConstrainedField
from sciml.learners.hard_constraints.expansion import Expansion
from sciml.learners.hard_constraints.layer import ConstraintLayer
from sciml.learners.hard_constraints.routers import BoxRouter, Router, windows
from sciml.learners.hard_constraints.schwarz import TwoLevelSchwarz
from sciml.learners.hard_constraints.unknowns import ALL, Unknowns

__all__ = ["Coupled", "Coupling", "Deal", "Independent", "MixtureOfExperts"]

#: Of ``count`` items of ``each`` unknowns: those of this process, and their unknowns.
Deal = Callable[[int, int], tuple[slice, Unknowns]]


class Coupling(ABC):
    """What experts know of each other."""

    @abstractmethod
    def solve(
        self,
        layer: ConstraintLayer,
        router: Router,
        residual: TermwiseResidual,
        basis: Tensor,
        offset: Tensor,
        start: Tensor | None,
        generator: Generator | None,
    ) -> ConstrainedField:
        """The field and the weights ``(B, K, N)``."""


@dataclass(frozen=True)
class Independent(Coupling):
    """Every expert solves on its box and on all initial and boundary conditions, in one batched solve.

    Chalapathi, Du, Krishnapriyan 2024. The conditions are the only way in which information reaches inner boxes.

    Parameters
    ----------
    overlap
        Of the windows by which the experts' fields are blended; 0: as they are, with jumps.
    isolated
        Allow a residual without conditions: right only where no box is free of sources.
    """

    overlap: float = 0.0
    isolated: bool = False

    def solve(
        self,
        layer: ConstraintLayer,
        router: Router,
        residual: TermwiseResidual,
        basis: Tensor,
        offset: Tensor,
        start: Tensor | None,
        generator: Generator | None,
    ) -> ConstrainedField:
        expansion, boxes = self.posed(layer, router, residual, basis, offset)
        systems = layer.solve(expansion, boxes, start, generator)
        blended = windows(router, boxes.shape, self.overlap).to(basis.device)
        values = layer.assembled(expansion, systems.weights, blended).to(basis.dtype)
        return layer.checked(systems.field(values, systems.weights))

    def posed(
        self, layer: ConstraintLayer, router: Router, residual: TermwiseResidual, basis: Tensor, offset: Tensor
    ) -> tuple[Expansion, Boxes]:
        """The expansion and the boxes; raises `LearnerError` where inner boxes would know of no condition."""
        boxes = router.boxes(tuple(residual.shape), basis.device)
        if boxes.count > 1 and not self.isolated and not bool(residual.global_rows.any()):
            raise LearnerError(
                f"experts: {boxes.count} independent experts, but the residual has no initial or boundary rows "
                "(global_rows): an inner box of an equation without source is solved by u = 0; use Coupled(), or "
                "Independent(isolated=True) where every box has sources"
            )
        return layer.expansion(residual, basis, offset), boxes


@dataclass(frozen=True)
class Coupled(Coupling):
    """One least squares for the blended field u₀ + Σ_e χ_e b·w_e, that is for the K N functions χ_e b_k.

    Interfaces are smooth by construction and information crosses them; the objective is never above that of one solve,
    from whose weights it starts. Above `dense` unknowns the steps are found by `TwoLevelSchwarz`.

    Parameters
    ----------
    overlap
        Of the windows, relative to a box, in (0, 1].
    dense
        Most unknowns of a sample whose normal equations are formed: the faster way on one core up to about here.
    """

    overlap: float = 0.5
    dense: int = 1024

    def solve(
        self,
        layer: ConstraintLayer,
        router: Router,
        residual: TermwiseResidual,
        basis: Tensor,
        offset: Tensor,
        start: Tensor | None,
        generator: Generator | None,
    ) -> ConstrainedField:
        return self.dealt(layer, router, residual, basis, offset, start, generator, _alone)

    def dealt(
        self,
        layer: ConstraintLayer,
        router: Router,
        residual: TermwiseResidual,
        basis: Tensor,
        offset: Tensor,
        start: Tensor | None,
        generator: Generator | None,
        deal: Deal,
    ) -> ConstrainedField:
        """The same with the experts, and the functions of the solve that comes first, dealt to processes."""
        shape, functions = tuple(residual.shape), basis.shape[1]
        blended = windows(router, shape, self.overlap).to(basis.device)
        count = len(blended)
        experts, unknowns = deal(count, functions)
        if start is None:
            own, single = deal(functions, 1)
            with torch.no_grad():
                alone = layer.expansion(residual, basis[:, own], offset, single)
                begun = layer.solve(alone, Boxes.whole(shape, basis.device), None, generator)
            start = begun.found.value.expand(-1, count, -1)
        if count * functions > self.dense:
            schwarz = TwoLevelSchwarz(count, unknowns=unknowns)
            layer = replace(layer, solver=replace(layer.solver, factorisation=schwarz))
        local = basis.unsqueeze(1) * blended[experts].to(basis.dtype).unflatten(-1, shape).unsqueeze(1)
        expansion = layer.expansion(residual, local.flatten(1, 2), offset, unknowns)
        found = layer.combined(expansion, start.flatten(1).unsqueeze(1), generator)
        weights = found.weights.reshape(-1, count, functions)
        return replace(found, values=found.values.to(basis.dtype), weights=weights)


def _alone(count: int, each: int) -> tuple[slice, Unknowns]:
    return slice(None), ALL


@dataclass(frozen=True)
class MixtureOfExperts:
    """`ConstraintLayer` with the domain split over experts by a router.

    Parameters
    ----------
    layer
        How one expert solves.
    router
        `BoxRouter` or a fitted one.
    coupling
        `Coupled`, or `Independent` (the form of the paper).

    Raises
    ------
    LearnerError
        In addition to the layer's: an expert without a point; independent experts without conditions.
    """

    layer: ConstraintLayer = field(default_factory=ConstraintLayer)
    router: Router = field(default_factory=lambda: BoxRouter((1, 4)))
    coupling: Coupling = field(default_factory=Coupled)

    def __call__(
        self,
        residual: TermwiseResidual,
        basis: Tensor,
        offset: Tensor,
        start: Tensor | None = None,
        generator: Generator | None = None,
    ) -> ConstrainedField:
        """The constrained field, weights ``(B, K, N)``; arguments as of the layer."""
        return self.coupling.solve(self.layer, self.router, residual, basis, offset, start, generator)
