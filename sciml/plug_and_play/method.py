"""What every plug-and-play iteration shares: its limits, and the record of how it went."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.errors import ConfigurationError
from sciml.plug_and_play.assumption import Assumption
from sciml.plug_and_play.data_fidelity import DataFidelity
from sciml.plug_and_play.inversion import per_sample
from sciml.plug_and_play.priors import Prior
from sciml.plug_and_play.reconstruction import Reconstruction
from solvers import Status

__all__ = ["RUNNING", "Method", "Trace", "relative_change", "weights", "where_sample"]

RUNNING = -1


@dataclass(frozen=True)
class Method(ABC):
    """How h(x) + weight · R(x) is minimised.

    Parameters
    ----------
    tolerance
        A sample has converged when its fixed-point residual is at most this.
    max_iterations
        Samples still running after so many steps end with `Status.MAX_ITERATIONS`.
    """

    tolerance: float = 1e-6
    max_iterations: int = 3000

    def __post_init__(self) -> None:
        if not 0 < self.tolerance < 1 or self.max_iterations < 1:
            raise ConfigurationError(
                f"tolerance = {self.tolerance}, max_iterations = {self.max_iterations}: a tolerance in (0, 1) and at "
                "least one step are expected."
            )

    @abstractmethod
    def run(self, fidelity: DataFidelity, prior: Prior, weight: float | Tensor, start: Tensor) -> Reconstruction:
        """Iterate from start ``(B, channels, *grid)``; raises for no sample that fails."""


class Trace:
    """The record of one run: which samples go on, and what was measured after each step."""

    def __init__(self, method: Method, start: Tensor) -> None:
        self.method = method
        self.status = torch.full((len(start),), RUNNING, dtype=torch.int8, device=start.device)
        self.iterations = torch.zeros_like(self.status, dtype=torch.int32)
        self.residuals: list[Tensor] = []
        self.objective: list[Tensor] = []
        self.failure = ""
        self.end(~start.flatten(1).isfinite().all(-1), Status.NONFINITE_INPUT)

    @property
    def running(self) -> Tensor:
        """Samples that have not ended, ``(B,)``."""
        return self.status == RUNNING

    def end(self, where: Tensor, status: Status) -> None:
        """Give the status to running samples."""
        self.status = torch.where(where & self.running, int(status), self.status).to(torch.int8)

    def note(self, residual: Tensor, objective: Tensor | None) -> None:
        """Record a step of the running samples, and end those that have converged."""
        running = self.running
        self.iterations += running
        self._append(self.residuals, residual, running)
        if objective is not None:
            self._append(self.objective, objective, running)
        self.end(residual <= self.method.tolerance, Status.CONVERGED)

    def is_over(self) -> bool:
        """Whether no sample goes on."""
        if len(self.residuals) >= self.method.max_iterations:
            self.end(self.running, Status.MAX_ITERATIONS)
        return not bool(self.running.any())

    def result(self, x: Tensor, stationarity: Tensor, assumptions: Sequence[Assumption]) -> Reconstruction:
        """The reconstruction with this record."""
        return Reconstruction(
            x=x,
            status=self.status,
            iterations=self.iterations,
            residuals=torch.stack(self.residuals) if self.residuals else x.new_zeros(0, len(x)),
            objective=torch.stack(self.objective) if self.objective else None,
            stationarity=stationarity,
            assumptions=tuple(assumptions),
            method=type(self.method).__name__,
            failure=self.failure,
        )

    @staticmethod
    def _append(history: list[Tensor], value: Tensor, running: Tensor) -> None:
        history.append(torch.where(running, value, history[-1]) if history else value)


def relative_change(new: Tensor, old: Tensor) -> Tensor:
    """‖new − old‖ / ‖new‖ of each sample, ``(B,)``."""
    size = new.flatten(1).norm(dim=-1).clamp(min=torch.finfo(new.dtype).tiny)
    return (new - old).flatten(1).norm(dim=-1) / size


def where_sample(mask: Tensor, new: Tensor, old: Tensor | None) -> Tensor:
    """New samples where the mask ``(B,)`` says so, the old ones elsewhere; all new where there are no old ones."""
    if old is None:
        return new
    return torch.where(mask.reshape(-1, *(1,) * (new.ndim - 1)), new, old)


def weights(weight: float | Tensor, like: Tensor) -> Tensor:
    """The prior's weight, one a sample ``(B,)``; raises `ConfigurationError` unless it is positive."""
    one_each = per_sample(weight, like).reshape(-1)
    if one_each.numel() not in (1, len(like)) or not bool(((one_each > 0) & one_each.isfinite()).all()):
        raise ConfigurationError(
            f"weight = {weight}: the prior's weight is a positive number, or one a sample, ({len(like)},)."
        )
    return one_each.expand(len(like))
