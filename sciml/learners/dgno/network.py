"""The networks of DGNO: one encoder, a decoder for the input field, and one for every field of the equation."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from pde_benchmarks.jet import Jet
from sciml.inference.priors import LatentPrior
from sciml.learners.dgno.coarse_solution import CoarseSolution
from sciml.learners.dgno.likelihoods import Likelihood
from sciml.learners.multionet.network import MultiONet

__all__ = ["LatentFields"]


class LatentFields(nn.Module):
    """Everything that DGNO learns: q(β | a), the decoders of a and of the equation's fields, and the prior of β.

    Parameters
    ----------
    encoder
        Standardised fields ``(B, c, *grid)`` to ``(B, d)``, or to ``(B, 2 d)`` (means and log-variances) for
        ``gaussian``.
    coefficient
        Decoder of the input field; its channels are what the likelihood wants.
    likelihood
        p(a | β).
    solutions
        Decoders of the equation's fields, by name.
    prior
        Of β, fitted to the encoded training inputs after training.
    gaussian
        Whether the encoder is a distribution, or a point: then its answer is bounded by tanh.
    coarse
        A coarse solution to which the decoded one is added, or None.
    """

    input_shift: Tensor
    input_scale: Tensor
    model_error: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        coefficient: MultiONet,
        likelihood: Likelihood,
        solutions: Mapping[str, MultiONet],
        prior: LatentPrior,
        gaussian: bool,
        channels: int,
        coarse: CoarseSolution | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.coefficient = coefficient
        self.likelihood = likelihood
        self.solutions = nn.ModuleDict(dict(solutions))
        self.prior = prior
        self.gaussian = gaussian
        self.coarse = coarse
        self.register_buffer("input_shift", torch.zeros(channels))
        self.register_buffer("input_scale", torch.ones(channels))
        # Relative error of the decoded solution, as the equation estimates it on held-out inputs.
        self.register_buffer("model_error", torch.tensor(0.03))
        # Log-precision of the virtual observables; stays 0 where it is not learned.
        self.log_precision = nn.Parameter(torch.zeros(()))

    def forward(self, evaluate: Callable[[LatentFields], Tensor]) -> Tensor:
        """``evaluate(self)``: what is differentiated passes through the module's call, as parallel training asks."""
        return evaluate(self)

    @torch.no_grad()
    def fit_statistics(self, fields: Tensor) -> None:
        """Take means and deviations from training fields ``(count, channels, *grid)``."""
        axes = [0, *range(2, fields.ndim)]
        self.input_shift.copy_(fields.mean(axes))
        self.input_scale.copy_(fields.std(axes).clamp_min(torch.finfo(fields.dtype).tiny))
        self.likelihood.fit_statistics(fields)

    def encode(self, field: Tensor) -> tuple[Tensor, Tensor | None]:
        """Mean ``(B, d)`` of q(β | a), and its log-variance if it is a distribution."""
        shape = (-1, *[1] * (field.ndim - 2))
        seen = (field - self.input_shift.view(shape)) / self.input_scale.view(shape)
        answer: Tensor = self.encoder(seen)
        if not self.gaussian:
            return torch.tanh(answer), None
        mean, log_variance = answer.chunk(2, -1)
        return mean, log_variance.clamp(-12, 4)

    def solution(self, name: str) -> MultiONet:
        """The decoder of one field of the equation."""
        decoder = self.solutions[name]
        assert isinstance(decoder, MultiONet)
        return decoder

    def jets(self, latent: Tensor, points: Tensor, order: int = 1) -> dict[str, Jet]:
        """Raw answers of all solution decoders and their derivatives at points ``(n, dx)``."""
        return {name: self.solution(name).jet(latent, points, order) for name in self.solutions}
