"""Round trips through meshio, PyVista and scikit-fem give back an equal mesh."""

import numpy as np
import pytest
from test_geometry_topology import cubes
from test_mesh import VERTICES

from meshes import CELL_TYPES, Mesh, MeshError, boundary_facets, cell_volumes
from meshes.interchange import from_meshio, from_pyvista, from_scikit_fem, to_meshio, to_pyvista, to_scikit_fem


def everything(dtype=np.float64) -> Mesh:
    """A plane mesh of two cell types and a line, with every kind of field and set."""
    points = np.array([[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1]], dtype=dtype)
    return Mesh(
        points,
        {"quad": [[0, 1, 4, 3]], "triangle": [[1, 2, 5], [1, 5, 4]], "line": [[0, 1]]},
        {"u": np.arange(6.0), "v": np.arange(12, dtype=np.float32).reshape(6, 2), "id": np.arange(6)},
        {
            "E": {"quad": [1.0], "triangle": [2.0, 3.0]},
            "mark": {"quad": [1], "triangle": [2, 3], "line": [4]},
            "stress": {"triangle": np.ones((2, 3))},
        },
        {"load": np.array([3.0]), "direction": np.array([0.0, 1.0])},
        {"left": [0, 3], "none": []},
        {"soft": {"triangle": [1]}, "all": {"quad": [0], "triangle": [0, 1]}},
        {"bottom": {"line": [[0, 1], [1, 2]]}},
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("there", "back"), [(to_meshio, from_meshio), (to_pyvista, from_pyvista)])
def test_a_mesh_with_everything_comes_back_equal(there, back, dtype):
    mesh = everything(dtype)
    assert back(there(mesh)) == mesh


@pytest.mark.parametrize("name", [kind.name for kind in CELL_TYPES.values()])
@pytest.mark.parametrize(("there", "back"), [(to_meshio, from_meshio), (to_pyvista, from_pyvista)])
def test_every_cell_type_comes_back_equal(there, back, name):
    kind = CELL_TYPES[name]
    points = np.random.default_rng(0).standard_normal((kind.nodes, 3))
    mesh = Mesh(points, {name: [np.arange(kind.nodes)]})
    assert back(there(mesh)) == mesh


@pytest.mark.parametrize("name", ["triangle", "quad", "tetra", "hexahedron", "wedge", "pyramid"])
def test_vtk_sees_the_same_volumes(name):
    """The node orders of the two tables agree, or volumes would differ."""
    points = np.array(VERTICES[name]) + 0.05 * np.random.default_rng(1).standard_normal(np.shape(VERTICES[name]))
    mesh = Mesh(points, {name: [np.arange(len(points))]})
    sizes = to_pyvista(mesh).compute_cell_sizes()
    theirs = sizes["Volume"] if mesh.dimension == 3 else sizes["Area"]
    # VTK cuts cells with twisted faces into tetrahedra.
    tolerance = 1e-12 if name in ("triangle", "tetra") else 2e-2
    assert abs(cell_volumes(mesh)[name][0]) == pytest.approx(theirs[0], rel=tolerance)


@pytest.mark.parametrize("name", ["triangle", "quad", "tetra", "hexahedron"])
def test_a_mesh_of_one_type_comes_back_from_scikit_fem(name):
    import skfem

    kinds = {"triangle": skfem.MeshTri, "quad": skfem.MeshQuad, "tetra": skfem.MeshTet, "hexahedron": skfem.MeshHex}
    mesh = from_scikit_fem(kinds[name]().refined(1))
    assert sum(v.sum() for v in cell_volumes(mesh).values()) == pytest.approx(1) or name in ("triangle", "tetra")
    assert sum(np.abs(v).sum() for v in cell_volumes(mesh).values()) == pytest.approx(1)
    shell = boundary_facets(mesh)
    named = Mesh(mesh.points, mesh.cells, cell_sets={"first": {name: [0, 1]}}, facet_sets={"shell": shell})
    back = from_scikit_fem(to_scikit_fem(named))
    assert back.cells[name].tolist() == named.cells[name].tolist()
    np.testing.assert_array_equal(back.points, named.points)
    assert back.cell_sets["first"][name].tolist() == [0, 1]
    ((kind, nodes),) = back.facet_sets["shell"].items()
    assert sorted(map(tuple, nodes.tolist())) == sorted(map(tuple, shell[kind].tolist()))


def test_scikit_fem_integrates_the_volume_of_our_hexahedra():
    import skfem

    mesh = cubes(2, 1, 3)
    basis = skfem.Basis(to_scikit_fem(mesh), skfem.ElementHex1())
    assert skfem.Functional(lambda w: 1.0 + 0 * w.x[0]).assemble(basis) == pytest.approx(6)


def test_physical_groups_become_sets():
    """Gmsh: cells of the mesh's dimension, facets one below, nodes further down."""
    import meshio

    source = meshio.Mesh(
        [[0, 0], [1, 0], [0, 1]],
        [("triangle", [[0, 1, 2]]), ("line", [[0, 1], [1, 2]]), ("vertex", [[2]])],
        cell_data={"gmsh:physical": [np.array([7]), np.array([3, 4]), np.array([9])]},
        field_data={"steel": np.array([7, 2]), "clamp": np.array([4, 1]), "tip": np.array([9, 0])},
    )
    mesh = from_meshio(source)
    assert mesh.cell_sets["steel"]["triangle"].tolist() == [0]
    assert mesh.facet_sets["clamp"]["line"].tolist() == [[1, 2]]
    assert mesh.node_sets["tip"].tolist() == [2]
    assert mesh.global_data == {}


def test_blocks_of_one_type_are_joined():
    import meshio

    source = meshio.Mesh(
        np.eye(3),
        [("triangle", [[0, 1, 2]]), ("line", [[0, 1]]), ("triangle", [[2, 1, 0]])],
        cell_data={"a": [[1.0], [2.0], [3.0]]},
        cell_sets={"s": [[0], [], [0]]},
    )
    mesh = from_meshio(source)
    assert mesh.cells["triangle"].tolist() == [[0, 1, 2], [2, 1, 0]]
    assert mesh.cell_data["a"]["triangle"].tolist() == [1.0, 3.0]
    assert mesh.cell_sets["s"]["triangle"].tolist() == [0, 1]


def test_what_has_no_counterpart_is_named():
    import meshio
    import pyvista

    with pytest.raises(MeshError, match="type polygon"):
        from_meshio(meshio.Mesh(np.zeros((7, 2)), [("polygon", [list(range(7))])]))
    with pytest.raises(MeshError, match="triangulate"):
        from_pyvista(pyvista.Polygon(n_sides=7))
    with pytest.raises(MeshError, match="one cell type"):
        to_scikit_fem(everything())
    with pytest.raises(MeshError, match="fill their space"):
        to_scikit_fem(Mesh(np.eye(3), {"triangle": [[0, 1, 2]]}))
    with pytest.raises(MeshError, match="no cell has a facet with the nodes"):
        to_scikit_fem(Mesh([[0, 0], [1, 0], [0, 1]], {"triangle": [[0, 1, 2]]}, facet_sets={"a": {"line": [[1, 1]]}}))


def test_meshes_without_cells_travel():
    mesh = Mesh([[0.0, 1.0, 2.0]], {}, {"u": [1.0]})
    assert from_meshio(to_meshio(mesh)) == mesh
    assert from_pyvista(to_pyvista(mesh)) == mesh
