"""The systems of the solver benchmark, and the one right-hand side all solvers get."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from solvers import CSROperator, DiffusionOperator, StencilOperator, poisson_operator

__all__ = ["diffusion_batch", "poisson", "rhs", "stencil"]

RTOL = 1e-8


def poisson(grid: Sequence[int]) -> tuple[DiffusionOperator, CSROperator, scipy.sparse.csr_matrix]:
    """The 5- or 7-point Dirichlet Laplacian (diagonal 4 or 6): matrix-free, as our CSR, as SciPy's."""
    operator = poisson_operator(grid, "vertex")
    csr = operator.to_csr()
    return operator, csr, scipy.sparse.csr_matrix(csr.to_scipy())


def stencil(operator: DiffusionOperator) -> StencilOperator:
    """The same matrix as a general stencil with stored coefficients."""
    return operator.to_stencil()


def rhs(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal, the same for every solver."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def diffusion_batch(count: int, n: int) -> DiffusionOperator:
    """`count` systems on n × n vertices: κ = exp(N(0, 1)) in every cell, arithmetic means on the faces."""
    kappa = rhs(count, n, n, seed=1).exp()
    faces = []
    for axis in (-2, -1):
        inner = 0.5 * (kappa.narrow(axis, 0, n - 1) + kappa.narrow(axis, 1, n - 1))
        faces.append(torch.cat([kappa.narrow(axis, 0, 1), inner, kappa.narrow(axis, n - 1, 1)], axis))
    return DiffusionOperator(faces, alignment="vertex")
