"""Errors of predicted fields against the truth, per sample and averaged.

The per-sample functions are differentiable and serve as training losses: ``relative_l2(u, y).nanmean()``. All of them
work in float64 whatever the fields' dtype (complex ones as their real and imaginary parts), and share two conventions.
A sample whose truth vanishes has no relative error: its entry is ``nan`` with gradient zero, so that ``nanmean`` leaves
it out. A sample with a value that is not finite has the error ``inf``, which no mean can hide.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pde_benchmarks.complex_channels import to_channels
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.grid import AxisBoundary, sides_of

__all__ = ["coverage", "field_metrics", "h1_fourier", "relative_h1", "relative_l2", "relative_max"]

FOURIER_CUT = 20


def relative_l2(prediction: Tensor, truth: Tensor) -> Tensor:
    """‖prediction − truth‖₂ / ‖truth‖₂ of every sample.

    Parameters
    ----------
    prediction, truth
        Shape ``(samples, channels, *grid)``.

    Returns
    -------
    Tensor
        float64, shape ``(samples,)``.

    Raises
    ------
    ProblemError
        If the shapes differ or are not those of batched fields.

    Examples
    --------
    >>> truth = torch.ones(2, 1, 4, 4)
    >>> relative_l2(1.5 * truth, truth)
    tensor([0.5000, 0.5000], dtype=torch.float64)
    """
    error, truth = _error_and_truth(prediction, truth)
    return _ratio(error.square().flatten(1).sum(1), truth.square().flatten(1).sum(1))


def relative_h1(prediction: Tensor, truth: Tensor, boundary: Sequence[AxisBoundary] | None = None) -> Tensor:
    """‖prediction − truth‖ / ‖truth‖ of every sample in the discrete H¹ norm of cells of width h = 1/N.

    ‖e‖² = h^d Σ e² + h^(d−2) Σ_faces (difference across the face)². The faces on the boundary belong to it: at a
    Dirichlet face the value jumps to zero over half a cell, hence its square counts twice; a Neumann face has no
    jump; a periodic one joins the two ends.

    Parameters
    ----------
    prediction, truth
        Shape ``(samples, channels, *grid)``.
    boundary
        ``dirichlet``, ``neumann``, ``periodic`` or ``unknown`` for every axis, or a pair for its two sides; None means
        unknown, which counts the interior faces only.

    Returns
    -------
    Tensor
        float64, shape ``(samples,)``.

    Raises
    ------
    ProblemError
        If the shapes differ, or a boundary condition is unknown or missing.
    """
    error, truth = _error_and_truth(prediction, truth)
    dim = error.ndim - 2
    boundary = boundary if boundary is not None else ("unknown",) * dim
    if len(boundary) != dim:
        raise ProblemError(f"relative_h1: {len(boundary)} boundary conditions {boundary} for fields with {dim} axes.")
    return _ratio(_squared_h1(error, boundary), _squared_h1(truth, boundary))


def h1_fourier(prediction: Tensor, truth: Tensor) -> Tensor:
    """Relative H¹ error as published for MgNO, for comparison with that column only; `relative_h1` is the honest one.

    ‖e‖² = Σ_k (1 + Σ_axes k² [|k| < 20]) |ê(k)|² with integer wave numbers (no 2π) and ê the orthonormal FFT, so the
    field is treated as periodic although it is not, and above wave number 20 only the L² part is left.

    Parameters
    ----------
    prediction, truth
        Shape ``(samples, channels, *grid)``.

    Returns
    -------
    Tensor
        float64, shape ``(samples,)``.
    """
    error, truth = _error_and_truth(prediction, truth)
    return _ratio(_squared_fourier_h1(error), _squared_fourier_h1(truth))


def relative_max(prediction: Tensor, truth: Tensor) -> Tensor:
    """max |prediction − truth| / max |truth| of every sample: float64, shape ``(samples,)``."""
    error, truth = _error_and_truth(prediction, truth)
    return _ratio(error.abs().flatten(1).amax(1).square(), truth.abs().flatten(1).amax(1).square())


def coverage(prediction: Tensor, std: Tensor, truth: Tensor, level: float = 0.9) -> Tensor:
    """Fraction of a sample's points at which the truth lies in the central Gaussian interval of probability ``level``.

    Parameters
    ----------
    prediction, std, truth
        Shape ``(samples, channels, *grid)``.

    Returns
    -------
    Tensor
        float64, shape ``(samples,)``; for honest error bars its mean is ``level``.

    Examples
    --------
    >>> truth = torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    >>> [round(float(c), 1) for c in coverage(torch.zeros_like(truth), torch.ones_like(truth), truth)]
    [0.9, 0.9]
    """
    error, truth = _error_and_truth(prediction, truth)
    half = math.sqrt(2) * torch.special.erfinv(torch.tensor(level, dtype=torch.float64, device=std.device))
    return (error.abs() <= half * std.double()).double().flatten(1).mean(1)


@torch.no_grad()
def field_metrics(
    prediction: Tensor, truth: Tensor, boundary: Sequence[AxisBoundary] | None = None
) -> dict[str, float]:
    """All errors of a test set, averaged over its samples.

    Parameters
    ----------
    prediction, truth
        Shape ``(samples, channels, *grid)``.
    boundary
        As in `relative_h1`.

    Returns
    -------
    dict
        ``relative_l2``, ``relative_h1``, ``relative_max`` (means over samples), ``relative_l2_worst``,
        ``relative_l2_median``, and ``left_out``, the number of samples whose truth is zero everywhere and which
        therefore count in none of them (all ``nan`` if there is no other).

    Raises
    ------
    ProblemError
        If the shapes differ, there is no sample, or a value is not finite.
    """
    _error_and_truth(prediction, truth)
    if not len(truth):
        raise ProblemError("errors of an empty test set: give at least one sample.")
    for name, field in (("prediction", prediction), ("truth", truth)):
        _require_finite(field, name)
    l2 = relative_l2(prediction, truth)
    kept = ~l2.isnan()
    errors = l2[kept]
    return {
        "relative_l2": errors.mean().item(),
        "relative_h1": relative_h1(prediction, truth, boundary)[kept].mean().item(),
        "relative_max": relative_max(prediction, truth)[kept].mean().item(),
        "relative_l2_worst": errors.max().item() if len(errors) else float("nan"),
        "relative_l2_median": errors.quantile(0.5).item() if len(errors) else float("nan"),
        "left_out": float(len(l2) - len(errors)),
    }


def _error_and_truth(prediction: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    if prediction.shape != truth.shape:
        raise ProblemError(
            f"prediction {tuple(prediction.shape)} and truth {tuple(truth.shape)} differ in shape: "
            "both must be (samples, channels, *grid) on the same grid."
        )
    if truth.ndim < 2 or 0 in truth.shape[1:]:
        raise ProblemError(f"fields of shape {tuple(truth.shape)}: expected (samples, channels, *grid).")
    truth = to_channels(truth).double()
    return to_channels(prediction).double() - truth, truth


def _ratio(squared_error: Tensor, squared_truth: Tensor) -> Tensor:
    """√(error / truth), with ``nan`` for a zero truth, ``inf`` for what is not finite, and no infinite gradients."""
    vanishing = squared_truth == 0
    quotient = squared_error / torch.where(vanishing, 1.0, squared_truth)
    exact = quotient == 0
    root = torch.where(exact, 0.0, torch.where(exact, 1.0, quotient).sqrt())
    return torch.where(vanishing, torch.nan, torch.nan_to_num(root, nan=torch.inf, posinf=torch.inf))


def _squared_h1(field: Tensor, boundary: Sequence[AxisBoundary]) -> Tensor:
    cells = math.prod(field.shape[2:])
    total = field.square().flatten(1).sum(1)
    for axis, sides in enumerate(sides_of(boundary)):
        jumps = _squared_jumps(field.movedim(axis + 2, 1), sides)
        total = total + field.shape[axis + 2] ** 2 * jumps
    return total / cells


def _squared_jumps(field: Tensor, sides: tuple[str, str]) -> Tensor:
    """Sum of squared differences across the faces along axis 1, boundary faces included."""
    total = field.diff(dim=1).square().flatten(1).sum(1)
    if "periodic" in sides:
        return total + (field[:, 0] - field[:, -1]).square().flatten(1).sum(1)
    for condition, end in zip(sides, (field[:, 0], field[:, -1]), strict=True):
        if condition == "dirichlet":
            total = total + 2 * end.square().flatten(1).sum(1)
    return total


def _squared_fourier_h1(field: Tensor) -> Tensor:
    axes = tuple(range(2, field.ndim))
    weight = torch.ones((), dtype=torch.float64, device=field.device)
    for axis in axes:
        n = field.shape[axis]
        wave = torch.fft.fftfreq(n, 1 / n, dtype=torch.float64, device=field.device)
        weight = weight[..., None] + torch.where(wave.abs() < FOURIER_CUT, wave.square(), 0.0)
    spectrum = torch.fft.fftn(field, dim=axes, norm="ortho")
    return (weight * (spectrum.real.square() + spectrum.imag.square())).flatten(1).sum(1)


def _require_finite(field: Tensor, name: str) -> None:
    broken = (~field.isfinite()).flatten(1).any(1).nonzero().flatten().tolist()
    if broken:
        first = ", ".join(map(str, broken[:5]))
        raise ProblemError(
            f"the {name} holds NaN or infinity in {len(broken)} of {len(field)} samples (first: {first}): "
            "no error can be computed."
        )
