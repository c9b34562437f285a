"""Sets of meshes are the same bytes whoever makes them and however often they stop, and never mix configurations."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mesh_families import Rods

import pde_benchmarks
from meshes import MeshFileError, write_meshes
from pde_benchmarks.datasets import cached_meshes, generate_meshes
from pde_benchmarks.datasets.mesh_generation import make_sample
from pde_benchmarks.datasets.parts import seed_of
from pde_benchmarks.elasticity import NotchedPlate
from pde_benchmarks.errors import DatasetError

HOME = Path(pde_benchmarks.__file__).resolve().parent.parent


def stop_after(count: int):
    def progress(done: int, total: int) -> None:
        if done == count:
            raise KeyboardInterrupt

    return progress


def test_the_set_holds_every_sample_with_units_and_origin(tmp_path):
    """Sample i is that of the i-th design and its own seed; workers run one thread each."""
    (tmp_path / "log").mkdir()
    problem, seen = Rods(log=str(tmp_path / "log")), []
    before = dict(os.environ)
    found = generate_meshes(problem, 5, 3, tmp_path / "new" / "rods.h5", workers=2, progress=lambda *c: seen.append(c))
    assert dict(os.environ) == before
    assert seen == [(i + 1, 5) for i in range(5)]
    designs = problem.designs(5, 3)
    for i, mesh in enumerate(found):
        assert mesh == make_sample(problem, designs[i], i, seed=3)
        assert mesh == problem.solve(problem.part(designs[i], seed_of("mesh", 3, i)))
    assert len({len(mesh.points) for mesh in found}) > 1
    assert found.units == {"F": "N", "u": "mm", "w": "mm"}
    assert json.loads(found.notes["problem"])["name"] == "rods"
    assert found.notes["seed"] == "3"
    np.testing.assert_array_equal(found.scalars["F"], designs[:, 1])
    assert not (tmp_path / "new" / "rods.h5.parts").exists()
    assert {path.name.split("-")[1] for path in (tmp_path / "log").iterdir()} >= {"1"}


def test_the_bytes_do_not_depend_on_workers_or_interruptions(tmp_path):
    """Stopped, damaged, continued by more workers: what is whole is kept, the bytes are those of a run in one go."""
    problem = Rods()
    with pytest.raises(KeyboardInterrupt):
        generate_meshes(problem, 6, 0, tmp_path / "a.h5", workers=1, progress=stop_after(3))
    assert not (tmp_path / "a.h5").exists()
    first, *rest = sorted((tmp_path / "a.h5.parts").glob("*.h5"))
    first.write_bytes(first.read_bytes()[:300])
    seen: list[int] = []
    generate_meshes(problem, 6, 0, tmp_path / "a.h5", workers=2, progress=lambda done, total: seen.append(done))
    assert len(rest) >= 2
    assert seen == list(range(len(rest), 7))
    generate_meshes(problem, 6, 0, tmp_path / "b.h5", workers=1)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


@pytest.mark.slow
def test_a_plate_is_the_same_in_one_process_and_in_two(tmp_path):
    """The real solver, its sums and factors included."""
    for workers in (1, 2):
        generate_meshes(NotchedPlate(size=0.1), 2, 0, tmp_path / f"{workers}.h5", workers=workers)
    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "2.h5").read_bytes()


GENERATE = """
import sys
sys.path[:0] = [{home!r}, {here!r}]
from mesh_families import Rods
from pde_benchmarks.datasets import generate_meshes
if __name__ == "__main__":
    generate_meshes(Rods(seconds=0.2), 8, 5, {path!r}, workers=2, progress=lambda done, total: print(done, flush=True))
"""


@pytest.mark.slow
def test_a_killed_process_goes_on_where_it_stopped(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(GENERATE.format(home=str(HOME), here=str(Path(__file__).parent), path=str(tmp_path / "d.h5")))
    running = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    assert running.stdout.readline() == "1\n"
    running.send_signal(signal.SIGKILL)
    running.wait()
    running.stdout.close()
    assert len(list((tmp_path / "d.h5.parts").glob("*.h5"))) >= 1
    problem = Rods(seconds=0.2)
    seen: list[int] = []
    generate_meshes(problem, 8, 5, tmp_path / "d.h5", workers=1, progress=lambda done, total: seen.append(done))
    assert seen[-1] == 8
    assert len(seen) <= 8
    generate_meshes(problem, 8, 5, tmp_path / "whole.h5", workers=2)
    assert (tmp_path / "d.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


@pytest.mark.parametrize(
    "other", [{"problem": Rods(nodes=9)}, {"count": 3}, {"seed": 1}], ids=lambda other: next(iter(other))
)
def test_another_configuration_never_continues(tmp_path, other):
    """Neither parts nor a whole file of something else are taken for this set."""
    wanted = {"problem": Rods(), "count": 2, "seed": 0}
    note = tmp_path / "d.h5.parts" / "fingerprint"
    note.parent.mkdir()
    note.write_text("of something else")
    with pytest.raises(DatasetError, match="remove it or choose another name"):
        generate_meshes(**(wanted | other), path=tmp_path / "d.h5")
    write_meshes(tmp_path / "e.h5", [Rods().part(np.array([1.0, 3.0]), 0)])
    with pytest.raises(DatasetError, match="remove it or choose another name"):
        generate_meshes(**(wanted | other), path=tmp_path / "e.h5")
    (tmp_path / "f.h5").write_text("no mesh")
    with pytest.raises(MeshFileError):
        generate_meshes(**(wanted | other), path=tmp_path / "f.h5")


def test_the_cache_solves_once_and_mends_itself(tmp_path, monkeypatch):
    """What is there is opened, by either verb; a damaged file is made again."""
    monkeypatch.setenv("SCIML_CACHE", str(tmp_path / "cache"))
    first = cached_meshes(Rods(), 1, 0, workers=1)
    meshes = list(first)
    with monkeypatch.context() as patch:
        patch.setattr("pde_benchmarks.datasets.mesh_generation._pool", None)  # nothing may be made any more
        assert list(cached_meshes(Rods(), 1, 0)) == meshes
        assert list(generate_meshes(Rods(), 1, 0, first.path)) == meshes
    assert [path.name.rsplit("-", 1)[0] for path in (tmp_path / "cache").iterdir()] == ["rods-1-seed0"]
    first.path.write_bytes(first.path.read_bytes()[:500])
    assert list(cached_meshes(Rods(), 1, 0, workers=1)) == meshes


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        ("long", "it bends"),
        ("no field", "point field 'u': not in the mesh"),
        ("NaN", r"field 'u' of shape \(\d+,\): expected \d+ finite numbers"),
        ("two", "landmark 'foot' has 2 nodes: expected one"),
    ],
)
def test_a_sample_that_fails_names_its_design(trouble, message):
    problem = Rods(trouble=trouble)
    with pytest.raises(DatasetError, match=rf"rods, sample 4 of seed 7 \(L = 1\.8, F = 4\): {message}"):
        make_sample(problem, np.array([1.8, 4.0]), 4, 7)


def test_failures_in_workers_reach_the_caller_and_keep_what_is_done(tmp_path):
    problem = Rods(trouble="long")
    lengths = problem.designs(6, 0)[:, 0]
    assert (lengths > 1.5).any()
    assert (lengths < 1.5).any()
    with pytest.raises(DatasetError, match=r"rods, sample \d of seed 0 \(L = 1\.\d+, F = .*it bends"):
        generate_meshes(problem, 6, 0, tmp_path / "d.h5", workers=1)
    with pytest.raises(DatasetError, match=r"a worker ended without a word: out of memory"):
        generate_meshes(Rods(trouble="dies"), 2, 0, tmp_path / "e.h5", workers=1)
    assert not (tmp_path / "d.h5").exists()


@pytest.mark.parametrize("wrong", [{"count": 0}, {"workers": 0}])
def test_nothing_to_generate_is_an_error(tmp_path, wrong):
    with pytest.raises(DatasetError, match="both must be at least 1"):
        generate_meshes(**({"problem": Rods(), "count": 2, "seed": 0, "workers": 1} | wrong), path=tmp_path / "d.h5")
