"""Pictures of meshes: the colours are those of the field, and a scene needs nothing but a browser."""

import io
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from meshes import Mesh, MeshError
from sciml.mesh_pictures import mesh_picture, mesh_scene


def square(u=None, cell=None):
    points = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
    point_data = {} if u is None else {"u": u}
    cell_data = {} if cell is None else {"c": {"quad": cell}}
    return Mesh(points, {"line": [[0, 1]], "quad": [[0, 1, 2, 3]]}, point_data, cell_data)


def cube():
    points = np.array([[x, y, z] for z in (0, 1) for y in (0, 1) for x in (0, 1)], dtype=float)
    return Mesh(points, {"hexahedron": [[0, 1, 3, 2, 4, 5, 7, 6]]}, {"v": points}, {"c": {"hexahedron": [2.0]}})


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def test_a_signed_field_is_white_where_it_is_zero_and_has_two_colours():
    """u = 2x − 1: blue on the left, white in the middle, red on the right."""
    image = pixels(mesh_picture(square([-1.0, 1.0, 1.0, -1.0]), "u"))
    height, width, _ = image.shape
    assert (height, width) == (900, 1200)
    row = image[height // 2 + 5]
    left, right = (row[width // 2 + side * 250] for side in (-1, 1))
    assert left[2] > left[0] + 40
    assert right[0] > right[2] + 40
    assert row[width // 2].min() > 235


def test_cells_without_a_field_are_drawn_in_one_colour_with_their_edges():
    """Two squares side by side: a dark line between them."""
    points = [[x, y] for y in (0.0, 1.0) for x in (0.0, 1.0, 2.0)]
    image = pixels(mesh_picture(Mesh(points, {"quad": [[0, 1, 4, 3], [1, 2, 5, 4]]})))
    assert len({tuple(c) for c in image[400:500, 450:550].reshape(-1, 3)}) == 1
    assert (image[450, 590:610].sum(-1) < 500).any()


@pytest.mark.parametrize("field", [None, "v", "c"])
def test_volumes_are_drawn(field):
    image = pixels(mesh_picture(cube(), field))
    assert (image[450, 600] != 255).any()


@pytest.mark.parametrize(("mesh", "field"), [(square([0.0, 1, 2, 3]), "u"), (square(None, [1.0]), "c"), (cube(), "v")])
def test_a_scene_is_one_page_with_the_data_and_the_library(mesh, field):
    page = mesh_scene(mesh, field, "a title")
    assert "a title" in page
    assert "mesh3d" in page
    assert len(page) > 1_000_000  # the library itself
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", page)


def test_lines_are_drawn():
    curve = Mesh([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]], {"line": [[0, 1], [1, 2]]}, {"u": [0.0, 1.0, 2.0]})
    assert (pixels(mesh_picture(curve, "u")) < 250).any()
    assert "scatter3d" in mesh_scene(curve, "u")


def test_what_cannot_be_drawn_is_named():
    with pytest.raises(MeshError, match="no field 'w' on points or cells; there are: u"):
        mesh_picture(square([0.0, 1, 2, 3]), "w")
    with pytest.raises(MeshError, match="no cells that could be drawn"):
        mesh_scene(Mesh([[0.0, 0.0]], {}))


def test_torch_can_load_its_compiler_after_a_picture():
    """Both bring an LLVM of their own, and one order of loading them would end the process."""
    pytest.importorskip("triton")
    code = (
        "from meshes import Mesh; from sciml.mesh_pictures import mesh_picture\n"
        "mesh_picture(Mesh([[0, 0], [1, 0], [0, 1]], {'triangle': [[0, 1, 2]]}))\nimport triton"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
