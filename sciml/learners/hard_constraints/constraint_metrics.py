"""How well predictions satisfy the equation, and how the solves behind them went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pde_benchmarks.problem import Batch
from sciml.learners.hard_constraints.boxes import Boxes
from sciml.learners.hard_constraints.constrained_field import ConstrainedField
from sciml.learners.hard_constraints.expert_metrics import interface_jump, load_imbalance
from sciml.learners.hard_constraints.residual_size import relative_size, residual_mean_square
from sciml.learners.hard_constraints.termwise_fields import TermwiseFields
from solvers.status import Status

__all__ = ["averaged", "residual_numbers", "solve_numbers"]


@torch.no_grad()
def residual_numbers(fields: TermwiseFields, inputs: Batch, values: Tensor) -> dict[str, Tensor]:
    """Relative sizes ``(B,)`` of the residual of fields ``(B, *shape)``.

    ``residual_error_norm`` estimates the relative error of the prediction against the discrete equation's solution;
    ``residual_plain_norm`` is that of the rows themselves.
    """
    residual, field = fields.residual(inputs), values.to(torch.float64)
    return {
        f"residual_{norm}_norm": relative_size(residual_mean_square(residual, field, norm), field)
        for norm in ("error", "plain")
    }


@torch.no_grad()
def solve_numbers(field: ConstrainedField, basis: Tensor, boxes: Boxes | None) -> dict[str, Tensor]:
    """``converged`` (share of a sample's systems), ``iterations``, ``condition`` (where known); of experts their jump.

    ``interface_jump`` is relative to the field's root mean square, ``load_imbalance`` the largest box over the mean.
    """
    numbers = {
        "converged": (field.status == Status.CONVERGED).double().mean(1),
        "iterations": field.iterations.double().mean(1),
        "condition": field.condition.double().amax(1),
    }
    if boxes is not None:
        size = field.values.double().square().flatten(1).mean(1).sqrt()
        jump = interface_jump(basis, field.weights, boxes)
        numbers["interface_jump"] = jump / torch.where(size > 0, size, 1)
        numbers["load_imbalance"] = torch.full_like(jump, load_imbalance(boxes))
    return numbers


def averaged(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, float]:
    """Means over all samples; the median of conditions, which vary by powers of ten. What is not finite is left out."""
    result = {}
    for name in parts[0] if parts else ():
        values = torch.cat([part[name] for part in parts])
        number = values.median() if name == "condition" else values.mean()
        if bool(number.isfinite()):
            result[name] = float(number)
    return result
