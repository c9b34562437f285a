"""Pictures of meshes: images without a screen by PyVista, and scenes that can be turned in a browser by Plotly."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from meshes.errors import MeshError
from meshes.interchange import to_pyvista
from meshes.mesh import Mesh
from sciml.figures import SIGNED

if TYPE_CHECKING:
    import plotly.graph_objects
    import pyvista

__all__ = ["mesh_picture", "mesh_scene"]

_SIZE = (1200, 900)
#: Cells up to which their edges are drawn: beyond that they are a black mass.
_EDGES = 20_000
_NAME = "shown"


def mesh_picture(mesh: Mesh, field: str | None = None) -> bytes:
    """The mesh, coloured by a field, as a PNG image of 1200 × 900 pixels.

    Plane meshes are seen from above, others from a corner. A vector field is shown by its length; a field with both
    signs has zero in the middle of its colours.

    Parameters
    ----------
    mesh
        With cells of dimension 1 to 3.
    field
        Name of a point or cell field; None: the cells alone.

    Raises
    ------
    MeshError
        There are no cells to draw, or there is no such field.
    """
    import io

    import pyvista
    from PIL import Image

    surface, values = _surface(mesh, field)
    _silence_vtk()
    plotter: Any = pyvista.Plotter(off_screen=True, window_size=list(_SIZE))
    try:
        plotter.set_background("white")
        edges, plane = surface.n_cells <= _EDGES, _is_plane(mesh)
        if values is None:
            plotter.add_mesh(surface, color="#d9e3ec", show_edges=edges, edge_color="#404040", lighting=not plane)
        else:
            low, high, colours = _scale(values)
            bar: dict[str, Any] = {"title": field, "color": "black", "vertical": True, "fmt": "%.3g"}
            bar |= {"position_x": 0.88, "position_y": 0.2, "height": 0.6, "width": 0.06}
            plotter.add_mesh(
                surface,
                scalars=_NAME,
                clim=(low, high),
                cmap=colours,
                show_edges=edges,
                edge_color="#404040",
                edge_opacity=0.3,
                nan_color="lightgrey",
                # The colours are those of the bar, or nearly where shading shows the shape.
                lighting=not plane,
                ambient=0.7,
                diffuse=0.3,
                interpolate_before_map=True,
                scalar_bar_args=bar,
            )
        if plane:
            plotter.view_xy()
        else:
            plotter.view_isometric()
        plotter.camera.zoom(1.2 if plane else 0.9)
        image = plotter.screenshot(return_img=True)
    finally:
        plotter.close()
    stream = io.BytesIO()
    Image.fromarray(np.asarray(image)).save(stream, format="png")
    return stream.getvalue()


def mesh_scene(mesh: Mesh, field: str | None = None, title: str = "") -> str:
    """The surface of the mesh, coloured by a field, as a page that a browser shows without a network.

    Parameters
    ----------
    mesh, field
        As for `mesh_picture`.
    title
        Above the scene.

    Raises
    ------
    MeshError
        There are no cells to draw, or there is no such field.
    """
    import plotly.graph_objects as go

    surface, values = _surface(mesh, field)
    figure = go.Figure(layout={"title": {"text": title}, "template": "plotly_white", "showlegend": False})
    if surface.n_cells <= _EDGES:
        figure.add_trace(_lines(surface))
    triangles = surface.triangulate()
    corners = np.asarray(triangles.faces).reshape(-1, 4)[:, 1:] if triangles.n_cells else np.zeros((0, 3), int)
    if len(corners):
        figure.add_trace(_triangles(triangles, corners, field, values))
    camera = {"eye": {"x": 0, "y": 0, "z": 2}, "up": {"x": 0, "y": 1, "z": 0}} if _is_plane(mesh) else None
    figure.update_layout(scene={"aspectmode": "data", "camera": camera})
    page: str = figure.to_html(include_plotlyjs=True, config={"displaylogo": False})
    return page


def _triangles(
    surface: pyvista.PolyData, corners: np.ndarray, field: str | None, values: np.ndarray | None
) -> plotly.graph_objects.Mesh3d:
    import plotly.graph_objects as go

    x, y, z = np.asarray(surface.points).T
    i, j, k = corners.T
    shape = {"x": x, "y": y, "z": z, "i": i, "j": j, "k": k, "flatshading": True}
    if values is None:
        return go.Mesh3d(**shape, color="#b8cbdc", hoverinfo="skip")
    on_points = _NAME in surface.point_data
    own = np.asarray((surface.point_data if on_points else surface.cell_data)[_NAME])
    low, high, colours = _scale(values)
    colour = {"intensity": own, "intensitymode": "vertex" if on_points else "cell", "cmin": low, "cmax": high}
    return go.Mesh3d(**shape, **colour, colorscale=colours, colorbar={"title": {"text": field}}, name=field)


def _lines(surface: pyvista.PolyData) -> plotly.graph_objects.Scatter3d:
    """All edges in one trace, with gaps between them."""
    import plotly.graph_objects as go

    edges = surface.extract_all_edges()
    ends = np.asarray(edges.lines).reshape(-1, 3)[:, 1:]
    path = np.full((len(ends), 3, 3), np.nan)
    path[:, :2] = np.asarray(edges.points)[ends]
    x, y, z = path.reshape(-1, 3).T
    return go.Scatter3d(x=x, y=y, z=z, mode="lines", line={"color": "#404040", "width": 1}, hoverinfo="skip")


def _surface(mesh: Mesh, field: str | None) -> tuple[pyvista.PolyData, np.ndarray | None]:
    """What of the cells of the largest dimension can be seen, with the field as the scalars "shown"."""
    if mesh.dimension == 0:
        raise MeshError("the mesh has no cells that could be drawn: expected lines, faces or volumes")
    values, where = _field(mesh, field)
    grid: Any = to_pyvista(mesh)
    if values is not None:
        (grid.point_data if where == "point" else grid.cell_data)[_NAME] = values
    largest = [kind for kind in mesh.cells if kind in mesh.blocks()]
    if len(largest) < len(mesh.cells):
        kinds = np.concatenate([np.full(len(nodes), kind in largest) for kind, nodes in mesh.cells.items()])
        grid = grid.extract_cells(np.flatnonzero(kinds))
    if mesh.dimension == 1:
        return grid.extract_geometry(), values
    return grid.extract_surface(algorithm="dataset_surface"), values


def _field(mesh: Mesh, name: str | None) -> tuple[np.ndarray | None, str]:
    """One number a point or cell."""
    if name is None:
        return None, ""
    if name in mesh.point_data:
        return _length(mesh.point_data[name]), "point"
    if name in mesh.cell_data:
        blocks = mesh.cell_data[name]
        parts = [
            _length(blocks[kind]) if kind in blocks else np.full(len(nodes), np.nan)
            for kind, nodes in mesh.cells.items()
        ]
        return np.concatenate(parts), "cell"
    known = [*mesh.point_data, *mesh.cell_data]
    listed = ", ".join(known) if known else "none"
    raise MeshError(f"no field {name!r} on points or cells; there are: {listed}")


def _length(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    return values if values.ndim == 1 else np.linalg.norm(values.reshape(len(values), -1), axis=1)


def _scale(values: np.ndarray) -> tuple[float, float, str]:
    """Smallest and largest value shown, and the colours."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    largest = max(-low, high)
    if min(-low, high) > SIGNED * largest:
        return -largest, largest, "RdBu_r"
    return (low, high, "viridis") if low < high else (low - 0.5, high + 0.5, "viridis")


def _is_plane(mesh: Mesh) -> bool:
    return mesh.space_dimension < 3 or bool(np.ptp(mesh.points[:, 2]) == 0)


def _silence_vtk() -> None:
    """Without a screen VTK looks for one, says so on standard error, and then renders in memory.

    Rendering in memory loads an LLVM of its own, and Triton with its LLVM crashes the process if it is loaded after
    that, as torch's optimizers do: so it is loaded before.
    """
    from vtkmodules.vtkCommonCore import vtkLogger

    with suppress(ImportError):
        import_module("triton")
    logger: Any = vtkLogger
    logger.SetStderrVerbosity(logger.VERBOSITY_OFF)
