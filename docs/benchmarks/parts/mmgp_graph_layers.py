"""A graph network of several levels: it encodes nodes, exchanges messages up and down the levels, and decodes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing

from parts.mmgp_graphs import LEVELS, MeshGraph

__all__ = ["Exchange", "GraphNetwork"]


class Exchange(MessagePassing):
    """Receivers are updated by the mean of the messages of their senders, and keep what they had (a residual).

    A message is σ(A sender + B receiver + C edge) ⊙ (1 + D edge): an edge network of one hidden layer as in
    MeshGraphNets (Pfaff et al. 2021), whose last linear layer follows the mean, with which it commutes: at one node
    instead of at six edges. The factor lets it take differences along directions.
    """

    def __init__(self, width: int, edge_channels: int) -> None:
        super().__init__(aggr=None)
        self.norm_senders, self.norm_receivers = nn.LayerNorm(width), nn.LayerNorm(width)
        self.sent = nn.Linear(width, width)
        self.received = nn.Linear(width, width, bias=False)
        self.edge = nn.Linear(edge_channels, width, bias=False)
        self.factor = nn.Linear(edge_channels, width)
        self.update_nodes = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, senders: Tensor, receivers: Tensor, edges: Tensor, shape: Tensor) -> Tensor:
        """New latent vectors ``(receivers, width)`` over edges ``(2, e)`` of the given shape ``(e, channels)``."""
        own = self.norm_receivers(receivers)
        sent, received = self.sent(self.norm_senders(senders)), self.received(own)
        messages = (sent, received)
        mean = self.propagate(edges, messages=messages, shape=shape, size=(len(senders), len(receivers)))
        return receivers + self.update_nodes(torch.cat([own, mean], dim=1))

    def message(self, messages_i: Tensor, messages_j: Tensor, shape: Tensor) -> Tensor:
        """Of every edge ``(e, width)``."""
        hidden = nn.functional.silu(messages_i + messages_j + self.edge(shape))
        return hidden * (1 + self.factor(shape))

    def aggregate(self, inputs: Tensor, index: Tensor, dim_size: int) -> Tensor:
        """The mean at each receiver; on a processor several times faster than the usual scatter."""
        total = inputs.new_zeros(dim_size, inputs.shape[1]).index_add_(0, index, inputs)
        count = torch.bincount(index, minlength=dim_size).clamp(min=1)
        return total / count[:, None]


class Cycle(nn.Module):
    """Messages from the mesh up through the coarse levels to the mean of everything, and down again."""

    def __init__(self, width: int, edge_channels: int) -> None:
        super().__init__()

        def exchanges(count: int) -> nn.ModuleList:
            return nn.ModuleList(Exchange(width, edge_channels) for _ in range(count))

        self.before, self.after = exchanges(LEVELS), exchanges(LEVELS - 1)
        self.upward, self.downward = exchanges(LEVELS - 1), exchanges(LEVELS - 1)
        self.overall = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, latent: list[Tensor], graph: MeshGraph) -> list[Tensor]:
        """New latent vectors of all levels."""
        latent = list(latent)
        for level, exchange in enumerate(self.before):
            latent[level] = _within(exchange, level, latent[level], graph)
            if level + 1 < LEVELS:
                edges, shape = graph[f"upward_{level}"], graph[f"upward_shape_{level}"]
                latent[level + 1] = self.upward[level](latent[level], latent[level + 1], edges, shape)
        latent[-1] = latent[-1] + self.overall(_means(latent[-1], graph.counts[:, -1]))
        for level in range(LEVELS - 1, 0, -1):
            latent[level] = _within(self.after[level - 1], level, latent[level], graph)
            edges, shape = graph[f"upward_{level - 1}"].flip(0), graph[f"upward_shape_{level - 1}"]
            latent[level - 1] = self.downward[level - 1](latent[level], latent[level - 1], edges, shape)
        return latent


class GraphNetwork(nn.Module):
    """Fields at the nodes of a graph.

    Parameters
    ----------
    channels, edge_channels, fields
        Numbers of columns of nodes, of edges, and of what is predicted.
    width
        Of the latent vectors.
    cycles
        How often messages go up and down the levels: one layer of messages on the mesh and one back to it each, two
        on every coarse level.
    """

    def __init__(self, channels: int, edge_channels: int, fields: int, width: int, cycles: int) -> None:
        super().__init__()
        self.width = width
        self.encoder = nn.Sequential(nn.Linear(channels, width), nn.SiLU(), nn.Linear(width, width))
        self.cycles = nn.ModuleList(Cycle(width, edge_channels) for _ in range(cycles))
        self.last = Exchange(width, edge_channels)
        self.decoder = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, fields))

    def forward(self, graph: Any) -> Tensor:
        """Standardised fields ``(n, fields)`` of a graph with standardised columns."""
        fine = self.encoder(graph.x)
        coarse = graph.counts.sum(0)[1:].tolist()
        latent = [fine, *(fine.new_zeros(count, self.width) for count in coarse)]
        for cycle in self.cycles:
            latent = cycle(latent, graph)
        result: Tensor = self.decoder(_within(self.last, 0, latent[0], graph))
        return result


def _within(exchange: nn.Module, level: int, latent: Tensor, graph: MeshGraph) -> Tensor:
    """New latent vectors of one level after messages along its own edges."""
    result: Tensor = exchange(latent, latent, graph[f"within_{level}"], graph[f"within_shape_{level}"])
    return result


def _means(values: Tensor, counts: Tensor) -> Tensor:
    """The mean ``(n, width)`` over each graph's nodes, at every node."""
    graph = torch.repeat_interleave(torch.arange(len(counts)), counts)
    total = values.new_zeros(len(counts), values.shape[1]).index_add_(0, graph, values)
    return (total / counts[:, None])[graph]
