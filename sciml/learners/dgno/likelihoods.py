"""How an input field is distributed given what a decoder says of it: continuous, of two phases, of several."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from pde_benchmarks.problem import FieldSpec, Phases
from sciml.errors import LearnerError

__all__ = ["BernoulliLikelihood", "CategoricalLikelihood", "GaussianLikelihood", "Likelihood", "likelihood_of"]


class Likelihood(nn.Module, ABC):
    """p(a | β) at every point, from decoded numbers ``(B, n, decoded)``; fields are ``(B, n, channels)``.

    ``decoded`` is the number of channels that the decoder must have.
    """

    decoded: int

    def fit_statistics(self, fields: Tensor) -> None:
        """Take what is needed to standardise from training fields ``(count, channels, *grid)``."""

    @abstractmethod
    def negative_log(self, decoded: Tensor, field: Tensor) -> Tensor:
        """Mean over points of −log p(field | decoded), up to a constant: ``(B,)``."""

    @abstractmethod
    def mean(self, decoded: Tensor) -> Tensor:
        """Expected field, differentiable: ``(B, n, channels)``."""

    @abstractmethod
    def mode(self, decoded: Tensor) -> Tensor:
        """The most probable field."""

    @abstractmethod
    def draw(self, decoded: Tensor, generator: Generator) -> Tensor:
        """A field from the distribution."""


class GaussianLikelihood(Likelihood):
    """a | β ~ N(shift + scale · decoded, σ² scale²): continuous media, in units of their spread.

    σ is what reconstruction leaves, ``deviation`` of the spread, set by `fit_deviation` after training.
    """

    shift: Tensor
    scale: Tensor
    deviation: Tensor

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.decoded = channels
        self.register_buffer("shift", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))
        self.register_buffer("deviation", torch.tensor(0.0))

    @torch.no_grad()
    def fit_statistics(self, fields: Tensor) -> None:
        """Mean and spread of every channel."""
        axes = [0, *range(2, fields.ndim)]
        self.shift.copy_(fields.mean(axes))
        self.scale.copy_(fields.std(axes).clamp_min(torch.finfo(fields.dtype).tiny))

    @torch.no_grad()
    def fit_deviation(self, decoded: Tensor, field: Tensor) -> None:
        """σ from a reconstruction of held-out fields."""
        self.deviation.copy_((2 * self.negative_log(decoded, field)).mean().sqrt())

    def negative_log(self, decoded: Tensor, field: Tensor) -> Tensor:
        """Half the mean square in units of the spread (σ = 1 while training: the weight of the term stands for it)."""
        return (decoded - (field - self.shift) / self.scale).square().sum(-1).mean(-1) / 2

    def mean(self, decoded: Tensor) -> Tensor:
        """Shift + scale · decoded."""
        return self.shift + self.scale * decoded

    def mode(self, decoded: Tensor) -> Tensor:
        """The mean."""
        return self.mean(decoded)

    def draw(self, decoded: Tensor, generator: Generator) -> Tensor:
        """The mean and what reconstruction leaves, independent in every point."""
        noise = torch.randn(decoded.shape, generator=generator, dtype=decoded.dtype, device=generator.device)
        return self.mean(decoded + self.deviation * noise.to(decoded.device))


class BernoulliLikelihood(Likelihood):
    """One of two values, the second with probability sigmoid(decoded): a medium of two phases."""

    phases: Tensor
    decoded = 1

    def __init__(self, phases: tuple[float, float]) -> None:
        super().__init__()
        self.register_buffer("phases", torch.tensor(phases))

    def negative_log(self, decoded: Tensor, field: Tensor) -> Tensor:
        """Binary cross-entropy from the logits; raises LearnerError if a value is none of the phases."""
        index = phase_index(field, self.phases)
        return functional.binary_cross_entropy_with_logits(decoded, index.to(decoded), reduction="none").mean((1, 2))

    def mean(self, decoded: Tensor) -> Tensor:
        """Between the phases, by their probabilities."""
        return torch.lerp(self.phases[0], self.phases[1], decoded.sigmoid())

    def mode(self, decoded: Tensor) -> Tensor:
        """The more probable phase."""
        return self.phases[(decoded > 0).long()]

    def draw(self, decoded: Tensor, generator: Generator) -> Tensor:
        """One of the phases in every point, the same quantile everywhere: interfaces move, and no grains appear.

        Points drawn independently would have the same probabilities, but a grainy medium conducts differently.
        """
        return self.phases[(_one_quantile(decoded, generator) < decoded.sigmoid()).long()]


class CategoricalLikelihood(Likelihood):
    """One of K values with probabilities softmax(decoded): a medium of several phases."""

    phases: Tensor

    def __init__(self, phases: tuple[float, ...]) -> None:
        super().__init__()
        self.decoded = len(phases)
        self.register_buffer("phases", torch.tensor(phases))

    def negative_log(self, decoded: Tensor, field: Tensor) -> Tensor:
        """Cross-entropy from the logits; raises LearnerError if a value is none of the phases."""
        index = phase_index(field, self.phases)[..., 0]
        return functional.cross_entropy(decoded.mT, index, reduction="none").mean(1)

    def mean(self, decoded: Tensor) -> Tensor:
        """The phases weighed by their probabilities."""
        return (decoded.softmax(-1) @ self.phases)[..., None]

    def mode(self, decoded: Tensor) -> Tensor:
        """The most probable phase."""
        return self.phases[decoded.argmax(-1, keepdim=True)]

    def draw(self, decoded: Tensor, generator: Generator) -> Tensor:
        """One of the phases in every point, the same quantile everywhere, as in `BernoulliLikelihood`."""
        below = decoded.softmax(-1).cumsum(-1) < _one_quantile(decoded, generator)
        return self.phases[below.sum(-1, keepdim=True).clamp_max(self.decoded - 1)]


def likelihood_of(spec: FieldSpec) -> Likelihood:
    """The distribution that suits the kind of a field.

    Raises
    ------
    LearnerError
        If a field of phases has more than one channel.
    """
    if not isinstance(spec.kind, Phases):
        return GaussianLikelihood(spec.channels)
    if spec.channels != 1:
        raise LearnerError(f"field {spec.name!r} of phases has {spec.channels} channels: one is expected.")
    if len(spec.kind.values) == 2:
        return BernoulliLikelihood((spec.kind.values[0], spec.kind.values[1]))
    return CategoricalLikelihood(spec.kind.values)


def _one_quantile(decoded: Tensor, generator: Generator) -> Tensor:
    """Uniform numbers ``(m, 1, 1)``, one for all points of a draw."""
    uniform = torch.rand((len(decoded), 1, 1), generator=generator, dtype=decoded.dtype, device=generator.device)
    return uniform.to(decoded.device)


def phase_index(field: Tensor, phases: Tensor) -> Tensor:
    """Which of ``phases (K,)`` every value of ``field`` is.

    Raises
    ------
    LearnerError
        If a value is none of them; those found are listed.
    """
    distance, index = (field[..., None] - phases.to(field)).abs().min(-1)
    foreign = distance > 1e-3 * phases.abs().max()
    if foreign.any():
        found = field[foreign].unique()[:5].tolist()
        known = ", ".join(f"{phase:g}" for phase in phases.tolist())
        raise LearnerError(
            f"coefficient: values {', '.join(f'{value:.4g}' for value in found)} are none of the phases {known}: mend "
            "the data, or give the problem these phases."
        )
    return index
