"""The topology of surfaces: Euler's formula, orientation, loops, and what is not a disc is named."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshes import Mesh, MeshError, MorphingError, cell_volumes
from meshes.morphing import DiscEmbedding, surface


def grid(nx: int, ny: int, wrap_x: bool = False, wrap_y: bool = False, twist: bool = False, holes: int = 0) -> Mesh:
    """A strip of squares cut in two; wrapped it is an annulus, a torus, or (twisted) a Möbius strip."""
    i, j = np.meshgrid(np.arange(nx), np.arange(ny), indexing="ij")

    def number(a, b):
        across = a >= nx
        row = np.where(across & twist, ny - b, b)
        width, height = (nx if wrap_x else nx + 1), (ny if wrap_y else ny + 1)
        return (np.where(wrap_x, a % nx, a) % width) * (height) + (row % height if wrap_y else row)

    a, b, c, d = (number(i + p, j + q).ravel() for p, q in ((0, 0), (1, 0), (1, 1), (0, 1)))
    pierced = np.isin(np.arange(nx * ny), [ny + 1 + 2 * k for k in range(holes)])
    triangles = np.concatenate([np.stack([a, b, c], 1)[~pierced], np.stack([a, c, d], 1)[~pierced]])
    used, triangles = np.unique(triangles, return_inverse=True)
    points = np.random.default_rng(0).standard_normal((len(used), 3))
    return Mesh(points, {"triangle": triangles.reshape(-1, 3)})


SURFACES = {
    "disc": (grid(4, 5), 1, 1, 0),
    "annulus": (grid(5, 4, wrap_x=True), 0, 2, 0),
    "torus": (grid(5, 4, wrap_x=True, wrap_y=True), 0, 0, 1),
    "two holes": (grid(6, 7, holes=2), -1, 3, 0),
    "torus with a hole": (grid(6, 7, wrap_x=True, wrap_y=True, holes=1), -1, 1, 1),
}


@pytest.mark.parametrize("name", SURFACES)
def test_the_euler_characteristic_counts_handles_and_loops(name):
    """V − E + F = 2 − 2 genus − loops."""
    mesh, euler, loops, genus = SURFACES[name]
    found = surface(mesh)
    assert (found.parts, found.euler, len(found.loops), found.genus) == (1, euler, loops, genus)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), name=st.sampled_from(list(SURFACES)))
def test_turned_triangles_are_turned_back(seed, name):
    """Whatever the input's orientation, every inner edge runs both ways, every boundary edge once and along a loop."""
    mesh, *_ = SURFACES[name]
    cells = mesh.cells["triangle"].copy()
    some = np.random.default_rng(seed).uniform(size=len(cells)) < 0.5
    cells[some] = cells[some][:, ::-1]
    found = surface(Mesh(mesh.points, {"triangle": cells}))
    edges = np.concatenate([found.triangles[:, [i, (i + 1) % 3]] for i in range(3)])
    assert len(np.unique(edges, axis=0)) == len(edges)
    both = {tuple(edge) for edge in edges.tolist()}
    single = {edge for edge in both if edge[::-1] not in both}
    walked = [(a, b) for loop in found.loops for a, b in zip(loop.tolist(), np.roll(loop, -1).tolist(), strict=True)]
    assert sorted(walked) == sorted(single)


def test_a_plane_surface_becomes_counterclockwise():
    """The sum of areas is positive, and so is the area inside of the loop."""
    points = np.array([[0.0, 0], [2, 0], [2, 1], [0, 1]])
    found = surface(Mesh(points, {"triangle": [[0, 2, 1], [0, 2, 3]]}))
    assert cell_volumes(Mesh(points, {"triangle": found.triangles}))["triangle"].tolist() == [1.0, 1.0]
    x, y = points[found.loops[0]].T
    assert (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() == 4.0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("annulus", r"1 parts, 2 boundary loops and genus 0 \(Euler characteristic 0\), loops in \[.*; \[.*cut open"),
        ("torus", r"0 boundary loops and genus 1 .*closed: cut it open"),
        ("two holes", r"3 boundary loops and genus 0"),
        ("torus with a hole", r"1 boundary loops and genus 1"),
    ],
)
def test_what_is_not_a_disc_is_counted_and_named(name, message):
    with pytest.raises(MorphingError, match=message):
        DiscEmbedding().apply(SURFACES[name][0])


def test_two_parts_are_not_a_disc():
    mesh = grid(2, 2)
    both = np.concatenate([mesh.cells["triangle"], mesh.cells["triangle"] + len(mesh.points)])
    with pytest.raises(MorphingError, match=r"2 parts, 2 boundary loops.*take one part"):
        DiscEmbedding().apply(Mesh(np.tile(mesh.points, (2, 1)), {"triangle": both}))


def test_a_mobius_strip_has_one_side():
    with pytest.raises(MorphingError, match="one side only, like a Möbius strip"):
        surface(grid(7, 2, wrap_x=True, twist=True))


def test_three_triangles_on_an_edge_are_not_a_manifold():
    points = np.eye(5, 3)
    with pytest.raises(MorphingError, match=r"1 edges belong to more than two triangles \(0–1\)"):
        surface(Mesh(points, {"triangle": [[0, 1, 2], [1, 0, 3], [0, 1, 4]]}))


def test_sheets_that_touch_in_a_node_are_not_a_disc():
    """Two triangles with one corner in common; and a disc whose inner node is also another's."""
    with pytest.raises(MorphingError, match=r"1 boundary nodes where the surface touches itself \(0\)"):
        surface(Mesh(np.eye(5, 3), {"triangle": [[0, 1, 2], [0, 3, 4]]}))
    mesh = grid(6, 6)
    triangles = mesh.cells["triangle"].copy()
    triangles[triangles == 40] = 8
    used, triangles = np.unique(triangles, return_inverse=True)
    with pytest.raises(MorphingError, match=r"genus 0\.5 .*touches itself in single nodes"):
        DiscEmbedding().apply(Mesh(mesh.points[used], {"triangle": triangles.reshape(-1, 3)}))


@pytest.mark.parametrize(
    ("mesh", "error", "message"),
    [
        (Mesh([[0.0, 0], [1, 0], [1, 1], [0, 1]], {"quad": [[0, 1, 2, 3]]}), MeshError, "quad cells.*triangles"),
        (Mesh([[0.0, 0]], {}), MeshError, "no cells"),
        (Mesh(np.eye(4, 3), {"triangle": [[0, 1, 2]]}), MorphingError, r"1 points that no triangle uses \(3\)"),
        (Mesh(np.eye(3), {"triangle": [[0, 1, 2], [0, 0, 1]]}), MorphingError, "1 triangles name a node twice"),
        (
            Mesh([[0.0, 0], [1, 0], [1, 0], [0, 1]], {"triangle": [[0, 1, 3], [1, 2, 3]]}),
            MorphingError,
            "without length",
        ),
        (Mesh([[np.nan, 0], [1, 0], [0, 1]], {"triangle": [[0, 1, 2]]}), MorphingError, "not finite"),
    ],
)
def test_unfit_meshes_are_named(mesh, error, message):
    with pytest.raises(error, match=message):
        DiscEmbedding().apply(mesh)
