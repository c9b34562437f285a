"""Denoising: the inverse problem from which a prior for every other one is learned."""

from __future__ import annotations

import dataclasses
import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Self

import torch
from torch import Generator, Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.imaging.laws import LAWS
from pde_benchmarks.imaging.peak_signal import psnr_db
from pde_benchmarks.problem import Batch, Complex, FieldSpec, Grid, Problem, Real
from pde_benchmarks.registry import configure, find, problem_types

__all__ = ["Denoising", "DenoisingProblem"]

_PILOT_SAMPLES, _PILOT_SEED = 32, 0


class DenoisingProblem(Problem):
    """The map from a field with white Gaussian noise, ``noisy``, to the ``clean`` one.

    A subclass says where clean fields come from and how much noise they get: `noise` is its standard deviation as a
    fraction of the `peak`, the range of the values.
    """

    noise: float
    usual_samples: ClassVar[tuple[int, int]] = (4096, 128)

    @property
    @abstractmethod
    def clean(self) -> FieldSpec:
        """The clean field."""

    @property
    @abstractmethod
    def peak(self) -> float:
        """The range of the clean values, in their unit."""

    @abstractmethod
    def draw(self, count: int, generator: Generator) -> Tensor:
        """Clean fields, float64, shape ``(count, channels, *grid)``."""

    @property
    def noise_level(self) -> float:
        """The standard deviation of the noise, in the unit of the field."""
        return self.noise * self.peak

    @property
    def inputs(self) -> tuple[FieldSpec, ...]:
        """The noisy field."""
        return (dataclasses.replace(self.clean, name="noisy", kind=Real()),)

    @property
    def outputs(self) -> tuple[FieldSpec, ...]:
        """The clean field."""
        return (self.clean,)

    def sample(self, count: int, generator: Generator) -> Batch:
        """Noisy fields; beside them the ``noise`` that `solve` takes away, which no learner is given."""
        return self.corrupted(self.draw(count, generator), generator)

    def corrupted(self, clean: Tensor, generator: Generator) -> Batch:
        """``clean`` fields with fresh noise: ``noisy`` and ``noise``, of their shape and dtype."""
        noise = self.noise_level * torch.randn(clean.shape, generator=generator, dtype=torch.float64)
        noise = noise.to(clean)
        return Batch({"noisy": clean + noise, "noise": noise})

    def solve(self, inputs: Batch) -> Batch:
        """The clean fields, to rounding.

        Raises
        ------
        ProblemError
            If the noise is not known: fields that were not drawn here have no reference solution.
        """
        if "noise" not in inputs:
            raise ProblemError(
                f"{self.name}: fields without their noise have no reference solution; draw them by sample()."
            )
        return Batch({self.clean.name: inputs["noisy"] - inputs["noise"]})

    def metrics(self, prediction: Batch, truth: Batch) -> dict[str, float]:
        """The usual errors, and the peak signal-to-noise ratios in decibels.

        ``psnr_db`` is the mean over samples; ``psnr_db_noisy`` is that of the noisy fields, 20 log₁₀(peak / σ).
        """
        name = self.clean.name
        quality = psnr_db(prediction[name], truth[name], self.peak).mean().item()
        return {
            **super().metrics(prediction, truth),
            "psnr_db": quality,
            "psnr_db_noisy": -20 * math.log10(self.noise),
        }

    def _require_noise(self) -> None:
        if not 0 < self.noise < math.inf:
            raise ProblemError(
                f"{self.name} noise {self.noise}: a positive number is expected, the standard deviation as a fraction "
                "of the range of the values, as 0.1."
            )


@dataclass(frozen=True)
class Denoising(DenoisingProblem):
    """Random fields with white Gaussian noise.

    Parameters
    ----------
    law
        What the clean fields are: ``ellipses``, ``sources``, ``permeability`` (two-dimensional, values in [0, 1]),
        ``signals`` (one-dimensional, in [0, 1]); or a field of another problem, ``PROBLEM:FIELD``, as
        ``darcy:coefficient``, drawn (and solved) by it, in its unit.
    resolution
        Points per axis; PROBLEM is set to it where it has a resolution.
    noise
        Standard deviation of the noise as a fraction of the range of the values.

    Raises
    ------
    ProblemError
        If the law is unknown, the resolution below 4, or the noise not positive.

    Examples
    --------
    >>> problem = Denoising("ellipses", resolution=16, noise=0.1)
    >>> drawn = problem.sample(3, torch.Generator().manual_seed(0))
    >>> clean = problem.solve(drawn)["clean"]
    >>> round(float((drawn["noisy"] - clean).std()), 2), clean.shape
    (0.1, torch.Size([3, 1, 16, 16]))
    """

    law: str = "ellipses"
    resolution: int = 32
    noise: float = 0.1
    name: ClassVar[str] = "denoising"

    def __post_init__(self) -> None:
        if self.law not in LAWS and ":" not in self.law:
            raise ProblemError(
                f"denoising law {self.law!r} is unknown: use {', '.join(LAWS)}, or PROBLEM:FIELD, as darcy:coefficient."
            )
        if self.resolution < 4:
            raise ProblemError(f"denoising resolution {self.resolution}: at least 4 points per axis are needed.")
        self._require_noise()

    @property
    def clean(self) -> FieldSpec:
        if self.law not in LAWS:
            return dataclasses.replace(_field(*self._origin), name="clean", kind=Real())
        dim = LAWS[self.law].dim
        return FieldSpec("clean", 1, Grid((self.resolution,) * dim, "cell", ("neumann",) * dim))

    @property
    def peak(self) -> float:
        return 1.0 if self.law in LAWS else _range(self.law, self.resolution)

    def at_resolution(self, resolution: int) -> Self:
        """The same law on another grid."""
        return dataclasses.replace(self, resolution=resolution)

    def draw(self, count: int, generator: Generator) -> Tensor:
        if self.law in LAWS:
            law = LAWS[self.law]
            return law.draw(count, (self.resolution,) * law.dim, generator)
        problem, name = self._origin
        spec = _field(problem, name)
        inputs = problem.sample(count, generator)
        return (inputs if spec in problem.inputs else problem.solve(inputs))[name].double()

    @property
    def _origin(self) -> tuple[Problem, str]:
        problem, _, name = self.law.partition(":")
        return _problem(problem, self.resolution), name


@cache
def _problem(name: str, resolution: int) -> Problem:
    kind = find(problem_types(), name, "problem")
    settings = {"resolution": resolution} if "resolution" in {f.name for f in dataclasses.fields(kind)} else {}
    problem: Problem = configure(kind, settings)
    return problem


@cache
def _range(law: str, resolution: int) -> float:
    """Largest minus smallest value of a few fields, always the same ones."""
    pilot = Denoising(law, resolution).draw(_PILOT_SAMPLES, torch.Generator().manual_seed(_PILOT_SEED))
    return float(pilot.max() - pilot.min())


def _field(problem: Problem, name: str) -> FieldSpec:
    """The field of a problem, if it is one of real numbers on a grid."""
    usable = {
        spec.name: spec
        for spec in (*problem.inputs, *problem.outputs)
        if isinstance(spec.support, Grid) and spec.support.dim and not isinstance(spec.kind, Complex)
    }
    if name not in usable:
        raise ProblemError(
            f"denoising law {problem.name}:{name}: {problem.name} has the real fields on a grid "
            f"{', '.join(usable) or '(none)'}."
        )
    return usable[name]
