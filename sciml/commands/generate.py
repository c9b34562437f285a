"""``sciml generate``: a data set in one HDF5 file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["generate"]


def generate(
    problem: Annotated[str, typer.Argument(help="name of the problem, see `sciml list problems`")],
    output: Annotated[Path, typer.Option("--output", "-o", help="HDF5 file to write")],
    count: Annotated[int, typer.Option(help="number of samples")] = 1024,
    seed: Annotated[int, typer.Option(help="seed of the random inputs")] = 0,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value of the problem; repeatable")] = None,
) -> None:
    """Draw inputs of a problem and solve them; an interrupted generation goes on where it stopped."""
    from pde_benchmarks import datasets
    from sciml.commands.console import Terminal, show
    from sciml.commands.output_files import check_output
    from sciml.commands.values import settings as parsed
    from sciml.errors import ConfigurationError
    from sciml.experiments import build_problem
    from sciml.report import counted

    if output.suffix not in (".h5", ".hdf5"):
        raise ConfigurationError(f"--output {output}: an HDF5 file is written, so the name must end in .h5 or .hdf5.")
    if seed < 0:
        raise ConfigurationError(f"--seed {seed}: a whole number, at least 0, is expected.")
    check_output(output)
    posed = build_problem(problem, parsed(settings))
    with Terminal().bar(f"{problem}: {counted(count, 'sample')}") as advance:
        dataset = datasets.generate(posed, count, seed, output, progress=lambda done, total: advance(done / total, ""))
    for row in dataset.describe():
        show(str(row))
    show(f"{counted(dataset.count, 'sample')} in {output}")
