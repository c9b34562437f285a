"""Meshes: orders of convergence, assembly, interpolation, embeddings, files. Writes meshes.json and meshes.md.

python docs/benchmarks/meshes.py [--quick] [--only PART,PART]
"""

from __future__ import annotations

import sys

# This folder comes last on the path: its `solvers.py` and `meshes.py` must not stand in for the packages.
sys.path.append(sys.path.pop(0))

if __name__ == "__main__":
    from parts import mesh_elements, mesh_files, mesh_interpolation, mesh_morphing, mesh_page, script

    parts = {
        "elements": mesh_elements.measure,
        "interpolation": mesh_interpolation.measure,
        "morphing": mesh_morphing.measure,
        "files": mesh_files.measure,
    }
    script.run("meshes", __doc__, parts, mesh_page.render)
