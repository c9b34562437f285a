"""Closed forms near the solution: how a half-line answers to its boundary value if R does not vary."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pde_benchmarks.diffusion_sorption.column import TYPICAL_RETARDATION, Column
from pde_benchmarks.grid import axis_points

__all__ = ["closed_forms", "left_response", "places"]


def places(column: Column) -> tuple[Tensor, Tensor]:
    """τ and x in [0, 1] of all points, each ``(frames, n)``, in the dtype of the data."""
    t = torch.linspace(0, 1, column.frames, dtype=torch.float64)
    x = axis_points(column.cells, "cell")
    t, x = torch.meshgrid(t.to(column.initial), x.to(column.initial), indexing="ij")
    return t, x


def closed_forms(column: Column) -> Mapping[str, Tensor]:
    """1, t, x, tx, x², t² and what comes in from either end, each ``(B, frames, n)``.

    ``erfc_left`` is `left_response`, ``erfc_right`` is erfc((1 − x)/(2√(kτ))) with k = S/4.

    Examples
    --------
    >>> from pde_benchmarks.diffusion_sorption import DiffusionSorption
    >>> problem = DiffusionSorption(resolution=8, frames=3)
    >>> column = problem.column(problem.sample(2, torch.Generator().manual_seed(0)))
    >>> {name: tuple(form.shape) for name, form in closed_forms(column).items()}["erfc_left"]
    (2, 3, 8)
    """
    t, x = places(column)
    polynomials = {"1": torch.ones_like(t), "t": t, "x": x, "tx": t * x, "xx": x.square(), "tt": t.square()}
    count = len(column.initial)
    forms = {name: field.expand(count, *field.shape) for name, field in polynomials.items()}
    return {**forms, "erfc_left": left_response(column), "erfc_right": _arrived(column, 1 - x)}


def left_response(column: Column) -> Tensor:
    """Σ_k (g_k − g_{k−1}) erfc(x/(2√(k (τ − τ_{k−1})))), g_0 = 0: concentrations behind the left end's history.

    The jumps of the boundary value g superposed (Duhamel), with R = 4 throughout: ``(B, frames, n)``. For a constant g
    it is g erfc(x/(2√(kτ))).
    """
    _, x = places(column)
    wave = _arrived(column, x)
    since = torch.cat([torch.zeros_like(column.left[:, :1]), column.left[:, 1:]], 1)
    jumps = since.diff(dim=1)
    later = torch.arange(column.frames, device=x.device)
    lag = later[:, None] - later[None, :-1]  # of frame n behind the jump at the beginning of step k
    table = wave[:, lag.clamp_min(0)] * (lag > 0)[..., None]
    return torch.einsum("bnkx,bk->bnx", table, jumps)


def _arrived(column: Column, distance: Tensor) -> Tensor:
    """erfc(distance/(2√(kτ))) with k = S/4, zero at the start: ``(B, frames, n)``."""
    t, _ = places(column)
    spread = 2 * (column.rate[..., None] / TYPICAL_RETARDATION * t).sqrt()
    return torch.special.erfc(distance / spread.clamp_min(torch.finfo(t.dtype).tiny))
