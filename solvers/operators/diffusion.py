"""Symmetric diffusion on a structured grid, given by the transmissibility of every face between two cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from solvers.errors import DeviceError, DTypeError, ShapeError
from solvers.kernels import Links, kernels_for
from solvers.operators.csr import CSROperator
from solvers.operators.diffusion_kernel import DiffusionKernel
from solvers.operators.kept import Kept
from solvers.operators.linear_operator import LinearOperator
from solvers.operators.stencil import StencilOperator
from solvers.operators.stencil_faces import faces_of

__all__ = ["DiffusionOperator"]


class DiffusionOperator(LinearOperator):
    """(A u)ᵢ = Σ_faces t (uᵢ − uⱼ) + reaction · uᵢ, the (2d+1)-point operator of finite volumes, d = 1, 2, 3.

    Parameters
    ----------
    faces
        One tensor an axis, float32 or float64. ``faces[k]`` has shape ``(*batch, n_0, …, n_k + 1, …)``; its first and
        last layer are the boundary faces: the transmissibility to the value zero (Dirichlet), or 0 (Neumann).
        Along a periodic axis it has n_k layers; layer i is the face between cells i − 1 and i, layer 0 the wrap.
    reaction
        ``(*batch, *grid)`` or None.
    periodic
        One flag for every axis, or one for all.
    alignment
        What the unknowns are on the unit box, for multigrid: "cell" (centres of 2ᵐ cells an axis) or "vertex"
        (the 2ᵐ − 1 interior points an axis).

    Notes
    -----
    A = Σ_k Dₖᵀ diag(tₖ) Dₖ + diag(reaction), with Dₖ the difference across every face of axis k: symmetric by
    construction, positive definite if no t is negative and a Dirichlet face or a reaction is positive. Without either
    the kernel is the constants, on every part of the grid that faces with t = 0 cut off (see `is_singular`, `project`).
    The tag "spd" is kept with a negative reaction, which may leave A definite: CG tells the systems where it does not.

    Raises
    ------
    ShapeError, DTypeError, DeviceError

    Examples
    --------
    >>> import torch
    >>> A = DiffusionOperator([torch.tensor([2.0, 1.0, 2.0])])
    >>> A.to_dense()
    tensor([[ 3., -1.],
            [-1.,  3.]])
    """

    tags = frozenset({"symmetric", "spd"})

    stays_symmetric = True

    def __init__(
        self,
        faces: Iterable[Tensor],
        reaction: Tensor | None = None,
        periodic: bool | Sequence[bool] = False,
        alignment: str = "cell",
    ) -> None:
        self.faces = tuple(faces)
        self.reaction = reaction
        d = len(self.faces)
        if not 1 <= d <= 3:
            raise ShapeError(f"{d} face tensors: expected one for each of 1 to 3 axes")
        self.periodic = (periodic,) * d if isinstance(periodic, bool) else tuple(bool(p) for p in periodic)
        if len(self.periodic) != d:
            raise ShapeError(f"periodic {self.periodic}: expected one flag for each of the {d} axes")
        if alignment not in ("cell", "vertex"):
            raise ValueError(f"alignment {alignment!r}: expected 'cell' or 'vertex'")
        if alignment == "vertex" and any(self.periodic):
            raise ValueError("alignment 'vertex' is for Dirichlet sides; use 'cell' on periodic axes")
        self.alignment = alignment
        self.grid, self._batch_shape = self._check()
        self._kept = Kept(*self.parameters())
        #: The kernel found last, shared by all operators that `replace` makes of this one.
        self._last: list[DiffusionKernel] = []

    @classmethod
    def from_stencil(cls, stencil: StencilOperator, alignment: str | None = None) -> DiffusionOperator:
        """The same matrices, of a symmetric 3-, 5- or 7-point stencil, as a diffusion: for geometric multigrid.

        Parameters
        ----------
        stencil
            Coefficients ≤ 0 of the nearest neighbours and row sums ≥ 0; differentiable in them.
        alignment
            As above; None: "vertex" if every axis has an odd number of points and none is periodic, else "cell".

        Raises
        ------
        TagError, DTypeError
            The stencil is not of this kind; the message says in which way.

        Examples
        --------
        >>> import torch
        >>> c = torch.tensor([-1.0, 2.0, -1.0])[:, None].expand(3, 3)
        >>> DiffusionOperator.from_stencil(StencilOperator([(-1,), (0,), (1,)], c)).faces[0]
        tensor([1., 1., 1., 1.])
        """
        faces, reaction = faces_of(stencil)
        if alignment is None:
            alignment = "vertex" if all(n % 2 for n in stencil.grid) and not any(stencil.periodic) else "cell"
        return cls(faces, reaction, stencil.periodic, alignment)

    def _check(self) -> tuple[tuple[int, ...], torch.Size]:
        """Grid and batch shape on which all tensors agree; raises if they do not."""
        d, first = len(self.faces), self.faces[0]
        shapes = [f.shape for f in self.faces]
        if any(f.ndim < d for f in self.faces):
            raise ShapeError(
                f"faces {[tuple(s) for s in shapes]}: expected at least {d} axes, (*batch, *grid + one along k)"
            )
        grid = tuple(shapes[k][k - d] - (not self.periodic[k]) for k in range(d))
        for k, shape in enumerate(shapes):
            expected = tuple(n + (j == k and not self.periodic[k]) for j, n in enumerate(grid))
            if tuple(shape[-d:]) != expected or min(grid) < 1:
                raise ShapeError(
                    f"faces[{k}] {tuple(shape)}: expected (*batch, {', '.join(map(str, expected))}) for grid {grid}"
                )
        if self.reaction is not None and tuple(self.reaction.shape[-d:]) != grid:
            raise ShapeError(f"reaction {tuple(self.reaction.shape)}: expected (*batch, {', '.join(map(str, grid))})")
        for tensor in self.parameters():
            if tensor.dtype != first.dtype or tensor.dtype not in (torch.float32, torch.float64):
                raise DTypeError(f"dtypes {first.dtype}, {tensor.dtype}: expected one, float32 or float64")
            if tensor.device != first.device:
                raise DeviceError(f"faces on {first.device} and {tensor.device}: move them to one device")
        try:
            return grid, torch.broadcast_shapes(*(t.shape[:-d] for t in self.parameters()))
        except RuntimeError:
            raise ShapeError(
                f"batch shapes {[tuple(t.shape[:-d]) for t in self.parameters()]} do not broadcast"
            ) from None

    @property
    def shape(self) -> tuple[int, int]:
        n = torch.Size(self.grid).numel()
        return n, n

    @property
    def batch_shape(self) -> torch.Size:
        return self._batch_shape

    def parameters(self) -> tuple[Tensor, ...]:
        return self.faces if self.reaction is None else (*self.faces, self.reaction)

    def parameter_ndim(self, parameter: Tensor) -> int:
        return len(self.grid)

    def replace(self, parameters: tuple[Tensor, ...]) -> DiffusionOperator:
        d = len(self.grid)
        reaction = parameters[d] if len(parameters) > d else None
        new = DiffusionOperator(parameters[:d], reaction, self.periodic, self.alignment)
        new._last = self._last
        return new

    def pullback(self, left: Tensor, right: Tensor) -> tuple[Tensor, ...]:
        left, right = self._on_grid(left), self._on_grid(right)
        terms = [self._across(left, k) * self._across(right, k) for k in range(len(self.grid))]
        if self.reaction is not None:
            terms.append(left * right)
        return tuple(t.sum_to_size(p.shape) for t, p in zip(terms, self.parameters(), strict=True))

    def diagonal(self) -> Tensor:
        return self._diagonal().flatten(-len(self.grid))

    @property
    def is_singular(self) -> Tensor:
        """True for the systems with a part that no Dirichlet face and no reaction holds, ``(*batch)``.

        The kernel is the constants on each such part; cells without links (obstacles) are parts of their own.
        """
        return self.kernel.is_singular

    def project(self, x: Tensor) -> Tensor:
        return self.kernel.project(x)

    @property
    def kernel(self) -> DiffusionKernel:
        """Which points are connected, and which of these parts nothing holds."""
        return self._kept.get("kernel", None, self._found_kernel)

    def _found_kernel(self) -> DiffusionKernel:
        """The kernel, sought anew only if the walls are not those of the last operator that this one comes from."""
        links, held = self._upper(), self._held()
        if not (self._last and self._last[0].is_of(links, held)):
            self._last[:] = [DiffusionKernel(links, held, self.periodic)]
        return self._last[0]

    def _held(self) -> Tensor:
        """Points with a Dirichlet face or a reaction, ``(*batch, *grid)``."""
        d = len(self.grid)
        held = torch.zeros((*self.batch_shape, *self.grid), dtype=torch.bool, device=self.device)
        for k, t in enumerate(self.faces):
            if not self.periodic[k]:
                for side in (0, -1):
                    held.select(k - d, side).logical_or_(t.detach().select(k - d, side) != 0)
        return held if self.reaction is None else held | (self.reaction.detach() != 0)

    def _upper(self) -> list[Tensor]:
        """Links to the next point of each axis (detached), ``(*batch, *grid)``."""
        shape = (*self.batch_shape, *self.grid)
        upper = []
        for k, t in enumerate(self.faces):
            t, axis = t.detach(), k - len(self.grid)
            if self.grid[k] == 1:
                upper.append(t.new_zeros(()).expand(shape))
            elif self.periodic[k]:
                upper.append(t.roll(-1, axis).expand(shape))
            else:
                inner = t.narrow(axis, 1, self.grid[k]).expand(shape).clone()
                inner.select(axis, -1).zero_()
                upper.append(inner)
        return upper

    @property
    def links(self) -> Links:
        """The operator as the kernels want it: one array per sample (detached)."""
        shape = (*self.batch_shape, *self.grid)
        return self._kept.get("links", None, lambda: Links.build(self._upper(), self._diagonal().expand(shape)))

    def to_stencil(self) -> StencilOperator:
        """The same matrices as a `StencilOperator`; differentiable in the faces."""
        d, shape = len(self.grid), (*self.batch_shape, *self.grid)
        offsets: dict[tuple[int, ...], Tensor] = {(0,) * d: self._diagonal().expand(shape)}
        for k, t in enumerate(self.faces):
            n, axis = self.grid[k], k - d
            if n == 1:
                continue
            upper = t.roll(-1, axis) if self.periodic[k] else t.narrow(axis, 1, n)
            for step, values in ((-1, t.narrow(axis, 0, n)), (1, upper)):
                # On a periodic axis of one or two cells several faces join the same pair.
                offset = tuple((step % n if self.periodic[k] and n < 3 else step) if j == k else 0 for j in range(d))
                offsets[offset] = offsets.get(offset, 0) - values.expand(shape)
        return StencilOperator(list(offsets), torch.stack(list(offsets.values()), -d - 1), self.periodic, self.tags)

    def to_csr(self) -> CSROperator:
        """The same matrices with stored entries; differentiable in the faces."""
        return self.to_stencil().to_csr()

    def _mv(self, x: Tensor) -> Tensor:
        batch = torch.broadcast_shapes(self.batch_shape, x.shape[:-1])
        links = self.links.matching(self.batch_shape, batch)
        u = x.expand(*batch, self.shape[0]).reshape(-1, *self.grid)
        return kernels_for(u).apply(links, u).reshape(*batch, self.shape[0])

    def _rmv(self, x: Tensor) -> Tensor:
        return self._mv(x)

    def _on_grid(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:-1], *self.grid)

    def _across(self, u: Tensor, k: int) -> Tensor:
        """Dₖ u: the difference across every face of axis k, with the value zero beyond a boundary face."""
        axis = k - len(self.grid)
        if self.periodic[k]:
            return u - u.roll(1, axis)
        outside = torch.zeros_like(u.narrow(axis, 0, 1))
        return torch.diff(u, dim=axis, prepend=outside, append=outside)

    def _diagonal(self) -> Tensor:
        total = torch.zeros((), dtype=self.dtype, device=self.device) if self.reaction is None else self.reaction
        for k, t in enumerate(self.faces):
            n, axis = self.grid[k], k - len(self.grid)
            if self.periodic[k]:
                total = total + (t + t.roll(-1, axis) if n > 1 else torch.zeros_like(t))
            else:
                total = total + t.narrow(axis, 0, n) + t.narrow(axis, 1, n)
        return total.expand(*self.batch_shape, *self.grid)
