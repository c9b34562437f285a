"""What a whole command leaves behind when it is stopped, has no room, meets another one, or is given hostile files."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from sciml.cli import main
from sciml.errors import RunError
from sciml.files import read_tensors, write_tensors
from sciml.run_lock import RunLock
from sciml.runs import Run

SMALL = ["--problem-set", "resolution=16", "--samples", "16", "--test-samples", "2", "--baselines", "none"]
LEARNER = ["--learner", "unet", "--set", "channels=4", "--set", "depth=1", "--training-set", "batch_size=4"]
TRAIN = ["run", "darcy", *LEARNER, *SMALL]


class Trap:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def complaint(capsys, arguments, code=2):
    """The one line that a failing command writes."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == code
    written = capsys.readouterr().err
    assert "Traceback" not in written
    (line,) = [line for line in written.splitlines() if line.startswith("sciml: ")]
    return line


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCIML_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("SCIML_DEBUG", raising=False)
        yield


@pytest.fixture(scope="module")
def trained(cache, tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs") / "darcy"
    assert main([*TRAIN, "--steps", "6", "-o", str(directory)]) == 0
    assert main(["generate", "darcy", "--set", "resolution=16", "--count", "2", "-o", f"{directory}.h5"]) == 0
    return directory


def started(*arguments):
    command = [sys.executable, "-m", "sciml", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_run_that_is_asked_to_stop_goes_on_later(cache, tmp_path, capsys, number):
    """The steps are more than anybody waits for: only a signal ends it."""
    command = [*TRAIN, "--steps", "100000", "--training-set", "checkpoint_seconds=0", "-o", tmp_path / "run"]
    process = started(*command)
    while process.poll() is None and not list(tmp_path.glob("run/**/checkpoint*.safetensors")):
        time.sleep(0.02)
    with pytest.raises(RunError, match="another process is writing this run"):
        RunLock.of(tmp_path / "run")
    assert "another process is writing this run" in complaint(capsys, command)
    process.send_signal(number)
    _, words = process.communicate(timeout=120)
    assert process.returncode == 128 + number, words
    assert "Traceback" not in words
    assert Run.open(tmp_path / "run").begun
    assert RunLock.of(tmp_path / "run")
    (checkpoint,) = tmp_path.glob("run/**/checkpoint*.safetensors")
    assert read_tensors(checkpoint)


def test_a_directory_is_locked_as_long_as_somebody_writes(tmp_path):
    one = Run.create(tmp_path / "run", {"learner": "fno"})
    again = Run.create(tmp_path / "run", {"learner": "fno"})  # the same process may
    assert one.lock is again.lock
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["config.yaml"]
    ask = f"from sciml.runs import Run; Run.create({str(tmp_path / 'run')!r}, {{'learner': 'fno'}})"
    refused = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=False)
    assert "another process is writing this run" in refused.stderr
    del one, again
    subprocess.run([sys.executable, "-c", ask], check=True)


WITHOUT_ROOM = """
import resource, sys
from sciml.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs file size limits")
@pytest.mark.parametrize("command", ["generate", "run", "predict"])
def test_a_disk_without_room_costs_one_line_and_leaves_nothing_half_written(trained, tmp_path, command):
    arguments = {
        "generate": ["generate", "darcy", "--set", "resolution=16", "--count", "40", "-o", tmp_path / "d.h5"],
        "run": [*TRAIN, "--seed", "1", "--steps", "2", "-o", tmp_path / "run"],
        "predict": ["predict", trained, "--input", f"{trained}.h5", "-o", tmp_path / "answer.npz"],
    }[command]
    code = [sys.executable, "-c", WITHOUT_ROOM, *map(str, arguments)]
    done = subprocess.run(code, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("sciml: ")]) == 1
    left = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert not left & {".tmp", ".h5", ".npz", ".safetensors", ".html", ".png"}  # what is small fits whole
    assert main([str(argument) for argument in arguments]) == 0


@pytest.mark.parametrize("name", ["weights.safetensors", "learner.json", "config.yaml", "history.csv"])
def test_a_pickle_in_the_place_of_a_file_is_refused(trained, tmp_path, capsys, name):
    copy, mark = tmp_path / "run", tmp_path / "executed"
    shutil.copytree(trained, copy)
    (copy / name).write_bytes(pickle.dumps(Trap(mark)))
    command = ["report", copy] if name == "history.csv" else ["evaluate", copy]
    assert name in complaint(capsys, command)
    assert not mark.exists()


def test_a_pickled_input_is_refused(trained, tmp_path, capsys):
    mark = tmp_path / "executed"
    np.save(tmp_path / "in.npy", np.array([Trap(mark)], dtype=object), allow_pickle=True)
    (tmp_path / "in.pt").write_bytes(pickle.dumps(Trap(mark)))
    for name in ("in.npy", "in.pt"):
        command = ["predict", trained, "--input", tmp_path / name, "-o", tmp_path / "out.npz"]
        assert name in complaint(capsys, command)
        assert not mark.exists()


@pytest.mark.parametrize("place", [80, -5], ids=["header", "values"])
def test_a_changed_byte_of_weights_is_noticed_by_their_checksum(trained, tmp_path, place):
    path = tmp_path / "weights.safetensors"
    content = bytearray((trained / path.name).read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"weights\.safetensors"):
        read_tensors(path)


def test_a_changed_number_in_a_description_is_noticed_by_its_checksum(trained, tmp_path, capsys):
    copy = tmp_path / "run"
    shutil.copytree(trained, copy)
    text = (copy / "learner.json").read_text()
    (copy / "learner.json").write_text(text.replace('"factors": 5', '"factors": 7'))
    assert "learner.json: its checksum does not match" in complaint(capsys, ["evaluate", copy])


def test_a_weights_file_reached_by_a_link_is_left_alone(trained, tmp_path):
    """Writing replaces the link, never what it points to."""
    target = tmp_path / "elsewhere.safetensors"
    write_tensors(target, read_tensors(trained / "weights.safetensors"))
    before = target.read_bytes()
    (tmp_path / "weights.safetensors").symlink_to(target)
    write_tensors(tmp_path / "weights.safetensors", {})
    assert target.read_bytes() == before
    assert read_tensors(tmp_path / "weights.safetensors") == {}


@pytest.mark.parametrize("name", ["../../escaped", "/tmp/escaped", "a/../b"])
def test_names_of_learners_are_no_paths(cache, tmp_path, capsys, name):
    words = complaint(capsys, ["run", "darcy", "--baselines", name, "-o", tmp_path / "run"])
    assert f"unknown learner {name!r}" in words
    assert not (tmp_path / "run").exists()
