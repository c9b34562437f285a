"""Embedded diagonally implicit Runge–Kutta pairs for stiff equations.

Both pairs of Kværnø (BIT Numerical Mathematics 44 (2004) 489) have an explicit first stage, one γ on the diagonal (so
that all stages of a step share one matrix I − hγJ), and both of their solutions are stages: the last one is carried
on, the one before it is the comparison. Both are A-stable; the solution is L-stable, R(∞) = 0: components that decay
infinitely fast are gone after one step. Of the comparison they leave |R̂(∞)| < 1 in the error estimate, which makes
steps short until they have decayed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sciml.learners.neural_ode.tableau import hermite

__all__ = ["IMPLICIT_TABLEAUX", "KVAERNO_FIVE", "KVAERNO_THREE", "ImplicitTableau"]

# A stage is guessed from the slopes of so many earlier ones.
_GUESSED_FROM = 3


@dataclass(frozen=True, eq=False)
class ImplicitTableau:
    """Coefficients of an embedded, stiffly accurate ESDIRK pair with s stages, the last of them the solution.

    Parameters
    ----------
    name
        Name by which `odesolve` finds it.
    order
        Order p of the solution that is carried on; the error estimate shrinks like h^p.
    gamma
        The weight of every stage but the first in itself.
    a
        Row i holds the weights of the slopes 0 … i in the state of stage i + 1, without γ; ``s - 1`` rows. The last
        one with γ appended is b, the one before it b̂.

    Examples
    --------
    >>> IMPLICIT_TABLEAUX["kvaerno3"].order
    3
    >>> abs(IMPLICIT_TABLEAUX["kvaerno3"].amplification(-1e12)) < 1e-9
    True
    """

    name: str
    order: int
    gamma: float
    a: tuple[tuple[float, ...], ...]

    @property
    def b(self) -> tuple[float, ...]:
        """Weights of the slopes in the solution carried on, ``(s,)``."""
        return (*self.a[-1], self.gamma)

    @property
    def evaluations_per_step(self) -> int:
        """New evaluations that one attempt costs at least: one Newton iteration for every implicit stage."""
        return len(self.a)

    @property
    def stops_at_outputs(self) -> bool:
        """True: on a smooth solution of a very stiff equation the ends of a step are exact however long it is.

        The cubic between them is not, and nothing in the step would tell.
        """
        return True

    @property
    def measures_stiffness(self) -> bool:
        """False: what Newton's tolerance leaves of the difference of the last two stages is no measurement."""
        return False

    @property
    def stability_limit(self) -> float:
        """The whole negative axis is stable."""
        return math.inf

    @cached_property
    def matrix(self) -> NDArray[np.float64]:
        """The whole matrix of the tableau, ``(s, s)``."""
        stages = len(self.a) + 1
        matrix = np.zeros((stages, stages))
        for row, weights in enumerate(self.a, start=1):
            matrix[row, :row] = weights
            matrix[row, row] = self.gamma
        return matrix

    @cached_property
    def c(self) -> tuple[float, ...]:
        """Times of the stages in units of the step, ``(s,)``: the sums of the rows."""
        return tuple(float(time) for time in self.matrix.sum(axis=1))

    @cached_property
    def error(self) -> tuple[float, ...]:
        """Weights of the slopes in the error estimate, b − b̂, ``(s,)``."""
        return tuple(float(weight) for weight in self.matrix[-1] - self.matrix[-2])

    @cached_property
    def guesses(self) -> tuple[tuple[float, ...], ...]:
        """Row i: weights that extrapolate slopes 0 … i to the time of stage i + 1; ``s - 1`` rows."""
        return tuple(self._guess(stage) for stage in range(1, len(self.c)))

    def _guess(self, stage: int) -> tuple[float, ...]:
        """Lagrange weights of the polynomial through the known stages that are nearest in time."""
        nearest: list[int] = []
        for known in sorted(range(stage), key=lambda known: abs(self.c[known] - self.c[stage])):
            if len(nearest) < _GUESSED_FROM and all(abs(self.c[known] - self.c[other]) > 1e-9 for other in nearest):
                nearest.append(known)
        weights = [0.0] * stage
        for known in nearest:
            factors = [
                (self.c[stage] - self.c[other]) / (self.c[known] - self.c[other]) for other in nearest if other != known
            ]
            weights[known] = math.prod(factors)
        return tuple(weights)

    @cached_property
    def rows(self) -> tuple[tuple[float, ...], ...]:
        """All weights that one step needs: the rows of a, those of the guesses, then the error's."""
        return (*self.a, *self.guesses, self.error)

    @cached_property
    def stage_times(self) -> NDArray[np.float64]:
        """The times c as a column, ``(s, 1)``."""
        return np.array(self.c)[:, None]

    @cached_property
    def dense_matrix(self) -> NDArray[np.float64]:
        """The dense output's coefficients, ``(s, 3)``: the cubic through both states with both slopes."""
        return np.array(hermite(self.b))

    def amplification(self, z: complex) -> complex:
        """Stability function R(z): a step of size h of y' = λy multiplies y by R(hλ).

        It is the last entry of (I − z A)⁻¹ 1, because the last stage is the solution.
        """
        stages = len(self.c)
        return complex(np.linalg.solve(np.eye(stages) - z * self.matrix, np.ones(stages))[-1])


def _kvaerno_three() -> ImplicitTableau:
    # The root of 6γ³ − 18γ² + 9γ − 1 for which the solution of order 3 is L-stable.
    g = 0.43586652150845899942
    return ImplicitTableau(
        name="kvaerno3",
        order=3,
        gamma=g,
        a=(
            (g,),
            ((-4 * g**2 + 6 * g - 1) / (4 * g), (-2 * g + 1) / (4 * g)),
            ((6 * g - 1) / (12 * g), -1 / ((24 * g - 12) * g), (-6 * g**2 + 6 * g - 1) / (6 * g - 3)),
        ),
    )


KVAERNO_THREE = _kvaerno_three()

KVAERNO_FIVE = ImplicitTableau(
    name="kvaerno5",
    order=5,
    gamma=0.26,
    a=(
        (0.26,),
        (0.13, 0.84033320996790809),
        (0.22371961478320505, 0.47675532319799699, -0.06470895363112615),
        (0.16648564323248321, 0.10450018841591720, 0.03631482272098715, -0.13090704451073998),
        (0.13855640231268224, 0.0, -0.04245337201752043, 0.02446657898003141, 0.61943039072480676),
        (
            0.13659751177640291,
            0.0,
            -0.05496908796538376,
            -0.04118626728321046,
            0.62993304899016403,
            0.06962479448202728,
        ),
    ),
)

IMPLICIT_TABLEAUX = {pair.name: pair for pair in (KVAERNO_THREE, KVAERNO_FIVE)}
