"""Forward operators: what is measured of a field, with exact adjoints."""

from pde_benchmarks.imaging.forward_operators.blur import CircularBlur, ReflectingBlur, gaussian_kernel
from pde_benchmarks.imaging.forward_operators.composition import Composition, Scaled, normalised
from pde_benchmarks.imaging.forward_operators.compressed_sensing import CompressedSensing
from pde_benchmarks.imaging.forward_operators.cosine import CosineMultiplier
from pde_benchmarks.imaging.forward_operators.darcy_pressure import (
    DarcyPressure,
    LogPermeability,
    TwoPhases,
    sensor_lattice,
)
from pde_benchmarks.imaging.forward_operators.filtered_back_projection import filtered_back_projection
from pde_benchmarks.imaging.forward_operators.from_functions import (
    from_functions,
    from_linear_function,
    from_nonlinear_function,
)
from pde_benchmarks.imaging.forward_operators.heat_source import HeatSource, SteppedHeatSource
from pde_benchmarks.imaging.forward_operators.operator import NORM_SAFETY, ForwardOperator, LinearForwardOperator
from pde_benchmarks.imaging.forward_operators.parallel_beams import ParallelBeams
from pde_benchmarks.imaging.forward_operators.pixel_mask import PixelMask
from pde_benchmarks.imaging.forward_operators.radon import MatrixFreeRadon, Radon, SparseRadon

__all__ = [
    "NORM_SAFETY",
    "CircularBlur",
    "Composition",
    "CompressedSensing",
    "CosineMultiplier",
    "DarcyPressure",
    "ForwardOperator",
    "HeatSource",
    "LinearForwardOperator",
    "LogPermeability",
    "MatrixFreeRadon",
    "ParallelBeams",
    "PixelMask",
    "Radon",
    "ReflectingBlur",
    "Scaled",
    "SparseRadon",
    "SteppedHeatSource",
    "TwoPhases",
    "filtered_back_projection",
    "from_functions",
    "from_linear_function",
    "from_nonlinear_function",
    "gaussian_kernel",
    "normalised",
    "sensor_lattice",
]
