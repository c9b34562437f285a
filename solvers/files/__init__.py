"""Sparse systems and vectors in files: MatrixMarket, SciPy's and NumPy's archives, HDF5, raw binary, plain text.

The ending of a name chooses the format; OpenFOAM's matrices are folders of lists (`read_ldu`). A file is never
unpickled, what a reader returns is finite and fits together, and a writer replaces a file in one step or not at all.
"""

from solvers.files.open_foam import read_ldu, write_ldu
from solvers.files.systems import read_system, write_system
from solvers.files.vectors import read_vector, write_vector

__all__ = ["read_ldu", "read_system", "read_vector", "write_ldu", "write_system", "write_vector"]
