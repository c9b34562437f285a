"""``sciml simulate smoke``: what it leaves behind, how it goes on, and one line for whatever is wrong."""

from __future__ import annotations

import csv
import json
import os
import warnings

import h5py
import numpy as np
import pytest
import pyvista
import torch
from PIL import Image

from meshes import Mesh, MeshFileWarning, write_mesh
from sciml.cli import main
from sciml.files import read_tensors
from sciml.simulations import METHODS, Journal, PlumeSettings, Row, pressure_method
from sciml.simulations.films import check_film, write_film
from sciml.simulations.journal import PARTS
from sciml.simulations.obstacles import fitted, obstacle_bodies

QUICK = ["--resolution", "16", "--dimension", "2", "--dt", "0.05"]


@pytest.fixture(autouse=True)
def plain(monkeypatch, tmp_path):
    monkeypatch.delenv("SCIML_DEBUG", raising=False)
    monkeypatch.chdir(tmp_path)


def run(*words):
    return main(["simulate", "smoke", *QUICK, *map(str, words)])


def complaint(capsys, *words):
    """The one line on standard error of a command that fails with exit code 2."""
    capsys.readouterr()
    assert run(*words) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("sciml:")]
    assert len(lines) == 1
    return lines[0]


def tetrahedron(path, faces=((0, 2, 1), (0, 1, 3), (1, 2, 3), (0, 3, 2))):
    points = [[0.0, 0.0, 0.0], [90.0, 0.0, 0.0], [0.0, 90.0, 0.0], [0.0, 0.0, 90.0]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MeshFileWarning)  # STL has no numbers of points
        write_mesh(path, Mesh(points, {"triangle": list(faces)}))
    return path


def test_a_run_leaves_its_fields_figure_film_and_numbers(tmp_path, capsys):
    assert run("--steps", 6, "--video", "out.gif", "-o", "run", "--solver", "dcdm") == 0
    printed = " ".join(capsys.readouterr().out.split())
    for words in ("6 steps", "pressure set-up", "velocity", "pressure by dcdm", "largest h |div u|", "film in out.gif"):
        assert words in printed
    with h5py.File(tmp_path / "run" / "fields.h5") as file:
        assert file["velocity_x"].shape == (1, 17, 16)
        assert file["density"].shape == file["pressure"].shape == file["cells"].shape == (1, 16, 16)
        assert file["cells"][()].min() == 0  # the ball
        assert float(file["time"][()]) == pytest.approx(0.3)
    with (tmp_path / "run" / "steps.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == [str(k) for k in range(1, 7)]
    assert all(float(row["outflow"]) <= float(row["allowed"]) for row in rows)
    with Image.open(tmp_path / "out.gif") as film:
        assert film.n_frames == 4  # the start, and every second step
        assert film.size == (384, 384)
    with Image.open(tmp_path / "run" / "figure.png") as figure:
        assert np.asarray(figure).std() > 10
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["settings"]["solver"] == "dcdm"
    assert not list(tmp_path.rglob("*.tmp"))


def test_going_on_gives_the_run_that_was_not_interrupted(tmp_path, capsys):
    """S_8 = S_5 after S_3, bit by bit."""
    assert run("--steps", 8, "-o", "whole") == 0
    assert run("--steps", 3, "-o", "parts") == 0
    assert run("--steps", 8, "-o", "parts") == 0
    assert "goes on after step 3" in capsys.readouterr().err
    whole, parts = (read_tensors(tmp_path / name / "checkpoint.safetensors") for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    for name in whole.keys() - {"rows"}:
        assert torch.equal(whole[name], parts[name]), name
    exact = len(PARTS)
    assert torch.equal(whole["rows"][:, :-exact], parts["rows"][:, :-exact])
    with h5py.File("whole/fields.h5") as one, h5py.File("parts/fields.h5") as other:
        assert all(np.array_equal(one[name], other[name]) for name in one)


def test_an_interrupted_run_goes_on_from_its_last_checkpoint(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sciml.commands.simulate.SECONDS", 0.0)
    step, count = Row.of.__func__, iter(range(5))

    def interrupting(cls, *given):
        if next(count) == 4:
            raise KeyboardInterrupt
        return step(cls, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Row, "of", classmethod(interrupting))
        assert run("--steps", 8, "-o", "run") == 130
    assert "the same command goes on where it stopped" in capsys.readouterr().err
    assert not (tmp_path / "run" / "figure.png").exists()
    assert run("--steps", 8, "-o", "run") == 0
    assert "goes on after step 4" in capsys.readouterr().err


def test_a_finished_run_is_drawn_again_without_a_step(tmp_path, capsys):
    assert run("--steps", 2, "-o", "run") == 0
    before = (tmp_path / "run" / "checkpoint.safetensors").read_bytes()
    assert run("--steps", 2, "-o", "run", "--fields", "vti", "--video", "again.gif") == 0
    assert (tmp_path / "run" / "checkpoint.safetensors").read_bytes() == before
    image = pyvista.read(tmp_path / "run" / "fields.vti")
    with h5py.File("run/fields.h5") as file:
        density, u = file["density"][0], file["velocity_x"][0]
    np.testing.assert_array_equal(image.cell_data["density"].reshape(16, 16), density.T)
    np.testing.assert_allclose(image.cell_data["velocity"][:, 0].reshape(16, 16), ((u[1:] + u[:-1]) / 2).T)
    np.testing.assert_array_equal(image.cell_data["pressure"].shape, (256,))


def test_other_settings_need_another_folder_or_overwrite(tmp_path, capsys):
    assert run("--steps", 1, "-o", "run") == 0
    assert "solver was 'mgcg', now 'cg'): give --overwrite" in complaint(capsys, "--solver", "cg", "-o", "run")
    assert run("--steps", 1, "-o", "run", "--solver", "cg", "--overwrite") == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["settings"]["solver"] == "cg"


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_named_solver_can_be_had(name):
    """The name on the command line stands for a solver of this tolerance, in both dimensions."""
    for dimension in (2, 3):
        assert pressure_method(name, 1e-7, dimension).solver.rtol == 1e-7


def test_a_surface_from_a_file_stands_in_the_plume(tmp_path):
    """A tetrahedron with edges of 90 is fitted into the box: cells inside it are solid."""
    path = tetrahedron(tmp_path / "obstacle.stl")
    words = [
        "simulate",
        "smoke",
        "--resolution",
        "12",
        "--dimension",
        "3",
        "--steps",
        "2",
        "--obstacle-size",
        "0.6",
        "-o",
        "run",
        "--obstacle",
    ]
    assert main([*words, str(path)]) == 0
    with h5py.File("run/fields.h5") as file:
        cells = file["cells"][0]
    centres = np.stack(np.meshgrid(*[(np.arange(12) + 0.5) / 12 - 0.2] * 3, indexing="ij"))
    np.testing.assert_array_equal(cells == 0, (centres > 0).all(0) & (centres.sum(0) < 0.6))


def test_a_fitted_surface_has_its_size_and_place(tmp_path):
    """max extent = size, middle = (1/2, 1/2, 1/2)."""
    mesh = Mesh([[1.0, 2.0, 3.0], [5.0, 2.0, 3.0], [1.0, 4.0, 3.0], [1.0, 2.0, 4.0]], {"triangle": [[0, 1, 2]]})
    points = fitted(mesh, 0.4).points
    np.testing.assert_allclose(points.max(0) - points.min(0), [0.4, 0.2, 0.1])
    np.testing.assert_allclose(points.max(0) + points.min(0), 1.0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--solver", "magic"], "--solver magic: unknown; there are cg,"),
        (["--obstacle", "bunny.stl"], "--obstacle bunny.stl: no such file; none, ball or a mesh file"),
        (["--resolution", "4"], "resolution 4: at least 8"),
        (["--tolerance", "1e-20"], "rtol = 1e-20"),
        (["--dt", "-1"], "largest = -1"),
        (["--video", "film.avi"], "must end in .mp4 or .gif"),
        (["--video", "nowhere/film.gif"], "nowhere is no folder"),
        (["--dimension", "4"], "'--dimension'"),
        (["--dtype", "float16"], "'--dtype'"),
        (["--confinement", "-1"], "'--confinement'"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(capsys, words, said):
    assert said in complaint(capsys, *words, "--steps", "1", "-o", "run")


def test_surfaces_that_enclose_nothing_are_refused(tmp_path, capsys):
    hole = tetrahedron(tmp_path / "hole.stl", faces=((0, 2, 1), (0, 1, 3), (1, 2, 3)))
    words = ["--dimension", "3", "--obstacle", hole, "-o", "run"]
    said = complaint(capsys, *words)
    assert "hole.stl" in said
    assert "not closed: 3 edges" in said
    assert "give --dimension 3" in complaint(capsys, "--obstacle", hole, "-o", "run")
    assert "--obstacle-size 2" in complaint(capsys, *words, "--obstacle-size", "2")
    (tmp_path / "text.stl").write_text("nothing")
    assert "text.stl" in complaint(capsys, "--dimension", "3", "--obstacle", "text.stl", "-o", "run")


def test_a_folder_of_something_else_is_left_alone(tmp_path, capsys):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "diary.txt").write_text("dear diary")
    assert "not empty, and not of a simulation" in complaint(capsys, "-o", "notes", "--overwrite")
    (tmp_path / "file").write_text("")
    assert "file: cannot be made" in complaint(capsys, "-o", "file")


def test_a_damaged_checkpoint_is_named(tmp_path, capsys):
    assert run("--steps", 1, "-o", "run") == 0
    path = tmp_path / "run" / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:200])
    assert "checkpoint.safetensors: not a safetensors file, or truncated" in complaint(capsys, "-o", "run")


def test_an_mp4_needs_ffmpeg_and_says_so_at_once(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "an .mp4 needs the program ffmpeg: install it, or ask for a .gif" in complaint(capsys, "--video", "out.mp4")
    assert not (tmp_path / "runs").exists()


def test_an_mp4_is_made_of_raw_pixels_by_ffmpeg(monkeypatch, tmp_path):
    """Ffmpeg is given frames of even size on its standard input; what it writes takes the place of the target."""
    program = tmp_path / "ffmpeg"
    program.write_text('#!/bin/sh\nfor last; do :; done\n(echo "$@"; wc -c) > "$last"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    check_film(tmp_path / "film.mp4")
    write_film(tmp_path / "film.mp4", [np.zeros((15, 13, 3), np.uint8)] * 3)
    arguments, size = (tmp_path / "film.mp4").read_text().splitlines()
    assert "-s 338x390" in arguments
    assert int(size) == 338 * 390 * 3 * 3


def test_a_journal_keeps_its_columns_apart():
    row = Row(*(float(k) for k in range(12)))
    journal = Journal.empty((2, 2)).with_row(row).with_row(row).with_frame(torch.ones(2, 2))
    assert journal.column("mass").tolist() == [6.0, 6.0]
    assert journal.seconds() == dict(zip(PARTS, (14.0, 16.0, 18.0, 20.0, 22.0), strict=True))
    assert journal.to_csv().splitlines()[1].startswith("1,0,1,2,3,")


def test_settings_pose_the_flow_that_they_name():
    options = {"resolution": 16, "dimension": 2, "confinement": 2.0, "viscosity": 0.01, "dtype": "float32"}
    simulation = PlumeSettings(**options, tolerance=1e-4, advection="semi-lagrangian").simulation()
    flow = simulation.flow
    assert [type(force).__name__ for force in flow.forces] == ["Buoyancy", "VorticityConfinement"]
    assert flow.momentum.viscosity.viscosity == 0.01
    assert type(flow.carrier).__name__ == "SemiLagrangian"
    simulation.step(0.05)
    assert simulation.state.density.dtype == torch.float32
    assert obstacle_bodies("ball", 3, 0.3)[0].shape.radius == 0.1
