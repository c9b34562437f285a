"""Neural differential equations that learn to be easy to integrate. Writes neural_ode.json and neural_ode.md.

python docs/benchmarks/neural_ode.py [--quick] [--seeds 3] [--only PART,PART] [--cases PROBLEM,PROBLEM]

The budget is not used: every model is trained for the same number of steps.
"""

from __future__ import annotations

import sys

# This folder comes last on the path: its `solvers.py` must not stand in for the package.
sys.path.append(sys.path.pop(0))

if __name__ == "__main__":
    from parts import (
        neural_ode_digits,
        neural_ode_page,
        neural_ode_spiral,
        neural_ode_steps,
        neural_ode_surrogates,
        training_script,
    )

    parts = {
        "digits": neural_ode_digits.digits,
        "surrogates": neural_ode_surrogates.surrogates,
        "spiral": neural_ode_spiral.spiral,
        "oscillators": neural_ode_steps.oscillators,
        "stiff": neural_ode_steps.stiff,
        "steps": neural_ode_steps.steps,
    }
    training_script.run("neural_ode", __doc__, parts, neural_ode_page.render, budget="60s", published_budget="60s")
