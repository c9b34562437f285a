"""The options of ``sciml run``, each under the name that the experiment's setting has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from sciml.commands.options import Alignment

__all__ = ["stated"]

Problem = Annotated[
    str | None, typer.Argument(help="name of a problem, see `sciml list problems`; with --data that of a learner")
]
Learner = Annotated[
    str | None,
    typer.Option(help="name of a learner, see `sciml list learners`", show_default="mgno, or mgno-data for --data"),
]
Budget = Annotated[
    str | None, typer.Option("--budget", help="training time of every learner, e.g. 60s or 2min", show_default="60s")
]
Steps = Annotated[int | None, typer.Option(help="training steps instead of a budget (deterministic)")]
Seed = Annotated[int | None, typer.Option(help="seed of weights and batches", show_default="0")]
Samples = Annotated[
    int | None, typer.Option(help="training samples to generate", show_default="1024, fewer of dear ones")
]
TestSamples = Annotated[
    int | None, typer.Option(help="test samples to generate", show_default="200, fewer of dear ones")
]
Baselines = Annotated[
    str | None,
    typer.Option(
        help="learners to train beside it, comma-separated, or none",
        show_default="mgno-data and fno, or unet without fno; none for --data",
    ),
]
LearnerSettings = Annotated[list[str] | None, typer.Option("--set", help="key=value of the learner; repeatable")]
Experts = Annotated[
    str | None,
    typer.Option(help="experts that share a hard constraint: a number, or boxes along each axis such as '1 4'"),
]
Regularizer = Annotated[
    str | None,
    typer.Option(
        help="what makes dynamics easy to integrate, e.g. error, stiffness or none: setting of learners that follow a "
        "state in time"
    ),
]
ProblemSettings = Annotated[
    list[str] | None,
    typer.Option("--problem-set", help="key=value of the problem, or of reading images (patch, noise); repeatable"),
]
TrainingSettings = Annotated[
    list[str] | None,
    typer.Option("--training-set", help="key=value of the training, e.g. batch_size=4; repeatable"),
]
Threads = Annotated[int | None, typer.Option(help="processor threads")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="run directory; runs/PROBLEM-LEARNER-seedS if not given")
]
Config = Annotated[Path | None, typer.Option(help="YAML file of an experiment, or a run's config.yaml")]
Data = Annotated[
    Path | None,
    typer.Option(
        help="file of recorded pairs, or folder of meshes, to train on instead of a problem; of a learner that "
        "denoises a folder of images or a file of fields"
    ),
]
TestData = Annotated[
    list[Path] | None, typer.Option(help="file of pairs to test on, repeatable; or a folder of meshes")
]
InputName = Annotated[str | None, typer.Option(help="name of the input array in the files")]
OutputName = Annotated[str | None, typer.Option(help="name of the output array in the files")]
GridAlignment = Annotated[Alignment | None, typer.Option(help="where the grid points lie")]
Fields = Annotated[
    list[str] | None, typer.Option("--field", help="meshes by --data: point field to predict; repeatable")
]
CellFields = Annotated[
    list[str] | None,
    typer.Option("--cell-field", help="field on cells to predict, averaged to the points; repeatable"),
]
Scalars = Annotated[Path | None, typer.Option(help="meshes by --data: CSV file of scalars, one row a file")]
GivenScalars = Annotated[
    str | None,
    typer.Option(
        "--given-scalars",
        help="scalars that are given, comma-separated",
        show_default="all others in the CSV file",
    ),
]
PredictedScalars = Annotated[
    str | None, typer.Option("--predict-scalars", help="scalars that are predicted, comma-separated")
]
Landmarks = Annotated[
    str | None, typer.Option(help="node sets of one boundary node each in every mesh, in order, comma-separated")
]
Vectors = Annotated[
    list[str] | None,
    typer.Option("--vector", help="fields that are the components of a vector, comma-separated; repeatable"),
]
MirrorSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--mirror", help="mirror images count as samples: axis=x, odd=NAME,NAME, swapped=SET:SET,SET:SET; repeatable"
    ),
]
PlaidSettings = Annotated[
    list[str] | None,
    typer.Option("--plaid", help="of a PLAID data set: definition=, split=, base= or time=; repeatable"),
]
Ending = Annotated[str | None, typer.Option(help="of the mesh files to read, if a folder holds several kinds")]
Workers = Annotated[int | None, typer.Option(help="meshes that are generated at a time")]
Overwrite = Annotated[bool, typer.Option(help="replace what an earlier run left in the directory")]

_SETTINGS = ("problem_settings", "learner_settings", "training", "mirror", "plaid")
_NAMES = ("baselines", "inputs", "outputs", "landmarks")
_PATHS = ("data", "scalars")
_NOT_OF_THE_EXPERIMENT = (
    "experts",
    "regularizer",
    "regularizers",
    "output",
    "config",
    "overwrite",
    "learners",
    "seeds",
)


def stated(options: Mapping[str, Any]) -> dict[str, Any]:
    """What the command line says of the experiment, as plain values; what it does not say is left out.

    Raises
    ------
    ConfigurationError
        A setting or a duration cannot be read.
    """
    values = {name: _plain(name, value) for name, value in options.items() if name not in _NOT_OF_THE_EXPERIMENT}
    return {name: value for name, value in values.items() if value is not None}


def _plain(name: str, value: Any) -> Any:
    from sciml.commands.values import names, seconds, settings

    if value is None:
        return None
    if name in _SETTINGS:
        return settings(value) or None
    if name in _NAMES:
        return names(value)
    if name in _PATHS:
        return str(value)
    if name == "vectors":
        return [names(one) for one in value] or None
    if name == "test_data":
        return str(value) if isinstance(value, Path) else [str(path) for path in value] or None
    return seconds(value) if name == "budget_seconds" else value
