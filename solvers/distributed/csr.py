"""Sparse matrices whose rows are split over processes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from solvers.distributed.exchange import HaloExchange
from solvers.distributed.operator import DistributedOperator
from solvers.distributed.partition import Partition
from solvers.distributed.reductions import agree
from solvers.errors import DeviceError, DTypeError, PatternError, ScimlError, ShapeError
from solvers.operators.csr import CSROperator
from solvers.operators.csr_pattern import CSRPattern, row_pointers
from solvers.operators.kept import Kept
from solvers.operators.linear_operator import DTYPES, closed

__all__ = ["DistributedCSR", "DistributedPattern"]


class DistributedPattern:
    """Where the entries of the local rows are: `interior`, on columns of this process, and `outer`, on the halo.

    Parameters
    ----------
    crow, col
        Row pointers ``(count + 1,)`` of the local rows, and their columns in the whole matrix, sorted in each row.
    partition
        Of rows and columns.
    """

    def __init__(self, crow: Tensor, col: Tensor, partition: Partition) -> None:
        self.partition = partition
        error = None
        try:
            wanted = self._split(crow, col)
        except ScimlError as mistake:
            error, wanted = mistake, col.new_empty(0)
        agree(error, partition.group)
        self.exchange = HaloExchange(wanted, partition)

    def _split(self, crow: Tensor, col: Tensor) -> Tensor:
        """Set the two patterns and the places of their entries; return the columns wanted from others."""
        begin, count, total = self.partition.begin, self.partition.count, self.partition.total
        if crow.shape != (count + 1,) or col.ndim != 1:
            raise ShapeError(
                f"crow {tuple(crow.shape)} and col {tuple(col.shape)}: process {self.partition.rank} owns {count} rows "
                f"and needs crow ({count + 1},) and a one-dimensional col"
            )
        if crow.device != col.device:
            raise DeviceError(f"crow on {crow.device}, col on {col.device}: move them to one device")
        if any(part.is_floating_point() or part.is_complex() for part in (crow, col)):
            raise DTypeError(f"crow of {crow.dtype} and col of {col.dtype}: expected integers")
        crow, col = crow.long(), col.long()
        if int(crow[0]) != 0 or int(crow[-1]) != col.numel() or bool((crow[1:] < crow[:-1]).any()):
            raise PatternError(f"crow must rise from 0 to the number of local entries, {col.numel()}")
        if col.numel() and not 0 <= int(col.min()) <= int(col.max()) < total:
            raise PatternError(
                f"columns run from {int(col.min())} to {int(col.max())} in a matrix of {total}: local rows keep the "
                "column numbers of the whole matrix"
            )
        row = torch.arange(count, device=col.device).repeat_interleave(crow.diff(), output_size=col.numel())
        own = (col >= begin) & (col < begin + count)
        wanted, place = torch.unique(col[~own], return_inverse=True)
        self.inside, self.outside = own.nonzero()[:, 0], (~own).nonzero()[:, 0]
        self.interior = _pattern(row[own], col[own] - begin, (count, count))
        self.outer = _pattern(row[~own], place, (count, wanted.numel()))
        self.row, self.entries = row, col.numel()
        # The place of each entry's column in the owned part followed by the halo.
        self.column = col - begin
        self.column[self.outside] = count + place
        return wanted


class DistributedCSR(DistributedOperator):
    """A batch of sparse n × n matrices on one pattern, each process holding a range of rows.

    A product starts the exchange of the halo, multiplies the interior part, awaits the halo and adds the outer part.

    Parameters
    ----------
    crow, col
        Row pointers ``(count + 1,)`` of this process's rows and their columns ``(nnz,)``, numbered as in the whole
        matrix and sorted in each row.
    values
        Entries ``(*batch, nnz)`` of the local rows; the differentiable parameter.
    partition
        `Partition` of the n rows; columns and vectors are split alike.
    tags
        What is known of the whole matrix: "symmetric", "spd".

    Raises
    ------
    DistributedError, ShapeError, DTypeError, PatternError
        On all processes if one of them was given what does not fit.

    Examples
    --------
    >>> import torch, torch.distributed as dist
    >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    >>> whole = CSROperator.from_dense(torch.tensor([[2.0, -1.0], [-1.0, 2.0]]), tags={"spd"})
    >>> A = DistributedCSR.from_global(whole)
    >>> A.gather(A.mv(A.scatter(torch.tensor([1.0, 1.0]))))
    tensor([1., 1.])
    >>> dist.destroy_process_group()
    """

    def __init__(
        self, crow: Tensor, col: Tensor, values: Tensor, partition: Partition, tags: Iterable[str] = ()
    ) -> None:
        pattern = DistributedPattern(crow, col, partition)
        error = None
        try:
            self._set(pattern, values, tags)
        except ScimlError as mistake:
            error = mistake
        agree(error, partition.group)

    @classmethod
    def from_pattern(cls, pattern: DistributedPattern, values: Tensor, tags: Iterable[str] = ()) -> DistributedCSR:
        """Values ``(*batch, nnz)`` of the local rows on an existing pattern, without communication."""
        self = cls.__new__(cls)
        self._set(pattern, values, tags)
        return self

    @classmethod
    def from_global(
        cls, A: CSROperator, offsets: Sequence[int] | None = None, group: dist.ProcessGroup | None = None
    ) -> DistributedCSR:
        """The local rows of a matrix that every process holds; differentiable in its values.

        Parameters
        ----------
        A
            Square.
        offsets
            As in `Partition`; None: equal shares.
        """
        m, n = A.shape
        if m != n:
            raise ShapeError(f"{A!r}: a distributed operator is square")
        partition = Partition.even(n, group) if offsets is None else Partition(tuple(offsets), group)
        if partition.total != n:
            raise ShapeError(f"offsets {partition.offsets} cover {partition.total} rows of {n}: the last must be {n}")
        crow = A.pattern.crow[partition.begin : partition.begin + partition.count + 1]
        entries = slice(int(crow[0]), int(crow[-1]))
        return cls(crow - crow[0], A.pattern.col[entries], A.values[..., entries], partition, A.tags)

    def _set(self, pattern: DistributedPattern, values: Tensor, tags: Iterable[str]) -> None:
        if values.ndim == 0 or values.shape[-1] != pattern.entries:
            raise ShapeError(
                f"values {tuple(values.shape)}: the local rows have {pattern.entries} entries, (*batch, nnz)"
            )
        if values.dtype not in DTYPES:
            raise DTypeError(f"values of dtype {values.dtype}: expected float32, float64, complex64 or complex128")
        if values.device != pattern.row.device:
            raise DeviceError(
                f"values on {values.device}, rows and halo on {pattern.row.device}: build the operator on one device"
            )
        self.pattern, self.values, self.partition = pattern, values, pattern.partition
        self.tags, self._kept = closed(tags), Kept(values)

    @property
    def batch_shape(self) -> torch.Size:
        return self.values.shape[:-1]

    def parameters(self) -> tuple[Tensor, ...]:
        return (self.values,)

    def replace(self, parameters: tuple[Tensor, ...]) -> DistributedCSR:
        return DistributedCSR.from_pattern(self.pattern, parameters[0], self.tags)

    def pullback(self, left: Tensor, right: Tensor) -> tuple[Tensor, ...]:
        seen = torch.cat([right, self.pattern.exchange.halo(right)], -1)
        products = left[..., self.pattern.row] * seen[..., self.pattern.column].conj()
        return (products.sum_to_size(self.values.shape),)

    def diagonal(self) -> Tensor:
        return self.local_block().diagonal()

    def local_block(self) -> CSROperator:
        return CSROperator.from_pattern(self.pattern.interior, self.values[..., self.pattern.inside], self.tags)

    def _parts(self) -> tuple[CSROperator, CSROperator]:
        """The interior and the outer part, detached."""
        values, pattern = self.values.detach(), self.pattern
        inner = CSROperator.from_pattern(pattern.interior, values[..., pattern.inside])
        return inner, CSROperator.from_pattern(pattern.outer, values[..., pattern.outside])

    def _mv(self, x: Tensor) -> Tensor:
        interior, outer = self._kept.get("parts", None, self._parts)
        halo = self.pattern.exchange.start(x)
        y = interior._mv(x)
        return y.add_(outer._mv(halo()))

    def _rmv(self, x: Tensor) -> Tensor:
        interior, outer = self._kept.get("parts", None, self._parts)
        added = self.pattern.exchange.start_adjoint(outer._rmv(x))
        return added(interior._rmv(x))


def _pattern(row: Tensor, col: Tensor, shape: tuple[int, int]) -> CSRPattern:
    return CSRPattern(row_pointers(torch.bincount(row, minlength=shape[0])), col, shape)
