"""Figures say what the data say: shared scales, labels with units, every curve there, and bad data refused."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from io import BytesIO

import numpy as np
import pytest

from sciml.errors import ConfigurationError
from sciml.evolution_figures import spectra
from sciml.figures import (
    certificate_scatter,
    convergence,
    error_against,
    error_histogram,
    field_comparison,
    training_curves,
)


def field(n=24, seed=0):
    x, y = np.meshgrid(np.linspace(0, 1, n), np.linspace(0, 1, n), indexing="ij")
    return np.sin(np.pi * x) * np.sin(np.pi * y) * (1 + 0.1 * np.random.default_rng(seed).random((n, n)))


def panels():
    u = field()
    return {"coefficient": 3 + 9 * (u > 0.5), "reference": u, "prediction": u + 0.01 * field(seed=1),
            "error": -0.01 * field(seed=1), "FNO error": 0.3 * u}  # fmt: skip


def history(rows=20, start=0.0):
    return [
        {"seconds": start + i, "step": 10.0 * i, "train_loss": 2.0**-i, "validation_error": 0.9**i if i % 2 else None}
        for i in range(rows)
    ]


def losses(rows=50):
    return np.exp(-0.2 * np.arange(rows))


def named_axes(figure):
    return {axes.get_title(): axes for axes in figure.axes if axes.get_title()}


def legend_of(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


@cache
def every_figure():
    e = np.random.default_rng(0).lognormal(-4, 0.5, 100)
    return {
        "fields": field_comparison(panels(), "Darcy flow"),
        "lines": field_comparison({"reference": field()[3], "prediction": field()[4], "error": field()[5]}, "1-D"),
        "training": training_curves({"mgno/0": history(), "mgno/1": history(start=0.3), "fno": history()}),
        "cost": error_against({"mgno": [[1, 0.1], [9, 0.01]], "fno": [[2, 0.3, 0.01]]}, x="parameters"),
        "histogram": error_histogram({"mgno": e, "fno": 3 * e}),
        "certificate": certificate_scatter(0.8 * e, e),
        "convergence": convergence({"zero": losses(), "prediction": losses(20)}, tolerance=1e-8),
    }


@pytest.mark.parametrize("name", every_figure())
def test_a_figure_renders_without_warning_and_every_axis_has_a_label(name, recwarn):
    figure = every_figure()[name]
    picture = BytesIO()
    figure.savefig(picture, format="png")
    assert picture.getvalue().startswith(b"\x89PNG")
    assert len(recwarn) == 0
    for axes in figure.axes:
        assert axes.get_ylabel()
        assert axes.get_xlabel() or axes.get_label() == "<colorbar>"


@pytest.mark.parametrize("name", every_figure())
def test_no_text_overlaps_another(name):
    figure = every_figure()[name]
    figure.draw_without_rendering()
    texts = [t for axes in figure.axes for t in (axes.title, axes.xaxis.label, axes.yaxis.label) if t.get_text()]
    boxes = [t.get_window_extent() for t in [*texts, *figure.texts]]
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        ticks = [t.label1 for t in axis.get_major_ticks() if low <= t.get_loc() <= high]
        ticks += [t.label1 for t in axis.get_minor_ticks() if low <= t.get_loc() <= high]
        labels = [t.get_window_extent() for t in ticks if t.get_text() and t.get_visible()]
        assert not any(a.overlaps(b) for i, a in enumerate(labels) for b in labels[:i]), [t.get_text() for t in ticks]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    canvas = figure.bbox.padded(1)
    assert all(canvas.containsx(box.x0) and canvas.containsx(box.x1) for box in boxes)
    assert all(canvas.containsy(box.y0) and canvas.containsy(box.y1) for box in boxes)


def test_figures_leave_the_global_state_of_matplotlib_alone():
    code = (
        "import sys, numpy as np, sciml.figures as f; assert 'matplotlib' not in sys.modules; "
        "f.field_comparison({'error': np.ones((4, 4))}, 't').savefig(open('/dev/null', 'wb'), format='png'); "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_loss_that_is_an_energy_is_drawn_on_a_linear_scale_and_any_other_on_a_logarithmic_one(recwarn):
    energy = [{**row, "train_loss": -1.0 - i} for i, row in enumerate(history())]
    scales = [[axes.get_yscale() for axes in training_curves({"a": rows}, 9.0).axes] for rows in (history(), energy)]
    assert scales == [["log", "log"], ["log", "linear"]]
    assert len(recwarn) == 0


def test_reference_and_prediction_share_one_scale_and_errors_another():
    data = panels()
    axes = named_axes(field_comparison(data, "Darcy flow"))
    assert list(axes) == list(data)
    limits = {name: a.images[0].get_clim() for name, a in axes.items()}
    low = min(data["reference"].min(), data["prediction"].min())
    high = max(data["reference"].max(), data["prediction"].max())
    assert limits["reference"] == limits["prediction"] == (low, high)
    assert limits["error"] == limits["FNO error"]
    assert limits["error"][1] == np.abs(data["FNO error"]).max()
    assert limits["coefficient"] == (3, 12)


def test_zero_is_in_the_middle_of_the_scale_of_a_signed_field():
    u = np.linspace(-1, 2, 16).reshape(4, 4)
    images = {
        name: a.images[0] for name, a in named_axes(field_comparison({"source": u, "coefficient": u + 3}, "t")).items()
    }
    assert images["source"].get_clim() == (-2, 2)
    assert images["source"].get_cmap().name != images["coefficient"].get_cmap().name


def test_a_field_of_two_values_has_two_colours():
    figure = field_comparison(panels(), "Darcy flow")
    assert named_axes(figure)["coefficient"].images[0].get_cmap().N == 2
    bars = [a for a in figure.axes if a.get_label() == "<colorbar>"]
    assert bars[0].get_yticks().tolist() == [3, 12]


def test_the_first_array_axis_is_drawn_along_x():
    u = np.zeros((8, 4))
    u[7, 0] = 1.0  # x = 1, y = 0: lower right
    image = field_comparison({"reference": u}, "t").axes[0].images[0]
    assert image.origin == "lower"
    assert image.get_array().shape == (4, 8)
    assert image.get_array()[0, 7] == 1.0
    assert tuple(image.get_extent()) == (0, 1, 0, 1)


def test_images_have_equal_aspect_and_a_colour_bar_with_its_unit():
    figure = field_comparison(panels(), "Darcy flow", units={"coefficient": "m²/s"})
    axes = named_axes(figure)
    assert all(a.get_aspect() == 1 for a in axes.values())
    bars = [a for a in figure.axes if a.get_label() == "<colorbar>"]
    assert [b.get_ylabel() for b in bars] == [
        "value (m²/s)",
        "value (1)",
        "value (1)",
        "magnitude (1)",
        "magnitude (1)",
    ]


def test_one_dimensional_fields_share_the_axis_limits():
    u = np.linspace(-1, 1, 30)
    axes = named_axes(field_comparison({"reference": u, "prediction": 2 * u, "error": u}, "t"))
    assert axes["reference"].get_ylim() == axes["prediction"].get_ylim()
    assert axes["reference"].get_ylim()[0] < -2
    assert axes["error"].get_yscale() == "log"


def test_an_input_that_is_the_same_everywhere_is_a_number():
    axes = named_axes(field_comparison({"start": np.full((4, 5), 0.125), "reference": np.eye(4, 5)}, "t"))
    assert [text.get_text() for text in axes["start"].texts] == ["0.125\neverywhere"]
    assert not axes["start"].images
    assert len(axes["reference"].images) == 1


def test_axes_end_where_they_are_said_to():
    figure = field_comparison({"reference": np.eye(4, 5)}, "t", axis_names=("t", "x"), lengths=(500.0, 1.0))
    axes = named_axes(figure)["reference"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "500"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "1"]
    assert axes.get_xlabel() == "t"


def test_the_legend_of_a_histogram_covers_no_bar():
    axes = error_histogram({"mgno": np.geomspace(1e-3, 1e-1, 51), "fno": np.geomspace(1e-2, 1, 30)}).axes[0]
    axes.get_figure().draw_without_rendering()
    assert axes.get_legend().get_window_extent().y0 >= axes.get_window_extent().y1


def test_a_constant_field_and_an_error_of_zero_can_be_drawn():
    figure = field_comparison({"reference": np.ones((4, 4)), "error": np.zeros((4, 4))}, "t")
    figure.savefig(BytesIO(), format="png")
    assert np.isfinite([a.images[0].get_clim() for a in named_axes(figure).values()]).all()


def test_training_curves_draw_the_rows_that_were_validated():
    rows = [*history(), {"seconds": 99.0, "step": 1.0, "train_loss": float("nan"), "validation_error": None}]
    error, loss = training_curves({"mgno": rows}).axes
    np.testing.assert_array_equal(error.lines[0].get_xdata(), np.arange(1, 20, 2))
    np.testing.assert_array_equal(loss.lines[0].get_ydata(), 2.0 ** -np.arange(20))
    assert error.get_yscale() == loss.get_yscale() == "log"
    assert "(s)" in error.get_xlabel()


def test_runs_of_one_learner_share_a_style_and_one_legend_entry():
    axes = training_curves({"mgno/0": history(), "mgno/1": history(), "fno/0": history()}).axes[0]
    first, second, other = axes.lines
    assert first.get_color() == second.get_color() != other.get_color()
    assert first.get_linestyle() != other.get_linestyle()
    assert legend_of(axes) == ["mgno", "fno"]


def test_error_against_sorts_by_cost_and_draws_the_spread():
    axes = error_against({"mgno": [[9, 0.1, 0.02], [1, 0.4, 0.1]]}).axes[0]
    (container,) = axes.containers
    np.testing.assert_array_equal(container[0].get_xdata(), [1, 9])
    bars = container[2][0].get_segments()
    np.testing.assert_allclose([b[:, 1] for b in bars], [[0.3, 0.5], [0.08, 0.12]])
    assert axes.get_xscale() == axes.get_yscale() == "log"


def test_single_points_have_no_line_and_references_have_one():
    axes = error_against({"mgno": [[9, 0.1, 0.02]], "fno": [[9, 0.1]]}, "parameters", {"multigrid": 1e-3}).axes[0]
    assert {container[0].get_linestyle() for container in axes.containers} == {"None"}
    assert sorted(legend_of(axes)) == ["fno", "mgno", "multigrid"]
    assert [1e-3, 1e-3] in [list(line.get_ydata()) for line in axes.lines]


def test_the_budget_is_marked():
    for axes in training_curves({"mgno": history()}, budget=15).axes:
        assert list(axes.lines[-1].get_xdata()) == [15, 15]


def test_few_samples_are_counted_in_few_bins_and_whole_numbers():
    axes = error_histogram({"mgno": np.geomspace(1e-3, 1e-1, 9)}).axes[0]
    assert len(next(c for c in axes.containers if len(c) > 1)) == 5
    assert all(float(tick).is_integer() for tick in axes.get_yticks())


def test_errors_decades_apart_are_each_spread_over_several_bins():
    axes = error_histogram({"mgno": np.geomspace(1e-5, 3e-5, 16), "fno": np.geomspace(1e-2, 3e-2, 16)}).axes[0]
    counts = [[bar.get_height() for bar in c] for c in axes.containers if len(c) > 1]
    assert all(sum(height > 0 for height in heights) >= 5 for heights in counts)


@pytest.mark.parametrize("panels", [1, 2, 4, 6, 8])
def test_no_empty_band_below_square_panels(panels):
    figure = field_comparison({f"field {k}": np.eye(8) for k in range(panels)}, "title")
    figure.draw_without_rendering()
    assert figure.get_tightbbox().y0 < 0.15


def test_a_histogram_counts_every_sample_once_and_names_the_median():
    errors = {"mgno": np.geomspace(1e-3, 1e-1, 51), "fno": np.geomspace(1e-2, 1, 30)}
    axes = error_histogram(errors).axes[0]
    counts = [sum(bar.get_height() for bar in c) for c in axes.containers if len(c) > 1]
    assert counts == [51, 30]
    assert legend_of(axes) == ["mgno, median 0.01", "fno, median 0.1"]


def test_equal_errors_have_a_histogram():
    assert error_histogram({"mgno": np.full(5, 0.1)}).axes[0].get_xscale() == "log"


def test_a_certificate_shows_the_diagonal_and_the_ratio():
    true = np.geomspace(1e-3, 1e-1, 20)
    axes = certificate_scatter(0.5 * true, true).axes[0]
    assert axes.get_xlim() == axes.get_ylim()
    assert axes.get_aspect() == 1
    assert "median ratio 0.50 (0.50 to 0.50)" in legend_of(axes)[1]


def test_convergence_starts_at_iteration_zero_and_shows_the_tolerance():
    axes = convergence({"zero": losses(10)}, tolerance=1e-8).axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), np.arange(10))
    assert axes.lines[1].get_ydata()[0] == 1e-8
    assert legend_of(axes) == ["zero", "tolerance 1e-08"]


def test_an_exact_answer_has_a_place_on_a_logarithmic_axis():
    residuals = convergence({"zero": [1.0, 1e-3, 0.0]}).axes[0].lines[0].get_ydata()
    np.testing.assert_array_equal(residuals, [1.0, 1e-3, np.finfo(np.float64).eps])


def spoiled():
    u = field()
    u[2, 3] = u[4, 5] = np.nan
    return u


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: field_comparison({}, "t"), r"panels is empty"),
        (lambda: field_comparison({"error": spoiled()}, "t"), r"error: 2 of 576 values .* first at \(2, 3\)"),
        (lambda: field_comparison({"u": np.ones((2, 3, 4))}, "t"), r"u: shape \(2, 3, 4\), but a 1-D or 2-D"),
        (lambda: field_comparison({"u": np.ones((0, 3))}, "t"), r"u: shape \(0, 3\)"),
        (lambda: training_curves({"mgno": []}), r"'mgno' has 0 rows"),
        (lambda: training_curves({"mgno": [{"seconds": 1.0, "train_loss": 1.0}]}), r"'mgno' has 1 rows"),
        (lambda: error_against({"mgno": [[1, 2]]}, x="epochs"), r"'epochs' .* seconds, parameters"),
        (lambda: error_against({"mgno": [[0, 0.1]]}), r"'mgno' has shape \(1, 2\) and smallest value 0"),
        (lambda: error_against({"mgno": [[1, 2, 3, 4]]}), r"shape \(1, 4\)"),
        (lambda: error_histogram({"mgno": [0.1, -0.2]}), r"mgno: smallest value -0.2"),
        (lambda: certificate_scatter([0.1], [0.1, 0.2]), r"estimated has 1 errors and true has 2"),
        (lambda: convergence({"zero": [1.0, np.inf]}), r"zero: 1 of 2 values"),
    ],
)
def test_bad_input_is_refused_with_what_was_found(call, message):
    with pytest.raises(ConfigurationError, match=message):
        call()


def test_no_two_of_many_curves_look_alike():
    """Nine curves: colours repeat, colour and dashes together do not."""
    figure = spectra({f"flow {k}": [1.0, 0.1 / (k + 1)] for k in range(9)})
    looks = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].get_lines()}
    assert len(looks) == 9
