"""The search for hyper-parameters: restarts of every kernel in one batch, fewer as they go."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor

from sciml.learners.mmgp.gaussian_processes.bounded_bfgs import Minimum, advance, begin
from sciml.learners.mmgp.gaussian_processes.config import GaussianProcessConfig
from sciml.learners.mmgp.gaussian_processes.likelihood import MarginalLikelihood

if TYPE_CHECKING:
    from sciml.inference.result import Advance

__all__ = ["random_starts", "search"]


def random_starts(dimension: int, config: GaussianProcessConfig, generator: Generator) -> Tensor:
    """Logarithms of the starting hyper-parameters ``(restarts, d + 2)``, within the bounds.

    The first start is (√d, 1, 1e-4); the others draw each length scale from √d e^U(−1, 1) and the noise variance from
    10^U(−6, −2).
    """
    count = config.restarts
    first = torch.tensor([math.log(max(dimension, 1)) / 2] * dimension + [0.0, math.log(1e-4)], dtype=torch.float64)
    starts = first.repeat(count, 1)
    draws = torch.rand(count, dimension + 1, generator=generator, dtype=torch.float64, device=generator.device).cpu()
    starts[1:, :dimension] += 2 * draws[1:, :-1] - 1
    starts[1:, -1] = math.log(10) * (-6 + 4 * draws[1:, -1])
    return starts.clamp(*box(dimension, config))


def box(dimension: int, config: GaussianProcessConfig) -> tuple[Tensor, Tensor]:
    """Logarithms of the lower and upper bounds, each ``(d + 2,)``."""
    bounds = [config.length_scale_bounds] * dimension + [config.signal_bounds, config.noise_bounds]
    lower, upper = torch.tensor(bounds, dtype=torch.float64).log().unbind(1)
    return lower, upper


def search(
    likelihood: MarginalLikelihood,
    starts: Tensor,
    config: GaussianProcessConfig,
    progress: Advance | None = None,
) -> Minimum:
    """The best minimum of every kernel, ``Minimum`` of g rows.

    Parameters
    ----------
    starts
        Logarithms of the hyper-parameters ``(restarts, d + 2)``, used for every kernel.
    """
    kernels = len(likelihood.columns)
    lower, upper = (bound.to(starts.device) for bound in box(starts.shape[1] - 2, config))
    tell = progress or (lambda fraction, text: None)
    state = begin(
        likelihood,
        starts.repeat_interleave(kernels, 0),
        torch.arange(kernels, device=starts.device).repeat(len(starts)),
    )
    for number, steps in enumerate(config.rounds):
        tell(number / (len(config.rounds) + 1), f"{len(state.value)} searches of {kernels} kernels")
        state = _contenders(advance(likelihood, state, lower, upper, steps, config.tolerance), config.margin)
    tell(len(config.rounds) / (len(config.rounds) + 1), f"{len(state.value)} searches of {kernels} kernels")
    state = advance(likelihood, state, lower, upper, config.max_iterations, config.tolerance)
    tell(1.0, "done")
    return _winners(state)


def _contenders(state: Minimum, margin: float) -> Minimum:
    """The searches that are not more than ``margin`` behind the best one of their kernel."""
    best = torch.full_like(state.value, math.inf).scatter_reduce(0, state.problem, state.value, "amin")
    return state.rows((state.value <= best[state.problem] + margin).nonzero().flatten())


def _winners(state: Minimum) -> Minimum:
    """The best search of every kernel, by kernel."""
    order = state.value.argsort(stable=True)
    order = order[state.problem[order].argsort(stable=True)]
    kernel = state.problem[order]
    first = torch.cat([kernel.new_ones(1, dtype=torch.bool), kernel[1:] != kernel[:-1]])
    return state.rows(order[first])
