"""Evolution problems: a state that is carried from one frame to the next by the same law, again and again."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, Self

import torch
from torch import Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.guessed import GuessedProblem
from pde_benchmarks.metrics import relative_l2
from pde_benchmarks.problem import Batch, FieldSpec, Grid, Times

__all__ = ["EvolutionProblem", "OneStep", "trajectory_metrics"]


class EvolutionProblem(GuessedProblem):
    """A field on a grid at the instants ``interval, 2 interval, …``, given its initial state.

    Subclasses are frozen dataclasses with the fields ``frames`` (how many instants) and ``interval`` (time between
    two). Trajectories have the shape ``(batch, time, channel, *grid)``.
    """

    guesses: ClassVar[tuple[str, ...]] = ()
    frames: int
    interval: float

    @property
    @abstractmethod
    def state(self) -> FieldSpec:
        """The field that evolves."""

    @abstractmethod
    def advance(self, state: Tensor) -> Tensor:
        """States ``(batch, channel, *grid)`` one interval later, by the reference solver; same dtype."""

    def guess_step(self, state: Tensor, kind: str) -> Tensor:
        """States one interval later by a cheap solver named in `guesses`; differentiable."""
        raise ProblemError(f"{self.name}: first guess {kind!r} is unknown: this problem has {self.guesses or 'none'}.")

    @property
    def grid(self) -> Grid:
        """Where the state lives."""
        support = self.state.support
        assert isinstance(support, Grid)
        return support

    @property
    def inputs(self) -> tuple[FieldSpec, ...]:
        """The initial state."""
        return (dataclasses.replace(self.state, name=f"initial_{self.state.name}"),)

    @property
    def outputs(self) -> tuple[FieldSpec, ...]:
        """The trajectory, initial state left out."""
        instants = tuple(self.interval * (k + 1) for k in range(self.frames))
        return (dataclasses.replace(self.state, support=Times(instants, self.grid)),)

    def with_frames(self, frames: int) -> Self:
        """The same law followed for another number of frames."""
        return dataclasses.replace(self, frames=frames)  # type: ignore[type-var]

    def solve(self, inputs: Batch) -> Batch:
        """Reference trajectories ``(count, frames, channel, *grid)``."""
        return Batch({self.state.name: self._followed(inputs, self.advance)})

    def first_guess(self, inputs: Batch, kind: str) -> Batch:
        """Trajectories of the cheap solver `guess_step`."""
        return Batch({self.state.name: self._followed(inputs, lambda state: self.guess_step(state, kind))})

    def residual(self, inputs: Batch, outputs: Batch) -> Batch:
        """Defect of every frame: itself minus `advance` of the frame before it; as differentiable as `advance` is."""
        trajectory = outputs[self.state.name]
        before = torch.cat([inputs[self.inputs[0].name][:, None], trajectory[:, :-1]], dim=1)
        return Batch({self.state.name: trajectory - self.advance(before.flatten(0, 1)).reshape(trajectory.shape)})

    def metrics(self, prediction: Batch, truth: Batch) -> dict[str, float]:
        """Those of `trajectory_metrics`."""
        return trajectory_metrics(prediction[self.state.name], truth[self.state.name])

    def _followed(self, inputs: Batch, step: Callable[[Tensor], Tensor]) -> Tensor:
        state = inputs[self.inputs[0].name]
        frames = []
        for _ in range(self.frames):
            state = step(state)
            frames.append(state)
        return torch.stack(frames, 1)


@torch.no_grad()
def trajectory_metrics(prediction: Tensor, truth: Tensor) -> dict[str, float]:
    """Relative L² errors of ``(batch, time, channel, *grid)``, averaged over samples.

    Of the whole trajectory, and of its first and last frame; ``relative_l2_worst`` is the largest error of a
    trajectory, ``left_out`` the number of those that are zero throughout and count in none.
    """
    whole = relative_l2(prediction.flatten(1, 2), truth.flatten(1, 2))
    kept = whole[~whole.isnan()]
    return {
        "relative_l2": kept.mean().item(),
        "relative_l2_first_frame": relative_l2(prediction[:, 0], truth[:, 0]).nanmean().item(),
        "relative_l2_last_frame": relative_l2(prediction[:, -1], truth[:, -1]).nanmean().item(),
        "relative_l2_worst": kept.max().item() if len(kept) else float("nan"),
        "left_out": float(len(whole) - len(kept)),
    }


@dataclasses.dataclass(frozen=True)
class OneStep(GuessedProblem):
    """One step of an evolution as a problem of its own: the map from a frame to the next one."""

    whole: EvolutionProblem

    @property
    def name(self) -> str:  # type: ignore[override]
        """That of the evolution."""
        return self.whole.name

    @property
    def guesses(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the evolution."""
        return self.whole.guesses

    @property
    def isotropic(self) -> bool:  # type: ignore[override]
        """That of the evolution."""
        return self.whole.isotropic

    @property
    def inputs(self) -> tuple[FieldSpec, ...]:
        """A frame."""
        return self.whole.inputs

    @property
    def outputs(self) -> tuple[FieldSpec, ...]:
        """The next frame."""
        return (self.whole.state,)

    def sample(self, count: int, generator: torch.Generator) -> Batch:
        """Initial states."""
        return self.whole.sample(count, generator)

    def as_inputs(self, state: torch.Tensor) -> Batch:
        """A frame under the name of the input field."""
        return Batch({self.inputs[0].name: state})

    def solve(self, inputs: Batch) -> Batch:
        """One interval of the reference solver."""
        return Batch({self.whole.state.name: self.whole.advance(inputs[self.inputs[0].name])})

    def residual(self, inputs: Batch, outputs: Batch) -> Batch:
        """The outputs minus one interval of the reference solver."""
        name = self.whole.state.name
        return Batch({name: outputs[name] - self.solve(inputs)[name]})

    def first_guess(self, inputs: Batch, kind: str) -> Batch:
        """The evolution's cheap step."""
        return Batch({self.whole.state.name: self.whole.guess_step(inputs[self.inputs[0].name], kind)})
