"""Learners of maps between fields on one grid: all but the network is shared, so comparisons compare networks."""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import nn

from pde_benchmarks.elliptic import EllipticProblem
from pde_benchmarks.evolution import EvolutionProblem, OneStep
from pde_benchmarks.problem import Batch, Complex, FieldSpec, Grid, Problem
from sciml.capabilities import Capabilities, Offer, elliptic, one_real_answer, placed
from sciml.errors import ConfigurationError, LearnerError
from sciml.learner import Learner, Prediction
from sciml.learners.anchoring import Anchor
from sciml.learners.field_map import RollOut, field_map
from sciml.learners.grid_features import ScaledNetwork
from sciml.learners.last_layer import LastLayerLaplace, last_features
from sciml.learners.memory import require_memory
from sciml.learners.objectives import Objective, PhysicsInformed, Supervised, Trajectories
from sciml.learners.objectives.physics_informed import Physics

if TYPE_CHECKING:
    from pde_benchmarks.datasets import Dataset
    from sciml.training import History, Trainer

__all__ = ["GridConfig", "GridLearner", "require_at_least"]

FOREIGN_GRID_CYCLES = 2


@dataclass(frozen=True)
class GridConfig:
    """What every grid learner can choose, whatever its network.

    Parameters
    ----------
    base
        First guess by the problem's own equation that the network corrects: one of the problem's `guesses` (``coarse``
        or ``fmg`` for elliptic problems), or None (data only).
    h1_weight
        The training loss is the mean of relative L2 + ``h1_weight`` · relative H1 over the samples.
    post_cycles
        With a base, V-cycles of the problem's own multigrid that follow the network, in training as in prediction: the
        network learns what smoothing cannot mend.
    symmetry
        Transform every training batch by a random symmetry of the square, if the problem is isotropic.
    unroll, push_forward, noise
        For evolutions: steps that the loss is propagated through, the largest number of the network's own steps before
        them, and noise on the frame they start from, in standard deviations of the data.
    physics, physics_weight, labels
        A loss by the equation itself, its weight, and how many of the training samples have labels (None: all): the
        ``error`` norm that the equation estimates, or the ``energy``. For elliptic problems.
    uncertainty
        ``laplace`` for error bars from the network's last layer, calibrated on the validation samples.
    """

    base: str | None = None
    post_cycles: int = 0
    h1_weight: float = 0.3
    symmetry: bool = True
    unroll: int = 1
    push_forward: int = 0
    noise: float = 0.0
    physics: Physics | None = None
    physics_weight: float = 1.0
    labels: int | None = None
    uncertainty: Literal["laplace"] | None = None

    @property
    def knows_equation(self) -> bool:
        """Whether the problem's equation helps to predict: there may be V-cycles after the network."""
        return self.base is not None

    def __post_init__(self) -> None:
        require_at_least(
            0,
            h1_weight=self.h1_weight,
            post_cycles=self.post_cycles,
            push_forward=self.push_forward,
            noise=self.noise,
            physics_weight=self.physics_weight,
            labels=self.labels,
        )
        require_at_least(1, unroll=self.unroll)
        if self.uncertainty is not None and self.labels == 0:
            raise ConfigurationError("uncertainty with labels = 0: error bars are learned from labelled samples.")
        if self.labels is not None and self.physics is None:
            raise ConfigurationError(
                f"labels = {self.labels}: what teaches the other samples? Give physics=error or physics=energy, too."
            )


def require_at_least(bound: int, **values: float | None) -> None:
    """Raise ConfigurationError unless every value is None, or finite and not below ``bound``."""
    for name, value in values.items():
        if value is not None and not bound <= value < math.inf:
            raise ConfigurationError(f"{name} = {value}: a finite number, at least {bound}, is expected.")


class GridLearner(Learner):
    """A network on standardised grid fields, trained on relative L2 + H1, anchored at its training grid."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        uncertainty=Offer("uncertainty=laplace", one_real_answer),
        resolution_change=Offer(where=placed),
        no_labels=Offer("physics=error, labels=0", elliptic),
        processes=Offer(),
    )
    config: GridConfig
    module: ScaledNetwork

    def __init__(self, problem: Problem, config: GridConfig) -> None:
        super().__init__(problem, config)
        self.fields = field_map(problem, config)
        self._check_physics()
        self.grid = _grid_of(self.fields.problem)
        self.check_grid(self.grid.shape)
        outputs, features = self.fields.outputs, self.fields.features.channels
        channels = features + self.grid.dim
        if config != self.config_type():  # the defaults fit anywhere
            require_memory(lambda: self.build(channels, outputs))
        network = self.build(channels, outputs)
        self.module = ScaledNetwork(network, features, outputs, self.grid)
        if config.uncertainty is not None:
            self._check_uncertainty()
            self.module.error_bars = LastLayerLaplace(last_features(network), outputs, self.grid.shape)
        if self.grid.dim == 2:
            self.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @abstractmethod
    def build(self, inputs: int, outputs: int) -> nn.Module:
        """The network from ``inputs`` channels to ``outputs`` channels; also built on torch's device ``meta``."""

    def check_grid(self, shape: tuple[int, ...]) -> None:
        """Raise ConfigurationError unless the network can be applied to fields of this shape; by default it can."""

    @classmethod
    def accepts(cls, problem: Problem) -> str | None:
        """Fields must live on one uniform grid of one to three axes, perhaps at several instants."""
        whole = OneStep(problem) if isinstance(problem, EvolutionProblem) else problem
        if isinstance(problem, EvolutionProblem) and isinstance(problem.state.kind, Complex):
            return "it does not roll complex fields out; give real and imaginary part as two channels."
        supports = {spec.support for spec in (*whole.inputs, *whole.outputs)}
        if not all(isinstance(support, Grid) for support in supports):
            kinds = ", ".join(sorted({type(support).__name__ for support in supports}))
            return f"it learns fields on a uniform grid, and this problem's live on {kinds}."
        if len({support.shape for support in supports if isinstance(support, Grid)}) != 1:
            return "it needs inputs and outputs on the same grid."
        return None

    def fit(self, dataset: Dataset, validation: Dataset, trainer: Trainer) -> History:
        """Train on ``dataset``; the preparation of features is charged to the budget."""
        began = time.perf_counter()
        loss = self.objective(dataset.count)
        with torch.no_grad():
            arrays = loss.prepare(dataset)
            self.module.fit_statistics(*loss.statistics(arrays), centred=self.fields.features.has_base)
        spent = time.perf_counter() - began
        history = trainer.fit(self.module, loss, arrays, lambda: self._error(validation), spent=spent)
        if self.module.error_bars is not None:
            self.module.eval()
            labelled = {name: array[: self.config.labels] for name, array in arrays.items()}
            self.module.fit_error_bars(labelled, self._supervised().prepare(validation))
        return history

    def objective(self, count: int) -> Objective:
        """What is minimised over a data set of ``count`` samples."""
        config = self.config
        if isinstance(self.fields, RollOut):
            return Trajectories(self.fields, config.h1_weight, config.unroll, config.push_forward, config.noise)
        supervised = self._supervised()
        if config.physics is None:
            return supervised
        labels = count if config.labels is None else config.labels
        if labels > count:
            raise ConfigurationError(f"labels = {labels}: there are only {count} training samples; give at most that.")
        return PhysicsInformed(supervised, config.physics, config.physics_weight, labels)

    def _supervised(self) -> Supervised:
        symmetric = self.config.symmetry and self.problem.isotropic
        return Supervised(self.fields, self.grid, self.config.h1_weight, symmetric)

    @torch.no_grad()
    def predict(self, inputs: Batch, batch_size: int = 32) -> Prediction:
        """Predict all samples; another resolution than the training grid's is anchored to it.

        Raises
        ------
        LearnerError
            If a field is missing, has other channels, another number of axes, or a grid that cannot be anchored; or if
            a roll-out becomes NaN or infinite (the frame is named).
        """
        shape = self._checked_shape(inputs)
        if self._corrects_multigrid:
            # The first guess knows the asked grid and the network's correction is local: V-cycles there do the rest.
            self.check_grid(shape)
            more = 0 if shape == self.grid.shape else FOREIGN_GRID_CYCLES
            mean = self.in_batches(inputs, lambda rows: self.direct(rows, more), batch_size)
            if self.module.error_bars is None:
                return Prediction(mean)
            if more:
                raise LearnerError(
                    f"error bars belong to the training grid {'×'.join(map(str, self.grid.shape))}: on another one "
                    "V-cycles follow the network; use predict_directly, or a run without uncertainty."
                )
            return Prediction(mean, self.in_batches(inputs, self._error_bars, batch_size))
        anchor = Anchor(self.problem, self.grid, Grid(shape, self.grid.alignment, self.grid.boundary))
        mean = self.in_batches(inputs, lambda rows: anchor.evaluate(rows, self.direct), batch_size)
        if self.module.error_bars is None:
            return Prediction(mean)
        std = self.in_batches(inputs, lambda rows: anchor.evaluate(rows, self._error_bars), batch_size)
        return Prediction(mean, Batch({name: field.clamp_min(0) for name, field in std.items()}))

    @torch.no_grad()
    def predict_directly(self, inputs: Batch, batch_size: int = 32) -> Prediction:
        """Apply the network on the inputs' own grid, whatever it was trained on: anchoring is measured against it."""
        self.check_grid(self._checked_shape(inputs))
        return Prediction(self.in_batches(inputs, self.direct, batch_size))

    def roll_out(self, inputs: Batch, frames: int, batch_size: int = 32) -> Prediction:
        """Follow an evolution for another number of ``frames`` than the problem's; raises as `predict` does.

        Raises
        ------
        LearnerError
            If the problem is no evolution, or ``frames`` no whole number of at least 1.
        """
        if not isinstance(self.fields, RollOut):
            raise LearnerError(f"{self.problem.name} does not evolve in time: there is nothing to roll out.")
        if not isinstance(frames, int) or frames < 1:
            raise LearnerError(f"roll_out of {frames!r} frames: a whole number of at least 1 is expected.")
        longer = copy.copy(self)
        longer.fields = RollOut(self.fields.evolution.with_frames(frames), self.config)
        return longer.predict(inputs, batch_size)

    @property
    def resolution_note(self) -> str:
        """How another resolution than the training grid's is predicted, in words."""
        if not self._corrects_multigrid:
            return "Another grid is brought to the training grid, predicted there and interpolated back (anchoring)."
        return (
            "On another grid the first guess is made there, the network corrects it, and "
            f"{FOREIGN_GRID_CYCLES} more V-cycles follow."
        )

    def place(self, alignment: str) -> None:
        """Say where the grid points of the training data lie, if the data did not tell.

        Raises
        ------
        LearnerError
            If they are known to lie elsewhere.
        """
        if self.grid.alignment not in ("unknown", alignment):
            raise LearnerError(
                f"alignment {alignment}: this learner was trained on {self.grid.alignment} points; give fields on such "
                "points, or train again with --alignment."
            )
        self.grid = dataclasses.replace(self.grid, alignment=alignment)

    def in_batches(self, inputs: Batch, predict: Callable[[Batch], Batch], batch_size: int) -> Batch:
        """Predict ``batch_size`` samples at a time; outputs have the inputs' dtype and device."""
        self.module.eval()
        if inputs.count == 0:
            return self._nothing(inputs)
        parts = []
        for start in range(0, inputs.count, batch_size):
            parts.append(predict(inputs.rows(slice(start, start + batch_size))))
        return Batch({name: torch.cat([part[name] for part in parts]) for name in parts[0]})

    def direct(self, inputs: Batch, more_cycles: int = 0) -> Batch:
        """The network over a batch on its own grid, and the V-cycles that follow it."""
        (first, *_) = inputs.values()
        weight = next(self.module.parameters())
        seen = self.fields.in_precision(inputs, weight.dtype, weight.device)
        fields = self.fields.predict(self.module, seen, more_cycles)
        return self.fields.in_precision(fields, first.dtype.to_real(), first.device)

    def _error_bars(self, inputs: Batch) -> Batch:
        """Standard deviations of a batch on the training grid."""
        (first, *_) = inputs.values()
        weight = next(self.module.parameters())
        arrays = self.fields.arrays(self.fields.in_precision(inputs, weight.dtype, weight.device))
        bars = self.fields.split(self.module.deviation(arrays["features"]))
        return self.fields.in_precision(bars, first.dtype.to_real(), first.device)

    def _check_uncertainty(self) -> None:
        """Error bars are those of the network's answer: nothing may follow it."""
        if any(isinstance(spec.kind, Complex) for spec in self.problem.outputs):
            raise LearnerError("uncertainty = laplace: complex fields have no error bars here; set uncertainty=none.")
        if isinstance(self.fields, RollOut) or self.config.post_cycles:
            what = "a roll-out" if isinstance(self.fields, RollOut) else f"post_cycles = {self.config.post_cycles}"
            remedy = "uncertainty=none" if isinstance(self.fields, RollOut) else "uncertainty=none, or post_cycles=0"
            raise LearnerError(
                f"uncertainty = laplace: it speaks of the network's own answer, but {what} follows it; set {remedy}."
            )

    @property
    def _corrects_multigrid(self) -> bool:
        return self.config.knows_equation and isinstance(self.problem, EllipticProblem)

    def _check_physics(self) -> None:
        """A loss by the equation, and V-cycles after the network, need an elliptic operator."""
        wanted = {"physics": self.config.physics, "post_cycles": self.config.post_cycles}
        for name, value in wanted.items():
            if value and not isinstance(self.problem, EllipticProblem):
                raise LearnerError(
                    f"{name} = {value} needs a problem with a known elliptic operator, and {self.problem.name} has "
                    f"none: set {name}={'none' if name == 'physics' else 0}."
                )
        self._check_steps()

    def _check_steps(self) -> None:
        """Settings of roll-outs are refused where nothing is rolled out, or not far enough."""
        if isinstance(self.fields, RollOut):
            steps, frames = self.config.unroll + self.config.push_forward, self.fields.evolution.frames
            if steps > frames:
                raise LearnerError(
                    f"unroll={self.config.unroll} and push_forward={self.config.push_forward} take {steps} steps, and "
                    f"a trajectory of {self.problem.name} has {frames}: use smaller ones, or more frames."
                )
            return
        usual = GridConfig()
        for name in ("unroll", "push_forward", "noise"):
            value = getattr(self.config, name)
            if value != getattr(usual, name):
                raise LearnerError(
                    f"{name} = {value} is for problems that evolve in time, and {self.problem.name} does not: leave it "
                    "out."
                )

    def _error(self, validation: Dataset) -> float:
        return self.problem.metrics(self.predict(validation.inputs).mean, validation.outputs)["relative_l2"]

    def _nothing(self, inputs: Batch) -> Batch:
        """Outputs of no samples."""
        (first, *_) = inputs.values()
        times = (self.fields.evolution.frames,) if isinstance(self.fields, RollOut) else ()
        shapes = {spec.name: (0, *times, spec.channels, *first.shape[2:]) for spec in self.problem.outputs}
        real = first.dtype.to_real()
        kinds = {s.name: real.to_complex() if isinstance(s.kind, Complex) else real for s in self.problem.outputs}
        return Batch({name: first.new_zeros(shape, dtype=kinds[name]) for name, shape in shapes.items()})

    def _checked_shape(self, inputs: Batch) -> tuple[int, ...]:
        shapes = set()
        for spec in self.problem.inputs:
            field = inputs[spec.name]
            _check_field(field, spec, self.grid)
            shapes.add(tuple(field.shape[2:]))
        if len(shapes) != 1:
            raise LearnerError(f"input fields on different grids {sorted(shapes)}: expected one grid for all.")
        self.problem.check(inputs)
        return shapes.pop()


def _grid_of(problem: Problem) -> Grid:
    support = problem.outputs[0].support
    assert isinstance(support, Grid)  # accepts() saw to it
    return support


def _check_field(field: Any, spec: FieldSpec, grid: Grid) -> None:
    if field.ndim != grid.dim + 2 or field.shape[1] != spec.channels:
        axes = ", ".join(f"n{axis}" for axis in "xyz"[: grid.dim])
        single = " If this is one sample, add an axis for the samples in front." if field.ndim == grid.dim + 1 else ""
        raise LearnerError(
            f"{spec.name}: array of shape {tuple(field.shape)}, expected (samples, {spec.channels}, {axes}); "
            f"training was on {'×'.join(map(str, grid.shape))}.{single}"
        )
    if field.is_complex() != isinstance(spec.kind, Complex) or not (field.is_floating_point() or field.is_complex()):
        wanted = "complex" if isinstance(spec.kind, Complex) else "real floating-point"
        raise LearnerError(f"{spec.name}: {field.dtype} numbers, expected {wanted} ones, e.g. by field.to(...).")
    if not bool(torch.isfinite(field).all()):
        rows = (~torch.isfinite(field.flatten(1)).all(1)).nonzero().flatten()
        raise LearnerError(
            f"{spec.name}: {len(rows)} of {len(field)} samples hold NaN or infinity (first: {rows[:5].tolist()}): "
            "clean them first."
        )
