"""How many experts along each axis: from the number of all, or spelled out."""

from __future__ import annotations

import math

from sciml.errors import ConfigurationError

__all__ = ["boxes_per_axis", "parse_experts"]


def parse_experts(experts: int | str) -> tuple[int, ...]:
    """``8`` as ``(8,)``, ``"1 4"`` as ``(1, 4)``.

    Raises
    ------
    ConfigurationError
        If it is neither a positive number nor several of them.

    Examples
    --------
    >>> parse_experts(8), parse_experts("1 4"), parse_experts("2x2")
    ((8,), (1, 4), (2, 2))
    """
    words = str(experts).replace("x", " ").replace(",", " ").split()
    if not words or not all(word.isdigit() and int(word) > 0 for word in words):
        raise ConfigurationError(
            f"experts = {experts!r}: a number of experts such as 8, or boxes along each axis such as '1 4', is "
            "expected."
        )
    return tuple(int(word) for word in words)


def boxes_per_axis(experts: int | str, shape: tuple[int, ...], time_first: bool) -> tuple[int, ...]:
    """Boxes along every axis of a grid.

    A single number is split over the axes of space, time stays whole: its prime factors, largest first, go to the axis
    whose boxes are longest.

    Raises
    ------
    ConfigurationError
        If the boxes do not fit the grid.

    Examples
    --------
    >>> boxes_per_axis(8, (51, 64), time_first=True), boxes_per_axis(8, (64, 64), time_first=False)
    ((1, 8), (4, 2))
    """
    given = parse_experts(experts)
    size = "×".join(map(str, shape))
    if len(given) == 1 and len(shape) > 1:
        counts = [1] * len(shape)
        axes = range(1 if time_first else 0, len(shape))
        for factor in _prime_factors(given[0]):
            counts[max(axes, key=lambda i: (shape[i] / counts[i], -i))] *= factor
    else:
        counts = list(given)
    if len(counts) != len(shape):
        raise ConfigurationError(
            f"experts = {experts!r}: boxes along {len(counts)} axes, but the grid {size} has {len(shape)}: give one "
            "number for each axis, or the number of all experts."
        )
    for axis, (count, points) in enumerate(zip(counts, shape, strict=True)):
        if 2 * count > points:
            raise ConfigurationError(
                f"experts = {experts!r}: {count} boxes along axis {axis} of the grid {size}, where at most "
                f"{points // 2} with two points each fit: use fewer experts or a finer grid."
            )
    return tuple(counts)


def _prime_factors(number: int) -> list[int]:
    found, factor = [], 2
    while number > 1:
        if number % factor == 0:
            found.append(factor)
            number //= factor
        elif factor > math.isqrt(number):
            factor = number
        else:
            factor += 1
    return found[::-1]
