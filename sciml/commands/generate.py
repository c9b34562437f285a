"""``sciml generate``: a data set in one HDF5 file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["generate"]

_USUAL = 1024


def generate(
    problem: Annotated[str, typer.Argument(help="name of the problem, see `sciml list problems`")],
    output: Annotated[Path, typer.Option("--output", "-o", help="HDF5 file to write")],
    count: Annotated[
        int | None,
        typer.Option("--count", "--samples", help="number of samples", show_default="1024, on meshes what is usual"),
    ] = None,
    seed: Annotated[int, typer.Option(help="seed of the random inputs")] = 0,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value of the problem; repeatable")] = None,
    workers: Annotated[int | None, typer.Option(help="meshes that are made at a time")] = None,
) -> None:
    """Draw inputs of a problem and solve them; an interrupted generation goes on where it stopped."""
    from pde_benchmarks import datasets
    from pde_benchmarks.registry import mesh_problem_types
    from sciml.commands.console import Terminal, show
    from sciml.commands.generate_on_meshes import generate_on_meshes
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
    if problem in mesh_problem_types():
        generate_on_meshes(problem, output, count, seed, parsed(settings), workers)
        return
    if workers is not None:
        raise ConfigurationError(f"--workers {workers}: {problem} is on grids, and made at once; leave it out.")
    count = _USUAL if count is None else count
    posed = build_problem(problem, parsed(settings))
    with Terminal().bar(f"{problem}: {counted(count, 'sample')}") as advance:
        dataset = datasets.generate(posed, count, seed, output, progress=lambda done, total: advance(done / total, ""))
    for row in dataset.describe():
        show(str(row))
    show(f"{counted(dataset.count, 'sample')} in {output}")
