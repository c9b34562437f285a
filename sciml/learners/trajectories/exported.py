"""The learned right-hand side as a plain function of NumPy arrays, for any solver to integrate and to count."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sciml.errors import LearnerError

__all__ = ["ExportedDynamics", "evaluations_by_rk45"]

_Vector = NDArray[np.float64]


@dataclass(frozen=True)
class ExportedDynamics:
    """dz/dt = f(t, z) of one sample, and the initial states of some.

    Attributes
    ----------
    network
        f on batches, in float64 on the CPU.
    shape
        Of one state.
    initial
        Initial states ``(count, size)``, float64.
    span
        First and last time.
    """

    network: nn.Module
    shape: tuple[int, ...]
    initial: _Vector
    span: tuple[float, float] = (0.0, 1.0)

    @classmethod
    def of(cls, dynamics: nn.Module, initial: Tensor, end: float = 1.0) -> ExportedDynamics:
        """A copy of the dynamics in float64, and initial states ``(count, *shape)``."""
        network = copy.deepcopy(dynamics).to("cpu", torch.float64).eval()
        flat = initial.detach().flatten(1).to("cpu", torch.float64).numpy()
        return cls(network, tuple(initial.shape[1:]), flat, (0.0, end))

    @torch.no_grad()
    def __call__(self, t: float, z: _Vector) -> _Vector:
        """Slope ``(size,)`` of one state ``(size,)``."""
        state = torch.from_numpy(np.ascontiguousarray(z)).reshape(1, *self.shape)
        slope: Tensor = self.network(torch.full((1,), t, dtype=torch.float64), state)
        return slope.flatten().numpy()


def evaluations_by_rk45(exported: ExportedDynamics, rtol: float, atol: float) -> NDArray[np.int64]:
    """Evaluations that SciPy's RK45 (Dormand–Prince 5(4)) needs for every sample, ``(count,)``.

    Raises
    ------
    LearnerError
        If it cannot follow a sample to the end.
    """
    from scipy.integrate import solve_ivp

    counts = []
    for sample, z0 in enumerate(exported.initial):
        found = solve_ivp(exported, exported.span, z0, method="RK45", rtol=rtol, atol=atol)
        if not found.success:
            raise LearnerError(
                f"sample {sample}: SciPy's RK45 stopped at t = {found.t[-1]:.4g} of {exported.span[1]:g} "
                f"({found.message}): loosen rtol and atol, or regularize the dynamics in training."
            )
        counts.append(found.nfev)
    return np.asarray(counts, dtype=np.int64)
