"""How many smoothing steps a V-cycle takes on each level, and which grids it can coarsen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from sciml.errors import ConfigurationError

__all__ = ["PREDICTION", "TRAINING", "Schedule", "coarser_size"]

TRAINING = "choose one of them, or train with fewer levels, or with fit=pad"
PREDICTION = "resample the input onto one of them (or train with fewer levels, or with fit=pad)"


@dataclass(frozen=True)
class Schedule:
    """Pre- and post-smoothing steps of every level, finest first.

    Examples
    --------
    >>> Schedule.parse("10 11 20")
    Schedule(pre=(1, 1, 2), post=(0, 1, 0))
    """

    pre: tuple[int, ...]
    post: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the published notation: a word per level, two digits for pre- and post-smoothing; ``12-3`` for more.

        Raises
        ------
        ConfigurationError
            If a word is not two non-negative integers, or the finest level has no pre-smoothing.
        """
        pairs = []
        for word in text.split():
            parts = word.split("-") if "-" in word else list(word)
            if len(parts) != 2 or not all(part.isdigit() for part in parts):
                raise ConfigurationError(
                    f"V-cycle level {word!r} in {text!r}: expected two digits (pre- and post-smoothing), "
                    "e.g. 11, or 12-3."
                )
            pairs.append((int(parts[0]), int(parts[1])))
        if not pairs or pairs[0][0] == 0:
            raise ConfigurationError(
                f"V-cycle {text!r}: the finest level needs at least one pre-smoothing step, e.g. '11 11 20'."
            )
        return cls(tuple(k for k, _ in pairs), tuple(p for _, p in pairs))

    @property
    def levels(self) -> int:
        """Number of levels."""
        return len(self.pre)

    def check(self, shape: tuple[int, ...], grid: str, patch: int = 1, remedy: str = TRAINING) -> None:
        """Make sure that ``patch`` divides every axis of ``shape``, and that the rest halves ``levels - 1`` times.

        Raises
        ------
        ConfigurationError
            Naming the nearest sizes that can, and what else helps.
        """
        # Blocks of points form a grid of cells, whatever the points were.
        offset = {"interior": -1, "vertex": 1}.get(grid, 0) if patch == 1 else 0
        step = patch * 2 ** (self.levels - 1)
        least = 1 - min(offset, 0)  # steps that leave a point on the coarsest grid
        for size in shape:
            steps, rest = divmod(size - offset, step)
            if rest or steps < least:
                below = max(steps, least) * step + offset
                patches = f"blocks of {patch} points and " if patch > 1 else ""
                raise ConfigurationError(
                    f"grid of {size} points: {patches}{self.levels} levels halve the {grid} grid {self.levels - 1} "
                    f"times; valid sizes near it are {below} and {below + step}: {remedy}."
                )


def coarser_size(size: int, grid: str) -> int | None:
    """Points of the next coarser grid, or None if ``size`` does not halve."""
    match grid:
        case "interior":
            return (size - 1) // 2 if size % 2 == 1 and size > 1 else None
        case "vertex":
            return (size - 1) // 2 + 1 if size % 2 == 1 and size > 1 else None
        case _:
            return size // 2 if size % 2 == 0 and size > 0 else None
