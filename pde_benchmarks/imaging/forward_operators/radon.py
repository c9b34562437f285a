"""Line integrals of an image, as measured by computed tomography: a sparse matrix, and the same without a matrix."""

from __future__ import annotations

from itertools import product

import numpy as np
import scipy.sparse
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from pde_benchmarks.imaging.forward_operators.operator import LinearForwardOperator
from pde_benchmarks.imaging.forward_operators.parallel_beams import STEP, ParallelBeams
from solvers import CSROperator

__all__ = ["MatrixFreeRadon", "Radon", "SparseRadon"]

POINTS_AT_ONCE = 2**22


class Radon(LinearForwardOperator):
    """Integrals along parallel rays of an image that is bilinear between pixel centres and zero outside.

    The data has shape ``(channels, angles, detectors)``, in pixels times the image's unit. Two subclasses compute the
    same numbers: `SparseRadon` is faster, `MatrixFreeRadon` stores no matrix (of about 4 size² angles entries).

    Parameters
    ----------
    beams
        The geometry of the rays.
    channels
        Every channel is scanned alike.
    """

    def __init__(self, beams: ParallelBeams, channels: int = 1) -> None:
        self.beams, self.channels = beams, channels

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.channels, self.beams.size, self.beams.size)

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (self.channels, self.beams.angles, self.beams.detectors)


class SparseRadon(Radon):
    """`Radon` as a sparse matrix and its transpose.

    Examples
    --------
    >>> radon = SparseRadon(ParallelBeams(size=16, angles=6))
    >>> sinogram = radon.apply(torch.ones(1, 1, 16, 16))
    >>> sinogram.shape, round(float(sinogram[0, 0, 0].max()), 3)
    (torch.Size([1, 1, 6, 23]), 16.0)
    """

    def __init__(self, beams: ParallelBeams, channels: int = 1) -> None:
        super().__init__(beams, channels)
        self._matrices: dict[tuple[torch.dtype, torch.device], tuple[CSROperator, CSROperator]] = {}
        matrix = ray_matrix(beams)
        self._stored = CSROperator.from_scipy(matrix), CSROperator.from_scipy(matrix.T.tocsr())

    def _apply(self, x: Tensor) -> Tensor:
        return self._pair(x)[0].mv(x.flatten(2)).reshape(-1, *self.output_shape)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._pair(y)[1].mv(y.flatten(2)).reshape(-1, *self.input_shape)

    def _pair(self, x: Tensor) -> tuple[CSROperator, CSROperator]:
        """The matrix and its transpose, in the precision of x and where it lives."""
        key = (x.dtype, x.device)
        if key not in self._matrices:
            matrix, transpose = self._stored
            self._matrices[key] = matrix.to(x.device).to(x.dtype), transpose.to(x.device).to(x.dtype)
        return self._matrices[key]


class MatrixFreeRadon(Radon):
    """`Radon` by sampling the image at the points of the rays; the adjoint is the derivative of that, hence exact.

    Examples
    --------
    >>> beams = ParallelBeams(size=16, angles=6)
    >>> x = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> torch.allclose(MatrixFreeRadon(beams).apply(x), SparseRadon(beams).apply(x))
    True
    """

    def __init__(self, beams: ParallelBeams, channels: int = 1) -> None:
        super().__init__(beams, channels)
        self._points: dict[tuple[int, torch.dtype, torch.device], Tensor] = {}

    def _apply(self, x: Tensor) -> Tensor:
        return torch.cat([self._seen_from(x, chosen) for chosen in self._groups()], 2)

    def _adjoint(self, y: Tensor) -> Tensor:
        total = torch.zeros(len(y), *self.input_shape, dtype=y.dtype, device=y.device)
        for chosen in self._groups():
            with torch.enable_grad():
                image = torch.zeros_like(total, requires_grad=True)
                total += torch.autograd.grad(self._seen_from(image, chosen), image, y[:, :, chosen])[0]
        return total

    def _groups(self) -> list[slice]:
        """Angles at a time, so that no more points are held than memory has room for."""
        points = self.beams.detectors * len(self.beams.along)
        count = max(1, POINTS_AT_ONCE // points)
        return [slice(start, start + count) for start in range(0, self.beams.angles, count)]

    def _seen_from(self, x: Tensor, chosen: slice) -> Tensor:
        """The data of some angles."""
        key = (chosen.start, x.dtype, x.device)
        if key not in self._points:
            points = torch.stack(self.beams.ray_points(chosen), -1)
            # grid_sample counts from −1 at the outer side of the first pixel to 1 at that of the last.
            points = ((2 * points + 1) / self.beams.size - 1).to(x)
            if len(self._groups()) > 1:
                self._points.clear()
            self._points[key] = points
        points = self._points[key]
        grid = points.flatten(0, 1).expand(len(x), -1, -1, -1)
        values = grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        return STEP * values.sum(-1).unflatten(2, points.shape[:2])


def ray_matrix(beams: ParallelBeams) -> scipy.sparse.csr_array:
    """The matrix of `Radon` for one channel, ``(angles · detectors, size²)``: bilinear weights times the step."""
    columns, rows = (points.numpy() for points in beams.ray_points())
    numbers = np.arange(beams.angles * beams.detectors).reshape(beams.angles, beams.detectors, 1)
    ray = np.broadcast_to(numbers, columns.shape)
    left, top = np.floor(columns).astype(np.int64), np.floor(rows).astype(np.int64)
    entries = []
    for right, below in product((0, 1), repeat=2):
        column, row = left + right, top + below
        weight = STEP * np.abs(1 - right - (columns - left)) * np.abs(1 - below - (rows - top))
        seen = (column >= 0) & (column < beams.size) & (row >= 0) & (row < beams.size) & (weight > 0)
        entries.append((weight[seen], ray[seen], row[seen] * beams.size + column[seen]))
    weights, rays, pixels = (np.concatenate(parts) for parts in zip(*entries, strict=True))
    shape = (beams.angles * beams.detectors, beams.size**2)
    return scipy.sparse.coo_array((weights, (rays, pixels)), shape).tocsr()
