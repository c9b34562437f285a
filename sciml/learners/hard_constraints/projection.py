"""Linear conservation laws, satisfied to rounding by the nearest field that satisfies them."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from sciml.errors import LearnerError
from solvers import DenseCholesky, Indefinite, LinearOperator, ProductOperator, Singular, Solver, linear_solve

__all__ = ["LinearConstraint"]


@dataclass(frozen=True)
class LinearConstraint:
    """u − Aᵀ(A Aᵀ)⁻¹(A u − c), the field nearest to u with A u = c: idempotent, and self-adjoint where c = 0.

    Parameters
    ----------
    A
        Operator ``(m, n)`` with independent rows, fields flattened to n: sums that are conserved, a divergence.
    solver
        Of systems with A Aᵀ.

    Raises
    ------
    LearnerError
        Shapes do not fit.
    Singular, Indefinite
        Rows of A depend on each other; which of the two, the solver and rounding decide.

    Examples
    --------
    >>> import torch
    >>> from solvers import DenseOperator
    >>> total = LinearConstraint(DenseOperator(torch.ones(1, 4, dtype=torch.float64)))
    >>> total(torch.tensor([[1.0, 2.0, 3.0, 4.0]], dtype=torch.float64), torch.tensor([[14.0]], dtype=torch.float64))
    tensor([[2., 3., 4., 5.]], dtype=torch.float64)
    """

    A: LinearOperator
    solver: Solver = field(default_factory=DenseCholesky)

    def __call__(self, values: Tensor, target: Tensor) -> Tensor:
        """The projection of values ``(B, *shape)`` onto A u = target ``(B, m)``; differentiable in both and in A."""
        m, n = self.A.shape
        u = values.flatten(1)
        if u.shape[1] != n or target.shape[-1] != m:
            raise LearnerError(
                f"LinearConstraint: A is {m} × {n}, but a field has {u.shape[1]} points and the target "
                f"{target.shape[-1]} entries; flatten the field's grid into A's columns"
            )
        u = self._moved(u, target)
        # Once more: what rounding has left of the first step.
        return self._moved(u, target).reshape(values.shape)

    def _moved(self, u: Tensor, target: Tensor) -> Tensor:
        gram = ProductOperator(self.A, self.A.H, tags={"spd"})
        try:
            multiplier = linear_solve(gram, self.A.mv(u) - target, self.solver).value
        except (Singular, Indefinite) as error:
            m, n = self.A.shape
            raise type(error)(
                f"LinearConstraint: the {m} rows of A (each of {n} entries) depend on each other, or nearly so, and "
                f"A Aᵀ has no inverse; leave out rows that follow from others: {error}",
                error.status,
                error.batch_indices,
                error.residuals,
            ) from None
        return u - self.A.rmv(multiplier)
