"""`sciml invert`: from a problem's name, a run or a file of measurements to a posterior, its figures and its report."""

import json
import os
import shutil
import signal
from contextlib import redirect_stderr
from io import BytesIO, StringIO
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch

from pde_benchmarks.media import TwoPhaseDarcy
from pde_benchmarks.problem import Batch
from sciml.cli import main
from sciml.errors import ConfigurationError, ObservationError, RunError
from sciml.inversions import read_measurements, synthetic_case, verdict
from sciml.inversions.directory import require_usable, whole_directory
from sciml.inversions.figures import (
    interval_cut,
    posterior_fields,
    posterior_samples,
    sensor_residuals,
)
from sciml.inversions.judge import most_frequent_phase
from sciml.inversions.views import FieldView
from sciml.training import Trainer

SMALL = ["--set", "latent=8", "--set", "width=16", "--set", "depth=3", "--set", "aggregate=2"]
SMALL += ["--set", "coefficient_width=16", "--problem-set", "resolution=9", "--samples", "24"]
QUICK = [*SMALL, "--steps", "30"]
FILES = {"posterior.h5", "metrics.json", "figures", "report.html"}


def invert(*arguments):
    return main(["invert", *map(str, arguments)])


def complaint(capsys, *arguments, code=2):
    """The one line that a failing command writes."""
    assert invert(*arguments) == code
    lines = capsys.readouterr().err.strip().splitlines()
    spoken = [line for line in lines if line.startswith("sciml:")]
    assert len(spoken) == 1
    assert "Traceback" not in "".join(lines)
    return spoken[0]


def read(folder):
    with h5py.File(folder / "posterior.h5") as file:
        return {name: np.asarray(array) for name, array in file.items()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that an inversion began and another, after Ctrl-C, went on with; what either said, and the inversion."""
    folder = tmp_path_factory.mktemp("trained")
    command = ["darcy-two-phase", *QUICK, "--run", folder / "run", "-o", folder / "first", "--sensors", 30]
    begin = Trainer.__init__

    def impatient(self, config, directory, progress):
        def interrupt(state):
            if state.step == 10:
                os.kill(os.getpid(), signal.SIGINT)

        begin(self, config, directory, interrupt)

    told = [StringIO(), StringIO()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCIML_CACHE", str(folder / "cache"))
        with pytest.MonkeyPatch.context() as hasty, redirect_stderr(told[0]):
            hasty.setattr(Trainer, "__init__", impatient)
            codes = [invert(*command)]
        unfinished = not (folder / "first").exists()
        with redirect_stderr(told[1]):
            codes.append(invert(*command))
    said = [text.getvalue() for text in told]
    return SimpleNamespace(run=folder / "run", first=folder / "first", codes=codes, said=said, unfinished=unfinished)


@pytest.fixture
def run(trained):
    return trained.run


@pytest.fixture
def table(tmp_path):
    """The measurements of a case as CSV, and the case."""
    case = synthetic_case(TwoPhaseDarcy(resolution=9), 20, 25.0, seed=3)
    return write_table(tmp_path / "wells.csv", case.observation), case


def write_table(path, observation):
    lines = ["x,y,value,std"]
    for point, value, std in zip(observation.points, observation.values[0], observation.std[0], strict=True):
        lines.append(",".join(repr(number) for number in (*point.tolist(), value.item(), std.item())))
    path.write_text("\n".join(lines) + "\n")
    return path


def write_arrays(path, arrays):
    if path.suffix == ".npz":
        np.savez(path, **{name: np.asarray(array) for name, array in arrays.items()})
        return path
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = np.asarray(array)
    return path


def view(n=9, **changes):
    x = np.linspace(0, 1, n)
    truth = np.where(x[:, None] + x > 1, 10.0, 5.0)
    draws = np.stack([truth, truth.T, truth[::-1]])
    values = {"truth": truth, "std": draws.std(0), "low": draws.min(0), "high": draws.max(0), "samples": draws}
    values |= {"phases": (5.0, 10.0), "sensors": np.full((4, 2), 0.5)} | changes
    return FieldView("coefficient", (x, x), draws.mean(0), truth, "most probable", **values)


# The whole command


def test_a_problem_is_trained_without_labels_and_a_known_case_is_inverted(run):
    folder = run.parent / "first"
    assert {path.name for path in folder.iterdir()} == FILES
    metrics = json.loads((folder / "metrics.json").read_text())
    for key in ("wrong_pixels", "volume_fraction_error", "centred_correlation", "coverage_90", "relative_l2"):
        assert np.isfinite(metrics[f"coefficient.{key}"])
    assert 0 <= metrics["coefficient.wrong_pixels"] <= 1
    assert metrics["sensors"] == 30
    assert metrics["cases"][0]["status"] == "converged"
    assert metrics["noise_misfit"] == pytest.approx(10 ** (-25 / 20), rel=0.5)
    assert {"surrogate_misfit", "resimulated_misfit", "resimulated_chi_square", "importance"} <= set(metrics)
    arrays = read(folder)
    for name in ("mean", "std", "low", "high", "map", "most_probable", "truth"):
        assert arrays[f"coefficient_{name}"].shape == (1, 1, 9, 9)
    assert arrays["coefficient_samples"].shape == (1, 32, 1, 9, 9)
    assert set(np.unique(arrays["coefficient_most_probable"])) <= {5.0, 10.0}
    assert {path.name for path in (folder / "figures").iterdir()} == {
        "posterior.png", "samples.png", "interval.png", "residual.png",
    }  # fmt: skip
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64") == 4
    assert "re-simulat" in page
    assert (run / "report.html").is_file()  # the learner's own


def test_the_resimulation_is_the_reference_solution_of_the_most_probable_input(run):
    arrays = read(run.parent / "first")
    problem = TwoPhaseDarcy(resolution=9)
    a = torch.from_numpy(arrays["coefficient_most_probable"]).double()
    expected = problem.solve(Batch({"coefficient": a}))
    np.testing.assert_allclose(arrays["solution_resimulated"], expected["solution"].numpy(), rtol=1e-5, atol=1e-8)


def test_a_trained_run_is_used_as_it_is(run, tmp_path, capsys):
    weights = (run / "weights.safetensors").stat().st_mtime_ns
    assert invert("darcy-two-phase", *SMALL, "--run", run, "-o", tmp_path / "again", "--sensors", 30) == 0
    told = capsys.readouterr()
    assert "already trained" in told.err
    assert "report:" in told.out
    assert (run / "weights.safetensors").stat().st_mtime_ns == weights
    first, again = read(run.parent / "first"), read(tmp_path / "again")
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
    line = complaint(capsys, "darcy-two-phase", "--problem-set", "resolution=9", "--run", run)
    assert "learner_settings differs" in line
    assert f"sciml invert {run}" in line
    assert "steps was 30" in complaint(capsys, "darcy-two-phase", *SMALL, "--steps", "31", "--run", run)


def test_an_interrupted_training_goes_on(trained):
    assert trained.codes == [130, 0]
    assert "the same command goes on" in trained.said[0]
    assert trained.unfinished
    assert "it goes on" in trained.said[1]
    assert not list(trained.run.glob("**/checkpoint*"))


def test_measurements_are_inverted_without_a_truth(run, table, tmp_path):
    path, case = table
    assert invert(run, "--observations", path, "-o", tmp_path / "out") == 0
    arrays = read(tmp_path / "out")
    assert not any(name.endswith("_truth") for name in arrays)
    np.testing.assert_array_equal(arrays["values"], case.observation.values.numpy())
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert "coefficient.relative_l2" not in metrics
    assert metrics["resimulated_misfit"] > 0
    assert metrics["observations"] == str(path)


def test_several_cases_are_inverted_together_and_lie_in_the_run(run, capsys):
    assert invert(run, "--method", "map", "--count", 3, "--sensors", 20, "--snr", 30, "--seed", 2) == 0
    folder = run / "inversions" / "map-sensors20-snr30-count3-seed2"
    printed = capsys.readouterr().out
    assert "smallest" in printed
    assert str(folder / "report.html") in printed.replace("\n", "")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert len(metrics["cases"]) == 3
    mean = np.mean([case["coefficient.wrong_pixels"] for case in metrics["cases"]])
    assert metrics["coefficient.wrong_pixels"] == pytest.approx(mean)
    assert read(folder)["coefficient_mean"].shape == (3, 1, 9, 9)


def test_an_earlier_inversion_is_replaced_whole_here_by_a_map_estimate_without_error_bars(run, tmp_path, capsys):
    out = shutil.copytree(run.parent / "first", tmp_path / "out")
    assert invert(run, "--method", "map", "-o", out) == 0
    assert "replaced" in capsys.readouterr().err
    assert {path.name for path in (out / "figures").iterdir()} == {"posterior.png", "residual.png"}
    assert "coefficient_std" not in read(out)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    assert "not of an inversion" in complaint(capsys, run, "-o", tmp_path / "mine")


def test_chains_that_have_not_mixed_are_refused_and_nothing_is_written(run, tmp_path, capsys):
    short = ["--method-set", "draws=8", "--method-set", "warmup=4"]
    line = complaint(capsys, run, "--method", "hmc", *short, "-o", tmp_path / "out")
    assert "R-hat" in line
    assert "--method-set draws=16" in line
    assert "throw" not in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["darcy-two-phases"], "neither a run directory nor a problem: known problems are"),
        (["darcy-two-phase", "--learner", "mgno-data"], "has no prior of inputs"),
        (["darcy-two-phase", "--learner", "nothing"], "unknown learner 'nothing'"),
        (["helmholtz"], "dgno cannot learn helmholtz"),
        (["RUN", "--budget", "10s"], "--budget applies to training"),
        (["RUN", "--sensors", "0"], "sensors = 0"),
        (["RUN", "--count", "0"], "count = 0"),
        (["RUN", "--seed", "-1"], "seed = -1"),
        (["RUN", "--snr", "nan"], "signal-to-noise ratio nan"),
        (["RUN", "--method", "magic"], "magic"),
        (["RUN", "--method-set", "drws=3"], "unknown key 'drws' of LaplaceConfig: known are draws, map"),
        (["RUN", "--method-set", "map.stps=3"], "unknown key 'stps' of MapConfig"),
        (["RUN", "--method-set", "cut.steps=3"], "laplace has no group 'cut'"),
        (["RUN", "--observations", "missing.csv"], "missing.csv: cannot be read"),
        (["RUN", "--observations", "missing.csv", "--snr", "25"], "--snr applies to a synthetic case"),
    ],
)
def test_what_cannot_work_is_said_in_one_line_before_anything_is_done(
    run, arguments, words, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert words in complaint(capsys, *[str(run) if word == "RUN" else word for word in arguments])
    assert not list(tmp_path.iterdir())


# Files of measurements


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty; its first line must name the columns: x,y,value,std"),
        ("x,y,value,std\n", "at least one line of numbers"),
        ("x,y,value\n0.1,0.2,3\n", "no column std: the first line names x, y, value; x,y,value,std are expected"),
        ("0.1,0.2,3,0.1\n", "no column x, y, value, std"),
        ("x,value,std\n0.1,3,0.1\n", "no column y"),
        ("x,y,z,value,std\n.1,.1,.1,3,.1\n", "a column z, but the problem has 2 axes"),
        ("x,y,value,std,x\n.1,.1,3,.1,.2\n", "the column x comes twice"),
        ("x,y,value,std\n0.1,0.2,3,0.1\n0.1,0.2,nan,0.1\n", "line 3, column 'value': 'nan' is not a finite number"),
        ("x,y,value,std\n\n0.1,a,3,0.1\n", "line 3, column 'y': 'a' is not a finite number"),
        ("x,y,value,std\n0.1,0.2,3\n", "line 2 has 3 cells, the first line 4"),
        ("x,y,value,std\n.1,.2,3,.1\n.1,.2,3,0\n.1,.2,3,-1\n", "'std' must be positive, but is not on lines 3, 4"),
        ("x,y,value,std\n.1,.2,3,.1\n1.1,.2,3,.1\n.1,-2,3,.1\n", "outside the domain"),
    ],
)
def test_a_table_that_cannot_be_used_says_where(text, words, tmp_path, run, capsys):
    path = tmp_path / "wells.csv"
    path.write_text(text)
    line = complaint(capsys, run, "--observations", path, "-o", tmp_path / "out")
    assert words in line
    assert "wells.csv" in line
    assert not (tmp_path / "out").exists()


def test_sensors_outside_the_domain_are_listed(tmp_path):
    path = tmp_path / "wells.csv"
    path.write_text("x,y,value,std\n.1,.2,3,.1\n1.1,.2,3,.1\n.1,-2,3,.1\n")
    with pytest.raises(ValueError, match=r"wells.csv: sensors: 2 of 3 lie outside .* \(indices 1, 2;"):
        read_measurements(path, 2)


def test_a_table_may_have_other_columns_and_spaces_and_a_mark_of_its_encoding(tmp_path):
    path = tmp_path / "wells.csv"
    path.write_bytes("\ufeffwell, X ,Y,std,VALUE\r\nA1, 0.25,0.5,0.1,3\r\n\r\n".encode())
    found = read_measurements(path, 2)
    assert found.points.tolist() == [[0.25, 0.5]]
    assert (found.values.tolist(), found.std.tolist()) == ([3.0], [0.1])


def test_every_format_says_the_same(table, tmp_path):
    path, case = table
    observation = case.observation
    arrays = {"points": observation.points, "values": observation.values[0], "noise_std": observation.std[0, 0]}
    for ending in (".npz", ".h5"):
        found = read_measurements(write_arrays(tmp_path / f"wells{ending}", arrays), 2)
        expected = read_measurements(path, 2)
        for name in ("points", "values", "std"):
            torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=1e-12, atol=0)


@pytest.mark.parametrize("ending", [".npz", ".h5"])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"values": None}, "no array values: the file holds"),
        ({"points": np.full((4, 3), 0.5)}, r"points of shape \(4, 3\): \(n, 2\) is expected"),
        ({"points": np.full(4, 0.5)}, r"points of shape \(4,\)"),
        ({"values": np.ones(3)}, r"values of shape \(3,\): \(4,\) is expected"),
        ({"noise_std": np.ones(3)}, r"noise_std of shape \(3,\)"),
        ({"values": np.array([1, np.nan, 1, np.inf])}, "values: not finite at rows 1, 3"),
        ({"points": np.array([[np.nan, 0], [0, 0], [0, 0], [0, 0]])}, "points: not finite at rows 0"),
        ({"noise_std": np.array(0.0)}, "noise_std must be positive, but is not at rows 0, 1, 2, 3"),
        ({"noise_std": np.array([1, 1, -1.0, 1])}, "is not at rows 2"),
    ],
)
def test_arrays_that_cannot_be_used_say_where(ending, changes, words, tmp_path):
    arrays = {"points": np.full((4, 2), 0.5), "values": np.ones(4), "noise_std": np.array(0.1)} | changes
    arrays = {name: array for name, array in arrays.items() if array is not None}
    path = write_arrays(tmp_path / f"wells{ending}", arrays)
    with pytest.raises(ObservationError, match=words):
        read_measurements(path, 2)


@pytest.mark.parametrize("ending", [".npz", ".h5"])
def test_a_file_that_ends_early_is_refused(ending, tmp_path):
    arrays = {"points": np.full((400, 2), 0.5), "values": np.ones(400), "noise_std": np.ones(400)}
    path = write_arrays(tmp_path / f"wells{ending}", arrays)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ValueError, match=r"ends early|damaged"):
        read_measurements(path, 2)


def test_a_foreign_file_is_refused(tmp_path):
    (tmp_path / "wells.csv").write_bytes(bytes(range(128, 256)))
    with pytest.raises(RunError, match="not a text file"):
        read_measurements(tmp_path / "wells.csv", 2)
    np.savez(tmp_path / "wells.npz", points=np.array([{}], dtype=object))
    with pytest.raises(ObservationError, match="plain arrays"):
        read_measurements(tmp_path / "wells.npz", 2)


# Judgement


@pytest.mark.parametrize(
    ("again", "own", "chi_square", "error", "words"),
    [
        (0.051, 0.05, 1.1, 0.02, "confirms the result"),
        (0.2, 0.05, 16.0, 0.02, "contradicts the surrogate"),
        (0.1, 0.09, 4.0, 0.08, "own error, 0.08, is larger than the noise"),
        (0.1, 0.09, 4.0, 0.02, "the noise may be larger than stated"),
    ],
)
def test_the_verdict_compares_the_resimulated_misfit_with_noise_and_surrogate(again, own, chi_square, error, words):
    case = synthetic_case(TwoPhaseDarcy(resolution=9), 100, 25.0, 0)
    names = ("resimulated_misfit", "surrogate_misfit", "noise_misfit", "resimulated_chi_square", "surrogate_error")
    values = (again, own, 0.05, chi_square, error)
    assert words in verdict(case, {name: torch.tensor([value]) for name, value in zip(names, values, strict=True)})


def test_the_phase_of_a_pixel_is_the_one_that_most_draws_have():
    """For phases 2, 5, 10 a mean near 5 may be a pixel that is never 5."""
    draws = torch.tensor([2.0, 10.0, 10.0, 2.0, 2.0]).reshape(1, 5, 1, 1)
    assert most_frequent_phase(draws, (2.0, 5.0, 10.0)).item() == 2.0


def test_a_synthetic_case_is_not_among_the_training_data():
    problem = TwoPhaseDarcy(resolution=9)
    case = synthetic_case(problem, 10, 25.0, seed=0, count=2)
    again = synthetic_case(problem, 10, 25.0, seed=0, count=2)
    other = synthetic_case(problem, 10, 25.0, seed=1, count=2)
    assert torch.equal(case.observation.values, again.observation.values)
    assert not torch.equal(case.observation.points, other.observation.points)
    for seed in (0, 1, 2):
        drawn = problem.sample(2, torch.Generator().manual_seed(seed))["coefficient"]
        assert not torch.equal(drawn, case.truth["coefficient"])


def test_a_directory_is_written_whole_or_not_at_all(tmp_path):
    target = tmp_path / "deep" / "out"

    def write_half():
        with whole_directory(target) as folder:
            (folder / "report.html").write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(RunError, match="No space left on device"):
        write_half()
    assert not target.exists()
    assert not list((tmp_path / "deep").iterdir())
    assert not require_usable(target)
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match="a file"):
        require_usable(tmp_path / "file")


# Figures


@pytest.mark.parametrize(
    "figure",
    [
        lambda: posterior_fields([view(), view(phases=())], "two fields"),
        lambda: posterior_samples(view(), "draws"),
        lambda: interval_cut([view(), view(phases=())]),
        lambda: sensor_residuals(np.random.default_rng(0).random((30, 2)), np.linspace(-2, 4, 30), "residuals"),
        lambda: sensor_residuals(np.linspace(0, 1, 9)[:, None], np.zeros(9), "one axis"),
    ],
)
def test_a_figure_renders_without_warning_and_every_axis_has_a_label(figure, recwarn):
    drawn = figure()
    picture = BytesIO()
    drawn.savefig(picture, format="png")
    assert picture.getvalue().startswith(b"\x89PNG")
    assert len(recwarn) == 0
    for axes in drawn.axes:
        assert axes.get_ylabel()
        assert axes.get_xlabel() or axes.get_label() == "<colorbar>"


def test_truth_mean_and_most_probable_share_one_scale_and_the_deviation_has_its_own():
    field = view(phases=())
    axes = {a.get_title(): a for a in posterior_fields([field], "title").axes if a.get_title()}
    assert set(axes) == {
        "coefficient: truth", "coefficient: posterior mean, sensors", "coefficient: standard deviation",
        "coefficient: most probable",
    }  # fmt: skip
    limits = {name.split(": ")[1]: a.images[0].get_clim() for name, a in axes.items()}
    assert limits["truth"] == limits["posterior mean, sensors"] == limits["most probable"] == (5.0, 10.0)
    assert limits["standard deviation"] == (0.0, field.std.max())
    mean = axes["coefficient: posterior mean, sensors"]
    np.testing.assert_array_equal(mean.images[0].get_array(), field.mean.T)
    assert len(mean.lines[0].get_xdata()) == len(field.sensors)


def test_phases_have_a_colour_each_and_their_values_on_the_bar():
    figure = posterior_fields([view()], "title")
    image = figure.axes[0].images[0]
    assert image.get_cmap().N == 2
    assert [text.get_text() for text in image.colorbar.ax.get_yticklabels()] == ["5", "10"]


def test_a_pixel_lies_around_its_grid_point():
    image = posterior_fields([view(n=5)], "title").axes[0].images[0]
    assert image.get_extent() == pytest.approx([-0.125, 1.125, -0.125, 1.125])


def test_the_cut_runs_through_the_middle_and_shows_the_interval():
    field = view(phases=())
    (axes,) = interval_cut([field]).axes
    lines = {line.get_label(): line.get_ydata() for line in axes.get_lines()}
    np.testing.assert_array_equal(lines["posterior mean"], field.mean[:, 4])
    np.testing.assert_array_equal(lines["truth"], field.truth[:, 4])
    assert "90% interval" in [text.get_text() for text in axes.get_legend().get_texts()]
    corners = axes.collections[0].get_paths()[0].vertices
    assert (corners[:, 1].min(), corners[:, 1].max()) == (field.low[:, 4].min(), field.high[:, 4].max())


def test_a_field_on_one_axis_is_drawn_as_curves():
    x = np.linspace(0, 1, 9)
    field = FieldView("source", (x,), x, x, "most probable", std=0.1 + 0 * x, low=x - 0.1, high=x + 0.1,
                      samples=np.stack([x, x]), sensors=x[:3, None])  # fmt: skip
    figure = posterior_fields([field], "one axis")
    assert [len(axes.images) for axes in figure.axes] == [0, 0, 0]
    assert len(interval_cut([field]).axes[0].get_lines()) == 2
    assert len(posterior_samples(field, "draws").axes) == 2


def test_residuals_are_seen_at_their_sensors_and_counted():
    points, residuals = np.random.default_rng(0).random((30, 2)), np.linspace(-5, 5, 30)
    place, _, counts = sensor_residuals(points, residuals, "title").axes
    np.testing.assert_array_equal(place.collections[0].get_offsets(), points)
    np.testing.assert_array_equal(place.collections[0].get_array(), residuals)
    assert place.collections[0].get_clim() == (-5.0, 5.0)
    assert sum(patch.get_height() for patch in counts.patches) == 30
    assert counts.get_title() == f"chi-square {np.mean(residuals**2):.3g}"


def test_what_cannot_be_drawn_is_said():
    with pytest.raises(ConfigurationError, match="no draws"):
        posterior_samples(view(samples=None), "title")
    with pytest.raises(ConfigurationError, match="nothing to draw"):
        posterior_fields([], "title")
    with pytest.raises(ConfigurationError, match="one or two axes"):
        FieldView("a", (np.arange(3),), np.ones((3, 3)), np.ones(3), "best")
    with pytest.raises(ConfigurationError, match="one residual a point"):
        sensor_residuals(np.ones((3, 2)), np.ones(2), "title")
