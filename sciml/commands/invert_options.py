"""The options of ``sciml invert``: of all, of measurements by sensors, and of reconstructions with a learned prior."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = ["BUDGET", "LEARNER", "NOISE", "SENSORS", "SNR"]

SENSORS, SNR, BUDGET, LEARNER, NOISE = 100, 25.0, "90s", "dgno", 0.03

Target = Annotated[
    str,
    typer.Argument(
        metavar="PROBLEM_OR_RUN",
        help="name of a problem, or a run directory; with --prior one of deblur, tomography, compressed-sensing, "
        "heat-source, darcy",
    ),
]
Observations = Annotated[
    Path | None, typer.Option(help="file of measurements: CSV, HDF5 or NPZ; a synthetic case if none")
]
SensorCount = Annotated[int | None, typer.Option(help="random sensors of a synthetic case", show_default=str(SENSORS))]
SignalToNoise = Annotated[
    float | None, typer.Option(help="their signal-to-noise ratio in decibels", show_default=f"{SNR:g}")
]
Count = Annotated[int | None, typer.Option(help="synthetic cases inverted together", show_default="1")]
Method = Annotated[
    Literal["map", "laplace", "hmc", "pcn", "svi", "proximal-gradient", "admm", "douglas-rachford", "preimage-descent"]
    | None,
    typer.Option(
        help="how the posterior is found; with --prior, how the minimum is found",
        show_default="laplace; with --prior proximal-gradient, or preimage-descent for darcy",
    ),
]
MethodSettings = Annotated[
    list[str] | None, typer.Option("--method-set", help="key=value of the method, e.g. draws=2000; repeatable")
]
Seed = Annotated[int, typer.Option(help="seed of the synthetic case and of the inference")]
Learner = Annotated[str | None, typer.Option(help="learner to train", show_default=LEARNER)]
Budget = Annotated[str | None, typer.Option(help="training time, e.g. 90s", show_default=BUDGET)]
Steps = Annotated[int | None, typer.Option(help="training steps instead of a budget (deterministic)")]
Samples = Annotated[int | None, typer.Option(help="training inputs to generate", show_default="usual of the problem")]
LearnerSettings = Annotated[list[str] | None, typer.Option("--set", help="key=value of the learner; repeatable")]
ProblemSettings = Annotated[
    list[str] | None,
    typer.Option("--problem-set", help="key=value of the problem; with --prior of what is measured; repeatable"),
]
TrainingSettings = Annotated[
    list[str] | None, typer.Option("--training-set", help="key=value of the training; repeatable")
]
RunDirectory = Annotated[
    Path | None, typer.Option("--run", help="directory to train in; runs/PROBLEM-LEARNER-seed0 if not given")
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="directory of the results; RUN/inversions/NAME if not given")
]
Prior = Annotated[
    Path | None, typer.Option(help="run of a learned prior (sciml run denoising --learner lpn) to reconstruct with")
]
Input = Annotated[Path | None, typer.Option("--input", help="with --prior: file of the data; a synthetic case if none")]
Truth = Annotated[Path | None, typer.Option(help="with --prior: file of the field of a synthetic case; drawn if none")]
Noise = Annotated[
    float | None,
    typer.Option(
        help="with --prior: standard deviation of the noise as a fraction of the range of the data",
        show_default=f"{NOISE:g}; unknown for --input",
    ),
]
Weight = Annotated[
    str | None,
    typer.Option(
        help="with --prior: its weight, a number, or auto: the data are fitted to their noise", show_default="auto"
    ),
]
Strength = Annotated[
    str | None,
    typer.Option(
        help="with --prior: how its strength is changed: exact, own, relaxed=T or rescaled=S; noise=S: the network of "
        "the noise level S of an lpn-conditioned run",
        show_default="exact",
    ),
]
