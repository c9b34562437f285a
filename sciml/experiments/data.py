"""The data of an experiment: generated from its problem, or read from the files people have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from torch import Tensor

from pde_benchmarks.datasets import Dataset, cached, detect_alignment, read_dataset
from pde_benchmarks.errors import DatasetError
from pde_benchmarks.imaging.image_denoising import ImageDenoising
from pde_benchmarks.imaging.image_folder import ReadingOptions, read_images, read_test_images
from pde_benchmarks.problem import Batch, FieldSpec, Grid, Problem, RecordedProblem, Scalars
from pde_benchmarks.registry import configure
from sciml.errors import ConfigurationError
from sciml.experiments.experiment import Experiment, build_problem
from sciml.report import counted

__all__ = [
    "ExperimentData",
    "Silent",
    "Watcher",
    "fields_of",
    "generated",
    "pictured",
    "read_tests",
    "recorded",
    "with_data",
]

# Data belongs to the problem, not to the run: every run and every learner sees the same samples.
TRAINING_SEED, VALIDATION_SEED, TEST_SEED = 0, 1, 2
VALIDATION_SAMPLES = 64
TEST, FINER = "held_out", "double_resolution"

Advance = Callable[[float, str], None]


class Watcher(Protocol):
    """Whoever follows a long job: a terminal, or nobody."""

    def say(self, text: str) -> None:
        """A sentence."""

    def bar(self, title: str) -> AbstractContextManager[Advance]:
        """A progress bar; what it yields is called with the fraction that is done and a short text."""


class Silent:
    """Nobody watches."""

    def say(self, text: str) -> None:
        """Nothing."""

    @contextmanager
    def bar(self, title: str) -> Iterator[Advance]:
        """Nothing."""
        yield lambda fraction, text: None


@dataclass(frozen=True)
class ExperimentData:
    """What learners are trained, watched and tested on.

    Parameters
    ----------
    problem
        What the learner is built for.
    train, validation
        The learner learns from the first; the second is only watched.
    tests
        Held-out sets by name: the stems of files, or ``held_out`` and ``double_resolution`` (the same fields).
    found
        What was found in files, one sentence each.
    """

    problem: Problem
    train: Dataset
    validation: Dataset
    tests: dict[str, Dataset]
    found: list[str] = field(default_factory=list)


def with_data(experiment: Experiment, watcher: Watcher) -> ExperimentData:
    """Generate or read the experiment's data; raises what the data sets raise."""
    if experiment.learns_from_images:
        return pictured(experiment)
    return recorded(experiment) if experiment.data is not None else generated(experiment, watcher)


def generated(experiment: Experiment, watcher: Watcher) -> ExperimentData:
    """Training, validation and test samples of the experiment's problem, from the cache where they are there."""
    assert experiment.problem is not None  # Experiment saw to it
    problem = build_problem(experiment.problem, experiment.problem_settings)
    usual, usual_tests = problem.usual_samples
    samples, count = experiment.samples or usual, experiment.test_samples or usual_tests
    jobs = {
        "training": (problem, samples, TRAINING_SEED),
        "validation": (problem, max(1, min(VALIDATION_SAMPLES, samples // 4)), VALIDATION_SEED),
        TEST: (problem, count, TEST_SEED),
    }
    finer = _finer(problem)
    if finer is not None:
        jobs[FINER] = (finer, count, TEST_SEED)
    sets = {}
    for name, (law, wanted, seed) in jobs.items():
        with watcher.bar(f"{problem.name}: {counted(wanted, name.replace('_', '-') + ' sample')}") as advance:
            sets[name] = cached(law, wanted, seed, progress=partial(_advance, advance))
    train, validation = sets.pop("training"), sets.pop("validation")
    return ExperimentData(problem, train, validation, sets)


def recorded(experiment: Experiment) -> ExperimentData:
    """Pairs read from files; the last samples of the training file are kept back for validation.

    Where the grid points lie is taken from the option, or else from test files that hold the same fields at two
    resolutions, or else from the training file itself.
    """
    inputs, outputs, alignment = experiment.input_name, experiment.output_name, experiment.alignment
    whole = read_dataset(str(experiment.data), inputs=inputs, outputs=outputs, alignment=alignment)
    tests, found = read_tests(experiment.test_data, whole.problem, inputs, outputs, alignment)
    found = _found(whole) + _constant(whole) + found
    for path in experiment.test_data:
        if Path(path).resolve() == Path(str(experiment.data)).resolve():
            found.append(f"{path}: the training file itself: errors on it say nothing about new samples.")
    if experiment.alignment is None:
        whole, sentence = _aligned(whole, list(tests.values()))
        found.append(sentence)
    kept_back = min(VALIDATION_SAMPLES, whole.count // 10)
    train, validation = whole.split(whole.count - kept_back) if kept_back else (whole, whole)
    return ExperimentData(whole.problem, train, validation, tests, found)


def pictured(experiment: Experiment) -> ExperimentData:
    """Images with noise added to them, from a folder or file; some of it is kept back, other test data are read beside.

    Raises
    ------
    DatasetError
        As `read_images`.
    """
    options = configure(ReadingOptions, {"array": experiment.output_name, **experiment.problem_settings})
    sets = read_images(str(experiment.data), options)
    tests, found = read_tests(experiment.test_data, sets.problem, outputs=experiment.output_name)
    return ExperimentData(sets.problem, sets.train, sets.validation, {TEST: sets.test, **tests}, sets.found + found)


def read_tests(
    paths: Sequence[Path | str],
    problem: Problem,
    inputs: str | None = None,
    outputs: str | None = None,
    alignment: str | None = None,
) -> tuple[dict[str, Dataset], list[str]]:
    """Files of pairs to test a learner of ``problem`` on, by stem, and what was found in them.

    For denoising of images, folders or files of clean ones.
    """
    if isinstance(problem, ImageDenoising):
        pictures = [read_test_images(path, problem, array=outputs) for path in paths]
        return _by_stem(paths, pictures), [sentence for dataset in pictures for sentence in _found(dataset)]
    read = [read_dataset(path, inputs=inputs, outputs=outputs, alignment=alignment, expected=problem) for path in paths]
    found = [sentence for dataset in read for sentence in _found(dataset)]
    renamed = [_renamed(dataset, problem, str(path)) for dataset, path in zip(read, paths, strict=True)]
    return _by_stem(paths, renamed), found


def fields_of(problem: Problem, batch: Batch, specs: Sequence[FieldSpec], where: str) -> Batch:
    """``batch`` under the names of ``specs``: by name, or by their order where the file calls them otherwise.

    Raises
    ------
    DatasetError
        If the numbers of fields differ.
    """
    wanted = [spec.name for spec in specs]
    if all(name in batch for name in wanted):
        arrays = [batch[name] for name in wanted]
    elif len(batch) == len(wanted):
        arrays = list(batch.values())
    else:
        raise DatasetError(f"{where}: fields {', '.join(batch)}, but {problem.name} has {', '.join(wanted)}.")
    return Batch({spec.name: _of_numbers(spec, array) for spec, array in zip(specs, arrays, strict=True)})


def _of_numbers(spec: FieldSpec, array: Tensor) -> Tensor:
    """Plain numbers ``(samples, channel)``, of which files do not tell that they are no field on an interval."""
    mistaken = isinstance(spec.support, Scalars) and tuple(array.shape[1:]) == (1, spec.channels)
    return array[:, 0] if mistaken else array


def _renamed(test: Dataset, problem: Problem, where: str) -> Dataset:
    """A test set, read from ``where``, under the field names of the training data."""
    inputs = fields_of(problem, test.inputs, problem.inputs, where)
    problem.check(inputs, where)
    outputs = fields_of(problem, test.outputs, problem.outputs, where)
    return Dataset(test.problem, inputs, outputs, test.name)


def _aligned(whole: Dataset, tests: Sequence[Dataset]) -> tuple[Dataset, str]:
    """The training data with the alignment of its grid, and one sentence on how it is known."""
    pairs = [(a, b) for a in tests for b in tests if _size(a) < _size(b)]
    for coarse, fine in pairs:
        alignment, why = detect_alignment(coarse, fine)
        if alignment is not None:
            break
    else:
        alignment, why = detect_alignment(whole)
    problem = whole.problem
    if alignment is not None and isinstance(problem, RecordedProblem):
        inputs, outputs = (
            tuple(_spec_aligned(spec, alignment) for spec in specs) for specs in (problem.inputs, problem.outputs)
        )
        problem = replace(problem, input_specs=inputs, output_specs=outputs)
    advice = " Another resolution can only be predicted with --alignment."
    if alignment is not None:
        advice = " If they lie elsewhere, say so with --alignment."
    return replace(whole, problem=problem), f"grid points: {alignment or 'unknown'}: {why}{advice}"


def _spec_aligned(spec: FieldSpec, alignment: str) -> FieldSpec:
    grid = spec.support
    return replace(spec, support=replace(grid, alignment=alignment)) if isinstance(grid, Grid) else spec


def _size(dataset: Dataset) -> int:
    (field, *_) = dataset.outputs.values()
    return field[0].numel()


def _found(dataset: Dataset) -> list[str]:
    rows = [f"{dataset.name}: {row}" for row in dataset.describe()]
    return rows + [f"{dataset.name}: {remark}" for remark in dataset.check()]


def _constant(dataset: Dataset) -> list[str]:
    return [
        f"{dataset.name}: nothing can be learned from the input {name!r}: it is the same everywhere."
        for name, field in dataset.inputs.items()
        if field.min() == field.max()
    ]


def _by_stem(paths: Sequence[Path | str], datasets: Sequence[Dataset]) -> dict[str, Dataset]:
    named: dict[str, Dataset] = {}
    for path, dataset in zip(paths, datasets, strict=True):
        stem = Path(path).stem
        if stem in named:
            raise ConfigurationError(f"two test files are called {stem!r}: metrics go by this name, so rename one.")
        named[stem] = dataset
    return named


def _advance(advance: Advance, done: int, wanted: int) -> None:
    advance(done / wanted, "")


def _finer(problem: Problem) -> Problem | None:
    """The same problem at twice the resolution, where it is to be tested there."""
    if not problem.tests_finer:
        return None
    finer: Problem = problem.at_resolution(2 * problem.resolution)  # type: ignore[attr-defined]
    return finer
