"""What any solve returns, of an ordinary or a stochastic equation, as penalties and failures see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from torch import Tensor

if TYPE_CHECKING:
    from sciml.learners.neural_ode.solution import SolverStats

__all__ = ["Method", "Solved"]


class Method(Protocol):
    """A one-step method, as far as a penalty must know it."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def measures_stiffness(self) -> bool:
        """Whether a step yields the stiffness."""
        ...

    @property
    def stability_limit(self) -> float:
        """Largest stable step times the modulus of a real negative eigenvalue; NaN where it is not known."""
        ...


class Solved(Protocol):
    """Outputs, how every sample ended, and what every step measured."""

    @property
    def ys(self) -> Tensor:
        """States at the requested times, ``(M, B, *shape)``; NaN after the time that a failed sample reached."""
        ...

    @property
    def ts(self) -> Tensor:
        """Requested times, ``(M,)`` or ``(B, M)``, float64."""
        ...

    @property
    def stats(self) -> SolverStats:
        """Work and measurements."""
        ...

    @property
    def status(self) -> Tensor:
        """`SolverStatus` of every sample, ``(B,)``."""
        ...

    @property
    def reached(self) -> Tensor:
        """Time that every sample reached, ``(B,)``."""
        ...

    @property
    def tableau(self) -> Method:
        """The method."""
        ...

    @property
    def adjoint(self) -> str:
        """How gradients are computed."""
        ...
