"""The part of ``sciml predict`` for parts on meshes of varying shape."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meshes import Mesh
    from sciml.learners.mmgp.prediction import MeshPrediction
    from sciml.report import Cell

__all__ = ["predict_on_meshes"]


def predict_on_meshes(
    run: Path, input_file: Path, output: Path, scalars: str | None, draws: int | None, others: Mapping[str, Any]
) -> None:
    """Write the mesh of a file with fields ``NAME_mean`` and ``NAME_std``, and print the predicted scalars.

    Raises
    ------
    ConfigurationError
        An option that has no meaning for meshes, or scalars that cannot be read.
    LearnerError, MeshError, MeshFileError
        The mesh cannot be read, or is none of the family.
    """
    import warnings

    from meshes import read_mesh
    from sciml.commands.output_files import check_output
    from sciml.errors import ConfigurationError, about
    from sciml.mesh_experiments import stranger
    from sciml.mesh_learner import load_mesh_learner

    unfit = [name for name, value in others.items() if value is not None and value is not False]
    if unfit:
        raise ConfigurationError(f"--{unfit[0]} has no meaning for meshes: leave it out.")
    if draws is not None and draws < 1:
        raise ConfigurationError(f"--draws {draws}: at least 1 is needed.")
    output = output if output.suffix else output.with_name(output.name + input_file.suffix)
    check_output(output, input_file)
    learner = load_mesh_learner(run)
    wanted = learner.family.input_scalars
    mesh = _with_scalars(read_mesh(input_file), _scalars(scalars, input_file, wanted))
    missing = [name for name in wanted if name not in mesh.global_data]
    if missing:
        example = ",".join(f"{name}=…" for name in missing)
        raise ConfigurationError(
            f"{input_file}: no scalar {', '.join(missing)} in its global data: give it by --scalars {example!r}."
        )
    with warnings.catch_warnings(), about(input_file), stranger():
        warnings.simplefilter("ignore", UserWarning)  # they are in the prediction's notes
        (found,) = learner.predict([mesh])
    _write(found, output, draws)


def _write(found: MeshPrediction, output: Path, draws: int | None) -> None:
    """The mesh with what was predicted into the file, and scalars and remarks to the terminal."""
    from meshes import write_mesh
    from sciml.commands.console import Terminal, show, table
    from sciml.mesh_experiments import draw

    watcher = Terminal()
    drawn = None if draws is None else draw(found, draws, 0, watcher)
    replaced = output.exists()
    write_mesh(output, found.to_mesh() if drawn is None else drawn.on(found.to_mesh()))
    if replaced:
        watcher.say(f"replaced {output}.")
    for note in found.notes:
        watcher.say(f"note: {note}")
    rows: list[list[Cell]] = [[name, value, found.scalar_std[name]] for name, value in found.scalar_mean.items()]
    if rows:
        table("scalars", ("predicted", "mean", "standard deviation"), rows)
    if drawn is not None:
        table(f"{draws} draws", drawn.columns(), drawn.extremes())
    show(str(found.trust))
    written = ", ".join(f"{name}_mean, {name}_std" for name in found.mean)
    more = "" if drawn is None else f", and {draws} draws of each"
    show(f"{len(found.mesh.points)} nodes in {output}: {written}{more}")


def _scalars(text: str | None, input_file: Path, wanted: tuple[str, ...]) -> dict[str, float]:
    """Numbers by name, from ``name=value,…`` or from the mesh's row of a CSV file, whose other columns do not count."""
    if text is None:
        return {}
    if "=" in text:
        return _spelled(text, wanted)
    from pde_benchmarks.datasets.scalar_table import read_scalars

    stem = input_file.name.removesuffix(input_file.suffix)
    rows = read_scalars(Path(text)).of_samples({stem: input_file.name})
    return {column: rows.value(stem, column) for column in rows.columns if column in wanted}


def _spelled(text: str, wanted: tuple[str, ...]) -> dict[str, float]:
    from sciml.errors import ConfigurationError

    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = (word.strip() for word in part.partition("="))
        if name in found:
            raise ConfigurationError(f"--scalars: {name!r} is given twice: give it once.")
        try:
            found[name] = float(value)
        except ValueError:
            raise ConfigurationError(
                f"--scalars {part.strip()!r}: expected name=number, such as pressure=40, or a CSV file."
            ) from None
        if name not in wanted:
            known = ", ".join(wanted) or "none"
            raise ConfigurationError(f"--scalars {part.strip()!r}: this run knows no such scalar; it is given {known}.")
    return found


def _with_scalars(mesh: Mesh, scalars: Mapping[str, float]) -> Mesh:
    from dataclasses import replace

    import numpy as np

    return replace(mesh, global_data={**mesh.global_data, **{name: np.array(v) for name, v in scalars.items()}})
