"""Matrix-free operators on structured grids, with one coefficient per grid point and neighbour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from solvers.errors import DTypeError, ShapeError
from solvers.kernels import Taps, kernels_for, repeating
from solvers.kernels.structures import windows
from solvers.operators.csr import CSROperator
from solvers.operators.linear_operator import DTYPES, LinearOperator, closed

__all__ = ["StencilOperator"]


class StencilOperator(LinearOperator):
    """(A x)ᵢ = Σ_q c_q(i) x(i + o_q) on a grid of 1 to 3 axes; x is zero outside the grid, or wraps around.

    Parameters
    ----------
    offsets
        The neighbours o_q, each a tuple of d integers.
    coefficients
        ``(*batch, len(offsets), *grid)``, real or complex; the differentiable parameter.
    periodic
        One flag for every axis, or one for all.
    tags
        What is known of the matrix: "symmetric", "spd".

    Raises
    ------
    ShapeError, DTypeError

    Examples
    --------
    >>> import torch
    >>> c = torch.tensor([-1.0, 2.0, -1.0])[:, None].expand(3, 4)
    >>> StencilOperator([(-1,), (0,), (1,)], c, tags={"spd"}).mv(torch.ones(4))
    tensor([1., 0., 0., 1.])
    """

    def __init__(
        self,
        offsets: Sequence[tuple[int, ...]],
        coefficients: Tensor,
        periodic: bool | Sequence[bool] = False,
        tags: Iterable[str] = (),
    ) -> None:
        self.offsets = tuple(tuple(int(step) for step in offset) for offset in offsets)
        d = len(self.offsets[0]) if self.offsets else 0
        if not 1 <= d <= 3 or any(len(offset) != d for offset in self.offsets):
            raise ShapeError(f"offsets {self.offsets}: expected tuples of one length, 1 to 3")
        if len(set(self.offsets)) != len(self.offsets):
            raise ShapeError(f"offsets {self.offsets}: each neighbour may appear once")
        if coefficients.ndim < d + 1 or coefficients.shape[-d - 1] != len(self.offsets):
            raise ShapeError(
                f"coefficients {tuple(coefficients.shape)}: expected (*batch, {len(self.offsets)}, *grid), {d} axes"
            )
        if coefficients.dtype not in DTYPES:
            raise DTypeError(f"coefficients of dtype {coefficients.dtype}: expected {', '.join(map(str, DTYPES))}")
        self.coefficients = coefficients
        self.grid = tuple(coefficients.shape[-d:])
        self.periodic = (periodic,) * d if isinstance(periodic, bool) else tuple(periodic)
        if len(self.periodic) != d:
            raise ShapeError(f"periodic {self.periodic}: expected one flag for each of the {d} axes")
        self.tags = closed(tags)

    @property
    def shape(self) -> tuple[int, int]:
        n = torch.Size(self.grid).numel()
        return n, n

    @property
    def batch_shape(self) -> torch.Size:
        return self.coefficients.shape[: -len(self.grid) - 1]

    def parameters(self) -> tuple[Tensor, ...]:
        return (self.coefficients,)

    def parameter_ndim(self, parameter: Tensor) -> int:
        return len(self.grid) + 1

    def replace(self, parameters: tuple[Tensor, ...]) -> StencilOperator:
        return StencilOperator(self.offsets, parameters[0], self.periodic, self.tags)

    def pullback(self, left: Tensor, right: Tensor) -> tuple[Tensor, ...]:
        left, right = (v.reshape(*v.shape[:-1], *self.grid) for v in torch.broadcast_tensors(left, right))
        terms = []
        for offset in self.offsets:
            term = torch.zeros_like(left)
            for here, there in windows(self.grid, offset, self.periodic):
                term[here] = left[here] * right[there].conj()
            terms.append(term)
        return (torch.stack(terms, -len(self.grid) - 1).sum_to_size(self.coefficients.shape),)

    def diagonal(self) -> Tensor:
        zero = (0,) * len(self.grid)
        if zero not in self.offsets:
            return self.coefficients.new_zeros(*self.batch_shape, self.shape[0])
        return self._coefficient(self.offsets.index(zero)).flatten(-len(self.grid))

    def to_csr(self) -> CSROperator:
        """The same matrices with stored entries (entries of neighbours outside the grid are left out)."""
        index = torch.arange(self.shape[0], device=self.device).reshape(self.grid)
        parts = [
            (index[here].reshape(-1), index[there].reshape(-1), self._coefficient(q)[here].flatten(-len(self.grid)))
            for q, offset in enumerate(self.offsets)
            for here, there in windows(self.grid, offset, self.periodic)
        ]
        parts.append((index.new_empty(0), index.new_empty(0), self.coefficients.new_empty(*self.batch_shape, 0)))
        rows, columns, values = (torch.cat(part, -1) for part in zip(*parts, strict=True))
        return CSROperator.from_coo(rows, columns, values, self.shape, self.tags)

    def _mv(self, x: Tensor) -> Tensor:
        return self._product(Taps.forward(self.offsets, self.periodic), self.coefficients, x)

    def _rmv(self, x: Tensor) -> Tensor:
        return self._product(Taps.adjoint(self.offsets, self.periodic), self.coefficients.conj(), x)

    def _product(self, taps: Taps, coefficients: Tensor, x: Tensor) -> Tensor:
        batch = torch.broadcast_shapes(self.batch_shape, x.shape[:-1])
        field = x.expand(*batch, self.shape[1]).reshape(batch.numel(), *self.grid)
        data = repeating(coefficients, len(self.batch_shape), batch)
        return kernels_for(field).stencil(taps, data, field).reshape(*batch, self.shape[0])

    def _coefficient(self, q: int) -> Tensor:
        return self.coefficients.select(-len(self.grid) - 1, q)
