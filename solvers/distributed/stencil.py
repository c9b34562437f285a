"""Matrix-free operators on structured grids that are split into slabs over processes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from solvers.distributed.operator import DistributedOperator
from solvers.distributed.partition import Partition
from solvers.distributed.reductions import agree
from solvers.distributed.slabs import Cut, Slabs
from solvers.errors import DeviceError, ScimlError, ShapeError
from solvers.operators.csr import CSROperator
from solvers.operators.diffusion import DiffusionOperator
from solvers.operators.kept import Kept
from solvers.operators.linear_operator import closed
from solvers.operators.stencil import StencilOperator

__all__ = ["DistributedStencil"]


class DistributedStencil(DistributedOperator):
    """A `StencilOperator` whose grid is cut across its first axis, each process holding a slab of planes.

    A product starts the exchange of the neighbours' planes, multiplies the slab, awaits them and adds their part.

    Parameters
    ----------
    offsets
        The neighbours of a grid point, each a tuple of d integers, as in `StencilOperator`.
    coefficients
        ``(*batch, len(offsets), count, *rest)`` of this process's `count` planes; the differentiable parameter.
    planes
        `Partition` of the first grid axis; slabs may be uneven, or thinner than the stencil reaches.
    periodic
        One flag for every axis, or one for all.
    tags
        What is known of the whole matrix: "symmetric", "spd".

    Raises
    ------
    DistributedError, ShapeError, DTypeError
        On all processes if one of them was given what does not fit.

    Examples
    --------
    >>> import torch, torch.distributed as dist
    >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    >>> c = torch.tensor([-1.0, 2.0, -1.0])[:, None].expand(3, 4)
    >>> A = DistributedStencil([(-1,), (0,), (1,)], c, Partition.even(4), tags={"spd"})
    >>> A.mv(torch.ones(4))
    tensor([1., 0., 0., 1.])
    >>> dist.destroy_process_group()
    """

    def __init__(
        self,
        offsets: Sequence[tuple[int, ...]],
        coefficients: Tensor,
        planes: Partition,
        periodic: bool | Sequence[bool] = False,
        tags: Iterable[str] = (),
    ) -> None:
        error = None
        try:
            # The stencil alone checks offsets, coefficients and flags against each other.
            whole = StencilOperator(offsets, coefficients, periodic)
            if whole.grid[0] != planes.count:
                raise ShapeError(
                    f"coefficients {tuple(coefficients.shape)}: process {planes.rank} owns {planes.count} planes of "
                    f"the first grid axis; expected (*batch, {len(whole.offsets)}, {planes.count}, …)"
                )
        except ScimlError as mistake:
            error = mistake
        agree(error, planes.group)
        slabs = Slabs(whole.offsets, planes, whole.grid[1:], whole.periodic, coefficients.device)
        self._set(slabs, coefficients, tags)

    @classmethod
    def from_slabs(cls, slabs: Slabs, coefficients: Tensor, tags: Iterable[str] = ()) -> DistributedStencil:
        """Local coefficients on an existing partition of the grid, without communication."""
        self = cls.__new__(cls)
        self._set(slabs, coefficients, tags)
        return self

    @classmethod
    def from_global(
        cls,
        A: StencilOperator | DiffusionOperator,
        offsets: Sequence[int] | None = None,
        group: dist.ProcessGroup | None = None,
    ) -> DistributedStencil:
        """The local planes of an operator that every process holds; differentiable in its parameters.

        Parameters
        ----------
        A
            A `DiffusionOperator` with a kernel loses what it knows of it: give `linear_solve` the local part of the
            constants as ``nullspace=``.
        offsets
            Of the planes of the first grid axis, as in `Partition`; None: equal shares.
        """
        stencil = A.to_stencil() if isinstance(A, DiffusionOperator) else A
        n = stencil.grid[0]
        planes = Partition.even(n, group) if offsets is None else Partition(tuple(offsets), group)
        if planes.total != n:
            raise ShapeError(f"offsets {planes.offsets} cover {planes.total} planes of {n}: the last must be {n}")
        local = stencil.coefficients.narrow(-len(stencil.grid), planes.begin, planes.count)
        return cls(stencil.offsets, local, planes, stencil.periodic, stencil.tags)

    def _set(self, slabs: Slabs, coefficients: Tensor, tags: Iterable[str]) -> None:
        if coefficients.device != slabs.device:
            raise DeviceError(
                f"coefficients on {coefficients.device}, halo on {slabs.device}: build the operator on one device"
            )
        self.slabs, self.coefficients, self.partition = slabs, coefficients, slabs.partition
        self.tags, self._kept = closed(tags), Kept(coefficients)

    @property
    def grid(self) -> tuple[int, ...]:
        """The local grid, a slab of planes."""
        return self.slabs.grid

    @property
    def batch_shape(self) -> torch.Size:
        return self.coefficients.shape[: -len(self.grid) - 1]

    def parameters(self) -> tuple[Tensor, ...]:
        return (self.coefficients,)

    def parameter_ndim(self, parameter: Tensor) -> int:
        return len(self.grid) + 1

    def replace(self, parameters: tuple[Tensor, ...]) -> DistributedStencil:
        return DistributedStencil.from_slabs(self.slabs, parameters[0], self.tags)

    def pullback(self, left: Tensor, right: Tensor) -> tuple[Tensor, ...]:
        (total,) = self._slab(self.coefficients).pullback(left, right)
        halo = self.slabs.exchange.halo(right)
        for cut in self.slabs.cuts:
            (part,) = cut.operator(self.coefficients).pullback(cut.from_own(left), cut.from_halo(halo))
            total = total + cut.gradient(part)
        return (total,)

    def diagonal(self) -> Tensor:
        return self._slab(self.coefficients).diagonal()

    def local_block(self) -> CSROperator:
        return self._slab(self.coefficients).to_csr()

    def _slab(self, coefficients: Tensor) -> StencilOperator:
        """The local planes on their own, with the value zero on all others."""
        return StencilOperator(self.slabs.offsets, coefficients, self.slabs.periodic, self.tags)

    def _parts(self) -> tuple[StencilOperator, list[tuple[Cut, StencilOperator]]]:
        """The slab, and what reaches across each cut (detached)."""
        coefficients = self.coefficients.detach()
        return self._slab(coefficients), [(cut, cut.operator(coefficients)) for cut in self.slabs.cuts]

    def _mv(self, x: Tensor) -> Tensor:
        slab, across = self._kept.get("parts", None, self._parts)
        halo = self.slabs.exchange.start(x)
        y = slab._mv(x)
        received = halo()
        for cut, operator in across:
            cut.add_to_own(y, operator._mv(cut.from_halo(received)))
        return y

    def _rmv(self, x: Tensor) -> Tensor:
        slab, across = self._kept.get("parts", None, self._parts)
        batch = torch.broadcast_shapes(self.batch_shape, x.shape[:-1])
        duals = x.new_zeros(*batch, self.slabs.halo_size)
        for cut, operator in across:
            cut.add_to_halo(duals, operator._rmv(cut.from_own(x)))
        added = self.slabs.exchange.start_adjoint(duals)
        return added(slab._rmv(x))
