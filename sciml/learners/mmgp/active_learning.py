"""Which part to simulate next: the one of which the surrogate knows least, then the next given that one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.learners.mmgp.model import Model
from sciml.learners.mmgp.regression import refit_and_predict

__all__ = ["Suggestion", "suggest_next"]


@dataclass(frozen=True)
class Suggestion:
    """Parts of a pool worth simulating.

    Attributes
    ----------
    order
        Their numbers in the pool, the best first.
    uncertainty
        For each, the predicted share of the variance of outputs that is unknown when it is chosen: the mean over fields
        (each the sum over its modes) and scalars; falling.
    """

    order: tuple[int, ...]
    uncertainty: tuple[float, ...]


def suggest_next(model: Model, inputs: Tensor, count: int) -> Suggestion:
    """Choose from regression inputs ``(q, d)`` of a pool, one after the other.

    After each choice its answer is taken to be what is predicted: that leaves the mean as it is, and the variance of a
    Gaussian process does not depend on the answers (fantasies, Ginsbourger et al. 2010). The variance of coefficients
    of M-orthonormal modes is that of the field in the norm of M, so that each mode counts by its energy.
    """
    processes = model.processes
    known = processes.input_mean + processes.input_deviation * processes.inputs
    answers = processes.target_mean + processes.target_deviation * processes.targets
    shares = _shares(model)
    order: list[int] = []
    uncertainty: list[float] = []
    for _ in range(min(count, len(inputs))):
        mean, variance = refit_and_predict(processes, known, answers, inputs)
        score = (variance - processes.noise).clamp_min(0) @ shares
        score[order] = -1.0
        best = int(score.argmax())
        order.append(best)
        uncertainty.append(float(score[best]))
        known = torch.cat([known, inputs[best : best + 1]])
        answers = torch.cat([answers, mean[best : best + 1]])
    return Suggestion(tuple(order), tuple(uncertainty))


def _shares(model: Model) -> Tensor:
    """1 / variance over the training set of each field or scalar, by column ``(m,)``; all outputs count the same."""
    total = model.processes.target_deviation.square()
    shares = torch.zeros_like(total)
    groups = [model.columns.of(name) for name in model.columns.ranks]
    groups += [slice(i, i + 1) for i in map(model.columns.scalar, model.family.output_scalars)]
    for group in groups:
        energy = total[group].sum()
        shares[group] = 1 / energy if energy > 0 else 0.0
    return shares / max(1, len(groups))
