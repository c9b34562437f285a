"""The learner DGNO: coefficient and solution from one latent vector, learned from the equation with few labels."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import torch
from torch import Generator, Tensor, nn

from pde_benchmarks.linear import LinearProblem
from pde_benchmarks.problem import Batch, Grid, Problem
from pde_benchmarks.variational import VariationalProblem
from sciml.capabilities import Capabilities, Offer
from sciml.certify import estimated_error
from sciml.errors import ConfigurationError, LearnerError
from sciml.inference.priors import GaussianPrior, LatentPrior
from sciml.learner import Learner, Prediction
from sciml.learners.dgno.coarse_solution import CoarseSolution
from sciml.learners.dgno.fields import DecodedProblem, VariationalOnGrid
from sciml.learners.dgno.likelihoods import GaussianLikelihood, likelihood_of
from sciml.learners.dgno.network import LatentFields
from sciml.learners.dgno.objective import EvidenceBound
from sciml.learners.grid_learner import require_at_least
from sciml.learners.multionet.activations import activation
from sciml.learners.multionet.encoders import ConvolutionalEncoder, DenseEncoder
from sciml.learners.multionet.network import MultiONet

if TYPE_CHECKING:
    from pde_benchmarks.datasets import Dataset
    from sciml.inverse import FieldPrior
    from sciml.training import History, Trainer

__all__ = ["DGNO", "DGNOConfig"]

ROWS = 256
DRAWS = 16  # of a Gaussian encoder, for means and deviations


@dataclass(frozen=True)
class DGNOConfig:
    """What DGNO can choose.

    Parameters
    ----------
    residual
        Residual kind of the problem, or None for its default (``energy`` where the operator is symmetric).
    cells, functions, radius
        Options of the residual's form where it has them, or None for its own: cells of random points an axis (energy,
        strong), number and radius of test functions (weak, mixed).
    residual_weight, reconstruction_weight, label_weight, divergence_weight
        Weights of the terms of the objective; without reconstruction it is a physics-informed MultiONet.
    learned_precision
        Learn the precision of the virtual observables (not for energies, which do not vanish at the solution).
    labels
        How many of the training samples have labels; 0 for none: the others' solutions are never read.
    symmetry
        Transform every training batch by a random symmetry of the square: where the law of the inputs has them, too.
    posterior
        ``point``: the encoder answers with one bounded latent vector; ``gaussian``: with a distribution.
    prior
        What is fitted to the encoded training inputs after training: ``gaussian`` moments, or a normalising ``flow``.
    branch
        Encoder of the input field: ``dense`` or ``convolutional``.
    coarse_cells
        Cells an axis of a coarse grid on which the decoder of the solution solves the equation; None for a network
        alone.
    latent, width, depth, aggregate
        Numbers in β; neurons, layers and summed layers of the solutions' decoders.
    coefficient_width
        Neurons of the input field's decoder.
    trunk_activation, branch_activation, coefficient_trunk_activation, coefficient_branch_activation
        ``tanh_sin``, ``silu_sin`` or ``silu_identity``.
    """

    residual: str | None = None
    cells: int | None = None
    functions: int | None = None
    radius: float | None = None
    residual_weight: float = 20.0
    reconstruction_weight: float = 1.0
    label_weight: float = 10.0
    divergence_weight: float = 1.0
    learned_precision: bool = False
    labels: int = 0
    symmetry: bool = False
    posterior: Literal["point", "gaussian"] = "point"
    prior: Literal["gaussian", "flow"] = "gaussian"
    branch: Literal["dense", "convolutional"] = "convolutional"
    coarse_cells: int | None = None
    latent: int = 128
    width: int = 100
    depth: int = 5
    aggregate: int = 4
    coefficient_width: int = 128
    trunk_activation: str = "tanh_sin"
    branch_activation: str = "tanh_sin"
    coefficient_trunk_activation: str = "silu_sin"
    coefficient_branch_activation: str = "silu_identity"

    def __post_init__(self) -> None:
        require_at_least(
            0,
            residual_weight=self.residual_weight,
            reconstruction_weight=self.reconstruction_weight,
            label_weight=self.label_weight,
            divergence_weight=self.divergence_weight,
            labels=self.labels,
        )
        require_at_least(1, latent=self.latent, width=self.width, depth=self.depth, aggregate=self.aggregate)
        require_at_least(1, coefficient_width=self.coefficient_width)
        if not self.residual_weight and not self.labels:
            raise ConfigurationError(
                "residual_weight = 0 and labels = 0: nothing teaches the solution; give one of them."
            )
        for name in (self.trunk_activation, self.branch_activation):
            activation(name)
        for name in (self.coefficient_trunk_activation, self.coefficient_branch_activation):
            activation(name)


class DGNO(Learner):
    """Deep generative neural operator (Zang & Koutsourelakis 2025, arXiv 2502.06250).

    An encoder maps the input field a to a latent vector β; one MultiONet decodes a from it, others the fields of the
    equation. Training needs inputs alone: the equation's residual takes the place of labels. Afterwards a prior is
    fitted to the encoded training inputs, in which `sciml.learners.dgno.inversion.invert` looks for the β that explains
    measurements.
    """

    name: ClassVar[str] = "dgno"
    capabilities: ClassVar[Capabilities] = Capabilities(
        inverse=Offer(), uncertainty=Offer("posterior=gaussian"), no_labels=Offer(), processes=Offer()
    )
    config_type: ClassVar[type] = DGNOConfig
    training_defaults: ClassVar[dict[str, Any]] = {"learning_rate": 2e-3, "batch_size": 100, "weight_decay": 1e-4}
    config: DGNOConfig
    module: LatentFields

    def __init__(self, problem: Problem, config: DGNOConfig) -> None:
        super().__init__(problem, config)
        variational = cast(VariationalOnGrid, problem)
        self.decoded = DecodedProblem(variational)
        options = {"cells": config.cells, "functions": config.functions, "radius": config.radius}
        given = {name: value for name, value in options.items() if value is not None}
        self.form = variational.weak_form(config.residual, **given)
        if config.coarse_cells is not None and self.form.kind != "energy":
            raise ConfigurationError(
                f"coarse_cells = {config.coarse_cells} with residual={self.form.kind}: there is one field "
                "and no second derivative; leave it out, or use residual=energy where the problem has one."
            )
        if config.symmetry and not problem.isotropic:
            raise ConfigurationError(f"symmetry = True: {problem.name} is not isotropic; leave it out.")
        if config.learned_precision and self.form.kind == "energy":
            raise ConfigurationError(
                "learned_precision with residual=energy: an energy does not vanish at the solution; use residual=weak."
            )
        self.module = self._networks()
        self.module.log_precision.requires_grad_(config.learned_precision)

    @classmethod
    def accepts(cls, problem: Problem) -> str | None:
        """One input field on a grid, and an equation that can be posed at any points."""
        if not isinstance(problem, VariationalProblem):
            return "it learns from the equation at arbitrary points, and this problem has no weak form."
        if len(problem.inputs) != 1 or not isinstance(problem.inputs[0].support, Grid):
            return "it encodes one input field on a grid."
        return None

    @classmethod
    def missing(cls) -> str | None:
        """Nothing; a prior by a flow says itself what it needs."""
        return None

    def fit(self, dataset: Dataset, validation: Dataset, trainer: Trainer) -> History:
        """Train on the inputs of ``dataset`` and the solutions of its first `labels` samples; then fit the prior.

        Raises
        ------
        ConfigurationError
            If there are fewer samples than ``labels``.
        """
        began = time.perf_counter()
        config = self.config
        if config.labels > dataset.count:
            raise ConfigurationError(
                f"labels = {config.labels}: there are only {dataset.count} training samples; give at most that."
            )
        spec = self.decoded.input
        fields = dataset.inputs[spec.name].to(torch.float32)
        arrays = {spec.name: fields}
        if config.labels:
            arrays["labelled"] = (torch.arange(dataset.count) < config.labels).float()
            arrays |= {out.name: dataset.outputs[out.name].to(torch.float32) for out in self.problem.outputs}
        self.module.fit_statistics(fields)
        spent = time.perf_counter() - began
        history = trainer.fit(self.module, self.objective(), arrays, lambda: self._error(validation), spent=spent)
        self.fit_prior(dataset.inputs)
        self.measure_errors(validation.inputs)
        return history

    def objective(self) -> EvidenceBound:
        """What is minimised."""
        config = self.config
        return EvidenceBound(
            self.decoded,
            self.form,
            config.residual_weight,
            config.reconstruction_weight,
            config.label_weight,
            config.divergence_weight,
            config.learned_precision,
            config.symmetry,
        )

    def fit_prior(self, inputs: Batch) -> None:
        """Fit the prior to the encoded ``inputs``; a flow is fitted with a fixed seed."""
        latents, prior = self.encode(inputs), self.module.prior
        if isinstance(prior, GaussianPrior):
            prior.fit(latents)
            return
        from sciml.inference.flow_prior import FlowPrior

        assert isinstance(prior, FlowPrior)
        prior.requires_grad_(True).fit(latents, torch.Generator().manual_seed(0))
        prior.requires_grad_(False)

    @torch.no_grad()
    def measure_errors(self, inputs: Batch) -> None:
        """Measure on held-out ``inputs``, without labels, what the reconstruction and the solution lack."""
        latent, likelihood = self.encode(inputs), self.module.likelihood
        if isinstance(likelihood, GaussianLikelihood):
            decoded = self.module.coefficient(latent, self.decoded.input_points.to(latent))
            likelihood.fit_deviation(decoded, self._read(inputs).flatten(2).mT)
        if isinstance(self.problem, LinearProblem):
            answer = self.predict(inputs).mean
            self.module.model_error.copy_(estimated_error(self.problem, inputs, answer).median())

    @torch.no_grad()
    def encode(self, inputs: Batch) -> Tensor:
        """Means of q(β | a), ``(B, d)``, float32, on the learner's device.

        Raises
        ------
        LearnerError
            If the input field is not on the grid of training.
        """
        field = self._read(inputs)
        self.module.eval()
        parts = [self.module.encode(field[i : i + ROWS])[0] for i in range(0, len(field), ROWS)]
        return torch.cat(parts) if parts else field.new_zeros(0, self.config.latent)

    @torch.no_grad()
    def predict(self, inputs: Batch, batch_size: int = ROWS) -> Prediction:
        """Predict the outputs on their grid; raises as `encode` does.

        A Gaussian encoder adds samples ``(B, draws, channels, *grid)``, of which mean and standard deviation are taken.
        """
        (first, *_) = inputs.values()
        field = self._read(inputs)
        self.module.eval()
        rows = [self._drawn(field[i : i + batch_size]) for i in range(0, max(len(field), 1), batch_size)]
        drawn = Batch({name: torch.cat([row[name] for row in rows]).to(first) for name in rows[0]})
        mean = Batch({name: field.mean(1) for name, field in drawn.items()})
        if not self.module.gaussian:
            return Prediction(mean)
        return Prediction(mean, Batch({name: field.std(1) for name, field in drawn.items()}), drawn)

    @torch.no_grad()
    def predict_at(self, inputs: Batch, points: Tensor) -> Prediction:
        """Predict the outputs at any points ``(n, dim)``: ``(B, n, channels)``; raises as `encode` does."""
        latent = self.encode(inputs)
        seen = Batch({self.decoded.input.name: self._read(inputs)})
        places = points.to(latent)
        names = [spec.name for spec in self.problem.outputs]
        fields = {name: self.decoded.field_at(self.module, name, latent, places, seen) for name in names}
        (first, *_) = inputs.values()
        return Prediction(Batch({name: field.to(first) for name, field in fields.items()}))

    def field_prior(self) -> FieldPrior:
        """The decoders, with the prior that was fitted to the encoded training inputs."""
        from sciml.learners.dgno.inversion import DecodedFields

        return DecodedFields(self)

    @torch.no_grad()
    def reconstruct(self, inputs: Batch) -> Batch:
        """The input field through encoder and decoder, its mean."""
        fields = self.decoded.input_fields(self.module, self.encode(inputs))
        return fields.to(dtype=inputs[self.decoded.input.name].dtype)

    @torch.no_grad()
    def sample_prior(self, count: int, generator: Generator) -> Batch:
        """``count`` pairs of input field and solution from the fitted prior."""
        z = torch.randn(count, self.config.latent, generator=generator, device=generator.device)
        latent = self.module.prior(z.to(self._device))
        decoded = self.module.coefficient(latent, self.decoded.input_points.to(latent))
        values = self.module.likelihood.draw(decoded, generator).mT.unflatten(2, self.decoded.shape)
        inputs = Batch({self.decoded.input.name: values})
        return inputs.merged(self.decoded.outputs(self.module, latent, inputs))

    def _drawn(self, field: Tensor) -> Batch:
        """Outputs of one batch for latents drawn from q(β | a), ``(B, draws, …)``; one draw of a point encoder."""
        inputs = Batch({self.decoded.input.name: field})
        mean, log_variance = self.module.encode(field)
        latents = [mean]
        if log_variance is not None:
            generator, deviation = torch.Generator().manual_seed(0), (log_variance / 2).exp()
            noise = torch.randn((DRAWS, *mean.shape), generator=generator).to(mean)
            latents = [mean + deviation * one for one in noise]
        draws = [self.decoded.outputs(self.module, latent, inputs) for latent in latents]
        return Batch({name: torch.stack([draw[name] for draw in draws], 1) for name in draws[0]})

    def _error(self, validation: Dataset) -> float:
        return self.problem.metrics(self.predict(validation.inputs).mean, validation.outputs)["relative_l2"]

    def _read(self, inputs: Batch) -> Tensor:
        """The input field in the networks' precision and on their device."""
        spec = self.decoded.input
        field = inputs[spec.name]
        wanted = (spec.channels, *self.decoded.shape)
        if tuple(field.shape[1:]) != wanted:
            raise LearnerError(
                f"field {spec.name!r} has the shape {tuple(field.shape)}, expected (samples, "
                f"{', '.join(map(str, wanted))}): the encoder reads the grid that it was trained on."
            )
        return field.to(self._device, torch.float32)

    @property
    def _device(self) -> torch.device:
        return next(self.module.parameters()).device

    def _networks(self) -> LatentFields:
        config, spec = self.config, self.decoded.input
        shape, dim = self.decoded.shape, len(self.decoded.shape)
        gaussian = config.posterior == "gaussian"
        latent = config.latent * (2 if gaussian else 1)
        kind = DenseEncoder if config.branch == "dense" else ConvolutionalEncoder
        encoder: nn.Module = kind(spec.channels, shape, latent)
        likelihood = likelihood_of(spec)
        coefficient = MultiONet(
            dim,
            config.latent,
            config.coefficient_width,
            config.depth,
            config.aggregate,
            likelihood.decoded,
            config.coefficient_trunk_activation,
            config.coefficient_branch_activation,
        )
        solutions = {
            name: MultiONet(
                self.form_dim,
                config.latent,
                config.width,
                config.depth,
                config.aggregate,
                channels,
                config.trunk_activation,
                config.branch_activation,
            )
            for name, channels in self.form.fields.items()
        }
        coarse = None if config.coarse_cells is None else CoarseSolution(self.problem, config.coarse_cells)
        return LatentFields(encoder, coefficient, likelihood, solutions, self._prior(), gaussian, spec.channels, coarse)

    @property
    def form_dim(self) -> int:
        """Coordinates of the equation's points."""
        return self.form.draw(torch.Generator().manual_seed(0)).points.shape[1]

    def _prior(self) -> LatentPrior:
        if self.config.prior == "flow":
            from sciml.inference.flow_prior import FlowPrior

            # Fitted after the networks, which it is no part of.
            return FlowPrior(self.config.latent).requires_grad_(False)
        return GaussianPrior(self.config.latent)
