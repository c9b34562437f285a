"""Figures of a prediction on a mesh: truth, prediction, error and standard deviation side by side."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from meshes.errors import MeshError
from meshes.mesh import Mesh
from sciml.figures import Array, _figure, _trim
from sciml.mesh_pictures import _is_plane, _scale, _silence_vtk, _surface

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["prediction_figure"]

Box = tuple[float, float, float, float]

#: Pixels of the longer side of a picture.
_SIDE = 700
#: Wider shapes than this are drawn in two rows.
_WIDE = 1.6


@dataclass(frozen=True)
class _Panel:
    title: str
    values: Array
    limits: tuple[float, float]
    colours: str


def prediction_figure(
    mesh: Mesh,
    mean: ArrayLike,
    deviation: ArrayLike,
    truth: ArrayLike | None = None,
    title: str = "",
    unit: str = "1",
    box: Box | None = None,
) -> Figure:
    """Draw truth, prediction, error and standard deviation of a field; without a truth, the two that are left.

    Truth and prediction share one scale; that of the error has zero in its middle, that of the deviation at its end.
    Plane meshes are seen from above, others from a corner, all panels alike. PyVista draws the cells and needs no
    screen. Values that are not finite are grey.

    Parameters
    ----------
    mesh
        With cells of dimension 1 to 3.
    mean, deviation, truth
        Values ``(n,)`` at its points: the prediction, its standard deviation, and the reference if there is one.
    title
        Heading of the figure, such as the name of the field.
    unit
        Of the field.
    box
        Part of the plane that is shown, ``(x_min, x_max, y_min, y_max)``; all of it by default.

    Raises
    ------
    MeshError
        There are no cells to draw, another number of values than points, an empty box, or a box of a mesh in space.

    Examples
    --------
    >>> square = Mesh([[0, 0], [1, 0], [1, 1], [0, 1]], {"quad": [[0, 1, 2, 3]]})
    >>> figure = prediction_figure(square, [0, 1, 2, 1], [0.1, 0.1, 0.2, 0.1], truth=[0, 1, 2.2, 1], title="stress")
    >>> [axes.get_title() for axes in figure.axes if axes.get_title()]
    ['truth', 'prediction', 'error', 'standard deviation']
    """
    panels = _panels(
        _values(mesh, "mean", mean),
        _values(mesh, "deviation", deviation),
        None if truth is None else _values(mesh, "truth", truth),
    )
    extent = _extent(mesh, box)
    surface, _ = _surface(Mesh(mesh.points, mesh.cells, {panel.title: panel.values for panel in panels}), None)
    pictures = [_picture(surface, panel, extent) for panel in panels]
    if extent is None:
        pictures = _without_margins(pictures)
    aspect = pictures[0].shape[1] / pictures[0].shape[0]
    columns = 2 if aspect > _WIDE else len(panels)
    rows = ceil(len(panels) / columns)
    width = 4.2 if columns == 2 else max(2.6, 3.3 * min(1.0, aspect))
    # Inches above and below each picture for the title, the bar, and the coordinates.
    around = 1.0 if extent is None else 1.5
    figure = _figure(columns * width, rows * (min(4.0, 0.8 * width / aspect) + around) + 0.3)
    if title:
        figure.suptitle(title, fontweight="bold")
    for index, (panel, picture) in enumerate(zip(panels, pictures, strict=True)):
        axes = figure.add_subplot(rows, columns, index + 1)
        _place(axes, panel, picture, extent, unit)
        if extent is not None and index % columns == 0:
            axes.set_ylabel("y")
    _trim(figure)
    return figure


def _panels(mean: Array, deviation: Array, truth: Array | None) -> list[_Panel]:
    spread = _Panel("standard deviation", deviation, _from_zero(deviation), "cividis")
    if truth is None:
        low, high, colours = _scale(mean)
        return [_Panel("prediction", mean, (low, high), colours), spread]
    low, high, colours = _scale(np.concatenate([truth, mean]))
    error = mean - truth
    largest = _from_zero(np.abs(error))[1]
    return [
        _Panel("truth", truth, (low, high), colours),
        _Panel("prediction", mean, (low, high), colours),
        _Panel("error", error, (-largest, largest), "RdBu_r"),
        spread,
    ]


def _from_zero(values: Array) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    return 0.0, (float(finite.max()) if finite.size and finite.max() > 0 else 1.0)


def _picture(surface: Any, panel: _Panel, extent: Box | None) -> Array:
    """The surface in the colours of one field, ``(height, width, 3)``; of a plane mesh exactly the extent."""
    import pyvista

    plane = extent is not None
    size = _pixels(extent) if extent is not None else (_SIDE, _SIDE)
    _silence_vtk()
    plotter: Any = pyvista.Plotter(off_screen=True, window_size=list(size))
    try:
        plotter.set_background("white")
        plotter.add_mesh(
            surface.copy(),
            scalars=panel.title,
            clim=panel.limits,
            cmap=panel.colours,
            nan_color="lightgrey",
            # The colours are those of the bar, or nearly where shading shows the shape.
            lighting=not plane,
            ambient=0.7,
            diffuse=0.3,
            interpolate_before_map=True,
            show_scalar_bar=False,
        )
        if extent is None:
            plotter.view_isometric()
        else:
            _look_down(plotter, extent)
        return np.asarray(plotter.screenshot(return_img=True))
    finally:
        plotter.close()


def _look_down(plotter: Any, extent: Box) -> None:
    middle = (extent[0] + extent[1]) / 2, (extent[2] + extent[3]) / 2
    height = extent[3] - extent[2]
    plotter.view_xy()
    plotter.enable_parallel_projection()
    plotter.camera.focal_point = (*middle, 0.0)
    plotter.camera.position = (*middle, 10 * height)
    plotter.camera.parallel_scale = height / 2
    plotter.reset_camera_clipping_range()


def _pixels(extent: Box) -> tuple[int, int]:
    width, height = extent[1] - extent[0], extent[3] - extent[2]
    longer = max(width, height)
    return max(8, round(_SIDE * width / longer)), max(8, round(_SIDE * height / longer))


def _without_margins(pictures: list[Array]) -> list[Array]:
    """All pictures cut to the part that any of them fills."""
    filled = np.any([(picture < 255).any(axis=-1) for picture in pictures], axis=0)
    rows, columns = np.flatnonzero(filled.any(axis=1)), np.flatnonzero(filled.any(axis=0))
    if not rows.size:
        return pictures
    return [picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] for picture in pictures]


def _place(axes: Axes, panel: _Panel, picture: Array, extent: Box | None, unit: str) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    axes.set_title(panel.title, fontsize="medium")
    axes.imshow(picture, extent=extent, interpolation="antialiased")
    if extent is None:
        axes.set_axis_off()
    else:
        axes.set_xlabel("x")
        axes.xaxis.set_major_locator(MaxNLocator(3))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.tick_params(labelsize="small")
    colours = ScalarMappable(Normalize(*panel.limits), panel.colours)
    numbers = ScalarFormatter()
    numbers.set_powerlimits((-2, 4))
    where: dict[str, Any] = {"ax": axes, "location": "bottom", "shrink": 0.9, "aspect": 18}
    bar = axes.get_figure().colorbar(colours, format=numbers, **where)  # type: ignore[union-attr]
    bar.ax.xaxis.set_major_locator(MaxNLocator(4))
    bar.ax.tick_params(labelsize="small")
    measure = "prediction − truth" if panel.title == "error" else "value"
    bar.set_label(f"{measure} ({unit})", fontsize="small")


def _extent(mesh: Mesh, box: Box | None) -> Box | None:
    """What of the plane is shown, a little more than the mesh; None for a mesh in space."""
    if not _is_plane(mesh):
        if box is not None:
            raise MeshError("a box chooses a part of a plane mesh, and this one is not plane: leave it out.")
        return None
    if box is not None:
        if not (box[0] < box[1] and box[2] < box[3]):
            raise MeshError(f"box {box}: expected (x_min, x_max, y_min, y_max) with minima below maxima.")
        return box
    flat = np.zeros((len(mesh.points), 2))
    flat[:, : min(2, mesh.space_dimension)] = mesh.points[:, :2]
    used = flat[np.unique(np.concatenate([nodes.ravel() for nodes in mesh.blocks().values()]))]
    low, high = used.min(axis=0), used.max(axis=0)
    margin = 0.02 * float(np.max(high - low)) or 1.0
    return float(low[0]) - margin, float(high[0]) + margin, float(low[1]) - margin, float(high[1]) + margin


def _values(mesh: Mesh, what: str, values: ArrayLike) -> Array:
    if mesh.dimension == 0:
        raise MeshError("the mesh has no cells that could be drawn: expected lines, faces or volumes")
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (len(mesh.points),):
        raise MeshError(f"{what} of shape {array.shape}: expected one value a point, ({len(mesh.points)},).")
    return array
