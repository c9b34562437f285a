"""Diffusion operators from coefficients, mesh widths and boundary conditions."""

from collections.abc import Sequence

import torch
from torch import Tensor

from solvers.errors import ShapeError
from solvers.operators.diffusion import DiffusionOperator

__all__ = ["Boundary", "finite_volume_operator", "poisson_operator"]

Boundary = str | Sequence[str | tuple[str, str]]

_KINDS = ("dirichlet", "neumann", "periodic")


def finite_volume_operator(
    coefficient: Tensor,
    spacing: float | Sequence[float],
    boundary: Boundary = "dirichlet",
    reaction: Tensor | float | None = None,
) -> DiffusionOperator:
    """−∇·(a ∇u) + reaction · u by cell-centred two-point finite volumes, second order on uniform grids.

    The transmissibility of the face between cells with coefficients a and b is their harmonic mean 2ab/(a + b) over h²;
    of a Dirichlet boundary face 2a/h² (the boundary is half a cell away); of a Neumann face 0
    (Eymard, Gallouët & Herbin 2000, section 9). Differentiable in the coefficient and the reaction.

    Parameters
    ----------
    coefficient
        a > 0, ``(*batch, *grid)``, or 0 in blocked cells (obstacles); the number of grid axes is that of `spacing`, or
        of `boundary`, if they are sequences, else all axes but none is a batch axis.
    spacing
        h, one for all axes or one an axis.
    boundary
        "dirichlet" (u = 0), "neumann" (no flux) or "periodic"; one for all sides, or for every axis one or a
        (low, high) pair.
    reaction
        ``(*batch, *grid)``, a number, or None.

    Raises
    ------
    ShapeError, ValueError

    Examples
    --------
    >>> import torch
    >>> A = finite_volume_operator(torch.ones(8, 16, 16), spacing=(1 / 16, 1 / 16))
    >>> A
    DiffusionOperator(256 × 256, batch (8,), float32, cpu, tags ['spd', 'symmetric'])
    """
    d = _axes(coefficient, spacing, boundary)
    widths = [float(spacing)] * d if isinstance(spacing, int | float) else [float(h) for h in spacing]
    if any(not h > 0 for h in widths):
        raise ValueError(f"spacing {widths}: expected positive mesh widths")
    sides = _sides(boundary, d)
    faces = [_faces(coefficient, k - d, sides[k]) / widths[k] ** 2 for k in range(d)]
    if reaction is not None:
        reaction = torch.as_tensor(reaction, dtype=coefficient.dtype, device=coefficient.device)
        if reaction.ndim == 0:
            reaction = reaction.expand(coefficient.shape[-d:])
    return DiffusionOperator(faces, reaction, [low == "periodic" for low, _ in sides])


def poisson_operator(
    grid: Sequence[int],
    alignment: str = "cell",
    boundary: Boundary = "dirichlet",
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> DiffusionOperator:
    """The Laplacian h² (−Δ) in stencil units: −1 for every neighbour, 2d on the diagonal of an inner point.

    Parameters
    ----------
    grid
        Points per axis: 2ᵐ cells, or the 2ᵐ − 1 interior vertices of a box with u = 0 on its boundary.
    alignment
        "cell" (the boundary is half a cell away) or "vertex" (a whole mesh width away; Dirichlet only).
    boundary
        As in `finite_volume_operator`.
    """
    d = len(grid)
    if alignment == "cell":
        return finite_volume_operator(torch.ones(*grid, dtype=dtype, device=device), [1.0] * d, boundary)
    if boundary != "dirichlet":
        raise ValueError(
            f"boundary {boundary!r}: a vertex grid holds the interior points of a Dirichlet problem; use 'cell'"
        )
    shapes = [[n + (j == k) for j, n in enumerate(grid)] for k in range(d)]
    return DiffusionOperator([torch.ones(shape, dtype=dtype, device=device) for shape in shapes], alignment="vertex")


def _axes(coefficient: Tensor, spacing: float | Sequence[float], boundary: Boundary) -> int:
    lengths = {len(given) for given in (spacing, boundary) if not isinstance(given, int | float | str)} or {
        coefficient.ndim
    }
    if len(lengths) > 1:
        raise ShapeError(f"spacing {spacing} and boundary {boundary} disagree on the number of axes")
    d = lengths.pop()
    if not 1 <= d <= 3 or coefficient.ndim < d:
        raise ShapeError(
            f"coefficient {tuple(coefficient.shape)} on {d} grid axes: expected (*batch, *grid) with 1 to 3 grid axes; "
            "give spacing one entry per grid axis"
        )
    return d


def _sides(boundary: Boundary, d: int) -> list[tuple[str, str]]:
    per_axis = [boundary] * d if isinstance(boundary, str) else list(boundary)
    sides = [(side, side) if isinstance(side, str) else (side[0], side[1]) for side in per_axis]
    for low, high in sides:
        if low not in _KINDS or high not in _KINDS or (low == "periodic") != (high == "periodic"):
            raise ValueError(
                f"boundary {(low, high)}: expected {', '.join(_KINDS)} (periodic on both sides of an axis)"
            )
    return sides


def _faces(a: Tensor, axis: int, sides: tuple[str, str]) -> Tensor:
    """Transmissibilities along one axis for mesh width 1."""
    n = a.shape[axis]
    if sides[0] == "periodic":
        return _harmonic(a, a.roll(1, axis))
    inner = _harmonic(a.narrow(axis, 0, n - 1), a.narrow(axis, 1, n - 1))
    ends = a.narrow(axis, 0, 1), a.narrow(axis, n - 1, 1)
    low, high = (
        2 * end if side == "dirichlet" else torch.zeros_like(end) for end, side in zip(ends, sides, strict=True)
    )
    return torch.cat([low, inner, high], axis)


def _harmonic(a: Tensor, b: Tensor) -> Tensor:
    """The harmonic mean; zero, and without derivative, between two blocked cells."""
    both = a + b
    return 2 * a * b / torch.where(both == 0, 1, both)
