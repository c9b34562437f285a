"""Problems whose discrete equation is a known linear system for every input: answers to them can be certified."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from pde_benchmarks.guessed import GuessedProblem
from pde_benchmarks.problem import Batch, FieldSpec
from solvers import Preconditioner
from solvers.krylov import KrylovSolver
from solvers.operators import LinearOperator

__all__ = ["LinearProblem"]


class LinearProblem(GuessedProblem):
    """A(a) u = f with one output field u; its unknowns are the rows of flat vectors, perhaps complex ones."""

    @abstractmethod
    def operator(self, inputs: Batch) -> LinearOperator:
        """The discrete operators A of all samples, differentiable in the inputs."""

    @abstractmethod
    def load(self, inputs: Batch) -> Tensor:
        """Right-hand sides f, flat, shape ``(count, n)``."""

    @abstractmethod
    def krylov(self, rtol: float) -> KrylovSolver:
        """The iterative solver that suits A, for a relative residual of ``rtol``."""

    @abstractmethod
    def preconditioner(self, inputs: Batch) -> Preconditioner:
        """What that solver should use with the operators of these inputs."""

    @abstractmethod
    def correction(self, inputs: Batch, outputs: Batch) -> Batch:
        """What is missing from the outputs, to first order: the residual through an approximate inverse of A."""

    @abstractmethod
    def unknowns(self, outputs: Batch) -> Tensor:
        """The output field as flat vectors ``(count, n)``; `fields` is the inverse."""

    @abstractmethod
    def fields(self, unknowns: Tensor, inputs: Batch) -> Batch:
        """Flat vectors ``(count, n)`` as the output field on the inputs' grid."""

    @property
    def output(self) -> FieldSpec:
        """The one output field."""
        (spec,) = self.outputs
        return spec
