"""A graph network on the data of MMGP: the baseline that learns the fields of a family of parts from its meshes.

Needs PyTorch Geometric (``pip install torch_geometric``). The network is told what MMGP is told: the mesh with its
named sets and the given scalars.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch_geometric.data import Batch

from meshes import Mesh
from parts.mmgp_graph_layers import GraphNetwork
from parts.mmgp_graph_scales import GraphScales
from parts.mmgp_graph_training import Budget, ProcessorSeconds, Rates, one_thread, train, validation_error
from parts.mmgp_graphs import GraphReader
from sciml.errors import LearnerError
from sciml.learners.mmgp.parts import PartFamily

__all__ = ["GRAPH_SETTINGS", "FittedGraphNetwork", "GraphSettings", "Trial", "fit_graph_network", "graph_network"]

Array = NDArray[Any]

#: Shares of the training meshes for the choice of settings and weights, and of the budget for the trials together.
VALIDATION_SHARE, TRIALS_SHARE = 0.1, 0.3


@dataclass(frozen=True)
class GraphSettings:
    """Size of the network (see `GraphNetwork`), its largest learning rate, and the meshes of a step."""

    width: int
    cycles: int
    learning_rate: float
    batch: int = 1


#: What is tried on the validation meshes. In a budget of minutes many small steps do more than few large ones.
GRAPH_SETTINGS = (GraphSettings(64, 2, 3e-3), GraphSettings(48, 3, 5e-3), GraphSettings(96, 2, 2e-3, batch=2))


@dataclass(frozen=True)
class Trial:
    """Settings and the error (mean RRMSE of the fields) that they reach on the validation meshes."""

    settings: GraphSettings
    validation_error: float
    steps: int


@dataclass(frozen=True)
class FittedGraphNetwork:
    """A trained network, and how it was chosen.

    ``trials`` are the short ones, ``final`` the long one; ``losses`` are those of its steps.
    """

    reader: GraphReader
    scales: GraphScales
    network: GraphNetwork
    trials: tuple[Trial, ...]
    final: Trial
    losses: list[float] = field(repr=False)

    def predict(self, mesh: Mesh) -> dict[str, Array]:
        """Fields by name ``(n,)``, float64, at the nodes of a mesh."""
        graph = self.reader.read(mesh, is_solved=False)
        with one_thread(), torch.no_grad():
            y = self.network.eval()(Batch.from_data_list([self.scales.inputs(graph)]))
        values = np.empty(y.shape)
        values[graph.order.numpy()] = self.scales.fields(y).numpy()
        return dict(zip(self.reader.family.fields, values.T, strict=True))


def graph_network(
    train: Sequence[Mesh], test: Sequence[Mesh], family: PartFamily, seconds: float, seed: int, dimension: int
) -> list[dict[str, Array]]:
    """Fields by name ``(n,)`` on every test mesh, by a network trained for some seconds of processor time.

    Raises
    ------
    LearnerError
        A mesh of another dimension, or as `fit_graph_network`.
    """
    for mesh in (*train, *test):
        if mesh.space_dimension != dimension:
            raise LearnerError(f"a mesh has {mesh.space_dimension} coordinates: expected {dimension}.")
    fitted = fit_graph_network(train, family, ProcessorSeconds(seconds), seed)
    return [fitted.predict(mesh) for mesh in test]


def fit_graph_network(
    meshes: Sequence[Mesh],
    family: PartFamily,
    budget: Budget,
    seed: int,
    settings: Sequence[GraphSettings] = GRAPH_SETTINGS,
) -> FittedGraphNetwork:
    """Choose settings by short trials, and go on with the best for what is left of the budget.

    Everything counts: reading the meshes, the trials, the training.

    Raises
    ------
    LearnerError
        Fewer than two meshes, no fields, or a mesh that lacks something.
    """
    if len(meshes) < 2 or not family.fields:
        raise LearnerError(f"{len(meshes)} meshes, {len(family.fields)} fields: expected two meshes and one field.")
    with one_thread():
        reader = GraphReader.of(meshes, family)
        graphs = [reader.read(mesh, is_solved=True) for mesh in meshes]
        order = torch.randperm(len(graphs), generator=torch.Generator().manual_seed(seed)).tolist()
        held = max(1, round(VALIDATION_SHARE * len(graphs)))
        scales = GraphScales.of([graphs[i] for i in order[held:]])
        ready = [scales.targets(scales.inputs(graph)) for graph in graphs]
        chosen = [ready[i] for i in order[held:]], [ready[i] for i in order[:held]]
        return _choose(reader, scales, *chosen, budget, seed, settings)


def _choose(
    reader: GraphReader,
    scales: GraphScales,
    training: list[Any],
    validation: list[Any],
    budget: Budget,
    seed: int,
    settings: Sequence[GraphSettings],
) -> FittedGraphNetwork:
    def run(network: GraphNetwork, one: GraphSettings, part: Budget) -> tuple[Trial, GraphNetwork, list[float]]:
        rates = Rates(one.learning_rate, one.batch)
        losses = train(network, training, validation, part, rates, torch.Generator().manual_seed(seed + 1))
        return Trial(one, validation_error(network, validation), len(losses)), network, losses

    best, start = settings[0], _network(settings[0], training, seed)
    trials: list[Trial] = []
    if len(settings) > 1:
        share = TRIALS_SHARE / len(settings)
        found = [run(_network(one, training, seed), one, budget.part(share)) for one in settings]
        trials = [trial for trial, _, _ in found]
        first, start, _ = min(found, key=lambda one: one[0].validation_error)
        best = first.settings
    final, network, losses = run(start, best, budget.rest())
    return FittedGraphNetwork(reader, scales, network, tuple(trials), final, losses)


def _network(settings: GraphSettings, graphs: Sequence[Any], seed: int) -> GraphNetwork:
    x, shape, y = graphs[0].x, graphs[0].within_shape_0, graphs[0].y
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GraphNetwork(x.shape[1], shape.shape[1], y.shape[1], settings.width, settings.cycles)
