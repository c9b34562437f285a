"""The learners MultiONet and DeepONet: fields on a grid in, fields at any point out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from pde_benchmarks.problem import Batch, Grid, Problem
from sciml.errors import ConfigurationError, LearnerError
from sciml.learner import Prediction
from sciml.learners.anchoring import Anchor
from sciml.learners.field_map import RollOut
from sciml.learners.grid_learner import GridConfig, GridLearner, require_at_least
from sciml.learners.multionet.activations import activation
from sciml.learners.multionet.encoders import ConvolutionalEncoder, DenseEncoder, PointSetEncoder
from sciml.learners.multionet.network import MultiONet
from sciml.learners.multionet.on_grid import GridMultiONet, ScaledMultiONet

__all__ = ["DeepONetConfig", "DeepONetLearner", "MultiONetConfig", "MultiONetLearner"]

BRANCHES = ("dense", "convolutional", "points")


@dataclass(frozen=True)
class MultiONetConfig(GridConfig):
    """MultiONet: a latent vector from the inputs, and a network of the coordinates that it is multiplied with.

    Parameters
    ----------
    latent
        Numbers in the latent vector.
    width, depth, aggregate
        Neurons of a layer, layers, and how many of the last ones are summed over (1: DeepONet).
    branch
        What reads the inputs: ``dense`` (fully connected) or ``convolutional``, on the training grid alone, or
        ``points`` (means over the points, on any grid).
    trunk_activation, branch_activation
        ``tanh_sin``, ``silu_sin`` or ``silu_identity``.
    """

    latent: int = 128
    width: int = 100
    depth: int = 5
    aggregate: int = 4
    branch: Literal["dense", "convolutional", "points"] = "convolutional"
    trunk_activation: str = "tanh_sin"
    branch_activation: str = "tanh_sin"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(1, latent=self.latent, width=self.width, depth=self.depth)
        if not 1 <= self.aggregate <= self.depth:
            raise ConfigurationError(
                f"aggregate = {self.aggregate}: between 1 and the {self.depth} layers of depth = {self.depth} are "
                "summed over."
            )
        if self.branch not in BRANCHES:
            raise ConfigurationError(f"branch = {self.branch!r}: use one of {', '.join(BRANCHES)}.")
        activation(self.trunk_activation)
        activation(self.branch_activation)


@dataclass(frozen=True)
class DeepONetConfig(MultiONetConfig):
    """DeepONet: the last layers' product alone."""

    aggregate: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.aggregate != 1:
            raise ConfigurationError(
                f"aggregate = {self.aggregate}: deeponet multiplies the last layers only; use the learner multionet."
            )


class MultiONetLearner(GridLearner):
    """MultiONet (Zang & Koutsourelakis 2025): it answers at any point of the domain."""

    name: ClassVar[str] = "multionet"
    config_type: ClassVar[type] = MultiONetConfig
    training_defaults: ClassVar[dict[str, Any]] = {"learning_rate": 2e-3, "batch_size": 16, "weight_decay": 1e-4}
    config: MultiONetConfig
    module: ScaledMultiONet

    def __init__(self, problem: Problem, config: MultiONetConfig) -> None:
        super().__init__(problem, config)
        on_grid = self.module
        self.module = ScaledMultiONet(on_grid.network, self.fields.features.channels, self.fields.outputs, self.grid)
        self.module.error_bars = on_grid.error_bars

    def build(self, inputs: int, outputs: int) -> nn.Module:
        """The branch over the channels before the coordinates, and the decoder."""
        config, dim = self.config, self.grid.dim
        fields = inputs - dim  # the coordinates follow them
        encoder: DenseEncoder | ConvolutionalEncoder | PointSetEncoder
        match config.branch:
            case "dense":
                encoder = DenseEncoder(fields, self.grid.shape, config.latent)
            case "convolutional":
                encoder = ConvolutionalEncoder(fields, self.grid.shape, config.latent)
            case "points":
                encoder = PointSetEncoder(dim, fields, config.latent)
        decoder = MultiONet(
            dim,
            config.latent,
            config.width,
            config.depth,
            config.aggregate,
            outputs,
            config.trunk_activation,
            config.branch_activation,
        )
        return GridMultiONet(encoder, decoder)

    def check_grid(self, shape: tuple[int, ...]) -> None:
        """Only a branch over points reads another grid than that of training."""
        if self.config.branch != "points" and shape != self.grid.shape:
            sizes = "×".join(map(str, shape)), "×".join(map(str, self.grid.shape))
            raise LearnerError(
                f"grid {sizes[0]}: the {self.config.branch} branch reads fields on {sizes[1]} points: use predict, "
                "which brings them there, or train with branch=points."
            )

    @torch.no_grad()
    def predict(self, inputs: Batch, batch_size: int = 32) -> Prediction:
        """Predict all samples on their own grid; raises as `GridLearner.predict` does.

        On another grid than that of training the inputs are brought to the latter (a branch over points reads them
        where they are), and the answer is evaluated at the asked points, with no interpolation of the output.
        Roll-outs, answers that are added to something on the grid, and error bars are interpolated from the training
        grid.
        """
        shape = self._checked_shape(inputs)
        foreign = shape != self.grid.shape and self.grid.alignment != "unknown"
        if not foreign or not self._stands_alone or self.module.error_bars is not None:
            return super().predict(inputs, batch_size)
        asked = Grid(shape, self.grid.alignment, self.grid.boundary)
        points = torch.stack(torch.meshgrid(*[asked.points(i) for i in range(asked.dim)], indexing="ij"), -1)
        flat = self._at(inputs, points.flatten(0, -2), batch_size)
        return Prediction(Batch({name: field.unflatten(2, shape) for name, field in flat.items()}))

    @torch.no_grad()
    def predict_at(self, inputs: Batch, points: Tensor, batch_size: int = 32) -> Prediction:
        """Predict the outputs at any points of the domain.

        Parameters
        ----------
        inputs
            Fields on a grid, as for `predict`.
        points
            ``(n, dim)``, in the coordinates of the grid: those of the unit cube.
        batch_size
            Samples that are evaluated at a time.

        Returns
        -------
        Prediction
            Means ``(B, n, channels)`` under the outputs' names, dtype and device of the inputs.

        Raises
        ------
        LearnerError
            If points are not such an array or lie outside (their indices are listed); if the answer is added to
            something that is known on the grid alone (``base``, roll-outs); or as `predict` does.
        """
        if not self._stands_alone:
            raise LearnerError(
                f"predict_at: {self.problem.name} is predicted as a correction of "
                f"{'the frame before' if isinstance(self.fields, RollOut) else f'base={self.config.base}'}, which is "
                "known on the grid alone: use predict and interpolate, or a run with base=none."
            )
        self._checked_shape(inputs)
        _check_points(points, self.grid.dim)
        answer = self._at(inputs, points, batch_size)
        return Prediction(Batch({name: field.mT for name, field in answer.items()}))

    @property
    def resolution_note(self) -> str:
        """How another resolution than the training grid's is predicted, in words."""
        if not self._stands_alone or self.module.error_bars is not None:
            return super().resolution_note
        read = "read where it is" if self.config.branch == "points" else "brought to the training grid"
        return f"A field on another grid is {read}, and the answer is evaluated at the asked points themselves."

    @property
    def _stands_alone(self) -> bool:
        """Whether the network's answer is the field itself, not what is added to one on the grid."""
        return self.config.base is None and not isinstance(self.fields, RollOut)

    @property
    def _corrects_multigrid(self) -> bool:
        # Only a branch over points can read the first guess of another grid; the others anchor it.
        return super()._corrects_multigrid and self.config.branch == "points"

    def _at(self, inputs: Batch, points: Tensor, batch_size: int) -> Batch:
        """Outputs ``(B, channels, n)`` at points of the unit cube."""
        weight = next(self.module.parameters())
        places = points.to(weight)

        def answers(rows: Batch) -> Batch:
            (first, *_) = rows.values()
            seen = self.fields.in_precision(self._readable(rows), weight.dtype, weight.device)
            flat = self.fields.split(self.module.at(self.fields.arrays(seen)["features"], places))
            return self.fields.in_precision(flat, first.dtype.to_real(), first.device)

        if inputs.count == 0:
            none = self._nothing(inputs)
            return Batch({k: v.new_zeros(0, v.shape[1], len(points)) for k, v in none.items()})
        return self.in_batches(inputs, answers, batch_size)

    def _readable(self, inputs: Batch) -> Batch:
        """The inputs on a grid that the branch can read."""
        (first, *_) = inputs.values()
        shape = tuple(first.shape[2:])
        if self.config.branch == "points" or shape == self.grid.shape:
            return inputs
        return Anchor(self.problem, self.grid, Grid(shape, self.grid.alignment, self.grid.boundary)).bring(inputs)


class DeepONetLearner(MultiONetLearner):
    """DeepONet (Lu et al. 2021) with the layers of MultiONet."""

    name: ClassVar[str] = "deeponet"
    config_type: ClassVar[type] = DeepONetConfig


def _check_points(points: Tensor, dim: int) -> None:
    if points.ndim != 2 or points.shape[1] != dim or not points.is_floating_point():
        raise LearnerError(
            f"points of shape {tuple(points.shape)} and {points.dtype}: expected real floating-point (n, {dim})."
        )
    outside = (~((points >= 0) & (points <= 1)).all(1)).nonzero().flatten().tolist()
    if outside:
        listed = ", ".join(map(str, outside[:10])) + (", …" if len(outside) > 10 else "")
        raise LearnerError(
            f"{len(outside)} of {len(points)} points lie outside the domain [0, 1]^{dim} (indices {listed}): remove "
            "them, or give them in the coordinates of the grid."
        )
