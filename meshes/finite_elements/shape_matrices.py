"""Matrices that take a cell's degrees of freedom to values, gradients and strains at its quadrature points."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.finite_elements.elements import Tabulation

__all__ = ["gradient_matrix", "strain_matrix", "value_matrix", "voigt_pairs"]

Array = NDArray[Any]


def value_matrix(table: Tabulation, components: int) -> Array:
    """``(cells, q, components, local · components)``: the components of u."""
    if components == 1:
        return table.values[:, :, None, :]
    blocks = np.einsum("eqi,cd->eqcid", table.values, np.eye(components))
    return blocks.reshape(*blocks.shape[:3], -1)


def gradient_matrix(table: Tabulation, components: int) -> Array:
    """``(cells, q, components · dim, local · components)``: ∂u_c/∂x_k in row (c, k)."""
    if components == 1:
        return table.gradients
    blocks = np.einsum("eqki,cd->eqckid", table.gradients, np.eye(components))
    cells, q, _, dim, local, _ = blocks.shape
    return blocks.reshape(cells, q, components * dim, local * components)


def strain_matrix(table: Tabulation) -> Array:
    """Voigt's strains ``(cells, q, d(d+1)/2, local · d)``: ε_xx, ε_yy(, ε_zz), then the shears γ (yz, xz,) xy."""
    cells, q, d, local = table.gradients.shape
    shears = voigt_pairs(d)[d:]
    strains = np.zeros((cells, q, d + len(shears), local, d))
    for i in range(d):
        strains[:, :, i, :, i] = table.gradients[:, :, i]
    for row, (i, j) in enumerate(shears, start=d):
        strains[:, :, row, :, i] = table.gradients[:, :, j]
        strains[:, :, row, :, j] = table.gradients[:, :, i]
    return strains.reshape(cells, q, d + len(shears), local * d)


def voigt_pairs(d: int) -> list[tuple[int, int]]:
    """Indices of the d(d+1)/2 entries of a symmetric tensor in Voigt's order: xx, yy, zz, yz, xz, xy."""
    return [(i, i) for i in range(d)] + [(1, 2), (0, 2), (0, 1)][3 - d * (d - 1) // 2 :]
