"""A layer that chooses the weights of basis functions so that the field satisfies a residual."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Generator, Tensor

from pde_benchmarks.termwise import TermwiseResidual
from sciml.errors import LearnerError
from sciml.learners.hard_constraints.adjoints import Adjoint, Implicit
from sciml.learners.hard_constraints.affine_rows import RidgeRows
from sciml.learners.hard_constraints.bounds import Bound, Unbounded
from sciml.learners.hard_constraints.boxes import Boxes
from sciml.learners.hard_constraints.constrained_field import ConstrainedField
from sciml.learners.hard_constraints.expansion import Expansion
from sciml.learners.hard_constraints.minimum import damped_fit
from sciml.learners.hard_constraints.norms import ErrorNorm, ResidualNorm
from sciml.learners.hard_constraints.stacked_rows import Block, StackedRows
from sciml.learners.hard_constraints.unknowns import ALL, Unknowns
from solvers.nonlinear import LevenbergMarquardt, NonlinearSolution, NormalEquations
from solvers.status import Status

__all__ = ["ConstraintLayer", "Systems"]


def _solver() -> LevenbergMarquardt:
    # Starts are close: the damping only has to be there when a step fails.
    return LevenbergMarquardt(rtol=1e-8, max_iterations=50, damping=1e-8, factorisation=NormalEquations())


@dataclass(frozen=True)
class Systems:
    """Least-squares problems, solved: weights ``(B, K, N)`` attached to autograd, and how it went.

    Where some have rows that are not finite, `broken` has the first such point of every expert.
    """

    weights: Tensor
    rows: StackedRows
    found: NonlinearSolution
    broken: Tensor | None = None

    def field(self, values: Tensor, weights: Tensor) -> ConstrainedField:
        """The result, with these values and weights of each expert."""
        stats, unknowns = self.found.stats, self.found.value
        if stats.condition is None:
            raise LearnerError("constraint: the solver reports no condition; use LevenbergMarquardt or GaussNewton")
        return ConstrainedField(
            values,
            weights,
            self.found.status,
            stats.iterations,
            stats.residual_norm,
            stats.condition,
            self.rows,
            unknowns.detach(),
            self.broken,
        )


@dataclass(frozen=True)
class ConstraintLayer:
    """w* = argmin ½‖r(u₀ + b·w)‖² for basis functions of any network; u = u₀ + b·w*.

    Négiar, Mahoney, Krishnapriyan 2022; Chalapathi, Du, Krishnapriyan 2024. The layer has no parameters of its own and
    runs at prediction just as in training. It works in `dtype`, into which basis and offset are converted; the field
    comes back in the dtype of the basis. What is kept for the backward pass does not depend on the iterations.

    Parameters
    ----------
    norm
        `ErrorNorm` or `PlainNorm`.
    solver
        Of the nonlinear least squares.
    adjoint
        `Implicit` or `Envelope`. With the former a loss made of `ConstrainedField.objective` costs no adjoint, either.
    ridge
        ε of rows ε ‖J_j‖ w_j: relative to each column's length; up to 1e-6 it changes nothing that the rows determine.
    bound
        `Unbounded` or `LowerBound`.
    dtype
        Of the solve. float32 needs `LevenbergMarquardt()` with the `Orthogonal` factorisation.
    throw
        Raise if any system failed. False: failed systems keep their last accepted weights, `status` says so; where a
        gradient is asked for, a `RuntimeWarning` names them, because their weights are then constants.
    quiet
        No such warning: for a training of many steps, which reads `status`.

    Notes
    -----
    Gradients are those of the minimum, by the implicit function theorem, with the carrier of `ErrorNorm` held fixed.
    They are exact in `PlainNorm`, and in `ErrorNorm` where the carrier depends on nothing that is differentiated: for a
    linear equation, with respect to the basis, the offset and what is not in its derivative (a source, boundary
    values). They are incomplete in `ErrorNorm` with respect to coefficients that the carrier depends on (a
    `RuntimeWarning` says so), and for nonlinear equations, whose carrier moves with the field: what is missing is in
    proportion to the residual that the basis leaves. The same holds for `ConstrainedField.objective`.

    Raises
    ------
    LearnerError
        Shapes or dtypes do not fit, or there are more functions than rows.
    SolveError
        A system failed and `throw` is set.

    Examples
    --------
    >>> import torch
    >>> from pde_benchmarks.termwise import TermwiseResidual
    >>> from sciml.learners.hard_constraints.norms import PlainNorm
    >>> class Equals(TermwiseResidual):  # u = 2 x
    ...     shape, parameters = (5,), ()
    ...     global_rows = torch.tensor([True, False, False, False, True])
    ...
    ...     def terms(self, fields):
    ...         return fields.unsqueeze(-2)
    ...
    ...     def combine(self, terms, parameters):
    ...         return terms[:, 0] - torch.linspace(0, 2, 5, dtype=terms.dtype)
    ...
    ...     def carrier(self, about):
    ...         return lambda rows: rows
    >>> x = torch.linspace(0, 1, 5)
    >>> field = ConstraintLayer(PlainNorm())(Equals(), torch.stack([x, x**2])[None], torch.zeros(1, 5))
    >>> field.values
    tensor([[0.0000, 0.5000, 1.0000, 1.5000, 2.0000]])
    >>> field.weights.shape
    torch.Size([1, 1, 2])
    """

    norm: ResidualNorm = field(default_factory=ErrorNorm)
    solver: LevenbergMarquardt = field(default_factory=_solver)
    adjoint: Adjoint = field(default_factory=Implicit)
    ridge: float = 1e-10
    bound: Bound = field(default_factory=Unbounded)
    dtype: torch.dtype = torch.float64
    throw: bool = False
    quiet: bool = False

    def __call__(
        self,
        residual: TermwiseResidual,
        basis: Tensor,
        offset: Tensor,
        start: Tensor | None = None,
        generator: Generator | None = None,
    ) -> ConstrainedField:
        """The constrained field.

        Parameters
        ----------
        residual
            With parameters in `dtype`.
        basis
            ``(B, N, *shape)``.
        offset
            ``(B, *shape)``.
        start
            Weights ``(B, 1, N)`` to start from; None: those that fit the initial and boundary conditions.
        generator
            Draws points where the norm takes some only.
        """
        found = self.combined(self.expansion(residual, basis, offset), start, generator)
        return replace(found, values=found.values.to(basis.dtype))

    def combined(self, expansion: Expansion, start: Tensor | None, generator: Generator | None) -> ConstrainedField:
        """The constrained field of an expansion, in the layer's dtype; start and generator as above."""
        boxes = Boxes.whole(tuple(expansion.residual.shape), expansion.basis.device)
        systems = self.solve(expansion, boxes, start, generator)
        weights = expansion.unknowns.asked(systems.weights)
        values = self.assembled(expansion, weights, torch.ones_like(boxes.owner).unsqueeze(0))
        return self.checked(systems.field(values, weights))

    def assembled(self, expansion: Expansion, weights: Tensor, windows: Tensor) -> Tensor:
        """u₀ + Σ_e χ_e b·w_e within the bound, ``(B, *shape)``."""
        return self.bound.projected(expansion.field(weights, windows))

    def expansion(
        self, residual: TermwiseResidual, basis: Tensor, offset: Tensor, unknowns: Unknowns = ALL
    ) -> Expansion:
        """Basis (of own unknowns) and offset in the layer's dtype; raises `LearnerError` where they do not fit."""
        shape = tuple(residual.shape)
        if basis.ndim != len(shape) + 2 or basis.shape[2:] != shape or basis.shape[1] == 0:
            raise LearnerError(
                f"constraint: basis of shape {tuple(basis.shape)}, expected (B, N, {', '.join(map(str, shape))}) with "
                "N > 0: the network's outputs, moved before the axes of the grid"
            )
        if offset.shape != (basis.shape[0], *shape):
            raise LearnerError(
                f"constraint: offset of shape {tuple(offset.shape)}, expected {(basis.shape[0], *shape)} as the basis"
            )
        for i, parameter in enumerate(residual.parameters):
            if parameter.ndim and parameter.shape[0] not in (1, basis.shape[0]):
                raise LearnerError(
                    f"constraint: parameter {i} of the residual has shape {tuple(parameter.shape)} for a basis of "
                    f"{basis.shape[0]} samples; build the residual from the inputs of the same samples"
                )
            if parameter.dtype != self.dtype:
                raise LearnerError(
                    f"constraint: parameter {i} of the residual has dtype {parameter.dtype}, the layer solves in "
                    f"{self.dtype}; build the residual from inputs converted with .to({self.dtype})"
                )
        return Expansion.of(residual, basis.to(self.dtype), offset.to(self.dtype), unknowns)

    def solve(
        self,
        expansion: Expansion,
        boxes: Boxes,
        start: Tensor | None,
        generator: Generator | None,
        experts: slice = slice(None),
    ) -> Systems:
        """One least-squares problem for each sample and each of some experts."""
        with torch.no_grad():
            weights = self.start(expansion, boxes.count, start)
            weights = self.norm.approach(expansion, boxes, weights, generator, self.solver.factorisation)
        rows = self.norm.rows(expansion, boxes, weights, generator, experts)
        rows = StackedRows((*rows.blocks, *self.bound.blocks(expansion, boxes.only(experts))))
        weights = weights[:, experts]
        system = self.regularised(rows, weights)
        found = self.solver.solve(system, weights.detach(), system.parameters)
        attached = self.adjoint.attach(found.value, found.status == Status.CONVERGED, system)
        broken = bool((found.status == Status.NONFINITE_INPUT).any())
        return Systems(attached, rows, found, boxes.first_of(expansion.broken) if broken else None)

    def start(self, expansion: Expansion, count: int, given: Tensor | None) -> Tensor:
        """Weights ``(B, K, N)`` to begin with."""
        expected = (expansion.basis.shape[0], count, expansion.functions)
        if given is not None:
            if given.shape != expected:
                raise LearnerError(f"constraint: start weights of shape {tuple(given.shape)}, expected {expected}")
            return given.detach().to(self.dtype)
        A, c = expansion.conditions(expansion.offset_terms)
        if A.shape[1] == 0:
            return A.new_zeros(expected)
        return damped_fit(expansion.unknowns.gathered(A), c).unsqueeze(1).expand(expected).contiguous()

    @torch.no_grad()
    def regularised(self, rows: StackedRows, weights: Tensor) -> StackedRows:
        """The rows with those of the ridge below."""
        if self.ridge == 0:
            return rows
        lengths = rows.column_lengths(weights, *(p.detach() for p in rows.parameters))
        lengths = torch.where(lengths.isfinite(), lengths, 0)
        return StackedRows((*rows.blocks, Block(RidgeRows(self.ridge * lengths), ())))

    def checked(self, result: ConstrainedField) -> ConstrainedField:
        """The result; failed systems raise if `throw` is set, otherwise those whose gradient is asked for are named."""
        if self.throw:
            return result.raise_if_failed()
        return result.warn_if_failed() if result.weights.requires_grad and not self.quiet else result
