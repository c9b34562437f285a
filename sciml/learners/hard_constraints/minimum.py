"""Minima of least-squares problems for weights: found, judged, and attached to autograd."""

from __future__ import annotations

import torch
from torch import Tensor

from sciml.learners.hard_constraints.stacked_rows import StackedRows
from solvers.nonlinear import Factorisation, Orthogonal
from solvers.nonlinear.linear_model import column_lengths
from solvers.nonlinear.norm import norm
from solvers.nonlinear.residual_function import bound

__all__ = ["damped_fit", "gauss_newton_step"]


@torch.no_grad()
def gauss_newton_step(rows: StackedRows, weights: Tensor, factorisation: Factorisation) -> Tensor:
    """The shortest step to the minimum of the rows linearised at the weights ``(B, K, N)``; NaN where they are."""
    function = bound(rows, tuple(p.detach() for p in rows.parameters))
    r = function(weights)
    near = factorisation.linearisation(function, weights, r)
    finite = near.lengths.isfinite().all(-1, keepdim=True) & r.isfinite().all(-1, keepdim=True)
    scale = torch.where(finite & (near.lengths > 0), near.lengths, 1)
    step, _, _ = near.model(finite, torch.where(finite, norm(r), 0), scale).undamped()
    return torch.where(finite, step, torch.nan)


@torch.no_grad()
def damped_fit(A: Tensor, c: Tensor, damping: float = 1e-6) -> Tensor:
    """Weights ``(B, N)`` with small A w + c that are small themselves; zero where A or c are not finite."""
    J, r = A.detach(), c.detach()
    finite = (J.isfinite().flatten(-2).all(-1) & r.isfinite().all(-1)).unsqueeze(-1)
    J, r = torch.where(finite.unsqueeze(-1), J, 0), torch.where(finite, r, 0)
    lengths = column_lengths(J)
    model = Orthogonal().model(J, r, norm(r), torch.where(lengths > 0, lengths, 1))
    step, _ = model.damped(torch.full_like(model.size, damping))
    return torch.where(finite, step, 0)
