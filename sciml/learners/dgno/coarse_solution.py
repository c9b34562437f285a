"""A coarse solve inside the decoder of the solution: the network adds what the coarse grid cannot see."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pde_benchmarks.jet import Jet
from pde_benchmarks.media.medium import SOURCE, Medium
from pde_benchmarks.media.node_operator import node_diffusion
from pde_benchmarks.problem import Problem
from sciml.errors import ConfigurationError
from solvers import DenseCholesky, linear_solve

__all__ = ["CoarseSolution"]


class CoarseSolution(nn.Module):
    """a ↦ the solution of the equation on a coarse grid, as a sine series that has derivatives at any point.

    The coarse coefficient is Aˢ H¹⁻ˢ of the arithmetic and harmonic means around each coarse node, between which every
    effective coefficient lies, with s learned; the physics between coefficient and solution is the equation's own,
    hence holds for media of any law. A coarse solver inside a decoder is the idea of physics-aware generative networks
    (Chatzopoulos & Koutsourelakis 2024).

    Parameters
    ----------
    problem
        A medium: what its nodes are, and how its equation looks on any number of them.
    cells
        Of the coarse grid, per axis; must divide those of the problem's grid.

    Raises
    ------
    ConfigurationError
        If the problem is no medium, or ``cells`` does not divide its own.

    Examples
    --------
    >>> from pde_benchmarks.media import TwoPhaseDarcy
    >>> problem = TwoPhaseDarcy(resolution=9)
    >>> jet = CoarseSolution(problem, 4).jet(problem.sample(2, torch.Generator())["coefficient"], torch.rand(5, 2))
    >>> jet.value.shape, jet.gradient.shape
    (torch.Size([2, 5, 1]), torch.Size([2, 5, 1, 2]))
    """

    def __init__(self, problem: Problem, cells: int) -> None:
        super().__init__()
        if not isinstance(problem, Medium):
            raise ConfigurationError(f"coarse_cells = {cells}: {problem.name} is no medium on nodes; leave it out.")
        fine = problem.resolution - 1
        if cells < 3 or fine % cells:
            fitting = ", ".join(str(n) for n in range(3, fine + 1) if fine % n == 0)
            raise ConfigurationError(f"coarse_cells = {cells}: must divide the {fine} cells of the grid: {fitting}.")
        self._cells, self._ratio = cells, fine // cells
        # σ(θ) in the exponents of both means.
        self.balance = nn.Parameter(torch.zeros(()))

    def coarsened(self, coefficient: Tensor) -> Tensor:
        """Means of ``(B, 1, n, n)`` over the nodes nearer than a coarse width, ``(B, m, m)``."""
        share = torch.sigmoid(self.balance)
        arithmetic, harmonic = self._around(coefficient), 1 / self._around(1 / coefficient)
        return (arithmetic**share * harmonic ** (1 - share))[:, 0]

    def nodal(self, coefficient: Tensor) -> Tensor:
        """The coarse solution at the coarse nodes, ``(B, m, m)``; differentiable, zero on the boundary."""
        a = self.coarsened(coefficient)
        f = torch.zeros_like(a)
        f[:, 1:-1, 1:-1] = SOURCE
        A = node_diffusion(a, "arithmetic")
        return linear_solve(A, f.flatten(1), DenseCholesky()).value.reshape(a.shape)

    def jet(self, coefficient: Tensor, points: Tensor) -> Jet:
        """The coarse solution and its gradient at points ``(n, 2)``: ``(B, n, 1)`` and ``(B, n, 1, 2)``."""
        k = torch.arange(1, self._cells).to(coefficient)
        # Σ c_k sin kπx through the inner coarse nodes: up to the factor, the transform is its own inverse.
        transform = 2 / self._cells * torch.sin(math.pi / self._cells * k[:, None] * k)
        series = transform @ self.nodal(coefficient)[:, 1:-1, 1:-1] @ transform
        waves = math.pi * k
        sine, slope = torch.sin(points[..., None] * waves), waves * torch.cos(points[..., None] * waves)
        along = sine[:, 0] @ series
        value = (along * sine[:, 1]).sum(-1)
        gradient = torch.stack([((slope[:, 0] @ series) * sine[:, 1]).sum(-1), (along * slope[:, 1]).sum(-1)], -1)
        return Jet(value[..., None], gradient[:, :, None])

    def _around(self, field: Tensor) -> Tensor:
        size = 2 * ((self._ratio + 1) // 2) + 1
        return nn.functional.avg_pool2d(field, size, self._ratio, size // 2, count_include_pad=False)
