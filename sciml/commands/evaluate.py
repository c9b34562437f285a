"""``sciml evaluate``: errors of a trained run, on its own test sets or on files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sciml.commands.options import Alignment

__all__ = ["evaluate"]

EXPLAINED = {"left_out": "left_out (samples that are zero: no relative error)"}


def evaluate(
    run: Annotated[Path, typer.Argument(help="run directory")],
    data: Annotated[
        list[Path] | None, typer.Option(help="file of pairs or folder of meshes; repeatable; the run's own if none")
    ] = None,
    input_name: Annotated[str | None, typer.Option(help="name of the input array in the files")] = None,
    output_name: Annotated[str | None, typer.Option(help="name of the output array in the files")] = None,
    alignment: Annotated[Alignment | None, typer.Option(help="where the grid points lie")] = None,
    scalars: Annotated[Path | None, typer.Option(help="of meshes: CSV file of scalars, one row a file")] = None,
) -> None:
    """Measure a trained learner on test data, and print a table of its errors."""
    from sciml.commands.console import Terminal, show, table
    from sciml.commands.evaluate_on_meshes import evaluate_on_meshes
    from sciml.errors import ConfigurationError, about
    from sciml.experiments import read_tests, reopen
    from sciml.mesh_learner import is_mesh_learner
    from sciml.runs import Run

    about_files = {"--input-name": input_name, "--output-name": output_name, "--alignment": alignment}
    if is_mesh_learner(run):
        evaluate_on_meshes(run, data or [], scalars, about_files)
        return
    if scalars is not None:
        raise ConfigurationError(f"--scalars {scalars}: {run} is of fields on grids; leave it out.")
    for option, value in about_files.items():
        if value is not None and not data:
            raise ConfigurationError(f"{option} applies to files: give --data, or leave it out.")
    opened = Run.open(run)
    if data:
        learner = opened.load_learner()
        tests, found = read_tests(data, learner.problem, input_name, output_name, alignment)
        for sentence in found:
            show(sentence)
    else:
        _, own, learners = reopen(opened, Terminal())
        learner, tests = next(iter(learners.values())), own.tests
    errors = {}
    for (name, dataset), where in zip(tests.items(), map(str, data or tests), strict=True):
        with about(where):
            errors[name] = learner.evaluate(dataset)
    keys = list(dict.fromkeys(key for values in errors.values() for key in values))
    rows = [[EXPLAINED.get(key, key), *(values.get(key) for values in errors.values())] for key in keys]
    rows.append(["samples", *(dataset.count for dataset in tests.values())])
    table(f"{learner.name} in {run}", ("error", *errors), rows)
