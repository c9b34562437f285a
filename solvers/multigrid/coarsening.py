"""The next coarser diffusion operator, and the interpolation from it, from the transmissibilities alone.

One axis is coarsened after the other. Along it a coarse link carries the flux of the fine links it replaces: they are
resistors in series; across it links in parallel add up. The interpolation is the potential along the same resistors
(operator-weighted, as in de Zeeuw 1990), with restriction its plain transpose. Everything is in integrated form: no
mesh width appears, an operator divided by h² is coarsened as well as one in stencil units, and for constant
coefficients linear interpolation and the coarse Laplacian come out.
"""

from __future__ import annotations

import torch
from torch import Tensor

from solvers.kernels import Interpolation
from solvers.operators.diffusion import DiffusionOperator

__all__ = ["coarsen", "coarsening_axes"]

#: Mean link of an axis, relative to that of the strongest axis, from which on it is coarsened, too.
_STRONG = 0.4


def coarsening_axes(A: DiffusionOperator) -> tuple[int, ...]:
    """The axes along which to coarsen next: those with strong links; none if the grid cannot be coarsened.

    A point smoother leaves errors smooth along strong links only (semi-coarsening: Mulder 1989).
    """
    sizes = zip(A.grid, A.periodic, strict=True)
    if any(n % 2 and n > 1 for n, wraps in sizes if wraps):
        return ()
    strength = _mean_links(A)
    return tuple(k for k, n in enumerate(A.grid) if n > 1 and strength[k] >= _STRONG)


def coarsen(A: DiffusionOperator, axes: tuple[int, ...]) -> tuple[tuple[Interpolation, ...], DiffusionOperator]:
    """The operator on half as many points along `axes` (parameters detached), and the interpolations, finest first."""
    steps = []
    for k in axes:
        step, A = (_coarsen_cells if A.alignment == "cell" else _coarsen_vertices)(A, k)
        steps.append(step)
    return tuple(steps), A


def _mean_links(A: DiffusionOperator) -> list[float]:
    """Mean link between points along each axis, relative to the strongest, averaged over the batch."""
    means = []
    for k, t in enumerate(A.faces):
        axis, n = k - len(A.grid), A.grid[k]
        inner = t.detach() if A.periodic[k] else t.detach().narrow(axis, min(1, n - 1), max(n - 1, 1))
        mean = inner.flatten(-len(A.grid)).mean(-1) if n > 1 else t.new_zeros(())
        means.append(mean.expand(A.batch_shape).reshape(-1))
    strength = torch.stack(means)
    relative = strength / strength.amax(0)
    ratios: list[float] = torch.where(relative.isfinite(), relative, 1).mean(1).tolist()
    return ratios


def _coarsen_cells(A: DiffusionOperator, k: int) -> tuple[Interpolation, DiffusionOperator]:
    axis, n, wraps = k - len(A.grid), A.grid[k], A.periodic[k]
    t = A.faces[k].detach()
    across = _every_second(t, axis, 0)
    if n % 2:  # the last cell is a coarse cell of its own
        across = torch.cat([across, t.narrow(axis, n, 1)], axis)
    first, second, walls = _half_resistances(A, k)
    # Coarse face c has the second child of coarse cell c − 1 before it, and the first one of cell c behind it.
    before = second.roll(1, axis) if wraps else _extended(second, axis, 1, 0)
    behind = first if wraps else _extended(first, axis, 0, 1)
    links = across / (1 + across * (before + behind))
    if walls:
        links = torch.where(across > 0, links, 0)
        low, high = _fraction(behind, before, across, links), _fraction(before, behind, across, links)
    else:
        low, high = behind * links, before * links
    count = first.shape[axis]
    high = high.roll(-1, axis) if wraps else high.narrow(axis, 1, count)
    weight = _interleaved(low.narrow(axis, 0, count), high, axis).narrow(axis, 0, n)
    faces = [links if j == k else _pairs(face.detach(), axis) for j, face in enumerate(A.faces)]
    reaction = None
    if A.reaction is not None:  # that of cells without links is not felt by their neighbours
        reaction = _pairs(torch.where(_total_links(A) > 0, A.reaction.detach(), 0), axis)
    return _step(A, k, weight), DiffusionOperator(faces, reaction, A.periodic, "cell")


def _half_resistances(A: DiffusionOperator, k: int) -> tuple[Tensor, Tensor, bool]:
    """Resistances between the centre of each coarse cell and its two children, and whether some are infinite.

    The centre divides the resistor between the children as their links across the axis do: a child that is bound to its
    surroundings much more strongly than the other *is* the centre.
    """
    axis, n = k - len(A.grid), A.grid[k]
    inside = _every_second(A.faces[k].detach(), axis, 1).narrow(axis, 0, n // 2)
    missing = inside <= 0
    walls = bool(missing.any())
    resistance = torch.where(missing, 0, 1 / inside) if walls else 1 / inside
    first = second = 0.5 * resistance
    if len(A.grid) > 1:
        strengths = _lateral_links(A, k)
        one, two = (_every_second(strengths, axis, child).narrow(axis, 0, n // 2) for child in (0, 1))
        both = one + two
        share = two / both
        first = (share if bool((both > 0).all()) else torch.where(both > 0, share, 0.5)) * resistance
        second = resistance - first
    if walls:
        first, second = _divided(_total_links(A), missing, first, second, axis)
    if n % 2:
        first, second = _extended(first, axis, 0, 1), _extended(second, axis, 0, 1)
    return first, second, walls


def _divided(total: Tensor, missing: Tensor, first: Tensor, second: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """The same where a link between children is missing: the centre is the child with more links.

    The other one is infinitely far from it, unless it has no links at all.
    """
    one, two = (_every_second(total, axis, child).narrow(axis, 0, missing.shape[axis]) for child in (0, 1))
    wall = torch.where((one > 0) & (two > 0), torch.inf, 0.0).to(first)
    first = torch.where(missing, torch.where(one >= two, 0, wall), first)
    return first, torch.where(missing, torch.where(one >= two, wall, 0), second)


def _fraction(own: Tensor, opposite: Tensor, across: Tensor, link: Tensor) -> Tensor:
    """How far a child is on the way from its centre to the one beyond the face: own / (own + 1/across + opposite)."""
    limit = torch.where(opposite.isinf(), 0.5, 1.0).to(link)
    return torch.where(own.isinf(), torch.where(across > 0, limit, 0), own * link)


def _coarsen_vertices(A: DiffusionOperator, k: int) -> tuple[Interpolation, DiffusionOperator]:
    axis, n = k - len(A.grid), A.grid[k]
    t = A.faces[k].detach()
    right = _every_second(t, axis, 1)
    left = _every_second(t, axis, 0).narrow(axis, 0, right.shape[axis])
    both = left + right
    w = torch.where(both > 0, right / both, 0)
    links = torch.where(both > 0, left * right / both, 0)
    if n % 2 == 0:  # the last vertex is a coarse one: its boundary link stays
        links = torch.cat([links, t.narrow(axis, n, 1)], axis)
    weight = _interleaved(w, torch.zeros_like(w), axis).narrow(axis, 0, n)
    faces = [
        links if j == k else _distributed(face.detach(), _at_faces(w, j - len(A.grid)), axis)
        for j, face in enumerate(A.faces)
    ]
    reaction = None if A.reaction is None else _distributed(A.reaction.detach(), w, axis)
    return _step(A, k, weight), DiffusionOperator(faces, reaction, A.periodic, "vertex")


def _distributed(t: Tensor, w: Tensor, axis: int) -> Tensor:
    """What odd vertices have, and their share of the even ones: 1 − w of the next and w of the one before."""
    n, m = t.shape[axis], t.shape[axis] // 2
    even, odd = _every_second(t, axis, 0), _every_second(t, axis, 1)
    behind = ((1 - w) * even).narrow(axis, 1, even.shape[axis] - 1)
    if n % 2 == 0:
        behind = _extended(behind, axis, 0, 1)
    return odd + (w * even).narrow(axis, 0, m) + behind


def _at_faces(w: Tensor, axis: int) -> Tensor:
    """The mean over the two points beside each face of another axis; at the ends, that of the one."""
    n = w.shape[axis]
    ends = w.narrow(axis, 0, 1), w.narrow(axis, n - 1, 1)
    return torch.cat([ends[0], 0.5 * (w.narrow(axis, 0, n - 1) + w.narrow(axis, 1, n - 1)), ends[1]], axis)


def _step(A: DiffusionOperator, k: int, weight: Tensor) -> Interpolation:
    n, periodic = A.grid[k], A.periodic[k]
    weight = weight.expand(*A.batch_shape, *A.grid).reshape(-1, *A.grid)
    return Interpolation(weight, k, (n + 1) // 2 if A.alignment == "cell" else n // 2, A.alignment, periodic)


def _lateral_links(A: DiffusionOperator, k: int) -> Tensor:
    """Sum of the links of each point across axis k."""
    total = torch.zeros((), dtype=A.dtype, device=A.device)
    for j, t in enumerate(A.faces):
        if j != k:
            axis, n, t = j - len(A.grid), A.grid[j], t.detach()
            total = total + (t + t.roll(-1, axis) if A.periodic[j] else t.narrow(axis, 0, n) + t.narrow(axis, 1, n))
    return total


def _total_links(A: DiffusionOperator) -> Tensor:
    """Sum of the links of each point."""
    return (
        DiffusionOperator([t.detach() for t in A.faces], None, A.periodic, A.alignment).diagonal().unflatten(-1, A.grid)
    )


def _pairs(t: Tensor, axis: int) -> Tensor:
    """Sums of two neighbours; the last of an odd number is alone."""
    even, odd = _every_second(t, axis, 0), _every_second(t, axis, 1)
    return even + (_extended(odd, axis, 0, 1) if t.shape[axis] % 2 else odd)


def _interleaved(even: Tensor, odd: Tensor, axis: int) -> Tensor:
    place = even.ndim + axis
    return torch.stack([even, odd], place + 1).flatten(place, place + 1)


def _extended(t: Tensor, axis: int, before: int, behind: int) -> Tensor:
    """With zeros before or behind along one axis."""
    return torch.nn.functional.pad(t, [0, 0] * (-axis - 1) + [before, behind])


def _every_second(t: Tensor, axis: int, start: int) -> Tensor:
    window = [slice(None)] * t.ndim
    window[axis] = slice(start, None, 2)
    return t[tuple(window)]
