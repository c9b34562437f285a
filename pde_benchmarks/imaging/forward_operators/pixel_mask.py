"""Missing pixels: only some of them are seen."""

from __future__ import annotations

import torch
from torch import Tensor

from pde_benchmarks.imaging.errors import OperatorError
from pde_benchmarks.imaging.forward_operators.operator import LinearForwardOperator

__all__ = ["PixelMask"]


class PixelMask(LinearForwardOperator):
    """The values at the pixels where a mask is True, in the order of the grid; the adjoint puts zeros elsewhere.

    Parameters
    ----------
    mask
        bool, shape ``grid``.
    channels
        Every one is seen through the same mask.

    Raises
    ------
    OperatorError
        If the mask is not boolean, or hides everything.

    Examples
    --------
    >>> mask = PixelMask(torch.tensor([True, False, True]))
    >>> data = mask.apply(torch.tensor([[[1.0, 2.0, 3.0]]]))
    >>> data.tolist(), mask.adjoint(data).tolist()
    ([[[1.0, 3.0]]], [[[1.0, 0.0, 3.0]]])
    """

    def __init__(self, mask: Tensor, channels: int = 1) -> None:
        if mask.dtype != torch.bool or not bool(mask.any()):
            raise OperatorError(f"{self.name}: a boolean mask with at least one True is expected, found {mask.dtype}.")
        self.mask, self.channels = mask, channels
        self._seen = mask.flatten().nonzero().flatten()

    @classmethod
    def random(cls, grid: tuple[int, ...], fraction: float, generator: torch.Generator, channels: int = 1) -> PixelMask:
        """A random ``fraction`` of the pixels, at least one.

        Raises
        ------
        OperatorError
            If the fraction is not in (0, 1].
        """
        if not 0 < fraction <= 1:
            raise OperatorError(f"{cls.__name__}: fraction {fraction} of pixels seen: a number in (0, 1] is expected.")
        mask = torch.zeros(grid, dtype=torch.bool)
        order = torch.randperm(mask.numel(), generator=generator)
        mask.view(-1)[order[: max(1, round(fraction * mask.numel()))]] = True
        return cls(mask, channels)

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.channels, *self.mask.shape)

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (self.channels, len(self._seen))

    def norm(self) -> float:
        """One."""
        return 1.0

    def _apply(self, x: Tensor) -> Tensor:
        return x.flatten(2)[..., self._seen.to(x.device)]

    def _adjoint(self, y: Tensor) -> Tensor:
        full = torch.zeros(*y.shape[:2], self.mask.numel(), dtype=y.dtype, device=y.device)
        return full.index_copy(2, self._seen.to(y.device), y).unflatten(2, self.mask.shape)
