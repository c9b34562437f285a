"""The linearised vorticity equation about a frozen flow: implicit in viscosity, its advection by Chebyshev sweeps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pde_benchmarks.navier_stokes.fourier import inverse_squares, wave_vectors

__all__ = ["FrozenFlow", "Waves"]

MOST_SWEEPS = 200


class Waves:
    """Spectra ``(…, n, n // 2 + 1)`` of periodic fields ``(…, n, n)`` and what acts on them wave by wave.

    Parameters
    ----------
    points
        n.
    like
        Real tensor that gives dtype and device.
    """

    def __init__(self, points: int, like: Tensor) -> None:
        self.points = points
        k_x, k_y = wave_vectors(points, like)
        self.squares = k_x**2 + k_y**2
        # The points do not tell the phase of the Nyquist wave: its derivatives and its velocity are left out.
        seen = ((k_x.abs() < math.pi * points) & (k_y < math.pi * points)).to(like.dtype)
        self.largest = torch.maximum(k_x.abs(), k_y) * seen
        inverse = inverse_squares(k_x, k_y) * seen
        self.derivatives = torch.stack(
            [1j * k_y * inverse, -1j * k_x * inverse, 1j * k_x * seen, 1j * k_y * seen.expand_as(inverse)]
        )

    def spectrum(self, field: Tensor) -> Tensor:
        """Of real fields."""
        if not field.numel():  # an empty batch has no transform
            return field.new_zeros((*field.shape[:-1], self.points // 2 + 1), dtype=field.dtype.to_complex())
        return torch.fft.rfft2(field)

    def field(self, spectrum: Tensor) -> Tensor:
        """The real field of a spectrum."""
        if not spectrum.numel():
            return spectrum.real.new_zeros((*spectrum.shape[:-1], self.points))
        return torch.fft.irfft2(spectrum, s=(self.points, self.points))

    def resampled(self, spectrum: Tensor) -> Tensor:
        """A spectrum of another number of points, cut or filled with zeros; Nyquist waves are left out."""
        points = spectrum.shape[-2]
        modes = (min(points, self.points) - 1) // 2
        positive, negative = spectrum[..., : modes + 1, : modes + 1], spectrum[..., points - modes :, : modes + 1]
        between = spectrum.new_zeros((*spectrum.shape[:-2], self.points - 2 * modes - 1, modes + 1))
        rows = torch.cat([positive, between, negative], -2) * (self.points / points) ** 2
        return torch.nn.functional.pad(rows, (0, self.points // 2 - modes))

    def flow(self, spectrum: Tensor) -> Tensor:
        """u, v, ∂w/∂x and ∂w/∂y of vorticities, fields ``(…, 4, n, n)``."""
        return self.field(spectrum[..., None, :, :] * self.derivatives)


@dataclass(frozen=True, eq=False)
class FrozenFlow:
    """(c + ν|k|²) x + P (u·∇x + u(x)·∇w) P = b in Fourier space, with u and ∇w given; P keeps the waves `carried`.

    Advection is almost skew-symmetric. Preconditioned by c + ν|k|² its spectrum lies close to the imaginary axis,
    where Chebyshev's semi-iteration contracts by exp(−arsinh 1/β) a sweep, β its largest frequency (Concus & Golub
    1976; Widlund 1978). A fixed number of sweeps is a linear map of b.

    Attributes
    ----------
    waves
        Of the grid.
    flow
        u, v, ∂w/∂x, ∂w/∂y, ``(*batch, 4, n, n)``.
    diagonal
        c + ν|k|², ``(n, n // 2 + 1)``.
    carried
        Waves that are moved, ``(*batch, n, n // 2 + 1)``, 0 or 1.
    speed
        Largest |u| + |v|, ``(*batch, 1, 1)``.
    frequency
        β, ``(*batch, 1, 1)``.
    """

    waves: Waves
    flow: Tensor
    diagonal: Tensor
    carried: Tensor
    speed: Tensor
    frequency: Tensor

    @classmethod
    @torch.no_grad()
    def about(cls, waves: Waves, flow: Tensor, diagonal: Tensor, limit: float = math.inf) -> FrozenFlow:
        """Carry the waves whose frequency, preconditioned, is at most ``limit``: the others would take many sweeps."""
        speed = (flow[..., 0, :, :].abs() + flow[..., 1, :, :].abs()).amax((-2, -1), keepdim=True)
        frequency = speed * (waves.largest / diagonal)
        carried = (frequency <= limit).to(flow.dtype)
        highest = torch.where(carried > 0, frequency, 0).amax((-2, -1), keepdim=True)
        return cls(waves, flow.detach(), diagonal, carried, speed, highest)

    def at(self, frame: int) -> FrozenFlow:
        """The flow of one frame, the last of the batch's axes."""
        by_wave = (part[..., frame, :, :] for part in (self.carried, self.speed, self.frequency))
        return FrozenFlow(self.waves, self.flow[..., frame, :, :, :], self.diagonal, *by_wave)

    def sweeps(self, tolerance: float) -> int:
        """Sweeps that leave ``tolerance`` of an error, by the theory for skew-symmetric advection."""
        beta = torch.nan_to_num(self.frequency, nan=0.0, posinf=0.0).max().item() if self.frequency.numel() else 0.0
        if beta == 0:
            return 1
        return 1 + math.ceil(min(MOST_SWEEPS, -math.log(tolerance) / math.asinh(1 / beta)))

    def advection(self, spectrum: Tensor) -> Tensor:
        """P (u·∇x + u(x)·∇w) P x of spectra ``(*leading, *batch, n, n // 2 + 1)``."""
        own = self.waves.flow(spectrum * self.carried)
        # (u(x), v(x), ∂x, ∂y) of the unknown meet (∂w, ∂w, u, v) of the frozen flow.
        product = (own * self.flow.roll(2, dims=-3)).sum(-3)
        return self.waves.spectrum(product) * self.carried

    def solve(self, right: Tensor, start: Tensor, sweeps: int) -> Tensor:
        """x after so many sweeps from ``start``; spectra ``(*leading, *batch, n, n // 2 + 1)``, linear in both."""
        before = start
        x = (right - self.advection(start)) / self.diagonal
        omega = torch.full_like(self.frequency, 2.0)
        for _ in range(sweeps - 1):
            omega = 1 / (1 + self.frequency**2 * omega / 4)
            following = before + omega * ((right - self.advection(x)) / self.diagonal - before)
            before, x = x, following
        return x
