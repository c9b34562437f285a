"""Geometric multigrid for diffusion operators on structured grids: a preconditioner and a solver."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from solvers.errors import ShapeError, TagError
from solvers.inverse import Inverse
from solvers.kernels import Interpolation, Level, Levels, Smoothing, kernels_for
from solvers.kernels.nesting import cubic_transfer, identity_transfer, source_transfer
from solvers.multigrid.coarsening import coarsen, coarsening_axes
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
    """V-cycles (Brandt 1977) with interpolation weighted by the operator (de Zeeuw 1990), and R = Pᵀ.

    Any number of points an axis will do, except that periodic ones must halve. Weak axes are coarsened later
    (semi-coarsening), and cells without links (obstacles) are left alone. Coefficients may jump by any factor between
    regions that are several cells wide; among single cells, a contrast above 1e3 asks for `RugeStuben`.

    Parameters
    ----------
    pre, post
        Smoothing sweeps before and after the coarse correction; equal numbers make the cycle symmetric, as CG needs.
    smoother
        `RedBlackGaussSeidel` or `DampedJacobi`.
    levels
        Largest number of levels; None: down to 4 cells (3 vertices) an axis, or to a periodic axis of odd length.
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
            A periodic axis of odd length, or `levels`, ends coarsening before the dense solve is small.
        """
        if not isinstance(A, DiffusionOperator):
            raise TagError(
                f"{type(A).__name__}: geometric multigrid needs a DiffusionOperator (finite_volume_operator)"
            )
        same = self.dtype in (None, A.dtype)
        operator = A if same else A.replace(tuple(p.detach().to(self.dtype) for p in A.parameters()))
        operators, steps = [operator], []
        while operator.shape[0] > _COARSEST[A.alignment] ** len(A.grid):
            axes = coarsening_axes(operator)
            if not axes or (self.levels is not None and len(operators) >= self.levels):
                break
            step, operator = coarsen(operator, axes)
            operators.append(operator)
            steps.append(step)
        if operator.shape[0] > _DENSE_LIMIT:
            raise ShapeError(
                f"grid {A.grid}: coarsening stops at {operator.grid}, {operator.shape[0]} unknowns, too many for the "
                f"dense coarsest solve (limit {_DENSE_LIMIT}); allow more levels, and give periodic axes "
                "a power of two times a small number of points"
            )
        levels = tuple(_level(fine, step) for fine, step in zip(operators, steps, strict=False))
        smoothing = Smoothing(self.pre, self.post, self.smoother.omega)
        data = Levels((*levels, Level(operator.links)), _inverse(operator), smoothing)
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


def _level(A: DiffusionOperator, steps: tuple[Interpolation, ...]) -> Level:
    source, cubic = [], []
    for k, n in enumerate(A.grid):
        if any(step.axis == k for step in steps):
            low, high = (_reflection(A, k, side) for side in (0, -1))
            source.append(source_transfer(n, A.alignment, low, high, A.periodic[k]).to(A.device))
            cubic.append(cubic_transfer(n, A.alignment, low, high, A.periodic[k]).to(A.device))
        else:
            same = identity_transfer(n).to(A.device)
            source.append(same)
            cubic.append(same)
    return Level(A.links, steps, tuple(source), tuple(cubic))


def _reflection(A: DiffusionOperator, axis: int, side: int) -> float:
    """How a grid function continues beyond a side: odd (vertices: zero) where any face holds it, else even."""
    held = bool((A.faces[axis].select(axis - len(A.grid), side) != 0).any())
    if A.alignment == "vertex":
        return 0.0 if held else 1.0
    return -1.0 if held else 1.0


def _inverse(A: DiffusionOperator) -> Tensor:
    """Dense inverses ``(batch, n, n)``; generalised ones of singular matrices, NaN for NaN.

    In double precision, of the matrix scaled to a unit diagonal: what is small because of a high contrast is not
    taken for zero.
    """
    n = A.shape[0]
    matrices = A.replace(tuple(p.detach().double() for p in A.parameters())).to_dense().reshape(-1, n, n)
    finite = matrices.isfinite().all(-1).all(-1)[:, None, None]
    diagonal = matrices.diagonal(dim1=-2, dim2=-1)
    scale = torch.where(diagonal > 0, diagonal.rsqrt(), 0)
    scale = scale.unsqueeze(-1) * scale.unsqueeze(-2)
    identity = torch.eye(n, dtype=matrices.dtype, device=matrices.device)
    safe = torch.where(finite, scale * matrices, identity)
    factor, info = torch.linalg.cholesky_ex(safe)
    small = 100 * n * torch.finfo(safe.dtype).eps
    weak = (info != 0) | ~(factor.diagonal(dim1=-2, dim2=-1).amin(-1) ** 2 > small)
    factor = torch.where(weak[:, None, None], identity, factor)
    inverse = torch.cholesky_inverse(factor)
    if bool(weak.any()):
        inverse[weak] = torch.linalg.pinv(safe[weak], rtol=small, hermitian=True)
    inverse = 0.5 * scale * (inverse + inverse.mT)
    return torch.where(finite, inverse, torch.nan).to(A.dtype)
