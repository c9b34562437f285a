"""Pictures and films of trajectories show what they say, and refuse what they cannot show."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from sciml.errors import ConfigurationError
from sciml.evolution_figures import frame_errors
from sciml.experiments.trajectories import evaluations_section
from sciml.pareto_figure import error_against_evaluations
from sciml.simulations.films import write_film
from sciml.trajectory_figures import Trajectory, logarithmic, trajectory_figure
from sciml.trajectory_film import trajectory_film

TIMES = [0.5, 1.0, 1.5, 2.0]
DECADES = [1e-3, 1e-1, 1e1, 1e3]
SHAPES = {"numbers": (2,), "line": (2, 16), "square": (2, 12, 12)}


def trajectory(kind, times=TIMES, error=0.1):
    truth = np.random.default_rng(0).normal(size=(len(times), *SHAPES[kind]))
    return Trajectory("state_of_it", times, truth, truth + error, "m/s")


def titles(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def labels(figure):
    return {axes.get_xlabel() for axes in figure.axes} | {axes.get_ylabel() for axes in figure.axes}


def test_a_field_on_an_interval_is_drawn_over_space_and_time():
    figure = trajectory_figure(trajectory("line"), channel=1)
    assert titles(figure) == ["truth", "prediction", "error"]
    assert {"time t", "x, of the domain's length", "state of it 2 (m/s)", "|error| (m/s)"} <= labels(figure)
    truth, prediction, error = (axes.collections[0] for axes in figure.axes[:3])
    assert truth.get_clim() == prediction.get_clim()
    np.testing.assert_allclose(error.get_array(), 0.1)


def test_a_pixel_of_space_and_time_is_the_value_there():
    what = trajectory("line")
    picture = trajectory_figure(what, channel=1).axes[0].collections[0]
    np.testing.assert_array_equal(picture.get_array(), what.truth[:, 1].T)
    edges = picture.get_coordinates()[0, :, 0]
    np.testing.assert_allclose((edges[1:] + edges[:-1]) / 2, TIMES)


def test_a_field_on_a_square_is_drawn_at_some_instants():
    figure = trajectory_figure(trajectory("square", [float(t) for t in range(1, 11)]))
    pictures = [axes for axes in figure.axes if axes.images]
    assert len(pictures) == 3 * 5
    assert titles(figure) == ["t = 1", "t = 3", "t = 5", "t = 8", "t = 10"]
    assert {"truth", "prediction", "error", "|error| (m/s)"} <= labels(figure)


def test_numbers_are_drawn_over_time_logarithmic_over_decades():
    figure = trajectory_figure(trajectory("numbers", DECADES))
    assert [axes.get_xscale() for axes in figure.axes] == ["log"] * 4
    assert {"state of it 1 (m/s)", "state of it 2 (m/s)", "|error| (m/s)", "time t"} <= labels(figure)
    assert trajectory_figure(trajectory("numbers")).axes[0].get_xscale() == "linear"


def test_an_exact_prediction_is_drawn():
    for kind in SHAPES:
        assert len(trajectory_figure(trajectory(kind, error=0.0)).axes) > 1


def test_a_single_instant_is_drawn():
    for kind in SHAPES:
        assert len(trajectory_figure(trajectory(kind, [1.0])).axes) > 1


@pytest.mark.parametrize(("times", "uneven"), [(TIMES, False), (DECADES, True), ([1.0], False)])
def test_time_is_logarithmic_where_instants_span_decades(times, uneven):
    assert logarithmic(times) is uneven


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"truth": np.zeros((4, 1, 8))}, r"truth \(4, 1, 8\), prediction \(4, 2, 16\)"),
        ({"instants": [1.0, 2.0]}, "2 instants"),
        ({"instants": [1.0, 3.0, 2.0, 4.0]}, "must increase"),
        ({"prediction": np.full((4, 2, 16), np.nan)}, "NaN"),
        ({"truth": np.zeros((4, 1, 2, 2, 2))}, "shape"),
    ],
    ids=["shape", "instants", "order", "nan", "axes"],
)
def test_what_is_no_trajectory_is_refused(change, words):
    good = trajectory("line")
    parts = {"instants": TIMES, "truth": good.truth, "prediction": good.prediction, **change}
    with pytest.raises(ConfigurationError, match=words):
        Trajectory("state", **parts)


@pytest.mark.parametrize("kind", SHAPES)
def test_a_film_has_a_frame_for_every_instant(kind, tmp_path):
    pictures = trajectory_film(trajectory(kind), "sample 3")
    assert len(pictures) == len(TIMES)
    assert len({picture.shape for picture in pictures}) == 1
    assert all(size % 2 == 0 for size in pictures[0].shape[:2])
    assert all((a != b).any() for a, b in pairwise(pictures))
    write_film(tmp_path / "film.gif", pictures, per_second=10)
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames == len(TIMES)
        assert film.info["duration"] == 100


def test_errors_are_drawn_over_time_where_frames_have_one():
    axes = frame_errors({"a": [0.1, 0.2, 0.3, 0.4]}, DECADES).axes[0]
    assert axes.get_xlabel() == "time t"
    assert axes.get_xscale() == "log"
    np.testing.assert_allclose(axes.get_lines()[0].get_xdata(), DECADES)
    with pytest.raises(ConfigurationError, match="2 errors for 4 instants"):
        frame_errors({"a": [0.1, 0.2]}, DECADES)


def test_the_front_joins_what_no_other_beats():
    points = {"none": [200, 5, 0.02, 0.001], "good": [100, 5, 0.03, 0.001], "bad": [150, 5, 0.04, 0.001]}
    axes = error_against_evaluations({"own solver": points}).axes[0]
    assert [line.get_label() for line in axes.containers] == ["none", "good", "bad"]
    np.testing.assert_allclose(axes.get_lines()[0].get_xydata(), [[100, 0.03], [200, 0.02]])


def test_markers_differ_when_colours_come_again():
    names = [f"penalty {k}" for k in range(14)]
    axes = error_against_evaluations({"own solver": {name: [100, 1, 0.1, 0.01] for name in names}}).axes[0]
    styles = {
        (bar.lines[0].get_marker(), bar.lines[0].get_color(), bar.lines[0].get_markerfacecolor())
        for bar in axes.containers
    }
    assert len(styles) == 14


@pytest.mark.parametrize("point", [[0, 1, 0.1, 0.1], [1, 1, -0.1, 0.1], [1, 1, 0.1], [1, 1, np.nan, 0.1]])
def test_points_that_cannot_be_drawn_are_refused(point):
    with pytest.raises(ConfigurationError, match="none"):
        error_against_evaluations({"own solver": {"none": point}})


def test_a_report_tells_what_the_latent_space_loses_and_how_honest_the_spread_is():
    ode = {"relative_l2": 0.4, "reconstruction_l2": 0.2, "evaluations_mean": 30.0, "evaluations_worst": 40.0}
    sde = {**ode, "coverage_90": 0.6}
    measured = {
        "latent-ode": {"test": {"held": ode}},
        "neural-sde": {"test": {"held": sde}},
        "fno": {"test": {"held": {}}},
    }
    solving, latent = evaluations_section(measured, "held")
    assert "no right-hand side for RK45" in solving.text
    assert [list(row) for row in latent.table.rows] == [["latent-ode", 0.4, 0.2, None], ["neural-sde", 0.4, 0.2, 0.6]]
    without = {"neural-ode": {"test": {"held": {"evaluations_mean": 8.0, "evaluations_rk45": 20.0}}}}
    assert [section.title for section in evaluations_section(without, "held")] == [solving.title]
    assert evaluations_section({"fno": {"test": {"held": {}}}}, "held") == []
