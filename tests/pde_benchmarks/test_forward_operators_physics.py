"""Each forward operator against the mathematics that it stands for."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.ndimage
import torch

from pde_benchmarks.imaging import OperatorError
from pde_benchmarks.imaging.forward_operators import (
    CircularBlur,
    CompressedSensing,
    HeatSource,
    MatrixFreeRadon,
    ParallelBeams,
    PixelMask,
    ReflectingBlur,
    SparseRadon,
    SteppedHeatSource,
    filtered_back_projection,
    gaussian_kernel,
)
from pde_benchmarks.imaging.laws import draw_ellipses


def random_fields(*shape: int) -> torch.Tensor:
    return torch.randn(2, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def disc(size: int, radius: float, finer: int = 8) -> torch.Tensor:
    """Fraction of every pixel inside a disc in the middle, ``(1, 1, size, size)``."""
    line = (torch.arange(size * finer, dtype=torch.float64) + 0.5) / finer - size / 2
    inside = (line[:, None] ** 2 + line**2 < radius**2).double()
    return inside.reshape(size, finer, size, finer).mean((1, 3))[None, None]


@pytest.mark.parametrize(("kind", "mode"), [(CircularBlur, "wrap"), (ReflectingBlur, "reflect")])
@pytest.mark.parametrize("grid", [(21,), (12, 15)], ids=str)
def test_blur_is_convolution(kind, mode, grid):
    """Against SciPy's direct convolution with the same rule at the sides."""
    kernel = gaussian_kernel(1.3, len(grid))
    x = random_fields(1, *grid)
    blurred = kind((1, *grid), kernel).apply(x)
    direct = [scipy.ndimage.convolve(row[0].numpy(), kernel.numpy(), mode=mode) for row in x]
    np.testing.assert_allclose(blurred[:, 0], direct, atol=1e-13)


def test_lopsided_kernels_are_convolved_not_correlated():
    kernel = torch.rand(3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = random_fields(1, 9, 11)
    direct = [scipy.ndimage.convolve(row[0].numpy(), kernel.numpy(), mode="wrap") for row in x]
    np.testing.assert_allclose(CircularBlur((1, 9, 11), kernel).apply(x)[:, 0], direct, atol=1e-13)
    with pytest.raises(OperatorError, match="not even along axis 0"):
        ReflectingBlur((1, 9, 11), kernel)


@pytest.mark.parametrize("kernel", [torch.ones(4, 4), torch.ones(3), torch.ones(11, 3)], ids=["even", "1D", "long"])
def test_kernels_that_do_not_fit_are_refused(kernel):
    with pytest.raises(OperatorError, match="odd side"):
        CircularBlur((1, 9, 9), kernel)


@pytest.mark.parametrize("width", [0.0, -1.0, float("nan")])
def test_kernels_need_a_width(width):
    with pytest.raises(OperatorError, match="positive"):
        gaussian_kernel(width, 2)


@pytest.mark.parametrize("wave", [(0, 0), (1, 0), (2, 3)], ids=str)
def test_heat_damps_cosines_exactly(wave):
    """cos(π k·x) decays by exp(−κT π² |k|²)."""
    points = [(torch.arange(n, dtype=torch.float64) + 0.5) / n for n in (10, 14)]
    x = torch.outer(torch.cos(math.pi * wave[0] * points[0]), torch.cos(math.pi * wave[1] * points[1]))[None, None]
    later = HeatSource((1, 10, 14), 3e-3).apply(x)
    decay = math.exp(-3e-3 * math.pi**2 * (wave[0] ** 2 + wave[1] ** 2))
    torch.testing.assert_close(later, decay * x, rtol=0, atol=1e-13)


def test_stepped_heat_converges_to_the_exact_one_of_order_one_in_time_and_two_in_space():
    """With Δt ~ h², the error of a smooth field falls by four when h is halved."""
    errors = []
    for n, steps in ((16, 8), (32, 32), (64, 128)):
        points = (torch.arange(n, dtype=torch.float64) + 0.5) / n
        x = torch.exp(torch.cos(math.pi * points))[None, None]
        exact = HeatSource((1, n), 0.05).apply(x)
        errors.append((SteppedHeatSource((1, n), 0.05, steps).apply(x) - exact).abs().max().item())
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert (np.abs(orders - 2) < 0.15).all()


def test_stepped_heat_is_of_order_one_in_the_time_step_in_two_dimensions():
    x = random_fields(1, 12, 10)
    fields = [SteppedHeatSource((1, 12, 10), 1e-2, steps).apply(x) for steps in (16, 32, 64)]
    order = math.log2((fields[0] - fields[1]).norm() / (fields[1] - fields[2]).norm())
    assert 0.85 < order < 1.1


@pytest.mark.parametrize("size", [9, 16])
def test_both_radon_transforms_are_one(size):
    beams = ParallelBeams(size, angles=7)
    sparse, free = SparseRadon(beams), MatrixFreeRadon(beams)
    x = random_fields(1, size, size)
    torch.testing.assert_close(sparse.apply(x), free.apply(x), rtol=0, atol=1e-12)
    y = random_fields(*sparse.output_shape)
    torch.testing.assert_close(sparse.adjoint(y), free.adjoint(y), rtol=0, atol=1e-12)


def test_groups_of_angles_change_nothing(monkeypatch):
    """A scan too large for memory is done some angles at a time."""
    free = MatrixFreeRadon(ParallelBeams(9, angles=7))
    x, y = random_fields(1, 9, 9), random_fields(*free.output_shape)
    data, image = free.apply(x), free.adjoint(y)
    monkeypatch.setattr("pde_benchmarks.imaging.forward_operators.radon.POINTS_AT_ONCE", 1000)
    grouped = MatrixFreeRadon(ParallelBeams(9, angles=7))
    torch.testing.assert_close(grouped.apply(x), data, rtol=0, atol=1e-13)
    torch.testing.assert_close(grouped.adjoint(y), image, rtol=0, atol=1e-13)


def test_radon_of_a_disc():
    """Chords 2 √(r² − s²) from every side, to second order away from the rim; the mass of every projection is right."""
    beams = ParallelBeams(64, angles=15)
    image, radius = disc(64, radius=19.2), 19.2
    projections = SparseRadon(beams).apply(image)[0, 0]
    chords = 2 * (radius**2 - beams.offsets**2).clamp(min=0).sqrt()
    assert ((projections - chords).norm(dim=1) / chords.norm()).max() < 0.02
    assert (projections.sum(1) / image.sum() - 1).abs().max() < 1e-3


def test_radon_sees_a_pixel_where_it_is():
    """At angle 0 rays run along columns, at a right angle along rows."""
    image = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
    image[0, 0, 2, 6] = 1.0
    sinogram = SparseRadon(ParallelBeams(9, angles=2)).apply(image)[0, 0]
    middle = sinogram.shape[1] // 2
    assert sinogram[0].argmax() == middle + 2
    assert sinogram[1].argmax() == middle - 2


def test_filtered_back_projection_inverts_many_angles():
    """Up to the blur of its window, and better with more angles."""
    images = draw_ellipses(4, (48, 48), torch.Generator().manual_seed(0))
    errors = []
    for angles in (10, 90):
        radon = SparseRadon(ParallelBeams(48, angles))
        errors.append(((filtered_back_projection(radon, radon.apply(images)) - images).norm() / images.norm()).item())
    assert errors[1] < 0.16 < errors[0]


def test_filtered_back_projection_keeps_the_level():
    radon = SparseRadon(ParallelBeams(64, angles=60))
    image = disc(64, radius=20.0)
    inside = filtered_back_projection(radon, radon.apply(image))[0, 0, 24:40, 24:40]
    assert abs(inside.mean().item() - 1) < 0.01


def test_compressed_sensing_rows_are_those_of_a_full_mixing():
    """With every row kept, S C is circulant times a permutation, and C's eigenvalues have mean square one."""
    sensing = CompressedSensing((1, 16, 16), 1.0, torch.Generator().manual_seed(3))
    unit = torch.eye(256, dtype=torch.float64).reshape(256, 1, 16, 16)
    matrix = sensing.apply(unit).flatten(1)
    assert (matrix.square().sum() / 256).sqrt() == pytest.approx(1.0, abs=0.15)
    assert torch.linalg.matrix_rank(matrix) == 256


def test_compressed_sensing_repeats_with_its_seed():
    x = random_fields(1, 8, 8)
    first, again, other = (
        CompressedSensing((1, 8, 8), 0.25, torch.Generator().manual_seed(seed)).apply(x) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


@pytest.mark.parametrize("ratio", [0.0, 1.5, float("nan")])
def test_ratios_out_of_range_are_refused(ratio):
    generator = torch.Generator()
    with pytest.raises(OperatorError, match=r"\(0, 1\]"):
        CompressedSensing((1, 8, 8), ratio, generator)
    with pytest.raises(OperatorError, match=r"\(0, 1\]"):
        PixelMask.random((8, 8), ratio, generator)


def test_a_mask_keeps_what_it_shows():
    """A Aᵀ = I: nothing that was measured is lost."""
    mask = PixelMask.random((12, 12), 0.4, torch.Generator().manual_seed(0), channels=3)
    y = random_fields(*mask.output_shape)
    assert mask.output_shape == (3, round(0.4 * 144))
    assert torch.equal(mask.apply(mask.adjoint(y)), y)
    with pytest.raises(OperatorError, match="boolean"):
        PixelMask(torch.zeros(3, 3))


@pytest.mark.parametrize("duration", [0.0, -1.0, float("inf")])
def test_heat_needs_a_duration(duration):
    with pytest.raises(OperatorError, match="κ T"):
        HeatSource((1, 8), duration)
