"""``sciml mesh``: what it prints and writes, its exit codes, and one line for whatever is wrong."""

import numpy as np
import pytest

from meshes import Mesh, read_mesh, write_mesh
from sciml.cli import main


@pytest.fixture
def square(tmp_path):
    """Two triangles with a field, a set and boundary lines."""
    mesh = Mesh(
        [[0.0, 0.0], [2.0, 0.0], [2.0, 1.0], [0.0, 1.0]],
        {"line": [[0, 1]], "triangle": [[0, 1, 2], [0, 2, 3]]},
        {"u": np.arange(4.0)},
        {"k": {"triangle": np.array([1.0, 2.0])}},
        node_sets={"left": np.array([0, 3])},
    )
    write_mesh(tmp_path / "square.vtu", mesh)
    return tmp_path / "square.vtu"


@pytest.fixture
def broken(tmp_path):
    """One triangle turned over, and a point that nothing uses."""
    points = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [9.0, 9.0]]
    write_mesh(tmp_path / "broken.vtu", Mesh(points, {"triangle": [[0, 1, 2], [0, 3, 2]]}))
    return tmp_path / "broken.vtu"


def complaint(capsys, arguments):
    """The one line on standard error of a command that fails with exit code 2."""
    assert main([str(a) for a in arguments]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("sciml:")]
    assert len(lines) == 1
    return lines[0]


def test_info_says_what_there_is(square, capsys):
    assert main(["mesh", "info", str(square)]) == 0
    printed = capsys.readouterr().out
    for words in ("4 points in 2-D", "2 triangle", "u (4,)", "left", "[0, 2] × [0, 1]", "area: 2", "scaled Jacobian"):
        assert words in printed


def test_a_sound_mesh_is_called_so_and_a_broken_one_is_not(square, broken, capsys):
    assert main(["mesh", "check", str(square)]) == 0
    assert "is sound" in capsys.readouterr().out
    assert main(["mesh", "check", str(broken)]) == 2
    told = capsys.readouterr()
    assert "1 inverted triangle cells: 1" in told.out
    assert "1 points that no cell uses: 4" in told.out
    assert "2 kinds of defects" in told.err


def test_repair_mends_and_says_what(broken, tmp_path, capsys):
    assert main(["mesh", "convert", str(broken), str(tmp_path / "mended.vtu"), "--repair"]) == 0
    assert "found: 1 inverted" in capsys.readouterr().err
    assert main(["mesh", "check", str(tmp_path / "mended.vtu")]) == 0


def test_convert_keeps_what_the_format_holds_and_tells_what_it_does_not(square, tmp_path, capsys):
    assert main(["mesh", "convert", str(square), str(tmp_path / "copy.vtk")]) == 0
    assert read_mesh(tmp_path / "copy.vtk") == read_mesh(square)
    capsys.readouterr()
    assert main(["mesh", "convert", str(square), str(tmp_path / "copy.stl")]) == 0
    told = capsys.readouterr().err
    assert "u" in told
    assert "left" in told


@pytest.mark.parametrize("field", [[], ["--field", "u"], ["--field", "k"]], ids=" ".join)
def test_pictures_and_scenes_are_written(square, tmp_path, field):
    for name, head in {"a.png": b"\x89PNG", "a.html": b"<html"}.items():
        assert main(["mesh", "plot", str(square), "-o", str(tmp_path / name), *field]) == 0
        assert head in (tmp_path / name).read_bytes()[:100]


def test_bad_input_is_one_line(square, tmp_path, capsys):
    (tmp_path / "cut.vtu").write_bytes(square.read_bytes()[:200])
    for arguments, words in [
        (["info", tmp_path / "none.vtu"], "none.vtu"),
        (["check", tmp_path / "cut.vtu"], "cut.vtu"),
        (["convert", square, tmp_path / "a.xyz9"], "a.xyz9"),
        (["plot", square, "-o", tmp_path / "a.gif"], ".png or .html"),
        (["plot", square, "-o", tmp_path / "a.png", "--field", "w"], "there are: u, k"),
    ]:
        assert words in complaint(capsys, ["mesh", *arguments])
    assert not (tmp_path / "a.png").exists()


def test_the_bare_command_lists_its_parts(capsys):
    main(["mesh"])
    printed = "".join(capsys.readouterr())
    for name in ("info", "check", "convert", "plot"):
        assert name in printed
