"""The map that a grid learner's network computes: inputs to features, the answer to fields, once or frame by frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pde_benchmarks.complex_channels import from_channels
from pde_benchmarks.elliptic import EllipticProblem
from pde_benchmarks.evolution import EvolutionProblem, OneStep
from pde_benchmarks.problem import Batch, Complex, Problem
from sciml.errors import LearnerError
from sciml.learners.grid_features import GridFeatures

if TYPE_CHECKING:
    from sciml.learners.grid_learner import GridConfig

__all__ = ["FieldMap", "RollOut", "field_map"]


class FieldMap:
    """Inputs ↦ outputs of a problem by a network between its features and its fields.

    Parameters
    ----------
    problem
        What the network maps; for an evolution, one step of it.
    config
        Its first guess, and the V-cycles that follow the network.
    """

    def __init__(self, problem: Problem, config: GridConfig) -> None:
        self.problem, self.config = problem, config
        self.features = GridFeatures(problem, config.base)

    @property
    def outputs(self) -> int:
        """Channels that the network answers."""
        return sum(spec.real_channels for spec in self.problem.outputs)

    def in_precision(self, inputs: Batch, real: torch.dtype, device: torch.device | None = None) -> Batch:
        """The inputs on ``device`` with real numbers of dtype ``real``, and complex ones of the same precision."""
        return Batch(
            {
                name: field.to(device=device, dtype=real.to_complex() if field.is_complex() else real)
                for name, field in inputs.items()
            }
        )

    def arrays(self, inputs: Batch) -> dict[str, Tensor]:
        """Features; with V-cycles to come also the inputs themselves, which they need."""
        arrays = self.features(inputs)
        known = isinstance(self.problem, EllipticProblem) and self.config.knows_equation
        return {**arrays, **inputs} if known else arrays

    def completed(self, arrays: Mapping[str, Tensor], answer: Tensor, cycles: int) -> Tensor:
        """Add the base to the network's answer and run V-cycles of the problem's own multigrid, where it has one."""
        fields = arrays["base"] + answer if "base" in arrays else answer
        if not cycles or not self.config.knows_equation:
            return fields
        assert isinstance(self.problem, EllipticProblem)  # GridConfig's check saw to it
        name = self.problem.output.name
        inputs = Batch({spec.name: arrays[spec.name] for spec in self.problem.inputs})
        return self.problem.cycle(inputs, Batch({name: fields}), cycles)[name]

    def fields(self, module: nn.Module, inputs: Batch, more_cycles: int = 0) -> Tensor:
        """All output channels ``(batch, channels, *grid)`` for inputs in the network's dtype."""
        arrays = self.arrays(inputs)
        return self.completed(arrays, module(arrays["features"]), self.config.post_cycles + more_cycles)

    def predict(self, module: nn.Module, inputs: Batch, more_cycles: int = 0) -> Batch:
        """Output fields of a batch."""
        return self.split(self.fields(module, inputs, more_cycles))

    def split(self, values: Tensor) -> Batch:
        """Output channels ``(batch, channels, *grid)`` under the fields' names."""
        fields, start = {}, 0
        for spec in self.problem.outputs:
            channels = values[:, start : start + spec.real_channels]
            fields[spec.name] = from_channels(channels) if isinstance(spec.kind, Complex) else channels
            start += spec.real_channels
        return Batch(fields)


class RollOut(FieldMap):
    """A trajectory by one network, applied to its own answer once per frame."""

    problem: OneStep

    def __init__(self, evolution: EvolutionProblem, config: GridConfig) -> None:
        super().__init__(OneStep(evolution), config)
        self.evolution = evolution

    def step(self, module: nn.Module, state: Tensor) -> Tensor:
        """The next frame ``(batch, channel, *grid)``."""
        return self.fields(module, self.problem.as_inputs(state))

    def predict(self, module: nn.Module, inputs: Batch, more_cycles: int = 0) -> Batch:
        """Trajectories ``(batch, time, channel, *grid)`` of as many frames as the problem has.

        Raises
        ------
        LearnerError
            If a frame is not finite; it is named.
        """
        state = inputs[self.problem.inputs[0].name]
        frames = []
        for frame in range(self.evolution.frames):
            state = self.step(module, state)
            finite = state.isfinite().flatten(1).all(1)
            if not bool(finite.all()):
                bad = (~finite).nonzero().flatten().tolist()
                raise LearnerError(
                    f"roll-out: frame {frame + 1} of {self.evolution.frames} is NaN or infinite in {len(bad)} of "
                    f"{len(state)} samples (first: {bad[0]}): check that the initial state is like those of training, "
                    "or train with push_forward=1 or unroll=2, which teach the network to live with its own errors."
                )
            frames.append(state)
        return Batch({self.evolution.state.name: torch.stack(frames, 1)})


def field_map(problem: Problem, config: GridConfig) -> FieldMap:
    """How a learner with this configuration maps the fields of ``problem``."""
    return RollOut(problem, config) if isinstance(problem, EvolutionProblem) else FieldMap(problem, config)
