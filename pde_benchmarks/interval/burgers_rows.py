"""Burgers' equation between two walls on a whole stretch of time: implicit midpoint rule, conservative differences."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.termwise import TermwiseResidual

__all__ = ["BurgersRows"]

SOLVED = 1e-12
MOST_ITERATIONS = 30


class BurgersRows(TermwiseResidual):
    """u_t + u u_x / 2 − D u_xx on frames × n points of [0, T] × [0, 1]; u − u₀ at the start and u at both walls.

    Row m > 0 at an inner node, with ū = (u_m + u_{m−1})/2: (u_m − u_{m−1})/Δt + ½ A ū δū − D δ²ū, where A is the mean
    of three neighbours, δ the central and δ² the second difference. A ū δū is the difference of the flux
    (ū_i² + ū_i ū_{i+1} + ū_{i+1}²)/6, and Σ ū A ū δū = 0 (Zabusky & Kruskal 1965), so that Σ u² loses what viscosity
    takes and nothing else. Second order in Δt and h; units: T and a typical velocity V. Terms: the linear part L u,
    ½ A ū and δū; G is L u + ½ A ū δū minus u₀ at the start.

    Parameters
    ----------
    initial
        u₀, ``(B, n)``.
    frames
        Number of instants, the initial one included.
    step
        Δt.
    diffusivity
        D.
    typical
        V.

    Examples
    --------
    >>> x = torch.linspace(0, 1, 17, dtype=torch.float64)
    >>> rows = BurgersRows(torch.sin(torch.pi * x)[None], frames=5, step=0.1, diffusivity=0.01, typical=1.0)
    >>> bool(rows.rows(rows.solution()).abs().max() < 1e-12)
    True
    """

    def __init__(self, initial: Tensor, frames: int, step: float, diffusivity: float, typical: float) -> None:
        points = initial.shape[-1]
        self.step, self.diffusivity, self.typical = step, diffusivity, typical
        self.duration, self.width = (frames - 1) * step, 1 / (points - 1)
        self.shape = (frames, points)
        self.parameters = (torch.nn.functional.pad((initial / typical)[:, None], (0, 0, 0, frames - 1)),)
        self.global_rows = torch.zeros(self.shape, dtype=torch.bool, device=initial.device)
        self.global_rows[0] = True
        self.global_rows[:, [0, -1]] = True

    def terms(self, fields: Tensor) -> Tensor:
        """L u, T ½ A ū and δū / V, ``(*leading, B, 3, *shape)``; u / V and zeros at the start and at the walls."""
        after, before = fields[..., 1:, :], fields[..., :-1, :]
        mean, slope, curvature = self._differences((after + before) / 2)
        change = (after - before)[..., 1:-1] / self.step
        linear = (change - self.diffusivity * curvature) * (self.duration / self.typical)
        given = fields / self.typical
        later = torch.cat([given[..., 1:, :1], linear, given[..., 1:, -1:]], -1)
        products = torch.stack([mean * (self.duration / 2), slope / self.typical], -3)
        whole = torch.cat([given[..., :1, :], later], -2).unsqueeze(-3)
        return torch.cat([whole, torch.nn.functional.pad(products, (1, 1, 1, 0))], -3)

    def combine(self, terms: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
        """L u + ½ A ū δū, minus u₀ at the start."""
        linear, mean, slope = terms.unbind(-3)
        return linear + mean * slope - parameters[0]

    @property
    def carrier_parameters(self) -> tuple[Tensor, ...]:
        """None: the carrier knows of the initial field only through the field that it is taken about."""
        return ()

    def carrier(self, about: Tensor) -> Callable[[Tensor], Tensor]:
        """The exact inverse of the rows linearised about a field: implicit steps, one dense factor a frame."""
        with torch.no_grad():
            factors = torch.linalg.lu_factor_ex(self._matrices((about[:, 1:] + about[:, :-1]) / 2))[:2]
        return lambda rows: self._carried(rows, *factors)

    def _carried(self, rows: Tensor, factors: Tensor, pivots: Tensor) -> Tensor:
        # Systems first, right-hand sides as columns: (B, F, n, leading).
        count = math.prod(rows.shape[:-3])
        sources = rows.reshape(count, *rows.shape[-3:]).permute(1, 2, 3, 0) * self.typical
        errors = [sources[:, 0]]
        for frame in range(1, self.shape[0]):
            before, source = errors[-1], sources[:, frame]
            inner = source[:, 1:-1] / self.duration + 2 / self.step * before[:, 1:-1]
            # At a wall the new error is the row itself: ē = (e_m + e_{m−1}) / 2.
            walls = (source + before) / 2
            right = torch.cat([walls[:, :1], inner, walls[:, -1:]], 1)
            middle = torch.linalg.lu_solve(factors[:, frame - 1], pivots[:, frame - 1], right)
            errors.append(2 * middle - before)
        return torch.stack(errors, 1).permute(3, 0, 1, 2).reshape(rows.shape)

    @torch.no_grad()
    def solution(self) -> Tensor:
        """The field ``(B, *shape)`` of which all rows vanish, by Newton's method in every step.

        Raises
        ------
        ProblemError
            If a step does not converge; the sample and the frame are named.
        """
        frames = [self.parameters[0][:, 0] * self.typical]
        for frame in range(1, self.shape[0]):
            frames.append(2 * self._middle(frames[-1], frame) - frames[-1])
        return torch.stack(frames, 1)

    def _middle(self, before: Tensor, frame: int) -> Tensor:
        """ū with (2/Δt) (ū − u_{m−1}) + ½ A ū δū − D δ²ū = 0 inside, and u_m = 0 at the walls."""
        x = before
        for _ in range(MOST_ITERATIONS):
            mean, slope, curvature = self._differences(x)
            inner = 2 / self.step * (x - before)[:, 1:-1] + mean * slope / 2 - self.diffusivity * curvature
            walls = x - before / 2
            defect = torch.cat([walls[:, :1], inner, walls[:, -1:]], 1)
            change = torch.linalg.solve_ex(self._matrices(x), defect)[0]
            x = x - change
            settled = change.abs().amax(1) <= SOLVED * self.typical + SOLVED * before.abs().amax(1)
            if bool(settled.all()):
                return x
        raise ProblemError(
            f"burgers-space-time: the implicit step to frame {frame} does not converge for sample "
            f"{int((~settled).nonzero()[0])}: is it finite, and are the frames close enough? Set frames higher."
        )

    def _differences(self, middle: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A, δ and δ² at the inner nodes."""
        left, here, right = middle[..., :-2], middle[..., 1:-1], middle[..., 2:]
        return (left + here + right) / 3, (right - left) / (2 * self.width), (right - 2 * here + left) / self.width**2

    def _matrices(self, middle: Tensor) -> Tensor:
        """Derivative of an implicit step at ū ``(…, n)``: ``(…, n, n)``, tridiagonal, one at the walls."""
        mean, slope, _ = self._differences(middle)
        diffusion = self.diffusivity / self.width**2
        across = mean / (4 * self.width)
        centre = 2 / self.step + 2 * diffusion + slope / 6
        one, zero = torch.ones_like(middle[..., :1]), torch.zeros_like(middle[..., :1])
        diagonal = torch.cat([one, centre, one], -1)
        above = torch.cat([zero, slope / 6 + across - diffusion], -1)
        below = torch.cat([slope / 6 - across - diffusion, zero], -1)
        return diagonal.diag_embed() + above.diag_embed(1) + below.diag_embed(-1)
