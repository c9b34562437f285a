"""A load that grows in increments, halved where the solver fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pde_benchmarks.elasticity.newton import LoadedBody
from pde_benchmarks.elasticity.plasticity import PlasticState, Response
from pde_benchmarks.errors import ProblemError
from solvers import Status

__all__ = ["Equilibrium", "LoadPath"]

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Equilibrium:
    """What was found at the end of a load path.

    Attributes
    ----------
    displacements
        ``(size,)`` at rest and at the end of every increment that was solved, the components of a node side by side.
    shares
        Of the load, at each of them: from 0 to 1, unless the solver failed.
    responses
        Stresses, tangents and state at the quadrature points, at each of them.
    status
        `Status.CONVERGED`, or how the last increment failed.
    residuals
        For every increment the relative forces out of balance before its first step and after each.
    """

    displacements: tuple[Array, ...]
    shares: tuple[float, ...]
    responses: tuple[Response, ...]
    status: Status
    residuals: tuple[tuple[float, ...], ...]

    @property
    def displacement(self) -> Array:
        """The last of them, ``(size,)``."""
        return self.displacements[-1]

    @property
    def response(self) -> Response:
        """The last of them."""
        return self.responses[-1]

    @property
    def share(self) -> float:
        """Of the load, that is carried in the end."""
        return self.shares[-1]

    def at(self, share: float) -> Equilibrium:
        """The path up to a share of the load at which an increment ended; the history of the solver is all of it.

        Raises
        ------
        ProblemError
            No increment ended there.
        """
        if share not in self.shares:
            raise ProblemError(
                f"no increment ended at the share {share:g} of the load: expected one of "
                f"{', '.join(f'{known:g}' for known in self.shares)}; name it in the path's levels."
            )
        end = self.shares.index(share) + 1
        before = self.displacements[:end], self.shares[:end], self.responses[:end]
        return Equilibrium(*before, self.status, self.residuals)

    @property
    def iterations(self) -> int:
        """Linear solves in all increments, those included that failed."""
        return sum(len(history) - 1 for history in self.residuals)


@dataclass(frozen=True)
class LoadPath:
    """How the load grows, and how each of its increments is solved.

    Parameters
    ----------
    levels
        Shares of the load, rising, the last one 1. The state at the end of an increment follows from that at its
        beginning by one implicit step, so that solutions depend on the levels a little.
    rtol, max_iterations
        As in `LoadedBody.increment`.
    max_halvings
        How often an increment that was not solved may be halved.

    Raises
    ------
    ProblemError
        Levels that do not rise to 1, or limits out of range.

    Examples
    --------
    >>> LoadPath((0.5, 1.0)).levels
    (0.5, 1.0)
    """

    levels: tuple[float, ...] = (0.5, 0.75, 1.0)
    rtol: float = 1e-8
    max_iterations: int = 20
    max_halvings: int = 6

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in zip((0.0, *self.levels), self.levels, strict=False))
        if not (rising and self.levels and self.levels[-1] == 1.0):
            raise ProblemError(f"load levels {self.levels}: expected rising shares of the load, the last one 1.")
        if not (0 < self.rtol < 1 and self.max_iterations >= 1 and self.max_halvings >= 0):
            raise ProblemError(f"{self}: expected 0 < rtol < 1, max_iterations ≥ 1 and max_halvings ≥ 0.")

    def follow(self, loaded: LoadedBody) -> Equilibrium:
        """Load a body that never yielded before."""
        count, zero = loaded.body.point_count, np.zeros_like(loaded.load)
        responses = [loaded.material.response(np.zeros((count, 3)), PlasticState.virgin(count))]
        solved, shares, histories = [zero], [0.0], []
        pending, halvings, status = list(self.levels), self.max_halvings, Status.CONVERGED
        while pending and status == Status.CONVERGED:
            guess = _continued(solved, shares, pending[0])
            made = loaded.increment(guess, responses[-1].state, pending[0], self.rtol, self.max_iterations)
            histories.append(made.history)
            if made.status == Status.CONVERGED:
                responses.append(made.balance.response)
                solved.append(made.balance.displacement)
                shares.append(pending.pop(0))
            elif halvings:
                pending.insert(0, 0.5 * (shares[-1] + pending[0]))
                halvings -= 1
            else:
                status = made.status
        return Equilibrium(tuple(solved), tuple(shares), tuple(responses), status, tuple(histories))


def _continued(solved: list[Array], shares: list[float], target: float) -> Array:
    """Displacements that go on as they went before: the solution, as long as everything is elastic."""
    if len(solved) == 1:
        return solved[0]
    pace = (target - shares[-1]) / (shares[-1] - shares[-2])
    return solved[-1] + pace * (solved[-1] - solved[-2])
