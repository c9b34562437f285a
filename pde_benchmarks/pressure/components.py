"""Connected fluid: which parts no open cell touches, and what a right-hand side must be there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.pressure.cells import FLUID, SOLID, Sides, pressure_operator
from solvers import DiffusionOperator

__all__ = ["Compatible", "Components", "compatible", "fluid_components", "without_floating"]

#: Largest |sum| of a right-hand side over a floating component, relative to its norm, that passes for rounding.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Components:
    """Face-connected parts of the fluid.

    Parameters
    ----------
    labels
        Number of every fluid cell's component, counted over the whole batch; −1 elsewhere. int64, ``(*batch, *grid)``.
    floating
        True in the fluid of components that touch no open cell and no open side, ``(*batch, *grid)``: there the
        pressure is known up to a constant, and a right-hand side has to sum to zero.
    """

    labels: Tensor
    floating: Tensor


class Compatible(NamedTuple):
    """A right-hand side that sums to zero on every floating component, and the mean taken out of each cell for that.

    Both have the shape of the right-hand side; `mean` is zero on components that do not float.
    """

    rhs: Tensor
    mean: Tensor


def fluid_components(cells: Tensor, sides: Sides | Tensor = "solid") -> Components:
    """The connected parts of the fluid of every sample.

    Parameters
    ----------
    cells, sides
        As in `pressure_operator`.

    Raises
    ------
    ProblemError
        As `pressure_operator`.

    Examples
    --------
    >>> import torch
    >>> fluid_components(torch.tensor([1, 0, 1, 2])).floating
    tensor([ True, False, False, False])
    """
    return _components(cells, pressure_operator(cells, sides))


def without_floating(cells: Tensor, sides: Sides | Tensor = "solid") -> Tensor:
    """`cells` with every floating component made solid, in their dtype; a sample may have no fluid left.

    Examples
    --------
    >>> import torch
    >>> without_floating(torch.tensor([1, 0, 1, 2]))
    tensor([0, 0, 1, 2])
    """
    return torch.where(fluid_components(cells, sides).floating, SOLID, cells)


def compatible(cells: Tensor, sides: Sides | Tensor, rhs: Tensor, project: bool = False) -> Compatible:
    """The right-hand side without its mean on every floating component, and that mean.

    Parameters
    ----------
    cells, sides
        As in `pressure_operator`.
    rhs
        float32 or float64, ``(*batch, *grid)`` as `cells`; zero outside the fluid.
    project
        Take out means of any size; otherwise only those that rounding explains.

    Raises
    ------
    ProblemError
        `rhs` is of another shape, not finite or not zero outside the fluid, or |sum| > 1e-6 ‖rhs‖₂ on a floating
        component (which the message names by one of its cells) and `project` is false.

    Examples
    --------
    >>> import torch
    >>> compatible(torch.tensor([1, 1, 0]), "solid", torch.tensor([1.0, 2.0, 0.0]), project=True)
    Compatible(rhs=tensor([-0.5000,  0.5000,  0.0000]), mean=tensor([1.5000, 1.5000, 0.0000]))
    """
    A = pressure_operator(cells, sides, rhs.dtype if rhs.is_floating_point() else torch.float64)
    _require_field(cells, rhs)
    flat = rhs.reshape(*A.batch_shape, -1)
    projected = A.project(flat)
    if not project:
        _require_zero_sums(_components(cells, A), A, rhs)
    return Compatible(projected.reshape(rhs.shape), (flat - projected).reshape(rhs.shape))


def _components(cells: Tensor, A: DiffusionOperator) -> Components:
    fluid = cells == FLUID
    labels = A.kernel.labels.reshape(cells.shape)
    return Components(torch.where(fluid, labels, -1), fluid & A.kernel.is_floating.reshape(cells.shape))


def _require_field(cells: Tensor, rhs: Tensor) -> None:
    if rhs.shape != cells.shape:
        raise ProblemError(f"rhs {tuple(rhs.shape)}: the shape of the cells, {tuple(cells.shape)}, is expected.")
    if rhs.dtype not in (torch.float32, torch.float64):
        raise ProblemError(f"rhs of {rhs.dtype}: float32 or float64 is expected.")
    if not bool(rhs.isfinite().all()):
        place = _first(~rhs.isfinite())
        raise ProblemError(f"rhs at cell {place} is {rhs[place].item()}: finite numbers are expected.")
    outside = (rhs != 0) & (cells != FLUID)
    if bool(outside.any()):
        place = _first(outside)
        kind = "solid" if int(cells[place]) == SOLID else "open"
        raise ProblemError(
            f"rhs at cell {place}, which is {kind}, is {rhs[place].item():.3g}: zero is expected outside the fluid."
        )


def _require_zero_sums(parts: Components, A: DiffusionOperator, rhs: Tensor) -> None:
    if not bool(parts.floating.any()):
        return
    values, labels = rhs.double().reshape(-1), parts.labels.reshape(-1)
    inside = parts.floating.reshape(-1)
    sums = values.new_zeros(int(parts.labels.max()) + 1).index_add_(0, labels[inside], values[inside])
    d = len(A.grid)
    norm = torch.linalg.vector_norm(rhs.double().flatten(-d), dim=-1).reshape(*A.batch_shape, *[1] * d)
    wrong = parts.floating & (sums[parts.labels.clamp(min=0)].abs() > ROUNDING * norm)
    if bool(wrong.any()):
        place = _first(wrong)
        label = parts.labels[place]
        size = int((parts.labels == label).sum())
        raise ProblemError(
            f"rhs sums to {float(sums[label]):.3g} over the {size} cells around cell {place}, which no open cell "
            "touches: it has to sum to zero there; project it (project=True), or open a cell or side."
        )


def _first(condition: Tensor) -> tuple[int, ...]:
    """Index of the first true element."""
    return tuple(int(i) for i in condition.nonzero()[0])
