"""Constraints enforced at prediction, on whatever a learner has predicted and without training it again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

from pde_benchmarks.conservation import Conserved
from pde_benchmarks.problem import Batch, Problem
from pde_benchmarks.registry import problem_types
from pde_benchmarks.termwise import TermwiseProblem, TermwiseResidual
from sciml.admissible import Admissible
from sciml.errors import LearnerError
from sciml.learners.hard_constraints import (
    BoxRouter,
    ConstrainedField,
    ConstraintLayer,
    Coupled,
    ErrorNorm,
    LowerBound,
    MixtureOfExperts,
    Unbounded,
)
from solvers.status import Status

__all__ = ["Enforced", "Kind", "enforce", "require_enforceable", "usual_boxes"]

BOXES = {1: (8,), 2: (2, 4), 3: (2, 2, 2)}
POINTS_OF_A_BOX = 8


class Kind(IntEnum):
    """Which field was returned for a sample."""

    KEPT = 0
    CORRECTED = 1
    ENFORCED = 2


@dataclass(frozen=True)
class Enforced:
    """Predictions with constraints enforced; one entry a sample, on the device of the prediction.

    Attributes
    ----------
    outputs
        The field with the smallest estimated error of three, in the prediction's dtype: the prediction itself, the
        prediction plus `TermwiseResidual.correction`, the constrained field. A prediction that is not finite is
        returned as it is.
    kind
        Which of them, codes of `Kind`, int8.
    raw_error
        Estimated relative L2 error of the prediction as it was given, float64: ‖correction‖₂ over the norm of the
        field that is returned; with a bound, over that of the corrected prediction if it is smaller, because a wrong
        bound makes fields large and their errors look small. NaN where the prediction is not finite.
    candidate_errors
        The same of the three fields, over the same norm, ``(B, 3)`` in the order of `Kind`; infinite where a field
        could not be computed.
    status
        How the constrained solve ended, codes of `Status`, int8; a solve that did not converge is a candidate like
        others.
    """

    outputs: Batch
    kind: Tensor
    raw_error: Tensor
    candidate_errors: Tensor
    status: Tensor

    @property
    def estimated_error(self) -> Tensor:
        """Of the outputs: that of the candidate which was returned."""
        return self.candidate_errors.gather(1, self.kind.long().unsqueeze(1)).squeeze(1)


def enforce(
    problem: Problem,
    inputs: Batch,
    prediction: Batch,
    *,
    boxes: tuple[int, ...] | None = None,
    laws: Callable[[Batch], Conserved] | None = None,
    lower: float | None = None,
    batch_size: int = 8,
) -> Enforced:
    """Return for every sample the best of the prediction p, its correction, and a field that the equation constrains.

    The last one is p + Σ_e χ_e (w_e0 (p − u₀) + w_e1 d + E Σ_k w_ek c_k) with p's correction d, the problem's offset
    u₀, envelope E and closed forms c_k, and windows χ_e of boxes that are solved together. It minimises the *error
    norm*: the norm of the residual carried through an approximate inverse of its derivative; in the residual's own norm
    the same solve can make a prediction worse. Fields are compared by that norm, too. All is computed in float64.

    Parameters
    ----------
    inputs, prediction
        Fields of the same samples on the same grid, any resolution.
    boxes
        Along every axis; None: `usual_boxes`.
    laws
        Conservation laws that the solution satisfies, e.g. ``problem.conserved``. All three fields are moved onto them,
        to rounding.
    lower
        Least value of the solution, e.g. 0 for a concentration; all three fields are kept above.
    batch_size
        Samples solved at once.

    Notes
    -----
    Without laws and bound the estimated error is never above that of the prediction. With them it is never above that
    of the prediction moved to satisfy them, which is nearer to the solution in L2 than the prediction, if they are
    right. Laws or a bound that the solution does not satisfy make it worse: `estimated_error` is then above
    `raw_error`.

    The error is that against the *discrete* solution, where the residual vanishes. A learner trained on better data
    may be nearer to the exact solution; enforcing then takes it away from there, by up to the discretisation's error.

    Raises
    ------
    LearnerError
        The problem's equation does not act point by point, or predictions and inputs differ in number or grid.
    ConfigurationError
        The bound is not finite, or a number of boxes is not positive.
    ProblemError
        The equation has no meaning for the inputs.

    Examples
    --------
    >>> from pde_benchmarks import DiffusionSorption
    >>> problem = DiffusionSorption(resolution=16, frames=8)
    >>> start = problem.sample(2, torch.Generator().manual_seed(0))
    >>> wrong = Batch({"solution": 0.8 * problem.discrete_solution(start)["solution"]})
    >>> found = enforce(problem, start, wrong)
    >>> bool((found.estimated_error < 0.1 * found.raw_error).all())
    True
    """
    known = require_enforceable(problem)
    problem.check(inputs)
    solve = _Constraint(known, boxes, laws, lower)
    (name,) = (spec.name for spec in problem.outputs)
    if prediction.count != inputs.count:
        raise LearnerError(f"{name}: {prediction.count} predictions for {inputs.count} inputs; give one for each.")
    if inputs.count == 0:
        return _nothing(prediction)
    parts = []
    for start in range(0, inputs.count, batch_size):
        rows = slice(start, start + batch_size)
        parts.append(solve(inputs.rows(rows).to(dtype=torch.float64), name, prediction[name][rows]))
    return Enforced(
        outputs=Batch({name: torch.cat([part.outputs[name] for part in parts])}),
        kind=torch.cat([part.kind for part in parts]),
        raw_error=torch.cat([part.raw_error for part in parts]),
        candidate_errors=torch.cat([part.candidate_errors for part in parts]),
        status=torch.cat([part.status for part in parts]),
    )


def _nothing(prediction: Batch) -> Enforced:
    (field, *_) = prediction.values()
    code, number = field.new_zeros(0, dtype=torch.int8), field.new_zeros(0, dtype=torch.float64)
    return Enforced(prediction, code, number, number.new_zeros(0, len(Kind)), code)


def usual_boxes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Boxes along every axis of a grid: 8 in one dimension, 2 × 4, or 2 × 2 × 2; fewer where they had under 8 points.

    Examples
    --------
    >>> usual_boxes((51, 64)), usual_boxes((51, 16)), usual_boxes((4, 32, 32))
    ((2, 4), (2, 2), (1, 2, 2))
    """
    counts = BOXES.get(len(shape), (1,) * len(shape))
    return tuple(min(k, max(1, n // POINTS_OF_A_BOX)) for k, n in zip(counts, shape, strict=True))


def require_enforceable(problem: Problem) -> TermwiseProblem:
    """The problem, whose equation acts point by point on terms of its output; raises `LearnerError` otherwise."""
    if not isinstance(problem, TermwiseProblem):
        able = sorted(name for name, kind in problem_types().items() if issubclass(kind, TermwiseProblem))
        raise LearnerError(
            f"{problem.name}: constraints need an equation that acts point by point on terms of one output field; "
            f"problems with one: {', '.join(able)}."
        )
    return problem


@dataclass(frozen=True)
class _Constraint:
    """The arguments of `enforce` that all batches share."""

    problem: TermwiseProblem
    boxes: tuple[int, ...] | None
    laws: Callable[[Batch], Conserved] | None
    lower: float | None

    def __post_init__(self) -> None:
        Admissible(None, self.lower)  # refuses a bound that is not finite

    @torch.no_grad()
    def __call__(self, inputs: Batch, name: str, given: Tensor) -> Enforced:
        residual, offset = self.problem.termwise(inputs), self.problem.offset(inputs)
        shape = tuple(residual.shape)
        if given.shape != (inputs.count, 1, *shape):
            raise LearnerError(
                f"{name}: prediction of shape {tuple(given.shape)}, but the inputs are on a grid that needs "
                f"{(inputs.count, 1, *shape)}; predict at the resolution of the inputs."
            )
        usable = given.flatten(1).isfinite().all(1)
        # A stand-in keeps what is not finite out of the batch.
        p = torch.where(_each(usable, offset), given[:, 0].to(offset), offset)
        correction = residual.correction(p)
        field = self.constrained(residual, inputs, p, offset, correction)
        set_of = Admissible(None if self.laws is None else self.laws(inputs), self.lower)
        candidates = [set_of.moved(_finite(u, p)) for u in (p, p + correction, field.values)]
        sizes = torch.stack([_size(residual.correction(u)) for u in candidates], 1).nan_to_num(
            nan=torch.inf, posinf=torch.inf
        )
        kind = sizes.argmin(1)
        # No better field can be told from this one in its dtype.
        exact = sizes[:, 0] <= torch.finfo(given.dtype).eps * _size(candidates[0])
        kind = torch.where(usable & ~exact, kind, Kind.KEPT)
        best = torch.stack(candidates, 1)[torch.arange(len(kind), device=kind.device), kind]
        norm, before = _size(best), _size(correction)
        if self.lower is not None:
            norm = torch.minimum(norm, _size(_finite(p + correction, best)))
        outputs = torch.where(_each(usable, given), best.to(given.dtype).unsqueeze(1), given)
        return Enforced(
            outputs=Batch({name: outputs}),
            kind=kind.to(torch.int8),
            raw_error=torch.where(usable, _ratio(before, norm), torch.nan),
            candidate_errors=torch.where(usable[:, None], _ratio(sizes, norm[:, None]), torch.nan),
            status=torch.where(usable, field.status[:, 0], Status.NONFINITE_INPUT).to(torch.int8),
        )

    def constrained(
        self, residual: TermwiseResidual, inputs: Batch, p: Tensor, offset: Tensor, correction: Tensor
    ) -> ConstrainedField:
        """The combination of prediction, correction and closed forms with the smallest error norm, starting at p."""
        forms = [self.problem.envelope(inputs) * form for form in self.problem.closed_forms(inputs).values()]
        basis = torch.stack([p - offset, correction, *forms], 1)
        # A prediction is close to the solution: the inverse is not taken anew as often as from nothing.
        norm = ErrorNorm(updates=2)
        layer = ConstraintLayer(norm=norm, bound=Unbounded() if self.lower is None else LowerBound(self.lower))
        router = BoxRouter(usual_boxes(residual.shape) if self.boxes is None else self.boxes)
        count = len(router.extents(residual.shape))
        start = p.new_zeros(len(p), count, basis.shape[1])
        return MixtureOfExperts(layer, router, Coupled())(residual, basis, p, start)


def _finite(fields: Tensor, otherwise: Tensor) -> Tensor:
    """The fields, and the others for samples that are not finite."""
    return torch.where(_each(fields.flatten(1).isfinite().all(1), fields), fields, otherwise)


def _each(mask: Tensor, like: Tensor) -> Tensor:
    """One value a sample ``(B,)``, with the axes of an array ``(B, …)``."""
    return mask.reshape(-1, *(1,) * (like.ndim - 1))


def _size(fields: Tensor) -> Tensor:
    return fields.flatten(1).norm(dim=1)


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """part / whole, and 0 where both vanish."""
    return torch.where(part == 0, 0.0, part / whole)
