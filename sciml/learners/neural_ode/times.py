"""Requested times: checked, and in float64 whatever the dtype of the state."""

from __future__ import annotations

import torch
from torch import Tensor

from sciml.learners.neural_ode.errors import IntegrationInputError

__all__ = ["checked_times"]


def checked_times(t_eval: Tensor, z0: Tensor) -> Tensor:
    """Return the times in float64 on the device of the state.

    Parameters
    ----------
    t_eval
        ``(M,)`` strictly monotone, or ``(B, M)`` with rows that are strictly monotone up to repeated last times.
    z0
        Initial states ``(B, ...)``.

    Raises
    ------
    IntegrationInputError
        If they are of another shape, fewer than two, not finite, not monotone, or ask for a gradient.
    """
    if t_eval.ndim not in (1, 2) or t_eval.shape[-1] < 2:
        raise IntegrationInputError(
            f"t_eval has shape {tuple(t_eval.shape)}; expected (M,) or (B, M) with at least two times."
        )
    if t_eval.ndim == 2 and len(t_eval) != len(z0):
        raise IntegrationInputError(f"t_eval has {len(t_eval)} rows for {len(z0)} samples; expected one row each.")
    if t_eval.requires_grad:
        raise IntegrationInputError(
            "t_eval requires a gradient, which the solver does not compute; pass t_eval.detach(). "
            "To learn a duration, multiply f by it and integrate over [0, 1]."
        )
    times = t_eval.to(device=z0.device, dtype=torch.float64)
    rows = times if times.ndim == 2 else times[None]
    if not bool(rows.isfinite().all()):
        raise IntegrationInputError("t_eval contains NaN or infinity; expected finite times.")
    differences = rows.diff(dim=1) * torch.where(rows[:, -1:] < rows[:, :1], -1.0, 1.0)
    finished = rows[:, 1:] == rows[:, -1:]
    repeated = finished & (differences == 0) & (times.ndim == 2)
    wrong = ~((differences > 0) | repeated)
    if bool(wrong.any()):
        row, column = (int(index) for index in wrong.nonzero()[0])
        where = f" of sample {row}" if times.ndim == 2 else ""
        raise IntegrationInputError(
            f"t_eval{where} is not strictly monotone: {float(rows[row, column]):.6g} is followed by "
            f"{float(rows[row, column + 1]):.6g} (only rows of a (B, M) tensor may end with repeated times)."
        )
    return times
