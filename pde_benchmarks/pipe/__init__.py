"""Steady flow through curved pipes, on grids that follow the pipe."""

from pde_benchmarks.pipe.pipe import Pipe
from pde_benchmarks.pipe.published import read_pipe

__all__ = ["Pipe", "read_pipe"]
