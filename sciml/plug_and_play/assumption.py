"""A condition of a theorem, and whether it was met."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Assumption"]


@dataclass(frozen=True)
class Assumption:
    """One condition under which an iteration is proven to do what it promises.

    Attributes
    ----------
    statement
        The condition, with its numbers.
    met
        Whether it holds here; False also where it is not known to hold.
    """

    statement: str
    met: bool

    def __str__(self) -> str:
        return f"{self.statement}: {'yes' if self.met else 'no'}"
