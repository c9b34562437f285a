"""What a PDE problem is: the specification of its fields, and the verbs every problem offers.

The specification (`FieldSpec`, `Grid`, …) is all that flows between problems and learners, so that any learner meets
any problem whose fields it can represent.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.grid import Grid
from pde_benchmarks.metrics import field_metrics

__all__ = [
    "Batch",
    "Complex",
    "FieldSpec",
    "Grid",
    "Meshes",
    "Phases",
    "Points",
    "Positive",
    "Problem",
    "Real",
    "RecordedProblem",
    "Scalars",
    "Times",
    "decode_spec",
    "encode_spec",
]


@dataclass(frozen=True)
class Points:
    """Scattered points in ``dim`` dimensions."""

    dim: int


@dataclass(frozen=True)
class Meshes:
    """Unstructured meshes in ``dim`` dimensions; ``topology`` is ``shared`` or ``varying``."""

    dim: int
    topology: str = "varying"


@dataclass(frozen=True)
class Scalars:
    """Numbers without a place."""


@dataclass(frozen=True)
class Times:
    """A field given at the instants ``grid`` on ``support``."""

    grid: tuple[float, ...]
    support: Grid | Points | Meshes | Scalars


@dataclass(frozen=True)
class Real:
    """A field that takes any real value."""


@dataclass(frozen=True)
class Positive:
    """A field that is positive everywhere."""


@dataclass(frozen=True)
class Phases:
    """A field that takes only the listed values."""

    values: tuple[float, ...]


@dataclass(frozen=True)
class Complex:
    """A field of complex numbers; networks see its real and imaginary parts as two channels."""


Support = Grid | Points | Meshes | Times | Scalars
Kind = Real | Positive | Phases | Complex


@dataclass(frozen=True)
class FieldSpec:
    """One field of a problem: its name, channels, where it lives, its unit and which values it can take."""

    name: str
    channels: int
    support: Support
    unit: str = "1"
    kind: Kind = Real()

    @property
    def real_channels(self) -> int:
        """Channels of real numbers: two for a complex one."""
        return self.channels * (2 if isinstance(self.kind, Complex) else 1)

    @property
    def positive(self) -> bool:
        """Whether every value is positive."""
        return isinstance(self.kind, Positive) or (isinstance(self.kind, Phases) and min(self.kind.values) > 0)


class Batch(Mapping[str, Tensor]):
    """Named arrays that share their first axis (one row a sample).

    Examples
    --------
    >>> batch = Batch({"coefficient": torch.ones(3, 1, 4, 4)})
    >>> batch.count, batch.rows(slice(0, 2))["coefficient"].shape[0]
    (3, 2)
    """

    def __init__(self, arrays: Mapping[str, Tensor]) -> None:
        counts = {name: len(array) for name, array in arrays.items()}
        if len(set(counts.values())) > 1:
            raise ProblemError(f"arrays of one batch need equal numbers of samples, found {counts}.")
        self._arrays = dict(arrays)

    def __getitem__(self, name: str) -> Tensor:
        try:
            return self._arrays[name]
        except KeyError:
            raise ProblemError(f"no field {name!r}: this batch holds {', '.join(self._arrays) or 'nothing'}.") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __contains__(self, name: object) -> bool:
        return name in self._arrays

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}: {tuple(array.shape)} {array.dtype}" for name, array in self.items())
        return f"Batch({inside})"

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(next(iter(self._arrays.values()))) if self._arrays else 0

    def rows(self, index: slice | Tensor | list[int]) -> Batch:
        """The chosen samples."""
        return Batch({name: array[index] for name, array in self.items()})

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Batch:
        """Move all arrays to ``device`` and ``dtype``."""
        return Batch({name: array.to(device=device, dtype=dtype) for name, array in self.items()})

    def merged(self, other: Mapping[str, Tensor]) -> Batch:
        """This batch with the fields of ``other`` added or replaced."""
        return Batch({**self._arrays, **other})


class Problem(ABC):
    """A PDE problem: a law of random inputs, a reference solver and the discrete equation itself.

    Subclasses are frozen dataclasses of physical parameters, so that ``dataclasses.asdict`` is their configuration.
    ``isotropic`` says that a rotated or mirrored input has the rotated or mirrored output; ``usual_samples`` are the
    numbers of training and test samples that an experiment generates unless told otherwise; ``tests_finer`` says that
    it also tests on the grid of twice the ``resolution``, which ``at_resolution`` gives.
    """

    name: ClassVar[str]
    isotropic: ClassVar[bool] = False
    usual_samples: ClassVar[tuple[int, int]] = (1024, 200)
    tests_finer: ClassVar[bool] = False

    @property
    @abstractmethod
    def inputs(self) -> tuple[FieldSpec, ...]:
        """Fields that a learner is given."""

    @property
    @abstractmethod
    def outputs(self) -> tuple[FieldSpec, ...]:
        """Fields that a learner predicts."""

    @property
    def observations(self) -> tuple[FieldSpec, ...]:
        """Fields that a sensor sees (inverse problems)."""
        return ()

    @abstractmethod
    def sample(self, count: int, generator: Generator) -> Batch:
        """Draw ``count`` random inputs."""

    @abstractmethod
    def solve(self, inputs: Batch) -> Batch:
        """Reference solution of every sample."""

    def check(self, inputs: Batch, where: str = "") -> None:
        """Refuse ``inputs`` (read from ``where``) for which the equation has no meaning.

        Raises
        ------
        ProblemError
            If a field that must be positive is not.
        """
        for spec in self.inputs:
            if spec.positive:
                _require_positive(where or self.name, spec.name, inputs[spec.name])

    def residual(self, inputs: Batch, outputs: Batch) -> Batch:
        """Discrete equation's residual, differentiable in both arguments."""
        raise ProblemError(f"{self.name}: the equation behind these fields is not known, so it has no residual.")

    def observe(self, outputs: Batch) -> Batch:
        """What a sensor sees of ``outputs``; by default everything."""
        return outputs

    def metrics(self, prediction: Batch, truth: Batch) -> dict[str, float]:
        """Errors of ``prediction`` averaged over samples: the names of `pde_benchmarks.metrics.field_metrics`."""
        (spec,) = self.outputs
        boundary = spec.support.boundary if isinstance(spec.support, Grid) else None
        return field_metrics(prediction[spec.name], truth[spec.name], boundary=boundary)


@dataclass(frozen=True)
class RecordedProblem(Problem):
    """Fields read from a file, with no equation behind them: a learner may be trained on them, no more."""

    source: str
    input_specs: tuple[FieldSpec, ...]
    output_specs: tuple[FieldSpec, ...]
    name: ClassVar[str] = "recorded"

    @property
    def inputs(self) -> tuple[FieldSpec, ...]:
        """Fields that a learner is given."""
        return self.input_specs

    @property
    def outputs(self) -> tuple[FieldSpec, ...]:
        """Fields that a learner predicts."""
        return self.output_specs

    def sample(self, count: int, generator: Generator) -> Batch:
        """Not possible: raises `ProblemError`."""
        raise ProblemError(f"{self.source}: recorded data has no law to draw new inputs from; give more files instead.")

    def check(self, inputs: Batch, where: str = "") -> None:
        """Nothing: the kinds of recorded fields are what was seen in them, not what an equation asks for."""

    def solve(self, inputs: Batch) -> Batch:
        """Not possible: raises `ProblemError`."""
        raise ProblemError(f"{self.source}: recorded data has no reference solver; name the problem to get one.")


def _require_positive(where: str, name: str, field: Tensor) -> None:
    bad = (~(field.flatten(1) > 0)).any(1).nonzero().flatten().tolist()
    if bad:
        raise ProblemError(
            f"{where}: field {name!r} must be positive everywhere, but sample {bad[0]} has the value "
            f"{field[bad[0]].min():.4g} ({len(bad)} of {len(field)} samples are not positive): mend or remove them."
        )


_SPEC_TYPES = {
    t.__name__: t for t in (Grid, Points, Meshes, Scalars, Times, Real, Positive, Phases, Complex, FieldSpec)
}


def encode_spec(value: Any) -> Any:
    """Turn a specification into JSON-ready dictionaries; `decode_spec` is its inverse."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: encode_spec(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"type": type(value).__name__, **fields}
    if isinstance(value, tuple | list):
        return [encode_spec(item) for item in value]
    return value


def decode_spec(payload: Any) -> Any:
    """Rebuild what `encode_spec` wrote.

    Raises
    ------
    ProblemError
        If the payload names an unknown type.
    """
    if isinstance(payload, dict):
        arguments = {key: decode_spec(value) for key, value in payload.items() if key != "type"}
        kind = _SPEC_TYPES.get(payload.get("type", ""))
        if kind is None:
            raise ProblemError(
                f"specification of unknown type {payload.get('type')!r}: known are {sorted(_SPEC_TYPES)}."
            )
        return kind(**arguments)
    if isinstance(payload, list):
        return tuple(decode_spec(item) for item in payload)
    return payload
