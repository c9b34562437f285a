"""The rows of a batch that a stochastic solve has in work, each with its own time, step size and path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sciml.learners.neural_ode.controller import Times
from sciml.learners.neural_ode.field import RowField
from sciml.learners.neural_ode.saves import Flags, Indices
from sciml.learners.neural_sde.brownian import BrownianPath
from sciml.learners.neural_sde.schemes import Start

__all__ = ["RUNNING", "Ending", "Front"]

RUNNING = -1


class Ending(NamedTuple):
    """How all rows of the batch ended, at what tick, and whether by the drift's fault, ``(G,)``."""

    status: Indices
    reached: Times
    drift_failed: Flags


@dataclass
class Front:
    """The rows in work: where they are and what they try next; times in ticks of their paths.

    Attributes
    ----------
    rows
        Which rows of the batch these are, ``(R,)``.
    x, path
        Their states and W there (float64), ``(R, n)``.
    now, end, h, next_save
        Their time, last time, wanted step size and next requested time, ``(R,)``.
    previous_error, held
        Error of the last accepted step, and whether the last attempt was rejected, ``(R,)``.
    status, drift_failed
        `RUNNING` or how they ended, and whether the drift was not finite in the last attempt, ``(R,)``.
    start
        Drift and diffusion where they are, once evaluated.
    """

    rows: Indices
    drift: RowField
    diffusion: RowField
    brownian: BrownianPath
    x: Tensor
    path: Tensor
    now: Times
    end: Times
    h: Times
    next_save: Times
    previous_error: Times
    held: Flags
    status: Indices
    drift_failed: Flags
    start: Start | None = None

    @property
    def running(self) -> Flags:
        """Which rows have neither finished nor failed."""
        return self.status == RUNNING

    def evaluated(self) -> Start:
        """Evaluate drift and diffusion where the rows are."""
        t = torch.from_numpy(self.brownian.times(self.now)).to(self.x.device, self.x.dtype)
        return Start(t, self.x, self.drift(t, self.x), self.diffusion(t, self.x))

    def taken(self, keep: Indices) -> Front:
        """Return some of the rows."""
        index = torch.from_numpy(keep).to(self.x.device)
        on_host = {name: value[keep] for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        return Front(
            drift=self.drift.take(index), diffusion=self.diffusion.take(index), brownian=self.brownian.take(keep),
            x=self.x[index], path=self.path[index],
            start=None if self.start is None else Start(*(part[index] for part in self.start)), **on_host,
        )  # fmt: skip

    def note(self, ending: Ending) -> None:
        """Write down where the rows are and how they ended."""
        ending.status[self.rows], ending.reached[self.rows] = self.status, self.now
        ending.drift_failed[self.rows] = self.drift_failed
