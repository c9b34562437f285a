"""Imaging: what is measured of a field, and the random fields from which priors are learned."""

from pde_benchmarks.imaging.denoising import Denoising, DenoisingProblem
from pde_benchmarks.imaging.errors import ForwardSolveError, OperatorError
from pde_benchmarks.imaging.peak_signal import psnr_db

__all__ = ["Denoising", "DenoisingProblem", "ForwardSolveError", "OperatorError", "psnr_db"]
