"""A system of ordinary differential equations as a problem: its state at given instants, given where it starts."""

from __future__ import annotations

import dataclasses
import math
from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pde_benchmarks.dynamical_systems.flow import Equations, flow_map, followed
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.evolution import trajectory_metrics
from pde_benchmarks.finite_states import require_finite_start
from pde_benchmarks.problem import Batch, FieldSpec, Problem, Scalars, Times

__all__ = ["DynamicalSystem", "scaled_trajectory_metrics"]


class DynamicalSystem(Problem):
    """y' = f(y): the map y(0) ↦ y(t₁), y(t₂), … with instants that need not be equally spaced.

    Subclasses are frozen dataclasses with the field ``tolerance``, the relative tolerance of a step of the reference.
    Initial states have the shape ``(batch, channel)``, trajectories ``(batch, time, channel)``.
    """

    tolerance: float

    @property
    @abstractmethod
    def state(self) -> FieldSpec:
        """The numbers that evolve; their support is `Scalars`."""

    @property
    @abstractmethod
    def instants(self) -> tuple[float, ...]:
        """t₁ < t₂ < …, all after 0."""

    @property
    @abstractmethod
    def scales(self) -> tuple[float, ...]:
        """Typical size of every component."""

    @abstractmethod
    def rates(self, *components: Any) -> tuple[Any, ...]:
        """f, one entry a component, by plain arithmetic: on numbers as on tensors."""

    @abstractmethod
    def jacobian(self, *components: Any) -> tuple[tuple[Any, ...], ...]:
        """∂f/∂y, rows first, by plain arithmetic."""

    @property
    def inputs(self) -> tuple[FieldSpec, ...]:
        """The initial state."""
        return (dataclasses.replace(self.state, name=f"initial_{self.state.name}"),)

    @property
    def outputs(self) -> tuple[FieldSpec, ...]:
        """The state at the instants."""
        return (dataclasses.replace(self.state, support=Times(self.instants, Scalars())),)

    def right_hand_side(self, state: Tensor) -> Tensor:
        """f(y) of states ``(…, channel)``; differentiable.

        Raises
        ------
        ProblemError
            If the number of channels is not that of the system.
        """
        if state.shape[-1] != self.state.channels:
            raise ProblemError(
                f"{self.name}: state of shape {tuple(state.shape)}: (…, {self.state.channels}) is expected."
            )
        return torch.stack(self.rates(*state.unbind(-1)), -1)

    def solve(self, inputs: Batch) -> Batch:
        """Trajectories ``(count, times, channel)`` by LSODA in float64, in the dtype of the inputs.

        Raises
        ------
        ProblemError
            If an initial state is not finite or the integrator gives up (with the sample's number).
        """
        start = inputs[self.inputs[0].name]
        require_finite_start(self.name, start)
        rows = start.detach().to("cpu", torch.float64).numpy()
        flows = np.empty((len(rows), len(self.instants), rows.shape[1]))
        for sample, row in enumerate(rows):
            flows[sample] = followed(self._equations, row, self.instants, sample)
        return Batch({self.state.name: torch.from_numpy(flows).to(start)})

    def advance(self, state: Tensor, durations: Tensor) -> Tensor:
        """States ``(rows, channel)`` after every row's own duration ``(rows,)``, by the reference; differentiable once.

        The derivative is that of the flow, by its variational equation.
        """
        return flow_map(self._equations, state, durations)

    def residual(self, inputs: Batch, outputs: Batch) -> Batch:
        """Defect at every instant: the state minus `advance` of the state before it; differentiable once in both."""
        flow = outputs[self.state.name]
        before = torch.cat([inputs[self.inputs[0].name][:, None], flow[:, :-1]], 1)
        instants = torch.tensor((0.0, *self.instants), dtype=torch.float64)
        durations = instants.diff().expand(len(flow), -1)
        return Batch(
            {self.state.name: flow - self.advance(before.flatten(0, 1), durations.flatten()).reshape(flow.shape)}
        )

    def metrics(self, prediction: Batch, truth: Batch) -> dict[str, float]:
        """Those of `scaled_trajectory_metrics`."""
        return scaled_trajectory_metrics(prediction[self.state.name], truth[self.state.name])

    @property
    def _equations(self) -> Equations:
        absolute = tuple(self.tolerance * 1e-2 * scale for scale in self.scales)
        return Equations(self.name, self.rates, self.jacobian, self.tolerance, absolute)

    def _require_positive(self, **values: float) -> None:
        for name, value in {"tolerance": self.tolerance, **values}.items():
            if not 0 < value < math.inf:
                raise ProblemError(f"{self.name} {name} {value}: a positive number is needed.")
        if self.tolerance < 1e-13:
            raise ProblemError(f"{self.name} tolerance {self.tolerance}: below 1e-13 rounding decides: raise it.")


@torch.no_grad()
def scaled_trajectory_metrics(prediction: Tensor, truth: Tensor) -> dict[str, float]:
    """Relative L² errors of ``(batch, time, channel)`` as `trajectory_metrics` gives them, every component scaled.

    Each component, of prediction and truth, is divided by its largest magnitude over all samples and instants of the
    truth, so that small components count as large ones do; one that is zero throughout is left as it is.
    """
    largest = truth.abs().amax((0, 1))
    scale = torch.where(largest > 0, largest, 1)
    return trajectory_metrics((prediction / scale)[..., None], (truth / scale)[..., None])
