"""Which problems can be followed in time: one state, given at the beginning and asked for later."""

from __future__ import annotations

from dataclasses import dataclass

from pde_benchmarks.problem import Complex, FieldSpec, Grid, Problem, RecordedProblem, Scalars, Times

__all__ = ["FollowedState", "followed_state"]


@dataclass(frozen=True)
class FollowedState:
    """The state of a problem, and when it is asked for.

    Attributes
    ----------
    initial, later
        The input field and the output field.
    grid
        Where the state lives; None for plain numbers.
    instants
        Times of the outputs in the problem's unit, without the initial 0; ``(1.0,)`` where the problem names none.
    timed
        Whether outputs have an axis of times.
    """

    initial: FieldSpec
    later: FieldSpec
    grid: Grid | None
    instants: tuple[float, ...]
    timed: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one state, ``(channels, *grid)``."""
        return (self.initial.channels, *(self.grid.shape if self.grid is not None else ()))


def followed_state(problem: Problem) -> FollowedState | str:
    """What is followed in time, or one sentence that says why nothing can be.

    Examples
    --------
    >>> from pde_benchmarks import Darcy
    >>> from pde_benchmarks.burgers import Burgers
    >>> followed_state(Burgers(resolution=64)).shape
    (1, 64)
    >>> followed_state(Darcy())
    "it follows a state in time, and 'coefficient' is no initial state of 'solution' (its name would say initial)."
    """
    if len(problem.inputs) != 1 or len(problem.outputs) != 1:
        return (
            f"it follows one state in time, and this problem has {len(problem.inputs)} input fields and "
            f"{len(problem.outputs)} output fields."
        )
    (first,), (last,) = problem.inputs, problem.outputs
    if not first.name.startswith("initial") and not isinstance(problem, RecordedProblem):
        return (
            f"it follows a state in time, and {first.name!r} is no initial state of {last.name!r} "
            "(its name would say initial)."
        )
    support = last.support.support if isinstance(last.support, Times) else last.support
    if not isinstance(first.support, Grid | Scalars):
        return f"it follows states on a uniform grid or plain numbers, not on {type(first.support).__name__}."
    if first.support != support or first.channels != last.channels:
        return f"{first.name!r} and {last.name!r} must have the same channels on the same grid, as one state in time."
    if isinstance(first.kind, Complex) or isinstance(last.kind, Complex):
        return "it follows real states; give real and imaginary part as two channels."
    grid = first.support if isinstance(first.support, Grid) else None
    if grid is not None and not 1 <= grid.dim <= 3:
        return f"it follows fields on grids of one to three axes, not {grid.dim}."
    if not isinstance(last.support, Times):
        return FollowedState(first, last, grid, (1.0,), timed=False)
    if not last.support.grid or not _increasing(last.support.grid):
        return f"the instants of {last.name!r} must increase from a first one after 0."
    return FollowedState(first, last, grid, last.support.grid, timed=True)


def _increasing(instants: tuple[float, ...]) -> bool:
    return all(a < b for a, b in zip((0.0, *instants), instants, strict=False))
