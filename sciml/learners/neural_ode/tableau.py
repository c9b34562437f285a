"""What an embedded explicit Runge–Kutta pair is: coefficients, dense output and limit of stability."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Coefficients", "Tableau", "WithRows", "coefficients", "columns", "hermite"]


@dataclass(frozen=True, eq=False)
class Tableau:
    """Coefficients of an embedded explicit Runge–Kutta pair with s stages, the last of them at the end of the step.

    Parameters
    ----------
    name
        Name by which `odesolve` finds it.
    order
        Order p of the solution that is carried on; the error estimate shrinks like h^p.
    c
        Times of the stages in units of the step, ``(s,)``.
    a
        Row i holds the weights of the slopes 0 … i in the state of stage i + 1; ``s - 1`` rows. The last row is b.
    error
        Weights of the slopes in the error estimate, b − b̂, ``(s,)``.
    dense
        ``dense[i][m]`` is the coefficient of x^(m + 1) in the weight of slope i for the state at ``t + x h``.

    Examples
    --------
    >>> from sciml.learners.neural_ode import TABLEAUX
    >>> TABLEAUX["tsit5"].evaluations_per_step
    6
    >>> round(TABLEAUX["tsit5"].stability_limit, 4)
    3.5068
    """

    name: str
    order: int
    c: tuple[float, ...]
    a: tuple[tuple[float, ...], ...]
    error: tuple[float, ...]
    dense: tuple[tuple[float, ...], ...]

    @property
    def b(self) -> tuple[float, ...]:
        """Weights of the slopes in the solution carried on, ``(s - 1,)``; the last slope has weight zero."""
        return self.a[-1]

    @property
    def evaluations_per_step(self) -> int:
        """New evaluations of the right-hand side that one attempt costs."""
        return len(self.c) - 1

    @property
    def rows(self) -> tuple[tuple[float, ...], ...]:
        """All weights that one step needs: the rows of a, then the error's."""
        return (*self.a, self.error)

    @property
    def stops_at_outputs(self) -> bool:
        """False: steps pass requested times, where the dense output is as accurate as the steps."""
        return False

    @property
    def measures_stiffness(self) -> bool:
        """Whether the last two stages both stand at the end of the step, which the stiffness estimate needs."""
        return self.c[-2] == self.c[-1] == 1.0

    @cached_property
    def stage_times(self) -> NDArray[np.float64]:
        """The times c as a column, ``(s, 1)``."""
        return np.array(self.c)[:, None]

    @cached_property
    def dense_matrix(self) -> NDArray[np.float64]:
        """The dense output's coefficients, ``(s, degree)``."""
        return np.array(self.dense)

    @cached_property
    def stability_limit(self) -> float:
        """Length ρ of the real interval of stability: |R(−x)| ≤ 1 for 0 ≤ x ≤ ρ.

        R(z) = 1 + Σ_m (bᵀ A^m 1) z^(m + 1) is a polynomial; ρ is the first x > 0 at which R(−x)² − 1 turns positive.
        """
        stages = len(self.b)
        matrix = np.zeros((stages, stages))
        for row, weights in enumerate(self.a[:-1], start=1):
            matrix[row, : len(weights)] = weights
        moments, power = [1.0], np.ones(stages)
        for _ in range(stages):
            moments.append(float(np.dot(self.b, power)))
            power = matrix @ power
        amplification = np.polynomial.Polynomial(np.array(moments) * (-1.0) ** np.arange(stages + 1))
        excess = amplification**2 - 1
        roots = excess.roots()
        real = np.sort(roots[(np.abs(roots.imag) < 1e-9) & (roots.real > 1e-9)].real)
        return float(next(root for root in real if excess(root * (1 + 1e-6)) > 0))


class WithRows(Protocol):
    """Anything that has rows of weights."""

    @property
    def rows(self) -> tuple[tuple[float, ...], ...]:
        """Weights of one step, row by row."""
        ...


class Coefficients(NamedTuple):
    """A tableau's rows of weights, one after the other ``(1, ...)``, of one dtype on one device."""

    weights: Tensor
    sizes: tuple[int, ...]


@lru_cache(maxsize=64)
def coefficients(tableau: WithRows, dtype: torch.dtype, device: torch.device) -> Coefficients:
    """Return the tableau's weights as a tensor, converted once for every dtype and device."""
    rows = tableau.rows
    weights = torch.tensor([[value for row in rows for value in row]], dtype=dtype, device=device)
    return Coefficients(weights, tuple(len(row) for row in rows))


def columns(*polynomials: NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    """Drop the constant terms (all zero) and make the lengths equal."""
    longest = max(len(polynomial) for polynomial in polynomials)
    padded = [np.pad(polynomial, (0, longest - len(polynomial))) for polynomial in polynomials]
    return tuple(tuple(float(value) for value in polynomial[1:]) for polynomial in padded)


def hermite(b: tuple[float, ...]) -> tuple[tuple[float, ...], ...]:
    """Cubic through both states with both slopes: the dense output of a pair that brings none of its own.

    Parameters
    ----------
    b
        Weights of all stages in the solution, ``(s,)``; the last stage is the slope at the end.
    """
    rise, start, end = np.array([0, 0, 3, -2.0]), np.array([0, 1, -2, 1.0]), np.array([0, 0, -1, 1.0])
    weights = [weight * rise for weight in b]
    weights[0] = weights[0] + start
    weights[-1] = weights[-1] + end
    return columns(*weights)
