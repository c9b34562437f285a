"""States at the requested times, most of them inside of steps, with the path's own noise there."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sciml.learners.neural_ode.controller import Times
from sciml.learners.neural_ode.saves import Flags, Indices, Saves
from sciml.learners.neural_sde.brownian import BrownianPath
from sciml.learners.neural_sde.schemes import Start, StochasticStep

__all__ = ["PathSaves"]


class PathSaves(Saves):
    """Outputs of G rows at M times, in ticks of their paths; requested times do not shorten steps."""

    def collect_from_path(
        self, brownian: BrownianPath, rows: Indices, accepted: Flags, begin: Times, reached: Times,
        start: Start, step: StochasticStep, at_begin: Tensor, noise: Tensor,
    ) -> None:  # fmt: skip
        """Store the states at all requested times in ``(begin, reached]`` of the rows whose step was accepted.

        Parameters
        ----------
        brownian
            The paths of the rows in work.
        rows
            Which rows the other arguments are about, ``(R,)``.
        accepted, begin, reached
            Whether the step counts, and its interval, ``(R,)``.
        start, step
            The step.
        at_begin, noise
            W at its begin, float64, and its increment, ``(R, n)``.
        """
        times = self.times[rows]
        passed = accepted[:, None] & (times > begin[:, None]) & (times <= reached[:, None])
        at_end = passed & (times == reached[:, None])
        local, column = at_end.nonzero()
        if len(local):
            self._store(rows[local], column, step.end, local)
        local, column = (passed & ~at_end).nonzero()
        if len(local):
            ticks, device = times[local, column], start.x.device
            index = torch.from_numpy(local).to(device)
            partial = (brownian.at(ticks, local) - at_begin[index]).to(start.x.dtype)
            fraction = torch.from_numpy((ticks - begin[local]) / (reached - begin)[local])
            fraction = fraction.to(device, start.x.dtype)[:, None]
            values = step.interpolated(start, noise, index, fraction, partial)
            self._store(rows[local], column, values, np.arange(len(local)))
