"""The coefficients of a cycle over blocks of cells, level by level."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol

import torch
from torch import Tensor

from solvers.errors import ShapeError, ToleranceError
from solvers.multigrid.aggregation_graph import CellGraph

__all__ = ["GALERKIN", "HAND_TUNED", "TEXTBOOK", "CoefficientRule", "CycleCoefficients", "LevelCoefficients"]


@dataclass(frozen=True, eq=False)
class LevelCoefficients:
    """How one level is relaxed, and how the next coarser one is made: numbers, or fields.

    Any ω in (0, 2) and any positive values of the others leave the cycle symmetric positive definite.

    Parameters
    ----------
    omega_red, omega_black
        Relaxation factors of cells with an even and an odd index sum, ``(batch, *grid)``.
    fine, coarse
        P = diag(fine) P₀ diag(coarse) with P₀ the copy to the cells of a block: ``(batch, *grid)`` and
        ``(batch, *coarse grid)``.
    link, mass
        Factors on the sums of links, ``(batch, d, *coarse grid)`` (entry k: to the next block along axis k), and of
        mass, ``(batch, *coarse grid)``. One is the Galerkin matrix P₀ᵀ A P₀, which is too stiff: a copy has larger
        energy than a smooth function. One half is the usual over-correction (Braess 1995).

    Shapes are those against which a tensor broadcasts: a number for each axis is ``(d, 1, …, 1)``.
    """

    omega_red: float | Tensor = 1.0
    omega_black: float | Tensor = 1.0
    fine: float | Tensor = 1.0
    coarse: float | Tensor = 1.0
    link: float | Tensor = 1.0
    mass: float | Tensor = 1.0

    def check(self, level: int) -> None:
        """Raise unless every ω is in (0, 2) and everything else positive and finite.

        Raises
        ------
        ToleranceError
            Names the coefficient, its level and the first wrong value.
        """
        for each in fields(self):
            value = torch.as_tensor(getattr(self, each.name), dtype=torch.float64).detach()
            top = 2.0 if each.name.startswith("omega") else torch.inf
            wrong = ~((value > 0) & (value < top))
            if bool(wrong.any()):
                found, wanted = float(value[wrong].reshape(-1)[0]), "(0, 2)" if top == 2 else "(0, inf)"
                raise ToleranceError(
                    f"{each.name} = {found:g} on level {level}: the cycle is positive definite for values in {wanted}"
                )

    def on(self, fine: CellGraph, coarse: CellGraph, level: int) -> tuple[Tensor, ...]:
        """All coefficients as tensors of the graphs' dtype, in the order of the fields.

        Raises
        ------
        ShapeError
            A field is for another grid.
        """
        shapes = [fine.mass.shape] * 3 + [coarse.mass.shape, coarse.links.shape, coarse.mass.shape]
        tensors = []
        for each, shape in zip(fields(self), shapes, strict=True):
            given = getattr(self, each.name)
            value = given.to(fine.mass.dtype) if isinstance(given, Tensor) else fine.mass.new_tensor(given)
            if not _fits(value.shape, shape):
                raise ShapeError(
                    f"{each.name} {tuple(value.shape)} on level {level}: expected a number or a field that broadcasts "
                    f"against {tuple(shape)}; numbers serve levels of every size"
                )
            tensors.append(value)
        return tuple(tensors)


class CoefficientRule(Protocol):
    """Chooses the coefficients of one level from the two graphs it joins."""

    def __call__(self, level: int, fine: CellGraph, coarse: CellGraph) -> LevelCoefficients:
        """The coefficients of `level`; `coarse` holds the plain sums, before the factors that are asked for."""


@dataclass(frozen=True, eq=False)
class CycleCoefficients:
    """The same coefficients whatever the operator: one set a level, finest first; deeper levels take the last one.

    Examples
    --------
    >>> CycleCoefficients((LevelCoefficients(link=0.5, mass=0.5),)).levels[0].link
    0.5
    """

    levels: tuple[LevelCoefficients, ...]

    def __post_init__(self) -> None:
        if not self.levels:
            raise ShapeError("CycleCoefficients of no level: expected at least one, which deeper levels share")

    def __call__(self, level: int, fine: CellGraph, coarse: CellGraph) -> LevelCoefficients:
        return self.levels[min(level, len(self.levels) - 1)]


#: The coarse matrices are P₀ᵀ A P₀: too stiff, the slowest of the three.
GALERKIN = CycleCoefficients((LevelCoefficients(),))
#: Half of that, because copies of a smooth function have twice its energy (Braess 1995).
TEXTBOOK = CycleCoefficients((LevelCoefficients(link=0.5, mass=0.5),))
#: Found by a search over masks in three dimensions.
HAND_TUNED = CycleCoefficients((LevelCoefficients(omega_red=1.15, omega_black=1.15, link=0.45, mass=0.6),))


def _fits(shape: torch.Size, wanted: torch.Size) -> bool:
    """Whether a tensor of this shape broadcasts to the wanted one."""
    tail = wanted[len(wanted) - len(shape) :] if len(shape) <= len(wanted) else ()
    return len(tail) == len(shape) and all(n in (1, m) for n, m in zip(shape, tail, strict=True))
