"""How data become fields: every method takes data and a weight, and gives fields."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from parts.proximal_cases import Draw, Family
from pde_benchmarks.random_fields import GaussianField
from sciml.plug_and_play import (
    ADMM,
    AcceleratedProximalGradient,
    Backtracking,
    ChambollePock,
    DenoiserPrior,
    GaussianFidelity,
    LearnedPrior,
    Method,
    PreimageDescent,
    Prior,
    ProximalGradient,
    ProximalNetwork,
    TotalVariation,
    gaussian_field_precision,
    reconstruct,
    smoothness_precision,
    tikhonov,
)

__all__ = ["Solve", "fidelity_of", "linear_methods", "nonlinear_methods", "smooth"]

#: Fields from a draw and the weight of the prior.
Solve = Callable[[Draw, float], Tensor]
ITERATIONS = {"admm": 100, "gradient": 200, "exact": 15, "total variation": 300, "darcy": 60, "descent": 200}


def fidelity_of(draw: Draw) -> GaussianFidelity:
    """½ ‖G(x) − b‖² in units of the data: weights are then of the size of relative noise variances."""
    return GaussianFidelity(draw.operator, draw.data, draw.unit)


def linear_methods(family: Family, network: ProximalNetwork, denoiser: Callable[[Tensor], Tensor]) -> dict[str, Solve]:
    """Those whose weight is tuned."""
    learned, plain = LearnedPrior(network), DenoiserPrior(denoiser)
    return {
        "Tikhonov, smoothness": smooth,
        "Gaussian field": _gaussian,
        "total variation": partial(
            _iterated, TotalVariation(), ChambollePock(max_iterations=ITERATIONS["total variation"])
        ),
        "plain CNN, ADMM": partial(_iterated, plain, ADMM(max_iterations=ITERATIONS["admm"])),
        "LPN, ADMM": partial(_iterated, learned, ADMM(max_iterations=ITERATIONS["admm"])),
    }


def exact_strength(network: ProximalNetwork) -> Solve:
    """Proximal gradient with multiples of the prior by Newton's method: within the theorem at every weight.

    It starts where ADMM ends, which minimises the same objective without a theorem.
    """
    prior = LearnedPrior(network)
    method = AcceleratedProximalGradient(max_iterations=ITERATIONS["exact"])

    def solve(draw: Draw, weight: float) -> Tensor:
        start = _iterated(prior, ADMM(max_iterations=ITERATIONS["admm"]), draw, weight)
        return reconstruct(fidelity_of(draw), prior, weight, method, start=start, throw=False).x

    return solve


def at_the_step_bound(network: ProximalNetwork) -> Callable[[Draw], Tensor]:
    """Proximal gradient with the network as it is: the weight is the smallest that its theorem allows."""

    def solve(draw: Draw) -> Tensor:
        fidelity = fidelity_of(draw)
        lipschitz = fidelity.lipschitz
        assert lipschitz is not None
        method = ProximalGradient(max_iterations=ITERATIONS["gradient"], step=0.99 / lipschitz)
        return reconstruct(fidelity, LearnedPrior(network), lipschitz / 0.99, method, throw=False).x

    return solve


def nonlinear_methods(network: ProximalNetwork, smooth_weight: float) -> dict[str, Solve]:
    """For operators without a transpose of their own, beside `smooth`, whose answer two of them start at."""
    learned = LearnedPrior(network)
    descent = PreimageDescent(max_iterations=ITERATIONS["descent"])
    variation = Backtracking(1e-4, ITERATIONS["darcy"])

    def after_smoothing(prior: Prior, method: Method, draw: Draw, weight: float) -> Tensor:
        return _iterated(prior, method, draw, weight, smooth(draw, smooth_weight))

    return {
        "Gaussian field": _gaussian,
        "total variation": partial(after_smoothing, TotalVariation(tolerance=1e-3), variation),
        "LPN, exact strength": partial(after_smoothing, learned, descent),
    }


def _iterated(prior: Prior, method: Method, draw: Draw, weight: float, start: Tensor | None = None) -> Tensor:
    first = _start(draw) if start is None else start
    return reconstruct(fidelity_of(draw), prior, weight, method, start=first, throw=False).x


def smooth(draw: Draw, weight: float) -> Tensor:
    """½ ‖∇x‖²."""
    shape = draw.truth.shape[1:]
    return tikhonov(fidelity_of(draw), weight, smoothness_precision(shape), start=_start(draw), throw=False)


def _gaussian(draw: Draw, weight: float) -> Tensor:
    """The field of the law of permeabilities before they are cut; correlated over a third of the domain."""
    shape = draw.truth.shape[1:]
    precision = gaussian_field_precision(GaussianField(2.0, 3.0, "neumann"), tuple(shape))
    mean = draw.truth.new_full(tuple(shape), 0.5)
    return tikhonov(fidelity_of(draw), weight, precision, mean, start=_start(draw), throw=False)


def _start(draw: Draw) -> Tensor:
    """The middle of the range, which every law shares."""
    return torch.full_like(draw.truth, 0.5)
