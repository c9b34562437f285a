"""A column of soil cut into cells: finite volumes in space, and one implicit stage of any time stepping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pde_benchmarks.diffusion_sorption.freundlich import Freundlich
from pde_benchmarks.diffusion_sorption.tridiagonal import Tridiagonal
from pde_benchmarks.errors import ProblemError

__all__ = ["TYPICAL_RETARDATION", "Column", "RightSign"]

RightSign = Literal["generator", "printed"]
# R is between 5 and 3 for concentrations between 0.03 and 1.
TYPICAL_RETARDATION = 4.0
MOST_ITERATIONS = 50
# Largest change of a concentration by the last Newton step; the next one would be of the square of this.
SETTLED = 1e-9


@dataclass(frozen=True)
class Column:
    """∂τ m(u) = S (∂xx u)_h on n cells with u(0, τ) = g(τ) and u(1, τ) = ∓D ∂x u(1, τ), for a batch of columns.

    τ = t/T and S = T D. The second difference of neighbours, κ (g − u) in the first cell and −κ u in the last one stand
    for ∂xx u: a face's value and the centre's are half a cell apart, so that κ = 2/h² on the left and
    1/(h (h/2 ± D)) on the right.

    Parameters
    ----------
    law
        R and m.
    duration
        T.
    right_sign
        ``generator``: u = −D ∂x u at the right end; ``printed``: u = D ∂x u, which is ill-posed (a boundary mode grows
        as exp(t/(R D))) and stable only while a half cell is longer than D.
    initial
        u(·, 0) in the cells, ``(B, n)``.
    left
        g at the frames, ``(B, frames)``; a frame's value holds since the frame before it.
    diffusivity
        D, ``(B,)``.

    Raises
    ------
    ProblemError
        If the printed sign meets cells of h ≤ 2D.
    """

    law: Freundlich
    duration: float
    right_sign: RightSign
    initial: Tensor
    left: Tensor
    diffusivity: Tensor

    def __post_init__(self) -> None:
        if self.right_sign == "generator" or not len(self.diffusivity):
            return
        widest = float(self.diffusivity.detach().max())
        if self.width <= 2 * widest:
            raise ProblemError(
                f"right_sign=printed with diffusivity {widest:.3g} on {self.cells} cells: u = D ∂u/∂x is ill-posed at "
                f"the right end and blows up unless cells are wider than 2D = {2 * widest:.3g} (found "
                f"{self.width:.3g}): use right_sign=generator, or a lower resolution and refinement."
            )

    @property
    def cells(self) -> int:
        """n."""
        return self.initial.shape[-1]

    @property
    def width(self) -> float:
        """h."""
        return 1 / self.cells

    @property
    def frames(self) -> int:
        """Instants, the start included."""
        return self.left.shape[-1]

    @property
    def interval(self) -> float:
        """Δτ between two frames."""
        return 1 / (self.frames - 1)

    @property
    def rate(self) -> Tensor:
        """S, ``(B, 1)``."""
        return self.duration * self.diffusivity[:, None]

    @property
    def exchange(self) -> Tensor:
        """κ, ``(B, n)``: zero but in the first and the last cell."""
        h, D = self.width, self.diffusivity
        reach = h / 2 + D if self.right_sign == "generator" else h / 2 - D
        last = torch.nn.functional.pad((1 / (h * reach))[:, None], (self.cells - 1, 0))
        first = torch.nn.functional.pad(last.new_full((1,), 2 / h**2), (0, self.cells - 1))
        return first + last

    @property
    def inflow(self) -> Tensor:
        """κ g, ``(B, frames, n)``: zero but in the first cell."""
        return torch.nn.functional.pad(2 / self.width**2 * self.left[..., None], (0, self.cells - 1))

    def second_difference(self, u: Tensor) -> Tensor:
        """(u_{i−1} − 2u_i + u_{i+1})/h² along the last axis, no flux through the ends."""
        jumps = torch.nn.functional.pad(u.diff(dim=-1), (1, 1))
        return jumps.diff(dim=-1) / self.width**2

    @property
    def stiffness(self) -> Tensor:
        """The diagonal of (−∂xx)_h, ``(B, n)``."""
        neighbours = self.initial.new_full((self.cells,), 2)
        neighbours[0], neighbours[-1] = 1, 1
        return neighbours / self.width**2 + self.exchange

    def factors(self, retardation: Tensor, weight: Tensor) -> Tridiagonal:
        """R + weight · (−∂xx)_h, factorised; R ``(B, …, n)`` and weight ``(B, …, 1)``."""
        stiffness = self.stiffness.reshape(len(self.stiffness), *[1] * (retardation.ndim - 2), self.cells)
        beside = -weight / self.width**2
        return Tridiagonal(beside, retardation + weight * stiffness, beside)

    def stage(self, right: Tensor, weight: Tensor, guess: Tensor) -> Tensor:
        """u ``(B, n)`` with m(u) − weight · ((∂xx u)_h without inflow) = right, by Newton's method.

        As m is concave and the matrix R + weight · (−∂xx)_h has a positive inverse, the method converges from anywhere,
        from below after its first step (Baluev's theorem): no damping is needed.

        Raises
        ------
        ProblemError
            If a sample does not settle, which means that its data are not finite.
        """
        u, change = guess, torch.full_like(guess, torch.inf)
        for _ in range(MOST_ITERATIONS):
            if not bool((change.abs() > SETTLED * (1 + u.abs())).any()):
                break
            flow = self.second_difference(u) - self.exchange * u
            wrong = self.law.stored(u) - weight * flow - right
            change = self.factors(self.law.retardation(u), weight).solve(wrong)
            u = u - change
        unsettled = ~(change.abs() <= SETTLED * (1 + u.abs())).all(-1)
        if unsettled.any():
            raise ProblemError(
                f"diffusion-sorption: sample {int(unsettled.nonzero()[0])} of the batch does not settle in "
                f"{MOST_ITERATIONS} Newton steps: its initial or left values are not finite, or far from "
                "concentrations between 0 and 1."
            )
        return u
