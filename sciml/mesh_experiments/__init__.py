"""Experiments on meshes of varying shape: data generated or read, a learner trained and judged, a report."""

from sciml.mesh_experiments.comparison import MeshComparison
from sciml.mesh_experiments.comparison_tables import (
    cost_columns,
    cost_rows,
    error_columns,
    error_rows,
    worth_columns,
    worth_rows,
)
from sciml.mesh_experiments.conduct import (
    MeshOutcome,
    conduct_on_meshes,
    present_on_meshes,
    reopen_on_meshes,
)
from sciml.mesh_experiments.data import MeshData, with_meshes
from sciml.mesh_experiments.draws import Draws, draw
from sciml.mesh_experiments.experiment import MeshExperiment
from sciml.mesh_experiments.measure import predicted_meshes
from sciml.mesh_experiments.morphing_advice import stranger, working_morphings
from sciml.mesh_experiments.recorded import holds_meshes, read_meshes_like
from sciml.mesh_experiments.remarks import remarks
from sciml.mesh_experiments.results import result_columns, result_rows
from sciml.mesh_experiments.training import require_mirrorable

__all__ = [
    "Draws",
    "MeshComparison",
    "MeshData",
    "MeshExperiment",
    "MeshOutcome",
    "conduct_on_meshes",
    "cost_columns",
    "cost_rows",
    "draw",
    "error_columns",
    "error_rows",
    "holds_meshes",
    "predicted_meshes",
    "present_on_meshes",
    "read_meshes_like",
    "remarks",
    "reopen_on_meshes",
    "require_mirrorable",
    "result_columns",
    "result_rows",
    "stranger",
    "with_meshes",
    "working_morphings",
    "worth_columns",
    "worth_rows",
]
