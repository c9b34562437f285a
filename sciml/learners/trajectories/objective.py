"""What is minimised: the error of followed states, of reconstructed ones, and the penalty on the dynamics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Generator, Tensor, nn

from pde_benchmarks.metrics import relative_l2
from sciml.errors import TrainingError
from sciml.learners.neural_ode import EndTimeJitter, SeriesJitter, SolverError
from sciml.learners.trajectories.penalties import Penalty
from sciml.learners.trajectories.surrogate import RollOut

__all__ = ["FollowedError", "Objective", "cannot_follow"]


class Objective(Protocol):
    """A loss whose penalty has a weight, and which knows the deviation of every channel."""

    weight: float
    scale: Tensor

    def __call__(self, module: nn.Module, batch: dict[str, Tensor], generator: Generator) -> Tensor:
        """Loss of a batch."""
        ...


@dataclass
class FollowedError:
    """Mean over the samples of the relative L2 error over all instants, in units of every channel's deviation.

    Parameters
    ----------
    times
        Scaled times of the data, ``(M,)``.
    scale
        Deviation of every channel, ``(channels, 1, …)``.
    reconstruction
        Weight of the autoencoder's own relative error on all frames; 0 where it is not trained.
    penalty
        On the dynamics; None for none.
    jitter
        Part of half a gap by which times move at random.
    weight
        Of the penalty; set anew before every step.
    """

    times: Tensor
    scale: Tensor
    reconstruction: float = 0.0
    penalty: Penalty | None = None
    jitter: float = 0.0
    weight: float = 0.0

    def __call__(self, module: nn.Module, batch: dict[str, Tensor], generator: Generator) -> Tensor:
        """Loss of a batch with ``initial`` ``(B, *shape)`` and ``frames`` ``(B, M, *shape)``.

        Raises
        ------
        TrainingError
            If the solver cannot follow a sample to its end.
        """
        initial, frames = batch["initial"], batch["frames"]
        every = torch.cat([initial[:, None], frames], 1) if self.reconstruction else None
        penalty = self.penalty if self.weight > 0 else None
        regularizer = penalty.make(generator) if penalty is not None else None
        options: dict[str, Any] = {}
        if penalty is not None and regularizer is not None:
            options = {"record": penalty.record, "integrals": penalty.carried(regularizer)}
        try:
            found: RollOut = module(initial, self._moments(generator), every, **options)
        except SolverError as error:
            raise TrainingError(cannot_follow(error.sample, error)) from error
        loss = self._error(found.states, frames)
        if every is not None and found.reconstruction is not None:
            loss = loss + self.reconstruction * self._error(found.reconstruction, every)
        if regularizer is not None:
            size = found.solution.ys[0, 0].numel() if options["integrals"] else 1
            loss = loss + self.weight / size * regularizer(found.solution)
        return loss

    def _error(self, found: Tensor, truth: Tensor) -> Tensor:
        return relative_l2(found / self.scale, truth / self.scale).nanmean()

    def _moments(self, generator: Generator) -> Tensor:
        if not self.jitter:
            return self.times
        moments = torch.cat([self.times.new_zeros(1), self.times])
        if len(self.times) > 1:
            return SeriesJitter(self.jitter, generator)(moments)[1:]
        # One instant: its gap is all of the time.
        return EndTimeJitter(self.jitter / 2, generator)(moments)[1:]


def cannot_follow(sample: int, error: SolverError) -> str:
    """Why a training cannot go on, and what to change."""
    cause = error.status.name.lower().replace("_", " ")
    return (
        f"sample {sample} of a training batch cannot be followed beyond the scaled time {error.t:.3g} of 1 "
        f"({cause}): the dynamics have become too hard for the solver. Use a smaller learning_rate, a penalty "
        "(regularizer=error), looser rtol and atol, or more max_steps."
    )
