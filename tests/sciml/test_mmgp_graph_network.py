"""The graph network beside MMGP: what it computes does not depend on numbering or batching, and it learns."""

import itertools
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from mmgp_parts import CORNERS, arches

pytest.importorskip("torch_geometric")
sys.path.append(str(Path(__file__).resolve().parents[2] / "docs" / "benchmarks"))  # last: its files are no packages

from parts.mmgp_graph_layers import GraphNetwork
from parts.mmgp_graph_network import GraphSettings, fit_graph_network, graph_network
from parts.mmgp_graph_scales import GraphScales
from parts.mmgp_graph_training import Steps
from parts.mmgp_graphs import LEVELS, GraphReader, MeshGraph
from torch_geometric.data import Batch

from meshes.renumbering import renumbered
from sciml.errors import LearnerError
from sciml.learners.mmgp.parts import PartFamily

FAMILY = PartFamily(fields=("w", "s"), input_scalars=("load",), landmarks=CORNERS)
TINY = (GraphSettings(width=16, cycles=1, learning_rate=5e-3),)


@pytest.fixture(scope="module")
def parts():
    return arches(8)


@pytest.fixture(scope="module")
def fitted(parts):
    return fit_graph_network(parts[:6], FAMILY, Steps(60), seed=0, settings=TINY)


@pytest.fixture(scope="module")
def ready(parts):
    """Standardised graphs, and a network with random weights."""
    reader = GraphReader.of(parts, FAMILY)
    graphs = [reader.read(mesh, is_solved=True) for mesh in parts]
    scales = GraphScales.of(graphs)
    graphs = [scales.targets(scales.inputs(graph)) for graph in graphs]
    torch.manual_seed(0)
    edge_channels = graphs[0].within_shape_0.shape[1]
    return graphs, GraphNetwork(graphs[0].x.shape[1], edge_channels, 2, width=16, cycles=2)


def permuted(graph, order, generator):
    """The graph whose i-th node of the mesh is node ``order[i]``, with its edges shuffled."""
    new = torch.argsort(order)
    turned = graph.clone()
    turned.x, turned.y = graph.x[order], graph.y[order]
    shuffle = torch.randperm(graph.within_0.shape[1], generator=generator)
    turned.within_0, turned.within_shape_0 = new[graph.within_0][:, shuffle], graph.within_shape_0[shuffle]
    turned.upward_0 = torch.stack([new[graph.upward_0[0]], graph.upward_0[1]])
    return turned


def test_the_network_is_equivariant_to_permutations_of_the_nodes(ready):
    graphs, network = ready
    generator = torch.Generator().manual_seed(1)
    order = torch.randperm(len(graphs[0].x), generator=generator)
    turned = network(Batch.from_data_list([permuted(graphs[0], order, generator)]))
    plain = network(Batch.from_data_list(graphs[:1]))
    torch.testing.assert_close(turned, plain[order], rtol=1e-5, atol=1e-5)


def test_a_batch_gives_what_its_graphs_give_one_by_one(ready):
    graphs, network = ready
    together = network(Batch.from_data_list(graphs[:3]))
    single = torch.cat([network(Batch.from_data_list([graph])) for graph in graphs[:3]])
    torch.testing.assert_close(together, single, rtol=1e-5, atol=1e-5)


def test_a_node_feels_every_other_node(ready):
    """One cycle reaches from end to end: no derivative of the output at one node is zero."""
    graphs, _ = ready
    graph = Batch.from_data_list(graphs[:1])
    graph.x = graph.x.clone().requires_grad_()
    network = GraphNetwork(graph.x.shape[1], graph.within_shape_0.shape[1], 1, width=16, cycles=1)
    network(graph)[0].sum().backward()
    assert (graph.x.grad.abs().amax(dim=1) > 0).all()


def test_every_node_is_linked_to_a_coarser_level(ready):
    for graph in ready[0]:
        counts = graph.counts[0].tolist()
        assert len(counts) == LEVELS
        assert all(fine > 2 * coarse for fine, coarse in itertools.pairwise(counts))
        for level in range(LEVELS - 1):
            fine, coarse = graph[f"upward_{level}"]
            assert len(fine.unique()) == counts[level]
            assert len(coarse.unique()) == counts[level + 1]


def test_a_renumbered_mesh_gives_the_renumbered_answer(fitted, parts):
    order = np.random.default_rng(0).permutation(len(parts[7].points))
    plain, turned = fitted.predict(parts[7]), fitted.predict(renumbered(parts[7], order))
    for name in FAMILY.fields:
        np.testing.assert_allclose(turned[name], plain[name][order], rtol=1e-5, atol=1e-5)


def test_the_loss_falls_and_predictions_beat_the_mean(fitted, parts):
    assert np.mean(fitted.losses[-10:]) < 0.3 * np.mean(fitted.losses[:5])
    for name in FAMILY.fields:
        mean = np.concatenate([part.point_data[name] for part in parts[:6]]).mean()
        truth = np.concatenate([part.point_data[name] for part in parts[6:]])
        found = np.concatenate([fitted.predict(part)[name] for part in parts[6:]])
        assert np.linalg.norm(found - truth) < 0.6 * np.linalg.norm(mean - truth)


def test_fields_of_another_unit_give_predictions_of_that_unit(fitted, parts):
    """Four times the field is exactly four times the prediction: a power of two is not rounded."""
    scaled = [replace(p, point_data={**p.point_data, "s": 4 * p.point_data["s"]}) for p in parts[:6]]
    again = fit_graph_network(scaled, FAMILY, Steps(60), seed=0, settings=TINY)
    np.testing.assert_allclose(again.predict(parts[7])["s"], 4 * fitted.predict(parts[7])["s"], rtol=1e-6)
    np.testing.assert_allclose(again.predict(parts[7])["w"], fitted.predict(parts[7])["w"], rtol=1e-6)


def test_the_best_trial_goes_on_for_the_rest_of_the_budget(parts):
    settings = (TINY[0], GraphSettings(width=16, cycles=1, learning_rate=1e-6))
    budget = Steps(40)
    fitted = fit_graph_network(parts[:6], FAMILY, budget, seed=0, settings=settings)
    slow = fitted.trials[1]
    assert fitted.final.settings == settings[0]
    assert fitted.final.validation_error <= fitted.trials[0].validation_error < slow.validation_error
    assert sum(trial.steps for trial in (*fitted.trials, fitted.final)) == budget.made == 40


def test_a_budget_in_seconds_leaves_torch_as_it_was(parts):
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    (found,) = graph_network(parts[:4], parts[7:], FAMILY, 0.3, seed=0, dimension=2)
    assert {name: values.shape for name, values in found.items()} == dict.fromkeys("ws", parts[7].points.shape[:1])
    assert all(np.isfinite(values).all() for values in found.values())
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_what_a_mesh_lacks_is_named(fitted, parts):
    sets = {name: nodes for name, nodes in parts[7].node_sets.items() if name != "toe"}
    with pytest.raises(LearnerError, match="'toe'"):
        fitted.predict(replace(parts[7], node_sets=sets))
    with pytest.raises(LearnerError, match="'load'"):
        fitted.predict(replace(parts[7], global_data={}))
    with pytest.raises(LearnerError, match="expected 3"):
        graph_network(parts[:4], parts[7:], FAMILY, 0.3, seed=0, dimension=3)
    with pytest.raises(LearnerError, match="two meshes"):
        fit_graph_network(parts[:1], FAMILY, Steps(1), seed=0)


def test_fields_of_a_new_mesh_need_not_be_known(fitted, parts):
    known, unknown = fitted.predict(parts[7]), fitted.predict(replace(parts[7], point_data={}))
    assert isinstance(fitted.reader.read(replace(parts[7], point_data={}), is_solved=False), MeshGraph)
    for name in FAMILY.fields:
        np.testing.assert_array_equal(known[name], unknown[name])
