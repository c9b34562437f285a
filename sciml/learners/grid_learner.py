"""Learners of maps between fields on one grid: all but the network is shared, so comparisons compare networks."""

from __future__ import annotations

import dataclasses
import math
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Generator, Tensor, nn

from pde_benchmarks.elliptic import EllipticProblem
from pde_benchmarks.metrics import relative_h1, relative_l2
from pde_benchmarks.problem import Batch, FieldSpec, Grid, Problem
from sciml.errors import ConfigurationError, LearnerError
from sciml.learner import Learner, Prediction
from sciml.learners.anchoring import Anchor
from sciml.learners.grid_features import Base, GridFeatures, ScaledNetwork
from sciml.learners.memory import require_memory
from sciml.learners.symmetries import random_symmetry

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
        First guess by the problem's own equation that the network corrects: ``coarse``, ``fmg`` or None (data only).
    h1_weight
        The training loss is the mean of relative L2 + ``h1_weight`` · relative H1 over the samples.
    post_cycles
        With a base, V-cycles of the problem's own multigrid that follow the network, in training as in prediction: the
        network learns what smoothing cannot mend.
    symmetry
        Transform every training batch by a random symmetry of the square, if the problem is isotropic.
    """

    base: Base | None = None
    post_cycles: int = 0
    h1_weight: float = 0.3
    symmetry: bool = True

    def __post_init__(self) -> None:
        require_at_least(0, h1_weight=self.h1_weight, post_cycles=self.post_cycles)


def require_at_least(bound: int, **values: float | None) -> None:
    """Raise ConfigurationError unless every value is None, or finite and not below ``bound``."""
    for name, value in values.items():
        if value is not None and not bound <= value < math.inf:
            raise ConfigurationError(f"{name} = {value}: a finite number, at least {bound}, is expected.")


class GridLearner(Learner):
    """A network on standardised grid fields, trained on relative L2 + H1, anchored at its training grid."""

    config: GridConfig
    module: ScaledNetwork

    def __init__(self, problem: Problem, config: GridConfig) -> None:
        super().__init__(problem, config)
        self.features = GridFeatures(problem, config.base)
        self.grid = _common_grid(problem)
        self.check_grid(self.grid.shape)
        outputs = sum(spec.channels for spec in problem.outputs)
        channels = self.features.channels + self.grid.dim
        if config != self.config_type():  # the defaults fit anywhere
            require_memory(lambda: self.build(channels, outputs))
        network = self.build(channels, outputs)
        self.module = ScaledNetwork(network, self.features.channels, outputs, self.grid)
        if self.grid.dim == 2:
            self.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @abstractmethod
    def build(self, inputs: int, outputs: int) -> nn.Module:
        """The network from ``inputs`` channels to ``outputs`` channels; also built on torch's device ``meta``."""

    def check_grid(self, shape: tuple[int, ...]) -> None:
        """Raise ConfigurationError unless the network can be applied to fields of this shape; by default it can."""

    @classmethod
    def accepts(cls, problem: Problem) -> str | None:
        """Fields must live on one uniform grid of one to three axes."""
        supports = {spec.support for spec in (*problem.inputs, *problem.outputs)}
        if not all(isinstance(support, Grid) for support in supports):
            kinds = ", ".join(sorted({type(support).__name__ for support in supports}))
            return f"it learns fields on a uniform grid, and this problem's live on {kinds}."
        if len({support.shape for support in supports if isinstance(support, Grid)}) != 1:
            return "it needs inputs and outputs on the same grid."
        return None

    def fit(self, dataset: Dataset, validation: Dataset, trainer: Trainer) -> History:
        """Train on ``dataset``; the preparation of features is charged to the budget."""
        began = time.perf_counter()
        arrays = self._training_arrays(dataset)
        base = arrays.get("base")
        target = arrays["target"] if base is None else arrays["target"] - base
        with torch.no_grad():
            self.module.fit_statistics(arrays["features"], target, centred=base is not None)
        spent = time.perf_counter() - began
        return trainer.fit(self.module, self.loss(), arrays, lambda: self._error(validation), spent=spent)

    def loss(self) -> Callable[[nn.Module, Mapping[str, Tensor], Generator], Tensor]:
        """Mean over the samples of relative L2 + ``h1_weight`` · relative H1, after a random symmetry."""
        boundary, weight = self.grid.boundary, self.config.h1_weight
        symmetric = self.config.symmetry and self.problem.isotropic

        def loss(module: nn.Module, batch: Mapping[str, Tensor], generator: Generator) -> Tensor:
            arrays = random_symmetry(dict(batch), generator) if symmetric else dict(batch)
            prediction = self.completed(arrays, module(arrays["features"]), self.config.post_cycles)
            error = relative_l2(prediction, arrays["target"])
            if weight:
                error = error + weight * relative_h1(prediction, arrays["target"], boundary)
            return error.nanmean()  # a sample whose truth is zero has no relative error

        return loss

    @torch.no_grad()
    def predict(self, inputs: Batch, batch_size: int = 32) -> Prediction:
        """Predict all samples; another resolution than the training grid's is anchored to it.

        Raises
        ------
        LearnerError
            If a field is missing, has other channels, another number of axes, or a grid that cannot be anchored.
        """
        shape = self._checked_shape(inputs)
        if self.config.base is not None:
            # The first guess knows the asked grid and the network's correction is local: V-cycles there do the rest.
            self.check_grid(shape)
            more = 0 if shape == self.grid.shape else FOREIGN_GRID_CYCLES
            return Prediction(self.in_batches(inputs, lambda rows: self.direct(rows, more), batch_size))
        anchor = Anchor(self.problem, self.grid, Grid(shape, self.grid.alignment, self.grid.boundary))
        return Prediction(self.in_batches(inputs, lambda rows: anchor.evaluate(rows, self.direct), batch_size))

    @torch.no_grad()
    def predict_directly(self, inputs: Batch, batch_size: int = 32) -> Prediction:
        """Apply the network on the inputs' own grid, whatever it was trained on: anchoring is measured against it."""
        self.check_grid(self._checked_shape(inputs))
        return Prediction(self.in_batches(inputs, self.direct, batch_size))

    @property
    def resolution_note(self) -> str:
        """How another resolution than the training grid's is predicted, in words."""
        if self.config.base is None:
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
            (first, *_) = inputs.values()
            return self._split(first.new_zeros((0, len(self.module.output_scale), *first.shape[2:])))
        parts = []
        for start in range(0, inputs.count, batch_size):
            parts.append(predict(inputs.rows(slice(start, start + batch_size))))
        return Batch({name: torch.cat([part[name] for part in parts]) for name in parts[0]})

    def direct(self, inputs: Batch, more_cycles: int = 0) -> Batch:
        """One pass of the network over a batch on its own grid, and the V-cycles that follow it."""
        (first, *_) = inputs.values()
        weight = next(self.module.parameters())
        arrays = self._arrays(inputs.to(weight.device, weight.dtype))
        prediction = self.completed(arrays, self.module(arrays["features"]), self.config.post_cycles + more_cycles)
        return self._split(prediction.to(first.device, first.dtype))

    def completed(self, arrays: Mapping[str, Tensor], answer: Tensor, cycles: int) -> Tensor:
        """Add the base to the network's answer and run V-cycles of the problem's own multigrid, where it has one."""
        if self.config.base is None:
            return answer
        assert isinstance(self.problem, EllipticProblem)
        name = self.problem.output.name
        solution = Batch({name: arrays["base"] + answer})
        if cycles:
            inputs = Batch({spec.name: arrays[spec.name] for spec in self.problem.inputs})
            solution = self.problem.cycle(inputs, solution, cycles)
        return solution[name]

    def _arrays(self, inputs: Batch) -> dict[str, Tensor]:
        """Features; with a base also the inputs themselves, which the V-cycles need."""
        arrays = self.features(inputs)
        return arrays if self.config.base is None else {**arrays, **inputs}

    def _training_arrays(self, dataset: Dataset) -> dict[str, Tensor]:
        inputs = dataset.inputs.to(dtype=torch.float32)
        rows = [self._arrays(inputs.rows(slice(i, i + 64))) for i in range(0, dataset.count, 64)]
        arrays = {name: torch.cat([row[name] for row in rows]) for name in rows[0]}
        targets = [dataset.outputs[spec.name] for spec in self.problem.outputs]
        return {**arrays, "target": torch.cat(targets, 1).to(torch.float32)}

    def _error(self, validation: Dataset) -> float:
        return self.problem.metrics(self.predict(validation.inputs).mean, validation.outputs)["relative_l2"]

    def _split(self, values: Tensor) -> Batch:
        fields, start = {}, 0
        for spec in self.problem.outputs:
            fields[spec.name] = values[:, start : start + spec.channels]
            start += spec.channels
        return Batch(fields)

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


def _common_grid(problem: Problem) -> Grid:
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
    if not bool(torch.isfinite(field).all()):
        rows = (~torch.isfinite(field.flatten(1)).all(1)).nonzero().flatten()
        raise LearnerError(
            f"{spec.name}: {len(rows)} of {len(field)} samples hold NaN or infinity (first: {rows[:5].tolist()}): "
            "clean them first."
        )
