"""Nonlinear reaction and diffusion between two walls, driven by a source."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Generator, Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.evolution import trajectory_metrics
from pde_benchmarks.exponential_integrator import ExponentialSteps
from pde_benchmarks.interval.evolving import WalledEvolution, require_evolution, wall_and_start
from pde_benchmarks.jet import Jet
from pde_benchmarks.point_values import PointValues
from pde_benchmarks.problem import Batch, FieldSpec, Problem, Times
from pde_benchmarks.random_fields import GaussianField
from pde_benchmarks.sine_series import sine_coefficients, sine_values
from pde_benchmarks.variational import product
from pde_benchmarks.weak_forms import Evolution

__all__ = ["ReactionDiffusion"]

# Of the sources: smooth on about a fifth of the interval.
LAW = GaussianField(smoothness=3.0, inverse_length=11.0, modes=48)


@dataclass(frozen=True)
class ReactionDiffusion(WalledEvolution, Problem):
    """∂u/∂t = D ∂²u/∂x² + k u² + f(x) for 0 < x < 1, u = 0 at both ends and at t = 0; the map f ↦ u(·, t), 0 < t ≤ 1.

    The equation of the DeepONet paper (Lu et al. 2021) with its D = k = 0.01; there the reaction is 1 % of the source,
    and k = 0.5 makes the map truly nonlinear (at k = 1 one source of a thousand makes u grow without bound). f is
    Gaussian with mean zero and unit variance.

    The reference is a compact difference scheme of order 4 on the nodes, with fourth-order exponential Runge-Kutta
    steps.

    Parameters
    ----------
    diffusivity
        D.
    reaction
        k.
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
    >>> problem = ReactionDiffusion(resolution=33, frames=4, interval=0.25)
    >>> source = problem.sample(2, torch.Generator().manual_seed(0))
    >>> problem.solve(source)["solution"].shape
    torch.Size([2, 4, 1, 33])
    """

    diffusivity: float = 0.01
    reaction: float = 0.01
    resolution: int = 101
    frames: int = 100
    interval: float = 0.01
    step: float = 5e-3
    name: ClassVar[str] = "reaction-diffusion"
    usual_samples: ClassVar[tuple[int, int]] = (1000, 200)

    def __post_init__(self) -> None:
        positive = {name: getattr(self, name) for name in ("diffusivity", "interval", "step")}
        require_evolution(self.name, self.resolution, self.frames, **positive)
        if not math.isfinite(self.reaction):
            raise ProblemError(f"{self.name} reaction {self.reaction}: a finite number is needed.")

    @property
    def inputs(self) -> tuple[FieldSpec, ...]:
        """The source."""
        return (FieldSpec("source", 1, dataclasses.replace(self.nodes, boundary=("neumann",))),)

    @property
    def outputs(self) -> tuple[FieldSpec, ...]:
        """The trajectory, initial state left out."""
        instants = tuple(self.interval * (k + 1) for k in range(self.frames))
        return (FieldSpec("solution", 1, Times(instants, self.nodes)),)

    @property
    def equation(self) -> Evolution:
        """u_t = D u_xx + k u² + f; u_t is of the size of f."""
        return Evolution(self.diffusivity, self._supply, 1.0, self.duration)

    def at_resolution(self, resolution: int) -> Self:
        """The same law, hence for one seed the same sources, on another grid."""
        return dataclasses.replace(self, resolution=resolution)

    def sample(self, count: int, generator: Generator) -> Batch:
        """Sources, float64, shape ``(count, 1, n)``."""
        field = LAW.sample(count, self.nodes, generator).cpu() / LAW.amplitudes(1).norm()
        return Batch({"source": field[:, None]})

    def solve(self, inputs: Batch) -> Batch:
        """Reference trajectories ``(count, frames, 1, n)``, computed in float64; differentiable.

        Raises
        ------
        ProblemError
            If a solution grows without bound (with the sample's number).
        """
        source = inputs["source"]
        f = source.to(torch.float64)
        state, frames = torch.zeros_like(f), []
        for _ in range(self.frames):
            state = self.advance(state, f)
            frames.append(state)
        flow = torch.stack(frames, 1)
        wrong = (~flow.detach().isfinite()).flatten(1).any(1).nonzero().flatten().tolist()
        if wrong:
            raise ProblemError(
                f"{self.name}: sample {wrong[0]} grows without bound before t = {self.duration:g} ({len(wrong)} of "
                f"{len(source)} samples do): lower reaction or frames, or scale its source down."
            )
        return Batch({"solution": flow.to(source.dtype)})

    def advance(self, state: Tensor, source: Tensor) -> Tensor:
        """States ``(batch, 1, n)`` one interval later under ``source``, computed in float64; differentiable."""
        count = math.ceil(self.interval / self.step - 1e-9)
        u, f = state.to(torch.float64), source.to(torch.float64)
        symbol, rates = self._compact(u.shape[-1], u.device)
        steps = ExponentialSteps(rates, self.interval / count)

        def supply(c: Tensor) -> Tensor:
            g = self.reaction * sine_values(c, f.shape[-1]).square() + f
            mean = (g[..., :-2] + 10 * g[..., 1:-1] + g[..., 2:]) / 12
            return sine_coefficients(torch.nn.functional.pad(mean, (1, 1))) / symbol

        after = steps.advance(sine_coefficients(u), count, supply)
        return sine_values(after, u.shape[-1]).to(state.dtype)

    def residual(self, inputs: Batch, outputs: Batch) -> Batch:
        """Defect of every frame: itself minus `advance` of the frame before it; differentiable in both."""
        flow, source = outputs["solution"], inputs["source"]
        before = torch.cat([torch.zeros_like(flow[:, :1]), flow[:, :-1]], 1)
        driven = source[:, None].expand(-1, flow.shape[1], -1, -1)
        return Batch({"solution": flow - self.advance(before, driven)})

    def metrics(self, prediction: Batch, truth: Batch) -> dict[str, float]:
        """Relative L² errors averaged over samples: of the whole trajectory, and of its first and last frame."""
        return trajectory_metrics(prediction["solution"], truth["solution"])

    def impose(self, name: str, points: Tensor, raw: Jet, inputs: Batch) -> Jet:
        """u = t sin πx · raw: walls and start are exact."""
        self.require_solution(name)
        return product(wall_and_start(points, 1 if raw.hessian is None else 2), raw)

    def coefficient_at(self, inputs: Batch, points: Tensor) -> Tensor:
        """The source at x of points (x) or (x, t), linear between the nodes: ``(count, n, 1)``."""
        return PointValues.linear(self.nodes, points[:, :1]).of(inputs["source"])

    def _supply(self, u: Tensor, slope: Tensor, source: Tensor) -> Tensor:
        return self.reaction * u**2 + source

    def _compact(self, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Of (1 + δ²/12) u_t = D δ²u/h² + (1 + δ²/12) g: 1 + δ²/12 and the rates of decay, per mode.

        At the walls u_t vanishes and g is known, so that the order holds there.
        """
        h = 1 / (count - 1)
        modes = torch.arange(1, count - 1, dtype=torch.float64, device=device)
        square = torch.sin(math.pi * h / 2 * modes) ** 2
        symbol = 1 - square / 3
        return symbol, 4 * self.diffusivity / h**2 * square / symbol
