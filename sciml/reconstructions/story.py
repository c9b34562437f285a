"""What a reconstruction showed: the files, figures and the page that it leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from sciml.experiments.story import repetition
from sciml.files import write_arrays, write_figure, write_json, write_text
from sciml.inversions.directory import whole_directory
from sciml.reconstructions.case import ReconstructionCase
from sciml.reconstructions.conduct import Answer
from sciml.reconstructions.figures import DATA, ERROR, course, fields_beside_each_other, prior_along_paths
from sciml.reconstructions.judge import Judged, assumption_rows, columns, judged, rows, verdict
from sciml.reconstructions.prior_of_run import TrainedPrior
from sciml.reconstructions.prior_path import PriorPath
from sciml.report import Section, Table, counted, render_report
from sciml.runs import hardware, versions
from solvers import Status

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIELDS", "Story", "write_reconstruction"]

FIELDS = "reconstruction.h5"
CONTENT = (FIELDS, "metrics.json", "figures", "report.html")
CAPTIONS = {
    "fields": "Truth where known, data, reconstructions, and the error of the one by the learned prior.",
    "course": "The objective above its smallest value, and the fixed-point residual, after every step.",
    "prior": "The learned prior from the field to a noisy and to a blurred version of it; blur need not raise it. "
    "Where a curve stops, the field is not one that the network gives, and its prior was not found.",
}


@dataclass(frozen=True)
class Story:
    """A case, its answer, and what decides both.

    Parameters
    ----------
    settings
        Everything that decides the result, as plain values.
    prior, case, answer
        What was reconstructed with what, and what came out.
    paths
        The prior along paths from the truth, or from the reconstruction where there is none.
    tolerance
        Of the iteration.
    """

    settings: Mapping[str, Any]
    prior: TrainedPrior
    case: ReconstructionCase
    answer: Answer
    paths: list[PriorPath]
    tolerance: float

    @cached_property
    def judged(self) -> list[Judged]:
        """The numbers, the learned prior's first."""
        return judged(self.case, self.answer, self.prior.problem.peak)

    @property
    def metrics(self) -> dict[str, Any]:
        """Content of ``metrics.json``: means over the samples."""
        result = self.answer.result
        return {
            **self.settings,
            "reconstructions": {one.name: one.plain for one in self.judged},
            "status": [Status(int(code)).name for code in result.status],
            "iterations": result.iterations.tolist(),
            "fixed_point_residual": result.residuals[-1].tolist() if len(result.residuals) else [],
            "stationarity": result.stationarity.tolist(),
            "monotone": None if result.objective is None else result.monotone().tolist(),
            "within_theorem": result.within_theorem,
            "assumptions": {a.statement: a.met for a in result.assumptions},
            "prior_along_paths": {path.name: _numbers(path.value) for path in self.paths},
        }


def write_reconstruction(directory: Path, story: Story, command: str) -> Path:
    """Write fields, metrics, figures and report, all or nothing, and return the report's path."""
    figures = _figures(story)
    with whole_directory(directory, CONTENT) as folder:
        write_arrays(folder / FIELDS, _arrays(story))
        write_json(folder / "metrics.json", story.metrics)
        (folder / "figures").mkdir()
        for name, figure in figures.items():
            write_figure(folder / "figures" / f"{name}.png", figure)
            figure.set_layout_engine("none")  # laid out once, for the file; the page shows the same
        page = render_report(f"Reconstruction: {story.case.problem.name}", _sections(story, figures, command))
        write_text(folder / "report.html", page)
    return directory / "report.html"


def _sections(story: Story, figures: Mapping[str, Figure], command: str) -> list[Section]:
    count = len(story.case.data)
    text = f"{story.case.problem.name}: {story.case.source}.\n\n{verdict(story.answer.result)}"
    text += "".join(f"\n\n{remark}" for remark in story.answer.remarks)
    if count > 1:
        text += f"\n\nNumbers are means over {counted(count, 'sample')}; the figures are of the first."
    shown = {CAPTIONS[name]: figure for name, figure in figures.items()}
    conditions = Table(("condition", "met"), assumption_rows(story.answer.result))
    return [
        Section("Result", text, Table(columns(), rows(story.judged))),
        Section("Conditions of the convergence theorem", table=conditions),
        Section("Figures", figures=shown),
        repetition(command, hardware(), versions(), story.settings),
    ]


def _figures(story: Story) -> dict[str, Figure]:
    """Of the first sample."""
    case, result, name = story.case, story.answer.result, story.case.problem.name
    panels: dict[str, Tensor] = {} if case.truth is None else {"truth": case.truth[0]}
    panels |= {DATA: case.data[0], "learned prior": result.x[0]}
    if case.truth is not None:
        panels[f"learned prior: {ERROR}"] = result.x[0] - case.truth[0]
    panels |= {title: one.x[0] for title, one in story.answer.beside.items()}
    figures = {"fields": fields_beside_each_other(panels, f"{name} by {story.settings['method']}")}
    if len(result.residuals):
        steps = int(result.iterations[0])
        objective = None if result.objective is None else result.objective[:steps, 0]
        figures["course"] = course(objective, result.residuals[:steps, 0], story.tolerance, result.method)
    if any(bool(path.value.isfinite().any()) for path in story.paths):
        start = "reconstruction" if case.truth is None else "truth"
        figures["prior"] = prior_along_paths(story.paths, start)
    return figures


def _arrays(story: Story) -> dict[str, Tensor]:
    """What ``reconstruction.h5`` holds; the first axis counts the samples."""
    case, result = story.case, story.answer.result
    arrays = {"reconstruction": result.x, "data": case.data, "residuals": result.residuals.mT}
    if case.truth is not None:
        arrays["truth"] = case.truth
    if result.objective is not None:
        arrays["objective"] = result.objective.mT
    arrays |= {name.replace(" ", "_").replace("-", "_"): one.x for name, one in story.answer.beside.items()}
    return dict(sorted((name, array.detach().contiguous()) for name, array in arrays.items()))


def _numbers(values: Tensor) -> list[float | None]:
    return [value if value == value else None for value in values.tolist()]
