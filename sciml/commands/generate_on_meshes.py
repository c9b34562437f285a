"""The part of ``sciml generate`` for parts on meshes of varying shape."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meshes import MeshSet

__all__ = ["generate_on_meshes"]


def generate_on_meshes(
    problem: str, output: Path, count: int | None, seed: int, settings: Mapping[str, Any], workers: int | None
) -> None:
    """Mesh and solve samples of a problem, and write them to one HDF5 file.

    Raises
    ------
    ConfigurationError, DatasetError
        Settings that the problem does not have, a number out of range, or a sample that cannot be made.
    """
    from pde_benchmarks.datasets import generate_meshes
    from pde_benchmarks.registry import configure, mesh_problem_types
    from sciml.commands.console import Terminal, show
    from sciml.report import counted

    posed = configure(mesh_problem_types()[problem], settings)
    count = posed.usual_samples[0] if count is None else count
    with Terminal().bar(f"{problem}: {counted(count, 'sample')}") as advance:
        found = generate_meshes(
            posed, count, seed, output, workers, lambda done, total: advance(done / total, f"{done} of {total}")
        )
    show(_told("fields", posed.fields, found))
    show(_told("scalars given", [spec.name for spec in posed.inputs], found))
    show(_told("scalars predicted", posed.scalars, found))
    nodes = [len(found[i].points) for i in range(len(found))]
    show(f"{counted(len(found), 'sample')} of {min(nodes)} to {max(nodes)} nodes in {output}")


def _told(what: str, names: tuple[str, ...] | list[str], found: MeshSet) -> str:
    return f"{what}: " + (", ".join(f"{name} ({found.units.get(name, '1')})" for name in names) or "none")
