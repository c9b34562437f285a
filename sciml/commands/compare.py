"""``sciml compare``: several learners, several seeds, one budget."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["compare"]

Settings = list[str] | None


def compare(
    problem: Annotated[str, typer.Argument(help="name of a problem, see `sciml list problems`")],
    learners: Annotated[str, typer.Option(help="learners, comma-separated")],
    seeds: Annotated[int, typer.Option(help="how many seeds: 0, 1, …")] = 3,
    budget: Annotated[str, typer.Option(help="training time of every learner and seed, e.g. 60s or 2min")] = "120s",
    steps: Annotated[int | None, typer.Option(help="training steps instead of a budget (deterministic)")] = None,
    samples: Annotated[
        int | None, typer.Option(help="training samples", show_default="1024, fewer of dear ones")
    ] = None,
    test_samples: Annotated[
        int | None, typer.Option(help="test samples", show_default="200, fewer of dear ones")
    ] = None,
    problem_settings: Annotated[
        Settings, typer.Option("--problem-set", help="key=value of the problem; repeatable")
    ] = None,
    training: Annotated[Settings, typer.Option("--training-set", help="key=value of the training; repeatable")] = None,
    threads: Annotated[int | None, typer.Option(help="processor threads")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="directory; runs/compare-PROBLEM")] = None,
    overwrite: Annotated[bool, typer.Option(help="replace what an earlier comparison left in the directory")] = False,
) -> None:
    """Train several learners on the same data for the same time, and show mean and spread over seeds.

    Given again, the command goes on where it stopped.
    """
    from sciml.commands.console import Terminal, show, table
    from sciml.commands.values import names, seconds
    from sciml.commands.values import settings as parsed
    from sciml.experiments import Comparison, Experiment, table_columns
    from sciml.experiments.comparison import comparison_rows
    from sciml.report import counted

    base = Experiment(
        learner="",
        problem=problem,
        problem_settings=parsed(problem_settings),
        budget_seconds=seconds(budget),
        steps=steps,
        training=parsed(training),
        samples=samples,
        test_samples=test_samples,
        threads=threads,
    )
    directory = output or Path("runs") / f"compare-{problem}"
    compared = tuple(dict.fromkeys(names(learners) or ()))  # one that is named twice is one row
    comparison = Comparison(base, compared, tuple(range(seeds)), directory, overwrite)
    result = comparison.carry_out(Terminal(), shlex.join(["sciml", *sys.argv[1:]]))
    title = f"{problem}, {counted(seeds, 'seed')}, mean ± standard deviation"
    table(title, table_columns(result["tests"]), comparison_rows(result, brief=True))
    show(f"report: {directory / 'report.html'}")
    show(f"numbers: {directory / 'comparison.json'}")
