"""Small residuals on a space-time grid, for the tests of hard constraints."""

from __future__ import annotations

import torch
from torch import Tensor

from pde_benchmarks.termwise import TermwiseResidual


class Reaction(TermwiseResidual):
    """∂t u = κ ∂xx u − curve u³ (implicit differences in time); rows u − g at the start and at both ends.

    Parameters: κ ``(B, 1, 1)`` and the initial field g ``(B, x)``, whose ends are the boundary values.
    """

    def __init__(self, kappa: Tensor, initial: Tensor, times: int, curve: float):
        self.shape = (times, initial.shape[-1])
        self.parameters = (kappa, initial)
        self.curve = curve
        self.global_rows = torch.zeros(self.shape, dtype=torch.bool)
        self.global_rows[0], self.global_rows[:, 0], self.global_rows[:, -1] = True, True, True
        self.step, self.width = 1 / (times - 1), 1 / (initial.shape[-1] - 1)

    def terms(self, fields: Tensor) -> Tensor:
        rate = torch.zeros_like(fields)
        rate[..., 1:, :] = (fields[..., 1:, :] - fields[..., :-1, :]) / self.step
        bend = torch.zeros_like(fields)
        bend[..., 1:-1] = (fields[..., 2:] - 2 * fields[..., 1:-1] + fields[..., :-2]) / self.width**2
        return torch.stack([fields, rate, bend], -3)

    def combine(self, terms: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
        kappa, initial = parameters
        u, rate, bend = terms.unbind(1)
        inside = rate - kappa * bend + self.curve * u**3
        return torch.where(self.global_rows, u - initial.unsqueeze(1), inside)

    def matrix(self) -> Tensor:
        """The linear part of the residual, ``(B, G, G)``."""
        size = self.global_rows.numel()
        units = torch.eye(size, dtype=self.parameters[0].dtype).reshape(size, 1, *self.shape)
        u, rate, bend = self.terms(units).unbind(2)
        linear = torch.where(self.global_rows, u, rate - self.parameters[0].detach()[None] * bend)
        return linear.flatten(2).permute(1, 2, 0)

    def carrier(self, about: Tensor):
        inverse = torch.linalg.inv(self.matrix() + torch.diag_embed(self.slope(about).flatten(1)))

        def carry(rows: Tensor) -> Tensor:
            return torch.einsum("bij,...bj->...bi", inverse, rows.flatten(-2)).unflatten(-1, self.shape)

        return carry

    def slope(self, about: Tensor) -> Tensor:
        return torch.where(self.global_rows, 0, 3 * self.curve * about.detach() ** 2)

    def solution(self) -> Tensor:
        """Newton's method on the whole grid."""
        u = torch.zeros(len(self.parameters[0]), *self.shape, dtype=torch.float64)
        for _ in range(30):
            u = u + self.correction(u)
        return u.detach()


def reaction(batch: int = 2, times: int = 7, points: int = 9, curve: float = 2.0, seed: int = 0) -> Reaction:
    generator = torch.Generator().manual_seed(seed)
    kappa = 0.1 + 0.2 * torch.rand(batch, 1, 1, generator=generator, dtype=torch.float64)
    x = torch.linspace(0, 1, points, dtype=torch.float64)
    height = 0.5 + torch.rand(batch, 1, generator=generator, dtype=torch.float64)
    return Reaction(kappa, height * (1 + torch.sin(3 * x)), times, curve)


def smooth_basis(residual: TermwiseResidual, batch: int, count: int, seed: int = 1) -> Tensor:
    """Random smooth functions ``(B, N, t, x)``."""
    generator = torch.Generator().manual_seed(seed)
    t, x = (torch.linspace(0, 1, n, dtype=torch.float64) for n in residual.shape)
    powers = [t[:, None] ** i * x[None] ** j for i in range(4) for j in range(4)]
    mixing = torch.randn(batch, count, len(powers), generator=generator, dtype=torch.float64)
    return torch.einsum("bnp,ptx->bntx", mixing, torch.stack(powers))
