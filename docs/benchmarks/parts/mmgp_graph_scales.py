"""Units in which a graph network sees a family of parts: columns of nodes, edges and fields by their spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from parts.mmgp_graphs import MeshGraph

__all__ = ["GraphScales"]

#: Smallest peak of a field that counts in the loss, in units of the median peak: what is zero weighs no more than this.
_SMALLEST_PEAK = 0.3


@dataclass(frozen=True)
class GraphScales:
    """Mean and standard deviation of every column over the training graphs, by the attribute's name.

    ``peak`` is the median over graphs of the largest absolute value of each field.
    """

    moments: dict[str, tuple[Tensor, Tensor]]
    peak: Tensor

    @classmethod
    def of(cls, graphs: Sequence[MeshGraph]) -> GraphScales:
        """Of the training graphs."""
        names = ["x", "y", *(name for name in graphs[0].to_dict() if "_shape_" in name)]
        moments = {name: _moments(torch.cat([graph[name] for graph in graphs])) for name in names}
        return cls(moments, torch.stack([graph.y.abs().amax(0) for graph in graphs]).median(0).values)

    def inputs(self, graph: MeshGraph) -> MeshGraph:
        """The graph with standardised columns of nodes and edges."""
        scaled = graph.clone()
        for name, (mean, std) in self.moments.items():
            if name != "y":
                scaled[name] = (graph[name] - mean) / std
        return scaled

    def targets(self, graph: MeshGraph) -> MeshGraph:
        """The graph with standardised fields.

        It gains ``weight (1, fields)``, which makes mean squared errors those of the RRMSE, relative to the squared
        peak of the sample's field, up to one factor a field; and ``unit (1, fields)``, which makes them the RRMSE's.
        """
        mean, std = self.moments["y"]
        scaled = graph.clone()
        scaled.y = (graph.y - mean) / std
        peak = torch.maximum(graph.y.abs().amax(0), _SMALLEST_PEAK * self.peak)
        usual = torch.where(self.peak > 0, self.peak, std)
        scaled.weight = (usual / torch.where(peak > 0, peak, std)).square()[None]
        scaled.unit = scaled.weight * (std / usual).square()
        return scaled

    def fields(self, y: Tensor) -> Tensor:
        """Standardised fields in their own units, float64."""
        mean, std = self.moments["y"]
        return y.double() * std.double() + mean.double()


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of columns, float32; a constant column has deviation 1."""
    mean, std = values.double().mean(0), values.double().std(0, correction=0)
    std = torch.where(std > 1e-6 * (1e-30 + mean.abs()), std, torch.ones_like(std))
    return mean.float(), std.float()
