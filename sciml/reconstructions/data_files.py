"""Fields and data of reconstructions in files: pictures, arrays, stacks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from pde_benchmarks.imaging.image_denoising import ImageDenoising
from pde_benchmarks.imaging.image_files import read_fields
from pde_benchmarks.imaging.patches import to_channels
from sciml.errors import ConfigurationError, ObservationError, about
from sciml.reconstructions.prior_of_run import TrainedPrior

__all__ = ["fitted", "read_data", "read_truth", "to_unit"]


def read_truth(path: Path, prior: TrainedPrior) -> Tensor:
    """True fields ``(B, channels, *grid)`` in the prior's unit; any grid, the prior's number of channels.

    Raises
    ------
    DatasetError
        If the file cannot be read.
    ConfigurationError
        If it has other channels or axes than the prior.
    """
    with about(path):
        return to_unit(_fields_like(path, prior), prior)


def read_data(path: Path, prior: TrainedPrior, keeps_grid: bool) -> Tensor:
    """Data as they are in the file, float64: ``(B, channels, *grid)`` where they have the field's grid.

    Raises
    ------
    DatasetError, ConfigurationError
        As `read_truth`.
    """
    with about(path):
        return _fields_like(path, prior) if keeps_grid else read_fields(path).double()


def fitted(data: Tensor, shape: Sequence[int], path: Path) -> Tensor:
    """Data ``(B, *shape)`` from what a file held: axes of length one do not matter, one sample has no batch axis.

    Raises
    ------
    ObservationError
        If the numbers are not as many as the operator measures.
    """
    size, found = math.prod(shape), tuple(data.shape)
    squeezed = [n for n in found[1:] if n != 1]
    if squeezed == [n for n in shape if n != 1]:
        return data.reshape(len(data), *shape)
    if len(data) * math.prod(found[1:]) == size and [n for n in found if n != 1] == [n for n in shape if n != 1]:
        return data.reshape(1, *shape)
    raise ObservationError(
        f"{path}: data of shape {_by(squeezed or found[1:])}, but {_by(shape)} numbers are measured: check the "
        "operator's settings (--problem-set) and the size of the prior's fields."
    )


def to_unit(fields: Tensor, prior: TrainedPrior) -> Tensor:
    """Values of image files in the unit of the prior."""
    problem = prior.problem
    if isinstance(problem, ImageDenoising):
        return (fields - problem.low) / (problem.high - problem.low)
    return fields


def _fields_like(path: Path, prior: TrainedPrior) -> Tensor:
    channels, *grid = prior.shape
    fields = to_channels(read_fields(path), channels if channels in (1, 3) else None, path).double()
    if fields.shape[1] != channels or fields.ndim != len(grid) + 2:
        raise ConfigurationError(
            f"{fields.shape[1]} channels on {fields.ndim - 2} axes, but the prior of {prior.run} knows {channels} on "
            f"{len(grid)}: train one on fields of this kind."
        )
    return fields


def _by(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))
