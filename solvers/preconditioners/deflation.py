"""Deflation: the error in the span of a few given vectors is removed exactly, another preconditioner does the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.errors import ShapeError, TagError
from solvers.inverse import Inverse, Preconditioner
from solvers.operators.csr import CSROperator
from solvers.operators.csr_algebra import csr_product
from solvers.operators.dense import DenseOperator
from solvers.operators.linear_operator import LinearOperator
from solvers.preconditioners.entries import adjoint, entries
from solvers.preconditioners.products import product_of
from solvers.preconditioners.projected import ProjectedInverse

__all__ = ["BlockDeflation", "Deflation", "TwoLevelInverse"]

_LARGEST = 4096


@dataclass(frozen=True, eq=False)
class Deflation:
    """M = Pᴴ M₁ P + Z (Zᴴ A Z)⁻¹ Zᴴ with P = I − A Z (Zᴴ A Z)⁻¹ Zᴴ: deflated conjugate gradients (Nicolaides 1987).

    With this M, CG takes the steps of deflated CG with the preconditioner M₁, whatever the guess that it starts from
    ("BNN" of Tang, Nabben, Vuik & Erlangga 2009). If Z holds eigenvectors of M₁ A, the spectrum of M A is that of M₁ A
    with their eigenvalues moved to 1: CG no longer feels the smallest ones.

    Parameters
    ----------
    basis
        Z, columns ``(n, m)`` or ``(*batch, n, m)`` of A's dtype: eigenvectors (`lobpcg`), Ritz vectors, past solutions.
        Dependent columns and columns in the kernel of A do no harm.
    preconditioner
        M₁; None: the identity.

    Examples
    --------
    >>> import torch
    >>> from solvers import CG, linear_solve, poisson_operator
    >>> A, b = poisson_operator((100,)), torch.linspace(0, 1, 100, dtype=torch.float64)
    >>> smallest = torch.linalg.eigh(A.to_dense()).eigenvectors[:, :10]
    >>> plain, deflated = (linear_solve(A, b, CG(), M).stats.iterations for M in (None, Deflation(smallest)))
    >>> bool(deflated < 0.6 * plain)
    True
    """

    basis: Tensor
    preconditioner: Preconditioner | None = None

    @torch.no_grad()
    def setup(self, A: LinearOperator) -> TwoLevelInverse:
        """Form A Z and invert Zᴴ A Z, for every system.

        Raises
        ------
        TagError
            A is not tagged symmetric.
        ShapeError
            The basis does not fit A, or has more columns than a dense inverse is made of.
        """
        Z = self.basis.detach()
        if Z.ndim < 2 or Z.shape[-2] != A.shape[1]:
            raise ShapeError(f"basis {tuple(Z.shape)}: expected (n, m) or (*batch, n, m) with n = {A.shape[1]}")
        _check(A, Z.shape[-1])
        AZ = A.mm(Z)
        coarse = Z.mH.to(_double(Z.dtype)) @ AZ.to(_double(Z.dtype))
        first = None if self.preconditioner is None else self.preconditioner.setup(A)
        return TwoLevelInverse(A, first, DenseOperator(Z), DenseOperator(AZ), coarse)


@dataclass(frozen=True)
class BlockDeflation:
    """`Deflation` with vectors that are 1 in one block of the grid and 0 elsewhere: no eigenvectors are needed.

    A block of k cells an axis leaves CG a condition number of O(k²), however fine the grid.

    Parameters
    ----------
    blocks
        Their number along every axis, or one number for all.
    preconditioner
        M₁; None: the identity.

    Examples
    --------
    >>> import torch
    >>> from solvers import CG, linear_solve, poisson_operator
    >>> A, b = poisson_operator((64, 64)), torch.ones(64**2, dtype=torch.float64)
    >>> plain, deflated = (linear_solve(A, b, CG(), M).stats.iterations for M in (None, BlockDeflation(16)))
    >>> bool(deflated < 0.5 * plain)
    True
    """

    blocks: int | Sequence[int]
    preconditioner: Preconditioner | None = None

    def __post_init__(self) -> None:
        numbers = [self.blocks] if isinstance(self.blocks, int) else list(self.blocks)
        if not numbers or min(numbers) < 1:
            raise ShapeError(f"blocks {self.blocks}: expected numbers of at least 1, for each axis or for all")

    @torch.no_grad()
    def setup(self, A: LinearOperator) -> TwoLevelInverse:
        """Form A Z, which is sparse, and invert Zᴴ A Z, for every system.

        Raises
        ------
        TagError
            A is not tagged symmetric, does not know its entries or does not live on a grid.
        ShapeError
            The blocks do not fit the grid, or are more than a dense inverse is made of.
        """
        grid = getattr(A, "grid", None)
        if grid is None:
            raise TagError(f"{A!r} has no grid to be cut into blocks: use Deflation with a basis of your own")
        label, count = _labels(tuple(grid), self.blocks, A.device)
        _check(A, count)
        csr = entries(A, "BlockDeflation")
        csr = csr.replace((csr.values.to(_double(A.dtype)),))
        # Cells without links are not A's to deflate, but `entries` fills them.
        linked = (A.diagonal() != 0).to(csr.dtype)
        Z = CSROperator.from_coo(torch.arange(label.numel(), device=A.device), label, linked, (label.numel(), count))
        AZ = csr_product(csr, Z)
        coarse = csr_product(adjoint(Z), AZ).to_dense()
        first = None if self.preconditioner is None else self.preconditioner.setup(A)
        return TwoLevelInverse(A, first, Z.to(A.dtype), AZ.to(A.dtype), coarse)


class TwoLevelInverse(ProjectedInverse):
    """M r = y + Z (Zᴴ A Z)⁺ (Zᴴ r − (A Z)ᴴ y) with y = M₁ (r − A Z (Zᴴ A Z)⁺ Zᴴ r).

    Parameters
    ----------
    first
        M₁; None: the identity.
    Z, AZ
        n × m.
    coarse
        Zᴴ A Z in double precision, ``(*batch, m, m)``.
    """

    def __init__(
        self, A: LinearOperator, first: Inverse | None, Z: LinearOperator, AZ: LinearOperator, coarse: Tensor
    ) -> None:
        super().__init__(A)
        self.first = first
        self.is_linear = first is None or first.is_linear
        self.is_spd = first is None or first.is_spd
        self._Z, self._restrict = product_of(Z), product_of(Z.H)
        self._AZ, self._restrict_product = product_of(AZ), product_of(AZ.H)
        finite = A.is_finite().expand(coarse.shape[:-2])[..., None, None]
        coarse = torch.where(finite, (coarse + coarse.mH) / 2, torch.eye(coarse.shape[-1]).to(coarse))
        rtol = coarse.shape[-1] * 1e2 * torch.finfo(coarse.dtype).eps
        self._inverse = torch.linalg.pinv(coarse, rtol=rtol, hermitian=True).to(A.dtype)

    def apply(self, r: Tensor) -> Tensor:
        c = self._solve(self._restrict(r))
        y = r - self._AZ(c)
        y = y if self.first is None else self.first(y)
        return y + self._Z(c - self._solve(self._restrict_product(y)))

    def _solve(self, c: Tensor) -> Tensor:
        return (self._inverse @ c.unsqueeze(-1)).squeeze(-1)


def _labels(grid: tuple[int, ...], blocks: int | Sequence[int], device: torch.device) -> tuple[Tensor, int]:
    """Number of the block of every point, flat, and how many blocks there are."""
    numbers = (blocks,) * len(grid) if isinstance(blocks, int) else tuple(blocks)
    if len(numbers) != len(grid) or any(count > n for count, n in zip(numbers, grid, strict=True)):
        raise ShapeError(f"blocks {blocks} on grid {grid}: expected one number an axis, at most that of its points")
    label = torch.zeros((), dtype=torch.long, device=device)
    for n, count in zip(grid, numbers, strict=True):
        label = label.unsqueeze(-1) * count + torch.arange(n, device=device) * count // n
    return label.reshape(-1), torch.Size(numbers).numel()


def _check(A: LinearOperator, columns: int) -> None:
    if not A.tags & {"symmetric", "spd"}:
        raise TagError(f"{A!r} lacks the tag 'symmetric', which deflation needs: add it, or use another recipe")
    if columns > _LARGEST:
        raise ShapeError(
            f"{columns} vectors to deflate: at most {_LARGEST}, as ZᴴAZ is inverted densely; use multigrid"
        )


def _double(dtype: torch.dtype) -> torch.dtype:
    return torch.complex128 if dtype.is_complex else torch.float64
