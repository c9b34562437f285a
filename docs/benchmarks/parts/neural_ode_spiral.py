"""The spiral stochastic equation: moments of its law, and a network that learns them with fewer evaluations."""

from __future__ import annotations

import time
from statistics import fmean, stdev

import torch
from torch import Tensor, nn

from parts.training_script import Session
from sciml.learners.neural_ode import ErrorRegularizer
from sciml.learners.neural_sde import NeuralSDE, sdesolve

__all__ = ["spiral"]

#: du = u³ A dt + 0.2 u dW (Itô), u(0) = (2, 0).
MATRIX = ((-0.1, 2.0), (-2.0, -0.1))
NOISE, START, TIMES = 0.2, (2.0, 0.0), 30
#: Means and variances at t = 1 of the file that was published with the method.
PUBLISHED = ((0.584, -0.985), (0.918, 0.631))
PATHS, ITERATIONS, LEARNING_RATE, TOLERANCE = 100, 250, 1e-2, 0.03
WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.5)
TESTED = 2000


def spiral(session: Session) -> None:
    """The law itself, then trainings with several weights of the penalty."""
    torch.set_num_threads(1)
    small = session.scale.small
    target = _law(session, 200 if small else 10_000)
    rows = []
    for weight in WEIGHTS[:2] if small else WEIGHTS:
        runs = [_trained(target, weight, seed, 2 if small else ITERATIONS) for seed in session.scale.seeds]
        print(f"spiral weight {weight}: {runs}", flush=True)
        rows.append([weight, *(_spread([run[k] for run in runs]) for k in range(3))])
    seeds = ", ".join(map(str, session.scale.seeds))
    caption = (
        f"Drift W₂ tanh(W₁ x³), diffusion linear; {PATHS} paths, {ITERATIONS} iterations of Adam on the squared errors "
        f"of means and variances at {TIMES} times, tolerance {TOLERANCE:g}; the error is that of {TESTED} other paths "
        f"against the law's moments. Mean ± standard deviation over seeds {seeds}."
    )
    columns = ["weight of the error penalty", "moment error", "evaluations of the drift", "training s"]
    session.record.table("spiral_training", columns, rows, caption)


def _instants() -> Tensor:
    return torch.linspace(0, 1, TIMES, dtype=torch.float64)


def _law(session: Session, paths: int) -> tuple[Tensor, Tensor]:
    """Means and variances ``(30, 2)`` of the law by the solver at a tight tolerance."""
    A = torch.tensor(MATRIX, dtype=torch.float64)
    z0 = torch.tensor([START], dtype=torch.float64).repeat(paths, 1)
    rows, found = [["published", *PUBLISHED[0], *PUBLISHED[1], None]], (z0, z0)
    for tolerance in (1e-2, 1e-3, 3e-4):
        solution = sdesolve(
            lambda t, z: z**3 @ A, lambda t, z: NOISE * z, z0, _instants(), seed=0, interpretation="ito",
            rtol=tolerance, atol=tolerance,
        )  # fmt: skip
        mean, variance = solution.ys.mean(1), solution.ys.var(1)
        numbers = [*mean[-1].tolist(), *variance[-1].tolist(), float(solution.stats.nfe.double().mean())]
        rows.append([f"tolerance {tolerance:g}", *numbers])
        found = mean, variance
    columns = ["", "mean of u₁", "mean of u₂", "variance of u₁", "variance of u₂", "evaluations of the drift"]
    error = (found[1][-1] / paths).sqrt()
    caption = f"At t = 1, {paths} paths; the standard error of the means is {error[0]:.2g} and {error[1]:.2g}."
    session.record.table("spiral_law", columns, rows, caption)
    worst = max(
        abs(found[moment][-1, k].item() - PUBLISHED[moment][k]) / scale
        for moment, scale in ((0, 1.0), (1, 1.0))
        for k in range(2)
    )
    session.record.figure("spiral.largest_distance_to_published_moment", worst, unit="1", seeds=[0])
    return found[0].float(), found[1].float()


class _Drift(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 50), nn.Tanh(), nn.Linear(50, 2))

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        slope: Tensor = self.layers(z**3)
        return slope


class _Diffusion(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        spread: Tensor = self.layer(z)
        return spread


def _trained(target: tuple[Tensor, Tensor], weight: float, seed: int, iterations: int) -> tuple[float, float, float]:
    """Moment error on other paths, evaluations, and seconds of training."""
    torch.manual_seed(seed)
    model = NeuralSDE(_Drift(), _Diffusion(), interpretation="ito", rtol=TOLERANCE, atol=TOLERANCE)
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE)
    z0, penalty = torch.tensor([START]), ErrorRegularizer("sum")
    began = time.process_time()
    for step in range(iterations):
        solution = model(z0.expand(PATHS, 2), _instants(), seed=1000 * seed + step)
        loss = _distance(solution.ys, target) + (weight * penalty(solution) if weight else 0.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    seconds = time.process_time() - began
    with torch.no_grad():
        solution = model(z0.expand(TESTED, 2), _instants(), seed=10**6 + seed)
    return float(_distance(solution.ys, target)), float(solution.stats.nfe.double().mean()), seconds


def _distance(paths: Tensor, target: tuple[Tensor, Tensor]) -> Tensor:
    means, variances = target
    return (paths.mean(1) - means).square().mean() + (paths.var(1) - variances).square().mean()


def _spread(values: list[float]) -> str:
    return f"{fmean(values):.3g}" + (f" ± {stdev(values):.2g}" if len(values) > 1 else "")
