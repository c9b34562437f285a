"""Experiments on meshes of varying shape: data generated or read, a learner trained and judged, a report."""

from sciml.mesh_experiments.conduct import (
    MeshOutcome,
    conduct_on_meshes,
    predicted_meshes,
    present_on_meshes,
    reopen_on_meshes,
)
from sciml.mesh_experiments.data import MeshData, with_meshes
from sciml.mesh_experiments.experiment import MeshExperiment
from sciml.mesh_experiments.recorded import holds_meshes, read_meshes_like
from sciml.mesh_experiments.remarks import remarks
from sciml.mesh_experiments.results import result_columns, result_rows

__all__ = [
    "MeshData",
    "MeshExperiment",
    "MeshOutcome",
    "conduct_on_meshes",
    "holds_meshes",
    "predicted_meshes",
    "present_on_meshes",
    "read_meshes_like",
    "remarks",
    "reopen_on_meshes",
    "result_columns",
    "result_rows",
    "with_meshes",
]
