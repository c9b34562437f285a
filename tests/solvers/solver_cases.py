"""Operators and vectors that the solver tests share."""

from collections.abc import Sequence

import torch
from torch import Tensor

from solvers import CSROperator, DiffusionOperator, StencilOperator, finite_volume_operator
from solvers.operators import LinearOperator

BOUNDARIES = ["dirichlet", "neumann", "periodic", [("dirichlet", "neumann"), "periodic", ("neumann", "dirichlet")]]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=dtype)


def diffusion(
    grid: Sequence[int],
    batch: Sequence[int] = (),
    boundary: object = "dirichlet",
    reaction: float | None = None,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> DiffusionOperator:
    """A finite-volume operator with coefficients in [1/2, 3/2]."""
    a = torch.rand(*batch, *grid, generator=generator(seed), dtype=dtype) + 0.5
    sides = boundary if isinstance(boundary, str) else list(boundary)[: len(grid)]  # type: ignore[call-overload]
    return finite_volume_operator(a, [1.0] * len(grid), sides, reaction)


def small_operators() -> list[LinearOperator]:
    """One of each kind, eight unknowns or fewer, symmetric positive definite, batches included."""
    grid = diffusion((2, 4), (2,), reaction=0.3)
    return [
        grid,
        diffusion((4,), (), "neumann", reaction=0.5),
        diffusion((2, 3), boundary="periodic", reaction=0.5),
        diffusion((2, 2, 2)),
        grid.to_stencil(),
        grid.to_csr(),
        CSROperator.from_dense(dense_spd(5), tags={"spd"}),
    ]


def dense_spd(n: int, *batch: int, seed: int = 0) -> Tensor:
    root = normal(*batch, n, n, seed=seed)
    return root @ root.mT + n * torch.eye(n, dtype=torch.float64)


def random_stencil(grid: Sequence[int], batch: Sequence[int], periodic: bool, seed: int = 0) -> StencilOperator:
    """Unsymmetric, with offsets up to two points away."""
    d = len(grid)
    offsets = [(0,) * d, (1,) * d, (-2,) + (0,) * (d - 1), (0,) * (d - 1) + (2,)]
    return StencilOperator(offsets, normal(*batch, len(offsets), *grid, seed=seed), periodic)


class OnlyProducts(LinearOperator):
    """An operator that has a diagonal, but does not know its entries."""

    def __init__(self, operator: LinearOperator) -> None:
        self.operator, self.tags = operator, operator.tags

    @property
    def shape(self) -> tuple[int, int]:
        return self.operator.shape

    @property
    def batch_shape(self) -> torch.Size:
        return self.operator.batch_shape

    def parameters(self) -> tuple[Tensor, ...]:
        return self.operator.parameters()

    def parameter_ndim(self, parameter: Tensor) -> int:
        return self.operator.parameter_ndim(parameter)

    def replace(self, parameters: tuple[Tensor, ...]) -> "OnlyProducts":
        return OnlyProducts(self.operator.replace(parameters))

    def pullback(self, left: Tensor, right: Tensor) -> tuple[Tensor, ...]:
        return self.operator.pullback(left, right)

    def diagonal(self) -> Tensor:
        return self.operator.diagonal()

    def _mv(self, x: Tensor) -> Tensor:
        return self.operator.mv(x)

    def _rmv(self, x: Tensor) -> Tensor:
        return self.operator.rmv(x)


def case_name(value: object) -> str:
    return repr(value).replace(" ", "") if not isinstance(value, LinearOperator) else type(value).__name__
