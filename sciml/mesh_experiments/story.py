"""What an experiment on meshes showed: pictures of predictions, calibration, and the page that tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from meshes import Mesh
from pde_benchmarks.mesh_metrics import interval_coverage
from sciml.calibration_figures import calibration_plot, scalar_scatter
from sciml.experiments.story import repetition
from sciml.learners.mmgp.prediction import MeshPrediction
from sciml.mesh_experiments.data import MeshData
from sciml.mesh_experiments.remarks import sample_name
from sciml.mesh_experiments.results import result_columns, result_rows
from sciml.prediction_figures import prediction_figure
from sciml.report import Section, Table, counted, render_report
from sciml.runs import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["write_mesh_story"]

_LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
#: Fields that are drawn, and curves in one figure.
_MOST = 7
#: Where most nodes lie in a part so many times smaller than the whole, only that part is drawn.
_CLOSE = 3


def write_mesh_story(
    run: Run,
    data: MeshData,
    errors: Mapping[str, Mapping[str, float]],
    predictions: Sequence[MeshPrediction],
    training: str,
) -> Path:
    """Write figures and report; predictions are those of the first test set."""
    name, test = next(iter(data.tests.items()))
    figures = _figures(data, test, predictions)
    for key, (figure, _) in figures.items():
        run.write_figure(key, figure)
    metrics, config = errors[name], run.config
    foreign = metrics.get("foreign_share", 0.0)
    table = Table(
        result_columns(data.units),
        result_rows(metrics, data.family, data.units),
        f"Errors on {name}, {counted(len(test), 'sample')}. RRMSE is relative to the largest value of each sample.",
    )
    sections = [
        Section("Result", f"{foreign:.0%} of the test shapes look foreign to the training set.", table),
        Section("Figures", figures={caption: figure for figure, caption in figures.values()}),
    ]
    for other in list(errors)[1:]:
        rows = result_rows(errors[other], data.family, data.units)
        sections.append(Section(f"Test set {other}", table=Table(result_columns(data.units), rows)))
    sections.append(Section("Training", training.replace("\n", "\n\n")))
    command = config.get("command") or "sciml run --config config.yaml"
    sections.append(repetition(command, config["hardware"], config["versions"], run.experiment))
    subject = data.problem.name if data.problem is not None else Path(str(run.experiment["data"])).name
    return run.write_report(render_report(f"{run.experiment['learner']} on {subject}", sections))


def _figures(
    data: MeshData, test: Sequence[Mesh], predictions: Sequence[MeshPrediction]
) -> dict[str, tuple[Figure, str]]:
    """Name of a file to a figure and its caption."""
    meshes = [test[i] for i in range(len(test))]
    found: dict[str, tuple[Figure, str]] = {}
    for field in data.family.fields[:_MOST]:
        row = _median(field, meshes, predictions)
        one = predictions[row]
        truth = meshes[row].point_data[field]
        unit = data.units.get(field, "1")
        named = sample_name(test, row)
        title, box = f"{field}, sample {named}", _closeup(meshes[row])
        figure = prediction_figure(meshes[row], one.mean[field], one.std[field], truth, title, unit, box)
        found[f"field_{_safe(field)}"] = figure, f"{field}: the test sample of median error, {named}."
    if data.family.fields:
        curves = {field: _coverages(field, meshes, predictions) for field in data.family.fields[:_MOST]}
        caption = "How much of the truth at the nodes lies in intervals, against what they promise."
        found["calibration"] = calibration_plot(_LEVELS, curves), caption
    if data.family.output_scalars:
        scatter = {name: _scalar(name, meshes, predictions) for name in data.family.output_scalars}
        found["scalars"] = scalar_scatter(scatter, data.units), "Scalars with intervals of 95 %."
    return found


def _closeup(mesh: Mesh) -> tuple[float, float, float, float] | None:
    """Where four fifths of the nodes of a plane mesh lie, if that is a small part of it, such as around an aerofoil."""
    if mesh.space_dimension != 2:
        return None
    low, high = np.quantile(mesh.points, [0.1, 0.9], axis=0)
    (x, y), side = (low + high) / 2, 0.6 * float((high - low).max())
    if 2 * side * _CLOSE > float(np.ptp(mesh.points, axis=0).max()):
        return None
    return float(x) - side, float(x) + side, float(y) - side, float(y) + side


def _median(field: str, meshes: Sequence[Mesh], predictions: Sequence[MeshPrediction]) -> int:
    """The sample whose root mean square error is the median."""
    sizes = [
        float(np.sqrt(np.mean((one.mean[field].numpy() - mesh.point_data[field]) ** 2)))
        for one, mesh in zip(predictions, meshes, strict=True)
    ]
    return int(np.argsort(sizes)[len(sizes) // 2])


def _coverages(field: str, meshes: Sequence[Mesh], predictions: Sequence[MeshPrediction]) -> list[float]:
    mean, std = ([getattr(one, part)[field].numpy() for one in predictions] for part in ("mean", "std"))
    truth = [mesh.point_data[field] for mesh in meshes]
    return [interval_coverage(mean, std, truth, level) for level in _LEVELS]


def _scalar(
    name: str, meshes: Sequence[Mesh], predictions: Sequence[MeshPrediction]
) -> tuple[list[float], list[float], list[float]]:
    truth = [float(mesh.global_data[name].flat[0]) for mesh in meshes]
    return truth, [one.scalar_mean[name] for one in predictions], [one.scalar_std[name] for one in predictions]


def _safe(name: str) -> str:
    """A name as part of a file's name."""
    return "".join(c if c.isalnum() else "_" for c in name)
