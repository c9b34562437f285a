"""Draws from the predictive distribution of one mesh, a few at a time, and what they say of largest values."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Generator, Tensor

from meshes import Mesh
from sciml.experiments.data import Watcher
from sciml.learners.mmgp.prediction import MeshPrediction
from sciml.report import Cell, counted

__all__ = ["Draws", "draw"]

#: Draws at a time, so that the bar moves.
_AT_ONCE = 20
_LEVELS = (0.025, 0.975)


@dataclass(frozen=True)
class Draws:
    """Fields ``(count, n)`` by name, drawn jointly."""

    fields: dict[str, Tensor]

    def extremes(self) -> list[list[Cell]]:
        """Rows of a table under `columns`: of each field the smallest and largest value over the nodes."""
        rows: list[list[Cell]] = []
        for name, values in self.fields.items():
            for what, found in (("smallest", values.amin(dim=1)), ("largest", values.amax(dim=1))):
                low, high = (float(found.quantile(level)) for level in _LEVELS)
                rows.append([f"{what} {name}", float(found.mean()), low, high])
        return rows

    @staticmethod
    def columns() -> tuple[str, ...]:
        """Headings of `extremes`."""
        return ("over the nodes", "mean", *(f"{100 * level:g} %" for level in _LEVELS))

    def on(self, mesh: Mesh) -> Mesh:
        """The mesh with point fields ``NAME_draw_1``, ``NAME_draw_2``, …"""
        drawn = {
            f"{name}_draw_{number}": np.asarray(one)
            for name, values in self.fields.items()
            for number, one in enumerate(values.numpy(), start=1)
        }
        return replace(mesh, point_data={**mesh.point_data, **drawn})


def draw(prediction: MeshPrediction, count: int, seed: int, watcher: Watcher) -> Draws:
    """Draw the fields of a mesh so many times, without what is drawn node by node (`MeshPrediction.smooth_samples`)."""
    generator = Generator().manual_seed(seed)
    parts: list[dict[str, Tensor]] = []
    with watcher.bar(counted(count, "draw")) as advance:
        for begin in range(0, count, _AT_ONCE):
            advance(begin / count, f"{begin} of {count}")
            parts.append(prediction.smooth_samples(min(_AT_ONCE, count - begin), generator).fields)
    return Draws({name: torch.cat([part[name] for part in parts]) for name in prediction.mean})
