"""Meshes: the floor between the solvers and the problems.

The grids of this release live in the problems themselves; unstructured meshes come with a later one.
"""

__all__: list[str] = []
