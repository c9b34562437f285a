"""The learned coefficients of a multigrid cycle: numbers for each level, or fields read off the walls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from sciml.errors import LearnerError
from solvers import CellGraph, CycleCoefficients, LevelCoefficients

__all__ = ["FieldCoefficients", "ScalarCoefficients"]

OMEGA_BOUND = 0.95  # largest deviation of a relaxation factor from 1
WEIGHT_BOUND = 0.5 * math.log(2)  # of log a and of log c, so that a c stays within [1/2, 2]
LINK_BOUND, MASS_BOUND = 0.5, 0.7  # largest deviation of the logarithm of a coarse coefficient
HALF = 0.5  # the over-correction of the textbook, from which learned factors depart
RED, BLACK, FINE, COARSE, MASS, AXES = range(6)  # places among the outputs o; from AXES on one for each axis


class ScalarCoefficients(nn.Module):
    """5 + d numbers o for each level; o = 0 is the classical cycle with over-correction by 1/2.

    Relaxation ω = 1 + 0.95 tanh o for either colour; a = 2^(tanh(o)/2) on the fine and c likewise on the coarse side of
    the interpolation diag(a) P₀ diag(c), so that a c stays within [1/2, 2], where the spectrum does; factors
    exp(tanh(2 o)/2)/2 on coarse links along each axis and exp(0.7 tanh o)/2 on coarse mass. All o give a symmetric
    positive definite cycle. Deeper levels than were trained take the last ones.

    Parameters
    ----------
    dimension
        2 or 3.
    levels
        Levels with numbers of their own, finest first.

    Examples
    --------
    >>> from solvers import AggregationMultigrid, CG, linear_solve, poisson_operator
    >>> A, b = poisson_operator((16, 16)), torch.ones(256, dtype=torch.float64)
    >>> rule = AggregationMultigrid(coefficients=ScalarCoefficients(2, levels=2))
    >>> bool(linear_solve(A, b, CG(), rule).converged)
    True
    """

    def __init__(self, dimension: Literal[2, 3], levels: int = 3) -> None:
        super().__init__()
        self.dimension = dimension
        self.outputs = nn.Parameter(torch.zeros(levels, AXES + dimension))

    def forward(self, level: int, fine: CellGraph, coarse: CellGraph) -> LevelCoefficients:
        """The coefficients of one level: the rule of `AggregationMultigrid`."""
        o = self.at(level, fine)
        d = self.dimension
        along = o[AXES:].reshape(d, *(1,) * d)
        return _coefficients(o, o, 2 * along)

    def at(self, level: int, graph: CellGraph) -> Tensor:
        """The numbers o of a level ``(5 + d,)``.

        Raises
        ------
        LearnerError
            The graph is of another dimension.
        """
        if len(graph.grid) != self.dimension:
            raise LearnerError(
                f"grid {'×'.join(map(str, graph.grid))}: these coefficients are for {self.dimension} dimensions; use a "
                f"model of dimension {len(graph.grid)}."
            )
        return self.outputs[min(level, len(self.outputs) - 1)]

    @torch.no_grad()
    def exported(self) -> list[dict[str, float | list[float]]]:
        """The coefficients themselves, level by level, as plain numbers: ready for JSON and for other codes."""
        grid = (1,) * self.dimension
        probe = CellGraph(torch.zeros(1, self.dimension, *grid), torch.zeros(1, *grid))
        exact = ScalarCoefficients(self.dimension, len(self.outputs)).double()
        exact.outputs.copy_(self.outputs)
        levels = []
        for level in range(len(self.outputs)):
            chosen = vars(exact(level, probe, probe))
            levels.append({k: v.flatten().tolist() if k == "link" else float(v) for k, v in chosen.items()})
        return levels

    @classmethod
    def imported(cls, levels: Sequence[dict[str, float | list[float]]]) -> ScalarCoefficients:
        """The inverse of `exported`, to rounding."""
        first = levels[0]["link"]
        assert isinstance(first, list)
        module = cls(3 if len(first) == 3 else 2, len(levels)).double()
        with torch.no_grad():
            for o, level in zip(module.outputs, levels, strict=True):
                values = {k: torch.as_tensor(v, dtype=torch.float64) for k, v in level.items()}
                o[RED] = ((values["omega_red"] - 1) / OMEGA_BOUND).atanh()
                o[BLACK] = ((values["omega_black"] - 1) / OMEGA_BOUND).atanh()
                o[FINE] = (values["fine"].log() / WEIGHT_BOUND).atanh()
                o[COARSE] = (values["coarse"].log() / WEIGHT_BOUND).atanh()
                o[MASS] = ((values["mass"] / HALF).log() / MASS_BOUND).atanh()
                o[AXES:] = ((values["link"] / HALF).log() / LINK_BOUND).atanh() / 2
        return module

    def cycle(self) -> CycleCoefficients:
        """The coefficients apart from the module, float64, without gradients."""
        shape = (self.dimension, *(1,) * self.dimension)
        levels = []
        for exported in self.exported():
            values = {k: torch.tensor(v, dtype=torch.float64) for k, v in exported.items()}
            levels.append(LevelCoefficients(**{**values, "link": values["link"].reshape(shape)}))
        return CycleCoefficients(tuple(levels))


class FieldCoefficients(nn.Module):
    """The numbers of `ScalarCoefficients` plus fields that a small network, shared by all levels, adds to each o.

    The network (three convolutions 3^d with ReLU, and a linear head that starts at zero) sees the diagonal, the mass,
    the cells that have a diagonal, and the difference of the two links along every axis: walls and free surfaces. On
    every level these are in units of its links, s = 2^{l(d − 2)}. A face between cells i and j has the factor
    exp(tanh(g_i + g_j)/2)/2.

    Parameters
    ----------
    scalars
        Where to start from; trained further together with the network.
    channels
        Width of the network.
    """

    def __init__(self, scalars: ScalarCoefficients, channels: int = 16) -> None:
        super().__init__()
        d = scalars.dimension
        kind = nn.Conv2d if d == 2 else nn.Conv3d
        self.scalars = scalars
        self.head = kind(channels, AXES + 1, 1)
        nn.init.zeros_(self.head.weight)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)
        layers: list[nn.Module] = []
        for inputs in (3 + d, channels, channels):
            layers += [kind(inputs, channels, 3, padding=1), nn.ReLU()]
        self.network = nn.Sequential(*layers, self.head)

    def forward(self, level: int, fine: CellGraph, coarse: CellGraph) -> LevelCoefficients:
        """The coefficients of one level: the rule of `AggregationMultigrid`."""
        o = self.scalars.at(level, fine)
        d = self.scalars.dimension
        halved = coarse.scaled(*(torch.tensor(HALF).to(coarse.mass) for _ in range(2)))
        here, above = self._fields(fine, level), self._fields(halved, level + 1)
        scalars = o.reshape(-1, 1, *(1,) * d)  # (output, batch, *grid)
        g = above[AXES]
        pairs = torch.stack([g + g.roll(-1, k + 1) for k in range(d)], 1)
        along = 2 * o[AXES:].reshape(d, *(1,) * d) + pairs
        return _coefficients(scalars[:AXES] + here[:AXES], scalars[:AXES] + above[:AXES], along)

    def _fields(self, graph: CellGraph, level: int) -> Tensor:
        """What the network adds, ``(6, batch, *grid)``, in the graph's precision."""
        d, scale = self.scalars.dimension, 2.0 ** (level * (self.scalars.dimension - 2))
        D = graph.diagonal
        features = [D / (2 * d * scale), graph.mass / scale, (D > 0).to(D)]
        for k in range(d):
            right = graph.links.select(1, k)
            features.append((right - right.roll(1, k + 1)) / scale)
        seen = torch.stack(features, 1).to(self.head.weight.dtype)
        fields: Tensor = self.network(seen)
        return fields.to(D.dtype).movedim(1, 0)


def _coefficients(here: Tensor, above: Tensor, along: Tensor) -> LevelCoefficients:
    """Coefficients from the outputs of a level, of the next coarser one, and the sums g_i + g_j on its faces."""
    return LevelCoefficients(
        omega_red=1 + OMEGA_BOUND * here[RED].tanh(),
        omega_black=1 + OMEGA_BOUND * here[BLACK].tanh(),
        fine=(WEIGHT_BOUND * here[FINE].tanh()).exp(),
        coarse=(WEIGHT_BOUND * above[COARSE].tanh()).exp(),
        link=HALF * (LINK_BOUND * along.tanh()).exp(),
        mass=HALF * (MASS_BOUND * above[MASS].tanh()).exp(),
    )
