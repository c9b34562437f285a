"""Embedded explicit Runge–Kutta pairs, and all pairs by their names.

Every pair here ends with a stage at the end of the step (first same as last), so that one step costs ``stages - 1``
evaluations and the next one begins with a slope already known. Heun–Euler gets that stage added.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sciml.learners.neural_ode.errors import IntegrationInputError
from sciml.learners.neural_ode.implicit_tableau import IMPLICIT_TABLEAUX, ImplicitTableau
from sciml.learners.neural_ode.tableau import Coefficients, Tableau, coefficients, columns, hermite

__all__ = [
    "BOGACKI_SHAMPINE",
    "DORMAND_PRINCE",
    "HEUN_EULER",
    "IMPLICIT_TABLEAUX",
    "TABLEAUX",
    "TSITOURAS",
    "Coefficients",
    "Pair",
    "Tableau",
    "coefficients",
    "tableau_named",
]

#: An explicit or an implicit pair.
Pair = Tableau | ImplicitTableau


def tableau_named(name: str) -> Pair:
    """Return the pair called ``name``.

    Raises
    ------
    IntegrationInputError
        If there is none; the message lists those there are.
    """
    known: dict[str, Pair] = {**TABLEAUX, **IMPLICIT_TABLEAUX}
    if name not in known:
        raise IntegrationInputError(
            f"method {name!r}: unknown; the methods are {', '.join(known)} and torchdiffeq:dopri5."
        )
    return known[name]


def _product(scale: float, *factors: tuple[float, ...]) -> NDArray[np.float64]:
    """Multiply polynomials given by their coefficients, constant term first."""
    out = np.array([scale])
    for factor in factors:
        out = np.convolve(out, factor)
    return out


def _tsitouras_dense() -> tuple[tuple[float, ...], ...]:
    return columns(
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
    cubic = np.array(hermite((*b, 0.0)))
    bumps = np.array(columns(*(_product(1.0, (0, 0, 1), (1, -2, 1), line) for line in lines)))
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
    dense=hermite((*_BOGACKI_SHAMPINE_B, 0.0)),
)

HEUN_EULER = Tableau(
    name="heun_euler",
    order=2,
    c=(0.0, 1.0, 1.0),
    a=((1.0,), (1 / 2, 1 / 2)),
    error=(-1 / 2, 1 / 2, 0.0),
    dense=hermite((1 / 2, 1 / 2, 0.0)),
)

TABLEAUX = {pair.name: pair for pair in (TSITOURAS, DORMAND_PRINCE, BOGACKI_SHAMPINE, HEUN_EULER)}
