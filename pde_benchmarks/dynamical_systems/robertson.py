"""Robertson's chemical kinetics: three reactions whose speeds span nine orders of magnitude."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Generator

from pde_benchmarks.dynamical_systems.system import DynamicalSystem
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.problem import Batch, FieldSpec, Scalars

__all__ = ["Robertson"]

LARGEST_PRODUCT = 0.1
LARGEST_INTERMEDIATE = 1e-5


@dataclass(frozen=True)
class Robertson(DynamicalSystem):
    """y₁' = −k₁ y₁ + k₃ y₂ y₃, y₂' = k₁ y₁ − k₂ y₂² − k₃ y₂ y₃, y₃' = k₂ y₂² (Robertson 1966); their sum is conserved.

    Instants are spaced logarithmically. A start near (1, 0, 0): y₃ uniform in [0, 0.1], y₂ uniform in [0, 1e-5], and
    y₁ = 1 − y₂ − y₃, so that the sum is 1. y₂ stays about 1e-5 and follows the others within milliseconds.

    Parameters
    ----------
    slow, fast, return_rate
        k₁, k₂, k₃, per second.
    count, first, last
        Number of instants, the first and the last one, in seconds.
    tolerance
        Relative tolerance of a step of the reference.

    Raises
    ------
    ProblemError
        If a parameter is out of range.

    Examples
    --------
    >>> problem = Robertson(count=8, last=40.0)
    >>> start = Batch({"initial_concentrations": torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)})
    >>> round(problem.solve(start)["concentrations"][0, -1, 0].item(), 4)
    0.7158
    """

    slow: float = 0.04
    fast: float = 3e7
    return_rate: float = 1e4
    count: int = 50
    first: float = 1e-5
    last: float = 1e5
    tolerance: float = 1e-10
    name: ClassVar[str] = "robertson"
    usual_samples: ClassVar[tuple[int, int]] = (256, 64)

    def __post_init__(self) -> None:
        names = ("slow", "fast", "return_rate", "first")
        self._require_positive(**{name: getattr(self, name) for name in names})
        if not self.first < self.last < math.inf or self.count < 2:
            raise ProblemError(
                f"{self.name} first {self.first:g}, last {self.last:g}, count {self.count}: at least 2 instants, the "
                "last after the first, are needed."
            )

    @property
    def state(self) -> FieldSpec:
        """The three concentrations."""
        return FieldSpec("concentrations", 3, Scalars())

    @property
    def instants(self) -> tuple[float, ...]:
        """From ``first`` to ``last`` at equal ratios."""
        ratio = math.log(self.last / self.first) / (self.count - 1)
        return (*(self.first * math.exp(ratio * k) for k in range(self.count - 1)), self.last)

    @property
    def scales(self) -> tuple[float, ...]:
        """1, √(k₁/k₂) and 1: y₂ reaches its balance with the first two reactions before the third matters."""
        return 1.0, math.sqrt(self.slow / self.fast), 1.0

    def rates(self, *components: Any) -> tuple[Any, ...]:
        """Of the three reactions."""
        a, b, c = components
        made, used, back = self.slow * a, self.fast * b**2, self.return_rate * b * c
        return back - made, made - used - back, used

    def jacobian(self, *components: Any) -> tuple[tuple[Any, ...], ...]:
        """∂f/∂y; its columns sum to zero, hence the integrator too conserves the sum."""
        a, b, c = components
        slow, used, none = self.slow + 0 * a, 2 * self.fast * b, 0 * a
        with_b, with_c = self.return_rate * c, self.return_rate * b
        return (-slow, with_b, with_c), (slow, -used - with_b, -with_c), (none, used, none)

    def sample(self, count: int, generator: Generator) -> Batch:
        """Initial concentrations, float64, shape ``(count, 3)``."""
        unit = torch.rand((count, 2), generator=generator, dtype=torch.float64, device=generator.device)
        b, c = LARGEST_INTERMEDIATE * unit[:, 0], LARGEST_PRODUCT * unit[:, 1]
        return Batch({"initial_concentrations": torch.stack([1 - b - c, b, c], -1)})

    def metrics(self, prediction: Batch, truth: Batch) -> dict[str, float]:
        """Those of the base class, and ``conservation``: the largest |Σ prediction − Σ truth| of all instants."""
        name = self.state.name
        gap = (prediction[name].detach().sum(-1) - truth[name].sum(-1)).abs()
        largest = gap.max().item() if gap.numel() else float("nan")
        return {**super().metrics(prediction, truth), "conservation": largest}
