"""Plastic strains and stresses at the vertices of a mesh, two ways; the solver knows them at quadrature points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pde_benchmarks.elasticity.load_path import Equilibrium
from pde_benchmarks.elasticity.newton import LoadedBody
from pde_benchmarks.elasticity.plasticity import PlasticState, Response

__all__ = ["NAMES", "RECOVERIES", "averages", "followed"]

Array = NDArray[Any]

#: Cumulated plastic strain, stresses in the plane, von Mises stress (with σ_zz): columns of what a recovery returns.
NAMES = ("p", "s11", "s22", "s12", "vM")


def averages(loaded: LoadedBody, found: Equilibrium) -> Array:
    """`NAMES` at the vertices ``(n, 5)``: means of the quadrature points around, weighted by area.

    The usual choice of post-processors. At a boundary all cells lie on one side, so that peaks there are cut by a
    multiple of the edge length times the slope.
    """
    return loaded.body.vertex_means(_columns(found.response))


def followed(loaded: LoadedBody, found: Equilibrium) -> Array:
    """`NAMES` at the vertices ``(n, 5)``: each vertex is a material point, and answers to its own strains.

    Its strains are those of the displacements around it, exact in each cell and averaged; its state follows them
    through the increments of the load. Of second order in the edge length on boundaries, too, and never beyond the
    yield stress.
    """
    state = PlasticState.virgin(len(loaded.body.mesh.points))
    for displacement in found.displacements:
        response = loaded.material.response(loaded.body.vertex_strains(displacement), state)
        state = response.state
    return _columns(response)


def _columns(response: Response) -> Array:
    return np.column_stack([response.state.cumulated, response.stress[:, [0, 1, 3]], response.von_mises])


RECOVERIES: dict[str, Callable[[LoadedBody, Equilibrium], Array]] = {"averages": averages, "followed": followed}
