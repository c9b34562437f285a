"""What an experiment shows of trajectories: one of them drawn and filmed, errors over time, and what solving costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pde_benchmarks.datasets import Dataset
from pde_benchmarks.dynamical_systems import DynamicalSystem
from pde_benchmarks.metrics import relative_l2
from pde_benchmarks.problem import Grid, Problem, Scalars, Times
from sciml.learner import Learner
from sciml.report import Cell, Section, Table
from sciml.trajectory_figures import Trajectory, trajectory_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["drawable_times", "evaluations_section", "frame_error", "sample_trajectory", "scaled", "trajectory_figures"]

# Channels of a field that are drawn.
_CHANNELS = 3


def drawable_times(problem: Problem) -> Times | None:
    """The instants of a problem whose one output is a trajectory of numbers or of a field on up to two axes."""
    if len(problem.outputs) != 1 or not isinstance(problem.outputs[0].support, Times):
        return None
    times = problem.outputs[0].support
    support = times.support
    return times if isinstance(support, Scalars) or (isinstance(support, Grid) and support.dim <= 2) else None


def sample_trajectory(learner: Learner, test: Dataset, row: int) -> Trajectory:
    """Truth and prediction of one sample of a problem with `drawable_times`."""
    times = drawable_times(test.problem)
    assert times is not None  # whoever calls this saw to it
    (spec,) = test.problem.outputs
    sample = test.rows(slice(row, row + 1))
    predicted = learner.predict(sample.inputs).mean[spec.name]
    return Trajectory(spec.name, times.grid, sample.outputs[spec.name][0].numpy(), predicted[0].numpy(), spec.unit)


def trajectory_figures(learner: Learner, test: Dataset, row: int) -> dict[str, Figure]:
    """Figures of one sample: ``trajectory``, and of a field of several channels one of each, ``trajectory_2``, …"""
    found = sample_trajectory(learner, test, row)
    channels = 1 if found.dimensions == 0 else min(found.channels, _CHANNELS)
    return {f"trajectory_{c + 1}" if c else "trajectory": trajectory_figure(found, c) for c in range(channels)}


def scaled(problem: Problem, prediction: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Both as the problem's metrics compare them: components of a system of equations in units of their largest."""
    if not isinstance(problem, DynamicalSystem):
        return prediction, truth
    largest = truth.abs().amax(tuple(range(truth.ndim - 1)))
    scale = torch.where(largest > 0, largest, 1)
    return prediction / scale, truth / scale


def frame_error(learner: Learner, test: Dataset) -> Tensor:
    """Mean relative L² error of every frame, ``(time,)``."""
    ((name, truth),) = test.outputs.items()
    prediction, truth = scaled(test.problem, learner.predict(test.inputs).mean[name], truth)
    return torch.stack([relative_l2(prediction[:, k], truth[:, k]).nanmean() for k in range(truth.shape[1])])


def evaluations_section(measured: Mapping[str, Mapping[str, Any]], test: str) -> list[Section]:
    """What solving costs, where a learner solves differential equations: its evaluations on one test set."""
    names = ("evaluations_mean", "evaluations_worst", "evaluations_rk45")
    rows: list[list[Cell]] = [
        [learner, *(values["test"][test].get(name) for name in names)]
        for learner, values in measured.items()
        if names[0] in values["test"][test]
    ]
    if not rows:
        return []
    text = (
        "How often the learned right-hand side is evaluated for one sample, rejected steps included: by the learner's "
        "own solver, and by SciPy's RK45 at the same tolerances on the first samples."
    )
    if any(row[-1] is None for row in rows):
        text += " Equations with noise have no right-hand side for RK45."
    columns = ("learner", "mean", "worst sample", "SciPy's RK45, mean")
    return [Section("Evaluations of the right-hand side", text, Table(columns, rows)), *_latent(measured, test)]


def _latent(measured: Mapping[str, Mapping[str, Any]], test: str) -> list[Section]:
    """What the latent space alone loses, and whether intervals hold what they should."""
    names = ("relative_l2", "reconstruction_l2", "coverage_90")
    rows: list[list[Cell]] = [
        [learner, *(values["test"][test].get(name) for name in names)]
        for learner, values in measured.items()
        if names[1] in values["test"][test]
    ]
    if not rows:
        return []
    text = (
        "The error that encoding and decoding a true frame makes bounds what dynamics can reach: where it is a large "
        "part of the whole, give `latent` more dimensions. With a standard deviation: the part of all values in their "
        "90 % intervals; far below 0.9 there were too few trajectories, or too little training."
    )
    columns = ("learner", "error", "of the latent space alone", "values in 90 % intervals")
    return [Section("Latent space", text, Table(columns, rows))]
