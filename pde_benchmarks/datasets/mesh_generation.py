"""Generate sets of solved meshes, several at a time, that are the same bytes however the work was done."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes import Mesh, MeshFileError, MeshSet, mesh_set_writer, open_meshes, write_meshes
from pde_benchmarks.datasets.container import package_version
from pde_benchmarks.datasets.parts import cache_directory, digest, open_parts, require_same, seed_of
from pde_benchmarks.errors import DatasetError
from pde_benchmarks.mesh_problem import MeshProblem
from pde_benchmarks.registry import describe_problem
from solvers.errors import ScimlError

__all__ = ["cached_meshes", "generate_meshes"]

Array = NDArray[Any]
Progress = Callable[[int, int], None]

#: Version of what the files hold and of how samples follow from the seed.
_LAW = 1
#: How numerical libraries are told to use one thread; they read it when they are loaded.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS")


def generate_meshes(
    problem: MeshProblem,
    count: int,
    seed: int,
    path: Path | str,
    workers: int | None = None,
    progress: Progress | None = None,
) -> MeshSet:
    """Mesh and solve the first ``count`` designs of a seed, and write the set to ``path``.

    Each sample has a seed of its own, a hash of ``seed`` and its number, and is saved in ``PATH.parts/`` as soon as it
    is solved. Killed at any moment and called again, this goes on from there and ends with the same bytes as an
    uninterrupted call, whatever the number of workers. If ``path`` already holds exactly this set it is opened and
    returned.

    The workers are processes of one thread each. A script that calls this must do so under
    ``if __name__ == "__main__":``, as every worker loads the script, too.

    Parameters
    ----------
    problem
        What to mesh and solve.
    count
        Number of samples.
    seed
        Any whole number.
    path
        The HDF5 file to write.
    workers
        Samples made at a time; by default as many as there are processors.
    progress
        Called with (samples done, samples wanted) after every sample.

    Returns
    -------
    MeshSet
        With the units of fields and scalars; its notes "problem" (JSON), "seed" and "fingerprint" say what made it.

    Raises
    ------
    DatasetError
        If ``path`` or its parts belong to another set, or a sample cannot be made; the message names its design.
    MeshFileError
        If ``path`` is another file, or the disk is full.
    """
    path = Path(path)
    if count < 1 or (workers is not None and workers < 1):
        raise DatasetError(f"{path}: {count} samples by {workers} workers: both must be at least 1.")
    fingerprint = _fingerprint(problem, count, seed)
    if path.exists():
        found = open_meshes(path)
        require_same(path, found.notes.get("fingerprint", "none"), fingerprint)
        return found
    parts = path.with_name(path.name + ".parts")
    open_parts(parts, fingerprint)
    _make_missing(problem, problem.designs(count, seed), seed, parts, workers or _processors(), progress)
    notes = {"problem": json.dumps(describe_problem(problem)), "seed": str(seed), "fingerprint": fingerprint}
    units = {spec.name: spec.unit for spec in (*problem.inputs, *problem.outputs)}
    with mesh_set_writer(path, units, notes=notes) as writer:
        for index in range(count):
            writer.append(open_meshes(_part(parts, index))[0])
    shutil.rmtree(parts, ignore_errors=True)
    return open_meshes(path)


def cached_meshes(
    problem: MeshProblem,
    count: int,
    seed: int,
    cache_dir: Path | str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> MeshSet:
    """`generate_meshes` into the cache, or open there what an earlier call generated.

    The file's name carries the problem's name and a hash of its configuration, ``count``, ``seed`` and the version of
    the package. A damaged file is generated again.
    """
    folder = Path(cache_dir) if cache_dir is not None else cache_directory()
    key = digest(_fingerprint(problem, count, seed), package_version())[:12]
    path = folder / f"{problem.name}-{count}-seed{seed}-{key}.h5"
    if path.exists():
        try:
            return open_meshes(path)
        except MeshFileError:
            path.unlink()
    return generate_meshes(problem, count, seed, path, workers, progress)


def make_sample(problem: MeshProblem, design: Array, index: int, seed: int) -> Mesh:
    """Sample ``index`` of a seed: meshed, solved, and checked to hold what the problem promises.

    Raises
    ------
    DatasetError
        Something failed; the message names the design.
    """
    try:
        solved = problem.solve(problem.part(design, seed_of("mesh", seed, index)))
        _require_complete(problem, solved)
    except ScimlError as error:
        values = ", ".join(f"{p.name} = {value:.6g}" for p, value in zip(problem.parameters, design, strict=True))
        raise DatasetError(f"{problem.name}, sample {index} of seed {seed} ({values}): {error}") from error
    return solved


def _make_missing(
    problem: MeshProblem, designs: Array, seed: int, parts: Path, workers: int, progress: Progress | None
) -> None:
    """Save all samples that are not saved yet."""
    missing = [index for index in range(len(designs)) if not _is_whole(_part(parts, index))]
    done = len(designs) - len(missing)
    if progress is not None and done:
        progress(done, len(designs))
    if not missing:
        return
    with _pool(min(workers, len(missing))) as pool, _single_threaded():
        jobs = [pool.submit(_save_sample, problem, designs[i], i, seed, _part(parts, i)) for i in missing]
        try:
            for job in as_completed(jobs):
                job.result()
                done += 1
                if progress is not None:
                    progress(done, len(designs))
        except BrokenProcessPool as error:
            raise DatasetError(
                f"{parts}: a worker ended without a word: out of memory, killed, or started by a script that calls "
                "generate_meshes outside of `if __name__ == '__main__':`. Mend that, or lower the workers; what is "
                "done is kept."
            ) from error
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _save_sample(problem: MeshProblem, design: Array, index: int, seed: int, part: Path) -> None:
    """What a worker does."""
    write_meshes(part, [make_sample(problem, design, index, seed)])


def _require_complete(problem: MeshProblem, mesh: Mesh) -> None:
    count = len(mesh.points)
    for name in problem.fields:
        values = mesh.point_field(name)
        if values.shape != (count,) or not np.isfinite(values).all():
            raise DatasetError(f"field {name!r} of shape {values.shape}: expected {count} finite numbers.")
    given = [p.name for p in problem.parameters if p.is_given]
    for name in (*given, *problem.scalars):
        number = mesh.global_data.get(name)
        if number is None or number.size != 1 or not np.isfinite(number).all():
            raise DatasetError(f"scalar {name!r} is {number}: expected one finite number.")
    for name in problem.landmarks:
        if len(mesh.node_set(name)) != 1:
            raise DatasetError(f"landmark {name!r} has {len(mesh.node_set(name))} nodes: expected one.")


def _fingerprint(problem: MeshProblem, count: int, seed: int) -> str:
    return digest(describe_problem(problem), count, seed, _LAW)


def _part(parts: Path, index: int) -> Path:
    return parts / f"{index:06d}.h5"


def _is_whole(part: Path) -> bool:
    try:
        return part.exists() and len(open_meshes(part)[:]) == 1
    except MeshFileError:
        return False


def _pool(workers: int) -> ProcessPoolExecutor:
    # Processes even for one worker: this one's libraries may run several threads, whose sums differ in the last digit.
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Processes that start in this block run one thread each."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        _restore(before)


def _restore(variables: dict[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _processors() -> int:
    affinity: Callable[[int], Sequence[int]] | None = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
