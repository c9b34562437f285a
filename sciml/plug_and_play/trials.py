"""Evaluating a data fidelity where it may fail: at trial points of a line search."""

from __future__ import annotations

import torch
from torch import Tensor

from sciml.plug_and_play.data_fidelity import DataFidelity
from solvers.errors import SolveError

__all__ = ["tried"]


def tried(fidelity: DataFidelity, x: Tensor) -> tuple[Tensor, Tensor, str]:
    """H(x) ``(B,)``, ∇h(x), and what the forward operator said where it failed: there h is infinite.

    The other samples of a batch are evaluated without those that the operator names as failed; where it names none,
    every sample by itself.
    """
    value, gradient = x.new_full((len(x),), torch.inf), torch.zeros_like(x)
    finite = x.flatten(1).isfinite().all(-1).nonzero().reshape(-1)
    pending, message = [finite] if finite.numel() else [], ""
    while pending:
        rows = pending.pop()
        try:
            value[rows], gradient[rows] = fidelity.rows(rows).value_and_gradient(x[rows])
        except SolveError as error:
            message = message or str(error)
            pending += _others(rows, error.batch_indices)
    good = value.isfinite() & gradient.flatten(1).isfinite().all(-1)
    return torch.where(good, value, torch.inf), gradient, message


def _others(rows: Tensor, failed: tuple[int, ...]) -> list[Tensor]:
    """The rows that have not failed; one by one where the error does not say which have."""
    if len(rows) == 1:
        return []
    named = [index for index in set(failed) if 0 <= index < len(rows)]
    if not named:
        return list(rows.split(1))
    left = torch.ones(len(rows), dtype=torch.bool, device=rows.device)
    left[torch.tensor(named, device=rows.device)] = False
    return [rows[left]] if bool(left.any()) else []
