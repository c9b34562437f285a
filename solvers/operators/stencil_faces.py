"""Which diffusion a stencil is: the transmissibilities of the faces behind its coefficients."""

from __future__ import annotations

import torch
from torch import Tensor

from solvers.errors import DTypeError, TagError
from solvers.operators.stencil import StencilOperator

__all__ = ["faces_of"]

# Rounding errors of a coefficient that was computed as the sum or mean of a few others, in units of the last place.
_NOISE = 16


def faces_of(stencil: StencilOperator) -> tuple[list[Tensor], Tensor | None]:
    """Faces and reaction with which a `DiffusionOperator` is this stencil; differentiable in the coefficients.

    What the diagonal has beyond the links to neighbours becomes the faces of a boundary on which it is about as large
    as those links (a Dirichlet side; at a corner the sides share it in the proportion of the links there), and else
    reaction. The matrix is the same either way, but multigrid coarsens the two differently.

    Raises
    ------
    TagError
        The stencil reaches beyond the nearest neighbours, is not symmetric, has a positive coefficient off the
        diagonal, or a row whose sum is negative.
    DTypeError
        The coefficients are complex.
    """
    if stencil.dtype.is_complex:
        raise DTypeError(f"{stencil!r} is complex: a diffusion has real coefficients")
    coefficients = _nearest(stencil)
    links = [_links(stencil, coefficients, k) for k in range(len(stencil.grid))]
    diagonal = coefficients[0, 0]
    surplus = _snapped(diagonal - sum(low + low.roll(-1, k - len(links)) for k, low in enumerate(links)), diagonal)
    if bool((surplus < 0).any()):
        raise TagError(
            f"{stencil!r} has a row whose sum is negative ({float(surplus.detach().min()):.1e}): no diffusion with "
            "reaction ≥ 0; solve it as it is, with MINRES or GMRES"
        )
    faces, reaction = _on_sides(surplus, links, stencil.periodic)
    reaction = _snapped(reaction, diagonal)
    return faces, reaction if reaction.requires_grad or bool((reaction != 0).any()) else None


def _nearest(stencil: StencilOperator) -> dict[tuple[int, int], Tensor]:
    """The coefficient (k, ±1) of the neighbours along each axis, and (0, 0) on the diagonal."""
    shape = (*stencil.batch_shape, *stencil.grid)
    found = {(0, 0): stencil.coefficients.new_zeros(shape)}
    for q, offset in enumerate(stencil.offsets):
        steps = [(k, step) for k, step in enumerate(map(_wrapped, offset, stencil.grid, stencil.periodic)) if step]
        if len(steps) > 1 or any(abs(step) > 1 for _, step in steps):
            raise TagError(
                f"{stencil!r} has the neighbour {offset}: a diffusion has those one point along one axis; convert the "
                "stencil with to_csr for algebraic multigrid"
            )
        places = [steps[0]] if steps else [(0, 0)]
        if steps and stencil.periodic[steps[0][0]] and stencil.grid[steps[0][0]] == 2:
            places = [(steps[0][0], -1), (steps[0][0], 1)]  # the neighbour on both sides is the same point
        for place in places:
            part = stencil.coefficients.select(-len(stencil.grid) - 1, q) / len(places)
            found[place] = found[place] + part if place in found else part
    return found


def _wrapped(step: int, n: int, periodic: bool) -> int:
    """The shortest way to the same point."""
    return (step + (n - 1) // 2) % n - (n - 1) // 2 if periodic and n else step


def _links(stencil: StencilOperator, coefficients: dict[tuple[int, int], Tensor], k: int) -> Tensor:
    """The transmissibility between every point and the one before it along axis k; zero before the first."""
    axis = k - len(stencil.grid)
    zero = torch.zeros_like(coefficients[0, 0])
    here, there = coefficients.get((k, -1), zero), coefficients.get((k, 1), zero).roll(1, axis)
    if not stencil.periodic[k] and stencil.grid[k]:
        inside = torch.ones_like(zero, dtype=torch.bool)
        inside.select(axis, 0).fill_(False)
        here, there = torch.where(inside, here, 0), torch.where(inside, there, 0)
    link = -(here + there) / 2
    if bool(((here - there).abs() > _NOISE * torch.finfo(link.dtype).eps * link.abs()).any()):
        raise TagError(
            f"{stencil!r} is not symmetric along axis {k} (coefficients of two neighbours for each other differ by "
            f"{float((here - there).detach().abs().max()):.1e}): solve it as it is, with GMRES"
        )
    if bool((link < 0).any()):
        raise TagError(
            f"{stencil!r} has positive coefficients of neighbours along axis {k} (up to "
            f"{-float(link.detach().min()):.1e}): a diffusion couples with negative ones; convert the stencil with "
            "to_csr for algebraic multigrid"
        )
    return link


def _snapped(value: Tensor, scale: Tensor) -> Tensor:
    """The value, exactly zero (but with its derivative) where it is nothing but the rounding error of `scale`."""
    noise = value.detach().abs() <= _NOISE * torch.finfo(value.dtype).eps * scale.detach().abs()
    return value - torch.where(noise, value.detach(), 0)


def _on_sides(surplus: Tensor, links: list[Tensor], periodic: tuple[bool, ...]) -> tuple[list[Tensor], Tensor]:
    """The links as faces, with those of the boundary that the surplus shows; and the rest of the surplus."""
    d = len(links)
    excess = (surplus - _reaction_nearby(surplus, periodic)).clamp(min=0)
    shares = _shares(excess.detach(), [link.detach() for link in links], periodic)
    taken = torch.zeros_like(surplus)
    faces = []
    for k, link in enumerate(links):
        if periodic[k]:
            faces.append(link)
            continue
        outer = []
        for side in (0, -1):
            outer.append(_layer(excess, k - d, side) * shares[k, side])
            _layer(taken, k - d, side).add_(outer[-1])
        faces.append(torch.cat([outer[0], link.narrow(k - d, 1, link.shape[k - d] - 1), outer[1]], k - d))
    return faces, surplus - taken


def _reaction_nearby(surplus: Tensor, periodic: tuple[bool, ...]) -> Tensor:
    """At every point the surplus of the nearest one that no boundary touches: zero where there is none."""
    d = len(periodic)
    for k, wraps in enumerate(periodic):
        n = surplus.shape[k - d]
        if not wraps and n < 3:
            return torch.zeros_like(surplus)
        if not wraps:
            surplus = surplus.index_select(k - d, torch.arange(n, device=surplus.device).clamp(1, n - 2))
    return surplus


def _shares(excess: Tensor, links: list[Tensor], periodic: tuple[bool, ...]) -> dict[tuple[int, int], Tensor]:
    """The part of the excess that belongs to each side (axis, 0 or −1): zero where it does not hold the solution."""
    d = len(links)
    sides = [(k, side) for k in range(d) if not periodic[k] for side in (0, -1)]
    touching = torch.zeros(excess.shape[excess.ndim - d :], device=excess.device)
    for k, side in sides:
        _layer(touching, k - d, side).add_(1)
    weights, total = {}, torch.zeros_like(excess)
    for k, side in sides:
        # The link from the boundary point into the grid: none on an axis of one point.
        weight = _layer(links[k], k - d, 1 if side == 0 else -1) if excess.shape[k - d] > 1 else torch.ones_like(excess)
        seen = _layer(excess, k - d, side)
        holds = (seen > 0) & (2 * seen >= weight)
        alone = _layer(touching, k - d, side) == 1
        alone = alone if bool(alone.any()) else torch.ones_like(alone)
        held = 2 * (holds & alone).sum(tuple(range(-d, 0)), keepdim=True) > alone.sum()
        weights[k, side] = torch.where(held, weight, 0)
        _layer(total, k - d, side).add_(weights[k, side])
    safe = torch.where(total > 0, total, 1)
    return {(k, side): weight / _layer(safe, k - d, side) for (k, side), weight in weights.items()}


def _layer(t: Tensor, axis: int, index: int) -> Tensor:
    """One layer of points, as a view that keeps the axis."""
    return t.narrow(axis, index % t.shape[axis], 1)
