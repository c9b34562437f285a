"""Pressure solves: learned cycles beside classical solvers and the published network. Writes poisson.json and .md.

python docs/benchmarks/poisson.py [--quick] [--budget 120s] [--seeds 3] [--only PART,PART]
"""

from __future__ import annotations

import sys

# This folder comes last on the path: its `solvers.py` must not stand in for the package.
sys.path.append(sys.path.pop(0))

if __name__ == "__main__":
    from parts import (
        poisson_certificates,
        poisson_iterations,
        poisson_page,
        poisson_published,
        poisson_smoke,
        poisson_times,
        training_script,
    )

    parts = {
        "iterations": poisson_iterations.iterations,
        "times": poisson_times.times,
        "certificates": poisson_certificates.certificates,
        "published": poisson_published.published,
        "smoke": poisson_smoke.smoke,
        "cavities": poisson_smoke.cavities,
    }
    training_script.run("poisson", __doc__, parts, poisson_page.render, budget="120s", published_budget="120s")
