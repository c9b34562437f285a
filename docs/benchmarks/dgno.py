"""MultiONet and DGNO: learning with and without labels, inversion from sensors, costs. Writes dgno.json and dgno.md.

python docs/benchmarks/dgno.py [--device cpu|cuda] [--quick] [--budget 240s] [--only PART,PART] [--cases CASE,CASE]
"""

from __future__ import annotations

import sys

# This folder comes last on the path: its `solvers.py` must not stand in for the package.
sys.path.append(sys.path.pop(0))

if __name__ == "__main__":
    from parts import dgno_inverse, dgno_learning, dgno_page, training_script

    parts = {
        "label_free": dgno_learning.label_free,
        "inverse": dgno_inverse.inverse,
        "supervised": dgno_learning.supervised,
        "variants": dgno_learning.variants,
        "other_media": dgno_learning.other_media,
        "far": dgno_learning.far,
        "costs": dgno_learning.costs,
    }
    training_script.run("dgno", __doc__, parts, dgno_page.render, budget="240s", published_budget="600s")
