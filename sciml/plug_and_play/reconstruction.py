"""What came out of an iterative reconstruction, and how far it can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.errors import InferenceError
from sciml.plug_and_play.assumption import Assumption
from solvers import Status

__all__ = ["Reconstruction"]


@dataclass(frozen=True)
class Reconstruction:
    """Fields found for data, B samples.

    Attributes
    ----------
    x
        The fields ``(B, channels, *grid)``, points of the prior's proximal operator; of samples that failed the last
        good ones.
    status
        How each sample ended, `solvers.Status` codes ``(B,)``.
    iterations
        Steps of each sample, ``(B,)``.
    residuals
        Fixed-point residuals ‖x₊ − x‖ / ‖x₊‖ (of splittings the larger of this and the split; of descent over
        preimages the stationarity), ``(steps, B)``; samples that have ended keep their last one.
    objective
        What the method decreases, after each step, ``(steps, B)``; None where the prior has no value.
    stationarity
        ‖∇h(x) + g‖ / ‖∇h(x)‖ at the last point, where g is the subgradient of weight · R that its proximal operator
        has computed, ``(B,)``: 0 at a critical point.
    assumptions
        The conditions of the convergence theorem, and whether they were met.
    method
        What ran.
    failure
        What the forward operator said where it failed; empty if it did not.
    """

    x: Tensor
    status: Tensor
    iterations: Tensor
    residuals: Tensor
    objective: Tensor | None
    stationarity: Tensor
    assumptions: tuple[Assumption, ...]
    method: str
    failure: str = ""

    @property
    def converged(self) -> Tensor:
        """Where the fixed-point residual reached the tolerance, ``(B,)``."""
        return self.status == Status.CONVERGED

    @property
    def within_theorem(self) -> bool:
        """Whether every condition of the convergence theorem was met."""
        return all(assumption.met for assumption in self.assumptions)

    def monotone(self, slack: float = 1e-10) -> Tensor:
        """Where the objective F never rose by more than slack · max(|F|, 1e-3), ``(B,)``.

        Raises
        ------
        InferenceError
            If the prior has no value.
        """
        if self.objective is None:
            raise InferenceError(f"{self.method}: the prior has no value, so that there is no objective to look at.")
        before = self.objective[:-1]
        return (self.objective[1:] - before <= slack * before.abs().clamp(min=1e-3)).all(0)

    def raise_if_failed(self) -> Reconstruction:
        """Return self, or raise `InferenceError` with this result attached."""
        failed = (self.status != Status.CONVERGED).nonzero().reshape(-1)
        if not failed.numel():
            return self
        first = int(failed[0])
        status = Status(int(self.status[first]))
        residual = float(self.residuals[-1, first]) if len(self.residuals) else torch.nan
        others = f" ({failed.numel()} samples)" if failed.numel() > 1 else ""
        unmet = "; ".join(str(a) for a in self.assumptions if not a.met)
        raise InferenceError(
            f"{self.method}: sample {first} of {len(self.status)} ended with status {status.name} and residual "
            f"{residual:.1e} after {int(self.iterations[first])} steps{others}. "
            + (f"{self.failure} " if self.failure else "")
            + _REMEDIES.get(status, _REMEDIES[Status.MAX_ITERATIONS])
            + (f" Conditions of the theorem that were not met: {unmet}." if unmet else "")
            + " throw=False returns the last iterates.",
            self,
        )


_REMEDIES = {
    Status.MAX_ITERATIONS: "Raise max_iterations, loosen the tolerance, or use AcceleratedProximalGradient().",
    Status.STAGNATION: (
        "An inner minimisation ended before its tolerance, or no step descends: use float64, or a looser tolerance."
    ),
    Status.NONFINITE_ITERATE: (
        "The forward operator has no value beyond the last good iterate: start closer, or give the prior more weight."
    ),
    Status.NONFINITE_INPUT: "The start is not in the forward operator's domain: give another start.",
}
