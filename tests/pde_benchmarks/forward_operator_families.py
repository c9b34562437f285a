"""The linear forward operators that every test of them runs over, small."""

from __future__ import annotations

import torch

from pde_benchmarks.imaging.forward_operators import (
    CircularBlur,
    Composition,
    CompressedSensing,
    HeatSource,
    LinearForwardOperator,
    MatrixFreeRadon,
    ParallelBeams,
    PixelMask,
    ReflectingBlur,
    Scaled,
    SparseRadon,
    SteppedHeatSource,
    from_functions,
    from_linear_function,
    gaussian_kernel,
)


def linear_operators() -> dict[str, LinearForwardOperator]:
    generator = torch.Generator().manual_seed(0)
    lopsided = torch.rand(3, 5, generator=generator)
    matrix = torch.randn(7, 12, generator=generator, dtype=torch.float64)
    beams = ParallelBeams(size=12, angles=5)
    mask = PixelMask.random((10, 9), 0.4, generator, channels=2)
    return {
        "circular blur": CircularBlur((2, 10, 9), gaussian_kernel(1.0, 2)),
        "circular blur, lopsided": CircularBlur((1, 9, 10), lopsided),
        "circular blur, 1D": CircularBlur((1, 33), gaussian_kernel(2.0, 1)),
        "reflecting blur": ReflectingBlur((1, 12, 10), gaussian_kernel(1.0, 2)),
        "reflecting blur, 3D": ReflectingBlur((1, 6, 5, 7), gaussian_kernel(1.0, 3)),
        "heat": HeatSource((1, 12, 9), 1e-3),
        "heat, 1D": HeatSource((2, 30), 1e-2),
        "heat, stepped": SteppedHeatSource((1, 12, 10), 1e-2, steps=8),
        "mask": mask,
        "mask of heat": Composition(mask, HeatSource((2, 10, 9), 1e-3)),
        "compressed sensing": CompressedSensing((2, 10, 11), 0.25, generator),
        "sparse Radon": SparseRadon(beams, channels=2),
        "matrix-free Radon": MatrixFreeRadon(beams, channels=2),
        "scaled": Scaled(SparseRadon(beams), -0.25),
        "functions": from_functions(
            lambda x: x @ matrix.mT.to(x), lambda y: y @ matrix.to(y), input_shape=(1, 12), output_shape=(1, 7)
        ),
        "linear function": from_linear_function(
            lambda x: x @ matrix.mT.to(x), input_shape=(1, 12), output_shape=(1, 7)
        ),
    }


def random_pair(operator: LinearForwardOperator, dtype: torch.dtype = torch.float64, count: int = 3):
    """Fields and data that have nothing to do with each other."""
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(count, *shape, generator=generator, dtype=dtype)
        for shape in (operator.input_shape, operator.output_shape)
    )
