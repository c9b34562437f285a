"""The Kutta condition: which circulation lets the flow leave a sharp trailing edge smoothly."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshes.finite_elements import FunctionSpace, quadrature_values
from pde_benchmarks.errors import ProblemError

__all__ = ["edge_functional"]

Array = NDArray[Any]

# Radius of the disc about the edge that is looked at, in lengths of the longer wall edge there. On smaller ones the
# quadrature is coarse, on larger ones the wall is no wedge any more.
_REACH = 4.0


def edge_functional(space: FunctionSpace, wall: str, node: int) -> Tensor:
    """Weights ``(nodes,)`` whose product with a stream function is proportional to its singular part at an edge.

    Near an edge with the angle ω > π on the side of the fluid, a harmonic function that vanishes on the wall is
    Σ_k c_k r^(kπ/ω) sin(kπθ/ω), and c₁ makes the velocity infinite. As the sines are orthogonal on (0, ω),
    ∫ ψ sin(πθ/ω) (1 − r²/b²)² over a disc of radius b sees c₁ alone. What the mesh does to r^(π/ω) near the edge it
    does to all functions alike: ratios of two products are far more accurate than the functions there.

    Parameters
    ----------
    space
        Of the stream functions.
    wall
        Facet set of lines around the body, the fluid on their left.
    node
        The edge: a node of the wall.

    Raises
    ------
    ProblemError
        The node is not on the wall, or the angle of the fluid is below π (the wall is hollow there).
    """
    lines, points = space.mesh.facet_set(wall)["line"], space.mesh.points
    after, before = lines[lines[:, 0] == node, 1], lines[lines[:, 1] == node, 0]
    if len(after) != 1 or len(before) != 1:
        raise ProblemError(f"node {node} is not a node of the wall {wall!r}, with one line on both sides.")
    ahead, behind = points[after[0]] - points[node], points[before[0]] - points[node]
    start = _angle(ahead)
    omega = float((_angle(behind) - start) % (2 * np.pi))
    if omega < np.pi:
        raise ProblemError(
            f"node {node}: the fluid has an angle of {np.rad2deg(omega):.1f} degrees there; expected an edge of the "
            "body, with more than 180."
        )
    reach = _REACH * max(float(np.linalg.norm(ahead)), float(np.linalg.norm(behind)))
    offset = space.tabulation.points - points[node]
    r = np.linalg.norm(offset, axis=-1)
    theta = np.minimum((_angle(offset) - start) % (2 * np.pi), omega)
    weights = space.tabulation.weights * np.clip(1 - (r / reach) ** 2, 0, None) ** 2 * np.sin(np.pi * theta / omega)
    return quadrature_values(space).T @ torch.from_numpy(weights.ravel())


def _angle(vector: Array) -> Array:
    return np.asarray(np.arctan2(vector[..., 1], vector[..., 0]))
