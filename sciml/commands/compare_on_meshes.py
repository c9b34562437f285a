"""The part of ``sciml compare`` for parts on meshes of varying shape."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["compare_on_meshes"]


def compare_on_meshes(
    values: Mapping[str, Any], learners: Sequence[str], seeds: int, output: Path | None, overwrite: bool
) -> None:
    """Train learners on the same meshes, and show what each is worth and costs.

    Raises
    ------
    ConfigurationError
        An option that has no meaning for meshes, or a learner that is unknown or does not accept the problem.
    LearnerError, MeshError, DatasetError
        The data cannot be used, or a learner cannot be trained.
    """
    from dataclasses import replace

    from sciml.commands.console import Terminal, show, table
    from sciml.commands.run_on_meshes import mesh_experiment
    from sciml.experiments.over_seeds import seeds_in_words
    from sciml.mesh_experiments import (
        MeshComparison,
        cost_columns,
        cost_rows,
        error_columns,
        error_rows,
        remarks,
        with_meshes,
        worth_columns,
        worth_rows,
    )

    # What forbids a learner is said for all of them before anything is read or trained.
    first, *_ = [mesh_experiment({**values, "learner": name}) for name in learners] or [mesh_experiment(values)]
    subject = first.problem or Path(str(first.data)).stem
    directory = output or Path("runs") / f"compare-{subject}"
    comparison = MeshComparison(replace(first, seed=0), tuple(learners), tuple(range(seeds)), directory, overwrite)
    watcher = Terminal()
    with remarks(watcher):
        data = with_meshes(first, watcher)
    for sentence in data.found:
        show(sentence)
    result = comparison.carry_out(watcher, shlex.join(["sciml", *sys.argv[1:]]), data)
    title = f"{subject}, {seeds_in_words(seeds)}"
    table(title, worth_columns(), worth_rows(result))
    table("costs", cost_columns(), cost_rows(result))
    table("RRMSE", error_columns(result), error_rows(result))
    show(f"report: {directory / 'report.html'}")
    show(f"numbers: {directory / 'comparison.json'}, {directory / 'comparison.csv'}")
