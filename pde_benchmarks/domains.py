"""Simple domains: a box with discs (or balls) cut out of it, points drawn in it, and points refused outside it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from pde_benchmarks.errors import ProblemError

__all__ = ["Box", "Disc"]

# Draws after which a domain counts as having no room: its free part is below a hundredth of the box.
ATTEMPTS = 100


@dataclass(frozen=True)
class Disc:
    """A disc, or a ball in three dimensions."""

    centre: tuple[float, ...]
    radius: float


@dataclass(frozen=True)
class Box:
    """Π (lowᵢ, highᵢ) without some discs.

    Parameters
    ----------
    low, high
        Opposite corners; one entry per axis, 1 to 3.
    discs
        What is cut out.

    Raises
    ------
    ProblemError
        If the corners do not span a box, or a disc has another dimension or no radius.

    Examples
    --------
    >>> domain = Box((0.0, 0.0), (2.0, 1.0), (Disc((0.5, 0.6), 0.1),))
    >>> domain.contains(torch.tensor([[0.5, 0.55], [0.5, 0.4], [2.5, 0.5]])).tolist()
    [False, True, False]
    """

    low: tuple[float, ...] = (0.0, 0.0)
    high: tuple[float, ...] = (1.0, 1.0)
    discs: tuple[Disc, ...] = ()

    def __post_init__(self) -> None:
        same = len(self.low) == len(self.high) and 1 <= len(self.low) <= 3
        if not same or any(not lower < upper for lower, upper in zip(self.low, self.high, strict=True)):
            raise ProblemError(f"box {self.low} to {self.high}: two corners of 1 to 3 axes, low < high, are expected.")
        for disc in self.discs:
            if len(disc.centre) != self.dim or not disc.radius > 0:
                raise ProblemError(f"{disc}: a centre of {self.dim} coordinates and a radius > 0 are expected.")

    @property
    def dim(self) -> int:
        """Number of axes."""
        return len(self.low)

    @property
    def volume(self) -> float:
        """Of the box, discs included."""
        total = 1.0
        for lower, upper in zip(self.low, self.high, strict=True):
            total *= upper - lower
        return total

    def from_unit(self, points: Tensor) -> Tensor:
        """Points of the unit cube, carried into the box."""
        low, high = self._corners(points)
        return low + points * (high - low)

    def contains(self, points: Tensor, margin: float = 0.0) -> Tensor:
        """Whether points ``(n, dim)`` lie in the closed domain, ``margin`` away from its boundary or more."""
        low, high = self._corners(points)
        inside = ((points >= low + margin) & (points <= high - margin)).all(-1)
        for disc in self.discs:
            inside &= (points - points.new_tensor(disc.centre)).norm(dim=-1) >= disc.radius + margin
        return inside

    def require_inside(self, points: Tensor, what: str) -> None:
        """Refuse ``points`` (called ``what``) of another dimension or outside the closed domain.

        Raises
        ------
        ProblemError
            The indices of the points outside are listed.
        """
        if points.ndim != 2 or points.shape[1] != self.dim:
            raise ProblemError(f"{what} of shape {tuple(points.shape)}: expected (n, {self.dim}).")
        outside = (~self.contains(points)).nonzero().flatten().tolist()
        if outside:
            listed = ", ".join(map(str, outside[:20])) + (", …" if len(outside) > 20 else "")
            first = tuple(round(x, 6) for x in points[outside[0]].tolist())
            raise ProblemError(
                f"{what}: {len(outside)} of {len(points)} lie outside the domain {self.low} to {self.high} (indices "
                f"{listed}; the first is {first}): move or remove them."
            )

    def draw(
        self,
        count: int,
        generator: Generator,
        margin: float = 0.0,
        latin: bool = False,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """``count`` uniform random points ``margin`` away from the boundary or more, ``(count, dim)``.

        Parameters
        ----------
        latin
            Whether they form a Latin hypercube of the box: one point in every one of ``count`` slices of each axis.
            Where discs are cut out, hypercubes are drawn until enough points are left.

        Raises
        ------
        ProblemError
            If the domain has no room for such a margin.
        """
        low, high = (corner.double() for corner in self._corners(torch.zeros(0)))
        if not bool((high - low > 2 * margin).all()):
            raise self._no_room(margin)
        found: list[Tensor] = []
        for _ in range(ATTEMPTS):
            unit = _latin_hypercube(count, self.dim, generator) if latin else _uniform(count, self.dim, generator)
            points = low + margin + unit.cpu() * (high - low - 2 * margin)
            found.append(points[self.contains(points, margin)])
            if sum(map(len, found)) >= count:
                return torch.cat(found)[:count].to(dtype=dtype, device=device)
        raise self._no_room(margin)

    def _corners(self, points: Tensor) -> tuple[Tensor, Tensor]:
        return points.new_tensor(self.low), points.new_tensor(self.high)

    def _no_room(self, margin: float) -> ProblemError:
        return ProblemError(
            f"radius {margin:g} is too large for the domain {self.low} to {self.high} with {len(self.discs)} discs cut "
            "out: no ball of this size fits in; use a smaller radius."
        )


def _uniform(count: int, dim: int, generator: Generator) -> Tensor:
    return torch.rand((count, dim), generator=generator, dtype=torch.float64, device=generator.device)


def _latin_hypercube(count: int, dim: int, generator: Generator) -> Tensor:
    """McKay, Beckman, Conover (1979): every axis in its own random order of the slices."""
    device = generator.device
    slices = [torch.randperm(count, generator=generator, device=device) for _ in range(dim)]
    return (torch.stack(slices, 1) + _uniform(count, dim, generator)) / count
