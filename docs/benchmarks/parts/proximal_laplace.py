"""Numbers with a Laplace law and Gaussian noise: the operator, the prior and what matching should find are known."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from parts.record import at_least, at_most
from parts.training_script import Session
from sciml.learners.proximal import MatchingSchedule, VectorConvexNetwork
from sciml.learners.proximal.averaged import AveragedNetwork
from sciml.learners.proximal.matching import mean_absolute, mean_square
from sciml.plug_and_play import LearnedPrior

__all__ = ["laplace", "matching_minimiser"]

SEEDS = 5
STEPS, BATCH, RATES = 1800, 256, (5e-3, 2e-4)
SCHEDULE = MatchingSchedule(1 / 3, (0.5, 0.2))
SPAN, FITTED = 3.0, 2.5

Loss = Callable[[Tensor, float], Tensor]
LOSSES: dict[str, Loss] = {
    "matching": SCHEDULE.loss,
    "absolute values": lambda error, progress: mean_absolute(error),
    "squares": lambda error, progress: mean_square(error),
}


def laplace(session: Session) -> None:
    """Five trainings by proximal matching; the first seed by the other losses, too."""
    points = torch.linspace(-SPAN, SPAN, 301, dtype=torch.float64)[:, None]
    steps = 5 if session.scale.small else STEPS
    seeds = range(1 if session.scale.small else SEEDS)
    mode = matching_minimiser(points[:, 0], SCHEDULE.gamma[1])
    rows: list[list[Any]] = []
    found: dict[str, list[float]] = {}
    for name, loss in LOSSES.items():
        for seed in seeds if name == "matching" else (0,):
            network = _trained(loss, steps, seed).double()
            away = (network(points)[:, 0].detach() - mode).abs()
            slope, determination = _prior_line(network)
            rows.append([name, seed, float(away.mean()), float(away.max()), slope, determination])
            if name == "matching":
                for key, value in (("mean", float(away.mean())), ("max", float(away.max())), ("slope", slope),
                                   ("r2", determination)):  # fmt: skip
                    found.setdefault(key, []).append(value)
        _table(session, rows)
    facts = {"seeds": list(seeds), "unit": "1"}
    record = session.record
    record.figure("laplace.mean_distance_to_oracle", found["mean"], bar=at_most(0.06), **facts)
    record.figure("laplace.largest_distance_to_oracle", max(found["max"]), bar=at_most(0.25), unit="1")
    errors = [abs(slope - 1) for slope in found["slope"]]
    record.figure("laplace.prior_slope_error", errors, bar=at_most(0.06), **facts)
    record.figure("laplace.prior_r2", found["r2"], bar=at_least(0.995), **facts)


def matching_minimiser(v: Tensor, gamma: float) -> Tensor:
    """The exact minimiser of the matching loss: the mode of p(x | v) blurred by N(0, γ²/2), by quadrature.

    p(x) = ½ e^{−|x|}, v = x + N(0, 1); ``v (n,)`` to ``(n,)``.
    """
    x = torch.linspace(-12, 12, 9601, dtype=torch.float64)
    c = torch.linspace(-SPAN - 1, SPAN + 1, 1601, dtype=torch.float64)
    kernel = torch.exp(-((c[:, None] - x) ** 2) / gamma**2)
    posterior = torch.exp(-((v[:, None] - x) ** 2) / 2 - x.abs())
    return c[(posterior @ kernel.T).argmax(1)]


def _trained(loss: Loss, steps: int, seed: int) -> VectorConvexNetwork:
    """Scrambled Sobol pairs through the inverse distribution functions: fresh samples in every step."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = AveragedNetwork(VectorConvexNetwork(1, width=24, depth=2, beta=10.0), 0.99)
    optimizer = torch.optim.Adam(module.network.parameters())
    sobol = torch.quasirandom.SobolEngine(2, scramble=True, seed=seed)
    generator = Generator().manual_seed(seed)
    for step in range(steps):
        progress = step / steps
        for group in optimizer.param_groups:
            group["lr"] = RATES[0] * (RATES[1] / RATES[0]) ** progress
        module.advance()
        x, v = _pair(sobol, generator)
        optimizer.zero_grad()
        loss(module(v) - x, progress).backward()
        optimizer.step()
    module.settle()
    return copy.deepcopy(module.network)


def _pair(sobol: torch.quasirandom.SobolEngine, generator: Generator) -> tuple[Tensor, Tensor]:
    """Clean and noisy numbers ``(BATCH, 1)``."""
    u = sobol.draw(BATCH).clamp(1e-6, 1 - 1e-6)
    centred = u[:, :1] - 0.5
    x = -centred.sign() * torch.log1p(-2 * centred.abs()).clamp(min=-15.0)
    noise = (2**0.5) * torch.erfinv(2 * u[:, 1:] - 1)
    return x, x + noise


@torch.no_grad()
def _prior_line(network: VectorConvexNetwork) -> tuple[float, float]:
    """R at x = f(v) as a |x| + c on |x| ≤ 2.5: a, and the share of the variance that the line explains."""
    v = torch.linspace(-5, 5, 2001, dtype=torch.float64)[:, None]
    point = LearnedPrior(network).prox(v)
    assert point.value is not None
    inside = point.x[:, 0].abs() <= FITTED
    size, value = point.x[inside, 0].abs(), point.value[inside]
    columns = torch.stack([size, torch.ones_like(size)], 1)
    line = torch.linalg.lstsq(columns, value[:, None]).solution
    left = (value - (columns @ line)[:, 0]).square().sum()
    return float(line[0]), float(1 - left / (value - value.mean()).square().sum())


def _table(session: Session, rows: list[list[Any]]) -> None:
    columns = ["loss", "seed", "mean distance", "largest distance", "slope of the prior", "R²"]
    caption = (
        f"Distances to the exact minimiser of the matching loss with its last width, γ = {SCHEDULE.gamma[1]:g}, on "
        f"|v| ≤ {SPAN:g}; the prior −log p is |x| but for a constant, fitted by a line on |x| ≤ {FITTED:g}. "
        f"{STEPS} steps of {BATCH} fresh pairs."
    )
    session.record.table("laplace", columns, rows, caption)
