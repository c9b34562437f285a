"""Hard constraints and experts: learning without labels, and costs. Writes hard_constraints.json and .md.

python docs/benchmarks/hard_constraints.py [--quick] [--budget 45s] [--seeds 3] [--only PART,PART] [--cases CASE,CASE]
    [--jax-python PATH]
"""

from __future__ import annotations

import sys

# This folder comes last on the path: its `solvers.py` must not stand in for the package.
sys.path.append(sys.path.pop(0))

if __name__ == "__main__":
    from parts import (
        hard_constraint_beyond,
        hard_constraint_costs,
        hard_constraint_learning,
        hard_constraint_page,
        hard_constraint_processes,
        hard_constraint_rivals,
        training_script,
    )

    parts = {
        "learning": hard_constraint_learning.learning,
        "beyond": hard_constraint_beyond.beyond,
        "costs": hard_constraint_costs.costs,
        "scaling": hard_constraint_costs.scaling,
        "processes": hard_constraint_processes.processes,
        "rivals": hard_constraint_rivals.rivals,
    }
    training_script.run(
        "hard_constraints",
        __doc__,
        parts,
        hard_constraint_page.render,
        budget="45s",
        published_budget="45s",
        more={"jax-python": "interpreter of an environment with Optimistix; without it the rivals are left out"},
    )
