"""Learned proximal networks beside other priors and denoisers. Writes proximal.json and proximal.md.

python docs/benchmarks/proximal.py [--quick] [--seeds 3] [--only PART,PART] [--cases FAMILY,FAMILY]

The budget is not used: every network is trained for the same number of steps.
"""

from __future__ import annotations

import sys

# This folder comes last on the path: its `solvers.py` must not stand in for the package.
sys.path.append(sys.path.pop(0))

if __name__ == "__main__":
    from parts import (
        proximal_convergence,
        proximal_denoising,
        proximal_inverse,
        proximal_laplace,
        proximal_page,
        proximal_times,
        training_script,
    )

    parts = {
        "laplace": proximal_laplace.laplace,
        "denoising": proximal_denoising.denoising,
        "priors": proximal_denoising.priors,
        "inverse": proximal_inverse.inverse,
        "convergence": proximal_convergence.convergence,
        "times": proximal_times.times,
    }
    training_script.run("proximal", __doc__, parts, proximal_page.render, budget="60s", published_budget="60s")
