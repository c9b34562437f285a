"""What a grid learner sees of a sample: encoded inputs, and where wanted a first guess by the problem's equation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pde_benchmarks.elliptic import EllipticProblem
from pde_benchmarks.grid import axis_points
from pde_benchmarks.problem import Batch, FieldSpec, Grid, Phases, Positive, Problem
from sciml.errors import LearnerError

__all__ = ["Base", "GridFeatures", "ScaledNetwork"]

Base = Literal["coarse", "fmg"]


class GridFeatures:
    """Turns inputs into channels, and says what the network's answer is added to.

    Parameters
    ----------
    base
        None: the channels are the inputs (a positive field as its logarithm). ``coarse`` or ``fmg``: the problem's
        first guess u_b and its scaled residual D⁻¹ (f − A u_b) are further channels, and the network predicts u − u_b.
    """

    def __init__(self, problem: Problem, base: Base | None) -> None:
        if base is not None and not isinstance(problem, EllipticProblem):
            raise LearnerError(
                f"base={base!r} needs a problem with a known operator, and {problem.name} has none: "
                "use a data-only learner (mgno-data), or set base=none."
            )
        self.problem, self.base = problem, base

    @property
    def channels(self) -> int:
        """Number of channels that `__call__` makes."""
        return sum(spec.channels for spec in self.problem.inputs) + (2 if self.base else 0)

    def __call__(self, inputs: Batch) -> dict[str, Tensor]:
        """``features (count, channels, *grid)`` and, with a base, ``base (count, 1, *grid)``, in the inputs' dtype."""
        channels = [_encoded(inputs[spec.name], spec) for spec in self.problem.inputs]
        if self.base is None:
            return {"features": torch.cat(channels, 1)}
        assert isinstance(self.problem, EllipticProblem)
        guess = self.problem.first_guess(inputs, self.base)
        name = self.problem.output.name
        channels += [guess[name], self.problem.scaled_residual(inputs, guess)[name]]
        return {"features": torch.cat(channels, 1), "base": guess[name]}


def _encoded(field: Tensor, spec: FieldSpec) -> Tensor:
    if isinstance(spec.kind, Positive | Phases) and field.numel() and float(field.min()) > 0:
        return field.log()
    return field


class ScaledNetwork(nn.Module):
    """A network between standardised channels: its statistics are stored with its weights.

    Coordinates in [-1, 1] are added as further channels.
    """

    def __init__(self, network: nn.Module, channels: int, outputs: int, support: Grid) -> None:
        super().__init__()
        self.network, self.alignment = network, support.alignment
        self.register_buffer("shift", torch.zeros(channels, *[1] * support.dim))
        self.register_buffer("scale", torch.ones(channels, *[1] * support.dim))
        self.register_buffer("output_shift", torch.zeros(outputs, *[1] * support.dim))
        self.register_buffer("output_scale", torch.ones(outputs, *[1] * support.dim))

    def fit_statistics(self, features: Tensor, target: Tensor, centred: bool) -> None:
        """Take means and standard deviations from training data, channel by channel.

        A field that takes two values becomes ±1 around the middle of the two. ``centred`` leaves the output's mean at
        zero, so that a silent network predicts zero.
        """
        axes = (0, *range(2, features.ndim))
        low, high = features.amin(axes, keepdim=True), features.amax(axes, keepdim=True)
        two_valued = ((features == low) | (features == high)).all(dim=0).flatten(1).all(1).reshape(self.shift.shape)
        shift = torch.where(two_valued, (low + high)[0] / 2, features.mean(axes, keepdim=True)[0])
        scale = torch.where(two_valued, (high - low)[0] / 2, features.std(axes, keepdim=True)[0])
        self.shift.copy_(shift)
        self.scale.copy_(torch.where(scale > 0, scale, 1.0))
        spread = target.std(axes, keepdim=True)[0]
        self.output_scale.copy_(torch.where(spread > 0, spread, 1.0))
        if not centred:
            self.output_shift.copy_(target.mean(axes, keepdim=True)[0])

    def forward(self, features: Tensor) -> Tensor:
        """Map raw channels ``(batch, channels, *grid)`` to raw outputs ``(batch, outputs, *grid)``."""
        standard = (features - self.shift) / self.scale
        shape = features.shape[2:]
        lines = [2 * axis_points(n, self.alignment).to(features) - 1 for n in shape]
        places = torch.stack(torch.meshgrid(*lines, indexing="ij")).expand(len(features), -1, *shape)
        stacked = torch.cat([standard, places], 1)
        if stacked.ndim == 4:
            stacked = stacked.contiguous(memory_format=torch.channels_last)
        return self.network(stacked) * self.output_scale + self.output_shift

    shift: Tensor
    scale: Tensor
    output_shift: Tensor
    output_scale: Tensor


def chunks(arrays: Mapping[str, Any], count: int, size: int) -> Any:
    """Row ranges of at most ``size`` samples."""
    return (slice(start, start + size) for start in range(0, count, size))
