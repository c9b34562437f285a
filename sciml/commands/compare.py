"""``sciml compare``: several learners, several seeds, one budget."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sciml.commands import run_options as option

if TYPE_CHECKING:
    from sciml.experiments import Entrant

__all__ = ["compare"]

BUDGET = "120s"


def compare(
    problem: option.Problem = None,
    *,
    learners: Annotated[
        str, typer.Option(help="learners, comma-separated; with settings as in latent-ode:latent=4:depth=3")
    ],
    regularizers: Annotated[
        str | None,
        typer.Option(
            "--regularizers",
            "--regularizer",
            help="regularizers, comma-separated, e.g. none,error,stiffness: every learner is trained with each, and "
            "the report draws its error against its evaluations",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="how many seeds: 0, 1, …")] = 3,
    budget_seconds: Annotated[
        str | None,
        typer.Option("--budget", help="training time of every learner and seed, e.g. 60s or 2min", show_default=BUDGET),
    ] = None,
    steps: option.Steps = None,
    samples: option.Samples = None,
    test_samples: option.TestSamples = None,
    problem_settings: option.ProblemSettings = None,
    training: option.TrainingSettings = None,
    threads: option.Threads = None,
    data: Annotated[Path | None, typer.Option(help="folder of meshes to train on instead of a problem")] = None,
    test_data: Annotated[Path | None, typer.Option(help="folder of meshes to test on")] = None,
    fields: option.Fields = None,
    cell_fields: option.CellFields = None,
    vectors: option.Vectors = None,
    scalars: option.Scalars = None,
    inputs: option.GivenScalars = None,
    outputs: option.PredictedScalars = None,
    landmarks: option.Landmarks = None,
    mirror: option.MirrorSettings = None,
    plaid: option.PlaidSettings = None,
    ending: option.Ending = None,
    workers: option.Workers = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="directory; runs/compare-PROBLEM")] = None,
    overwrite: Annotated[bool, typer.Option(help="replace what an earlier comparison left in the directory")] = False,
) -> None:
    """Train several learners on the same data (for the same time on grids), and show mean and spread over seeds.

    Given again, the command goes on where it stopped.
    """
    # First of all, while the parameters are all that there is: they bear the names of the experiment's settings.
    given = option.stated(locals())
    from sciml.commands.compare_on_meshes import compare_on_meshes
    from sciml.commands.entrants import entrants_of
    from sciml.commands.run_on_meshes import concerns_meshes
    from sciml.commands.values import names

    compared = list(dict.fromkeys(names(learners) or ()))  # one that is named twice is one row
    if any(concerns_meshes({**given, "learner": name}) for name in compared or [""]):
        if regularizers is not None:
            entrants_of(compared, regularizers)  # says which learners have any
        compare_on_meshes(given, compared, seeds, output, overwrite)
    else:
        _compare_on_grids(given, entrants_of(compared, regularizers), seeds, output, overwrite)


def _compare_on_grids(
    given: Mapping[str, Any], learners: Sequence[Entrant], seeds: int, output: Path | None, overwrite: bool
) -> None:
    from sciml.commands.console import Terminal, show, table
    from sciml.commands.run_on_meshes import ONLY_MESHES
    from sciml.commands.values import seconds
    from sciml.errors import ConfigurationError
    from sciml.experiments import Comparison, Experiment
    from sciml.experiments.comparison import comparison_columns, comparison_rows
    from sciml.experiments.over_seeds import seeds_in_words

    problem = given.get("problem")
    if problem is None or "data" in given or "test_data" in given:
        raise ConfigurationError("learners on grids are compared on a problem: name one, and give no --data.")
    values = {name: value for name, value in given.items() if name not in ONLY_MESHES}
    base = Experiment(learner="", **{"budget_seconds": seconds(BUDGET), **values})
    directory = output or Path("runs") / f"compare-{problem}"
    comparison = Comparison(base, tuple(learners), tuple(range(seeds)), directory, overwrite)
    result = comparison.carry_out(Terminal(), shlex.join(["sciml", *sys.argv[1:]]))
    title = f"{problem}, {seeds_in_words(seeds)}"
    table(title, comparison_columns(result), comparison_rows(result, brief=True))
    show(f"report: {directory / 'report.html'}")
    show(f"numbers: {directory / 'comparison.json'}")
