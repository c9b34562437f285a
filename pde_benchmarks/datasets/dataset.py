"""Input and output fields of many samples, with the problem they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from pde_benchmarks.errors import DatasetError
from pde_benchmarks.problem import Batch, Problem

__all__ = ["Dataset", "FieldSummary", "require_finite", "summary"]

FEWEST_FOR_OUTLIERS = 16
OUTLIER_DEVIATIONS = 8.0
MAD_TO_SD = 1.4826


class FieldSummary(NamedTuple):
    """One row of `Dataset.describe`."""

    field: str
    role: str
    shape: tuple[int, ...]
    dtype: str
    min: float
    max: float

    def __str__(self) -> str:
        return f"{self.role} {self.field!r}, shape {self.shape}, as {self.dtype}, from {self.min:.4g} to {self.max:.4g}"


@dataclass(frozen=True)
class Dataset:
    """Samples of a problem: every input row with its output row.

    Parameters
    ----------
    problem
        Says what the fields are; `RecordedProblem` where no equation is known.
    inputs, outputs
        Arrays ``(samples, channels, *grid)`` under the names of the problem's fields.
    name
        What messages and figures call the data.

    Raises
    ------
    DatasetError
        If inputs and outputs differ in their number of samples.

    Examples
    --------
    >>> from pde_benchmarks.darcy import Darcy
    >>> problem = Darcy(resolution=16)
    >>> a = problem.sample(10, torch.Generator().manual_seed(0))
    >>> training, validation = Dataset(problem, a, problem.solve(a), "darcy").split(0.8)
    >>> training.count, validation.count
    (8, 2)
    """

    problem: Problem
    inputs: Batch
    outputs: Batch
    name: str

    def __post_init__(self) -> None:
        if self.inputs.count != self.outputs.count:
            raise DatasetError(
                f"{self.name}: {self.inputs.count} input samples but {self.outputs.count} output samples; "
                "every input needs its output."
            )

    @property
    def count(self) -> int:
        """Number of samples."""
        return self.inputs.count

    def rows(self, index: slice | Tensor | list[int]) -> Dataset:
        """The chosen samples, in the order of ``index``."""
        return Dataset(self.problem, self.inputs.rows(index), self.outputs.rows(index), self.name)

    def split(self, size: float) -> tuple[Dataset, Dataset]:
        """The first samples and the rest; ``size`` is a fraction below 1, or a number of samples.

        Raises
        ------
        DatasetError
            If either part would be empty.
        """
        first = round(size * self.count) if isinstance(size, float) and size < 1 else int(size)
        if not 0 < first < self.count:
            raise DatasetError(f"{self.name}: a split at {size} of {self.count} samples leaves one part empty.")
        return self.rows(slice(0, first)), self.rows(slice(first, None))

    def describe(self) -> list[FieldSummary]:
        """Name, role, shape, dtype and range of every field (``nan`` where there is no sample)."""
        return [summary(role, name, array) for role, name, array in self._fields()]

    def check(self, where: str = "") -> list[str]:
        """Refuse data (read from ``where``) that cannot be used, and remark on what looks odd.

        Returns
        -------
        list of str
            One sentence each: a constant input, output samples that are zero everywhere, samples more than 8 robust
            standard deviations away from the others (of at least 16).

        Raises
        ------
        DatasetError
            If there is no sample, or a value is NaN or infinite (with the number of samples and the first of them).
        """
        if not self.count:
            raise DatasetError(f"{where or self.name}: no samples.")
        remarks = []
        for role, name, array in self._fields():
            low, high = _ranges(array)
            _require_finite(where or self.name, name, low, high)
            if role == "input" and low.min() == high.max():
                remarks.append(f"input {name!r} is {low[0].item():g} everywhere.")
            zero = _numbers((low == 0) & (high == 0))
            if role == "output" and zero:
                remarks.append(
                    f"output {name!r} is zero everywhere in {_listed(zero, self.count)}: relative errors skip them."
                )
            extreme = _numbers(_outlying(low, high))
            if extreme:
                remarks.append(
                    f"{role} {name!r} reaches values more than {OUTLIER_DEVIATIONS:g} robust standard deviations "
                    f"away from the other samples' in {_listed(extreme, self.count)}."
                )
        return remarks

    def _fields(self) -> list[tuple[str, str, Tensor]]:
        return [
            (role, name, array)
            for role, batch in (("input", self.inputs), ("output", self.outputs))
            for name, array in batch.items()
        ]


def summary(role: str, name: str, array: Tensor) -> FieldSummary:
    """Shape, dtype and range of one field (``nan`` where there is no sample)."""
    low, high = _ranges(array)
    smallest, largest = (low.min().item(), high.max().item()) if len(array) else (torch.nan, torch.nan)
    return FieldSummary(name, role, tuple(array.shape), str(array.dtype).removeprefix("torch."), smallest, largest)


def require_finite(source: str, batch: Batch) -> None:
    """Raise `DatasetError` if a field of ``batch``, read from ``source``, holds NaN or infinity."""
    for name, array in batch.items():
        _require_finite(source, name, *_ranges(array))


def _require_finite(source: str, name: str, low: Tensor, high: Tensor) -> None:
    broken = _numbers(~(low.isfinite() & high.isfinite()))
    if broken:
        raise DatasetError(
            f"{source}: field {name!r} holds NaN or infinity in {_listed(broken, len(low))}: "
            "remove these samples or mend them."
        )


def _ranges(array: Tensor) -> tuple[Tensor, Tensor]:
    """Smallest and largest value of every sample, NaN where it holds one; no copy of the data is made."""
    flat = array.reshape(len(array), -1)
    if not flat.numel():
        return flat.new_zeros(len(flat)), flat.new_zeros(len(flat))
    low, high = torch.aminmax(flat, dim=1)
    return low, high


def _outlying(low: Tensor, high: Tensor) -> Tensor:
    """Samples whose largest magnitude is far from the median of all, as logarithms if the field is positive."""
    positive = bool((low > 0).all())
    size = torch.maximum(low.abs(), high.abs()).double()
    size = size.log() if positive else size
    distance = (size - size.median()).abs()
    sd = MAD_TO_SD * distance.median()
    return (distance > OUTLIER_DEVIATIONS * sd) & (sd > 0) & (len(low) >= FEWEST_FOR_OUTLIERS)


def _numbers(mask: Tensor) -> list[int]:
    return mask.nonzero().flatten().tolist()


def _listed(samples: list[int], count: int) -> str:
    first = ", ".join(map(str, samples[:5]))
    return f"{len(samples)} of {count} samples (first: {first})"
