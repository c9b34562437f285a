"""``sciml mesh``: what is in a mesh file, whether it is sound, the same in another format, and pictures of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from meshes import Mesh

__all__ = ["check", "convert", "info", "plot"]

File = Annotated[Path, typer.Argument(help="mesh file: .vtu, .vtk, .msh, .xdmf, .inp, .stl, .ply, .obj, .med, ...")]


def info(file: File) -> None:
    """Show what a mesh file holds: points, cells, fields, sets, extent, quality."""
    from meshes import cell_volumes, read_mesh
    from sciml.commands.console import show

    mesh = read_mesh(file)
    show(f"{file}: {mesh!r}")
    if len(mesh.points):
        low, high = mesh.points.min(axis=0), mesh.points.max(axis=0)
        show("extent: " + " × ".join(f"[{a:.6g}, {b:.6g}]" for a, b in zip(low, high, strict=True)))
    total = sum(float(v.sum()) for v in cell_volumes(mesh).values())
    name = {1: "length", 2: "area", 3: "volume"}.get(mesh.dimension)
    if name:
        show(f"{name}: {total:.6g}, in the units of the points")
        show(_quality(mesh))


def check(file: File) -> None:
    """Look for defects of a mesh: the exit code is 2 if there are any."""
    from meshes import MeshError, check_mesh, read_mesh
    from sciml.commands.console import show

    mesh = read_mesh(file)
    if not mesh.cell_count:
        raise MeshError(f"{file}: a mesh without cells ({len(mesh.points)} points): nothing can be computed on it")
    report = check_mesh(mesh)
    for finding in report.findings():
        show(finding)
    if not report.is_sound:
        kinds = len(report.findings())
        raise MeshError(f"{file}: {kinds} kinds of defects; `sciml mesh convert --repair` mends what can be mended")
    show(f"{file}: the mesh is sound. {_quality(mesh)}")


def convert(
    file: File,
    output: Annotated[Path, typer.Argument(help="file to write; its ending names the format")],
    repair: Annotated[
        bool, typer.Option("--repair", help="mend what can be mended, and say what was and what remains")
    ] = False,
) -> None:
    """Write a mesh in another format; what the format cannot hold is listed."""
    import warnings

    from meshes import MeshFileWarning, check_mesh, read_mesh, repair_mesh, write_mesh
    from sciml.commands.console import Terminal, show

    mesh = read_mesh(file)
    if repair:
        for finding in check_mesh(mesh).findings():
            Terminal().say(f"found: {finding}")
        mesh, remaining = repair_mesh(mesh)
        for finding in remaining.findings():
            Terminal().say(f"remains: {finding}")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", MeshFileWarning)
        write_mesh(output, mesh)
    for remark in told:
        Terminal().say(str(remark.message))
    show(f"mesh in {output}.")


def plot(
    file: File,
    output: Annotated[Path, typer.Option("--output", "-o", help="picture .png, or scene .html for a browser")],
    field: Annotated[str | None, typer.Option(help="point or cell field that gives the colours")] = None,
) -> None:
    """Draw a mesh: an image, or a page in which it can be turned and zoomed."""
    from meshes import read_mesh
    from sciml.commands.console import show
    from sciml.errors import ConfigurationError
    from sciml.files import write_bytes
    from sciml.mesh_pictures import mesh_picture, mesh_scene

    if output.suffix.lower() not in (".png", ".html"):
        raise ConfigurationError(f"--output {output}: the name must end in .png or .html.")
    mesh = read_mesh(file)
    if output.suffix.lower() == ".png":
        write_bytes(output, mesh_picture(mesh, field))
    else:
        write_bytes(output, mesh_scene(mesh, field, file.name).encode())
    show(f"picture in {output}.")


def _quality(mesh: Mesh) -> str:
    """One line about the worst and the typical cell."""
    import numpy as np

    from meshes import scaled_jacobians

    values = np.concatenate([np.zeros(0), *scaled_jacobians(mesh).values()])
    if not values.size:
        return "quality: no cells"
    return f"scaled Jacobian: smallest {values.min():.3g}, median {np.median(values):.3g} (1 is best, ≤ 0 inverted)"
