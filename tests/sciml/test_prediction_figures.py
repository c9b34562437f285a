"""Pictures of predictions: the colour at a place is that of the value there; intervals are counted rightly."""

from io import BytesIO

import numpy as np
import pytest
from matplotlib import colormaps

from meshes import Mesh, MeshError, structured_grid, to_simplices
from sciml.calibration_figures import calibration_plot, scalar_scatter
from sciml.errors import ConfigurationError
from sciml.prediction_figures import prediction_figure

SQUARE = Mesh([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], {"quad": [[0, 1, 2, 3]]})
X = SQUARE.points[:, 0]


def panels(figure):
    return {axes.get_title(): axes for axes in figure.axes if axes.get_title()}


def colour_at(axes, x, y):
    """Pixel of the picture at a place, from 0 to 1."""
    picture = axes.images[0].get_array()
    left, right, bottom, top = axes.images[0].get_extent()
    row, column = (top - y) / (top - bottom) * picture.shape[0], (x - left) / (right - left) * picture.shape[1]
    return np.asarray(picture[int(row), int(column)]) / 255


def bars(figure):
    """Limits of the colour bars in the order of the panels."""
    return [axes.get_xlim() for axes in figure.axes if axes.get_label() == "<colorbar>"]


def test_the_colour_at_a_place_is_that_of_the_value_there():
    """Truth x on the scale 0 to 2 that it shares with the prediction 2x; error x, deviation 1."""
    figure = prediction_figure(SQUARE, 2 * X, np.ones(4), truth=X)
    found = panels(figure)
    assert list(found) == ["truth", "prediction", "error", "standard deviation"]
    assert bars(figure) == [(0, 2), (0, 2), (-1, 1), (0, 1)]
    for x in (0.2, 0.5, 0.8):
        wanted = {"truth": ("viridis", x / 2), "prediction": ("viridis", x), "error": ("RdBu_r", 0.5 + x / 2)}
        wanted["standard deviation"] = ("cividis", 1.0)
        for title, (name, value) in wanted.items():
            np.testing.assert_allclose(colour_at(found[title], x, 0.4), colormaps[name](value)[:3], atol=0.02)


def test_a_picture_is_where_the_mesh_is():
    """White outside of an L shape, coloured inside; a box shows a part of it."""
    cells = [[0, 1, 2, 3], [3, 2, 4, 5], [2, 6, 7, 4]]
    points = [[0, 0], [1, 0], [1, 1], [0, 1], [1, 2], [0, 2], [2, 1], [2, 2]]
    mesh = Mesh(points, {"quad": cells})
    axes = panels(prediction_figure(mesh, np.zeros(8), np.zeros(8)))["prediction"]
    np.testing.assert_array_equal(colour_at(axes, 1.5, 0.5), 1.0)
    for x, y in ((0.5, 0.5), (0.5, 1.5), (1.5, 1.5)):
        assert colour_at(axes, x, y).min() < 0.5
    axes = panels(prediction_figure(mesh, np.zeros(8), np.zeros(8), box=(0.5, 1.5, 0.5, 1.5)))["prediction"]
    assert axes.get_xlim() == (0.5, 1.5)
    np.testing.assert_array_equal(colour_at(axes, 1.4, 0.6), 1.0)
    assert colour_at(axes, 0.9, 1.4).min() < 0.5


def test_without_a_truth_there_are_two_panels():
    figure = prediction_figure(SQUARE, X - 0.5, X, title="u", unit="mm")
    assert list(panels(figure)) == ["prediction", "standard deviation"]
    assert bars(figure) == [(-0.5, 0.5), (0, 1)]
    assert figure.get_suptitle() == "u"
    assert [axes.get_xlabel() for axes in figure.axes if axes.get_label() == "<colorbar>"] == ["value (mm)"] * 2


def test_values_that_are_not_finite_are_grey():
    axes = panels(prediction_figure(SQUARE, np.full(4, np.nan), np.ones(4)))["prediction"]
    grey = colour_at(axes, 0.5, 0.5)
    assert np.ptp(grey) < 0.02
    assert 0.7 < grey.mean() < 0.95


@pytest.mark.parametrize("simplices", [False, True])
def test_solids_are_drawn_alike_in_all_panels(simplices):
    mesh = structured_grid(np.linspace(0, 3, 7), np.linspace(0, 1, 3), np.linspace(0, 1, 3))
    mesh = to_simplices(mesh) if simplices else mesh
    u = mesh.points[:, 0]
    figure = prediction_figure(mesh, u, 0.1 * u, truth=u)
    pictures = [np.asarray(axes.images[0].get_array()) for axes in panels(figure).values()]
    assert len({picture.shape for picture in pictures}) == 1
    np.testing.assert_array_equal(pictures[0], pictures[1])
    shape = (pictures[0] < 255).any(axis=-1)
    assert 0.3 < shape.mean() < 1
    stream = BytesIO()
    figure.savefig(stream)
    assert stream.getvalue().startswith(b"\x89PNG")


def test_quadratic_cells_and_lines_are_drawn():
    points = np.array([[0, 0], [1, 0], [0, 1], [0.5, 0], [0.5, 0.5], [0, 0.5]])
    axes = panels(prediction_figure(Mesh(points, {"triangle6": [range(6)]}), points[:, 0], np.ones(6)))["prediction"]
    np.testing.assert_allclose(colour_at(axes, 0.3, 0.3), colormaps["viridis"](0.3)[:3], atol=0.03)
    line = Mesh([[0.0, 0.0], [1.0, 1.0]], {"line": [[0, 1]]})
    picture = panels(prediction_figure(line, [0.0, 1.0], [1.0, 1.0]))["prediction"].images[0].get_array()
    assert (np.asarray(picture) < 255).any()


@pytest.mark.parametrize(
    ("mesh", "options", "message"),
    [
        (SQUARE, {"mean": [1.0]}, r"mean of shape \(1,\): expected one value a point, \(4,\)"),
        (SQUARE, {"truth": np.ones((4, 2))}, r"truth of shape \(4, 2\)"),
        (SQUARE, {"box": (1, 0, 0, 1)}, r"box \(1, 0, 0, 1\): expected"),
        (Mesh(np.eye(4, 3), {"tetra": [[0, 1, 2, 3]]}), {"box": (0, 1, 0, 1)}, "this one is not plane"),
        (Mesh(np.eye(4, 3), {}), {}, "no cells that could be drawn"),
    ],
)
def test_what_cannot_be_drawn_is_named(mesh, options, message):
    with pytest.raises(MeshError, match=message):
        prediction_figure(mesh, **({"mean": np.ones(4), "deviation": np.ones(4)} | options))


def test_calibration_has_a_curve_a_field_and_the_diagonal():
    figure = calibration_plot([0.5, 0.95], {"u": [0.4, 0.9], "v": [0.6, 1.0]})
    curves = {line.get_label(): line.get_xydata().tolist() for line in figure.axes[0].get_lines()}
    assert curves["u"] == [[0.5, 0.4], [0.95, 0.9]]
    assert curves["as promised"] == [[0, 0], [1, 1]]
    assert set(curves) == {"as promised", "u", "v"}


def test_intervals_that_hold_the_truth_are_counted():
    """|error| 1, 1, 3 and 1.96 σ = 1.96, 0.196, 1.96: one of three; Q² = 1 − 11 / 200."""
    figure = scalar_scatter({"w": ([0.0, 10.0, 20.0], [1.0, 9.0, 23.0], [1.0, 0.1, 1.0]), "v": ([1.0], [1.0], [0.0])})
    first, second = figure.axes
    assert first.get_title() == "w: Q² 0.9450, 1 of 3 within 95 %"
    assert second.get_title() == "v: 1 of 1 within 95 %"
    labels = [text.get_text() for text in first.get_legend().get_texts()]
    assert labels == ["prediction = truth", "within its 95 % interval", "outside its 95 % interval"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: calibration_plot([0.5, 0.9], {}), "measured is empty"),
        (lambda: calibration_plot([0.5, 0.9], {"u": [0.5]}), "u: 1 coverages for 2 nominal ones"),
        (lambda: calibration_plot([50, 90], {"u": [0.5, 0.9]}), "nominal: coverages from 50 to 90"),
        (lambda: calibration_plot([0.9, 0.5], {"u": [0.5, 0.9]}), "coverages that rise are expected"),
        (lambda: scalar_scatter({"w": ([1.0, 2.0], [1.0], [1.0])}), "w: 2, 1, 1 values of truth, mean and deviation"),
        (lambda: scalar_scatter({"w": ([1.0], [1.0], [-1.0])}), "w: a standard deviation of -1"),
        (lambda: scalar_scatter({"w": ([np.nan], [1.0], [1.0])}), "w, truth: 1 of 1 values are NaN"),
    ],
)
def test_what_is_no_figure_is_named(call, message):
    with pytest.raises(ConfigurationError, match=message):
        call()
