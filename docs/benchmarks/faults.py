"""The matrix of learners × problems, kills, and damaged files. Writes faults.json and faults.md.

python docs/benchmarks/faults.py [--quick] [--only PART,PART]
"""

from __future__ import annotations

import sys

# This folder comes last on the path: its `solvers.py` must not stand in for the package.
sys.path.append(sys.path.pop(0))

if __name__ == "__main__":
    from parts import faults_fuzz, faults_kills, faults_matrix, faults_page, script

    parts = {"kills": faults_kills.kills, "fuzz": faults_fuzz.fuzz, "matrix": faults_matrix.matrix}
    script.run("faults", __doc__, parts, faults_page.render)
