"""Several learners and several seeds on the same meshes, each in a run directory of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from sciml.errors import ConfigurationError
from sciml.experiments.data import Watcher
from sciml.experiments.over_seeds import COMPARISON_FILE, check_directory, over_seeds, seeds_in_words
from sciml.experiments.story import repetition
from sciml.files import write_figure, write_json, write_text
from sciml.mesh_experiments.comparison_figures import comparison_figures
from sciml.mesh_experiments.comparison_tables import (
    cost_columns,
    cost_rows,
    error_columns,
    error_rows,
    tidy_csv,
    winner,
    worth_columns,
    worth_rows,
)
from sciml.mesh_experiments.data import MeshData, with_meshes
from sciml.mesh_experiments.experiment import MeshExperiment
from sciml.mesh_experiments.measure import measured_on_meshes
from sciml.mesh_experiments.remarks import remarks
from sciml.mesh_experiments.training import train_on_meshes
from sciml.report import Section, Table, counted, render_report
from sciml.runs import Run, hardware, versions

__all__ = ["MeshComparison"]

SCHEMA = 1


@dataclass(frozen=True)
class MeshComparison:
    """A comparison of learners of meshes.

    Parameters
    ----------
    base
        The experiment that all have in common; its learner and seed are replaced.
    learners, seeds
        Every learner is trained with every seed, on the same data.
    directory
        Holds one run ``LEARNER-seedS`` each, ``comparison.json``, ``comparison.csv``, ``figures/`` and
        ``report.html``.
    overwrite
        Replace what an earlier comparison left there, instead of going on with it.

    Raises
    ------
    ConfigurationError
        No learner or no seed.
    """

    base: MeshExperiment
    learners: tuple[str, ...]
    seeds: tuple[int, ...]
    directory: Path
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not self.learners or not self.seeds:
            raise ConfigurationError("nothing to compare: name at least one learner and one seed.")

    def carry_out(self, watcher: Watcher, command: str = "", data: MeshData | None = None) -> dict[str, Any]:
        """Train and measure what is not measured yet; write and return the content of ``comparison.json``.

        Parameters
        ----------
        data
            That of the experiment, if it has been read already.

        Raises
        ------
        RunError
            If the directory holds a run, or a finished comparison that this one would replace without `overwrite`.
        LearnerError, MeshError, MorphingError
            A learner cannot be trained; what the others have learned is kept.
        """
        common = {**self.base.plain(), "learner": None, "seed": None}
        check_directory(self.directory, common, self.learners, self.seeds, self.overwrite)
        if self.base.threads is not None:
            torch.set_num_threads(self.base.threads)
        if data is None:
            with remarks(watcher):
                data = with_meshes(self.base, watcher)
        measured: dict[str, list[Mapping[str, Any]]] = {name: [] for name in self.learners}
        for seed in self.seeds:
            for name in self.learners:
                measured[name].append(self._one(name, seed, data, watcher))
        result = {
            "schema": SCHEMA,
            "command": command,
            "experiment": common,
            "seeds": list(self.seeds),
            "tests": list(data.tests),
            "fields": list(data.family.fields),
            "scalars": list(data.family.output_scalars),
            "units": dict(data.units),
            "learners": {name: over_seeds(runs) for name, runs in measured.items()},
            "hardware": hardware(),
            "versions": versions(),
        }
        self._write(result, data)
        return result

    def _one(self, name: str, seed: int, data: MeshData, watcher: Watcher) -> Mapping[str, Any]:
        """Train and measure one learner with one seed, or read what an earlier call measured."""
        experiment = replace(self.base, learner=name, seed=seed)
        run = Run.create(self.directory / f"{name}-seed{seed}", experiment.plain(), overwrite=self.overwrite)
        if not (run.directory / "metrics.json").is_file():
            watcher.say(f"{name}, seed {seed}")
            learner = train_on_meshes(run, experiment, data, watcher)
            run.write_metrics(measured_on_meshes(run, learner, data, watcher).metrics)
        return run.metrics()

    def _write(self, result: dict[str, Any], data: MeshData) -> None:
        write_json(self.directory / COMPARISON_FILE, result)
        write_text(self.directory / "comparison.csv", tidy_csv(result))
        figures = comparison_figures(result)
        (self.directory / "figures").mkdir(exist_ok=True)
        for name, (figure, _) in figures.items():
            write_figure(self.directory / "figures" / f"{name}.png", figure)
        samples = ", ".join(f"{name}: {counted(len(test), 'sample')}" for name, test in data.tests.items())
        caption = (
            f"{seeds_in_words(len(self.seeds))}. Tests: {samples}. RRMSE is of fields, Q² "
            "of scalars, and so much of the truth lies within intervals of 95 %."
        )
        sections = [
            Section("Result", winner(result), Table(worth_columns(), worth_rows(result), caption)),
            Section("Costs", table=Table(cost_columns(), cost_rows(result))),
            Section("Figures", figures={caption: figure for figure, caption in figures.values()}),
        ]
        for test in result["tests"]:
            table = Table(error_columns(result), error_rows(result, test), "RRMSE of fields and scalars.")
            sections.append(Section(f"Errors on {test}", table=table))
        subject = self.base.problem or Path(str(self.base.data)).name
        command = result["command"] or f"sciml compare {subject} --learners {','.join(self.learners)}"
        settings = {**result["experiment"], "learners": ", ".join(self.learners), "seeds": list(self.seeds)}
        sections.append(repetition(command, result["hardware"], result["versions"], settings))
        write_text(self.directory / "report.html", render_report(f"{subject}: {', '.join(self.learners)}", sections))
