"""What an experiment showed: figures, and the page that tells it in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from pde_benchmarks.datasets import Dataset
from pde_benchmarks.evolution import EvolutionProblem
from pde_benchmarks.metrics import relative_l2
from pde_benchmarks.problem import Problem
from sciml.classical import ClassicalRow, left_out, verdict
from sciml.evolution_figures import frame_errors
from sciml.experiments.constraint_section import constraint_section, floor_sentence, labels_sentence
from sciml.experiments.data import FINER, ExperimentData
from sciml.experiments.trajectories import (
    drawable_times,
    evaluations_section,
    frame_error,
    scaled,
    trajectory_figures,
)
from sciml.figures import certificate_scatter, error_histogram, field_comparison, training_curves
from sciml.learner import Learner
from sciml.learners.hard_constraints.termwise_fields import TermwiseFields
from sciml.report import Cell, Section, Table, counted, render_report, significant
from sciml.runs import Run
from sciml.training import History

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "Story",
    "brief_rows",
    "further_columns",
    "repetition",
    "sample_errors",
    "table_columns",
    "table_rows",
    "typical_sample",
    "write_story",
]

COLUMNS = ("learner", "test L²", "test H¹", "parameters", "train (s)", "predict (ms)")
BRIEF = 4

Value = TypeVar("Value")


@dataclass(frozen=True)
class Story:
    """Everything that the report is made of.

    Parameters
    ----------
    data
        What was trained and tested on.
    learners, histories, measured
        By name, the run's own learner first.
    reference
        Rows without learning.
    certificate
        Estimated and true errors of the run's own learner on the first test set, where the equation is known.
    """

    data: ExperimentData
    learners: dict[str, Learner]
    histories: dict[str, History]
    measured: dict[str, dict[str, Any]]
    reference: list[ClassicalRow]
    certificate: tuple[Tensor, Tensor] | None = None

    @property
    def test(self) -> tuple[str, Dataset]:
        """The first test set, with its name."""
        return next(iter(self.data.tests.items()))


def table_columns(tests: Iterable[str]) -> tuple[str, ...]:
    """The columns of a table of results: those of the first test set, then the error on every further one."""
    return (*COLUMNS, *further_columns(tests))


def further_columns(tests: Iterable[str]) -> list[str]:
    """Headings for the errors on all test sets but the first."""
    return ["2× finer L²" if name == FINER else f"{name} L²" for name in list(tests)[1:]]


def brief_rows(without: Sequence[Value]) -> list[Value]:
    """Rows without learning for a short table: the first three and the last."""
    return [*without[: BRIEF - 1], without[-1]] if len(without) > BRIEF else list(without)


def table_rows(story: Story, brief: bool = False) -> list[list[Cell]]:
    """One row a learner and a solver without learning, under `table_columns`; ``predict`` is per sample."""
    without = brief_rows(story.reference) if brief else story.reference
    name, *further = story.data.tests
    rows: list[list[Cell]] = []
    for learner, values in story.measured.items():
        tests = values["test"]
        rows.append(
            [
                learner,
                tests[name].get("relative_l2"),
                tests[name].get("relative_h1"),
                values["parameters"],
                values["train_seconds"],
                values["predict_ms_per_sample"],
                *(tests[other].get("relative_l2") for other in further),
            ]
        )
    for row in without:
        errors = (row.metrics.get("relative_l2"), row.metrics.get("relative_h1"))
        rows.append([row.name, *errors, 0, 0, 1e3 * row.seconds_per_sample, *[None] * len(further)])
    return rows


def write_story(run: Run, story: Story) -> Path:
    """Write the figures and then the report, and return the report's path."""
    figures: dict[str, Figure] = {}
    if all(any(row["validation_error"] is not None for row in h.rows) for h in story.histories.values()):
        rows = {name: history.rows for name, history in story.histories.items()}
        budget = run.experiment["budget_seconds"] if run.experiment.get("steps") is None else None
        figures["training"] = training_curves(rows, budget)
    for name, test in story.data.tests.items():
        if name != FINER:  # the same fields as the first
            of = "" if name == story.test[0] else f"_{name}"
            figures |= {f"{kind}{of}": figure for kind, figure in _test_figures(story, name, test).items()}
    times = drawable_times(story.data.problem)
    if times is not None:
        errors = {name: frame_error(model, story.test[1]) for name, model in story.learners.items()}
        figures["frames"] = frame_errors(errors, times.grid)
    if story.certificate is not None:
        figures["certificate"] = certificate_scatter(*(errors.numpy() for errors in story.certificate))
    for name, figure in figures.items():
        run.write_figure(name, figure)
    problem = story.data.problem.name
    page = render_report(f"{next(iter(story.learners))} on {problem}", _sections(run, story, figures))
    return run.write_report(page)


def _sections(run: Run, story: Story, figures: Mapping[str, Figure]) -> list[Section]:
    captions = {
        "fields": "The test sample of median error: what goes in, the reference, predictions and their errors.",
        "trajectory": "The test sample of median error over time: truth, prediction and error.",
        "trajectory_2": "The second channel of the same sample.",
        "trajectory_3": "The third channel of the same sample.",
        "errors": "Relative L² errors of single test samples.",
        "frames": "Relative L² error over time, mean over the test samples.",
        "certificate": "Error estimated from the equation alone against the true error, one point a test sample.",
        "training": "Validation error and training loss against the seconds charged to the budget.",
    }
    shown = {captions[name]: figures[name] for name in captions if name in figures}
    for test in list(story.data.tests)[1:]:
        of = {
            f"{captions[name]} Test set {test}.": figures.get(f"{name}_{test}")
            for name in ("fields", "trajectory", "errors")
        }
        shown |= {caption: figure for caption, figure in of.items() if figure is not None}
    table = Table(
        table_columns(story.data.tests),
        table_rows(story),
        f"Errors on {story.test[0]}, mean over {counted(story.test[1].count, 'sample')}.",
    )
    sections = [Section("Result", _verdict(story), table), Section("Figures", figures=shown)]
    sections += constraint_section(story.measured, story.test[0])
    sections += evaluations_section(story.measured, story.test[0])
    if len(story.data.tests) > 1:
        sections.append(Section("Every test set", _on_resolution(run, story), _every_test(story)))
    config = run.config
    command = config.get("command") or "sciml run --config config.yaml"
    return [*sections, repetition(command, config["hardware"], config["versions"], run.experiment)]


def _verdict(story: Story) -> str:
    """Who is best, in words, the solvers without learning included."""
    name, _ = story.test
    learned = {learner: values["test"][name]["relative_l2"] for learner, values in story.measured.items()}
    own, *others = learned
    sentences = [f"{own} reaches a relative L² error of {learned[own]:.2e} on {name}."]
    for other in others:
        ratio = learned[own] / learned[other]
        word = "smaller than" if ratio < 1 else "as large as" if ratio == 1 else "larger than"
        factor = significant(max(ratio, 1 / ratio) if ratio else float("inf"))
        sentences.append(f"That is {factor} times {word} the {learned[other]:.2e} of {other}, same budget.")
    samples = story.data.train.count
    sentences.append(labels_sentence(story.learners, samples))
    sentences.append(floor_sentence(story.learners[own], story.reference, samples))
    if story.reference:
        seconds = story.measured[own]["predict_ms_per_sample"] / 1e3
        sentences.append(verdict(story.reference, learned[own], seconds))
        sentences.append(left_out(story.test[1].problem, story.test[1]))
    return " ".join(filter(None, sentences))


def _on_resolution(run: Run, story: Story) -> str:
    direct = run.metrics().get(f"{FINER}_without_anchoring.relative_l2")
    if direct is None:
        return ""
    note = getattr(next(iter(story.learners.values())), "resolution_note", "")
    return f"{note} Applied on the finer grid with nothing more, the same network has an error of {direct:.2e}."


def _every_test(story: Story) -> Table:
    metrics = list(dict.fromkeys(k for v in story.measured.values() for t in v["test"].values() for k in t))
    rows: list[list[Cell]] = [
        [learner, name, *(errors.get(metric) for metric in metrics)]
        for learner, values in story.measured.items()
        for name, errors in values["test"].items()
    ]
    return Table(["learner", "test set", *(metric.replace("_", " ") for metric in metrics)], rows)


def repetition(
    command: str, hardware: Mapping[str, Any], versions: Mapping[str, str], settings: Mapping[str, Any]
) -> Section:
    """The section with all that is needed to repeat an experiment: command, machine, versions, settings."""
    machine = f"{hardware['cpu']}, {counted(hardware['cores'], 'core')}, " + (hardware["gpu"] or "no GPU")
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    rows: list[list[Cell]] = [[key, str(value)] for key, value in settings.items() if value not in (None, {}, [])]
    text = f"{command}\n\nMachine: {machine}.\n\nVersions: {packages}."
    return Section("How to repeat it", text, Table(["setting", "value"], rows))


def sample_errors(learner: Learner, test: Dataset) -> Tensor:
    """Relative L² error of every sample, over all output fields together."""
    prediction = learner.predict(test.inputs).mean
    pairs = [scaled(test.problem, prediction[name], truth) for name, truth in test.outputs.items()]
    stacked = [torch.cat([field.flatten(1) for field in fields], 1)[:, None] for fields in zip(*pairs, strict=True)]
    errors = relative_l2(*stacked)
    return errors[~errors.isnan()]


def _test_figures(story: Story, name: str, test: Dataset) -> dict[str, Figure]:
    """Fields of the sample of median error and histogram of all errors, where they can be drawn."""
    errors = {learner: sample_errors(model, test) for learner, model in story.learners.items()}
    figures = {}
    if all(len(values) and bool((values > 0).all()) for values in errors.values()):
        figures["errors"] = error_histogram({learner: values.numpy() for learner, values in errors.items()})
    own = next(iter(story.learners))
    row, median = typical_sample(errors[own], test)
    if drawable_times(story.data.problem) is not None:
        figures |= trajectory_figures(story.learners[own], test, row)
    fields = _field_figure(story, name, test, row, median)
    return figures if fields is None else {"fields": fields, **figures}


def typical_sample(errors: Tensor, test: Dataset) -> tuple[int, bool]:
    """The sample whose error is the median, and whether it is: the first where samples without a relative error are."""
    every = len(errors) == test.count
    return (int(errors.argsort()[len(errors) // 2]) if every else 0), every


def _field_figure(story: Story, name: str, test: Dataset, row: int, median: bool) -> Figure | None:
    """Input, reference, predictions and errors of one sample; 1-D and 2-D only."""
    sample = test.rows(slice(row, row + 1))
    field = next(iter(sample.outputs))
    evolves = isinstance(story.data.problem, EvolutionProblem)
    timed = _time_first(story.data.problem)
    last = timed and sample.outputs[field][0, 0].ndim == 3
    place = (0, -1, 0) if evolves else (0, 0, -1) if last else (0, 0)  # the last frame of a trajectory
    given = {key: array[0, 0, -1] if last else array[0, 0] for key, array in sample.inputs.items()}
    truth = sample.outputs[field][place]
    if any(picture.ndim not in (1, 2) for picture in (*given.values(), truth)):
        return None
    panels = {key: picture.numpy() for key, picture in given.items()} | {f"{field}, reference": truth.numpy()}
    for learner, model in list(story.learners.items())[:3]:
        predicted = model.predict(sample.inputs).mean[field][place]
        panels[f"{learner} prediction"] = predicted.numpy()
        panels[f"{learner} error"] = (predicted - truth).numpy()
    title = f"{story.data.problem.name}: sample {row} of {name}" + (", of median error" if median else "")
    names, lengths = ("x", "y"), (1.0, 1.0)
    if timed and not last:
        names, lengths = ("t", "x"), (float(getattr(story.data.problem, "duration", 1.0)), 1.0)
    return field_comparison(
        panels, title + (", last frame" if evolves or last else ""), axis_names=names, lengths=lengths
    )


def _time_first(problem: Problem) -> bool:
    """Whether the first axis of the problem's fields is known to be time."""
    return TermwiseFields.refusal(problem) is None and TermwiseFields.of(problem).time_first()
