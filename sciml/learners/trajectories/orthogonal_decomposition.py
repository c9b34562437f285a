"""Proper orthogonal decomposition: the plane that lies closest to given states."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sciml.errors import LearnerError

__all__ = ["OrthogonalModes", "orthogonal_modes"]

# A mode this much weaker than the strongest is scaled as if it were this strong, so that rounding is not blown up.
_WEAKEST = 1e-5


class OrthogonalModes(NamedTuple):
    """The best plane through states.

    Attributes
    ----------
    mean
        Mean state ``(size,)``.
    modes
        Orthonormal directions ``(rank, size)``, the strongest first.
    deviations
        Standard deviation of the states along each, ``(rank,)``, bounded from below.
    discarded
        Mean squared distance ‖x − projection‖² of the states from the plane.
    """

    mean: Tensor
    modes: Tensor
    deviations: Tensor
    discarded: float


def orthogonal_modes(states: Tensor, rank: int) -> OrthogonalModes:
    """Mean and leading directions of states ``(count, size)``, in float64.

    Raises
    ------
    LearnerError
        If there are no more states than directions asked for.

    Examples
    --------
    >>> line = torch.tensor([[0.0, 0.0], [3.0, 4.0], [-3.0, -4.0]])
    >>> found = orthogonal_modes(line, 1)
    >>> found.modes.abs()
    tensor([[0.6000, 0.8000]], dtype=torch.float64)
    >>> round(found.discarded, 12)
    0.0
    """
    count, size = states.shape
    if rank > min(count - 1, size):
        raise LearnerError(
            f"latent = {rank}: {count} training states of {size} numbers span at most {min(count - 1, size)} "
            "directions; use a smaller latent dimension or more samples."
        )
    states = states.double()
    mean = states.mean(0)
    _, strengths, directions = torch.linalg.svd(states - mean, full_matrices=False)
    deviations = strengths / count**0.5
    # States that are all alike have deviations of zero: any scale serves them.
    floor = _WEAKEST * float(deviations[0]) or 1.0
    discarded = float(deviations[rank:].square().sum())
    return OrthogonalModes(mean, directions[:rank], deviations[:rank].clamp(min=floor), discarded)
