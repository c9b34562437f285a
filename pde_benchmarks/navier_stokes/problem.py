"""Two-dimensional incompressible flow in vorticity form, driven by a steady force."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import torch
from torch import Generator, Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.evolution import EvolutionProblem
from pde_benchmarks.grid import Grid
from pde_benchmarks.navier_stokes.finite_difference import ArakawaVorticity
from pde_benchmarks.navier_stokes.fourier import resample
from pde_benchmarks.navier_stokes.large_steps import large_steps
from pde_benchmarks.navier_stokes.spectral import SpectralVorticity
from pde_benchmarks.navier_stokes.time_stepping import STABILITY_LIMIT, Scheme, march_checked
from pde_benchmarks.problem import Batch, FieldSpec
from pde_benchmarks.random_fields import GaussianField

__all__ = ["NavierStokes"]

SAMPLES_AT_ONCE = 4
WAVES = 31


@dataclass(frozen=True)
class NavierStokes(EvolutionProblem):
    """∂w/∂t + u·∇w = ν Δw + f on the periodic unit square, u = (∂ψ/∂y, −∂ψ/∂x), −Δψ = w; the map w(0) ↦ w(t₁), w(t₂), …

    f = A (sin 2π(x+y) + cos 2π(x+y)); w(0) is Gaussian with covariance σ² (−Δ + 49)^(−5/2), its waves beyond |k_x| or
    |k_y| = 31 left out (7e-3 of its norm). x is the first axis of the grid, y the second.

    Parameters
    ----------
    viscosity
        ν.
    forcing
        A; 0 for a flow that decays.
    law
        ``generated``: σ² = 7³, the flows of the generator of Li et al. (2021); ``stated``: the σ² = 7^(3/2) of their
        text, so weak that the force makes most of what is seen.
    resolution
        Points x_i = i/n per axis of the fields, even.
    refinement
        The reference is computed on ``refinement`` × ``resolution`` points per axis, and its frames are cut to the
        waves |k| < n/2 that the fields' grid resolves.
    scheme
        Of the reference: ``spectral`` (dealiased, its modes |k| < refinement · n / 3), or ``finite_difference``
        (Arakawa's Jacobian, second order). Both take classical Runge-Kutta steps.
    step
        Longest time step of the reference; every sample takes equal steps of at most this length.
    interval, frames
        Time between two frames, and their number.

    Raises
    ------
    ProblemError
        If a parameter has no meaning, or a time step is too long for the flow (the message names it).

    Examples
    --------
    >>> problem = NavierStokes(viscosity=1e-3, resolution=16, frames=2)
    >>> flow = problem.sample(1, torch.Generator().manual_seed(0))
    >>> problem.solve(flow)["vorticity"].shape
    torch.Size([1, 2, 1, 16, 16])
    """

    viscosity: float = 1e-4
    forcing: float = 0.1
    law: Literal["stated", "generated"] = "generated"
    resolution: int = 64
    refinement: int = 2
    scheme: Literal["spectral", "finite_difference"] = "spectral"
    step: float = 1 / 48
    interval: float = 1.0
    frames: int = 10
    name: ClassVar[str] = "navier-stokes"
    guesses: ClassVar[tuple[str, ...]] = ("large_steps",)
    usual_samples: ClassVar[tuple[int, int]] = (128, 16)

    def __post_init__(self) -> None:
        for name in ("viscosity", "step", "interval"):
            if not 0 < getattr(self, name) < math.inf:
                raise ProblemError(f"navier-stokes {name} {getattr(self, name)}: a positive number is needed.")
        if not math.isfinite(self.forcing):
            raise ProblemError(f"navier-stokes forcing {self.forcing}: a finite number is needed; 0 for none.")
        if self.resolution < 8 or self.resolution % 2:
            raise ProblemError(f"navier-stokes resolution {self.resolution}: an even number, at least 8, is needed.")
        if self.refinement < 1 or self.frames < 1:
            raise ProblemError(
                f"navier-stokes refinement {self.refinement} and frames {self.frames}: both must be at least 1."
            )
        if self.law not in ("stated", "generated"):
            raise ProblemError(f"navier-stokes law {self.law!r} is unknown: use stated or generated.")
        if self.scheme not in ("spectral", "finite_difference"):
            raise ProblemError(f"navier-stokes scheme {self.scheme!r} is unknown: use spectral or finite_difference.")
        longest = STABILITY_LIMIT / (8 * self.viscosity * (self.refinement * self.resolution) ** 2)
        if self.scheme == "finite_difference" and self.step > longest:
            raise ProblemError(
                f"navier-stokes step {self.step:.3g}: too long for explicit viscosity {self.viscosity:.3g} on "
                f"{self.refinement * self.resolution} points; set step to {longest:.2g} or less, or scheme to spectral."
            )

    @property
    def state(self) -> FieldSpec:
        """The vorticity."""
        grid = Grid((self.resolution, self.resolution), "left", ("periodic", "periodic"))
        return FieldSpec("vorticity", 1, grid)

    def at_resolution(self, resolution: int) -> Self:
        """The same law, hence for one seed the same initial flows (cut to the waves resolved), on another grid."""
        return dataclasses.replace(self, resolution=resolution)

    def sample(self, count: int, generator: Generator) -> Batch:
        """Initial vorticity, float64, shape ``(count, 1, n, n)``."""
        covariance = GaussianField(smoothness=2.5, inverse_length=7.0, boundary="periodic", modes=2 * WAVES + 1)
        resolving = Grid((2 * WAVES + 2, 2 * WAVES + 2), "left", ("periodic", "periodic"))
        scale = 7.0 ** (-3 / 4) if self.law == "stated" else 1.0
        flows = scale * covariance.sample(count, resolving, generator)
        return Batch({"initial_vorticity": resample(flows, self.resolution)[:, None]})

    def solve(self, inputs: Batch) -> Batch:
        """Reference trajectories ``(count, frames, 1, n, n)``, computed in float64 without a cut between frames."""
        flows = inputs["initial_vorticity"]
        return Batch({"vorticity": self._in_blocks(flows, self.frames)})

    def advance(self, state: Tensor) -> Tensor:
        """Vorticity one interval later by the reference scheme, from the waves that the state's grid resolves.

        Differentiable. A trajectory of `solve` keeps the finer waves from frame to frame and differs from repeated
        calls by what those waves do.
        """
        return self._in_blocks(state, 1)[:, 0]

    def guess_step(self, state: Tensor, kind: str) -> Tensor:
        """``large_steps``: few spectral steps on the state's own grid, in its dtype; differentiable."""
        if kind == "large_steps":
            return large_steps(state, self.viscosity, self.forcing, self.interval)
        return super().guess_step(state, kind)

    def _in_blocks(self, flows: Tensor, frames: int) -> Tensor:
        """Trajectories in the dtype of ``flows``, a few samples at a time so that a step's arrays stay in cache."""
        parts = [flows.new_zeros((0, frames, *flows.shape[1:]))]
        for first in range(0, len(flows), SAMPLES_AT_ONCE):
            block = flows[first : first + SAMPLES_AT_ONCE]
            parts.append(self._trajectory(block, frames, first).to(flows.dtype))
        return torch.cat(parts)

    def _trajectory(self, flows: Tensor, frames: int, first: int) -> Tensor:
        field = flows[:, 0].to(torch.float64)
        scheme = self._scheme(field)
        steps = math.ceil(self.interval / self.step)
        state, seen = scheme.encode(field), []
        for frame in range(frames):
            where = f"navier-stokes, frame {frame + 1}"
            state = march_checked(scheme, state, steps, self.interval / steps, where, first)
            seen.append(scheme.decode(state, field.shape[-1]))
        return torch.stack(seen, dim=1)[:, :, None]

    def _scheme(self, field: Tensor) -> Scheme:
        points = self.refinement * field.shape[-1]
        if self.scheme == "finite_difference":
            return ArakawaVorticity(points, self.viscosity, self.forcing, field)
        return SpectralVorticity(points, (points - 1) // 3, self.viscosity, self.forcing, field)
