"""Generate data sets that are the same bytes however often the work was interrupted."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Generator, Tensor

from pde_benchmarks.datasets.atomic import replacing
from pde_benchmarks.datasets.container import (
    SCHEMA,
    package_version,
    read_attributes,
    read_dataset_file,
    write_dataset,
)
from pde_benchmarks.datasets.dataset import Dataset
from pde_benchmarks.datasets.parts import cache_directory, digest, open_parts, require_same, seed_of
from pde_benchmarks.errors import DatasetError
from pde_benchmarks.problem import Batch, Problem
from pde_benchmarks.registry import describe_problem

__all__ = ["Progress", "cache_directory", "cached", "generate"]

Progress = Callable[[int, int], None]


def generate(
    problem: Problem, count: int, seed: int, path: Path | str, chunk: int = 32, progress: Progress | None = None
) -> Dataset:
    """Draw ``count`` inputs, solve them, and write the data set to ``path``.

    The k-th chunk comes from a random generator seeded by a hash of ``seed`` and k, and is saved in ``PATH.parts/`` as
    soon as it is solved. Killed at any moment and called again, this goes on from there and ends with the same bytes
    as an uninterrupted call. If ``path`` already holds exactly this data set it is read and returned.

    Parameters
    ----------
    problem
        What to draw and solve.
    count
        Number of samples.
    seed
        Any whole number.
    path
        The HDF5 file to write.
    chunk
        Samples drawn and solved at a time; another chunk size draws other samples.
    progress
        Called with (samples done, samples wanted) after every chunk.

    Raises
    ------
    DatasetError
        If ``path`` or its parts belong to another data set, a solution is not finite, or the disk is full.

    Examples
    --------
    >>> import tempfile
    >>> from pde_benchmarks.darcy import Darcy
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     generate(Darcy(resolution=16), count=4, seed=0, path=f"{folder}/darcy.h5").count
    4
    """
    path = Path(path)
    if count < 1 or chunk < 1:
        raise DatasetError(f"{path}: {count} samples in chunks of {chunk}: both must be at least 1.")
    fingerprint = _fingerprint(problem, count, seed, chunk)
    if path.exists():
        require_same(path, str(read_attributes(path).get("fingerprint")), fingerprint)
        return read_dataset_file(path, problem=problem)
    parts = path.with_name(path.name + ".parts")
    open_parts(parts, fingerprint)
    batches = []
    for start in range(0, count, chunk):
        batches.append(_load_or_make(parts, problem, seed, start // chunk, min(chunk, count - start)))
        if progress is not None:
            progress(min(start + chunk, count), count)
    inputs, outputs = (_joined([batch[side] for batch in batches]) for side in (0, 1))
    dataset = Dataset(problem, inputs, outputs, path.stem)
    write_dataset(path, dataset, seed, fingerprint=fingerprint)
    shutil.rmtree(parts, ignore_errors=True)
    return dataset


def cached(
    problem: Problem, count: int, seed: int, cache_dir: Path | str | None = None, progress: Progress | None = None
) -> Dataset:
    """`generate` into the cache, or read from there what an earlier call generated.

    The file's name carries the problem's name and a hash of its configuration, ``count``, ``seed`` and the version of
    the package. A damaged file is generated again.
    """
    folder = Path(cache_dir) if cache_dir is not None else cache_directory()
    key = digest(describe_problem(problem), count, seed, package_version(), SCHEMA)[:12]
    path = folder / f"{problem.name}-{count}-seed{seed}-{key}.h5"
    if path.exists():
        try:
            return read_dataset_file(path, problem=problem)
        except DatasetError:
            path.unlink()
    return generate(problem, count, seed, path, progress=progress)


def chunk_generator(seed: int, index: int) -> Generator:
    """The random generator of chunk ``index``: independent of every other chunk and of the order they are made in."""
    return torch.Generator().manual_seed(seed_of("chunk", seed, index))


def _fingerprint(problem: Problem, count: int, seed: int, chunk: int) -> str:
    return digest(describe_problem(problem), count, seed, chunk, SCHEMA)


def _load_or_make(parts: Path, problem: Problem, seed: int, index: int, count: int) -> tuple[Batch, Batch]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file, save

    part = parts / f"{index:06d}.safetensors"
    try:
        return _sides(load_file(part))
    except (FileNotFoundError, SafetensorError):
        inputs = problem.sample(count, chunk_generator(seed, index))
        outputs = problem.solve(inputs)
        inputs = Batch({spec.name: inputs[spec.name] for spec in problem.inputs})  # not what only the solver looks at
    Dataset(problem, inputs, outputs, f"{problem.name}, chunk {index} of seed {seed}").check()
    arrays = {f"{side}/{name}": a for side, batch in enumerate((inputs, outputs)) for name, a in batch.items()}
    with replacing(part) as temporary:
        temporary.write_bytes(save({name: array.contiguous() for name, array in arrays.items()}))
    return inputs, outputs


def _sides(arrays: dict[str, Tensor]) -> tuple[Batch, Batch]:
    inputs, outputs = (
        Batch({name[2:]: array for name, array in arrays.items() if name.startswith(f"{side}/")}) for side in (0, 1)
    )
    return inputs, outputs


def _joined(batches: list[Batch]) -> Batch:
    return Batch({name: torch.cat([batch[name] for batch in batches]) for name in batches[0]})
