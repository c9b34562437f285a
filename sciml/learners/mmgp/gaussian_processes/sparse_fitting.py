"""Stochastic variational fits by GPyTorch (Hensman et al. 2013), for more samples than a Cholesky factor carries."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor

from sciml.learners.mmgp.gaussian_processes.config import GaussianProcessConfig, InducingConfig
from sciml.learners.mmgp.gaussian_processes.likelihood import MarginalLikelihood
from sciml.learners.mmgp.gaussian_processes.search import random_starts, search
from sciml.learners.mmgp.gaussian_processes.sparse import best_inducing_values
from solvers.status import Status

if TYPE_CHECKING:
    from sciml.inference.result import Advance
    from sciml.learners.mmgp.gaussian_processes.sparse_model import VariationalColumns

__all__ = ["cluster_centres", "fit_sparse"]

SUBSET = 300
"""Samples whose exact likelihood gives the hyper-parameters that the variational fit starts from."""
LLOYD_STEPS = 20
SETTLED = 0.01
"""A fit has converged when the last fifth of its steps moved the lower bound by less than this, nats a sample."""


def fit_sparse(
    state: dict[str, Tensor], config: GaussianProcessConfig, generator: Generator, progress: Advance | None = None
) -> dict[str, Tensor]:
    """The state of `SparseGaussianProcesses` for standardised ``inputs`` and ``targets`` in ``state``.

    Hyper-parameters start from the exact likelihood of a subset, inducing points from the centres of clusters; Adam
    moves both together with the values at the points, which are at last set to their optimum.
    """
    inputs, targets = state["inputs"], state["targets"]
    tell = progress or (lambda fraction, text: None)
    start = _subset_optimum(inputs, targets, config, generator)
    centres = cluster_centres(inputs, config.inducing.points, generator)
    parts = []
    step = config.inducing.columns
    for first in range(0, targets.shape[1], step):
        tell(first / targets.shape[1], f"variational, column {first}")
        columns = slice(first, first + step)
        parts.append(_fit_columns(inputs, targets[:, columns], start[columns], centres, config.inducing, generator))
    tell(1.0, "done")
    return state | {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def cluster_centres(inputs: Tensor, count: int, generator: Generator) -> Tensor:
    """Centres ``(count, d)`` of clusters of the inputs ``(n, d)`` by Lloyd's algorithm; all inputs where n ≤ count.

    Examples
    --------
    >>> x = torch.tensor([[0.0], [0.2], [5.0], [5.2]])
    >>> cluster_centres(x, 2, torch.Generator().manual_seed(1)).sort(0).values.flatten()
    tensor([0.1000, 5.1000])
    """
    order = torch.randperm(len(inputs), generator=generator, device=generator.device).to(inputs.device)
    centres = inputs[order[:count]].clone()
    if len(inputs) <= count:
        return centres
    for _ in range(LLOYD_STEPS):
        nearest = torch.cdist(inputs, centres).argmin(1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, inputs)
        members = torch.bincount(nearest, minlength=count)
        centres = torch.where(members[:, None] > 0, sums / members[:, None].clamp_min(1), centres)
    return centres


def _subset_optimum(inputs: Tensor, targets: Tensor, config: GaussianProcessConfig, generator: Generator) -> Tensor:
    """Logarithms of hyper-parameters ``(m, d + 2)`` that suit some of the samples."""
    order = torch.randperm(len(inputs), generator=generator, device=generator.device).to(inputs.device)[:SUBSET]
    likelihood = MarginalLikelihood(
        inputs[order], targets[order].mT[..., None].contiguous(), torch.ones_like(targets[0])
    )
    starts = random_starts(inputs.shape[1], config, generator).to(inputs.device)
    return search(likelihood, starts, config).point


def _fit_columns(
    inputs: Tensor, targets: Tensor, start: Tensor, centres: Tensor, config: InducingConfig, generator: Generator
) -> dict[str, Tensor]:
    from sciml.learners.mmgp.gaussian_processes.sparse_model import VariationalColumns  # GPyTorch takes its second

    model = VariationalColumns(inputs, targets, start, centres)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    before = torch.full_like(targets[0], -math.inf)
    for step, batch in enumerate(_batches(len(inputs), config, generator)):
        if step == config.steps * 4 // 5:
            before = _lower_bound(model, inputs, targets, config.batch_size)
        optimizer.zero_grad()
        (-model(inputs[batch], targets[batch]).sum()).backward()  # the columns share no parameter
        optimizer.step()
    settled = (_lower_bound(model, inputs, targets, config.batch_size) - before).abs() <= SETTLED
    points, length_scales, signal, noise = model.parts()
    mean, root = best_inducing_values(inputs, targets, points, length_scales, signal, noise)
    return {
        "inducing": points,
        "length_scales": length_scales,
        "signal_variance": signal,
        "noise_variance": noise,
        "inducing_mean": mean,
        "inducing_root": root,
        "status": torch.where(settled, int(Status.CONVERGED), int(Status.MAX_ITERATIONS)),
    }


def _batches(samples: int, config: InducingConfig, generator: Generator) -> Iterator[Tensor]:
    """Numbers of the samples of every step; each pass over the samples is in a new order."""
    left: list[Tensor] = []
    for _ in range(config.steps):
        if not left:
            order = torch.randperm(samples, generator=generator, device=generator.device)
            left = list(order.split(config.batch_size))
        yield left.pop()


@torch.no_grad()
def _lower_bound(model: VariationalColumns, inputs: Tensor, targets: Tensor, batch_size: int) -> Tensor:
    """Nats a sample, ``(m,)``, over all samples."""
    batches = zip(inputs.split(batch_size), targets.split(batch_size), strict=True)
    return torch.stack([model(x, y) * len(x) for x, y in batches]).sum(0) / len(inputs)
