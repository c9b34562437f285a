"""Van der Pol's oscillator: slow drifts and sudden jumps on one closed orbit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Generator

from pde_benchmarks.dynamical_systems.system import DynamicalSystem
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.problem import Batch, FieldSpec, Scalars

__all__ = ["VanDerPol"]

LARGEST_START = 2.0


@dataclass(frozen=True)
class VanDerPol(DynamicalSystem):
    """x' = y, y' = μ (1 − x²) y − x (van der Pol 1926), x and y started uniformly in [−2, 2].

    The closed orbit has |x| ≤ 2.03; |y| reaches about 1.5 μ in the jumps, between which the rate of decay is up to 3 μ:
    the larger μ, the stiffer.

    Parameters
    ----------
    damping
        μ, without dimension.
    frames, interval
        Number of instants, and time between two.
    tolerance
        Relative tolerance of a step of the reference.

    Raises
    ------
    ProblemError
        If a parameter is out of range.

    Examples
    --------
    >>> problem = VanDerPol(frames=4)
    >>> start = problem.sample(2, torch.Generator().manual_seed(0))
    >>> problem.solve(start)["position_and_speed"].shape
    torch.Size([2, 4, 2])
    """

    damping: float = 5.0
    frames: int = 50
    interval: float = 0.2
    tolerance: float = 1e-10
    name: ClassVar[str] = "van-der-pol"
    usual_samples: ClassVar[tuple[int, int]] = (256, 64)

    def __post_init__(self) -> None:
        self._require_positive(damping=self.damping, interval=self.interval)
        if self.frames < 1:
            raise ProblemError(f"{self.name} frames {self.frames}: at least 1 is needed.")

    @property
    def state(self) -> FieldSpec:
        """x and x'."""
        return FieldSpec("position_and_speed", 2, Scalars())

    @property
    def instants(self) -> tuple[float, ...]:
        """Equally spaced."""
        return tuple(self.interval * (k + 1) for k in range(self.frames))

    @property
    def scales(self) -> tuple[float, ...]:
        """2 and max(2, 1.5 μ), the size of the orbit."""
        return 2.0, max(2.0, 1.5 * self.damping)

    def rates(self, *components: Any) -> tuple[Any, ...]:
        """y and μ (1 − x²) y − x."""
        x, y = components
        return y, self.damping * (1 - x**2) * y - x

    def jacobian(self, *components: Any) -> tuple[tuple[Any, ...], ...]:
        """∂(x', y') / ∂(x, y)."""
        x, y = components
        return (0 * x, 1 + 0 * x), (-2 * self.damping * x * y - 1, self.damping * (1 - x**2))

    def sample(self, count: int, generator: Generator) -> Batch:
        """Initial states, float64, shape ``(count, 2)``."""
        unit = torch.rand((count, 2), generator=generator, dtype=torch.float64, device=generator.device)
        return Batch({"initial_position_and_speed": LARGEST_START * (2 * unit - 1)})
