"""An inverse problem to be solved: sensors and what they measured, and the truth where it is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Generator

from pde_benchmarks.problem import Batch, Grid, Points, Problem
from pde_benchmarks.sensors import Sensors
from sciml.errors import ConfigurationError
from sciml.inference import Observation
from sciml.inverse import observed_field
from sciml.inversions.measurements import read_measurements

__all__ = ["Case", "recorded_case", "synthetic_case"]

# Away from the seeds that training, validation and test data are drawn with.
FIRST_SEED = 1_000_000


@dataclass(frozen=True)
class Case:
    """What is inverted.

    Parameters
    ----------
    observation
        One row for every input that is looked for; all have the same sensors.
    truth
        Inputs and outputs behind it, float64; None for measurements.
    source
        Where it comes from, in words.
    """

    observation: Observation
    truth: Batch | None
    source: str


def synthetic_case(problem: Problem, sensors: int, snr_db: float, seed: int, count: int = 1) -> Case:
    """Inputs drawn from the problem's law, solved and measured at random points, with normal noise.

    Raises
    ------
    ConfigurationError
        If a number is out of range.
    LearnerError
        If nothing of the problem is observed at points.
    ProblemError
        If the ratio of signal to noise is not finite.

    Examples
    --------
    >>> from pde_benchmarks.media import TwoPhaseDarcy
    >>> case = synthetic_case(TwoPhaseDarcy(resolution=9), sensors=20, snr_db=25, seed=0)
    >>> case.observation.values.shape, sorted(case.truth)
    (torch.Size([1, 20]), ['coefficient', 'solution'])
    """
    for option, value, least in (("sensors", sensors, 1), ("seed", seed, 0), ("count", count, 1)):
        if value < least:
            raise ConfigurationError(f"{option} = {value}: a whole number, at least {least}, is expected.")
    spec = observed_field(problem)
    assert isinstance(spec.support, Points)
    grid = next(out.support for out in problem.outputs if out.name == spec.name)
    assert isinstance(grid, Grid)
    generator = Generator().manual_seed(FIRST_SEED + seed)
    inputs = problem.sample(count, generator).to(dtype=torch.float64)
    truth = inputs.merged(problem.solve(inputs))
    placed = Sensors.random(sensors, generator, spec.support.dim)
    values, std = placed.measure(truth[spec.name], snr_db, generator, grid)
    observation = Observation(placed.points, values[..., 0], std[:, None])
    return Case(observation, truth, f"{sensors} random sensors, signal-to-noise ratio {snr_db:g} dB, seed {seed}")


def recorded_case(problem: Problem, path: Path | str) -> Case:
    """What was measured, read by `read_measurements`; raises as that does."""
    support = observed_field(problem).support
    assert isinstance(support, Points)
    found = read_measurements(path, support.dim)
    observation = Observation(found.points, found.values[None], found.std[None])
    return Case(observation, None, f"{len(found.points)} sensors in {path}")
