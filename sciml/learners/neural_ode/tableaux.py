"""Embedded Runge–Kutta pairs: their coefficients, their dense output and their limit of stability.

Every pair here ends with a stage at the end of the step (first same as last), so that one step costs ``stages - 1``
evaluations and the next one begins with a slope already known. Heun–Euler gets that stage added.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sciml.learners.neural_ode.errors import IntegrationInputError

__all__ = ["BOGACKI_SHAMPINE", "DORMAND_PRINCE", "HEUN_EULER", "TABLEAUX", "TSITOURAS", "Coefficients", "Tableau"]


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


class Coefficients(NamedTuple):
    """A tableau's weights in one row ``(1, ...)`` of one dtype on one device: all rows of a, then the error's."""

    weights: Tensor
    sizes: tuple[int, ...]


@lru_cache(maxsize=64)
def coefficients(tableau: Tableau, dtype: torch.dtype, device: torch.device) -> Coefficients:
    """Return the tableau's weights as a tensor, converted once for every dtype and device."""
    rows = (*tableau.a, tableau.error)
    weights = torch.tensor([[value for row in rows for value in row]], dtype=dtype, device=device)
    return Coefficients(weights, tuple(len(row) for row in rows))


def tableau_named(name: str) -> Tableau:
    """Return the pair called ``name``.

    Raises
    ------
    IntegrationInputError
        If there is none; the message lists those there are.
    """
    if name not in TABLEAUX:
        raise IntegrationInputError(
            f"method {name!r}: unknown; the methods are {', '.join(TABLEAUX)} and torchdiffeq:dopri5."
        )
    return TABLEAUX[name]


def _columns(*polynomials: NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    """Drop the constant terms (all zero) and make the lengths equal."""
    longest = max(len(polynomial) for polynomial in polynomials)
    padded = [np.pad(polynomial, (0, longest - len(polynomial))) for polynomial in polynomials]
    return tuple(tuple(float(value) for value in polynomial[1:]) for polynomial in padded)


def _product(scale: float, *factors: tuple[float, ...]) -> NDArray[np.float64]:
    """Multiply polynomials given by their coefficients, constant term first."""
    out = np.array([scale])
    for factor in factors:
        out = np.convolve(out, factor)
    return out


def _hermite(b: tuple[float, ...]) -> tuple[tuple[float, ...], ...]:
    """Cubic through both states with both slopes: the dense output of a pair that brings none of its own."""
    rise, start, end = np.array([0, 0, 3, -2.0]), np.array([0, 1, -2, 1.0]), np.array([0, 0, -1, 1.0])
    weights = [weight * rise for weight in b]
    weights[0] = weights[0] + start
    return _columns(*weights, end)


def _tsitouras_dense() -> tuple[tuple[float, ...], ...]:
    return _columns(
        _product(
            -1.0530884977290216,
            (0, 1),
            (-1.3299890189751412, 1),
            (0.7139816917074209, -1.4364028541716351, 1),
        ),
        _product(0.1017, (0, 0, 1), (1.2949852507374631, -2.1966568338249754, 1)),
        _product(2.490627285651252793, (0, 0, 1), (1.57803468208092486, -2.38535645472061657, 1)),
        _product(-16.54810288924490272, (0, 0, 1), (-1.21712927295533244, 1), (-0.61620406037800089, 1)),
        _product(47.37952196281928122, (0, 0, 1), (-1.203071208372362603, 1), (-0.658047292653547382, 1)),
        _product(-34.87065786149660974, (0, 0, 1), (-1.2, 1), (-2 / 3, 1)),
        _product(2.5, (0, 0, 1), (-1, 1), (-0.6, 1)),
    )


def _dormand_prince_dense(b: tuple[float, ...]) -> tuple[tuple[float, ...], ...]:
    """The quartic of Hairer, Nørsett & Wanner (Solving ODEs I, II.6): Hermite plus x²(1 − x)² times a line."""
    lines = (
        (-5 * 2558722523 / 11282082432, 5 * 31403016 / 11282082432),
        (0.0, 0.0),
        (100 * 882725551 / 32700410799, -100 * 15701508 / 32700410799),
        (-25 * 443332067 / 1880347072, 25 * 31403016 / 1880347072),
        (32805 * 23143187 / 199316789632, -32805 * 3489224 / 199316789632),
        (-55 * 29972135 / 822651844, 55 * 7076736 / 822651844),
        (10 * 7414447 / 29380423, -10 * 829305 / 29380423),
    )
    cubic = np.array(_hermite(b))
    bumps = np.array(_columns(*(_product(1.0, (0, 0, 1), (1, -2, 1), line) for line in lines)))
    bumps[:, : cubic.shape[1]] += cubic
    return tuple(tuple(float(value) for value in row) for row in bumps)


# Tsitouras, Computers & Mathematics with Applications 62 (2011) 770.
_TSITOURAS_B = (
    0.09646076681806523,
    0.01,
    0.4798896504144996,
    1.379008574103742,
    -3.290069515436081,
    2.324710524099774,
)
TSITOURAS = Tableau(
    name="tsit5",
    order=5,
    c=(0.0, 0.161, 0.327, 0.9, 0.9800255409045097, 1.0, 1.0),
    a=(
        (0.161,),
        (-0.008480655492356989, 0.335480655492357),
        (2.8971530571054935, -6.359448489975075, 4.3622954328695815),
        (5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525),
        (5.86145544294642, -12.92096931784711, 8.159367898576159, -0.071584973281401, -0.02826905039406838),
        _TSITOURAS_B,
    ),
    error=(
        -0.00178001105222577714,
        -0.0008164344596567469,
        0.007880878010261995,
        -0.1447110071732629,
        0.5823571654525552,
        -0.45808210592918697,
        1 / 66,
    ),
    dense=_tsitouras_dense(),
)

# Dormand & Prince, Journal of Computational and Applied Mathematics 6 (1980) 19.
_DORMAND_PRINCE_B = (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84)
DORMAND_PRINCE = Tableau(
    name="dopri5",
    order=5,
    c=(0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0),
    a=(
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        _DORMAND_PRINCE_B,
    ),
    error=(71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40),
    dense=_dormand_prince_dense(_DORMAND_PRINCE_B),
)

# Bogacki & Shampine, Applied Mathematics Letters 2 (1989) 321.
_BOGACKI_SHAMPINE_B = (2 / 9, 1 / 3, 4 / 9)
BOGACKI_SHAMPINE = Tableau(
    name="bs3",
    order=3,
    c=(0.0, 1 / 2, 3 / 4, 1.0),
    a=((1 / 2,), (0.0, 3 / 4), _BOGACKI_SHAMPINE_B),
    error=(2 / 9 - 7 / 24, 1 / 3 - 1 / 4, 4 / 9 - 1 / 3, -1 / 8),
    dense=_hermite(_BOGACKI_SHAMPINE_B),
)

HEUN_EULER = Tableau(
    name="heun_euler",
    order=2,
    c=(0.0, 1.0, 1.0),
    a=((1.0,), (1 / 2, 1 / 2)),
    error=(-1 / 2, 1 / 2, 0.0),
    dense=_hermite((1 / 2, 1 / 2)),
)

TABLEAUX = {pair.name: pair for pair in (TSITOURAS, DORMAND_PRINCE, BOGACKI_SHAMPINE, HEUN_EULER)}
