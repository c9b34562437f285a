"""A problem as constraints see it: the functions of its expansion, and its residual, in double precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from pde_benchmarks.problem import Batch, FieldSpec, Grid, Problem
from pde_benchmarks.registry import problem_types
from pde_benchmarks.termwise import TermwiseProblem, TermwiseResidual
from sciml.errors import LearnerError

__all__ = ["TermwiseFields", "TermwiseOnGrid"]

ROWS = 16


class TermwiseOnGrid(Problem, TermwiseProblem):
    """The type of a problem that is both; never made."""


@dataclass(frozen=True)
class TermwiseFields:
    """Fields u = offset + envelope · (b·w) of a problem; inputs are read in float64, whatever their precision.

    Parameters
    ----------
    problem
        One that `refusal` does not refuse.

    Examples
    --------
    >>> from pde_benchmarks.diffusion_sorption import DiffusionSorption
    >>> problem = DiffusionSorption(resolution=8, frames=5)
    >>> fields = TermwiseFields(problem)
    >>> inputs = problem.sample(2, torch.Generator().manual_seed(0))
    >>> fields.closed_forms(inputs).shape, fields.coordinates(inputs).dtype
    (torch.Size([2, 8, 5, 8]), torch.float32)
    """

    problem: TermwiseOnGrid

    @classmethod
    def of(cls, problem: Problem) -> TermwiseFields:
        """The fields of a problem that `refusal` does not refuse."""
        return cls(cast(TermwiseOnGrid, problem))

    @staticmethod
    def refusal(problem: Problem) -> str | None:
        """None if a constraint can be posed for this problem, else one sentence that says why not."""
        if not isinstance(problem, TermwiseProblem):
            beside = [n for n in _able() if n.startswith(f"{problem.name}-")]
            return "it solves with the equation term by term, and this problem or data gives no `termwise` residual" + (
                f"; use {' or '.join(beside)}." if beside else "."
            )
        specs = (*problem.inputs, *problem.outputs)
        if not all(isinstance(spec.support, Grid) for spec in specs):
            return "it needs fields on one uniform grid of space and time."
        if len(problem.outputs) != 1 or problem.outputs[0].channels != 1:
            return "it constrains one field of one channel."
        return None

    @property
    def output(self) -> FieldSpec:
        """The field that is constrained."""
        return self.problem.outputs[0]

    @property
    def grid(self) -> Grid:
        """That of training."""
        support = self.output.support
        assert isinstance(support, Grid)  # refusal() saw to it
        return support

    def probe(self) -> Batch:
        """One sample, always the same: to learn shapes from."""
        return self.problem.sample(1, torch.Generator().manual_seed(0))

    def time_first(self) -> bool:
        """Whether the first axis is time: conditions at its start, none at its end."""
        rows = self.residual(self.probe()).global_rows
        return bool(rows[0].all()) and not bool(rows[-1].all())

    def checked(self, inputs: Batch) -> Batch:
        """The problem's own inputs among these.

        Raises
        ------
        LearnerError
            If a field is missing its axes, or holds NaN or infinity.
        ProblemError
            If a field is missing, or the equation has no meaning for one.
        """
        found = Batch({spec.name: inputs[spec.name] for spec in self.problem.inputs})
        for spec in self.problem.inputs:
            _check(found[spec.name], spec, self.grid)
        if found.count:
            self.problem.check(found)
        return found

    def residual(self, inputs: Batch) -> TermwiseResidual:
        """Of these inputs, in float64."""
        return self.problem.termwise(_double(inputs))

    def offset(self, inputs: Batch) -> Tensor:
        """``(B, *shape)``, float64."""
        return self.problem.offset(_double(inputs))

    def envelope(self, inputs: Batch) -> Tensor:
        """``(B, *shape)``, float64."""
        return self.problem.envelope(_double(inputs))

    def coordinates(self, inputs: Batch) -> Tensor:
        """What networks are fed, ``(B, channels, *shape)``, float32."""
        return self.problem.coordinates(_double(inputs)).to(torch.float32)

    def closed_forms(self, inputs: Batch) -> Tensor:
        """The problem's closed forms, before the envelope, ``(B, F, *shape)``, float64."""
        forms = self.problem.closed_forms(_double(inputs))
        return torch.stack([form.to(torch.float64) for form in forms.values()], 1)

    def inputs_of(self, arrays: dict[str, Tensor]) -> Batch:
        """The inputs among the arrays of a training batch."""
        return Batch({spec.name: arrays[spec.name] for spec in self.problem.inputs})

    def prepared(self, inputs: Batch) -> dict[str, Tensor]:
        """Inputs and coordinates of all samples, as arrays to train on."""
        parts = [inputs.rows(slice(i, i + ROWS)) for i in range(0, inputs.count, ROWS)]
        coordinates = torch.cat([self.coordinates(part) for part in parts])
        return {**_double(self.inputs_of(dict(inputs))), "coordinates": coordinates}

    def prepared_forms(self, inputs: Batch) -> Tensor:
        """The closed forms of all samples, made once: some are dear."""
        parts = [inputs.rows(slice(i, i + ROWS)) for i in range(0, inputs.count, ROWS)]
        return torch.cat([self.closed_forms(part) for part in parts])


def _able() -> list[str]:
    """Installed problems with a residual term by term."""
    return sorted(name for name, kind in problem_types().items() if issubclass(kind, TermwiseProblem))


def _double(inputs: Batch) -> Batch:
    return inputs.to(dtype=torch.float64)


def _check(field: Tensor, spec: FieldSpec, grid: Grid) -> None:
    if field.ndim != grid.dim + 2 or field.shape[1] != spec.channels or not field.is_floating_point():
        axes = ", ".join(map(str, grid.shape))
        raise LearnerError(
            f"{spec.name}: array of shape {tuple(field.shape)} and {field.dtype}, expected real numbers (samples, "
            f"{spec.channels}, {axes}); add an axis in front if this is one sample."
        )
    bad = (~field.isfinite().flatten(1).all(1)).nonzero().flatten().tolist()
    if bad:
        raise LearnerError(
            f"{spec.name}: {len(bad)} of {len(field)} samples hold NaN or infinity (first: {bad[:5]}): mend them."
        )
