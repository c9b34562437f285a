"""Small operators and convex potentials whose properties are known, shared by the tests of plug-and-play inversion."""

import torch
from torch import Tensor, nn

from pde_benchmarks.imaging.forward_operators import from_functions
from pde_benchmarks.imaging.forward_operators.operator import LinearForwardOperator
from sciml.plug_and_play import GaussianFidelity

DOUBLE = torch.float64
N = 12
SHAPE = (1, N)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def spectrum(*values: float, n: int = N, seed: int = 5) -> Tensor:
    """A symmetric matrix with eigenvalues from the first to the last of the values."""
    Q, _ = torch.linalg.qr(normal(n, n, seed=seed))
    return Q @ torch.diag(torch.linspace(values[0], values[-1], n, dtype=DOUBLE)) @ Q.mT


def dense(A: Tensor) -> LinearForwardOperator:
    """Fields ``(1, n)`` to data ``(m,)``; of the norm that its singular values say."""
    return from_functions(
        lambda x: x.flatten(1) @ A.mT.to(x.dtype),
        lambda y: (y @ A.to(y.dtype)).unsqueeze(1),
        input_shape=(1, A.shape[1]),
        output_shape=(A.shape[0],),
        norm=float(torch.linalg.matrix_norm(A, 2)),
    )


def wide(rows: int = 8, seed: int = 1) -> Tensor:
    """Fewer data than unknowns, norm one."""
    A = normal(rows, N, seed=seed)
    return A / torch.linalg.matrix_norm(A, 2)


def fidelity(count: int = 3, sigma: float = 1.0, rows: int = 8) -> GaussianFidelity:
    A = wide(rows)
    return GaussianFidelity(dense(A), normal(count, N, seed=7) @ A.mT + 0.05 * normal(count, rows, seed=8), sigma)


class ConvexToy(nn.Module):
    """ψ(v) = ⟨a, softplus(W v + b)⟩ + α‖v‖²: convex, analytic, nonlinear, with a Lipschitz constant that is known."""

    def __init__(self, alpha: float = 0.05, hidden: int = 40, size: float = 1.4, n: int = N) -> None:
        super().__init__()
        self.W = nn.Parameter(normal(hidden, n, seed=2) / n**0.5)
        self.b = nn.Parameter(normal(hidden, seed=3))
        steep = float(torch.linalg.matrix_norm(self.W.detach(), 2) ** 2) * 4 / 4
        self.a = nn.Parameter((0.5 + 0.5 * torch.rand(hidden, dtype=DOUBLE, generator=_seeded())) * size / steep)
        self.alpha, self.beta = alpha, 4.0
        self.strong_convexity = 2 * alpha
        # s'' ≤ β/4, so that J ≤ 2α + β/4 Wᵀ diag(a) W.
        J = self.beta / 4 * self.W.detach().mT @ torch.diag(self.a.detach()) @ self.W.detach()
        self.lipschitz = 2 * alpha + float(torch.linalg.matrix_norm(J, 2))

    def potential_and_gradient(self, v: Tensor) -> tuple[Tensor, Tensor]:
        x = v.flatten(1)
        z = x @ self.W.mT + self.b
        psi = (self.a * nn.functional.softplus(z, self.beta, 40.0)).sum(-1) + self.alpha * x.square().sum(-1)
        f = (self.a * torch.sigmoid(self.beta * z)) @ self.W + 2 * self.alpha * x
        return psi, f.reshape(v.shape)

    def forward(self, v: Tensor) -> Tensor:
        return self.potential_and_gradient(v)[1]


def half_square(x: Tensor) -> Tensor:
    return x.flatten(1).square().sum(-1) / 2


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(4)
