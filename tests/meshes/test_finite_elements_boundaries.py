"""Dirichlet conditions, named parts of the boundary, nodes for files, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from finite_element_grids import CELLS, grid, shaken
from hypothesis import given, settings
from hypothesis import strategies as st

from meshes import Mesh, MeshError, cell_volumes, check_mesh, repair_mesh
from meshes.finite_elements import (
    DirichletCondition,
    FunctionSpace,
    boundary_mass,
    boundary_quadrature_points,
    diffusion,
    dofs_on,
    from_points,
    l2_error,
    load,
    mass,
    node_mesh,
    nodes_on,
    per_node,
    per_quadrature_point,
    traction,
)
from solvers import CG, SuperLU, linear_solve, verify_tags

SPACES = [(kind, degree) for kind in CELLS for degree in (1, 2)]


@settings(deadline=None, max_examples=15)
@given(case=st.sampled_from(SPACES), seed=st.integers(0, 2**16))
def test_elimination_keeps_symmetry_and_makes_positive_definite(case, seed):
    """A_II = A_IIᵀ > 0, b = f_I − A_ID g, and the extended solution satisfies A u = f on all free rows."""
    space = FunctionSpace(shaken(grid(case[0], 3), seed=seed), case[1])
    generator = torch.Generator().manual_seed(seed)
    kappa = torch.rand(space.cell_count, generator=generator, dtype=torch.float64) + 0.1
    f, g = torch.randn(2, space.size, generator=generator, dtype=torch.float64)
    held = DirichletCondition.on(space, "left", "right")
    A = diffusion(space)(kappa)
    reduced, b = held.eliminate(A, f, g)
    assert reduced.tags == {"spd", "symmetric"}
    verify_tags(reduced)
    assert float(torch.linalg.eigvalsh(reduced.to_dense())[0]) > 0
    u = held.extend(linear_solve(reduced, b, SuperLU()).value, g)
    torch.testing.assert_close((A @ u)[held.free], f[held.free], rtol=1e-9, atol=1e-9)
    held_dofs = torch.from_numpy(held.dofs)
    assert torch.equal(u[held_dofs], g[held_dofs])


def test_elimination_of_a_batch_is_that_of_its_members_and_shares_a_pattern():
    space = FunctionSpace(grid("triangle", 4), 2)
    held = DirichletCondition.on(space, "left")
    kappa = torch.rand(5, space.cell_count, dtype=torch.float64) + 0.1
    g = torch.from_numpy(space.nodes[:, 1]).expand(5, -1)
    A, b = held.eliminate(diffusion(space)(kappa), torch.ones_like(g), g)
    one, b_one = held.eliminate(diffusion(space)(kappa[3]), torch.ones(space.size, dtype=torch.float64), g[3])
    torch.testing.assert_close(A.values[3], one.values, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(b[3], b_one, rtol=1e-12, atol=1e-12)
    assert A.pattern is one.pattern
    batch = held.extend(linear_solve(A, b, CG(rtol=1e-12)).value, g)
    alone = held.extend(linear_solve(one, b_one, SuperLU()).value, g[3])
    torch.testing.assert_close(batch[3], alone, rtol=1e-8, atol=1e-9)


def test_tags_can_be_stated_for_indefinite_forms():
    """K − k² M is symmetric and not definite: no "spd" where it is not claimed."""
    space = FunctionSpace(grid("triangle", 4))
    A = (diffusion(space)(1.0) - 100.0 * mass(space)(1.0)).to_csr()
    reduced, _ = DirichletCondition.on(space).eliminate(A, torch.zeros(space.size).double(), tags={"symmetric"})
    assert reduced.tags == {"symmetric"}
    assert float(torch.linalg.eigvalsh(reduced.to_dense())[0]) < 0


@pytest.mark.parametrize(("kind", "degree"), SPACES)
def test_named_nodes_are_the_nodes_that_lie_there(kind, degree):
    """Facet sets and node sets of the side x = 0 name all nodes with x = 0, mid-nodes too."""
    mesh = grid(kind, 3)
    mesh = replace(mesh, node_sets={"points": np.flatnonzero(mesh.points[:, 0] == 0)})
    space = FunctionSpace(mesh, degree)
    expected = np.flatnonzero(space.nodes[:, 0] == 0)
    assert np.array_equal(nodes_on(space, "left"), expected)
    assert np.array_equal(nodes_on(space, "points"), expected)
    outer = ((space.nodes == 0) | (space.nodes == 1)).any(axis=1)
    assert np.array_equal(nodes_on(space), np.flatnonzero(outer))
    vector = FunctionSpace(mesh, degree, components=2)
    assert np.array_equal(dofs_on(vector, "left", component=1), 2 * expected + 1)


@pytest.mark.parametrize(("kind", "degree"), SPACES)
def test_the_mesh_of_the_nodes_is_sound_and_as_large(kind, degree):
    """The nodes of a space as a mesh of quadratic cells: same volumes, and mid-nodes at the middle of their facets."""
    mesh = shaken(grid(kind, 2))
    mesh = replace(mesh, cell_data={"k": {kind: np.arange(len(mesh.cells[kind]))}})
    space = FunctionSpace(mesh, degree)
    finer = node_mesh(space)
    (own,) = finer.blocks()
    assert len(finer.points) == space.node_count
    assert check_mesh(finer).is_sound
    np.testing.assert_allclose(cell_volumes(finer)[own], cell_volumes(mesh)[kind], rtol=1e-13)
    assert np.array_equal(finer.cells[own][:, : mesh.cells[kind].shape[1]], mesh.cells[kind])
    assert np.array_equal(finer.cell_data["k"][own], mesh.cell_data["k"][kind])
    if own == "triangle6":
        ends = finer.points[finer.cells[own][:, [[0, 1], [1, 2], [2, 0]]]].mean(axis=2)
        np.testing.assert_allclose(finer.points[finer.cells[own][:, 3:]], ends, atol=1e-15)


@pytest.mark.parametrize(("kind", "degree"), SPACES)
def test_a_field_at_the_points_keeps_its_values_and_its_linear_functions(kind, degree):
    """The first nodes are the points; linear functions are reproduced at the other nodes."""
    mesh = shaken(grid(kind, 2))
    space = FunctionSpace(mesh, degree)
    P = from_points(space)
    values = torch.randn(len(mesh.points), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close((P @ values)[: len(mesh.points)], values, rtol=1e-13, atol=1e-13)
    linear = P @ torch.from_numpy(mesh.points.sum(axis=1))
    torch.testing.assert_close(linear, torch.from_numpy(space.nodes.sum(axis=1)), rtol=1e-13, atol=1e-13)


def test_vtk_agrees_with_the_order_of_the_nodes(tmp_path):
    """VTK's quadratic cells interpolate x² exactly where our nodes lie: its own integral of x is the exact one."""
    pyvista = pytest.importorskip("pyvista")
    from meshes.interchange import to_pyvista

    for kind in ("triangle", "quad", "tetra", "hexahedron"):
        space = FunctionSpace(shaken(grid(kind, 2)), 2)
        written = to_pyvista(node_mesh(space))
        centres = pyvista.wrap(written).cell_centers().points[:, : space.dimension]
        means = space.mesh.points[space.mesh.cells[kind]].mean(axis=1)
        np.testing.assert_allclose(centres, means, atol=1e-6)


def test_robin_conditions_bring_a_wall_to_the_temperature_between():
    """−u″ = 0, u(0) = 1, u′(1) = α (0 − u(1)): u(1) = 1 / (1 + α)."""
    space = FunctionSpace(grid("quad", 3), 2)
    A = (diffusion(space)(1.0) + boundary_mass(space, "right")(4.0)).to_csr()
    held = DirichletCondition.on(space, "left")
    one = torch.ones(space.size, dtype=torch.float64)
    reduced, b = held.eliminate(A, 0 * one, one)
    u = held.extend(linear_solve(reduced, b, SuperLU()).value, one)
    torch.testing.assert_close(u, 1 - 0.8 * torch.from_numpy(space.nodes[:, 0]), rtol=0, atol=1e-12)


def test_a_load_at_nodes_is_the_mass_matrix():
    """∫ f v with f of the space is M f."""
    space = FunctionSpace(shaken(grid("tetra", 2)), 2, components=3)
    f = torch.randn(space.size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(load(space, per_node) @ f, mass(space)(1.0) @ f, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", CELLS[1:])
def test_tractions_follow_the_order_of_the_facets(kind):
    """Σ over all nodes of ∫_facet v = area of this facet, facet by facet and component by component."""
    mesh = grid(kind, 3)
    mesh = mesh.with_points(mesh.points**1.5)
    ((facet, nodes),) = mesh.facet_set("right").items()
    order = np.random.default_rng(0).permutation(len(nodes))
    mesh = replace(mesh, facet_sets={"side": {facet: nodes[order]}})
    space = FunctionSpace(mesh, 2, components=2)
    T = traction(space, "side").to_dense().unflatten(0, (-1, 2)).unflatten(-1, (-1, 2)).sum(0)
    areas = torch.from_numpy(np.abs(cell_volumes(Mesh(mesh.points, {facet: nodes[order]}))[facet]))
    torch.testing.assert_close(T[0, :, 0], areas)
    torch.testing.assert_close(T[1, :, 1], areas)
    assert float(T[0, :, 1].abs().max()) == 0


@pytest.mark.parametrize(("kind", "degree"), SPACES)
def test_layouts_of_tractions_agree(kind, degree):
    """t = 1 + Σ x_k by node and by quadrature point of the side."""
    space = FunctionSpace(shaken(grid(kind, 2)), degree)
    at_nodes = 1 + torch.from_numpy(space.nodes).sum(1)
    at_points = 1 + boundary_quadrature_points(space, "right").sum(-1).flatten()
    by_node = traction(space, "right", per_node) @ at_nodes
    torch.testing.assert_close(traction(space, "right", per_quadrature_point) @ at_points, by_node)


def test_floats_in_single_precision_and_cells_of_two_dimensions_are_taken():
    """Points become float64; the lines beside the triangles of a mesh file do not matter."""
    mesh = grid("triangle", 2)
    with_lines = replace(mesh, points=mesh.points.astype(np.float32), cells={"line": [[0, 1]], **mesh.cells})
    ours, plain = (diffusion(FunctionSpace(m))(1.0).to_dense() for m in (with_lines, mesh))
    torch.testing.assert_close(ours, plain, rtol=0, atol=1e-6)
    assert ours.dtype == torch.float64


TWO_KINDS = Mesh([[0, 0], [1, 0], [1, 1], [0, 1], [2, 0]], {"quad": [[0, 1, 2, 3]], "triangle": [[1, 4, 2]]})
REFUSED = {
    "cells of one type; the mesh has quad, triangle: cut all into simplices": lambda: FunctionSpace(TWO_KINDS),
    "cells of one type; the mesh has none": lambda: FunctionSpace(Mesh([[0.0, 0.0]], {})),
    "degree 3 on 'triangle' cells: expected degree 1 or 2": lambda: FunctionSpace(grid("triangle", 1), 3),
    "on 'wedge' cells: expected degree 1 or 2 on straight-sided cells": lambda: FunctionSpace(
        Mesh(np.eye(6, 3), {"wedge": [[0, 1, 2, 3, 4, 5]]}), 2
    ),
    "1 triangle cells are inverted or degenerate, such as .0.: look at meshes.check_mesh": lambda: FunctionSpace(
        Mesh([[0, 0], [0, 1], [1, 0]], {"triangle": [[0, 1, 2]]})
    ),
    "1 quad cells are inverted or degenerate": lambda: FunctionSpace(
        Mesh([[0, 0], [4, 0], [1, 1], [0, 4]], {"quad": [[0, 1, 2, 3]]}), 2
    ),
    "1 points that no cell uses, such as 3": lambda: FunctionSpace(
        Mesh([[0, 0], [1, 0], [0, 1], [5, 5]], {"triangle": [[0, 1, 2]]})
    ),
    "triangle cells in 3-D space: .* use mesh.with_points": lambda: FunctionSpace(
        Mesh([[0, 0, 0], [1, 0, 0], [0, 1, 0]], {"triangle": [[0, 1, 2]]})
    ),
    "components 0: expected": lambda: FunctionSpace(grid("triangle", 1), components=0),
    "quadrature degree 0: expected": lambda: FunctionSpace(grid("triangle", 1), quadrature_degree=0),
}


@pytest.mark.parametrize("message", REFUSED)
def test_meshes_that_are_not_served_are_refused(message):
    with pytest.raises(MeshError, match=message):
        REFUSED[message]()


def test_the_remedy_for_quadratic_cells_works():
    """The vertices of quadratic cells, cleared of mid-nodes, are the mesh that they came from."""
    space = FunctionSpace(shaken(grid("tetra", 2)), 2)
    mesh = node_mesh(space)
    with pytest.raises(MeshError, match=r"'tetra': mesh.block\('tetra10'\)\[:, :4\].*repair_mesh"):
        FunctionSpace(mesh, 2)
    vertices, report = repair_mesh(Mesh(mesh.points, {"tetra": mesh.block("tetra10")[:, :4]}))
    assert report.is_sound
    np.testing.assert_array_equal(FunctionSpace(vertices, 2).nodes, space.nodes)


def test_sets_and_vectors_that_do_not_fit_are_named():
    mesh = replace(grid("triangle", 1), node_sets={"corner": [0], "void": np.zeros(0, dtype=int)})
    space = FunctionSpace(mesh)
    known = "'top': not in the mesh, which has facet sets 'left', 'right', 'rest'"
    with pytest.raises(MeshError, match=known + " and node sets 'corner', 'void'"):
        nodes_on(space, "top")
    with pytest.raises(MeshError, match=known):
        traction(space, "top")
    with pytest.raises(MeshError, match="node set 'void' is empty"):
        nodes_on(space, "void")
    with pytest.raises(MeshError, match="component 1: the space has components 0 to 0"):
        dofs_on(space, "left", component=1)
    with pytest.raises(MeshError, match="all 4 degrees of freedom are held"):
        DirichletCondition.on(space)
    with pytest.raises(MeshError, match="whole numbers from 0 to 3"):
        DirichletCondition(space, [7])
    with pytest.raises(MeshError, match="whole numbers from 0 to 3"):
        DirichletCondition(space, [])
    held = DirichletCondition.on(space, "left")
    with pytest.raises(MeshError, match=r"load \(3,\): expected \(\*batch, 4\)"):
        held.eliminate(diffusion(space)(1.0), torch.zeros(3).double())
    with pytest.raises(MeshError, match=r"operator \(9, 9\): expected \(4, 4\)"):
        held.eliminate(diffusion(FunctionSpace(mesh, 2))(1.0), torch.zeros(4).double())
    with pytest.raises(MeshError, match=r"unknowns \(4,\): expected \(\*batch, 2\)"):
        held.extend(torch.zeros(4).double())
    with pytest.raises(MeshError, match=r"exact values \(2, 3, 2\): expected \(2, 3, 1\)"):
        l2_error(space, torch.zeros(4).double(), lambda x: x)
