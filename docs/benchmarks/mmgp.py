"""MMGP on families of parts, beside other surrogates. Writes mmgp.json and mmgp.md.

python docs/benchmarks/mmgp.py [--quick] [--seeds 3] [--only PART,PART] [--cases plate,blade] [--published-budget 600s]

The budget --published-budget is that of the graph network.
"""

from __future__ import annotations

import sys

# This folder comes last on the path: its `solvers.py` must not stand in for the package.
sys.path.append(sys.path.pop(0))

if __name__ == "__main__":
    from parts import mmgp_learning, mmgp_page, mmgp_times, training_script

    parts = {
        "learning": mmgp_learning.learning,
        "graph": mmgp_learning.graph_rows,
        "regression": mmgp_times.regression,
        "times": mmgp_times.times,
        "memory": mmgp_times.memory,
    }
    training_script.run("mmgp", __doc__, parts, mmgp_page.render, budget="600s", published_budget="600s")
