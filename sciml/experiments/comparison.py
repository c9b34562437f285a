"""Several learners and several seeds under one budget, each in a run directory of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from pde_benchmarks.datasets import Dataset
from pde_benchmarks.registry import configure
from sciml.classical import ClassicalRow, best_in_time, left_out, verdict
from sciml.errors import ConfigurationError
from sciml.experiments.bargain import bargain, counters, evaluations_figure
from sciml.experiments.conduct import plain_rows, reference_rows, remark_on_rows
from sciml.experiments.data import TEST, ExperimentData, Watcher, with_data
from sciml.experiments.entrant import Entrant
from sciml.experiments.experiment import Experiment, build_problem, untrained
from sciml.experiments.measure import measure, train
from sciml.experiments.over_seeds import COMPARISON_FILE, check_directory, over_seeds, seeds_in_words, with_spread
from sciml.experiments.story import brief_rows, repetition, table_columns
from sciml.figures import error_against, training_curves
from sciml.files import write_figure, write_json, write_text
from sciml.report import Cell, Section, Table, render_report
from sciml.runs import Run, hardware, versions
from sciml.training import History

__all__ = ["Comparison", "comparison_columns", "comparison_rows"]

SCHEMA = 1
_L2, _H1 = f"test.{TEST}.relative_l2", f"test.{TEST}.relative_h1"


@dataclass(frozen=True)
class Comparison:
    """A comparison of learners.

    Parameters
    ----------
    base
        The experiment that all have in common; its learner and seed are replaced.
    learners, seeds
        Every learner is trained with every seed, on the same data; an `Entrant` with its own settings, a name in its
        default configuration.
    directory
        Holds one run ``LEARNER-seedS`` each, ``comparison.json``, ``figures/`` and ``report.html``.
    overwrite
        Replace what an earlier comparison left there, instead of going on with it.

    Raises
    ------
    ConfigurationError
        If no or an unknown learner is named, or no seed.
    LearnerError
        If a learner does not accept the problem, or is not installed.
    """

    base: Experiment
    learners: tuple[str | Entrant, ...]
    seeds: tuple[int, ...]
    directory: Path
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not self.learners or not self.seeds:
            raise ConfigurationError("nothing to compare: name at least one learner and one seed.")
        problem = build_problem(str(self.base.problem), self.base.problem_settings)
        for entrant in self.entrants.values():
            untrained(replace(self.base, learner=entrant.learner, learner_settings=dict(entrant.settings)), problem)

    @property
    def entrants(self) -> dict[str, Entrant]:
        """The learners by the names that they have in tables and figures."""
        all_of_them = (Entrant(one) if isinstance(one, str) else one for one in self.learners)
        return {entrant.label: entrant for entrant in all_of_them}

    def carry_out(self, watcher: Watcher, command: str = "") -> dict[str, Any]:
        """Train and measure what is not measured yet; write and return the content of ``comparison.json``.

        Raises
        ------
        RunError
            If the directory holds a run, or a finished comparison that this one would replace without `overwrite`.
        """
        check_directory(self.directory, self._common(), list(self.entrants), self.seeds, self.overwrite)
        if self.base.threads is not None:
            torch.set_num_threads(self.base.threads)
        data = with_data(self.base, watcher)
        measured: dict[str, list[dict[str, Any]]] = {name: [] for name in self.entrants}
        histories: dict[str, History] = {}
        for seed in self.seeds:
            for name, entrant in self.entrants.items():
                run, metrics = self._one(entrant, seed, data, watcher)
                measured[name].append(metrics)
                histories[f"{name}/{seed}"] = run.history()
        slowest = max(fmean(m["predict_ms_per_sample"] for m in runs) for runs in measured.values())
        result = {
            "schema": SCHEMA,
            "command": command,
            "experiment": self._common(),
            "seeds": list(self.seeds),
            "tests": list(data.tests),
            "learners": {name: over_seeds(runs) for name, runs in measured.items()},
            "without_learning": plain_rows(reference_rows(data, slowest)),
            "hardware": hardware(),
            "versions": versions(),
        }
        remark_on_rows(data, watcher)
        self._write(result, histories, data.tests)
        return result

    def _common(self) -> dict[str, Any]:
        """The settings that all learners and seeds share, as ``comparison.json`` holds them."""
        return {**self.base.plain(), "learner": None, "seed": None}

    def _one(self, entrant: Entrant, seed: int, data: ExperimentData, watcher: Watcher) -> tuple[Run, dict[str, Any]]:
        """Train and measure one learner with one seed, or read what an earlier call measured."""
        own = {"learner": entrant.learner, "learner_settings": dict(entrant.settings), "seed": seed}
        experiment: Experiment = configure(Experiment, {**self.base.plain(), **own})
        directory = self.directory / f"{entrant.folder}-seed{seed}"
        run = Run.create(directory, experiment.plain(), overwrite=self.overwrite)
        if not (directory / "metrics.json").is_file():
            watcher.say(f"{entrant.label}, seed {seed}")
            learner = train(run, experiment, data, watcher)
            run.write_metrics(measure(run, learner, data.tests))
        return run, run.metrics()

    def _write(self, result: dict[str, Any], histories: Mapping[str, History], tests: Mapping[str, Dataset]) -> None:
        write_json(self.directory / COMPARISON_FILE, result)
        curves = {name: history.rows for name, history in histories.items()}
        budget = self.base.budget_seconds if self.base.steps is None else None
        figures = {"seconds": training_curves(curves, budget)}
        points = {
            name: [[v["parameters"]["value"], v[_L2]["value"], v[_L2]["spread"] or 0.0]]
            for name, v in result["learners"].items()
        }
        slowest = max(v["predict_ms_per_sample"]["value"] for v in result["learners"].values()) / 1e3
        reference = best_in_time(_without_learning(result), slowest)
        figures["parameters"] = error_against(
            points, "parameters", {f"{reference.name} (no learning)": reference.metrics["relative_l2"]}
        )
        if counters(result):
            figures["evaluations"] = evaluations_figure(result)
        (self.directory / "figures").mkdir(exist_ok=True)
        for name, figure in figures.items():
            write_figure(self.directory / "figures" / f"{name}.png", figure)
        names = ", ".join(self.entrants)
        title = f"{self.base.problem}: {names}"
        captions = {
            "evaluations": "Test error against evaluations of the learned right-hand side for one sample, mean and "
            "standard deviation over seeds; the line joins those that no other beats in both.",
            "seconds": "Error against training seconds, one curve a seed.",
            "parameters": "Test error against parameters; the bar is the standard deviation over seeds.",
        }
        shown = {captions[name]: figures[name] for name in captions if name in figures}
        caption = f"{seeds_in_words(len(self.seeds))}."
        table = Table(comparison_columns(result), comparison_rows(result), caption)
        (test, *_) = tests.values()
        words = (comparison_verdict(result), bargain(result), left_out(test.problem, test))
        said = " ".join(filter(None, words))
        sections = [Section("Result", said, table), Section("Curves", figures=shown)]
        command = result["command"] or f"sciml compare {self.base.problem} --learners {names}"
        settings = {**result["experiment"], "learners": names, "seeds": list(self.seeds)}
        sections.append(repetition(command, result["hardware"], result["versions"], settings))
        write_text(self.directory / "report.html", render_report(title, sections))


def comparison_verdict(result: Mapping[str, Any]) -> str:
    """Which learner is most accurate, and whether a method without learning does better in its time."""
    error = {name: values[_L2]["value"] for name, values in result["learners"].items()}
    best = min(error, key=lambda name: error[name])
    seconds = result["learners"][best]["predict_ms_per_sample"]["value"] / 1e3
    return f"{best} is the most accurate learner here. {verdict(_without_learning(result), error[best], seconds)}"


def comparison_columns(result: Mapping[str, Any]) -> list[str]:
    """Headings of `comparison_rows`."""
    first, *further = table_columns(result["tests"])
    counted_by = list(counters(result).values())
    return [first, *further, *(f"evaluations, {name}" for name in counted_by)]


def comparison_rows(result: Mapping[str, Any], brief: bool = False) -> list[list[Cell]]:
    """One row a learner and a solver without learning, under `comparison_columns`."""
    rows: list[list[Cell]] = []
    further = [f"test.{name}.relative_l2" for name in result["tests"][1:]]
    for name, values in result["learners"].items():
        keys = (_L2, _H1, "parameters", "train_seconds", "predict_ms_per_sample", *further, *counters(result))
        label = name.replace(":regularizer=", ":") if brief else name  # a terminal is narrow
        rows.append([label, *(with_spread(values[key]) if key in values else None for key in keys)])
    without = list(result["without_learning"].items())
    for label, values in brief_rows(without) if brief else without:
        numbers = (values["relative_l2"], values.get("relative_h1"), 0, 0, values["predict_ms_per_sample"])
        rows.append([label, *numbers, *[None] * (len(further) + len(counters(result)))])
    return rows


def _without_learning(result: Mapping[str, Any]) -> list[ClassicalRow]:
    return [
        ClassicalRow(name, values, values["predict_ms_per_sample"] / 1e3)
        for name, values in result["without_learning"].items()
    ]
