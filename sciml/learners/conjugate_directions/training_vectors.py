"""Right-hand sides to learn from: random sums of the (approximate) eigenvectors of an operator."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from sciml.errors import LearnerError
from solvers import DiffusionOperator, LinearOperator

__all__ = ["eigenvector_sums", "ritz_pairs", "ritz_sums"]

LOWER = 0.55  # of the spectrum: 5 500 of 10 000 Ritz vectors
FACTOR = 9.0  # of the amplitudes there
KERNEL = 1e-8  # eigenvalues below are those of the kernel


def ritz_pairs(A: LinearOperator, steps: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Ritz values, ascending ``(m,)``, and vectors ``(m, n)`` of A by Lanczos with full reorthogonalisation.

    It starts from A z with z ~ N(0, I) and ends early where the Krylov space is exhausted: m ≤ steps. Values below
    1e-8 are left out.

    Parameters
    ----------
    A
        Symmetric, one system, n unknowns.
    steps
        Dimension of the Krylov space, 1 or more; steps × n numbers are kept.

    Raises
    ------
    LearnerError
        `steps` is less than 1, or A is a batch.

    Examples
    --------
    >>> from solvers import poisson_operator
    >>> A = poisson_operator((8,))
    >>> values, vectors = ritz_pairs(A, 8, torch.Generator().manual_seed(0))
    >>> torch.allclose(values, torch.linalg.eigvalsh(A.to_dense()))
    True
    """
    if steps < 1 or A.batch_shape:
        raise LearnerError(
            f"Lanczos of {steps} steps on a batch {tuple(A.batch_shape)}: one system and 1 step or more."
        )
    n = A.shape[0]
    z = torch.randn(n, generator=generator, dtype=torch.float64).to(A.device, A.dtype)
    basis = z.new_zeros(min(steps, n), n)
    T = z.new_zeros(len(basis), len(basis))
    v, size = A.mv(z), A.mv(z).norm()
    count = 0
    for k in range(len(basis)):
        basis[k] = v / size
        count = k + 1
        v = A.mv(basis[k])
        largest = v.norm()
        for _ in range(2):  # twice is enough (Giraud, Langou and Rozložník 2005)
            components = basis[:count] @ v
            v = v - components @ basis[:count]
            T[k, : k + 1] += components
        size = v.norm()
        if size <= 1e3 * torch.finfo(A.dtype).eps * largest:
            break
    values, inner = torch.linalg.eigh(T[:count, :count])  # of the lower triangle
    kept = values > KERNEL
    return values[kept], (inner.mT @ basis[:count])[kept]


def ritz_sums(vectors: Tensor, count: int, generator: Generator) -> Tensor:
    """Sums Σ cᵢ vᵢ, c ~ N(0, 1), nine times that for the lower 55 % of the vectors; norm one, ``(count, n)``.

    Parameters
    ----------
    vectors
        ``(m, n)``, values ascending.
    """
    c = torch.randn(count, len(vectors), generator=generator, dtype=torch.float64).to(vectors)
    c[:, : round(LOWER * len(vectors))] *= FACTOR
    return _of_norm_one(c @ vectors)


def eigenvector_sums(A: DiffusionOperator, count: int, generator: Generator) -> Tensor:
    """The same law with all eigenvectors of an empty box, which are products of those of its axes: no Lanczos.

    Parameters
    ----------
    A
        Diffusion with coefficients that vary along their own axis only, one system, no reaction.

    Raises
    ------
    LearnerError
        Another operator: it has obstacles.

    Examples
    --------
    >>> from solvers import poisson_operator
    >>> A = poisson_operator((8, 8), boundary="neumann")
    >>> b = eigenvector_sums(A, 3, torch.Generator().manual_seed(0))
    >>> b.shape, bool((b.sum(1).abs() < 1e-12).all())
    (torch.Size([3, 64]), True)
    """
    axes = [_of_axis(A, k) for k in range(len(A.grid))]
    values = torch.zeros((), dtype=axes[0][0].dtype, device=A.device)
    for own, _ in axes:
        values = values.unsqueeze(-1) + own
    order = values.flatten().argsort()
    order = order[values.flatten()[order] > KERNEL]
    c = torch.randn(count, len(order), generator=generator, dtype=torch.float64).to(values)
    c[:, : round(LOWER * len(order))] *= FACTOR
    field = c.new_zeros(count, values.numel()).index_copy_(1, order, c).reshape(count, *A.grid)
    for _, Q in axes:  # the first grid axis goes last: after d turns all are back
        field = torch.tensordot(field, Q, dims=([1], [1]))
    return _of_norm_one(field.flatten(1))


def _of_axis(A: DiffusionOperator, k: int) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors (columns) of the difference operator of one axis."""
    t = A.faces[k].detach()
    if A.batch_shape or (A.reaction is not None and bool((A.reaction != 0).any())):
        raise LearnerError("eigenvectors are known of an empty box alone: no batch, no open cells inside.")
    profile = t.movedim(k, 0).flatten(1)
    if not bool((profile == profile[:, :1]).all()):
        raise LearnerError(f"the coefficient varies across axis {k}: eigenvectors are known of an empty box alone.")
    line = DiffusionOperator([profile[:, 0]], periodic=A.periodic[k])
    values, Q = torch.linalg.eigh(line.to_dense())
    return values, Q


def _of_norm_one(b: Tensor) -> Tensor:
    return b / b.norm(dim=1, keepdim=True)
