"""How gradients pass through the weights that a constraint has found."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sciml.errors import ConfigurationError
from sciml.learners.hard_constraints.stacked_rows import StackedRows
from solvers.implicit import Equation, attach
from solvers.nonlinear.residual_equation import ResidualEquation, residual_equation
from solvers.operators import LinearOperator

__all__ = ["Adjoint", "Envelope", "Implicit"]


class Adjoint(ABC):
    """A rule for ∂w/∂(rows)."""

    @abstractmethod
    def attach(self, weights: Tensor, solved: Tensor, rows: StackedRows) -> Tensor:
        """The weights ``(B, K, N)`` as autograd shall see them; `solved` ``(B, K)`` says which are minima."""


@dataclass(frozen=True)
class Envelope(Adjoint):
    """The weights are constants: right where the loss is the least squares' own objective, by the envelope theorem."""

    def attach(self, weights: Tensor, solved: Tensor, rows: StackedRows) -> Tensor:
        return weights


@dataclass(frozen=True)
class Implicit(Adjoint):
    """The implicit function theorem for Jᵀr = 0: one symmetric system for each sample and expert, whatever found w.

    Weights that are no minimum are constants. Directions that no row determines get no gradient.

    Parameters
    ----------
    hessian
        "exact"; or "gauss_newton", JᵀJ, which is right where r = 0. Where the exact one is not positive definite, at a
        saddle, JᵀJ is used, with a warning.
    """

    hessian: Literal["exact", "gauss_newton"] = "exact"

    def __post_init__(self) -> None:
        if self.hessian not in ("exact", "gauss_newton"):
            raise ConfigurationError(f"Implicit: hessian = {self.hessian!r}, expected 'exact' or 'gauss_newton'")

    def attach(self, weights: Tensor, solved: Tensor, rows: StackedRows) -> Tensor:
        parameters = rows.parameters
        if not (torch.is_grad_enabled() and any(p.requires_grad for p in parameters)):
            return weights
        gauss_newton = residual_equation(rows, "gauss_newton")

        def solve(A: LinearOperator, g: Tensor, flipped: bool) -> Tensor:
            detached = tuple(p.detach() for p in parameters)
            return _solve(A.to_dense(), torch.where(solved.unsqueeze(-1), g, 0), gauss_newton, weights, detached)

        equation = _Surviving(residual_equation(rows, self.hessian), solved)
        return attach(weights, equation, parameters, solve)


@dataclass(frozen=True)
class _Surviving(Equation):
    """An equation whose unsolved systems have no derivative: what is NaN in their samples' gradients is zero."""

    equation: ResidualEquation
    solved: Tensor

    def jacobian(self, x: Tensor, parameters: tuple[Tensor, ...]) -> LinearOperator:
        return self.equation.jacobian(x, parameters)

    def pullback(
        self, left: Tensor, x: Tensor, parameters: tuple[Tensor, ...], wanted: Sequence[bool]
    ) -> tuple[Tensor | None, ...]:
        found = self.equation.pullback(left, x, parameters, wanted)
        failed = ~self.solved.all(-1)
        if not bool(failed.any()):
            return found
        return tuple(
            None if g is None else torch.where(failed.reshape(-1, *(1,) * (g.ndim - 1)) & g.isnan(), 0, g)
            for g in found
        )

    def pushforward(self, tangents: Sequence[Tensor | None], x: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
        return self.equation.pushforward(tangents, x, parameters)


def _solve(
    H: Tensor, g: Tensor, gauss_newton: ResidualEquation, weights: Tensor, parameters: tuple[Tensor, ...]
) -> Tensor:
    """H⁺g, columns scaled; with JᵀJ in place of matrices that are not positive semidefinite."""
    q, lowest = _scaled_solve(H, g)
    saddles = lowest < -1e-8
    if bool(saddles.any()):
        warnings.warn(
            f"constraint: the Hessian of {int(saddles.sum())} of {saddles.numel()} systems is not positive definite, "
            "their gradients use JᵀJ: the weights are a saddle; start elsewhere or use fewer functions",
            RuntimeWarning,
            stacklevel=2,
        )
        other, _ = _scaled_solve(gauss_newton.jacobian(weights, parameters).to_dense(), g)
        q = torch.where(saddles, other, q)
    return q


def _scaled_solve(H: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """H⁺g, and the smallest eigenvalue relative to the largest, of H with a diagonal of ones."""
    finite = H.isfinite().flatten(-2).all(-1)[..., None, None]
    H = torch.where(finite, H, torch.eye(H.shape[-1]).to(H))
    lengths = H.diagonal(dim1=-2, dim2=-1).abs().sqrt()
    lengths = torch.where(lengths > 0, lengths, 1)
    values, V = torch.linalg.eigh(H / lengths.unsqueeze(-1) / lengths.unsqueeze(-2))
    largest = values.abs().amax(-1, keepdim=True).clamp(min=torch.finfo(H.dtype).tiny)
    seen = values.abs() > 4 * H.shape[-1] * torch.finfo(H.dtype).eps * largest
    components = (V.mT @ (g / lengths).unsqueeze(-1)).squeeze(-1)
    q = (V @ torch.where(seen, components / values, 0).unsqueeze(-1)).squeeze(-1) / lengths
    return q, values[..., :1] / largest
