"""Operator learning on grids: every problem under one budget, the equation inside, roll-outs, transfer, error bars.

python docs/benchmarks/operators.py [--device cpu|cuda] [--quick] [--budget 40s] [--only PART,PART] [--cases CASE,CASE]
"""

from __future__ import annotations

import sys

# This folder comes last on the path: its `solvers.py` must not stand in for the package.
sys.path.append(sys.path.pop(0))

if __name__ == "__main__":
    from parts import (
        operator_comparison,
        operator_page,
        operator_physics,
        operator_preconditioner,
        operator_published,
        operator_roll_outs,
        training_script,
    )

    parts = {
        "problems": operator_comparison.problems,
        "physics": operator_physics.physics_inside,
        "transfer": operator_physics.transfer,
        "labels": operator_physics.few_labels,
        "roll_outs": operator_roll_outs.roll_outs,
        "uncertainty": operator_physics.uncertainty,
        "preconditioner": operator_preconditioner.preconditioner,
        "published": operator_published.published,
    }
    training_script.run("operators", __doc__, parts, operator_page.render, budget="40s", published_budget="120s")
