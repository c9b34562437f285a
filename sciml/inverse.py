"""Inverse problems: from noisy measurements of a solution to its input, with error bars and a re-simulation."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from pde_benchmarks.problem import Batch, FieldSpec, Grid, Points, Problem
from pde_benchmarks.sensors import Sensors
from sciml.errors import LearnerError
from sciml.inference import ModelError, Observation, Posterior, PosteriorSamples, infer
from sciml.inference.result import Advance

__all__ = ["FieldPrior", "InverseResult", "interval", "invert", "observed_field"]

ROWS = 256


class FieldPrior(ABC):
    """A generator of input fields and of what follows from them: latents z ~ N(0, I) are all that is unknown.

    ``latent_dim`` is the number of latents; ``model_error`` how far its outputs are from the reference solver's, or
    None where they are the reference solver's.
    """

    problem: Problem
    latent_dim: int
    model_error: ModelError | None = None

    @abstractmethod
    def inputs(self, z: Tensor) -> Batch:
        """Expected input fields of latents ``(m, d)``: ``(m, channels, *grid)``."""

    @abstractmethod
    def draw_inputs(self, z: Tensor, generator: Generator) -> Batch:
        """Input fields drawn given the latents: what latents leave open is drawn, too."""

    @abstractmethod
    def decided_inputs(self, z: Tensor) -> Batch:
        """The most probable input fields given the latents, of values that the equation allows."""

    @abstractmethod
    def outputs(self, z: Tensor) -> Batch:
        """Outputs that belong to the latents, ``(m, channels, *grid)``."""

    @abstractmethod
    def at_sensors(self, z: Tensor, points: Tensor) -> Tensor:
        """The observed field at points ``(n, dim)``, differentiable in z: ``(m, n)``."""


@dataclass(frozen=True)
class InverseResult:
    """What measurements say about inputs and outputs; B observations.

    Attributes
    ----------
    map
        Input and outputs at the most probable latents found (their mean, where a method looks for no maximum).
    samples
        Drawn inputs and their reference solutions, ``(B, draws, channels, *grid)``; None for a MAP estimate.
    inference
        Latents, diagnostics, and how the inference of every observation ended.
    surrogate_misfit
        ‖H u − y‖ / ‖y‖ of the outputs at the most probable latents, ``(B,)``.
    decided
        The most probable input, of values that the equation allows.
    resimulated
        The reference solution for it.
    resimulated_misfit, resimulated_chi_square
        Its misfit, and the mean of ((H u − y)/σ)²: about 1 where the input explains the measurements to their noise.
    """

    map: Batch
    samples: Batch | None
    inference: PosteriorSamples
    surrogate_misfit: Tensor
    decided: Batch
    resimulated: Batch
    resimulated_misfit: Tensor
    resimulated_chi_square: Tensor

    @property
    def mean(self) -> Batch:
        """Posterior means; those of `map` where there are no samples."""
        if self.samples is None:
            return self.map
        return Batch({name: field.mean(1) for name, field in self.samples.items()})

    @property
    def std(self) -> Batch:
        """Posterior standard deviations; raises LearnerError for a MAP estimate."""
        return Batch({name: field.std(1) for name, field in self._drawn().items()})

    def intervals(self, level: float) -> tuple[Batch, Batch]:
        """Lower and upper ends of the central intervals that hold ``level`` of the draws, point by point."""
        ends = {name: interval(field, level) for name, field in self._drawn().items()}
        return Batch({name: low for name, (low, _) in ends.items()}), Batch(
            {name: end[1] for name, end in ends.items()}
        )

    def _drawn(self) -> Batch:
        if self.samples is None:
            raise LearnerError("a MAP estimate has no spread: use method laplace, hmc, pcn or svi for error bars.")
        return self.samples


def invert(
    prior: FieldPrior,
    observation: Observation,
    method: str = "laplace",
    config: Any = None,
    *,
    generator: Generator,
    model_error: ModelError | None = None,
    draws: int = 200,
    throw: bool = True,
    progress: Advance | None = None,
) -> InverseResult:
    """Find the inputs that explain an observation.

    Parameters
    ----------
    prior
        What inputs are likely, and what is seen of them: `DecodedFields` of a trained `DGNO`, or a Gaussian field
        with the reference solver.
    observation
        Values of the problem's first observed field at points shared by the observations, and their noise.
    method, config, throw, progress
        As for `sciml.inference.infer`.
    generator
        Draws every random number.
    model_error
        Error of the prior's own outputs; None for what it knows of itself.
    draws
        Inputs that are drawn and solved for, for means, deviations and intervals.

    Raises
    ------
    ProblemError
        If sensors lie outside of the domain; they are listed.
    LearnerError
        If the problem is not observed at points, or every observation has sensors of its own.
    InferenceError
        If an inference has not converged, as `infer` does.
    """
    problem = prior.problem
    spec = observed_field(problem)
    if observation.points.ndim != 2:
        raise LearnerError("sensors that differ between observations: invert them one by one, each with its points.")
    sensors = Sensors(observation.points)

    def forward(z: Tensor) -> Tensor:
        return prior.at_sensors(z.flatten(0, 1), observation.points).unflatten(0, z.shape[:2])

    error = prior.model_error if model_error is None else model_error
    posterior = Posterior(forward, observation, prior.latent_dim, error)
    drawn = infer(posterior, method, config, generator=generator, throw=throw, progress=progress)
    with torch.no_grad():
        best = drawn.map.z if drawn.map is not None else drawn.mean()
        fields = prior.inputs(best).merged(prior.outputs(best))
        samples = None if method == "map" else _fields_of(prior, drawn.thinned(draws), generator)
        decided = prior.decided_inputs(best)
        truth = problem.solve(decided.to(dtype=torch.float64)).to(dtype=best.dtype)
        grid = next(out.support for out in problem.outputs if out.name == spec.name)
        assert isinstance(grid, Grid)
        seen = sensors.observe(truth[spec.name], grid)[..., 0].to(observation.values)
        return InverseResult(
            map=fields,
            samples=samples,
            inference=drawn,
            surrogate_misfit=observation.relative_misfit(forward(best[:, None])[:, 0]),
            decided=decided,
            resimulated=truth,
            resimulated_misfit=observation.relative_misfit(seen),
            resimulated_chi_square=observation.reduced_chi_square(seen),
        )


def interval(draws: Tensor, level: float) -> tuple[Tensor, Tensor]:
    """Ends of the central interval that holds ``level`` of the draws ``(B, draws, …)``, point by point: ``(B, …)``.

    The ends are draws themselves: an interval of phases ends at phases.
    """
    ordered, last = draws.sort(dim=1).values, draws.shape[1] - 1
    below = math.floor((1 - level) / 2 * last)
    return ordered[:, below], ordered[:, last - below]


def observed_field(problem: Problem) -> FieldSpec:
    """The field that sensors of this problem see at points; raises LearnerError if there is none."""
    for spec in problem.observations:
        if isinstance(spec.support, Points) and spec.channels == 1:
            return spec
    raise LearnerError(f"{problem.name} has no field that is observed at points: there is nothing to invert.")


def _fields_of(prior: FieldPrior, z: Tensor, generator: Generator) -> Batch:
    """Inputs drawn for latents ``(B, k, d)``, and their reference solutions: free of the prior's own error."""
    flat = z.flatten(0, 1)
    parts = []
    for rows in flat.split(ROWS):
        inputs = prior.draw_inputs(rows, generator)
        outputs = prior.problem.solve(inputs.to(dtype=torch.float64)).to(dtype=z.dtype)
        parts.append(inputs.merged(outputs))
    return Batch({name: torch.cat([part[name] for part in parts]).unflatten(0, z.shape[:2]) for name in parts[0]})
