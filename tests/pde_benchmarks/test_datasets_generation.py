"""Generation is the same bytes whether or not it was interrupted, and never mixes two configurations."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Generator

import pde_benchmarks
from pde_benchmarks.darcy import Darcy
from pde_benchmarks.datasets import cached, generate
from pde_benchmarks.datasets.generation import cache_directory, chunk_generator
from pde_benchmarks.errors import DatasetError
from pde_benchmarks.problem import Batch, FieldSpec, Grid, Problem

HOME = Path(pde_benchmarks.__file__).resolve().parent.parent


@dataclass(frozen=True)
class Squares(Problem):
    """u = a², as slowly as one likes."""

    points: int = 8
    seconds: float = 0.0
    name: ClassVar[str] = "squares"

    @property
    def inputs(self) -> tuple[FieldSpec, ...]:
        return (FieldSpec("a", 1, Grid((self.points,))),)

    @property
    def outputs(self) -> tuple[FieldSpec, ...]:
        return (FieldSpec("u", 1, Grid((self.points,))),)

    def sample(self, count: int, generator: Generator) -> Batch:
        return Batch({"a": torch.randn(count, 1, self.points, generator=generator, dtype=torch.float64)})

    def solve(self, inputs: Batch) -> Batch:
        time.sleep(self.seconds)
        return Batch({"u": inputs["a"].square()})


@pytest.fixture
def solved(monkeypatch) -> Iterator[list[int]]:
    """Sizes of the chunks that were solved."""
    sizes: list[int] = []
    solve = Squares.solve

    def counting(self: Squares, inputs: Batch) -> Batch:
        sizes.append(inputs.count)
        return solve(self, inputs)

    monkeypatch.setattr(Squares, "solve", counting)
    return sizes


def test_one_seed_is_one_file(tmp_path):
    for name in ("a", "b"):
        generate(Squares(), 10, seed=3, path=tmp_path / name / "d.h5", chunk=4)
    first, second = ((tmp_path / name / "d.h5").read_bytes() for name in ("a", "b"))
    assert first == second
    assert not (tmp_path / "a" / "d.h5.parts").exists()
    other = generate(Squares(), 10, seed=4, path=tmp_path / "c.h5", chunk=4)
    assert not torch.equal(other.inputs["a"], generate(Squares(), 10, 3, tmp_path / "a" / "d.h5", 4).inputs["a"])


def test_chunks_do_not_depend_on_each_other(tmp_path):
    """Chunk k is the problem's sample from its own generator, whoever draws it and when."""
    data = generate(Squares(), 10, seed=3, path=tmp_path / "d.h5", chunk=4)
    for k in (2, 0, 1):
        rows = slice(4 * k, 4 * k + 4)
        expected = Squares().sample(min(4, 10 - 4 * k), chunk_generator(3, k))["a"]
        assert torch.equal(data.inputs["a"][rows], expected)
    assert torch.equal(data.outputs["u"], data.inputs["a"].square())


def test_progress_counts_samples(tmp_path):
    seen: list[tuple[int, int]] = []
    generate(Squares(), 10, 0, tmp_path / "d.h5", chunk=4, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(4, 10), (8, 10), (10, 10)]


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path, solved):
    """Ctrl-C after two chunks: the second call solves only the third, and the bytes are those of a run in one go."""

    def interrupt(done: int, total: int) -> None:
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(Squares(), 10, 0, tmp_path / "d.h5", chunk=4, progress=interrupt)
    assert not (tmp_path / "d.h5").exists()
    generate(Squares(), 10, 0, tmp_path / "d.h5", chunk=4)
    assert solved == [4, 4, 2]
    generate(Squares(), 10, 0, tmp_path / "whole" / "d.h5", chunk=4)
    assert (tmp_path / "d.h5").read_bytes() == (tmp_path / "whole" / "d.h5").read_bytes()


GENERATE = """
import sys
sys.path[:0] = [{home!r}, {here!r}]
from test_datasets_generation import Squares
from pde_benchmarks.datasets import generate
generate(Squares(seconds={seconds}), 12, 5, {path!r}, chunk=2, progress=lambda done, total: print(done, flush=True))
"""


def test_a_killed_process_resumes_to_the_same_bytes(tmp_path):
    here = str(Path(__file__).parent)
    code = GENERATE.format(home=str(HOME), here=here, seconds=0.2, path=str(tmp_path / "d.h5"))
    running = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    assert running.stdout.readline() == "2\n"
    running.send_signal(signal.SIGKILL)
    running.wait()
    running.stdout.close()
    kept = sorted(part.name for part in (tmp_path / "d.h5.parts").glob("*.safetensors"))
    assert "000000.safetensors" in kept
    assert not (tmp_path / "d.h5").exists()
    generate(Squares(seconds=0.2), 12, 5, tmp_path / "d.h5", chunk=2)
    generate(Squares(seconds=0.2), 12, 5, tmp_path / "whole" / "d.h5", chunk=2)
    assert (tmp_path / "d.h5").read_bytes() == (tmp_path / "whole" / "d.h5").read_bytes()


def test_a_damaged_part_is_made_again(tmp_path):
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(Squares(), 10, 0, tmp_path / "d.h5", chunk=4, progress=interrupt)
    part = tmp_path / "d.h5.parts" / "000000.safetensors"
    part.write_bytes(part.read_bytes()[:100])
    data = generate(Squares(), 10, 0, tmp_path / "d.h5", chunk=4)
    assert torch.equal(data.inputs["a"][:4], Squares().sample(4, chunk_generator(0, 0))["a"])


@pytest.mark.parametrize(
    "other",
    [{"problem": Squares(points=9)}, {"count": 11}, {"seed": 1}, {"chunk": 5}],
    ids=lambda other: next(iter(other)),
)
def test_another_configuration_never_continues_these_parts(tmp_path, other):
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    wanted = {"problem": Squares(), "count": 10, "seed": 0, "path": tmp_path / "d.h5", "chunk": 4}
    with pytest.raises(KeyboardInterrupt):
        generate(**wanted, progress=interrupt)
    with pytest.raises(DatasetError, match="remove it or choose another name"):
        generate(**(wanted | other))
    generate(**wanted)
    with pytest.raises(DatasetError, match="remove it or choose another name"):
        generate(**(wanted | other))


def test_solutions_that_are_not_finite_are_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(Squares, "solve", lambda self, inputs: Batch({"u": inputs["a"] / 0}))
    with pytest.raises(DatasetError, match="NaN or infinity in 4 of 4 samples"):
        generate(Squares(), 4, 0, tmp_path / "d.h5")
    assert list((tmp_path / "d.h5.parts").glob("*.safetensors")) == []


def test_nothing_to_generate_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match="at least 1"):
        generate(Squares(), 0, 0, tmp_path / "d.h5")


def test_the_cache_solves_once(tmp_path, solved):
    first = cached(Squares(), 10, 0, tmp_path)
    again = cached(Squares(), 10, 0, tmp_path)
    assert solved == [10]
    assert torch.equal(first.outputs["u"], again.outputs["u"])
    cached(Squares(points=9), 10, 0, tmp_path)
    cached(Squares(), 10, 1, tmp_path)
    assert len(list(tmp_path.glob("squares-*.h5"))) == 3


def test_a_damaged_cache_file_is_generated_again(tmp_path, solved):
    first = cached(Squares(), 10, 0, tmp_path)
    (path,) = tmp_path.glob("*.h5")
    path.write_bytes(path.read_bytes()[:1000])
    assert torch.equal(cached(Squares(), 10, 0, tmp_path).outputs["u"], first.outputs["u"])
    assert solved == [10, 10]


def test_the_cache_is_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("SCIML_CACHE", str(tmp_path / "here"))
    assert cache_directory() == tmp_path / "here"
    cached(Squares(), 2, 0)
    assert len(list((tmp_path / "here").glob("*.h5"))) == 1
    monkeypatch.delenv("SCIML_CACHE")
    assert cache_directory() == Path.home() / ".cache" / "sciml"


def test_darcy_is_generated_with_its_own_solver(tmp_path):
    data = generate(Darcy(resolution=16), 5, 0, tmp_path / "darcy.h5", chunk=3)
    assert data.problem.residual(data.inputs, data.outputs)["solution"].abs().max() < 1e-6
    assert data.check() == []
