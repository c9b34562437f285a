"""What is reconstructed: data, the operator that they come from, their noise, and the truth where it is known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor

from pde_benchmarks.imaging.forward_operators import ForwardOperator, LinearForwardOperator
from pde_benchmarks.imaging.image_denoising import ImageDenoising
from sciml.errors import ConfigurationError
from sciml.plug_and_play import GaussianFidelity
from sciml.reconstructions.data_files import fitted, read_data, read_truth
from sciml.reconstructions.forward_problems import ForwardProblem
from sciml.reconstructions.prior_of_run import FIRST_SEED, TrainedPrior

__all__ = ["ReconstructionCase", "recorded_case", "synthetic_case"]


@dataclass(frozen=True)
class ReconstructionCase:
    """An inverse problem with its data; B samples.

    Attributes
    ----------
    problem, operator
        What is measured, and the operator of it.
    data
        ``(B, *output_shape)``, float64.
    sigma
        Standard deviation of their noise, in their unit; None where it is not known.
    truth
        ``(B, channels, *grid)``; None for recorded data.
    source
        Where the data come from, in words.
    """

    problem: ForwardProblem
    operator: ForwardOperator
    data: Tensor
    sigma: float | None
    truth: Tensor | None
    source: str

    @property
    def fidelity(self) -> GaussianFidelity:
        """Least squares in units of the noise, or of the data where the noise is not known."""
        return GaussianFidelity(self.operator, self.data, 1.0 if self.sigma is None else self.sigma)


def synthetic_case(
    problem: ForwardProblem, prior: TrainedPrior, noise: float, seed: int, count: int = 1, truth: Path | None = None
) -> ReconstructionCase:
    """Data made of known fields, with white Gaussian noise.

    Parameters
    ----------
    problem
        What is measured.
    prior
        Whose law the fields are drawn from.
    noise
        Standard deviation of the noise as a fraction of the range of the data without it.
    seed
        Of fields and noise; apart from those of training.
    count
        Number of fields.
    truth
        File of fields instead.

    Raises
    ------
    ConfigurationError
        If a number is out of range, or the file does not fit the prior.
    DatasetError, ProblemError, ForwardSolveError
        If the file cannot be read, the operator not be made for these fields, or not be applied to them.
    """
    _require_noise(noise)
    for option, value, least in (("seed", seed, 0), ("count", count, 1)):
        if value < least:
            raise ConfigurationError(f"{option} = {value}: a whole number, at least {least}, is expected.")
    fields = prior.truths(count, seed) if truth is None else read_truth(truth, prior)
    operator = problem.operator(tuple(fields.shape[1:]), prior.problem)
    with torch.no_grad():
        clean = operator.apply(fields)
    sigma = noise * float(clean.max() - clean.min())
    if sigma == 0:
        raise ConfigurationError(f"{problem.name}: the data are constant: there is nothing to reconstruct.")
    generator = Generator().manual_seed(FIRST_SEED + seed)
    data = clean + sigma * torch.randn(clean.shape, generator=generator, dtype=torch.float64)
    origin = "drawn from the prior's law" if truth is None else f"of {truth}"
    source = f"made of a field {origin}, with noise of {noise:.3g} of the range, seed {seed}"
    return ReconstructionCase(problem, operator, data, sigma, fields, source)


def recorded_case(
    problem: ForwardProblem, prior: TrainedPrior, path: Path, noise: float | None = None
) -> ReconstructionCase:
    """Data from a file; the field has their grid where they keep it, else that of the prior.

    Parameters
    ----------
    problem, prior
        As in `synthetic_case`.
    path
        A picture, an array or a stack, see `pde_benchmarks.imaging.image_files.read_fields`.
    noise
        Standard deviation of the noise as a fraction of the range of the data; None where it is not known.

    Raises
    ------
    ConfigurationError, DatasetError, ObservationError, ProblemError
        If the noise is not positive, the file cannot be read, or does not fit prior and operator.
    """
    if noise is not None:
        _require_noise(noise)
    data = read_data(path, prior, problem.keeps_grid)
    shape = tuple(data.shape[1:]) if problem.keeps_grid else prior.shape
    operator = problem.operator(shape, prior.problem)
    data = problem.in_operator_unit(operator, fitted(data, operator.output_shape, path))
    data = _in_unit(data, operator, prior)
    spread = float(data.max() - data.min())
    if spread == 0:
        raise ConfigurationError(f"{path}: the data are constant: there is nothing to reconstruct.")
    known = "of unknown noise" if noise is None else f"with noise of {noise:.3g} of the range"
    return ReconstructionCase(
        problem, operator, data, None if noise is None else noise * spread, None, f"data in {path}, {known}"
    )


def _in_unit(data: Tensor, operator: ForwardOperator, prior: TrainedPrior) -> Tensor:
    """A((x − low) / (high − low)) from A x, where the prior knows fields that were scaled."""
    problem = prior.problem
    if not isinstance(problem, ImageDenoising) or not isinstance(operator, LinearForwardOperator):
        return data
    floor = operator.apply(torch.full((1, *operator.input_shape), problem.low, dtype=data.dtype))
    return (data - floor) / (problem.high - problem.low)


def _require_noise(noise: float) -> None:
    if not 0 < noise < math.inf:
        raise ConfigurationError(
            f"noise = {noise}: the standard deviation of the noise as a fraction of the range of the data is expected, "
            "a positive number such as 0.03."
        )
