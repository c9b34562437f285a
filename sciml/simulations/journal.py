"""The course of a simulation, step by step, and its checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pde_benchmarks.smoke import FlowState, Simulation, StepReport
from sciml.errors import RunError
from sciml.files import read_metadata, read_tensors, write_tensors, write_text

__all__ = ["PARTS", "STEPS_A_FRAME", "Journal", "Row"]

PARTS = ("smoke", "velocity", "walls", "pressure set-up", "pressure")
STEPS_A_FRAME = 2
SCHEMA = 1


@dataclass(frozen=True)
class Row:
    """One step of the first sample.

    Attributes
    ----------
    time, dt, courant
        After the step; its length; dt max|u| / h.
    iterations
        Of the pressure solver.
    outflow, allowed
        h max|div u| afterwards, and the tolerance on the residual that bounds it, rtol ‖b‖₂.
    mass
        Sum of the density over the cells.
    smoke, velocity, walls, pressure_setup, pressure
        Seconds.
    """

    time: float
    dt: float
    courant: float
    iterations: float
    outflow: float
    allowed: float
    mass: float
    smoke: float
    velocity: float
    walls: float
    pressure_setup: float
    pressure: float

    @classmethod
    def of(cls, report: StepReport, time: float, rtol: float) -> Row:
        """What a report says."""
        done = report.projection
        return cls(
            time,
            report.dt,
            report.courant,
            float(done.iterations.max()),
            float(done.outflow.max()),
            rtol * float(done.rhs_norm.max()),
            float(report.mass.sum()),
            *(report.seconds[part] for part in PARTS),
        )


@dataclass(frozen=True, eq=False)
class Journal:
    """All that a simulation has told.

    Parameters
    ----------
    rows
        ``(steps, columns of Row)``, float64.
    frames
        Pictures ``(frames, nx, ny)``, float32: the start, and one every `STEPS_A_FRAME` steps.
    """

    rows: Tensor
    frames: Tensor

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> Journal:
        """Before the first step."""
        return cls(torch.zeros(0, len(fields(Row)), dtype=torch.float64), torch.zeros(0, *shape))

    def with_row(self, row: Row) -> Journal:
        """One step more."""
        values = torch.tensor([[getattr(row, field.name) for field in fields(Row)]], dtype=torch.float64)
        return replace(self, rows=torch.cat([self.rows, values]))

    def with_frame(self, frame: Tensor) -> Journal:
        """One picture more."""
        return replace(self, frames=torch.cat([self.frames, frame[None]]))

    def column(self, name: str) -> Tensor:
        """One of the numbers of `Row`, of every step."""
        return self.rows[:, [field.name for field in fields(Row)].index(name)]

    def time_of(self, frame: int) -> float:
        """When a frame was taken."""
        return 0.0 if frame == 0 else float(self.column("time")[frame * STEPS_A_FRAME - 1])

    def seconds(self) -> dict[str, float]:
        """Time of every part, over all steps."""
        return {part: float(self.column(part.replace(" ", "_").replace("-", "")).sum()) for part in PARTS}

    def to_csv(self) -> str:
        """The rows as text, numbered from 1."""
        lines = [",".join(["step", *(field.name for field in fields(Row))])]
        lines += [",".join([str(k), *(f"{x:.9g}" for x in row)]) for k, row in enumerate(self.rows.tolist(), 1)]
        return "\n".join(lines) + "\n"

    def save(self, folder: Path, simulation: Simulation, settings: Mapping[str, Any]) -> None:
        """Write ``checkpoint.safetensors`` and ``steps.csv``; raises RunError if the disk does not take them."""
        state = simulation.state
        tensors = {"rows": self.rows, "frames": self.frames}
        tensors |= {f"velocity_{a}": u for a, u in enumerate(state.velocity)}
        tensors |= {f"tendency_{a}": u for a, u in enumerate(state.tendency or ())}
        tensors |= {f"past_{k}": s for k, s in enumerate(simulation.projection.past.tensors())}
        scalars = {"density": state.density, "temperature": state.temperature, "pressure": simulation.pressure}
        tensors |= {name: values for name, values in scalars.items() if values is not None}
        clock = {"time": state.time, "steps": state.steps, "last_step": state.last_step}
        write_tensors(
            folder / "checkpoint.safetensors", tensors, {"schema": SCHEMA, "settings": dict(settings), **clock}
        )
        write_text(folder / "steps.csv", self.to_csv())

    @classmethod
    def resume(cls, folder: Path, simulation: Simulation, settings: Mapping[str, Any]) -> Journal | None:
        """Set `simulation` to where the checkpoint in `folder` is; None if there is none.

        Raises
        ------
        RunError
            The checkpoint is damaged, of other settings or from a newer version.
        """
        path = folder / "checkpoint.safetensors"
        if not path.is_file():
            return None
        kept, tensors = read_metadata(path), read_tensors(path)
        if kept.get("schema") != SCHEMA:
            raise RunError(f"{path}: schema {kept.get('schema')}, this version reads {SCHEMA}: give --overwrite.")
        earlier = kept["settings"]
        other = [key for key in settings if earlier.get(key) != settings[key]]
        if other:
            raise RunError(
                f"{folder}: a simulation of other settings is there ({other[0]} was {earlier.get(other[0])!r}, now "
                f"{settings[other[0]]!r}): give --overwrite, or another folder by -o."
            )

        def numbered(name: str) -> list[Tensor]:
            count = sum(key.startswith(f"{name}_") for key in tensors)
            return [tensors[f"{name}_{k}"] for k in range(count)]

        simulation.resume(
            FlowState(
                tuple(numbered("velocity")),
                tensors.get("density"),
                tensors.get("temperature"),
                kept["time"],
                kept["steps"],
                tuple(numbered("tendency")) or None,
                kept["last_step"],
            ),
            numbered("past"),
            tensors.get("pressure"),
        )
        return cls(tensors["rows"], tensors["frames"])
