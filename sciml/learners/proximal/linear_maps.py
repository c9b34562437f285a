"""Linear maps with their exact transposes: what convex potentials are made of."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Convolution", "LinearMap", "Matrix"]

Kernel = Callable[..., Tensor]

CONVOLVE: dict[int, Kernel] = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
TRANSPOSE: dict[int, Kernel] = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}


class LinearMap(nn.Module):
    """A linear map y = A x of batches that knows Aᵀ; ``weight`` are its coefficients, ``(outputs, inputs, ...)``."""

    weight: nn.Parameter

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """A x."""

    @abstractmethod
    def transpose(self, y: Tensor, shape: Sequence[int]) -> Tensor:
        """Aᵀ y; ``shape`` is the grid of x, which y alone does not tell."""

    @property
    def taps(self) -> int:
        """Coefficients that one output is made of."""
        return self.weight[0].numel()


class Convolution(LinearMap):
    """Convolution with an odd kernel, zeros outside the grid; any grid of n points becomes one of ⌈n / stride⌉.

    Parameters
    ----------
    dim
        Axes of the grid: 1, 2 or 3.
    inputs, outputs
        Channels.
    kernel, stride
        Points along each axis.

    Examples
    --------
    >>> blur = Convolution(dim=2, inputs=1, outputs=4, kernel=3, stride=2)
    >>> x, y = torch.randn(2, 1, 7, 8), torch.randn(2, 4, 4, 4)
    >>> torch.allclose((blur(x) * y).sum(), (x * blur.transpose(y, (7, 8))).sum(), rtol=1e-3, atol=1e-3)
    True
    """

    def __init__(self, dim: int, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.dim, self.kernel, self.stride = dim, kernel, stride
        self.weight = nn.Parameter(torch.zeros(outputs, inputs, *(kernel,) * dim))
        nn.init.normal_(self.weight, std=self.taps**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, inputs, *grid)`` to ``(batch, outputs, *coarser)``."""
        return CONVOLVE[self.dim](x, self.weight, stride=self.stride, padding=self.kernel // 2)

    def transpose(self, y: Tensor, shape: Sequence[int]) -> Tensor:
        """``(batch, outputs, *coarser)`` to ``(batch, inputs, *shape)``."""
        missing = [n - (m - 1) * self.stride - 1 for n, m in zip(shape, y.shape[2:], strict=True)]
        return TRANSPOSE[self.dim](y, self.weight, stride=self.stride, padding=self.kernel // 2, output_padding=missing)


class Matrix(LinearMap):
    """Matrix times vector, ``(batch, inputs)`` to ``(batch, outputs)``."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(outputs, inputs))
        nn.init.normal_(self.weight, std=self.taps**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """A x."""
        return functional.linear(x, self.weight)

    def transpose(self, y: Tensor, shape: Sequence[int] = ()) -> Tensor:
        """Aᵀ y."""
        return functional.linear(y, self.weight.T)
