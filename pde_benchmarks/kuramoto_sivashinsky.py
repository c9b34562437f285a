"""The Kuramoto–Sivashinsky equation: waves that grow, steepen and are damped, in chaos that lasts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.exponential_integrator import ExponentialSteps
from pde_benchmarks.periodic_evolution import PeriodicEvolution, periodic_grid
from pde_benchmarks.periodic_series import coefficients, require_resolved, steepening, values, wave_numbers
from pde_benchmarks.problem import Batch, FieldSpec

__all__ = ["KuramotoSivashinsky"]

# Of the transient: nodes per unit length. The spectrum on the attractor decays exponentially beyond k ≈ 1.
TRANSIENT_DENSITY = 2.5


@dataclass(frozen=True)
class KuramotoSivashinsky(PeriodicEvolution):
    """u_t = −u u_x − u_xx − u_xxxx for x in [0, L), periodic; the map u(·, 0) ↦ u(·, t₁), u(·, t₂), …

    Initial states lie on the attractor: waves of random height and phase, all that the linear part lets grow, are
    followed for the time ``transient``, which is then forgotten. Their mean, which the equation conserves, is zero. The
    grid's coordinate is x / L. At L = 22 the largest Lyapunov exponent is about 0.05 (Edson et al. 2019): errors grow
    e-fold in some twenty units of time.

    The reference is a Fourier series of the waves |k| < n/2 (products free of aliasing) with fourth-order exponential
    Runge-Kutta steps (Kassam & Trefethen 2005); halving its step changes trajectories by less than 1e-5 of their norm.

    Parameters
    ----------
    length
        L > 2π; below, every wave decays.
    resolution
        Points x_i = iL/n, even.
    frames, interval
        Number of instants, and time between two.
    step
        Longest time step of the reference.
    transient, transient_step
        Time before the initial state, and the longest step in it: long steps serve, as the attractor is all that is
        asked for.

    Raises
    ------
    ProblemError
        If a parameter is out of range.

    Examples
    --------
    >>> problem = KuramotoSivashinsky(frames=4, transient=20.0)
    >>> start = problem.sample(2, torch.Generator().manual_seed(0))
    >>> problem.solve(start)["velocity"].shape
    torch.Size([2, 4, 1, 64])
    """

    length: float = 22.0
    resolution: int = 64
    frames: int = 20
    interval: float = 0.2
    step: float = 0.05
    transient: float = 200.0
    transient_step: float = 0.25
    name: ClassVar[str] = "kuramoto-sivashinsky"
    usual_samples: ClassVar[tuple[int, int]] = (512, 64)

    def __post_init__(self) -> None:
        self._require_sizes(8, length=self.length, transient=self.transient, transient_step=self.transient_step)
        if self.length <= 2 * math.pi:
            raise ProblemError(f"{self.name} length {self.length}: more than 2π is needed; below, every wave decays.")

    @property
    def state(self) -> FieldSpec:
        """u."""
        return FieldSpec("velocity", 1, periodic_grid(self.resolution))

    def sample(self, count: int, generator: Generator) -> Batch:
        """States on the attractor, float64, shape ``(count, 1, n)``: for one seed one function on every grid."""
        growing = math.ceil(self.length / (2 * math.pi)) - 1
        drawn = torch.randn((2, count, 1, growing), generator=generator, dtype=torch.float64, device=generator.device)
        if not count:  # an empty batch has no transform
            return Batch({"initial_velocity": drawn.new_zeros((0, 1, self.resolution))})
        points = max(32, 2 ** math.ceil(math.log2(TRANSIENT_DENSITY * self.length)))
        waves = wave_numbers(points, self.length, generator.device)
        spectrum = torch.nn.functional.pad(torch.complex(*drawn) / 2, (1, len(waves) - 1 - growing))
        steps = math.ceil(self.transient / self.transient_step - 1e-9)
        scheme = ExponentialSteps(waves**4 - waves**2, self.transient / steps)
        spectrum = scheme.advance(spectrum, steps, lambda c: steepening(c, waves))
        return Batch({"initial_velocity": values(spectrum, self.resolution)})

    def encode(self, field: Tensor) -> Tensor:
        """Coefficients ``(batch, 1, modes + 1)``."""
        return coefficients(field, self.resolution)

    def decode(self, spectrum: Tensor) -> Tensor:
        """Values at the points."""
        return values(spectrum, self.resolution)

    def rates(self, device: torch.device) -> Tensor:
        """k⁴ − k²: negative where waves grow."""
        waves = self._waves(device)
        return waves**4 - waves**2

    def tendency(self, spectrum: Tensor) -> Tensor:
        """−(u²/2)_x."""
        return steepening(spectrum, self._waves(spectrum.device))

    def check_spectrum(self, spectrum: Tensor) -> None:
        """Refuse flows that the grid does not resolve."""
        require_resolved(self.name, spectrum, f"set resolution above {self.resolution}")

    def _waves(self, device: torch.device) -> Tensor:
        return wave_numbers(self.resolution, self.length, device)
