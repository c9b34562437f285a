"""Division by the diagonal blocks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.errors import Singular
from solvers.operators.csr import CSROperator
from solvers.operators.linear_operator import LinearOperator
from solvers.preconditioners.entries import entries, first_true
from solvers.preconditioners.projected import ProjectedInverse

__all__ = ["BlockJacobi", "BlockJacobiInverse"]


@dataclass(frozen=True)
class BlockJacobi:
    """M = diag(A₁₁, …, A_kk)⁻¹ with square blocks on the diagonal: for several unknowns a point, numbered together.

    Parameters
    ----------
    block_size
        Unknowns a block; the last block is smaller if it does not divide n.

    Examples
    --------
    >>> import torch
    >>> from solvers import CSROperator
    >>> A = CSROperator.from_dense(torch.tensor([[2.0, 1.0, 0.0], [1.0, 2.0, 1.0], [0.0, 1.0, 4.0]]), tags={"spd"})
    >>> BlockJacobi(2).setup(A)(torch.tensor([3.0, 3.0, 4.0])).round(decimals=5)
    tensor([1., 1., 1.])
    """

    block_size: int

    def __post_init__(self) -> None:
        if self.block_size < 1:
            raise ValueError(f"block_size = {self.block_size}: a block holds at least one unknown")

    @torch.no_grad()
    def setup(self, A: LinearOperator) -> BlockJacobiInverse:
        """Invert the diagonal blocks of every system, by Cholesky where A is "spd", by LU elsewhere.

        Raises
        ------
        TagError
            The operator does not know its entries.
        Singular
            A block has no inverse (or, under the tag "spd", is not positive definite).
        """
        blocks = diagonal_blocks(entries(A, "BlockJacobi"), self.block_size)
        is_spd = "spd" in A.tags
        if is_spd:
            factor, info = torch.linalg.cholesky_ex(blocks)
        else:
            inverse, info = torch.linalg.inv_ex(blocks)
        if bool((info != 0).any()):
            raise self._singular(info, is_spd)
        if is_spd:
            # Two triangular halves are not bitwise equal, and CG sees the difference.
            inverse = torch.cholesky_inverse(factor)
            inverse = 0.5 * (inverse + inverse.mH)
        return BlockJacobiInverse(A, inverse, is_spd)

    def _singular(self, info: Tensor, is_spd: bool) -> Singular:
        system, block = divmod(first_true(info != 0), info.shape[-1])
        fault = "not positive definite, against the tag 'spd'" if is_spd else "singular"
        return Singular(
            f"system {system} of {info[..., 0].numel()}: the diagonal block of the rows from {block * self.block_size} "
            f"is {fault}; choose another block_size, or IncompleteLU",
            batch_indices=(system,),
        )


class BlockJacobiInverse(ProjectedInverse):
    """Each block of z is the inverse block ``(*batch, blocks, size, size)`` times that block of r."""

    def __init__(self, A: LinearOperator, blocks: Tensor, is_spd: bool) -> None:
        super().__init__(A)
        self.blocks, self.is_spd = blocks, is_spd

    @property
    def H(self) -> BlockJacobiInverse:
        return self if self.is_spd else BlockJacobiInverse(self.operator.H, self.blocks.mH, False)

    def apply(self, r: Tensor) -> Tensor:
        count, size = self.blocks.shape[-3:-1]
        n = r.shape[-1]
        padded = torch.nn.functional.pad(r, (0, count * size - n)).unflatten(-1, (count, size))
        return (self.blocks @ padded.unsqueeze(-1)).flatten(-3)[..., :n]


def diagonal_blocks(A: CSROperator, size: int) -> Tensor:
    """The diagonal blocks ``(*batch, blocks, size, size)``, the last one filled up with the identity."""
    n, pattern = A.shape[0], A.pattern
    count = -(-n // size)
    block = pattern.row // size
    kept = (block == pattern.column // size).nonzero().squeeze(-1)
    place = (block * size + pattern.row % size) * size + pattern.column % size
    blocks = A.values.new_zeros(*A.batch_shape, count * size * size)
    blocks[..., place[kept]] = A.values[..., kept]
    blocks = blocks.unflatten(-1, (count, size, size))
    fill = count * size - n
    if fill:
        blocks[..., -1, size - fill :, size - fill :] = torch.eye(fill, dtype=A.dtype, device=A.device)
    return blocks
