"""Problems whose equation is a known symmetric elliptic operator on a grid, and what that knowledge buys.

A subclass says what the operator and the load are; the reference solution, the residual, the first-order error and the
cheap first guesses follow from multigrid.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from pde_benchmarks.elliptic_rows import ApproximateInverse, TermwiseElliptic
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.grid_transfer import interpolate, mean_of_blocks
from pde_benchmarks.linear import LinearProblem
from pde_benchmarks.problem import Batch, FieldSpec, Grid
from solvers import CG, DiffusionOperator, GeometricMultigrid, MultigridHierarchy, linear_solve

__all__ = ["EllipticProblem"]

REFERENCE_RTOL = 1e-10
SAMPLES_AT_ONCE = 32
CORRECTION_CYCLES = 2


class EllipticProblem(LinearProblem, TermwiseElliptic):
    """A(a) u = f with a symmetric positive definite A known for every input, one scalar output field on a grid."""

    guesses: ClassVar[tuple[str, ...]] = ("coarse", "fmg")

    @abstractmethod
    def operator(self, inputs: Batch) -> DiffusionOperator:
        """The discrete operators of all samples, differentiable in the inputs."""

    @abstractmethod
    def load(self, inputs: Batch) -> Tensor:
        """Right-hand sides, flat, shape ``(count, n)``."""

    def krylov(self, rtol: float) -> CG:
        """Conjugate gradients."""
        return CG(rtol=rtol)

    def preconditioner(self, inputs: Batch) -> GeometricMultigrid:
        """A V-cycle in single precision."""
        return GeometricMultigrid(dtype=torch.float32)

    def unknowns(self, outputs: Batch) -> Tensor:
        """The output field as flat vectors, shape ``(count, n)``."""
        return outputs[self.output.name].flatten(1)

    def fields(self, unknowns: Tensor, inputs: Batch) -> Batch:
        """Flat vectors as the output field on the inputs' grid."""
        return self._fields(unknowns.reshape(inputs.count, *self._shape(inputs)))

    def solve(self, inputs: Batch) -> Batch:
        """Reference solution to a relative residual of 1e-10 by multigrid-preconditioned CG, in float64.

        The result has the dtype of the inputs; rows are solved in batches that stay in cache.
        """
        (first, *_) = inputs.values()
        solver = self.krylov(REFERENCE_RTOL)
        parts = []
        for start in range(0, inputs.count, SAMPLES_AT_ONCE):
            rows = inputs.rows(slice(start, start + SAMPLES_AT_ONCE)).to(dtype=torch.float64)
            parts.append(linear_solve(self.operator(rows), self.load(rows), solver, self.preconditioner(rows)).value)
        if not parts:
            return self._fields(first.new_zeros((0, *self._shape(inputs))))
        return self._fields(torch.cat(parts).reshape(inputs.count, *self._shape(inputs)).to(first.dtype))

    def residual(self, inputs: Batch, outputs: Batch) -> Batch:
        """A(a) u − f at every cell; differentiable in a and u."""
        u = outputs[self.output.name]
        return self._fields((self.operator(inputs).mv(u.flatten(1)) - self.load(inputs)).reshape(u.shape))

    def scaled_residual(self, inputs: Batch, outputs: Batch) -> Batch:
        """D⁻¹ (f − A u): the step that one undamped Jacobi sweep would take, in units of u."""
        A = self.operator(inputs)
        u = outputs[self.output.name]
        step = (self.load(inputs) - A.mv(u.flatten(1))) / A.diagonal()
        return self._fields(step.reshape(u.shape))

    def correction(self, inputs: Batch, outputs: Batch) -> Batch:
        """M (f − A u), M two V-cycles: what is missing from u, to first order.

        Its norm estimates the error's; with a contraction of 0.4 a cycle it misses a sixth of it. Differentiable in u
        and, through the residual, in the inputs (M itself is frozen).
        """
        improved = self.cycle(inputs, outputs, CORRECTION_CYCLES)[self.output.name]
        return self._fields(improved - outputs[self.output.name])

    def relative_energy(self, inputs: Batch, outputs: Batch) -> Tensor:
        """(uᵀ A u / 2 − uᵀ f) / |E(u_b)| + 1 of every sample, shape ``(count,)``, u_b one full-multigrid pass.

        As −E of the solution is half its squared energy norm, this is the square of the relative error in that norm,
        up to a constant of the size of the first guess's. Differentiable in u.
        """
        A, b = self.operator(inputs), self.load(inputs)
        u = outputs[self.output.name].flatten(1)
        guess = self.full_multigrid(inputs)[self.output.name].flatten(1)
        energy = ((A.mv(u) / 2 - b) * u).sum(1)
        scale = ((A.mv(guess) / 2 - b) * guess).sum(1).abs().detach()
        return energy / scale + 1

    def cycle(self, inputs: Batch, outputs: Batch, count: int = 1) -> Batch:
        """``outputs`` after ``count`` V-cycles for A u = f; differentiable as `correction` is."""
        A, b, hierarchy = self.operator(inputs), self.load(inputs), self.hierarchy(inputs)
        u = outputs[self.output.name]
        for _ in range(count):
            missing: Tensor = ApproximateInverse.apply(hierarchy, b - A.mv(u.flatten(1)))
            u = u + missing.reshape(u.shape)
        return self._fields(u)

    def hierarchy(self, inputs: Batch) -> MultigridHierarchy:
        """Multigrid set up for the operators of all samples."""
        return GeometricMultigrid().setup(self.operator(inputs))

    @torch.no_grad()
    def first_guess(self, inputs: Batch, kind: str) -> Batch:
        """A cheap solution: ``coarse`` (on a grid four times coarser) or ``fmg`` (one full-multigrid pass).

        No derivatives pass through it.
        """
        match kind:
            case "coarse":
                return self._coarse_solution(inputs, ratio=4)
            case "fmg":
                return self.full_multigrid(inputs)
        raise ProblemError(f"first guess {kind!r} is unknown: use one of {', '.join(self.guesses)}.")

    @property
    def hint_specs(self) -> tuple[FieldSpec, ...]:
        """The scaled residual of the guess."""
        return (FieldSpec("scaled_residual", 1, self.output.support),)

    def hints(self, inputs: Batch, guess: Batch) -> Batch:
        """The scaled residual of the guess."""
        return Batch({"scaled_residual": self.scaled_residual(inputs, guess)[self.output.name]})

    @torch.no_grad()
    def full_multigrid(self, inputs: Batch, extra_cycles: int = 0) -> Batch:
        """One full-multigrid pass, then ``extra_cycles`` V-cycles on the finest grid."""
        hierarchy = self.hierarchy(inputs)
        b = self.load(inputs)
        x = hierarchy.full_multigrid(b)
        for _ in range(extra_cycles):
            x = hierarchy.cycle(b, x)
        return self._fields(x.reshape(inputs.count, *self._shape(inputs)))

    def coarsened(self, inputs: Batch, ratio: int) -> Batch:
        """Upscale cell data by blocks of ``ratio`` cells: geometric mean of positive fields, mean of others."""
        positive = {spec.name: spec.positive for spec in self.inputs}
        return Batch({name: mean_of_blocks(a, ratio, geometric=positive[name]) for name, a in inputs.items()})

    def _coarse_solution(self, inputs: Batch, ratio: int) -> Batch:
        coarse = self.solve(self.coarsened(inputs, ratio))[self.output.name]
        shape = self._shape(inputs)[1:]
        grid = self.output.support
        assert isinstance(grid, Grid)
        fine = Grid(tuple(shape), grid.alignment, grid.boundary)
        return self._fields(
            interpolate(coarse, Grid(tuple(n // ratio for n in shape), grid.alignment, grid.boundary), fine)
        )

    def _fields(self, values: Tensor) -> Batch:
        return Batch({self.output.name: values})

    def _shape(self, inputs: Batch) -> tuple[int, ...]:
        """(1, *grid) of the inputs at hand: an operator serves any resolution, not only the problem's own."""
        (first, *_) = inputs.values()
        return (1, *first.shape[2:])
