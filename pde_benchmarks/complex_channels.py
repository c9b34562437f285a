"""Complex fields for networks of real numbers: every complex channel is two real ones."""

from __future__ import annotations

import torch
from torch import Tensor

from pde_benchmarks.errors import ProblemError

__all__ = ["from_channels", "to_channels"]


def to_channels(field: Tensor) -> Tensor:
    """Real and imaginary parts as channels, c by c: re₀, im₀, re₁, im₁, …; a real field is returned as it is.

    Parameters
    ----------
    field
        ``(batch, channel, *grid)``, or with further axes between channel and grid.

    Returns
    -------
    Tensor
        ``(batch, 2 · channel, *grid)``, float32 for complex64, float64 for complex128.

    Examples
    --------
    >>> to_channels(torch.tensor([[[1 + 2j, 3 - 4j]]])).tolist()
    [[[1.0, 3.0], [2.0, -4.0]]]
    """
    if not field.is_complex():
        return field
    return torch.view_as_real(field.resolve_conj()).movedim(-1, 2).flatten(1, 2)


def from_channels(field: Tensor) -> Tensor:
    """The complex field whose real and imaginary parts are these channels: the inverse of `to_channels`.

    Parameters
    ----------
    field
        ``(batch, 2 · channel, *grid)``, float32 or float64.

    Returns
    -------
    Tensor
        ``(batch, channel, *grid)``, complex64 or complex128.

    Raises
    ------
    ProblemError
        If the number of channels is odd, or no complex numbers are made of such real ones.

    Examples
    --------
    >>> from_channels(torch.tensor([[[1.0], [2.0]]]))
    tensor([[[1.+2.j]]])
    """
    if field.shape[1] % 2:
        raise ProblemError(
            f"{field.shape[1]} channels are no complex field: expected two for every complex channel, re and im."
        )
    if field.dtype not in (torch.float32, torch.float64):
        raise ProblemError(f"{field.dtype} makes no complex field: give float32 or float64.")
    return torch.complex(field[:, 0::2], field[:, 1::2])
