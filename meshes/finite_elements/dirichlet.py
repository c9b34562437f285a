"""Dirichlet conditions: held degrees of freedom are eliminated, and symmetry stays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from meshes.errors import MeshError
from meshes.finite_elements.boundaries import dofs_on
from meshes.finite_elements.function_space import FunctionSpace
from solvers.operators import CSROperator, CSRPattern
from solvers.operators.csr_pattern import row_pointers

__all__ = ["DirichletCondition"]


@dataclass(frozen=True, eq=False)
class DirichletCondition:
    """Some degrees of freedom are prescribed; the others remain as unknowns.

    With I the free and D the held ones, A u = f becomes A_II u_I = f_I − A_ID g_D: rows *and* columns go, so that the
    matrix stays symmetric, and becomes positive definite where the condition removes the kernel.

    Parameters
    ----------
    space
        Where the fields live.
    dofs
        Held degrees of freedom, as `dofs_on` gives them; several such arrays are joined with ``np.concatenate``.

    Raises
    ------
    MeshError
        Numbers outside of the space, none at all, or all of them.

    Examples
    --------
    >>> from meshes import Mesh
    >>> from meshes.finite_elements import diffusion
    >>> space = FunctionSpace(Mesh([[0.0], [1.0], [3.0]], {"line": [[0, 1], [1, 2]]}))
    >>> ends = DirichletCondition.on(space)
    >>> g = torch.tensor([0.0, 0.0, 3.0], dtype=torch.float64)
    >>> A, f = ends.eliminate(diffusion(space)(1.0), torch.zeros(3, dtype=torch.float64), g)
    >>> ends.extend(f / A.diagonal(), g)
    tensor([0., 1., 3.], dtype=torch.float64)
    """

    space: FunctionSpace
    dofs: ArrayLike
    _parts: WeakKeyDictionary[CSRPattern, tuple[CSRPattern, Tensor]] = field(
        default_factory=WeakKeyDictionary, init=False, repr=False
    )

    def __post_init__(self) -> None:
        dofs = np.unique(np.asarray(self.dofs))
        size = self.space.size
        if dofs.dtype.kind not in "iu" or not len(dofs) or dofs[0] < 0 or dofs[-1] >= size:
            raise MeshError(f"held degrees of freedom {dofs[:5]}…: expected whole numbers from 0 to {size - 1}.")
        if len(dofs) == size:
            raise MeshError(f"all {size} degrees of freedom are held: nothing is left to solve for.")
        object.__setattr__(self, "dofs", dofs.astype(np.int64))

    @classmethod
    def on(cls, space: FunctionSpace, *where: str, component: int | None = None) -> DirichletCondition:
        """Held on named facet or node sets, or on the whole boundary; see `dofs_on`."""
        return cls(space, dofs_on(space, *where, component=component))

    @cached_property
    def free(self) -> Tensor:
        """The degrees of freedom that remain, rising, int64."""
        return (~self._held).nonzero().squeeze(1)

    def eliminate(
        self, A: CSROperator, load: Tensor, prescribed: Tensor | None = None, tags: Iterable[str] | None = None
    ) -> tuple[CSROperator, Tensor]:
        """A_II and f_I − A_ID g_D, differentiable in A's values, the load and the prescribed values.

        Parameters
        ----------
        A
            Operators ``(*batch, size, size)``.
        load
            ``(*batch, size)``.
        prescribed
            g ``(*batch, size)``, of which only the held entries count; zero by default.
        tags
            What is known of A_II. By default a symmetric A is taken to become "spd": right for the forms of this
            package with positive coefficients where the condition excludes their kernels (constants, rigid motions).
            For others, such as −Δ − k², pass ``tags={"symmetric"}``.

        Raises
        ------
        MeshError
            A, load or prescribed values of another size.
        """
        size = self.space.size
        if A.shape != (size, size):
            raise MeshError(f"operator {A.shape}: expected {(size, size)}, that of the space.")
        self._require_length("load", load)
        pattern, entries = self._part(A.pattern)
        if tags is None:
            tags = {"spd"} if "symmetric" in A.tags else A.tags
        reduced = CSROperator.from_pattern(pattern, A.values[..., entries], tags)
        if prescribed is not None:
            self._require_length("prescribed values", prescribed)
            load = load - A @ torch.where(self._held.to(prescribed.device), prescribed, 0)
        return reduced, load[..., self.free.to(load.device)]

    def extend(self, free: Tensor, prescribed: Tensor | None = None) -> Tensor:
        """The whole vector ``(*batch, size)`` from the unknowns ``(*batch, len(free))`` and the prescribed values."""
        if free.shape[-1] != len(self.free):
            raise MeshError(f"unknowns {tuple(free.shape)}: expected (*batch, {len(self.free)}).")
        held = self._held.to(free.device)
        whole = free.new_zeros(*free.shape[:-1], self.space.size).index_copy(-1, self.free.to(free.device), free)
        if prescribed is None:
            return whole
        self._require_length("prescribed values", prescribed)
        return torch.where(held, prescribed, whole)

    @cached_property
    def _held(self) -> Tensor:
        held = torch.zeros(self.space.size, dtype=torch.bool)
        held[torch.from_numpy(self.dofs)] = True
        return held

    def _part(self, pattern: CSRPattern) -> tuple[CSRPattern, Tensor]:
        """The pattern of A_II and the entries of A in it; kept, as many operators share one pattern."""
        if pattern not in self._parts:
            held = self._held.to(pattern.col.device)
            entries = (~(held[pattern.row] | held[pattern.column])).nonzero().squeeze(1)
            new = torch.cumsum(~held, 0) - 1
            count = len(self.free)
            crow = row_pointers(torch.bincount(new[pattern.row[entries]], minlength=count))
            self._parts[pattern] = CSRPattern(crow, new[pattern.column[entries]], (count, count)), entries
        return self._parts[pattern]

    def _require_length(self, what: str, vector: Tensor) -> None:
        if vector.shape[-1:] != (self.space.size,):
            raise MeshError(f"{what} {tuple(vector.shape)}: expected (*batch, {self.space.size}).")
