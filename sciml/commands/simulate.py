"""``sciml simulate``: run a flow, film it, and say where the time went."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from pde_benchmarks.smoke import Simulation
    from sciml.simulations import Journal, PlumeSettings

__all__ = ["smoke"]

SECONDS = 10.0  # between two checkpoints
_KEPT = ("checkpoint.safetensors", "steps.csv", "config.json", "figure.png", "fields.h5", "fields.vti")


def smoke(
    resolution: Annotated[int, typer.Option(help="cells along every axis of the unit box")] = 64,
    dimension: Annotated[int, typer.Option(min=2, max=3, help="2 or 3")] = 3,
    solver: Annotated[
        str,
        typer.Option(
            help="of the pressure: dcdm (learned), mgcg, mgcg-tuned, mgcg-weighted, amg-cg, ic-cg, mic-cg, jacobi-cg, "
            "cg or direct"
        ),
    ] = "mgcg",
    tolerance: Annotated[
        float | None, typer.Option(help="relative residual of the pressure solves; 1e-6 unless given, 1e-4 in float32")
    ] = None,
    obstacle: Annotated[str, typer.Option(help="none, ball, or a mesh file such as bunny.stl")] = "ball",
    obstacle_size: Annotated[float, typer.Option(help="largest extent of an obstacle from a file")] = 0.3,
    steps: Annotated[int, typer.Option(min=1, help="time steps in all")] = 200,
    dt: Annotated[float, typer.Option(help="largest time step; it is shorter where the flow is fast")] = 0.02,
    advection: Annotated[Literal["maccormack", "semi-lagrangian"], typer.Option(help="how smoke is carried")] = (
        "maccormack"
    ),
    confinement: Annotated[float, typer.Option(min=0.0, help="strength of the vorticity confinement")] = 0.0,
    viscosity: Annotated[float, typer.Option(min=0.0, help="kinematic viscosity (implicit)")] = 0.0,
    dtype: Annotated[Literal["float32", "float64"], typer.Option(help="precision")] = "float64",
    video: Annotated[Path | None, typer.Option(help="film to write: .mp4 (needs ffmpeg) or .gif")] = None,
    fields: Annotated[Literal["h5", "vti"], typer.Option(help="format of the fields at the end")] = "h5",
    output: Annotated[Path, typer.Option("--output", "-o", "--out", help="folder of everything else")] = Path(
        "runs/smoke"
    ),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an earlier simulation there")] = False,
) -> None:
    """Let a warm plume rise in a box that is open at the top, round an obstacle.

    An interrupted simulation goes on where it stopped, and a finished one where more --steps are asked for. The folder
    holds figure.png, the fields at the end, steps.csv, config.json and the checkpoint.
    """
    from sciml.commands.console import Terminal, show
    from sciml.simulations import Journal, PlumeSettings
    from sciml.simulations.films import check_film

    if video is not None:
        check_film(video)
    if tolerance is None:
        tolerance = 1e-6 if dtype == "float64" else 1e-4
    settings = PlumeSettings(
        resolution,
        dimension,
        solver,
        tolerance,
        obstacle,
        obstacle_size,
        dt,
        advection,
        confinement,
        viscosity,
        dtype,
    )
    simulation = settings.simulation()
    _prepare(output, settings, overwrite)
    journal = Journal.resume(output, simulation, asdict(settings))
    if journal is not None and simulation.state.steps < steps:
        Terminal().say(f"{output}: goes on after step {simulation.state.steps}.")
    journal = _run(simulation, journal, settings, steps, output)
    _tell(journal, simulation, settings)
    _write(simulation, journal, settings, output, fields, video)
    show(f"figure, fields and steps in {output}{'' if video is None else f', film in {video}'}.")


def _prepare(output: Path, settings: PlumeSettings, overwrite: bool) -> None:
    """Make the folder; raise where it holds something else."""
    from sciml.errors import RunError
    from sciml.files import write_json
    from sciml.runs import hardware, versions

    inside = {path.name for path in output.iterdir()} if output.is_dir() else set()
    if inside and not inside & {"config.json", "checkpoint.safetensors"}:
        raise RunError(f"{output}: not empty, and not of a simulation: choose another folder by -o, or an empty one.")
    if overwrite:
        for name in _KEPT:
            (output / name).unlink(missing_ok=True)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{output}: cannot be made ({error.strerror or error}): choose another folder by -o.") from error
    if not (output / "checkpoint.safetensors").is_file():
        config = {"settings": asdict(settings), "versions": versions(), "hardware": hardware()}
        write_json(output / "config.json", config)


def _run(simulation: Simulation, journal: Journal | None, settings: PlumeSettings, steps: int, output: Path) -> Journal:
    """Take the steps that are missing, with a checkpoint every ten seconds and at the end."""
    from dataclasses import replace
    from time import monotonic

    from pde_benchmarks.smoke import CourantSteps
    from sciml.commands.console import Terminal
    from sciml.simulations import STEPS_A_FRAME, Journal, Row
    from sciml.simulations.pictures import frame_of

    kept = asdict(settings)
    if journal is None:
        grid = simulation.flow.domain.grid
        journal = Journal.empty((grid.shape[0], grid.shape[1])).with_frame(frame_of(simulation.state))
    if simulation.state.steps < steps:  # compiled code is loaded, or made, before anything is timed
        replace(settings, resolution=16, obstacle="none").simulation().step(1e-3)
    clock, saved = CourantSteps(settings.dt), monotonic()
    with Terminal().bar(f"smoke, {settings.resolution} cells an axis, {settings.solver}") as advance:
        for report in simulation.run(max(steps - simulation.state.steps, 0), clock):
            state = simulation.state
            journal = journal.with_row(Row.of(report, state.time, settings.tolerance))
            if state.steps % STEPS_A_FRAME == 0:
                journal = journal.with_frame(frame_of(state))
            advance(state.steps / steps, f"{int(report.projection.iterations.max())} iterations")
            if monotonic() - saved > SECONDS or state.steps == steps:
                journal.save(output, simulation, kept)
                saved = monotonic()
    return journal


def _tell(journal: Journal, simulation: Simulation, settings: PlumeSettings) -> None:
    """Print where the time went, and how well the pressure was solved."""
    from sciml.commands.console import show, table

    seconds = journal.seconds()
    total = sum(seconds.values())
    rows: list[list[str | float | None]] = [[part, s, 100 * s / total] for part, s in seconds.items()]
    table(f"{len(journal.rows)} steps", ("part", "time, s", "share, %"), [*rows, ["all", total, 100.0]])
    iterations, allowed = journal.column("iterations"), journal.column("allowed")
    moving = allowed > 0
    worst = float((journal.column("outflow")[moving] / allowed[moving]).max()) if bool(moving.any()) else 0.0
    show(
        f"pressure by {settings.solver}: {float(iterations.mean()):.1f} iterations a step (most "
        f"{int(iterations.max())}), largest h |div u| {worst:.2g} of the tolerance"
    )
    show(f"time {simulation.state.time:.4g}, smoke in the box {float(journal.column('mass')[-1]):.4g} cells")


def _write(
    simulation: Simulation,
    journal: Journal,
    settings: PlumeSettings,
    output: Path,
    fields: str,
    video: Path | None,
) -> None:
    """The figure, the fields at the end, and the film."""
    from sciml.files import write_figure
    from sciml.simulations.fields import write_fields
    from sciml.simulations.films import write_film
    from sciml.simulations.pictures import coloured, run_figure, silhouette

    solid = silhouette(simulation.walls.solid)
    title = f"Smoke, {settings.resolution} cells an axis in {settings.dimension}-D, pressure by {settings.solver}"
    write_figure(output / "figure.png", run_figure(journal, solid, title))
    write_fields(output / f"fields.{fields}", simulation)
    if video is not None:
        write_film(video, [coloured(frame, solid) for frame in journal.frames])
