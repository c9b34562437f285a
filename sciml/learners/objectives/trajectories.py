"""Trajectories: errors of steps from true frames, from frames that the network made itself, and of several in a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor, nn

from sciml.errors import LearnerError
from sciml.learners.field_map import RollOut
from sciml.learners.objectives.objective import field_error
from sciml.learners.objectives.supervised import ROWS

if TYPE_CHECKING:
    from pde_benchmarks.datasets import Dataset

__all__ = ["Trajectories"]


@dataclass(frozen=True)
class Trajectories:
    """Mean error of ``unroll`` steps from a random frame of every trajectory of the batch.

    With one step and nothing more this is teacher forcing. Derivatives pass through all unrolled steps. Before them up
    to ``push_forward`` steps are taken whose derivatives are cut (Brandstetter, Worrall, Welling 2022): the network
    learns to go on from the frames that it makes itself, at the cost of a prediction.

    Parameters
    ----------
    fields
        The step that is learned, and the problem's boundary.
    h1_weight
        Weight of the H¹ part of the error.
    unroll, push_forward
        As above; the number of pushed steps is drawn anew for every batch, 0 included.
    noise
        Standard deviation of noise on the frame that the steps start from, as a fraction of the data's.
    """

    fields: RollOut
    h1_weight: float
    unroll: int
    push_forward: int
    noise: float

    def prepare(self, dataset: Dataset) -> dict[str, Tensor]:
        """Trajectories with their initial state, ``(count, time, channel, *grid)``.

        Raises
        ------
        LearnerError
            If they have fewer frames than a loss needs.
        """
        evolution = self.fields.evolution
        first = dataset.inputs[evolution.inputs[0].name][:, None]
        frames = torch.cat([first, dataset.outputs[evolution.state.name]], 1).to(torch.float32)
        needed = 1 + self.unroll + self.push_forward
        if frames.shape[1] < needed:
            raise LearnerError(
                f"{dataset.name}: {frames.shape[1]} frames a trajectory, the initial one included, but unroll="
                f"{self.unroll} and push_forward={self.push_forward} need {needed}: use smaller ones or more frames."
            )
        return {"frames": frames}

    def statistics(self, arrays: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Features of all frames but the last, and what a step adds to its base."""
        frames = arrays["frames"]
        features, added = [], []
        for start in range(0, len(frames), ROWS):
            rows = frames[start : start + ROWS]
            made = self.fields.features(self.fields.problem.as_inputs(rows[:, :-1].flatten(0, 1)))
            features.append(made["features"])
            added.append(rows[:, 1:].flatten(0, 1) - made["base"])
        return torch.cat(features), torch.cat(added)

    def __call__(self, module: nn.Module, batch: Mapping[str, Tensor], generator: Generator) -> Tensor:
        """The mean error of the unrolled steps."""
        frames = batch["frames"]
        pushes = int(torch.randint(self.push_forward + 1, (1,), generator=generator))
        steps = pushes + self.unroll
        rows = torch.arange(len(frames))
        starts = torch.randint(frames.shape[1] - steps, (len(frames),), generator=generator)
        state = frames[rows, starts]
        if self.noise:
            draws = torch.randn(state.shape, generator=generator).to(state)
            state = state + self.noise * frames.std() * draws
        with torch.no_grad():
            for _ in range(pushes):
                state = self.fields.step(module, state)
        errors = []
        for step in range(pushes, steps):
            state = self.fields.step(module, state)
            truth = frames[rows, starts + step + 1]
            errors.append(field_error(state, truth, self.fields.evolution.grid.boundary, self.h1_weight).nanmean())
        return torch.stack(errors).mean()
