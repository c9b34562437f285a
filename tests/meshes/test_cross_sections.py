"""Cross-sections of meshes: Cavalieri's principle, and shapes whose sections are known."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshes import Mesh, MeshError
from meshes.cross_sections import cross_sections, smallest_section_share
from meshes.generate import structured_grid, to_simplices
from meshes.geometry import cell_volumes


@given(st.integers(2, 3), st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_sections_integrate_to_the_volume(dimension, seed):
    points = np.random.default_rng(seed).normal(size=(dimension + 1, dimension))
    kind = "triangle" if dimension == 2 else "tetra"
    mesh = Mesh(points, {kind: [list(range(dimension + 1))]})
    nodes, weights = np.polynomial.legendre.leggauss(3)
    knots = np.sort(points[:, 0])
    total = 0.0
    for low, high in pairwise(knots):
        levels = 0.5 * (low + high) + 0.5 * (high - low) * nodes
        total += 0.5 * (high - low) * weights @ cross_sections(mesh, 0, levels)
    assert total == pytest.approx(abs(float(cell_volumes(mesh)[kind][0])), rel=1e-9)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_box_has_the_same_section_everywhere(axis):
    solid = to_simplices(structured_grid(*(np.linspace(0, side, side + 2) for side in (1, 2, 3))))
    expected = 6.0 / (axis + 1)
    assert cross_sections(solid, axis, np.linspace(0.01, 0.99, 7)) == pytest.approx(expected)
    assert smallest_section_share(solid, axis) == pytest.approx(1.0)


def test_a_plane_outside_cuts_nothing():
    triangle = Mesh([[0, 0], [2, 0], [0, 1]], {"triangle": [[0, 1, 2]]})
    assert cross_sections(triangle, 1, [-1.0, 2.0]).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("mesh", "axis"),
    [
        (Mesh([[0, 0], [1, 0], [1, 1], [0, 1]], {"quad": [[0, 1, 2, 3]]}), 0),
        (Mesh([[0, 0], [2, 0], [0, 1]], {"triangle": [[0, 1, 2]]}), 2),
        (Mesh([[0, 0, 0], [2, 0, 0], [0, 1, 0]], {"triangle": [[0, 1, 2]]}), 0),
    ],
)
def test_what_has_no_section_is_refused(mesh, axis):
    with pytest.raises(MeshError, match="expected"):
        cross_sections(mesh, axis, [0.5])
