"""The inverse problems of ``sciml invert`` with a prior: what is measured of a field, by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.imaging.denoising import Denoising, DenoisingProblem
from pde_benchmarks.imaging.forward_operators import (
    CircularBlur,
    CompressedSensing,
    DarcyPressure,
    ForwardOperator,
    HeatSource,
    LogPermeability,
    MatrixFreeRadon,
    ParallelBeams,
    Radon,
    ReflectingBlur,
    Scaled,
    SparseRadon,
    TwoPhases,
    filtered_back_projection,
    gaussian_kernel,
    normalised,
    sensor_lattice,
)
from pde_benchmarks.problem import Phases
from pde_benchmarks.registry import problem_types

__all__ = ["FORWARD_PROBLEMS", "ForwardProblem"]

_LARGEST_SPARSE = 128  # pixels an axis, beyond which the matrix of rays takes more memory than it saves time


class ForwardProblem(ABC):
    """What is measured; its fields are the settings that users may change."""

    name: ClassVar[str]
    #: Whether data have the grid of the field, so that they say how large it is.
    keeps_grid: ClassVar[bool] = False

    @abstractmethod
    def operator(self, shape: Sequence[int], prior: DenoisingProblem) -> ForwardOperator:
        """The forward operator of fields ``(channels, *grid)`` that are like those of a prior."""

    def in_operator_unit(self, operator: ForwardOperator, data: Tensor) -> Tensor:
        """Data as they are measured, in the unit of the operator."""
        return data

    def direct(self, operator: ForwardOperator, data: Tensor) -> dict[str, Tensor]:
        """Reconstructions by a formula, by name."""
        return {}


@dataclass(frozen=True)
class Deblurring(ForwardProblem):
    """Blur by a Gaussian of standard deviation ``width`` in pixels; ``boundary`` is reflecting or circular."""

    width: float = 1.0
    boundary: str = "reflecting"
    name: ClassVar[str] = "deblur"
    keeps_grid: ClassVar[bool] = True

    def operator(self, shape: Sequence[int], prior: DenoisingProblem) -> ForwardOperator:
        blurs = {"reflecting": ReflectingBlur, "circular": CircularBlur}
        if self.boundary not in blurs:
            raise ProblemError(f"boundary {self.boundary!r} of a blur: reflecting or circular is expected.")
        return blurs[self.boundary](shape, gaussian_kernel(self.width, len(shape) - 1))


@dataclass(frozen=True)
class Tomography(ForwardProblem):
    """Line integrals along parallel rays from ``angles`` directions, divided by the operator's norm."""

    angles: int = 15
    name: ClassVar[str] = "tomography"

    def operator(self, shape: Sequence[int], prior: DenoisingProblem) -> ForwardOperator:
        channels, *grid = shape
        if len(grid) != 2 or grid[0] != grid[1]:
            raise ProblemError(f"tomography of {_grid(shape)} points: square images are expected.")
        beams = ParallelBeams(grid[0], self.angles)
        small = grid[0] <= _LARGEST_SPARSE
        return normalised(SparseRadon(beams, channels) if small else MatrixFreeRadon(beams, channels))

    def in_operator_unit(self, operator: ForwardOperator, data: Tensor) -> Tensor:
        assert isinstance(operator, Scaled)
        return operator.factor * data

    def direct(self, operator: ForwardOperator, data: Tensor) -> dict[str, Tensor]:
        assert isinstance(operator, Scaled)
        assert isinstance(operator.operator, Radon)
        return {"filtered back-projection": filtered_back_projection(operator.operator, data / operator.factor)}


@dataclass(frozen=True)
class Sensing(ForwardProblem):
    """``ratio`` times as many random measurements as pixels; ``seed`` says which."""

    ratio: float = 0.25
    seed: int = 0
    name: ClassVar[str] = "compressed-sensing"

    def operator(self, shape: Sequence[int], prior: DenoisingProblem) -> ForwardOperator:
        return CompressedSensing(shape, self.ratio, Generator().manual_seed(self.seed))


@dataclass(frozen=True)
class HeatRelease(ForwardProblem):
    """The temperature after the time T in an insulated unit cube; ``duration`` is κ T."""

    duration: float = 1e-3
    name: ClassVar[str] = "heat-source"
    keeps_grid: ClassVar[bool] = True

    def operator(self, shape: Sequence[int], prior: DenoisingProblem) -> ForwardOperator:
        return HeatSource(shape, self.duration)


@dataclass(frozen=True)
class DarcyPermeability(ForwardProblem):
    """Pressures at ``sensors`` × ``sensors`` points of a flow through a medium.

    ``permeability`` is ``two-phases``, ``log`` (the field is the logarithm) or ``auto``: as the prior's law has it.
    """

    sensors: int = 8
    permeability: str = "auto"
    name: ClassVar[str] = "darcy"

    def operator(self, shape: Sequence[int], prior: DenoisingProblem) -> ForwardOperator:
        channels, *grid = shape
        if len(grid) != 2 or grid[0] != grid[1] or channels != 1:
            raise ProblemError(
                f"darcy with fields of {channels} channels and {_grid(shape)} points: one channel on a square grid is "
                "expected."
            )
        if self.sensors < 1:
            raise ProblemError(f"sensors {self.sensors} an axis: at least 1 is expected.")
        return DarcyPressure(grid[0], self._permeability(prior), sensor_lattice(self.sensors))

    def _permeability(self, prior: DenoisingProblem) -> LogPermeability | TwoPhases:
        match self.permeability:
            case "log":
                return LogPermeability()
            case "two-phases":
                return TwoPhases()
            case "auto":
                return _permeability_of(prior)
        raise ProblemError(f"permeability {self.permeability!r}: auto, log or two-phases is expected.")


FORWARD_PROBLEMS: dict[str, type[ForwardProblem]] = {
    kind.name: kind for kind in (Deblurring, Tomography, Sensing, HeatRelease, DarcyPermeability)
}


def _permeability_of(prior: DenoisingProblem) -> LogPermeability | TwoPhases:
    """Two phases stand for themselves, fields of the law ``permeability`` for phases, others for logarithms."""
    if not isinstance(prior, Denoising):
        return LogPermeability()
    if prior.law == "permeability":
        return TwoPhases()
    problem, _, field = prior.law.partition(":")
    specs = problem_types()[problem]().inputs if field else ()
    for spec in specs:
        if spec.name == field and isinstance(spec.kind, Phases) and len(spec.kind.values) == 2:
            low, high = spec.kind.values
            return TwoPhases(low, high, (low, high))
    return LogPermeability()


def _grid(shape: Sequence[int]) -> str:
    return "×".join(map(str, torch.Size(shape[1:])))
