"""How well media made of phases are recovered: wrong pixels, volume fractions, centred correlation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pde_benchmarks.errors import ProblemError

__all__ = ["centred_correlation", "nearest_phase", "volume_fraction_error", "wrong_pixels"]


def nearest_phase(field: Tensor, phases: Sequence[float]) -> Tensor:
    """Index of the value nearest to each entry; between two phases the threshold is their mean.

    Parameters
    ----------
    field
        Any shape: values of the coefficient, or with ``phases=(0, 1)`` the probability of the second phase.
    phases
        The values, at least two different ones.

    Returns
    -------
    Tensor
        int64, shape of ``field``; half-way the earlier phase.

    Raises
    ------
    ProblemError
        If there are fewer than two phases, or two are equal.

    Examples
    --------
    >>> nearest_phase(torch.tensor([5.2, 7.6, 100.0]), (5.0, 10.0))
    tensor([0, 1, 1])
    """
    if len(phases) < 2 or len(set(phases)) < len(phases):
        raise ProblemError(f"phases {tuple(phases)}: at least two different values are expected.")
    return torch.stack([(field - value).abs() for value in phases]).argmin(0)


def wrong_pixels(prediction: Tensor, truth: Tensor, phases: Sequence[float]) -> Tensor:
    """Fraction of pixels whose nearest phase is not the true one.

    Parameters
    ----------
    prediction, truth
        Shape ``(samples, channels, *grid)``.
    phases
        The values that the truth takes.

    Returns
    -------
    Tensor
        float64, shape ``(samples,)``.

    Raises
    ------
    ProblemError
        If the shapes differ.

    Examples
    --------
    >>> truth = torch.tensor([5.0, 5.0, 10.0, 10.0]).reshape(1, 1, 4)
    >>> wrong_pixels(truth + torch.tensor([3.0, 1.0, 0.0, 9.0]), truth, (5.0, 10.0))
    tensor([0.2500], dtype=torch.float64)
    """
    _require_one_shape(prediction, truth)
    wrong = nearest_phase(prediction, phases) != nearest_phase(truth, phases)
    return wrong.double().flatten(1).mean(1)


def volume_fraction_error(prediction: Tensor, truth: Tensor, phases: Sequence[float]) -> Tensor:
    """Σ |fraction − true fraction| / 2 over the phases: for two of them the error of either's fraction.

    Parameters, return value and errors as in `wrong_pixels`, which it never exceeds.

    Examples
    --------
    >>> truth = torch.tensor([5.0, 5.0, 10.0, 10.0]).reshape(1, 1, 4)
    >>> volume_fraction_error(truth.flip(-1), truth, (5.0, 10.0)), volume_fraction_error(truth + 5, truth, (5.0, 10.0))
    (tensor([0.], dtype=torch.float64), tensor([0.5000], dtype=torch.float64))
    """
    _require_one_shape(prediction, truth)
    every = torch.arange(len(phases), device=truth.device)
    shares = [
        (nearest_phase(field, phases).flatten(1)[..., None] == every).double().mean(1) for field in (prediction, truth)
    ]
    return (shares[0] - shares[1]).abs().sum(1) / 2


def centred_correlation(prediction: Tensor, truth: Tensor) -> Tensor:
    """Σ (a − ā)(b − b̄) / (‖a − ā‖ ‖b − b̄‖), means over the sample: no affine change of either matters.

    The cosine without centring is at least 2√(mM)/(m + M) for fields between m and M (0.943 between 5 and 10), hence
    says nothing about media.

    Parameters
    ----------
    prediction, truth
        Shape ``(samples, channels, *grid)``.

    Returns
    -------
    Tensor
        float64, shape ``(samples,)``, in [−1, 1]; 0 for a constant prediction, ``nan`` for a constant truth.

    Raises
    ------
    ProblemError
        If the shapes differ.

    Examples
    --------
    >>> truth = torch.tensor([5.0, 5.0, 10.0, 10.0]).reshape(1, 1, 4)
    >>> centred_correlation(3 - truth, truth)
    tensor([-1.], dtype=torch.float64)
    """
    _require_one_shape(prediction, truth)
    first, second = (field.double().flatten(1) for field in (prediction, truth))
    # A constant is told by its range: rounding in its mean would leave a residue that correlates with anything.
    flat, none = ((x.amax(1) == x.amin(1)) for x in (first, second))
    first, second = (x - x.mean(1, keepdim=True) for x in (first, second))
    norms = first.norm(dim=1) * second.norm(dim=1)
    found = (first * second).sum(1) / torch.where(norms == 0, 1, norms)
    return torch.where(none, torch.nan, torch.where(flat, 0.0, found.clamp(-1, 1)))


def _require_one_shape(prediction: Tensor, truth: Tensor) -> None:
    if prediction.shape != truth.shape or truth.ndim < 2 or 0 in truth.shape[1:]:
        raise ProblemError(
            f"prediction {tuple(prediction.shape)} and truth {tuple(truth.shape)}: expected one "
            "shape, (samples, channels, *grid)."
        )
