"""Assembled operators as linear maps of their coefficients: values = S c, with S built once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshes.errors import MeshError
from meshes.finite_elements.coefficients import CoefficientLayout
from meshes.finite_elements.sparsity import EntryPlaces
from solvers.operators import CSROperator, CSRPattern
from solvers.operators.linear_operator import closed

__all__ = ["AssemblyMap", "assembly_map", "load_map"]

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class AssemblyMap:
    """The matrices of a bilinear form that is linear in a coefficient: call it with coefficients, get a `CSROperator`.

    Parameters
    ----------
    map
        S ``(nnz, count · channels)``: the operator's values are S c. A whole batch of coefficients is one product, and
        derivatives of any order follow from it.
    pattern
        Where the values stand.
    channels
        Numbers for each cell (node, quadrature point), such as the two of Lamé; 1 if the coefficient is a scalar.
    place
        What the coefficients belong to, for messages.
    tags
        What is known of every operator made.

    Examples
    --------
    >>> from meshes import Mesh
    >>> from meshes.finite_elements import FunctionSpace, diffusion
    >>> space = FunctionSpace(Mesh([[0.0], [1.0], [3.0]], {"line": [[0, 1], [1, 2]]}))
    >>> diffusion(space)(torch.tensor([1.0, 4.0], dtype=torch.float64)).to_dense()
    tensor([[ 1., -1.,  0.],
            [-1.,  3., -2.],
            [ 0., -2.,  2.]], dtype=torch.float64)
    """

    map: CSROperator
    pattern: CSRPattern
    channels: int
    place: str
    tags: frozenset[str]

    @property
    def count(self) -> int:
        """How many coefficients of each channel there are."""
        return self.map.shape[1] // self.channels

    def __call__(self, coefficient: Tensor | float) -> CSROperator:
        """Assemble.

        Parameters
        ----------
        coefficient
            ``(*batch, count)``, with channels ``(*batch, count, channels)``, in the map's dtype and device. A number
            (with channels: ``(channels,)``) stands for the same everywhere.

        Raises
        ------
        MeshError
            Another shape or dtype.
        """
        flat = self._flat(torch.as_tensor(coefficient))
        return CSROperator.from_pattern(self.pattern, self.map @ flat, self.tags)

    def to(self, target: torch.device | torch.dtype | str) -> AssemblyMap:
        """The map on another device, or in another precision."""
        moved = self.map.to(target)
        return replace(self, map=moved, pattern=self.pattern.to(moved.device))

    def __repr__(self) -> str:
        m, n = self.pattern.shape
        channels = "" if self.channels == 1 else f" × {self.channels} channels"
        return f"AssemblyMap: {self.count} coefficients, one a {self.place}{channels} -> {m} × {n} matrices"

    def _flat(self, coefficient: Tensor) -> Tensor:
        tail = () if self.channels == 1 else (self.channels,)
        if coefficient.shape == tail:
            coefficient = coefficient.to(self.map.dtype).expand(self.count, *tail)
        if coefficient.dtype != self.map.dtype:
            raise MeshError(
                f"coefficient of {coefficient.dtype}, assembly in {self.map.dtype}: convert the coefficient, or the "
                "map with AssemblyMap.to."
            )
        full = (self.count, *tail)
        if coefficient.shape[max(0, coefficient.ndim - len(full)) :] != full:
            batch = ", ".join(["*batch", *map(str, full)])
            raise MeshError(
                f"coefficient {tuple(coefficient.shape)}: expected ({batch}), one a {self.place}"
                + (f" with {self.channels} channels." if tail else ".")
            )
        return coefficient.flatten(-2) if tail else coefficient


@dataclass(frozen=True, eq=False)
class FormFactors:
    """∫ (B_v v)ᵀ D_k (B_u u): B ``(cells, q, rows, local dofs)`` at quadrature points, D ``(channels, rows, rows)``.

    B_v and B_u may have different rows (values against gradients in advection).
    """

    test: Array
    material: Array
    trial: Array
    weights: Array

    @cached_property
    def left(self) -> Array:
        cells, q, rows, local = self.test.shape
        return self.test.reshape(cells, q * rows, local).transpose(0, 2, 1)

    def cell_matrices(self, channel: int, shapes: Array) -> Array:
        """Matrices ``(cells, i, j)`` for a coefficient ``(cells or 1, q)``."""
        right = np.matmul(self.material[channel], self.trial) * (self.weights * shapes)[:, :, None, None]
        cells, q, rows, local = right.shape
        return np.asarray(np.matmul(self.left, right.reshape(cells, q * rows, local)))


def assembly_map(
    form: FormFactors, layout: CoefficientLayout, places: EntryPlaces, tags: Iterable[str] = ()
) -> AssemblyMap:
    """S of a bilinear form: in column (m, k) the values of the form for the m-th coefficient's shape and channel k."""
    channels = len(form.material)
    nnz = places.pattern.col.numel()
    transposed = scipy.sparse.csr_array((layout.count * channels, nnz))
    for channel in range(channels):
        for m in range(layout.numbers.shape[1]):
            cells = form.cell_matrices(channel, layout.shapes[:, m])
            number = layout.numbers[:, m] * channels + channel
            transposed = transposed + _collected(cells, places.places, number, transposed.shape)
    S = CSROperator.from_scipy(transposed.T)
    return AssemblyMap(S, places.pattern, channels, layout.name, closed(tags))


def load_map(values: Array, weights: Array, layout: CoefficientLayout, dofs: Array, size: int) -> CSROperator:
    """L of ∫ f·v: values ``(cells, q, components, local dofs)``; columns (m, component) as the coefficients lie."""
    components = values.shape[2]
    transposed = scipy.sparse.csr_array((layout.count * components, size))
    for component in range(components):
        for m in range(layout.numbers.shape[1]):
            cells = np.einsum("eqi,eq->ei", values[:, :, component], weights * layout.shapes[:, m])
            number = layout.numbers[:, m] * components + component
            transposed = transposed + _collected(cells, dofs, number, transposed.shape)
    return CSROperator.from_scipy(transposed.T)


def _collected(values: Array, columns: Array, number: Array, shape: tuple[int, int]) -> Any:
    """Row `number` of each cell gets its entries ``(cells, ...)`` in these columns; rows of one number are summed.

    Cells as rows of a sparse matrix need no sorting: their entries lie there already, one cell after the other.
    """
    count, width = len(values), int(np.prod(values.shape[1:]))
    start = np.arange(count + 1) * width
    rows = scipy.sparse.csr_array((values.ravel(), columns.ravel(), start), (count, shape[1]))
    sums = scipy.sparse.csr_array((np.ones(count), (number, np.arange(count))), (shape[0], count))
    collected = sums @ rows
    collected.eliminate_zeros()
    return collected
