"""Images brought to one number of channels and to one size."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from pde_benchmarks.errors import DatasetError

__all__ = ["cut_patches", "to_channels"]

#: Red, green and blue in the luminance of ITU-R BT.601.
LUMINANCE = (0.299, 0.587, 0.114)


def to_channels(images: Tensor, channels: int | None, file: Path) -> Tensor:
    """Images ``(samples, c, *grid)`` with ``channels`` channels: as they are, or colour made grey.

    Raises
    ------
    DatasetError
        If that is not possible; ``file`` is named.
    """
    found = images.shape[1]
    if channels is None or found == channels:
        return images
    if channels == 1 and found == len(LUMINANCE):
        weights = torch.tensor(LUMINANCE, dtype=images.dtype)
        return torch.tensordot(images, weights, dims=([1], [0]))[:, None]
    raise DatasetError(f"{file}: {found} channels, {channels} are asked for: only colour (3) can be made grey (1).")


def cut_patches(images: Tensor, side: int | None, name: str) -> Tensor:
    """Patches ``(n, channels, side, …)`` that lie next to each other; what is left at the far sides is dropped.

    Raises
    ------
    DatasetError
        If an image is smaller than a patch; ``name`` says which.

    Examples
    --------
    >>> cut_patches(torch.zeros(2, 3, 9, 12), 4, "example").shape
    torch.Size([12, 3, 4, 4])
    """
    if side is None:
        return images
    grid = images.shape[2:]
    if min(grid) < side:
        raise DatasetError(f"{name}: {'×'.join(map(str, grid))} points, smaller than a patch of side {side}.")
    patches = images
    for axis in range(2, 2 + len(grid)):
        patches = patches.unfold(axis, side, side)
    dim = len(grid)
    order = (0, *range(2, 2 + dim), 1, *range(2 + dim, 2 + 2 * dim))
    return patches.permute(order).flatten(0, dim)
