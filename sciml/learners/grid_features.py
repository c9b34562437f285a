"""What a grid learner sees of a sample: encoded inputs, and where wanted a first guess by the problem's equation."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pde_benchmarks.complex_channels import to_channels
from pde_benchmarks.evolution import OneStep
from pde_benchmarks.grid import axis_points
from pde_benchmarks.guessed import GuessedProblem
from pde_benchmarks.problem import Batch, FieldSpec, Grid, Phases, Positive, Problem
from sciml.errors import LearnerError
from sciml.learners.last_layer import LastLayerLaplace

__all__ = ["GridFeatures", "ScaledNetwork"]

ROWS = 32


class GridFeatures:
    """Turns inputs into channels, and says what the network's answer is added to.

    Parameters
    ----------
    base
        None: the channels are the inputs (a positive field as its logarithm), and for one step of an evolution the
        network's answer is added to the frame that it starts from. One of the problem's `guesses`: that first guess
        u_b and the problem's hints on where it is wrong are further channels, and the network predicts u − u_b.

    Raises
    ------
    LearnerError
        If the problem cannot make this guess.
    """

    def __init__(self, problem: Problem, base: str | None) -> None:
        if base is not None and not isinstance(problem, GuessedProblem):
            raise LearnerError(
                f"base={base!r} needs a problem with a known operator, and {problem.name} has none: "
                "use a data-only learner (mgno-data), or set base=none."
            )
        if base is not None and isinstance(problem, GuessedProblem) and base not in problem.guesses:
            known = ", ".join(problem.guesses) or "none at all"
            raise LearnerError(f"base={base!r}: the first guesses of {problem.name} are {known}; or set base=none.")
        self.problem, self.base = problem, base
        self.channels = sum(spec.real_channels for spec in problem.inputs) + self._guessed_channels()

    def __call__(self, inputs: Batch) -> dict[str, Tensor]:
        """``features (count, channels, *grid)`` and, with a base, ``base (count, 1, *grid)``, in the inputs' dtype."""
        channels = [_encoded(inputs[spec.name], spec) for spec in self.problem.inputs]
        if self.base is None:
            start = {"base": inputs[self.problem.inputs[0].name]} if isinstance(self.problem, OneStep) else {}
            return {"features": torch.cat(channels, 1), **start}
        assert isinstance(self.problem, GuessedProblem)
        guess = self.problem.first_guess(inputs, self.base)
        fields = [to_channels(guess[spec.name]) for spec in self.problem.outputs]
        hints = {name: to_channels(field) for name, field in self.problem.hints(inputs, guess).items()}
        return {"features": torch.cat([*channels, *fields, *hints.values()], 1), "base": torch.cat(fields, 1)}

    def decoded(self, features: Tensor) -> tuple[Batch, Tensor | None]:
        """The inputs, and the base if there is one, out of features: what the equation of a sample is made from.

        Features are what augmentation transforms, so these are transformed alike.
        """
        fields, start = {}, 0
        for spec in self.problem.inputs:
            field = features[:, start : start + spec.channels]
            fields[spec.name] = field.exp() if spec.positive else field
            start += spec.channels
        outputs = sum(spec.channels for spec in self.problem.outputs)
        return Batch(fields), features[:, start : start + outputs] if self.base is not None else None

    @property
    def has_base(self) -> bool:
        """Whether the network's answer is added to something."""
        return self.base is not None or isinstance(self.problem, OneStep)

    def _guessed_channels(self) -> int:
        if self.base is None:
            return 0
        assert isinstance(self.problem, GuessedProblem)
        return sum(spec.real_channels for spec in (*self.problem.outputs, *self.problem.hint_specs))


def _encoded(field: Tensor, spec: FieldSpec) -> Tensor:
    if isinstance(spec.kind, Positive | Phases) and field.numel() and float(field.min()) > 0:
        return field.log()
    return to_channels(field)


class ScaledNetwork(nn.Module):
    """A network between standardised channels: its statistics are stored with its weights.

    Coordinates in [-1, 1] are added as further channels.
    """

    def __init__(self, network: nn.Module, channels: int, outputs: int, support: Grid) -> None:
        super().__init__()
        self.network, self.alignment = network, support.alignment
        self.error_bars: LastLayerLaplace | None = None
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
        return self.network(self.standardised(features)) * self.output_scale + self.output_shift

    def standardised(self, features: Tensor) -> Tensor:
        """What the network sees: channels of mean 0 and deviation 1, and the coordinates."""
        standard = (features - self.shift) / self.scale
        shape = features.shape[2:]
        lines = [2 * axis_points(n, self.alignment).to(features) - 1 for n in shape]
        places = torch.stack(torch.meshgrid(*lines, indexing="ij")).expand(len(features), -1, *shape)
        stacked = torch.cat([standard, places], 1)
        if stacked.ndim == 4:
            stacked = stacked.contiguous(memory_format=torch.channels_last)
        return stacked

    @torch.no_grad()
    def fit_error_bars(self, training: Mapping[str, Tensor], validation: Mapping[str, Tensor]) -> None:
        """Posterior from training arrays (features, target, perhaps base), calibration on validation arrays."""
        assert self.error_bars is not None
        self.error_bars.fit_posterior(self.network, self._pairs(training))
        self.error_bars.calibrate(self.network, self._pairs(validation))

    def deviation(self, features: Tensor) -> Tensor:
        """Standard deviation of the outputs, raw ``(batch, outputs, *grid)``."""
        assert self.error_bars is not None
        bars: Tensor = self.error_bars(self.network, self.standardised(features))
        return bars * self.output_scale

    def _pairs(self, arrays: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Batches of what the network sees and of what it should answer."""
        device = self.shift.device
        answers = arrays["target"] - arrays["base"] if "base" in arrays else arrays["target"]
        return [
            (
                self.standardised(arrays["features"][rows].to(device)),
                (answers[rows].to(device) - self.output_shift) / self.output_scale,
            )
            for rows in chunks(len(answers), ROWS)
        ]

    shift: Tensor
    scale: Tensor
    output_shift: Tensor
    output_scale: Tensor


def chunks(count: int, size: int) -> list[slice]:
    """Row ranges of at most ``size`` samples."""
    return [slice(start, start + size) for start in range(0, count, size)]
