"""Geometric multigrid for diffusion operators on structured grids: a preconditioner and a solver."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from solvers.errors import ShapeError, TagError
from solvers.inverse import Inverse
from solvers.kernels import Level, Levels, Smoothing, kernels_for
from solvers.kernels.structures import axis_transfer, cubic_transfer, source_transfer
from solvers.multigrid.coarsening import can_coarsen, coarsen
from solvers.operators.diffusion import DiffusionOperator
from solvers.operators.linear_operator import LinearOperator

__all__ = ["DampedJacobi", "GeometricMultigrid", "MultigridHierarchy", "RedBlackGaussSeidel"]

_COARSEST = {"cell": 4, "vertex": 3}
_DENSE_LIMIT = 1024


@dataclass(frozen=True)
class RedBlackGaussSeidel:
    """Gauss-Seidel, even points then odd; reversed after the coarse correction, so that a cycle is symmetric."""

    @property
    def omega(self) -> None:
        return None


@dataclass(frozen=True)
class DampedJacobi:
    """u ← u + ω D⁻¹ (b − A u); ω = 4/5 suits two dimensions, 6/7 three."""

    omega: float = 0.8


@dataclass(frozen=True)
class GeometricMultigrid:
    """V-cycles on grids that halve (Brandt 1977), with integrated coarse operators and R = Pᵀ.

    Parameters
    ----------
    pre, post
        Smoothing sweeps before and after the coarse correction; equal numbers make the cycle symmetric, as CG needs.
    smoother
        `RedBlackGaussSeidel` or `DampedJacobi`.
    levels
        Largest number of levels; None: down to 4 cells (3 vertices) an axis, or the first size that does not halve.
    dtype
        Precision of the hierarchy; None: the operator's. ``torch.float32`` inside a float64 CG costs no iterations.

    Examples
    --------
    >>> import torch
    >>> from solvers import CG, linear_solve, poisson_operator
    >>> A = poisson_operator((63, 63), alignment="vertex")
    >>> linear_solve(A, torch.ones(63 * 63, dtype=torch.float64), CG(), GeometricMultigrid()).stats.iterations < 12
    tensor(True)
    """

    pre: int = 1
    post: int = 1
    smoother: RedBlackGaussSeidel | DampedJacobi = RedBlackGaussSeidel()
    levels: int | None = None
    dtype: torch.dtype | None = None

    @torch.no_grad()
    def setup(self, A: LinearOperator) -> MultigridHierarchy:
        """Coarsen `A` down to a size solved densely; all systems of the batch at once.

        Raises
        ------
        TagError
            `A` is not a `DiffusionOperator`.
        ShapeError
            The grid stops halving before the dense solve is small.
        """
        if not isinstance(A, DiffusionOperator):
            raise TagError(
                f"{type(A).__name__}: geometric multigrid needs a DiffusionOperator (finite_volume_operator)"
            )
        same = self.dtype in (None, A.dtype)
        operator = A if same else A.replace(tuple(p.detach().to(self.dtype) for p in A.parameters()))
        operators = [operator]
        while operator.shape[0] > _COARSEST[A.alignment] ** len(A.grid) and can_coarsen(operator):
            if self.levels is not None and len(operators) >= self.levels:
                break
            operator = coarsen(operator)
            operators.append(operator)
        if operator.shape[0] > _DENSE_LIMIT:
            rule = "a power of two times a small number" if A.alignment == "cell" else "2^m − 1"
            raise ShapeError(
                f"grid {A.grid}: coarsening stops at {operator.grid}, {operator.shape[0]} unknowns, too many for the "
                f"dense coarsest solve (limit {_DENSE_LIMIT}); use {rule} points per axis ({A.alignment} alignment), "
                "or no multigrid"
            )
        levels = tuple(_level(fine, coarse) for fine, coarse in pairwise(operators))
        smoothing = Smoothing(self.pre, self.post, self.smoother.omega)
        data = Levels((*levels, Level(operator.links)), _inverse(operator.to_dense()), smoothing)
        return MultigridHierarchy(A, operators, data)


class MultigridHierarchy(Inverse):
    """What `GeometricMultigrid.setup` built: call it for z = M r on flat vectors ``(*batch, n)``.

    With equal numbers of pre- and post-smoothing sweeps M is symmetric positive definite (on the range of a singular
    operator). No gradient flows through it.
    """

    def __init__(self, A: DiffusionOperator, operators: list[DiffusionOperator], data: Levels) -> None:
        self.operator, self.operators, self.data = A, operators, data
        self.is_spd = data.smoothing.pre == data.smoothing.post

    @property
    def H(self) -> MultigridHierarchy:
        """The cycle with pre- and post-smoothing exchanged."""
        smoothing = self.data.smoothing
        swapped = replace(smoothing, pre=smoothing.post, post=smoothing.pre)
        return MultigridHierarchy(self.operator, self.operators, replace(self.data, smoothing=swapped, prepared={}))

    @torch.no_grad()
    def __call__(self, r: Tensor) -> Tensor:
        """One V-cycle from zero for A z = r."""
        data, field = self._prepared(self.operator.project(r))
        z = kernels_for(field).correct(data, field)
        return self.operator.project(z.reshape(r.shape).to(r.dtype))

    @torch.no_grad()
    def cycle(self, b: Tensor, x: Tensor) -> Tensor:
        """One V-cycle for A x = b from the guess `x`: x + M (b − A x)."""
        return x + self(b - self.operator.mv(x))

    @torch.no_grad()
    def full_multigrid(self, b: Tensor, cycles: int = 1) -> Tensor:
        """Nested iteration: solve on the coarsest grid, interpolate cubically, `cycles` V-cycles on each finer one.

        One cycle a level reaches about the discretisation error of a smooth solution.
        """
        batch = torch.broadcast_shapes(self.operator.batch_shape, b.shape[:-1])
        data, field = self._prepared(self.operator.project(b.expand(*batch, -1)))
        x = kernels_for(field).full_multigrid(data, field, cycles)
        return self.operator.project(x.reshape(*batch, -1).to(b.dtype))

    def _prepared(self, r: Tensor) -> tuple[Levels, Tensor]:
        """The hierarchy and the field with batches flattened so that the former repeats along the latter."""
        A = self.operator
        A.check_vector(r, A.shape[1])
        batch = torch.broadcast_shapes(A.batch_shape, r.shape[:-1])
        if batch != r.shape[:-1]:
            raise ShapeError(
                f"vector of batch shape {tuple(r.shape[:-1])}: the hierarchy holds {tuple(A.batch_shape)} systems"
            )
        links = self.data.levels[0].links
        if links.matching(A.batch_shape, batch) is not links:
            raise ShapeError(
                f"hierarchy of batch shape {tuple(A.batch_shape)} and vectors {tuple(batch)}: expected its shape as "
                "the last batch axes; materialise the operator with expand"
            )
        dtype = self.operators[0].dtype
        return self.data, r.to(dtype).reshape(-1, *A.grid)

    def __repr__(self) -> str:
        sizes = [operator.shape[0] for operator in self.operators]
        lines = [
            f"MultigridHierarchy: {len(sizes)} levels, {self.operator.alignment} grids, "
            f"grid complexity {sum(sizes) / sizes[0]:.2f}, batch {tuple(self.operator.batch_shape)}, "
            f"{self.operators[0].dtype}"
        ]
        for number, operator in enumerate(self.operators):
            note = " (dense)" if number == len(sizes) - 1 else ""
            lines.append(f"  {number}: {' × '.join(map(str, operator.grid))} = {operator.shape[0]} unknowns{note}")
        return "\n".join(lines)


def _level(fine: DiffusionOperator, coarse: DiffusionOperator) -> Level:
    linear, source, cubic = [], [], []
    for k, n in enumerate(coarse.grid):
        low, high = (_reflection(fine, k, side) for side in (0, -1))
        linear.append(axis_transfer(n, fine.alignment, low, high, fine.periodic[k]))
        source.append(source_transfer(n, fine.alignment, low, high, fine.periodic[k]))
        cubic.append(cubic_transfer(n, fine.alignment, low, high, fine.periodic[k]))
    return Level(fine.links, tuple(linear), tuple(source), tuple(cubic))


def _reflection(A: DiffusionOperator, axis: int, side: int) -> float:
    """How a grid function continues beyond a side: odd (vertices: zero) where any face holds it, else even."""
    held = bool((A.faces[axis].select(axis - len(A.grid), side) != 0).any())
    if A.alignment == "vertex":
        return 0.0 if held else 1.0
    return -1.0 if held else 1.0


def _inverse(dense: Tensor) -> Tensor:
    """Inverses ``(batch, n, n)``; the pseudo-inverse for matrices that Cholesky finds singular, NaN for NaN."""
    n = dense.shape[-1]
    matrices = dense.reshape(-1, n, n)
    finite = matrices.isfinite().all(-1).all(-1)
    identity = torch.eye(n, dtype=dense.dtype, device=dense.device)
    safe = torch.where(finite[:, None, None], matrices, identity)
    factor, info = torch.linalg.cholesky_ex(safe)
    pivots = factor.diagonal(dim1=-2, dim2=-1)
    small = 100 * n * torch.finfo(dense.dtype).eps
    weak = (info != 0) | ~(pivots.amin(-1) ** 2 > small * safe.diagonal(dim1=-2, dim2=-1).amax(-1))
    factor = torch.where(weak[:, None, None], identity, factor)
    inverse = torch.cholesky_inverse(factor)
    if bool(weak.any()):
        inverse[weak] = torch.linalg.pinv(safe[weak], rtol=small, hermitian=True)
    inverse = 0.5 * (inverse + inverse.mT)
    return torch.where(finite[:, None, None], inverse, torch.nan)
