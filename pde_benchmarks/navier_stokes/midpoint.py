"""The vorticity equation on a whole stretch of time: implicit midpoint rule in time, Fourier series in space."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.navier_stokes.frozen_flow import FrozenFlow, Waves
from pde_benchmarks.termwise import TermwiseResidual

__all__ = ["VorticityRows"]

CARRIED_FREQUENCY = 8.0
CARRIED_TOLERANCE = 0.05
STEP_TOLERANCE = 1e-3
SOLVED = 1e-10
MOST_ITERATIONS = 30


class VorticityRows(TermwiseResidual):
    """∂w/∂t + u·∇w − ν Δw on frames × n × n points of the periodic unit square, and w − w₀ at the first frame.

    Row m > 0 is the implicit midpoint rule: (w_m − w_{m−1})/Δt + ū·∇w̄ − ν Δw̄ with w̄ = (w_m + w_{m−1})/2, of second
    order in Δt; space is spectral. Units: the duration T = (frames − 1) Δt, a typical vorticity W. Terms: the linear
    part L w, u, v, ∂w/∂x and ∂w/∂y of w̄; G = L w + u ∂w/∂x + v ∂w/∂y − w₀ δ_{m0}. The mean of row m is that of
    (w_m − w_{m−1})/Δt, for every field: advection conserves the mean on the grid.

    Parameters
    ----------
    initial
        w₀, ``(B, n, n)``.
    frames
        Number of instants, the initial one included.
    step
        Δt.
    viscosity
        ν.
    typical
        W.
    carried_points
        Points per axis of the grid whose waves the carrier moves with the flow.

    Examples
    --------
    >>> wave = torch.sin(2 * torch.pi * torch.arange(8, dtype=torch.float64) / 8).expand(1, 8, 8)
    >>> rows = VorticityRows(wave, frames=4, step=0.1, viscosity=0.01, typical=1.0, carried_points=8)
    >>> bool(rows.rows(rows.solution()).abs().max() < 1e-9)
    True
    """

    def __init__(
        self, initial: Tensor, frames: int, step: float, viscosity: float, typical: float, carried_points: int
    ) -> None:
        self.step, self.typical, self.duration = step, typical, (frames - 1) * step
        self.waves = Waves(initial.shape[-1], initial)
        self.carried_points = carried_points
        self.viscosity = viscosity
        self.shape = (frames, *initial.shape[1:])
        first = (initial / typical)[:, None]
        self.parameters = (torch.cat([first, initial.new_zeros((len(initial), frames - 1, *self.shape[1:]))], 1),)
        self.global_rows = torch.zeros(self.shape, dtype=torch.bool, device=initial.device)
        self.global_rows[0] = True

    def terms(self, fields: Tensor) -> Tensor:
        """L w, T u, T v, ∂w/∂x / W and ∂w/∂y / W, ``(*leading, B, 5, *shape)``; the first frame holds w / W alone."""
        spectrum = self.waves.spectrum(fields)
        after, before = spectrum[..., 1:, :, :], spectrum[..., :-1, :, :]
        middle = (after + before) / 2
        linear = self.waves.field((after - before) / self.step + self.viscosity * self.waves.squares * middle) * (
            self.duration / self.typical
        )
        units = fields.new_tensor([self.duration, self.duration, 1 / self.typical, 1 / self.typical])
        flow = self.waves.flow(middle).movedim(-3, -4) * units[:, None, None, None]
        later = torch.cat([linear.unsqueeze(-4), flow], -4)
        first = torch.nn.functional.pad((fields[..., :1, :, :] / self.typical).unsqueeze(-4), (0,) * 6 + (0, 4))
        return torch.cat([first, later], -3)

    def combine(self, terms: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
        """L w + u ∂w/∂x + v ∂w/∂y − w₀ at the first frame."""
        linear, u, v, along, across = terms.unbind(-4)
        return linear + u * along + v * across - parameters[0]

    @property
    def carrier_parameters(self) -> tuple[Tensor, ...]:
        """None: the carrier knows of the initial field only through the field that it is taken about."""
        return ()

    def carrier(self, about: Tensor) -> Callable[[Tensor], Tensor]:
        """Implicit midpoint steps of the equation linearised about a flow, its advection by Chebyshev sweeps to 5 %.

        Only the waves of a grid of `carried_points` are moved, and only by flows so slow that the sweeps settle soon.
        The others decay faster the faster the flow is (as if it mixed them): so the map is bounded about any field, and
        corrections do not grow. It is the exact inverse about a flow at rest, where no wave is moved.
        """
        coarse = Waves(self.carried_points, about)
        spectrum = coarse.resampled(self.waves.spectrum(about.detach()))
        flow = coarse.flow((spectrum[..., 1:, :, :] + spectrum[..., :-1, :, :]) / 2)
        diagonal = 2 / self.step + self.viscosity * coarse.squares
        frozen = FrozenFlow.about(coarse, flow, diagonal, CARRIED_FREQUENCY)
        sweeps = frozen.sweeps(CARRIED_TOLERANCE)
        return lambda rows: self._carried(rows, frozen, sweeps)

    def _carried(self, rows: Tensor, frozen: FrozenFlow, sweeps: int) -> Tensor:
        sources = self.waves.spectrum(rows)
        errors = [sources[..., 0, :, :] * self.typical]
        decay, twice = self.viscosity * self.waves.squares, 2 / self.step
        for frame in range(1, self.shape[0]):
            before, flow = errors[-1], frozen.at(frame - 1)
            source = sources[..., frame, :, :] * (self.typical / self.duration)
            mixing = 4 * flow.speed * self.waves.largest
            still = (2 * source + (twice - decay) * before) / (twice + decay + mixing)
            start = frozen.waves.resampled(before)
            middle = flow.solve(frozen.waves.resampled(source) + twice * start, start, sweeps)
            moved = self.waves.resampled((2 * middle - start) * flow.carried)
            errors.append(torch.where(self.waves.resampled(flow.carried) > 0, moved, still))
        return self.waves.field(torch.stack(errors, -3))

    @torch.no_grad()
    def solution(self) -> Tensor:
        """The field ``(B, *shape)`` of which all rows vanish, to 1e-10 relative in every step.

        Raises
        ------
        ProblemError
            If a step does not converge; the sample and the frame are named.
        """
        frames = [self.waves.spectrum(self.parameters[0][:, 0] * self.typical)]
        for frame in range(1, self.shape[0]):
            frames.append(2 * self._middle(frames[-1], frame) - frames[-1])
        return self.waves.field(torch.stack(frames, 1))

    def _middle(self, before: Tensor, frame: int) -> Tensor:
        """w̄ with (2/Δt + ν|k|²) w̄ + ū·∇w̄ = (2/Δt) w_{m−1}, by Newton's method with inexact inner solves."""
        diagonal = 2 / self.step + self.viscosity * self.waves.squares
        x, size = before, before.abs().square().sum((-2, -1)).sqrt()
        for _ in range(MOST_ITERATIONS):
            flow = self.waves.flow(x)
            product = flow[:, 0] * flow[:, 2] + flow[:, 1] * flow[:, 3]
            defect = 2 / self.step * before - self.waves.spectrum(product) - diagonal * x
            frozen = FrozenFlow.about(self.waves, flow, diagonal)
            change = frozen.solve(defect, torch.zeros_like(x), frozen.sweeps(STEP_TOLERANCE))
            x = x + change
            left = change.abs().square().sum((-2, -1)).sqrt()
            if bool((left <= SOLVED * size).all()):
                return x
        sample = int((~(left <= SOLVED * size)).nonzero()[0])
        raise ProblemError(
            f"navier-stokes-decay: the implicit step to frame {frame} does not converge for sample {sample}: the flow "
            "is too fast for the time between two frames; set duration lower, or frames higher."
        )
