"""Ghost layers: a boundary condition is a rule for the values just outside the grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as functional
from torch import Tensor

from sciml.errors import ConfigurationError

__all__ = ["BOUNDARY_RULES", "GhostLayer"]

BOUNDARY_RULES = ("dirichlet", "neumann", "periodic", "zeros")


@dataclass(frozen=True)
class GhostLayer:
    """Extends a field ``(batch, channel, *grid)`` by one point on every side.

    Parameters
    ----------
    rules
        One an axis, or a pair (low side, high side): ``dirichlet`` (zero boundary value), ``neumann`` (zero normal
        derivative), ``periodic``, or ``zeros`` (the published padding, whatever the grid).
    grid
        ``cell``: the boundary lies half a cell outside, so the ghost is −inside or +inside. ``interior``: the ghost of
        a Dirichlet side is the boundary point itself, 0. ``vertex``: the outermost points lie on the boundary; the
        ghost of a Neumann side mirrors the point next to it.

    Raises
    ------
    ConfigurationError
        If a rule is unknown, or a periodic side faces one that is not.
    """

    rules: tuple[str | tuple[str, str], ...]
    grid: str = "cell"

    def __post_init__(self) -> None:
        for low, high in self.sides:
            for rule in (low, high):
                if rule not in BOUNDARY_RULES:
                    raise ConfigurationError(
                        f"boundary rule {rule!r} is unknown: use one of {', '.join(BOUNDARY_RULES)}."
                    )
            if (low == "periodic") != (high == "periodic"):
                raise ConfigurationError(
                    f"boundary {low!r} faces {high!r}: an axis is periodic on both sides or on neither."
                )
        if self.grid != "cell" and any(low == "periodic" for low, _ in self.sides):
            raise ConfigurationError(f"a periodic axis needs grid='cell', found {self.grid!r}.")
        if self.grid == "interior" and any("neumann" in pair for pair in self.sides):
            raise ConfigurationError(
                "interior vertices leave the boundary out, which a Neumann side needs: use grid='cell' or 'vertex'."
            )

    @property
    def sides(self) -> tuple[tuple[str, str], ...]:
        """The rule of the low and of the high side of every axis."""
        return tuple((r, r) if isinstance(r, str) else (r[0], r[1]) for r in self.rules)

    @property
    def is_zero(self) -> bool:
        """True if every ghost is 0, which convolutions can do themselves."""
        zero = {"zeros"} if self.grid == "cell" else {"zeros", "dirichlet"}
        return all(rule in zero for pair in self.sides for rule in pair)

    def __call__(self, field: Tensor) -> Tensor:
        """The field with its ghosts: shape ``(batch, channel, *(n + 2 for n in grid))``."""
        pairs = [1, 1] * len(self.rules)
        if self.is_zero:
            return functional.pad(field, pairs)
        wrapped = [low == "periodic" for low, _ in self.sides]
        if all(wrapped):
            return functional.pad(field, pairs, mode="circular")
        mode = "reflect" if self.grid == "vertex" and min(field.shape[2:]) > 1 else "replicate"
        for axis, wrap in enumerate(wrapped):  # wrap first: F.pad counts axes from the last
            if wrap:
                field = functional.pad(field, self._only(axis), mode="circular")
        keep = [count for axis in reversed(range(len(self.rules))) for count in ((0, 0) if wrapped[axis] else (1, 1))]
        return functional.pad(field, keep, mode=mode) * _signs(self, tuple(field.shape[2:]), field.dtype, field.device)

    def _only(self, axis: int) -> list[int]:
        pairs = [0, 0] * len(self.rules)
        position = 2 * (len(self.rules) - 1 - axis)
        pairs[position : position + 2] = [1, 1]
        return pairs


@lru_cache(maxsize=256)
def _signs(ghosts: GhostLayer, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """−1 on the ghosts of Dirichlet sides of a cell grid, +1 on Neumann, 0 on zeros; products in the corners."""
    sign = {"dirichlet": -1.0 if ghosts.grid == "cell" else 0.0, "neumann": 1.0, "zeros": 0.0}
    signs = torch.ones((), dtype=dtype, device=device)
    for size, (low, high) in zip(shape, ghosts.sides, strict=True):
        line = torch.ones(size if low == "periodic" else size + 2, dtype=dtype, device=device)
        if low != "periodic":
            line[0], line[-1] = sign[low], sign[high]
        signs = signs[..., None] * line
    return signs
