"""The solver itself: seconds of a step beside torchdiffeq, oscillators with steps of their own, stiff equations."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from parts.record import at_most
from parts.training_script import Session
from sciml.learners.neural_ode import odesolve

__all__ = ["oscillators", "steps", "stiff"]

#: y₁' = −0.04 y₁ + 1e4 y₂ y₃, y₃' = 3e7 y₂², the sum is conserved.
ROBERTSON = (0.04, 3e7, 1e4)
ALONE = "six evaluations of the network, no solver"


def oscillators(session: Session) -> None:
    """Sixteen Van der Pol oscillators, μ from 0.5 to 20: steps of their own, and steps that all share."""
    mu = torch.logspace(np.log10(0.5), np.log10(20), 16, dtype=torch.float64)
    z0, ends = torch.tensor([[2.0, 0.0]], dtype=torch.float64).repeat(16, 1), torch.tensor([0.0, 5.0])

    def f(t: Tensor, z: Tensor, mu: Tensor) -> Tensor:
        return torch.stack([z[:, 1], mu * (1 - z[:, 0] ** 2) * z[:, 1] - z[:, 0]], 1)

    rows, taken = [], {}
    for mode in ("per_sample", "shared"):
        solution = odesolve(f, z0, ends, sample_args=(mu,), mode=mode, rtol=1e-6, atol=1e-6)  # type: ignore[arg-type]
        attempts = (solution.stats.accepted + solution.stats.rejected).double()
        taken[mode] = float(attempts.sum())
        rows.append([mode, taken[mode], attempts.mean().item(), attempts.max().item()])
    columns = ["steps", "of all samples", "mean of a sample", "largest"]
    caption = "Sixteen Van der Pol oscillators, μ from 0.5 to 20 (logarithmic), T = 5, Tsit5, tolerance 1e-6."
    session.record.table("oscillators", columns, rows, caption)
    ratio = taken["per_sample"] / taken["shared"]
    name = "van_der_pol.per_sample_over_shared.sample_steps"
    session.record.figure(name, ratio, bar=at_most(0.6), unit="1", note=caption)


def stiff(session: Session) -> None:
    """Robertson's kinetics to 1e5 s: our implicit pairs, SciPy's Radau and BDF, and an explicit pair that gives up."""
    from scipy.integrate import solve_ivp

    k1, k2, k3 = ROBERTSON

    def slope(_: float, y: Any) -> list[Any]:
        first, second = k1 * y[0] - k3 * y[1] * y[2], k2 * y[1] ** 2
        return [-first, first - second, second]

    def f(t: Tensor, z: Tensor) -> Tensor:
        return torch.stack(slope(0.0, z.unbind(1)), 1)

    end = 40.0 if session.scale.small else 1e5
    exact = solve_ivp(slope, (0, end), [1.0, 0, 0], method="Radau", rtol=1e-11, atol=1e-14).y[:, -1]
    rows: list[list[Any]] = []
    z0, ends = torch.tensor([[1.0, 0, 0]], dtype=torch.float64), torch.tensor([0.0, end], dtype=torch.float64)
    for method in ("kvaerno5", "kvaerno3", "tsit5"):
        limits: dict[str, Any] = {"max_steps": 2000, "on_failure": "status"}
        solution = odesolve(f, z0, ends, method=method, rtol=1e-6, atol=1e-9, **limits)
        stats, y = solution.stats, solution.ys[-1, 0].numpy()
        attempts, done = int(stats.accepted[0] + stats.rejected[0]), not bool(solution.status.any())
        jacobians = None if stats.jacobians is None else int(stats.jacobians[0])
        error = float(abs(y - exact).max()) if done else f"gave up at t = {float(solution.reached[0]):.3g}"
        rows.append([f"{method} (ours)", attempts, int(stats.nfe[0]), jacobians, error])
    for method in ("Radau", "BDF"):
        found = solve_ivp(slope, (0, end), [1.0, 0, 0], method=method, rtol=1e-6, atol=1e-9)
        rows.append([f"{method} (SciPy)", None, found.nfev, found.njev, float(abs(found.y[:, -1] - exact).max())])
    caption = (
        f"Robertson's kinetics to t = {end:g}, rtol 1e-6, atol 1e-9; errors against Radau at 1e-11. Evaluations "
        "without those of Jacobians; SciPy does not tell its rejected steps."
    )
    columns = ["method", "attempts", "evaluations", "Jacobians", "largest error at the end"]
    session.record.table("robertson", columns, rows, caption)


class _Network(nn.Module):
    """64 → 64 → 64 with time beside, as for the digits; counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.calls = nn.Linear(65, 64), nn.Linear(65, 64), 0

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        self.calls += 1
        at = t.to(z).reshape(-1, 1).expand(len(z), 1)
        return self.second(torch.cat([torch.tanh(self.first(torch.cat([z, at], 1))), at], 1))


def steps(session: Session) -> None:
    """Forward and backward of one step, ours beside torchdiffeq's dopri5, in turn on one thread."""
    from torchdiffeq import odeint

    torch.set_num_threads(1)
    torch.manual_seed(0)
    network, z0, ends = _Network(), torch.rand(128, 64), torch.tensor([0.0, 1.0])
    tolerance = {"rtol": 1e-6, "atol": 1e-6}

    def by_torchdiffeq() -> Tensor:
        end: Tensor = odeint(network, z0, ends, method="dopri5", **tolerance)[-1]
        return end

    def alone() -> Tensor:
        z = z0
        for _ in range(6):
            z = network(ends[:1], z)
        return z

    jobs = {
        "torchdiffeq dopri5": by_torchdiffeq,
        "ours dopri5, shared": lambda: odesolve(network, z0, ends, method="dopri5", mode="shared", **tolerance).ys[-1],
        "ours tsit5, shared": lambda: odesolve(network, z0, ends, mode="shared", **tolerance).ys[-1],
        "ours tsit5, per sample": lambda: odesolve(network, z0, ends, **tolerance).ys[-1],
        ALONE: alone,
    }
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(3 if session.scale.small else 41):
        for name, job in jobs.items():
            network.calls = 0
            began = time.process_time()
            job().square().mean().backward()
            spent = time.process_time() - began
            if turn:
                # Two evaluations find the first step.
                seconds[name].append(6 * spent / (network.calls - (0 if name == ALONE else 2)))
    (theirs, *_) = seconds.values()
    ratios = {name: [a / b for a, b in zip(values, theirs, strict=True)] for name, values in seconds.items()}
    rows = [[name, 1e3 * median(values), median(ratios[name])] for name, values in seconds.items()]
    caption = (
        "Processor time of one step of six evaluations, forward and backward, median of turns on one thread: a batch "
        "of 128 states of 64 numbers, 64–64–64 tanh network with time, tolerance 1e-6, float32."
    )
    session.record.table("steps", ["solver", "ms a step", "over torchdiffeq"], rows, caption)
    name, ours = "step_over_torchdiffeq.time", "ours dopri5, shared"
    note = f"{ours}: the same tableau and norm; the network alone takes {median(ratios[ALONE]):.2g} of torchdiffeq's"
    session.record.figure(name, ratios[ours], timed=True, bar=at_most(0.5), unit="1", note=note)
