"""Sparse systems and vectors in files: MatrixMarket, SciPy's and NumPy's archives, HDF5, plain text.

The ending of a name chooses the format. A file is never unpickled, what a reader returns is finite and fits together,
and a writer replaces a file in one step or not at all.
"""

from solvers.files.systems import read_system, write_system
from solvers.files.vectors import read_vector, write_vector

__all__ = ["read_system", "read_vector", "write_system", "write_vector"]
