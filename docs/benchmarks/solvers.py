"""Sparse solvers beside SciPy, PyAMG and torch-sla on the same systems. Writes solvers.json and solvers.md.

python docs/benchmarks/solvers.py [--quick] [--only PART,PART]      (pip install torch-sla for its rows)
"""

from __future__ import annotations

import sys

# This folder comes last on the path: its `solvers.py` must not stand in for the package.
sys.path.append(sys.path.pop(0))

if __name__ == "__main__":
    from parts import script, solver_page, solver_rows

    names = ("conjugate_gradients", "multigrid", "aggregation", "batches", "products", "iterations")
    script.run("solvers", __doc__, {name: getattr(solver_rows, name) for name in names}, solver_page.render)
