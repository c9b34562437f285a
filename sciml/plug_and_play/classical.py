"""Regularisation by quadratic functions: Tikhonov's method, smoothness, Gaussian fields."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pde_benchmarks.random_fields import GaussianField
from sciml.errors import ConfigurationError, InferenceError
from sciml.plug_and_play.data_fidelity import DataFidelity
from sciml.plug_and_play.method import weights
from sciml.plug_and_play.total_variation import differences, differences_transposed
from solvers import FunctionOperator, IdentityOperator, LinearOperator

__all__ = ["gaussian_field_precision", "identity_precision", "smoothness_precision", "tikhonov"]


@torch.no_grad()
def tikhonov(
    fidelity: DataFidelity,
    weight: float | Tensor,
    precision: LinearOperator | None = None,
    mean: Tensor | None = None,
    *,
    start: Tensor | None = None,
    throw: bool = True,
) -> Tensor:
    """argmin_x h(x) + ½ weight ⟨x − m, P (x − m)⟩: the maximum a posteriori of a Gaussian prior.

    One linear system for linear operators with Gaussian noise, Newton's method for counts, L-BFGS for nonlinear
    operators.

    Parameters
    ----------
    fidelity
        h.
    weight
        One number, or one a sample ``(B,)``.
    precision
        P: `identity_precision` (Tikhonov; the default), `smoothness_precision` (the H¹ seminorm) or
        `gaussian_field_precision`.
    mean
        m, ``(channels, *grid)`` or with a batch axis; zero by default.
    start
        First guess; the mean by default for nonlinear operators.
    throw
        Raise if a sample was not solved.

    Returns
    -------
    Tensor
        ``(B, channels, *grid)``.

    Raises
    ------
    InferenceError
        A sample was not solved and `throw` is set; the last iterates are attached.

    Examples
    --------
    >>> from pde_benchmarks.imaging.forward_operators import from_functions
    >>> from sciml.plug_and_play import GaussianFidelity
    >>> same = from_functions(lambda x: x, lambda y: y, input_shape=(1, 4), output_shape=(1, 4), norm=1.0)
    >>> fidelity = GaussianFidelity(same, torch.tensor([[[1.0, 3.0, 1.0, 3.0]]], dtype=torch.float64))
    >>> smooth = tikhonov(fidelity, 10.0, smoothness_precision((1, 4)))
    >>> [round(value, 2) for value in smooth[0, 0].tolist()]
    [1.91, 2.0, 2.0, 2.09]
    """
    like = fidelity.first_guess()
    centre = torch.zeros_like(like) if mean is None else mean.to(like).expand_as(like)
    precision = identity_precision(like.shape[1:], like.dtype, like.device) if precision is None else precision
    x, solved = fidelity.minimum(weights(weight, like) * precision, centre, centre if start is None else start)
    if throw and not bool(solved.all()):
        failed = (~solved).nonzero().reshape(-1)
        raise InferenceError(
            f"tikhonov: {failed.numel()} of {len(x)} samples were not solved, the first of them {int(failed[0])}: give "
            "more weight, another start, or use float64; throw=False returns the last iterates.",
            x,
        )
    return x


def identity_precision(
    shape: tuple[int, ...], dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu"
) -> LinearOperator:
    """⟨x, x⟩ of fields ``(channels, *grid)``."""
    return IdentityOperator(math.prod(shape), dtype, device)


def smoothness_precision(
    shape: tuple[int, ...], dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu"
) -> LinearOperator:
    """‖∇x‖² by differences of neighbours, free boundaries: the H¹ seminorm of fields ``(channels, *grid)``."""
    size = math.prod(shape)

    def product(v: Tensor) -> Tensor:
        return differences_transposed(differences(v.reshape(-1, *shape))).reshape(v.shape)

    return FunctionOperator(product, (size, size), (), product, ("symmetric",), dtype=dtype, device=device)


def gaussian_field_precision(
    field: GaussianField,
    shape: tuple[int, ...],
    floor: float = 1e-6,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> LinearOperator:
    """The inverse covariance of a Gaussian field with free boundaries on a grid of cell centres.

    Cosines diagonalise it: the variance of each is that of the field, and for the mean, which the law leaves open, that
    of its slowest wave.

    Parameters
    ----------
    field
        The law; its boundary is ``neumann``.
    shape
        ``(channels, *grid)``; channels are independent.
    floor
        Variances below this part of the largest are raised to it, which bounds the condition number.

    Raises
    ------
    ConfigurationError
        If the law has another boundary, or the floor is not in (0, 1).
    """
    if field.boundary != "neumann" or not 0 < floor < 1:
        raise ConfigurationError(
            f"boundary {field.boundary!r}, floor {floor}: a field with the boundary 'neumann' and a floor in (0, 1) "
            "are expected."
        )
    grid = shape[1:]
    spectrum = _variances(field, grid).to(dtype=dtype, device=device)
    precision = 1 / spectrum.clamp(min=floor * float(spectrum.max()))
    bases = [_cosines(n).to(dtype=dtype, device=device) for n in grid]
    size = math.prod(shape)

    def product(v: Tensor) -> Tensor:
        waves = _along_axes(v.reshape(-1, *shape), bases)
        return _along_axes(precision * waves, [basis.mT for basis in bases]).reshape(v.shape)

    return FunctionOperator(product, (size, size), (), product, ("spd",), dtype=dtype, device=device)


def _variances(field: GaussianField, grid: tuple[int, ...]) -> Tensor:
    """Variance of each orthonormal cosine of cell values, ``grid``."""
    modes = max(max(grid), 2)
    law = GaussianField(field.smoothness, field.inverse_length, field.boundary, modes)
    squares = law.amplitudes(len(grid))[tuple(slice(n) for n in grid)].square()
    constant = (0,) * len(grid)
    squares[constant] = squares.max()
    # φ_k has mean square one over the cells: n times that of an orthonormal vector.
    return squares * math.prod(grid)


def _cosines(n: int) -> Tensor:
    """Orthonormal cosines of n cell centres, one a row: the discrete cosine transform of type II."""
    centres = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    waves = torch.cos(math.pi * torch.arange(n, dtype=torch.float64)[:, None] * centres)
    return waves / waves.norm(dim=1, keepdim=True)


def _along_axes(x: Tensor, matrices: list[Tensor]) -> Tensor:
    for axis, matrix in enumerate(matrices, start=2):
        x = torch.movedim(torch.movedim(x, axis, -1) @ matrix.mT, -1, axis)
    return x
