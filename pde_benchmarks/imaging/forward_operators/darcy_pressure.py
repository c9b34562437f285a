"""Darcy flow seen by pressure sensors: a nonlinear forward operator, with adjoint gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pde_benchmarks.darcy import Darcy
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.imaging.errors import ForwardSolveError
from pde_benchmarks.imaging.forward_operators.operator import ForwardOperator
from pde_benchmarks.imaging.forward_operators.samples import require_samples
from pde_benchmarks.problem import Batch
from pde_benchmarks.sensors import Sensors
from solvers import CG, GeometricMultigrid, SolveError, Status, linear_solve

__all__ = ["DarcyPressure", "LogPermeability", "Permeability", "TwoPhases", "sensor_lattice"]

Permeability = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class LogPermeability:
    """a = eˣ: the field is the logarithm of the permeability.

    Examples
    --------
    >>> LogPermeability()(torch.zeros(2))
    tensor([1., 1.])
    """

    def __call__(self, x: Tensor) -> Tensor:
        """The permeability, positive."""
        return x.exp()


@dataclass(frozen=True)
class TwoPhases:
    """The permeability is ``low`` where the field has its first value and ``high`` where it has its second.

    Between and beyond these values it is geometrically interpolated, a = low^(1−s) high^s with s linear in x, hence
    positive and smooth for every field, as a gradient needs.

    Parameters
    ----------
    low, high
        Permeabilities, positive.
    values
        The two values of the field; the usual ones are those of `draw_permeability`.

    Raises
    ------
    ProblemError
        If a permeability is not positive, or the values are equal.

    Examples
    --------
    >>> TwoPhases()(torch.tensor([0.25, 1.0, 0.625]))
    tensor([ 3., 12.,  6.])
    """

    low: float = 3.0
    high: float = 12.0
    values: tuple[float, float] = (0.25, 1.0)

    def __post_init__(self) -> None:
        if not (self.low > 0 and self.high > 0 and self.values[0] != self.values[1]):
            raise ProblemError(f"{self}: two positive permeabilities, and two different values, are expected.")

    def __call__(self, x: Tensor) -> Tensor:
        """The permeability, positive."""
        first, second = self.values
        return self.low * (self.high / self.low) ** ((x - first) / (second - first))


def sensor_lattice(per_axis: int = 8) -> Sensors:
    """Sensors on an even lattice in the unit square, ``per_axis`` a side, none on the boundary.

    Examples
    --------
    >>> sensor_lattice(8).points.shape, sensor_lattice(1).points.tolist()
    (torch.Size([64, 2]), [[0.5, 0.5]])
    """
    line = torch.arange(1, per_axis + 1, dtype=torch.float64) / (per_axis + 1)
    return Sensors(torch.cartesian_prod(line, line).reshape(-1, 2))


@dataclass(frozen=True, eq=False)
class DarcyPressure(ForwardOperator):
    """Pressures p at sensors, −∇·(a ∇p) = 1 in the unit square and p = 0 on its boundary, of a field x with a = a(x).

    Finite volumes on cells (`Darcy`), solved by conjugate gradients with multigrid in float64 whatever the field's
    dtype, to which the data is cast back. A derivative costs one adjoint solve.

    Parameters
    ----------
    resolution
        Cells per axis.
    permeability
        How the field makes the permeability: `LogPermeability`, `TwoPhases` or any differentiable function.
    sensors
        Where the pressure is measured; an 8 × 8 lattice by default.
    rtol
        Relative residual of the solves.

    Examples
    --------
    >>> darcy = DarcyPressure(resolution=16)
    >>> data = darcy.apply(torch.zeros(2, 1, 16, 16, dtype=torch.float64))
    >>> data.shape, round(float(data.max()), 3)
    (torch.Size([2, 64]), 0.072)
    """

    resolution: int = 32
    permeability: Permeability = LogPermeability()
    sensors: Sensors = field(default_factory=sensor_lattice)
    rtol: float = 1e-10

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (1, self.resolution, self.resolution)

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (len(self.sensors.points),)

    @property
    def problem(self) -> Darcy:
        """The equation behind the data."""
        return Darcy(resolution=self.resolution)

    def pressure(self, x: Tensor) -> Tensor:
        """The whole pressure field, ``(batch, 1, n, n)``, in the dtype of x and differentiable in it.

        Raises
        ------
        OperatorError
            If x is no field of this operator.
        ForwardSolveError
            If samples have a permeability that is not finite and positive, or a solve does not converge.
        """
        require_samples(x, self.input_shape, f"{self.name}: the field")
        a = self.permeability(x.double())
        self._require_permeability(a)
        inputs = Batch({"coefficient": a})
        problem = self.problem
        try:
            solution = linear_solve(
                problem.operator(inputs), problem.load(inputs), CG(rtol=self.rtol), GeometricMultigrid()
            )
        except SolveError as error:
            raise ForwardSolveError(
                f"{self.name}: the pressure of {_listed(error.batch_indices, len(x))} could not be computed ({error}): "
                "the contrast of the permeability may be too large.",
                error.status,
                error.batch_indices,
                error.residuals,
            ) from error
        return solution.value.reshape(x.shape).to(x.dtype)

    def _apply(self, x: Tensor) -> Tensor:
        return self.sensors.observe(self.pressure(x), self.problem.grid)[..., 0]

    def _require_permeability(self, a: Tensor) -> None:
        bad = (~((a > 0) & a.isfinite())).flatten(1).any(1).nonzero().flatten().tolist()
        if bad:
            raise ForwardSolveError(
                f"{self.name}: the permeability of {_listed(bad, len(a))} is not a positive number everywhere: the "
                "field is not finite, or far from what the operator is made for; shorten the step.",
                [Status.NONFINITE_INPUT] * len(bad),
                bad,
            )


def _listed(samples: list[int] | tuple[int, ...], count: int) -> str:
    return f"{len(samples)} of {count} samples (first: {', '.join(map(str, samples[:5]))})"
