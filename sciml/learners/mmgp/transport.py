"""The pass over the training set: every sample onto the common mesh, shapes and fields to the disk."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from meshes.mesh import Mesh
from sciml.learners.mmgp.alignment import turned
from sciml.learners.mmgp.carrying import Carrier
from sciml.learners.mmgp.faults import in_sample
from sciml.learners.mmgp.parts import PartFamily, field_values
from sciml.learners.mmgp.probes import Probe, probe_nodes
from sciml.learners.mmgp.snapshots import SnapshotFile
from sciml.learners.mmgp.transfer import Transfer
from sciml.learners.mmgp.variants import Variant

__all__ = ["TransferFloor", "Transported", "transport"]


@dataclass(frozen=True)
class TransferFloor:
    """f − Q P f of a field, on the scale on which it is predicted: no regression on the common mesh goes below it.

    Attributes
    ----------
    variance
        Mean of its square at the common nodes ``(N,)``.
    rrmse
        √(mean over samples of the mean squared loss over the nodes / max f²) of the field itself, samples without any
        values left out.
    """

    variance: Tensor
    rrmse: float


@dataclass(frozen=True)
class Transported:
    """The training set on the common mesh.

    Attributes
    ----------
    shape
        Coordinates ``(count, d N)``.
    fields
        Key of a variant to values ``(count, N)``.
    floors
        Key of a variant to what the transfer loses.
    probes
        Of every sample, some of its own nodes.
    """

    shape: SnapshotFile
    fields: dict[str, SnapshotFile]
    floors: dict[str, TransferFloor]
    probes: list[Probe]


def transport(
    meshes: Sequence[Mesh],
    carrier: Carrier,
    family: PartFamily,
    variants: Mapping[str, Variant],
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
) -> Transported:
    """Carry all samples; one of them is in memory at a time.

    Parameters
    ----------
    variants
        Key to a field on the scale on which it is predicted.
    folder
        An empty folder for the snapshots, removed by the caller.

    Raises
    ------
    MeshError, MorphingError
        A sample cannot be morphed; the message names it.
    """
    size = len(carrier.common.mesh.points)
    dimension = meshes[0].space_dimension
    shape = SnapshotFile(folder / "shape.bin", dimension * size)
    fields = {key: SnapshotFile(folder / f"field_{i}.bin", size) for i, key in enumerate(variants)}
    losses = {key: _Loss(torch.zeros(size, dtype=torch.float64)) for key in variants}
    probes = []
    for number, mesh in enumerate(meshes):
        with in_sample(number):
            carried = carrier.carry(mesh)
        shape.append(carried.shape)
        own = {name: torch.from_numpy(field_values(mesh, name)) for name in family.fields}
        if carried.rotation is not None:
            own = turned(own, family.vectors, carried.rotation)
        chosen = probe_nodes(len(mesh.points), len(meshes), number)
        seen, lost = {}, {}
        for key, variant in variants.items():
            values = variant.transform.forward(own[variant.field])
            there = carried.transfer.to_common @ values.numpy()
            fields[key].append(torch.from_numpy(there))
            back = torch.from_numpy(carried.transfer.to_mesh @ there)
            losses[key].add(own[variant.field], variant.transform.inverse(back), values - back, carried.transfer)
            seen[key], lost[key] = values[chosen], (values - back)[chosen]
        probes.append(Probe(carried.transfer.to_mesh[chosen], seen, lost))
        if progress is not None:
            progress(number + 1, len(meshes))
    floors = {name: TransferFloor(loss.squares / len(meshes), loss.rrmse) for name, loss in losses.items()}
    return Transported(shape, fields, floors, probes)


@dataclass
class _Loss:
    """Sums over samples of what one field loses."""

    squares: Tensor
    relative: float = 0.0
    count: int = 0

    def add(self, values: Tensor, back: Tensor, lost: Tensor, both: Transfer) -> None:
        self.squares += torch.from_numpy(both.to_common @ lost.square().numpy())
        largest = float(values.abs().max())
        if largest > 0:
            self.relative += float((values - back).square().mean()) / largest**2
            self.count += 1

    @property
    def rrmse(self) -> float:
        return math.sqrt(self.relative / self.count) if self.count else 0.0
