"""What comes out of a constraint: the field, the weights, how each system ended."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.learners.hard_constraints.stacked_rows import StackedRows
from solvers.errors import SolveError
from solvers.status import Status

__all__ = ["ConstrainedField"]


@dataclass(frozen=True)
class ConstrainedField:
    """The combination of basis functions that a constraint has chosen; K = 1 for one solve.

    Attributes
    ----------
    values
        u = offset + Σ_e χ_e b·w_e, ``(B, *shape)``, in the dtype of the basis, differentiable.
    weights
        ``(B, K, N)`` in the dtype of the solve, differentiable.
    status
        `Status` codes ``(B, S)`` int8 of the S systems of a sample: K for independent experts, otherwise one.
    iterations, residual_norm, condition
        Of each system, ``(B, S)``: steps; √(mean square) of its rows; condition number of the scaled Jacobian, infinite
        where it is rank-deficient (then the shortest steps were taken).
    rows
        The least-squares problem that was solved.
    unknowns
        Its unknowns ``(B, S, n)``, detached.
    broken
        Flat index of the first point of each system whose row is not finite, ``(B, S)``, the number of points where
        there is none; None if no system met one.
    """

    values: Tensor
    weights: Tensor
    status: Tensor
    iterations: Tensor
    residual_norm: Tensor
    condition: Tensor
    rows: StackedRows
    unknowns: Tensor
    broken: Tensor | None = None

    @property
    def fallbacks(self) -> int:
        """Systems that did not converge: they keep their last accepted weights, without the adjoint's gradient."""
        return int((self.status != Status.CONVERGED).sum())

    def objective(self) -> Tensor:
        """½‖rows‖² of each system, ``(B, S)``, without the ridge.

        Its derivative is that at fixed weights, by the envelope theorem: no adjoint is solved for a loss made of it. In
        the error norm the carrier is fixed, too.
        """
        return self.rows.halved_squares(self.unknowns, *self.rows.parameters)

    def raise_if_failed(self) -> ConstrainedField:
        """Return self, or raise `SolveError` that names the sample and the expert of the first failed system."""
        failed = self._failed()
        if not failed:
            return self
        raise SolveError(
            self._first(failed),
            [Status(int(self.status[b, e])) for b, e in failed],
            [b * self.status.shape[1] + e for b, e in failed],
            [float(self.residual_norm[b, e]) for b, e in failed],
        )

    def warn_if_failed(self) -> ConstrainedField:
        """Return self; a `RuntimeWarning` names the systems that failed, of which gradients know nothing."""
        failed = self._failed()
        if failed:
            others = ", ".join(f"({b}, {e})" for b, e in failed[:NAMED]) + (", …" if len(failed) > NAMED else "")
            warnings.warn(
                f"{self._first(failed)}. Systems (sample, expert) that keep their last accepted weights, as constants "
                f"without a gradient: {others}; throw=True raises",
                RuntimeWarning,
                stacklevel=5,
            )
        return self

    def _failed(self) -> list[list[int]]:
        failed: list[list[int]] = (self.status != Status.CONVERGED).nonzero().tolist()
        return failed

    def _first(self, failed: list[list[int]]) -> str:
        sample, expert = failed[0]
        status, size = Status(int(self.status[sample, expert])), float(self.residual_norm[sample, expert])
        return (
            f"constraint: sample {sample} of {self.status.shape[0]}, expert {expert} of {self.status.shape[1]}: status "
            f"{status.name} after {int(self.iterations[sample, expert])} iterations, residual norm {size:.1e}, "
            f"{len(failed)} failed; {self._place(sample, expert)}{_REMEDIES.get(status, _OTHERWISE)}"
        )

    def _place(self, sample: int, expert: int) -> str:
        """Where the first row of a system is not finite, for a message."""
        shape = self.values.shape[1:]
        if self.broken is None or int(self.broken[sample, expert]) >= shape.numel():
            return ""
        place = torch.unravel_index(self.broken[sample, expert], shape)
        return f"at point {tuple(int(i) for i in place)} of the grid {tuple(shape)}, "


NAMED = 10
_OTHERWISE = "raise max_iterations of the solver, give better start weights, or use fewer functions"
_REMEDIES = {
    Status.STAGNATION: "its functions depend on each other there, or nearly so: set ridge=1e-6, or use fewer functions",
    Status.NONFINITE_INPUT: "the basis, the offset or the residual is NaN or infinite: check them with isfinite",
    Status.NONFINITE_ITERATE: "the residual left its domain: give better start weights, or an offset within it",
}
