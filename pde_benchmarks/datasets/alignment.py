"""Tell from the data where the points of a grid lie, and what holds on its boundary.

Three witnesses, from the most to the least certain: the coordinates in the file; the same fields on a second, finer
grid; and how fast a field that vanishes on the boundary falls towards the first and last rows.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from pde_benchmarks.datasets.dataset import Dataset
from pde_benchmarks.grid import axis_points

__all__ = ["alignment_of_coordinates", "alignment_of_pair", "alignment_of_sides", "boundary_of", "detect_alignment"]

# Distance of the first and of the last point from the boundary, in grid spacings.
GAPS = {"vertex": (0.0, 0.0), "left": (0.0, 1.0), "cell": (0.5, 0.5), "interior": (1.0, 1.0)}
GAP_TOLERANCE = 0.15
SAMPLES_LOOKED_AT = 64
SAME_FIELDS = 0.1
CLEARLY_BETTER = 0.5


def detect_alignment(coarse: Dataset, fine: Dataset | None = None) -> tuple[str | None, str]:
    """Find where the grid points of ``coarse`` lie: ``cell``, ``vertex``, ``interior``, ``left``, or None.

    Parameters
    ----------
    coarse
        Fields on a grid. What the data set's own specification states (from coordinates in its file) is believed.
    fine
        The same samples on a finer grid, if there is such a file.

    Returns
    -------
    tuple
        The alignment, or None if the data does not tell, and one sentence that says why.
    """
    stated = getattr(coarse.problem.outputs[0].support, "alignment", "unknown")
    (field, *_) = coarse.outputs.values()
    if fine is not None:
        (fine_field, *_) = fine.outputs.values()
        found, why = alignment_of_pair(field, fine_field)
        if found is not None:
            return found, why
    found, why = alignment_of_sides(field)
    # The reader may have got what the specification states from the same values.
    if stated not in ("unknown", found):
        return stated, f"{coarse.name} describes its points as {stated} points."
    return found, why


def alignment_of_coordinates(*axes: np.ndarray) -> str | None:
    """Alignment of increasing, uniform coordinates whose domain ends at whole multiples of 1/2 or of π."""
    found = {_alignment_of_axis(np.asarray(axis, dtype=np.float64).ravel()) for axis in axes}
    return found.pop() if len(found) == 1 else None


def alignment_of_pair(coarse: Tensor, fine: Tensor) -> tuple[str | None, str]:
    """Alignment under which the ``fine`` fields, restricted, are the ``coarse`` ones; shapes ``(n, channels, *grid)``.

    Every r-th value of left-node, vertex or interior grids coincides with a coarse value; on cell grids the mean of a
    block comes close to it.
    """
    shapes = f"{_size(coarse)} and {_size(fine)}"
    count = min(len(coarse), len(fine), SAMPLES_LOOKED_AT)
    if coarse.ndim != fine.ndim or len(coarse) != len(fine) or coarse.shape[2:] == fine.shape[2:]:
        return None, f"the grids {shapes} do not hold the same samples at two resolutions."
    coarse, fine = coarse[:count].double(), fine[:count].double()
    distances = {}
    for alignment in GAPS:
        restricted = _restricted(fine, coarse.shape, alignment)
        if restricted is not None:
            distances[alignment] = ((restricted - coarse).norm() / coarse.norm()).item()
    if not distances:
        return None, f"the grids {shapes} are no whole refinement of each other."
    ranked = sorted(distances, key=lambda name: distances[name])
    best = ranked[0]
    if distances[best] > SAME_FIELDS:
        return None, f"the fields on the grids {shapes} are different ones (they differ by {distances[best]:.0%})."
    if len(ranked) > 1 and distances[best] > CLEARLY_BETTER * distances[ranked[1]]:
        return None, f"the grids {shapes} fit {best} and {ranked[1]} points about equally well."
    others = ", ".join(f"{name} {distances[name]:.2g}" for name in ranked[1:]) or "no other fits"
    return best, f"between the grids {shapes}, {best} points agree to {distances[best]:.2g} ({others})."


def alignment_of_sides(field: Tensor) -> tuple[str | None, str]:
    """Alignment of a field that is zero on the boundary, from its rows next to the sides.

    The profile of |u| through the first three rows of ``field``, shape ``(n, channels, *grid)``, is continued to its
    zero: the boundary lies there.
    """
    gaps = [_gaps(field, axis) for axis in range(2, field.ndim)]
    known = [(low, high) for low, high in gaps if low is not None and high is not None]
    if not gaps or len(known) < len(gaps):
        return None, "the field is not zero on every side, so that its values do not tell where the grid points lie."
    measured = "; ".join(f"{low:.2f} and {high:.2f}" for low, high in known)
    for alignment, (first, last) in GAPS.items():
        if all(abs(low - first) < GAP_TOLERANCE and abs(high - last) < GAP_TOLERANCE for low, high in known):
            return (
                alignment,
                f"the field vanishes {measured} grid spacings beyond its first and last rows: {alignment} points.",
            )
    return (
        None,
        f"the field vanishes {measured} grid spacings beyond its first and last rows, which fits no known grid.",
    )


def boundary_of(field: Tensor) -> tuple[str, ...]:
    """Per axis ``dirichlet`` if the field falls to zero at both ends, ``periodic`` if it closes, else ``unknown``."""
    return tuple(_condition(field, axis) for axis in range(2, field.ndim))


def _alignment_of_axis(x: np.ndarray) -> str | None:
    steps = np.diff(x)
    if len(x) < 3 or not (steps > 0).all() or not np.allclose(steps, steps.mean(), rtol=1e-2):
        return None
    h = (x[-1] - x[0]) / (len(x) - 1)
    for unit in (math.pi, 1.0, 0.5):
        for name, (first, last) in GAPS.items():
            ends = np.array([x[0] - first * h, x[-1] + last * h]) / unit
            if np.allclose(ends, ends.round(), rtol=0, atol=0.05 * h / unit):
                return name
    return None


def _restricted(fine: Tensor, shape: torch.Size, alignment: str) -> Tensor | None:
    for axis in range(2, fine.ndim):
        n, target = fine.shape[axis], shape[axis]
        if alignment == "cell":
            if n % target:
                return None
            fine = fine.unflatten(axis, (target, n // target)).mean(axis + 1)
            continue
        places, wanted = axis_points(n, alignment), axis_points(target, alignment)
        index = torch.searchsorted(places, wanted - 1e-9).clamp(max=n - 1)
        if not torch.allclose(places[index], wanted, rtol=0, atol=1e-9):
            return None
        fine = fine.index_select(axis, index)
    return fine


def _gaps(field: Tensor, axis: int) -> tuple[float | None, float | None]:
    """Distance of the field's zero before the first and after the last row of ``axis``, in grid spacings."""
    if field.shape[axis] < 4:
        return None, None
    rows = field[:SAMPLES_LOOKED_AT].movedim(axis, 0)
    first, last = (_profile(side) for side in (rows[:3], rows[-3:].flip(0)))
    return _distance_to_zero(first), _distance_to_zero(last)


def _profile(rows: Tensor) -> list[float]:
    """Mean size of each row, relative to the largest value, so that no field is too large or too small to look at."""
    sizes = rows.double().abs()
    largest = sizes.max().clamp(min=torch.finfo(sizes.dtype).tiny)
    return (sizes / largest).flatten(1).mean(1).tolist()


def _distance_to_zero(profile: list[float]) -> float | None:
    """Where the parabola through three values at 0, 1, 2 vanishes: its distance before 0, None if it does not."""
    p0, p1, p2 = profile
    if not p1 > p0:
        return None
    curvature, slope = (p2 - 2 * p1 + p0) / 2, (4 * p1 - 3 * p0 - p2) / 2
    discriminant = slope**2 - 4 * curvature * p0
    if discriminant < 0:
        return None
    # The larger of the two sums first, the other root from their product: neither cancels (Higham 2002, §1.8).
    half = -(slope + math.copysign(math.sqrt(discriminant), slope)) / 2
    roots = [numerator / denominator for numerator, denominator in ((p0, half), (half, curvature)) if denominator]
    near = [-root for root in roots if -1.5 <= root <= 1e-9]
    return min(near) + 0.0 if near else None


def _condition(field: Tensor, axis: int) -> str:
    if None not in _gaps(field, axis):
        return "dirichlet"
    rows = field[:SAMPLES_LOOKED_AT].movedim(axis, 0).double()
    jump = (rows[0] - rows[-1]).abs().mean()
    inside = rows.diff(dim=0).abs().mean()
    smooth = inside < 0.5 * rows.std()
    return "periodic" if smooth and jump < 2 * inside else "unknown"


def _size(field: Tensor) -> str:
    return "×".join(map(str, field.shape[2:]))
