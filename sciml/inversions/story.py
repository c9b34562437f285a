"""What an inversion showed: the files, figures and the page that it leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from pde_benchmarks.problem import FieldSpec, Grid, Phases, Problem
from pde_benchmarks.sensors import Sensors
from sciml.experiments.story import repetition
from sciml.files import write_arrays, write_figure, write_json, write_text
from sciml.inverse import InverseResult, observed_field
from sciml.inversions.case import Case
from sciml.inversions.directory import POSTERIOR, whole_directory
from sciml.inversions.figures import interval_cut, posterior_fields, posterior_samples, sensor_residuals
from sciml.inversions.judge import LEVEL, averages, verdict
from sciml.inversions.views import FieldView
from sciml.report import Cell, Section, Table, counted, render_report
from sciml.runs import hardware, versions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Inversion", "columns", "rows", "write_inversion"]

KEPT_SAMPLES = 32

# What a number is called; a dot stands before the part that follows the name of a field.
LABELS = {
    ".relative_l2": "relative L² error of the posterior mean",
    ".map_relative_l2": "relative L² error of the most probable",
    ".resimulated_relative_l2": "relative L² error of the re-simulation",
    ".wrong_pixels": "wrong pixels (fraction)",
    ".volume_fraction_error": "error of the volume fraction",
    ".centred_correlation": "centred correlation",
    ".coverage_90": "coverage of 90 % intervals",
    "surrogate_misfit": "misfit ‖Hu − y‖/‖y‖ by the surrogate",
    "resimulated_misfit": "misfit re-simulated",
    "noise_misfit": "misfit of noise alone",
    "surrogate_error": "the surrogate's own relative error",
    "resimulated_chi_square": "chi-square re-simulated (1 is expected)",
    "minima": "different minima found",
    "r_hat": "largest R-hat",
    "ess": "smallest effective sample size",
    "acceptance": "mean acceptance",
    "divergences": "transitions that diverged",
    "importance": "share of draws left by importance weights",
}
CAPTIONS = {
    "posterior": "Truth where known, posterior mean, its standard deviation, the most probable; sensors as dots.",
    "samples": "Draws of the posterior: what the measurements leave open differs between them.",
    "interval": "90 % intervals along the line through the middle.",
    "residual": "Re-simulated minus measured values in standard deviations of the noise: no pattern should be left.",
}


@dataclass(frozen=True)
class Inversion:
    """A case, its result and its numbers.

    Parameters
    ----------
    problem
        What was inverted.
    settings
        Everything that decides the result, as plain values.
    case, result, found
        The measurements, what follows from them, and `sciml.inversions.judge.numbers` of it.
    """

    problem: Problem
    settings: Mapping[str, Any]
    case: Case
    result: InverseResult
    found: dict[str, Tensor]

    @property
    def metrics(self) -> dict[str, Any]:
        """Content of ``metrics.json``: means, then the same for every observation."""
        cases = [
            {"status": status.value, **{name: values[row].item() for name, values in self.found.items()}}
            for row, status in enumerate(self.result.inference.status)
        ]
        return {**self.settings, "sensors": len(self.case.observation.points), **averages(self.found), "cases": cases}


def columns(inversion: Inversion) -> tuple[str, ...]:
    """Headings of the table of numbers."""
    single = len(inversion.case.observation.values) == 1
    return ("quantity", "value") if single else ("quantity", "mean", "smallest", "largest")


def rows(inversion: Inversion) -> list[list[Cell]]:
    """The numbers in words, under `columns`."""
    single = len(inversion.case.observation.values) == 1
    table: list[list[Cell]] = []
    for name, values in inversion.found.items():
        field, dot, key = name.rpartition(".")
        label = f"{field}: {LABELS[dot + key]}" if dot else LABELS[name]
        numbers = [values[0]] if single else [values.mean(), values.min(), values.max()]
        table.append([label, *(number.item() for number in numbers)])
    status = sorted({status.value for status in inversion.result.inference.status})
    table.append(["status", ", ".join(status), *[None] * (0 if single else 2)])
    return table


def write_inversion(directory: Path, inversion: Inversion, command: str) -> Path:
    """Write posterior, metrics, figures and report, all or nothing, and return the report's path."""
    figures = _figures(inversion)
    with whole_directory(directory) as folder:
        write_arrays(folder / POSTERIOR, _arrays(inversion))
        write_json(folder / "metrics.json", inversion.metrics)
        (folder / "figures").mkdir()
        for name, figure in figures.items():
            write_figure(folder / "figures" / f"{name}.png", figure)
            figure.set_layout_engine("none")  # laid out once, for the file; the page shows the same
        page = render_report(f"Inversion of {inversion.problem.name}", _sections(inversion, figures, command))
        write_text(folder / "report.html", page)
    return directory / "report.html"


def _sections(inversion: Inversion, figures: Mapping[str, Figure], command: str) -> list[Section]:
    settings, observations = inversion.settings, len(inversion.case.observation.values)
    text = f"Method {settings['method']}, learner {settings['learner']}; {inversion.case.source}."
    text += f"\n\n{verdict(inversion.case, inversion.found)}"
    if observations > 1:
        text += f"\n\nThe sentence above and the figures are of the first of {counted(observations, 'observation')}."
    table = Table(columns(inversion), rows(inversion))
    shown = {CAPTIONS[name]: figure for name, figure in figures.items()}
    return [
        Section("Result", text, table),
        Section("Figures", figures=shown),
        repetition(command, hardware(), versions(), settings),
    ]


def _figures(inversion: Inversion) -> dict[str, Figure]:
    """Of the first observation."""
    problem, case = inversion.problem, inversion.case
    specs = [spec for spec in (*problem.inputs, *problem.outputs) if _drawable(spec)]
    fields = [_view(spec, inversion) for spec in specs]
    figures = {}
    title = f"{problem.name}: {inversion.settings['method']}, {counted(len(case.observation.points), 'sensor')}"
    if fields:
        figures["posterior"] = posterior_fields(fields, title)
        if fields[0].samples is not None:
            figures["samples"] = posterior_samples(fields[0], f"{title}: draws of the {fields[0].name}")
            figures["interval"] = interval_cut(fields, LEVEL)
    figures["residual"] = sensor_residuals(
        _numpy(case.observation.points), _residuals(inversion), f"{title}: what is left at the sensors"
    )
    return figures


def _residuals(inversion: Inversion) -> np.ndarray:
    """(re-simulated − measured) / σ of the first observation."""
    problem, observation = inversion.problem, inversion.case.observation
    spec = observed_field(problem)
    grid = next(out.support for out in problem.outputs if out.name == spec.name)
    assert isinstance(grid, Grid)
    again = Sensors(observation.points).observe(inversion.result.resimulated[spec.name][:1], grid)[0, :, 0]
    return _numpy((again.to(observation.values) - observation.values[0]) / observation.std[0])


def _view(spec: FieldSpec, inversion: Inversion) -> FieldView:
    result, truth, grid = inversion.result, inversion.case.truth, spec.support
    assert isinstance(grid, Grid)
    decided = spec.name in result.decided
    best = (result.decided if decided else result.resimulated)[spec.name]
    low, high = (None, None) if result.samples is None else result.intervals(LEVEL)
    measured = observed_field(inversion.problem).name == spec.name
    return FieldView(
        spec.name,
        tuple(_numpy(grid.points(axis)) for axis in range(grid.dim)),
        _numpy(result.mean[spec.name][0, 0]),
        _numpy(best[0, 0]),
        "most probable" if decided else "re-simulated",
        None if truth is None else _numpy(truth[spec.name][0, 0]),
        None if result.samples is None else _numpy(result.std[spec.name][0, 0]),
        None if low is None else _numpy(low[spec.name][0, 0]),
        None if high is None else _numpy(high[spec.name][0, 0]),
        None if result.samples is None else _numpy(result.samples[spec.name][0, :KEPT_SAMPLES, 0]),
        spec.kind.values if isinstance(spec.kind, Phases) else (),
        _numpy(inversion.case.observation.points) if measured else None,
        spec.unit,
    )


def _arrays(inversion: Inversion) -> dict[str, Tensor]:
    """What ``posterior.h5`` holds; the first axis counts the observations."""
    case, result = inversion.case, inversion.result
    arrays = {f"{name}_mean": field for name, field in result.mean.items()}
    arrays |= {f"{name}_map": field for name, field in result.map.items()}
    arrays |= {f"{name}_most_probable": field for name, field in result.decided.items()}
    arrays |= {f"{name}_resimulated": field for name, field in result.resimulated.items()}
    if result.samples is not None:
        ends = zip(("low", "high"), result.intervals(LEVEL), strict=True)
        arrays |= {f"{name}_{end}": field for end, batch in ends for name, field in batch.items()}
        arrays |= {f"{name}_std": field for name, field in result.std.items()}
        arrays |= {f"{name}_samples": field[:, :KEPT_SAMPLES] for name, field in result.samples.items()}
    arrays |= {f"{name}_truth": field for name, field in (case.truth or {}).items()}
    observation = case.observation
    arrays |= {"points": observation.points, "values": observation.values, "noise_std": observation.std}
    return dict(sorted((name, array.contiguous()) for name, array in arrays.items()))


def _drawable(spec: FieldSpec) -> bool:
    return isinstance(spec.support, Grid) and spec.support.dim in (1, 2)


def _numpy(array: Tensor) -> np.ndarray:
    return np.asarray(array.detach().cpu().to(torch.float64).numpy())
