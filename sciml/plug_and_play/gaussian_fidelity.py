"""Data with Gaussian noise: least squares, for linear and for nonlinear forward operators."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pde_benchmarks.imaging.forward_operators.operator import ForwardOperator, LinearForwardOperator
from sciml.errors import ObservationError
from sciml.inference.minimizers import lbfgs
from sciml.plug_and_play.data_fidelity import DataFidelity, check_data
from sciml.plug_and_play.trials import tried
from solvers import CG, LinearOperator, Status, linear_solve

__all__ = ["GaussianFidelity"]

_STEPS = 500
_SMALL_GRADIENT = 1e-5


@dataclass(frozen=True, eq=False)
class GaussianFidelity(DataFidelity):
    """h(x) = ½ ‖G(x) − b‖² / σ², the negative log-likelihood of data with independent Gaussian noise.

    For linear G its minimum with a quadratic function is one linear system, solved by conjugate gradients; for
    nonlinear G, whose gradients are those of the operator's `vjp`, a local minimum is found by L-BFGS.

    Parameters
    ----------
    operator
        G.
    data
        b, ``(B, *output_shape)``.
    sigma
        Standard deviation σ of the noise, in units of the data.

    Examples
    --------
    >>> import torch
    >>> from pde_benchmarks.imaging.forward_operators import from_functions
    >>> halves = from_functions(lambda x: x / 2, lambda y: y / 2, input_shape=(1, 3), output_shape=(1, 3), norm=0.5)
    >>> fidelity = GaussianFidelity(halves, torch.ones(1, 1, 3))
    >>> fidelity.value(torch.zeros(1, 1, 3)), fidelity.lipschitz
    (tensor([1.5000]), 0.25)
    """

    operator: ForwardOperator
    data: Tensor
    sigma: float = 1.0

    def __post_init__(self) -> None:
        check_data(self.operator, self.data)
        if not 0 < self.sigma < math.inf:
            raise ObservationError(
                f"sigma = {self.sigma}: the standard deviation of the noise is positive; leave it at 1 where it is not "
                "known, and choose the prior's weight."
            )

    @property
    def lipschitz(self) -> float | None:
        """‖A‖²/σ² for linear operators."""
        if isinstance(self.operator, LinearForwardOperator):
            return float(self.operator.norm() ** 2 / self.sigma**2)
        return None

    @property
    def convex(self) -> bool:
        return isinstance(self.operator, LinearForwardOperator)

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        misfit = (self.operator.apply(x) - self.data) / self.sigma
        return misfit.square().flatten(1).sum(-1) / 2, self.operator.vjp(x, misfit / self.sigma)

    def value(self, x: Tensor) -> Tensor:
        return ((self.operator.apply(x) - self.data) / self.sigma).square().flatten(1).sum(-1) / 2

    def discrepancy(self, x: Tensor) -> Tensor:
        return ((self.operator.apply(x) - self.data) / self.sigma).square().flatten(1).mean(-1).sqrt()

    def minimum(self, curvature: LinearOperator, centre: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        if isinstance(self.operator, LinearForwardOperator):
            return self._by_normal_equations(self.operator, curvature, centre, start)
        return self._by_lbfgs(curvature, centre, start)

    def _by_normal_equations(
        self, operator: LinearForwardOperator, curvature: LinearOperator, centre: Tensor, start: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(AᵀA + σ² Q) x = Aᵀb + σ² Q c."""
        normal = operator.normal_operator(dtype=centre.dtype, device=centre.device)
        weighted = self.sigma**2 * curvature
        rhs = operator.adjoint(self.data).flatten(1) + weighted.mv(centre.flatten(1))
        rtol = 1e-11 if centre.dtype == torch.float64 else 1e-5
        solver = CG(rtol, 10_000, assume_spd=True)
        solution = linear_solve(normal + weighted, rhs, solver, x0=start.flatten(1), throw=False)
        return solution.value.reshape(centre.shape), solution.status == Status.CONVERGED

    def _by_lbfgs(self, curvature: LinearOperator, centre: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        def objective(z: Tensor) -> tuple[Tensor, Tensor]:
            value, slope, _ = tried(self, z.reshape(centre.shape))
            away = z - centre.flatten(1)
            pulled = curvature.mv(away)
            return value + (away * pulled).sum(-1) / 2, slope.flatten(1) + pulled

        # The data's own gradient sets the unit, which a good first guess does not change.
        unit = self.value_and_gradient(start)[1].flatten(1).norm(dim=-1).max()
        goal = (_SMALL_GRADIENT * float(unit)) ** 2
        z = lbfgs(objective, start.flatten(1), _STEPS, goal / 2)
        return z.reshape(centre.shape), objective(z)[1].square().sum(-1) <= goal
