"""Collecting the state at the requested times while samples advance at their own pace."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sciml.learners.neural_ode.controller import Times
from sciml.learners.neural_ode.step import Step, interpolate
from sciml.learners.neural_ode.tableaux import Pair

__all__ = ["Saves"]

Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]


class Saves:
    """Outputs of G rows at M times; which of them a step passes is found by masks.

    Parameters
    ----------
    times
        Requested times in the direction of integration (never decreasing), ``(G, M)``.
    start
        States at the first time, ``(G, n)``.
    """

    def __init__(self, times: Times, start: Tensor) -> None:
        self.times = times
        self._shape = (times.shape[1], *start.shape)
        self._rows: list[Indices] = []
        self._columns: list[Indices] = []
        self._values: list[Tensor] = []
        rows, columns = (times == times[:, :1]).nonzero()
        self._store(rows, columns, start, rows)

    def next_times(self, rows: Indices, reached: Times) -> Times:
        """Return for some rows the next requested time after ``reached``; infinity where there is none, ``(R,)``."""
        times = self.times[rows]
        return np.where(times > reached[:, None], times, math.inf).min(axis=1)

    def collect(
        self, tableau: Pair, rows: Indices, accepted: Flags, begin: Times, reached: Times, x: Tensor, step: Step
    ) -> None:
        """Store the states at all requested times in ``(begin, reached]`` of the rows whose step was accepted.

        Parameters
        ----------
        rows
            Which rows the other arguments are about, ``(R,)``.
        accepted, begin, reached
            Whether the step counts, and its interval in the direction of integration, ``(R,)``.
        x, step
            Start of the step ``(R, n)``, and the step.
        """
        times = self.times[rows]
        passed = accepted[:, None] & (times > begin[:, None]) & (times <= reached[:, None])
        at_end = passed & (times == reached[:, None])
        local, column = at_end.nonzero()
        if len(local):
            self._store(rows[local], column, step.end, local)
        local, column = (passed & ~at_end).nonzero()
        if len(local):
            fraction = (times[local, column] - begin[local]) / (reached - begin)[local]
            index = torch.from_numpy(local).to(x.device)
            values = interpolate(tableau, x, step, index, fraction)
            self._store(rows[local], column, values, np.arange(len(local)))

    def _store(self, rows: Indices, columns: Indices, values: Tensor, taken: Indices) -> None:
        self._rows.append(rows)
        self._columns.append(columns)
        whole = len(taken) == len(values) and bool((taken == np.arange(len(values))).all())
        self._values.append(values if whole else values[torch.from_numpy(taken).to(values.device)])

    def assembled(self) -> Tensor:
        """Return all outputs, ``(M, G, n)``; NaN where the integration ended before."""
        values = torch.cat(self._values)
        columns, rows = np.concatenate(self._columns), np.concatenate(self._rows)
        position = np.full(self._shape[:2], -1)
        position[columns, rows] = np.arange(len(rows))
        if (position < 0).any():
            values = torch.cat([values, values.new_full((1, self._shape[2]), math.nan)])
        return values[torch.from_numpy(position.ravel()).to(values.device)].reshape(self._shape)
