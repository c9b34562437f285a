"""What every attempt of every row measured, gathered into arrays at the end."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sciml.learners.neural_ode.estimates import Estimates, Evidence

__all__ = ["History"]

# So many attempts are measured together: fewer, larger operations, and vectors are not kept for longer than needed.
_TOGETHER = 16


class History:
    """Records of attempts; rows that have finished are left out of later records.

    Parameters
    ----------
    groups
        Number of rows G.
    device
        Where the assembled arrays go.
    estimates
        What is measured in every attempt.
    """

    def __init__(self, groups: int, device: torch.device, estimates: Estimates) -> None:
        self.groups = groups
        self.device = device
        self.estimates = estimates
        self._blocks: list[tuple[NDArray[np.int64], dict[str, list[Any]]]] = []
        self._pending: list[Evidence] = []

    def open(self, rows: NDArray[np.int64]) -> None:
        """Begin a block of attempts of the given rows, ``(R,)``."""
        self._measure()
        self._blocks.append((rows, {}))

    def add(self, record: dict[str, Any], evidence: Evidence) -> None:
        """Append one attempt: named arrays or tensors with R rows, and what it is judged by."""
        for name, value in record.items():
            self._blocks[-1][1].setdefault(name, []).append(value)
        self._pending.append(evidence)
        if len(self._pending) == _TOGETHER:
            self._measure()

    def _measure(self) -> None:
        if self._pending:
            for name, values in self.estimates.measured(self._pending).items():
                self._blocks[-1][1].setdefault(name, []).extend(values.unbind())
            self._pending = []

    def assembled(self) -> dict[str, Tensor]:
        """Return every quantity as ``(attempts, G, ...)``; zero (False) where a row took no part."""
        self._measure()
        blocks = [(rows, records) for rows, records in self._blocks if records]
        if not blocks:
            return {}
        return {
            name: torch.cat([self._scattered(rows, records[name]) for rows, records in blocks]) for name in blocks[0][1]
        }

    def _scattered(self, rows: NDArray[np.int64], values: list[Any]) -> Tensor:
        if isinstance(values[0], Tensor):
            stacked = torch.stack(values)
        else:
            stacked = torch.from_numpy(np.stack(values)).to(self.device)
        if len(rows) == self.groups:
            return stacked
        shape = (len(values), self.groups, *stacked.shape[2:])
        index = torch.from_numpy(rows).to(self.device)
        return torch.zeros(shape, dtype=stacked.dtype, device=self.device).index_copy(1, index, stacked)
