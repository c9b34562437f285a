"""What an operator's tags claim, tested on random vectors."""

from __future__ import annotations

import torch

from solvers.errors import TagError
from solvers.operators.linear_operator import LinearOperator

__all__ = ["verify_symmetry", "verify_tags"]

_VECTORS, _LANCZOS_STEPS = 3, 12


@torch.no_grad()
def verify_tags(A: LinearOperator) -> None:
    """Raise `TagError` if an operator tagged "symmetric" or "spd" is seen not to be.

    Tests ⟨A u, v⟩ = ⟨u, A v⟩ on three pairs of seeded vectors, and the smallest Ritz value of twelve Lanczos steps:
    a test that passes proves nothing, one that fails does.

    Raises
    ------
    TagError
        With the system of the batch and the numbers that contradict the tag.
    """
    verify_symmetry(A)
    if "spd" in A.tags:
        smallest = _smallest_ritz_value(A, A.project(_random(A, 0)[0]))
        if bool((smallest < 0).any()):
            raise TagError(
                f"system {_first(smallest < 0)} of {A!r} is tagged 'spd', but xᴴ A x < 0 for some x (Ritz value "
                f"{float(smallest.min()):.2e}): tag it 'symmetric' and use MINRES, or check the sign of A"
            )


@torch.no_grad()
def verify_symmetry(A: LinearOperator) -> None:
    """Raise `TagError` if an operator tagged "symmetric" is seen not to be, on three pairs of seeded vectors."""
    if "symmetric" not in A.tags:
        return
    u, v = (_random(A, seed) for seed in (0, 1))
    Au, Av = A.mv(u), A.mv(v)
    left, right = A.inner(Au, v), A.inner(u, Av)
    size = A.norm(Au) * A.norm(v) + A.norm(u) * A.norm(Av)
    wrong = ((left - right).abs() > 100 * torch.finfo(A.dtype).eps * size).squeeze(-1).any(0)
    if bool(wrong.any()):
        raise TagError(
            f"system {_first(wrong)} of {A!r} is tagged 'symmetric', but ⟨A u, v⟩ ≠ ⟨u, A v⟩ for random u, v "
            f"(difference {float((left - right).abs().max()):.1e}): drop the tag and use GMRES, or symmetrise A"
        )


def _random(A: LinearOperator, seed: int) -> torch.Tensor:
    """Seeded vectors ``(3, *batch, n)``."""
    generator = torch.Generator().manual_seed(seed)
    shape = _VECTORS, *(1,) * len(A.batch_shape), A.shape[1]
    drawn = torch.randn(shape, generator=generator, dtype=torch.float64)
    return drawn.to(A.device, A.dtype).expand(_VECTORS, *A.batch_shape, A.shape[1])


def _smallest_ritz_value(A: LinearOperator, start: torch.Tensor) -> torch.Tensor:
    """Of at most twelve fully reorthogonalised Lanczos steps, relative to the largest; ``(*batch)``."""
    basis = [start / A.norm(start)]
    for _ in range(min(_LANCZOS_STEPS, A.global_shape[0]) - 1):
        w = A.mv(basis[-1])
        for _ in range(2):
            for q in basis:
                w = w - A.inner(q, w) * q
        size = A.norm(w)
        basis.append(torch.where(size > 0, w / size, 0))
    images = [A.mv(q) for q in basis]
    entries = A.inners(*((q, Aq) for q in basis for Aq in images))
    projected = torch.cat(entries, -1).unflatten(-1, (len(basis), len(basis)))
    ritz = torch.linalg.eigvalsh(projected)
    return torch.where(ritz[..., 0] < -1e3 * torch.finfo(A.dtype).eps * ritz[..., -1].abs(), ritz[..., 0], 0)


def _first(flags: torch.Tensor) -> str:
    return f"{int(flags.reshape(-1).nonzero()[0])} of {flags.numel()}"
