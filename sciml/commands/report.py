"""``sciml report``: render the report of a run again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["report"]


def report(run: Annotated[Path, typer.Argument(help="run directory")]) -> None:
    """Measure a trained run again and render its figures and its report."""
    from sciml.commands.console import Terminal, show
    from sciml.experiments import present, reopen
    from sciml.mesh_experiments import present_on_meshes, reopen_on_meshes
    from sciml.mesh_learner import is_mesh_learner
    from sciml.runs import Run

    watcher = Terminal()
    opened = Run.open(run)
    if is_mesh_learner(run):
        show(f"report: {present_on_meshes(opened, *reopen_on_meshes(opened, watcher), watcher).report}")
        return
    experiment, data, learners = reopen(opened, watcher)
    show(f"report: {present(opened, experiment, data, learners, watcher).report}")
