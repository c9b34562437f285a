"""The viscous Burgers equation between two walls, followed over time."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Generator, Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.evolution import EvolutionProblem
from pde_benchmarks.exponential_integrator import ExponentialSteps
from pde_benchmarks.interval.evolving import WalledEvolution, require_evolution, wall_and_start
from pde_benchmarks.jet import Jet
from pde_benchmarks.point_values import PointValues
from pde_benchmarks.problem import Batch, FieldSpec
from pde_benchmarks.random_fields import GaussianField
from pde_benchmarks.sine_series import decaying_jet, sine_coefficients, sine_values
from pde_benchmarks.variational import product, summed
from pde_benchmarks.weak_forms import Evolution

__all__ = ["WalledBurgers"]

# Of the initial fields: smooth on about a sixth of the interval.
LAW = GaussianField(smoothness=3.0, inverse_length=7.0, modes=32)
# Size of ∂u/∂t in units of (height of u)² / length, measured on the law.
TYPICAL_RATE = 1.4
# The last eighth of the modes of a resolved flow is below this part of its largest one.
UNRESOLVED = 1e-3


@dataclass(frozen=True)
class WalledBurgers(WalledEvolution, EvolutionProblem):
    """∂u/∂t + u ∂u/∂ξ = ν ∂²u/∂ξ² for |ξ| < 1, u = 0 at ξ = ±1; the map u(·, 0) ↦ u(·, t), 0 < t ≤ 1.

    Coordinates of grids and points are x = (ξ + 1)/2 in [0, 1] and t: there the equation reads
    u_t + u u_x / 2 = ν u_xx / 4. u(·, 0) is (1 − ξ²) times a Gaussian field of unit variance and mean zero, so that
    |u| is about 1; ν = 0.1/π, 128 nodes and 100 frames after the initial one are those of Zang and Koutsourelakis
    (2025).

    The reference is a sine series of n − 2 modes (3/2 rule) with fourth-order exponential Runge-Kutta steps: beyond any
    order in space while the flow is resolved.

    Parameters
    ----------
    viscosity
        ν.
    amplitude
        Standard deviation of the Gaussian field.
    resolution
        Nodes x_i = i/(n − 1), walls included.
    frames, interval
        Number of instants, and time between two.
    step
        Longest time step of the reference.

    Raises
    ------
    ProblemError
        If a parameter is out of range.

    Examples
    --------
    >>> problem = WalledBurgers(resolution=65, frames=4, interval=0.25)
    >>> start = problem.sample(2, torch.Generator().manual_seed(0))
    >>> problem.solve(start)["solution"].shape
    torch.Size([2, 4, 1, 65])
    """

    viscosity: float = 0.1 / math.pi
    amplitude: float = 1.0
    resolution: int = 128
    frames: int = 100
    interval: float = 0.01
    step: float = 5e-3
    name: ClassVar[str] = "burgers-walls"
    usual_samples: ClassVar[tuple[int, int]] = (1000, 200)

    def __post_init__(self) -> None:
        positive = {name: getattr(self, name) for name in ("viscosity", "amplitude", "interval", "step")}
        require_evolution(self.name, self.resolution, self.frames, **positive)

    @property
    def state(self) -> FieldSpec:
        """The velocity."""
        return FieldSpec("solution", 1, self.nodes)

    @property
    def equation(self) -> Evolution:
        """u_t = ν/4 u_xx − u u_x / 2."""
        return Evolution(self.viscosity / 4, _convection, TYPICAL_RATE * self.amplitude**2 / 2, self.duration)

    def at_resolution(self, resolution: int) -> Self:
        """The same law, hence for one seed the same initial functions, on another grid."""
        return dataclasses.replace(self, resolution=resolution)

    def sample(self, count: int, generator: Generator) -> Batch:
        """Initial velocities, float64, shape ``(count, 1, n)``."""
        x = self.nodes.points(0)
        unit = self.amplitude / LAW.amplitudes(1).norm()
        field = unit * 4 * x * (1 - x) * LAW.sample(count, self.nodes, generator).to(x)
        return Batch({"initial_solution": field[:, None]})

    def check(self, inputs: Batch, where: str = "") -> None:
        """Refuse initial velocities that do not vanish at the walls."""
        super().check(inputs, where)
        start = inputs["initial_solution"]
        slip = start[..., [0, -1]].abs().flatten(1).amax(1) > 1e-5 * start.abs().flatten(1).amax(1)
        if slip.any():
            sample = int(slip.nonzero()[0])
            raise ProblemError(
                f"{where or self.name}: sample {sample} is {start[sample, 0, 0]:.4g} and {start[sample, 0, -1]:.4g} at "
                "the walls, where the velocity is zero: mend or remove it."
            )

    def solve(self, inputs: Batch) -> Batch:
        """Reference trajectories ``(count, frames, 1, n)``, computed in float64; differentiable.

        Raises
        ------
        ProblemError
            If a flow is not resolved by the grid, or the step is too long for it (with the sample's number).
        """
        start = inputs["initial_solution"]
        flows = self._followed(Batch({"initial_solution": start.to(torch.float64)}), self.advance)
        self._require_resolved(flows.detach())
        return Batch({"solution": flows.to(start.dtype)})

    def advance(self, state: Tensor) -> Tensor:
        """Velocities ``(batch, 1, n)`` one interval later, computed in float64; differentiable."""
        count = math.ceil(self.interval / self.step - 1e-9)
        coefficients = sine_coefficients(state.to(torch.float64))
        steps = ExponentialSteps(self._rates(coefficients), self.interval / count)
        after = steps.advance(coefficients, count, _steepening)
        return sine_values(after, state.shape[-1]).to(state.dtype)

    def impose(self, name: str, points: Tensor, raw: Jet, inputs: Batch) -> Jet:
        """u = H_t u₀ + t sin πx · raw with the heat kernel H: walls and start are exact, and diffusion is inside."""
        self.require_solution(name)
        order = 1 if raw.hessian is None else 2
        coefficients = sine_coefficients(inputs["initial_solution"][:, 0])
        diffused = decaying_jet(coefficients, self._rates(coefficients), points, order)
        return summed(diffused, product(wall_and_start(points, order), raw))

    def coefficient_at(self, inputs: Batch, points: Tensor) -> Tensor:
        """The initial velocity at x of points (x) or (x, t), linear between the nodes: ``(count, n, 1)``."""
        return PointValues.linear(self.nodes, points[:, :1]).of(inputs["initial_solution"])

    def _rates(self, coefficients: Tensor) -> Tensor:
        """λ_k = ν (kπ/2)², float64."""
        modes = torch.arange(1, coefficients.shape[-1] + 1, dtype=torch.float64, device=coefficients.device)
        return self.viscosity * (modes * math.pi / 2) ** 2

    @torch.no_grad()
    def _require_resolved(self, flows: Tensor) -> None:
        c = sine_coefficients(flows[:, :, 0]).abs()
        finite = c.isfinite().all(-1).all(-1)
        if not finite.all():
            sample = int((~finite).nonzero()[0])
            raise ProblemError(
                f"{self.name}: sample {sample} does not stay finite with steps of {self.step:.3g}: set step lower, or "
                "remove the sample if it is not finite itself."
            )
        fine = c[..., -(c.shape[-1] // 8) :].amax(-1)
        wrong = (fine > UNRESOLVED * c.amax(-1)).any(-1)
        if wrong.any():
            raise ProblemError(
                f"{self.name}: sample {int(wrong.nonzero()[0])} steepens to a layer that {flows.shape[-1]} nodes do "
                f"not resolve at viscosity {self.viscosity:.3g}: raise resolution."
            )


def _steepening(c: Tensor) -> Tensor:
    """−(u²/4)_x in sine modes ``(…, modes)``, free of aliasing: (u²)_x = −Σ a_k kπ sin kπx for u² = Σ a_k cos kπx."""
    from scipy.fft import next_fast_len

    modes = c.shape[-1]
    if not c.numel():  # an empty batch has no transform
        return c
    intervals = next_fast_len(math.ceil(1.5 * (modes + 1)), real=True)
    square = sine_values(c, intervals + 1).square()
    even = torch.cat([square, square[..., 1:-1].flip(-1)], -1)
    a = torch.fft.rfft(even).real[..., 1 : modes + 1] / intervals
    return math.pi / 4 * torch.arange(1, modes + 1, dtype=c.dtype, device=c.device) * a


def _convection(u: Tensor, slope: Tensor, initial: Tensor) -> Tensor:
    return -u * slope / 2
