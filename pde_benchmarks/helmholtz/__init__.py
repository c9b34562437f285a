"""Time-harmonic waves in a medium of varying wave speed."""

from pde_benchmarks.helmholtz.helmholtz import Helmholtz

__all__ = ["Helmholtz"]
