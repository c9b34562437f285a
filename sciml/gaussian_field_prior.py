"""The classical prior of an inverse problem: a Gaussian random field, with the reference solver and its adjoint."""

from __future__ import annotations

import dataclasses

import torch
from torch import Generator, Tensor

from pde_benchmarks.elliptic import EllipticProblem
from pde_benchmarks.problem import Batch, FieldSpec, Grid, Phases
from pde_benchmarks.random_fields import GaussianField
from pde_benchmarks.sensors import Sensors
from sciml.errors import ConfigurationError, LearnerError
from sciml.inverse import FieldPrior
from solvers import linear_solve

__all__ = ["GaussianFieldPrior"]

RTOL = 1e-8


class GaussianFieldPrior(FieldPrior):
    """Inputs that are functions of a Gaussian field g, outputs by the reference solver, gradients by its adjoint.

    Phases are told apart by the sign of g; for gradients the step is smoothed to a sigmoid (a level-set method with a
    Gaussian prior; Iglesias, Lu & Stuart 2016). Positive inputs are exp(μ + σ g/std(g)). Nothing is learned: this is
    what a learned prior has to be better than, or faster.

    Parameters
    ----------
    problem
        Elliptic, with one input field on a grid.
    field
        Law of g; its first `modes` cosines an axis are the latents.
    modes
        Modes per axis: ``modes²`` latents in two dimensions.
    sharpness
        Of the sigmoid, in standard deviations of g: the phases mix where g is below std(g)/sharpness.
    log_mean, log_std
        μ and σ of positive inputs.

    Raises
    ------
    LearnerError
        If the problem is not elliptic, has several inputs, or phases other than two.

    Examples
    --------
    >>> from pde_benchmarks.media import TwoPhaseDarcy
    >>> prior = GaussianFieldPrior(TwoPhaseDarcy(resolution=9), GaussianField(2.0, 3.0), modes=4)
    >>> prior.decided_inputs(torch.randn(2, prior.latent_dim))["coefficient"].shape
    torch.Size([2, 1, 9, 9])
    """

    def __init__(
        self,
        problem: EllipticProblem,
        field: GaussianField,
        modes: int = 12,
        sharpness: float = 4.0,
        log_mean: float = 0.0,
        log_std: float = 1.0,
    ) -> None:
        if not isinstance(problem, EllipticProblem) or len(problem.inputs) != 1:
            raise LearnerError(
                f"{problem.name}: a Gaussian field prior needs an elliptic problem with one input field."
            )
        if modes < 2 or not sharpness > 0 or not log_std > 0:
            raise ConfigurationError(
                f"modes = {modes}, sharpness = {sharpness}, log_std = {log_std}: at least 2 modes and positive numbers "
                "are expected."
            )
        self.problem: EllipticProblem = problem
        self.field = dataclasses.replace(field, modes=modes)
        (self._input,) = problem.inputs
        self._phases = _two_phases(self._input)
        assert isinstance(self._input.support, Grid)
        self.grid = self._input.support
        self.latent_dim = modes**self.grid.dim
        self._deviation = float(self.field.amplitudes(self.grid.dim).square().sum().sqrt())
        self._sharpness, self._log_mean, self._log_std = sharpness, log_mean, log_std

    def inputs(self, z: Tensor) -> Batch:
        """Input fields, differentiable in z: where there are phases, mixed near their interfaces."""
        g = self._gaussian(z)
        if self._phases is None:
            return self._batch(torch.exp(self._log_mean + self._log_std * g), z)
        low, high = self._phases
        return self._batch(low + (high - low) * torch.sigmoid(2 * self._sharpness * g), z)

    def draw_inputs(self, z: Tensor, generator: Generator) -> Batch:
        """Those that are decided: latents leave nothing open."""
        return self.decided_inputs(z)

    def decided_inputs(self, z: Tensor) -> Batch:
        """Input fields with sharp interfaces."""
        if self._phases is None:
            return self.inputs(z)
        low, high = self._phases
        return self._batch(torch.where(self._gaussian(z) >= 0, high, low), z)

    def outputs(self, z: Tensor) -> Batch:
        """The reference solution for the decided inputs."""
        solution = self.problem.solve(self.decided_inputs(z).to(dtype=torch.float64))
        return solution.to(dtype=z.dtype)

    def at_sensors(self, z: Tensor, points: Tensor) -> Tensor:
        """Reference solutions at points, by one solve per latent; their gradient by one adjoint solve."""
        inputs = self.inputs(z).to(dtype=torch.float64)
        problem = self.problem
        solution = linear_solve(
            problem.operator(inputs), problem.load(inputs), problem.krylov(RTOL), problem.preconditioner(inputs)
        ).value
        field = problem.fields(solution, inputs)[problem.output.name]
        assert isinstance(problem.output.support, Grid)
        return Sensors(points).observe(field, problem.output.support)[..., 0].to(z.dtype)

    def _gaussian(self, z: Tensor) -> Tensor:
        """g in standard deviations, ``(m, *grid)``, float64."""
        noise = z.to(torch.float64).reshape(-1, *[self.field.modes] * self.grid.dim)
        return self.field.evaluate(noise, self.grid) / self._deviation

    def _batch(self, values: Tensor, z: Tensor) -> Batch:
        return Batch({self._input.name: values[:, None].to(z.dtype)})


def _two_phases(spec: FieldSpec) -> tuple[float, float] | None:
    """The values of a field of two phases; None for a continuous one."""
    if not isinstance(spec.kind, Phases):
        return None
    if len(spec.kind.values) != 2:
        raise LearnerError(
            f"field {spec.name!r} has {len(spec.kind.values)} phases: one Gaussian field tells two apart."
        )
    return spec.kind.values[0], spec.kind.values[1]
