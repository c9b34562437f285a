"""MgNO whose V-cycles see the true residual: one channel obeys the problem's own operator on every level."""

from __future__ import annotations

from typing import Literal, cast

import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pde_benchmarks.elliptic import EllipticProblem
from pde_benchmarks.problem import Grid
from sciml.learners.grid_features import GridFeatures, ScaledNetwork
from sciml.learners.mgno.ghosts import GhostLayer
from sciml.learners.mgno.grid_equation import EquationLevel, GridEquation
from sciml.learners.mgno.network import BiasFunction, ChannelNorm
from sciml.learners.mgno.schedule import Schedule
from sciml.learners.mgno.v_cycle import CONVOLUTIONS, GridMap

__all__ = ["EquationNetwork", "OperatorLayer", "OperatorNetwork", "OperatorVCycle"]

DAMPING = 0.8


class EquationNetwork(ScaledNetwork):
    """A scaled network that is given the equation of every sample, made from the same features as it sees.

    Its answer is linear in the physical channel e: u = u_b + s e with the output's deviation s, and no mean is added.
    """

    network: OperatorNetwork

    def __init__(self, network: nn.Module, features: GridFeatures, support: Grid) -> None:
        super().__init__(network, features.channels, 1, support)
        self.features = features

    def fit_statistics(self, features: Tensor, target: Tensor, centred: bool) -> None:
        """As for any network, but the output's mean stays at zero."""
        super().fit_statistics(features, target, centred=True)

    def forward(self, features: Tensor) -> Tensor:
        """Map raw channels ``(batch, channels, *grid)`` to raw outputs ``(batch, 1, *grid)``."""
        problem = self.features.problem
        assert isinstance(problem, EllipticProblem)  # the learner saw to it
        inputs, base = self.features.decoded(features)
        equation = GridEquation.of(problem, inputs, base, self.output_scale, self.network.levels)
        answer: Tensor = self.network(self.standardised(features), equation)
        return answer * self.output_scale


class OperatorNetwork(nn.Module):
    """e ← e + W_e [r, v], v ← σ(W_v [r, v] + B [r, v] + b), K times, with r = D⁻¹ (f − A e); answers e + C v.

    e is the physical channel: it starts from zero and passes no activation. As built, W_e is one V-cycle of multigrid
    with damped Jacobi smoothing and v does not act on e: training starts from K V-cycles.

    Parameters
    ----------
    inputs
        Channels of the features.
    channels
        Width of the V-cycles; one of them is the physical one.
    layers
        K.
    schedule, ghosts, restrict, bias_degree, norm, checkpointing
        As in `sciml.learners.mgno.network.MgNONetwork`, for the other channels.

    Examples
    --------
    >>> from pde_benchmarks import Darcy
    >>> problem = Darcy(resolution=16)
    >>> a = problem.sample(2, torch.Generator().manual_seed(0)).to(dtype=torch.float32)
    >>> equation = GridEquation.of(problem, a, None, torch.tensor(1.0), levels=2)
    >>> network = OperatorNetwork(1, 4, 3, Schedule.parse("11 20"), GhostLayer(("zeros", "zeros")))
    >>> u, answer = problem.solve(a)["solution"], network(a["coefficient"].log(), equation)
    >>> bool((answer - u).norm() < 0.1 * u.norm())  # three V-cycles, before any training
    True
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        layers: int,
        schedule: Schedule,
        ghosts: GhostLayer,
        restrict: Literal["rhs", "residual"] = "rhs",
        bias_degree: int = 0,
        norm: Literal["none", "layer"] = "none",
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.levels, self.checkpointing = schedule.levels, checkpointing
        widths = [inputs, *[channels - 1] * (layers - 1)]
        self.layers = nn.ModuleList(
            OperatorLayer(width, channels - 1, schedule, ghosts, restrict, bias_degree, norm) for width in widths
        )
        self.readout = CONVOLUTIONS[len(ghosts.rules)](channels - 1, 1, 1, bias=False)
        nn.init.zeros_(self.readout.weight)

    def forward(self, v: Tensor, equation: GridEquation) -> Tensor:
        """Map ``(batch, inputs, *grid)`` to ``(batch, 1, *grid)`` in the units of the equation."""
        e = torch.zeros_like(equation.load)
        again = self.checkpointing and self.training and torch.is_grad_enabled()
        for layer in self.layers:
            if again:
                e, v = checkpoint(layer, e, v, equation, use_reentrant=False, preserve_rng_state=False)
            else:
                e, v = layer(e, v, equation)
        answer: Tensor = e + self.readout(v)
        return answer


class OperatorLayer(nn.Module):
    """One layer of `OperatorNetwork`: a V-cycle for the residual of e, and hidden channels ``inputs → outputs``."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        schedule: Schedule,
        ghosts: GhostLayer,
        restrict: Literal["rhs", "residual"],
        degree: int,
        norm: Literal["none", "layer"],
    ) -> None:
        super().__init__()
        dim = len(ghosts.rules)
        self.cycle = OperatorVCycle(inputs, outputs, schedule, ghosts, restrict)
        self.pointwise = CONVOLUTIONS[dim](1 + inputs, outputs, 1, bias=False)
        self.bias = BiasFunction(outputs, dim, degree, ghosts.grid)
        self.norm = ChannelNorm(outputs) if norm == "layer" else nn.Identity()

    def forward(self, e: Tensor, v: Tensor, equation: GridEquation) -> tuple[Tensor, Tensor]:
        """The corrected e ``(batch, 1, *grid)`` and the next hidden channels."""
        f = torch.cat([equation.residual(e), v], 1)
        u = self.cycle(f, equation)
        hidden = u[:, 1:] + self.pointwise(f) + self.bias(tuple(v.shape[2:]))
        return e + u[:, :1], functional.gelu(self.norm(hidden))


class OperatorVCycle(nn.Module):
    """Linear operator W(a): f ↦ u by one V-cycle, in which channel 0 of f − A u is f₀ − D⁻¹ A(a) u₀ on every level.

    S is learned on all channels, and so are the A, R, Π and P of the others. Channel 0 goes through the correction
    scheme: its coarse right-hand side is the restricted true residual and its corrections are interpolated as the
    problem's multigrid does; on the coarsest level it starts from one V-cycle of what lies below.

    Parameters
    ----------
    inputs, outputs
        Channels of f and of u beside the physical one.
    schedule, ghosts, restrict
        As in `sciml.learners.mgno.v_cycle.VCycle`; ``restrict`` is that of the other channels.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        schedule: Schedule,
        ghosts: GhostLayer,
        restrict: Literal["rhs", "residual"] = "rhs",
    ) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            OperatorLevel(inputs, outputs, schedule, index, ghosts, restrict) for index in range(schedule.levels)
        )

    def forward(self, f: Tensor, equation: GridEquation) -> Tensor:
        """Apply W to ``(batch, 1 + inputs, *grid)``."""
        levels = [cast(OperatorLevel, level) for level in self.levels]
        rhs: list[Tensor] = []
        values: list[Tensor] = []
        u: Tensor | None = None
        for number, (level, grid) in enumerate(zip(levels, equation.levels, strict=True)):
            u = level.relaxed(level.down, f, u, grid)
            rhs.append(f)
            values.append(u)
            if number < len(levels) - 1:
                below = equation.levels[number + 1]
                f, hidden = level.coarse(f, u, grid, below)
                last = number == len(levels) - 2
                start = equation.coarse_solution(f[:, :1]) if last else torch.zeros_like(f[:, :1])
                u = torch.cat([start, hidden], 1)
        assert u is not None
        for number in reversed(range(len(levels) - 1)):
            level, grid = levels[number], equation.levels[number]
            u = level.relaxed(level.up, rhs[number], level.corrected(values[number], u, grid), grid)
        return u


class OperatorLevel(nn.Module):
    """The maps of one level: its relaxation steps, and the transfers to and from the next coarser one, if any."""

    def __init__(
        self, inputs: int, outputs: int, schedule: Schedule, index: int, ghosts: GhostLayer, restrict: str
    ) -> None:
        super().__init__()
        finest, coarsest = index == 0, index == schedule.levels - 1
        self.down = nn.ModuleList(
            OperatorRelaxation(inputs, outputs, ghosts, from_zero=finest and step == 0)
            for step in range(schedule.pre[index])
        )
        self.up = nn.ModuleList(
            OperatorRelaxation(inputs, outputs, ghosts) for _ in range(0 if coarsest else schedule.post[index])
        )
        learned = restrict == "residual" and not coarsest
        self.residual_operator = GridMap("same", 1 + outputs, inputs, ghosts) if learned else None
        if not coarsest:
            self.restrict_rhs = GridMap("restrict", 1 + inputs, inputs, ghosts)
            self.restrict_start = GridMap("restrict", 1 + outputs, outputs, ghosts)
            self.prolong = GridMap("prolong", 1 + outputs, outputs, ghosts)

    def relaxed(self, steps: nn.ModuleList, f: Tensor, u: Tensor | None, grid: EquationLevel) -> Tensor:
        """After all ``steps``."""
        for step in steps:
            u = step(f, u, grid)
        assert u is not None  # the schedule has a step on the finest level
        return u

    def coarse(self, f: Tensor, u: Tensor, grid: EquationLevel, below: EquationLevel) -> tuple[Tensor, Tensor]:
        """Right-hand side of the next coarser level, and the starting value of its hidden channels."""
        true = f[:, :1] - grid.scaled(u[:, :1])
        hidden = f[:, 1:] if self.residual_operator is None else f[:, 1:] - self.residual_operator(u)
        right = self.restrict_rhs(torch.cat([true, hidden], 1))
        return torch.cat([grid.restrict(below, true), right], 1), self.restrict_start(u)

    def corrected(self, u: Tensor, coarse: Tensor, grid: EquationLevel) -> Tensor:
        """u + P u_coarse."""
        return u + torch.cat([grid.prolong(coarse[:, :1]), self.prolong(coarse)], 1)


class OperatorRelaxation(nn.Module):
    """u ← u + S (f − A u), with the true operator on channel 0; without A, from u = 0, u = S f.

    As built, channel 0 of S is damped Jacobi: `DAMPING` times the scaled residual, and nothing of the other channels.
    """

    def __init__(self, inputs: int, outputs: int, ghosts: GhostLayer, from_zero: bool = False) -> None:
        super().__init__()
        self.smooth = GridMap("same", 1 + inputs, 1 + outputs, ghosts)
        self.operator = None if from_zero else GridMap("same", 1 + outputs, inputs, ghosts)
        with torch.no_grad():
            self.smooth.weight[0] = 0
            self.smooth.weight[(0, 0, *[1] * len(ghosts.rules))] = DAMPING

    def forward(self, f: Tensor, u: Tensor | None, grid: EquationLevel) -> Tensor:
        """One step."""
        if self.operator is None or u is None:
            result: Tensor = self.smooth(f)
            return result
        true = f[:, :1] - grid.scaled(u[:, :1])
        return u + cast(Tensor, self.smooth(torch.cat([true, f[:, 1:] - self.operator(u)], 1)))
