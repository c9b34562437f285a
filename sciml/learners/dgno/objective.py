"""What DGNO minimises: the negative evidence lower bound, with the equation as virtual observations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from pde_benchmarks.problem import Batch
from pde_benchmarks.weak_forms import WeakForm
from sciml.learners.dgno.fields import DecodedProblem
from sciml.learners.dgno.network import LatentFields
from sciml.learners.symmetries import random_symmetry

__all__ = ["EvidenceBound"]


@dataclass(frozen=True)
class EvidenceBound:
    """Mean over samples of −log p(a | β) + w r(u(β), a) + [labelled] ‖u(β) − u‖² / ‖u‖² + KL(q(β | a), p(β)).

    Zang & Koutsourelakis 2025 (arXiv 2502.06250), with every term divided by the number of its points. r is a weighted
    residual or an energy at points that are drawn anew in every step and shared by the batch, so that coordinate
    networks and their derivatives are evaluated once for all samples.

    Parameters
    ----------
    decoded
        The problem, as decoders see it.
    form
        The residual.
    residual_weight, reconstruction_weight, label_weight, divergence_weight
        Weights of the terms; the divergence exists for a Gaussian encoder only.
    learned_precision
        Learn the precision λ of the virtual observables: λ r − log λ, for residuals that vanish at the solution.
    symmetric
        Transform every batch by a random symmetry of the square.
    """

    decoded: DecodedProblem
    form: WeakForm
    residual_weight: float
    reconstruction_weight: float
    label_weight: float
    divergence_weight: float
    learned_precision: bool
    symmetric: bool

    def __call__(self, module: nn.Module, batch: Mapping[str, Tensor], generator: Generator) -> Tensor:
        """The mean over the batch."""
        arrays = dict(batch)
        if self.symmetric:
            fields = {name: array for name, array in batch.items() if name != "labelled"}
            arrays |= random_symmetry(fields, generator)
        loss: Tensor = module(lambda networks: self._evaluate(networks, arrays, generator))
        return loss

    def _evaluate(self, networks: LatentFields, batch: Mapping[str, Tensor], generator: Generator) -> Tensor:
        field = batch[self.decoded.input.name]
        mean, log_variance = networks.encode(field)
        latent = mean
        if log_variance is not None:
            noise = torch.randn(mean.shape, generator=generator).to(mean)
            latent = mean + (log_variance / 2).exp() * noise
        total = self.reconstruction_weight * self._reconstruction(networks, latent, field)
        if self.residual_weight:
            total = total + self.residual_weight * self._residual(networks, latent, field, generator)
        if "labelled" in batch:
            total = total + self.label_weight * self._labels(networks, latent, batch)
        if log_variance is not None:
            divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1) / 2
            total = total + self.divergence_weight * divergence / field[0].numel()
        return total.mean()

    def _reconstruction(self, networks: LatentFields, latent: Tensor, field: Tensor) -> Tensor:
        decoded = networks.coefficient(latent, self.decoded.input_points.to(latent))
        return networks.likelihood.negative_log(decoded, field.flatten(2).mT)

    def _residual(self, networks: LatentFields, latent: Tensor, field: Tensor, generator: Generator) -> Tensor:
        quadrature = self.form.draw(generator, latent.dtype, latent.device)
        inputs = Batch({self.decoded.input.name: field})
        coefficient = self.decoded.problem.coefficient_at(inputs, quadrature.points)
        raw = networks.jets(latent, quadrature.points, self.form.order)
        points = quadrature.points
        jets = {name: self.decoded.imposed(networks, name, points, jet, inputs) for name, jet in raw.items()}
        residual = self.form.loss(quadrature, coefficient, jets)
        if not self.learned_precision:
            return residual
        return networks.log_precision.exp() * residual - networks.log_precision

    def _labels(self, networks: LatentFields, latent: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Squared relative errors of the labelled samples; what is not labelled is never read."""
        chosen = batch["labelled"] > 0
        error = latent.new_zeros(len(latent))
        if not chosen.any():
            return error
        rows = chosen.nonzero().flatten()
        inputs = Batch({self.decoded.input.name: batch[self.decoded.input.name][rows]})
        fields = self.decoded.outputs(networks, latent[rows], inputs)
        parts = [
            (fields[name] - batch[name][rows]).flatten(1).square().sum(1) / batch[name][rows].flatten(1).square().sum(1)
            for name in fields
        ]
        return error.index_add(0, rows, torch.stack(parts).mean(0))
