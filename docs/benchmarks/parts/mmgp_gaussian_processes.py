"""Rows of the MMGP benchmark on its regression: time and likelihood against a loop of scikit-learn's regressors."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from parts.record import Record, at_most
from sciml.learners.mmgp.gaussian_processes import GaussianProcessConfig, fit_gaussian_processes
from sciml.learners.mmgp.gaussian_processes.likelihood import MarginalLikelihood
from sciml.learners.mmgp.gaussian_processes.search import box, random_starts

__all__ = ["compare", "measure", "regression"]

SEED = 0
BLOCK = 10  # outputs a round


def measure(record: Record, quick: bool) -> None:
    """A fit of many outputs, with and without halving, beside scikit-learn from strictly the same starts."""
    size, outputs = (40, 2) if quick else (200, 40)
    compare(record, *regression(size, 3 if quick else 13, outputs), "synthetic regressions")


def compare(record: Record, inputs: Tensor, targets: Tensor, what: str) -> None:
    """Figures of one regression problem ``(n, d)`` to ``(n, m)``, on one thread; contenders take turns by blocks.

    A ratio of times is the median over blocks of outputs; a likelihood is evaluated by one function for all.
    """
    from threadpoolctl import threadpool_limits

    inputs, targets = (_standardised(part) for part in (inputs, targets))
    halved = GaussianProcessConfig()
    contenders = {"scikit-learn": _scikit_learn, "batched": _batched, "batched, halving": _batched}
    configs = {"scikit-learn": halved, "batched": replace(halved, rounds=()), "batched, halving": halved}
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    losses: dict[str, list[Tensor]] = {name: [] for name in contenders}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            _batched(inputs, targets[:, :1], halved)  # warms up
            for block in targets.split(BLOCK, 1):
                for name, fit in contenders.items():
                    spent, theta = _timed(fit, inputs, block, configs[name])
                    seconds[name].append(spent)
                    losses[name].append(_losses(inputs, block, theta))
    finally:
        torch.set_num_threads(threads)
    _write(record, what, inputs, targets, seconds, {name: torch.cat(parts) for name, parts in losses.items()})


def regression(samples: int, dimension: int, outputs: int, seed: int = SEED) -> tuple[Tensor, Tensor]:
    """Sums of hyperbolic tangents of random directions, each output with its own relevant inputs and noise.

    The noise variance is 10^U(−4.5, −0.5) of the output's, like the coefficients of first to last modes.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    inputs, columns = normal(samples, dimension), []
    for _ in range(outputs):
        relevance = normal(dimension, 1).exp()
        direction = 0.6 * inputs @ (normal(dimension, 6) * relevance) / dimension**0.5
        column = torch.tanh(direction + normal(6)) @ normal(6) + 0.1 * direction[:, 0].square()
        exponent = 4 * torch.rand((), generator=generator, dtype=torch.float64) - 4.5
        columns.append(column + column.std() * 10 ** (exponent / 2) * normal(samples))
    return inputs, torch.stack(columns, 1)


def _batched(inputs: Tensor, targets: Tensor, config: GaussianProcessConfig) -> Tensor:
    """Logarithms of the hyper-parameters found, ``(m, d + 2)``."""
    found = fit_gaussian_processes(inputs, targets, config, torch.Generator().manual_seed(SEED))
    parts = (found.length_scales, found.signal_variance[:, None], found.noise_variance[:, None])
    return torch.cat(parts, 1).log()


def _scikit_learn(inputs: Tensor, targets: Tensor, config: GaussianProcessConfig) -> Tensor:
    """One regressor an output, its own L-BFGS-B and gradient, from the starts of `_batched`."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    dimension = inputs.shape[1]
    starts = _reordered(random_starts(dimension, config, torch.Generator().manual_seed(SEED))).numpy()
    kernel = ConstantKernel(1.0, config.signal_bounds) * Matern(
        np.ones(dimension), config.length_scale_bounds, nu=2.5
    ) + WhiteKernel(1e-4, config.noise_bounds)

    def from_every_start(objective: Callable[..., Any], initial_theta: Any, bounds: Any) -> tuple[Any, float]:
        ends = [minimize(objective, s, method="L-BFGS-B", jac=True, bounds=bounds) for s in starts]
        best = min(ends, key=lambda end: end.fun)
        return best.x, best.fun

    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of hyper-parameters at their bounds
        for column in targets.T.numpy():
            model = GaussianProcessRegressor(kernel, alpha=1e-9, optimizer=from_every_start)
            found.append(torch.from_numpy(model.fit(inputs.numpy(), column).kernel_.theta))
    theta = torch.stack(found)
    return torch.cat([theta[:, 1:-1], theta[:, :1], theta[:, -1:]], 1)


def _reordered(theta: Tensor) -> Tensor:
    """scikit-learn's order: signal variance, length scales, noise variance."""
    return torch.cat([theta[:, -2:-1], theta[:, :-2], theta[:, -1:]], 1)


def _timed(
    fit: Callable[..., Tensor], inputs: Tensor, block: Tensor, config: GaussianProcessConfig
) -> tuple[float, Tensor]:
    began = time.perf_counter()
    theta = fit(inputs, block, config)
    return time.perf_counter() - began, theta


def _losses(inputs: Tensor, targets: Tensor, theta: Tensor) -> Tensor:
    lower, upper = box(inputs.shape[1], GaussianProcessConfig())
    columns = torch.ones(targets.shape[1], dtype=torch.float64)
    likelihood = MarginalLikelihood(inputs, targets.T[..., None].contiguous(), columns)
    return likelihood(theta.clamp(lower, upper), torch.arange(len(theta)))[0]


def _standardised(values: Tensor) -> Tensor:
    return (values - values.mean(0)) / values.std(0, correction=0)


def _write(
    record: Record,
    what: str,
    inputs: Tensor,
    targets: Tensor,
    seconds: dict[str, list[float]],
    losses: dict[str, Tensor],
) -> None:
    (samples, dimension), outputs = inputs.shape, targets.shape[1]
    restarts = GaussianProcessConfig().restarts
    size = f"{what}: {samples} samples, {dimension} inputs, {outputs} outputs, {restarts} starts each, one thread"
    rows, theirs = [], losses["scikit-learn"]
    for name, suffix, bar in (("batched", "_same_restarts", 1 / 3), ("batched, halving", "", 0.2)):
        ratios = [a / b for a, b in zip(seconds[name], seconds["scikit-learn"], strict=True)]
        note = f"{size}; median over blocks of {BLOCK} outputs, contenders in turn"
        figure = f"gaussian_processes{suffix}_over_sklearn_loop.time"
        record.figure(figure, ratios, timed=True, unit="1", bar=at_most(bar), note=note)
    for name, loss in losses.items():
        excess = loss - theirs
        each = sum(seconds[name]) / outputs
        ratio = median(b / a for a, b in zip(seconds[name], seconds["scikit-learn"], strict=True))
        rows.append([name, each, ratio, excess.median().item(), excess.min().item(), excess.max().item()])
        if name != "scikit-learn":
            figure = f"gaussian_processes.{name.replace(', ', '_')}_minus_sklearn.worst_negative_log_likelihood"
            record.figure(figure, excess.max().item(), unit="nat", bar=at_most(1e-3), note=size)
    columns = ["", "s an output", "times faster", "median ΔNLL", "least ΔNLL", "largest ΔNLL"]
    record.table("gaussian_processes", columns, rows, f"{size}. ΔNLL: negative log likelihood minus scikit-learn's.")
