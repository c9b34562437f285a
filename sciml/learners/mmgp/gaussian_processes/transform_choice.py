"""Choose the transform of each output by what it predicts of samples left out, measured in the output's own unit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from sciml.learners.mmgp.gaussian_processes.config import GaussianProcessConfig
from sciml.learners.mmgp.gaussian_processes.fitting import fit_gaussian_processes
from sciml.learners.mmgp.gaussian_processes.posterior import GaussianPrediction
from sciml.learners.mmgp.gaussian_processes.transforms import Asinh, Identity, Logarithm, Transform, YeoJohnson

__all__ = ["TransformChoice", "candidate_transforms", "choose_transforms", "leave_one_out_log_density"]

QUANTILES = (0.1, 0.5, 0.9)
"""Of the values' size without zeros: the scales that asinh is tried with."""


@dataclass(frozen=True)
class TransformChoice:
    """The transform that an output is best predicted with.

    Parameters
    ----------
    transform
        The choice.
    candidates
        What it was chosen from, the identity first.
    log_densities
        Mean leave-one-out log density of each candidate, nats a sample, in the output's own unit.
    """

    transform: Transform
    candidates: tuple[Transform, ...]
    log_densities: tuple[float, ...]


def candidate_transforms(values: Tensor) -> tuple[Transform, ...]:
    """Transforms worth trying for an output ``(n,)``: the identity first, and only it for a constant.

    Examples
    --------
    >>> [type(t).__name__ for t in candidate_transforms(torch.tensor([1.0, 2.0, 9.0], dtype=torch.float64))]
    ['Identity', 'Asinh', 'Asinh', 'Asinh', 'Logarithm', 'YeoJohnson']
    """
    sizes = values.abs()[values != 0]
    if not len(sizes) or (values == values[0]).all():
        return (Identity(),)
    scales = sorted(set(torch.quantile(sizes, torch.tensor(QUANTILES).to(sizes)).tolist()))
    logarithm = (Logarithm(),) if (values > 0).all() else ()
    return (Identity(), *map(Asinh, scales), *logarithm, _likeliest_power(values))


def choose_transforms(
    inputs: Tensor, outputs: Tensor, config: GaussianProcessConfig, generator: Generator, margin: float = 1.0
) -> tuple[TransformChoice, ...]:
    """For each output the transform under which samples left out are likeliest.

    All candidates of all outputs are fitted as the columns of one batch. A transform replaces the identity only if it
    gains more than ``margin`` standard errors of the gain over the samples: a tie is none.

    Parameters
    ----------
    inputs, outputs
        ``(n, d)`` and ``(n, m)``, float64.

    Examples
    --------
    >>> x = torch.linspace(-2, 2, 40, dtype=torch.float64)[:, None]
    >>> wiggle = 0.1 * torch.randn(40, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    >>> outputs = torch.cat([3 * x + wiggle, (3 * x + wiggle).exp()], 1)
    >>> chosen = choose_transforms(x, outputs, GaussianProcessConfig(), torch.Generator().manual_seed(0))
    >>> [type(c.transform).__name__ for c in chosen]
    ['Identity', 'Logarithm']
    """
    candidates = [candidate_transforms(column) for column in outputs.T]
    columns = [t.forward(w) for w, tried in zip(outputs.T, candidates, strict=True) for t in tried]
    left_out = fit_gaussian_processes(inputs, torch.stack(columns, 1), config, generator).leave_one_out()
    choices, first = [], 0
    for w, tried in zip(outputs.T, candidates, strict=True):
        part = slice(first, first + len(tried))
        first = part.stop
        means, variances = left_out.mean[:, part].T, left_out.variance[:, part].T
        predictions = [GaussianPrediction(mean, variance) for mean, variance in zip(means, variances, strict=True)]
        densities = [leave_one_out_log_density(t, w, p) for t, p in zip(tried, predictions, strict=True)]
        choices.append(_choice(tried, torch.stack(densities), margin))
    return tuple(choices)


def leave_one_out_log_density(transform: Transform, values: Tensor, left_out: GaussianPrediction) -> Tensor:
    """Log density of ``values`` in their own unit, where their images are predicted to be normal; nats, same shape.

    log N(T(w); mean, variance) + log T'(w): without the second term any map that shrinks would win.
    """
    misfit = (transform.forward(values) - left_out.mean).square() / left_out.variance
    normal = -(misfit + torch.log(2 * math.pi * left_out.variance)) / 2
    return normal + transform.log_slope(values)


def _choice(candidates: tuple[Transform, ...], densities: Tensor, margin: float) -> TransformChoice:
    """From log densities ``(candidates, n)``."""
    gain = densities - densities[:1]
    needed = margin * gain.std(1) / math.sqrt(gain.shape[1])
    # An infinite or undefined density (a constant output) is no gain.
    lead = torch.where(gain.mean(1) > needed, gain.mean(1), 0)
    best = int(lead.argmax())
    return TransformChoice(candidates[best], candidates, tuple(densities.mean(1).tolist()))


def _likeliest_power(values: Tensor) -> YeoJohnson:
    """The power under which the values themselves, whatever the inputs, are closest to one normal distribution."""
    scale = values.std().item()

    def log_density(power: float) -> float:
        transform = YeoJohnson(power, scale)
        z = transform.forward(values)
        return (transform.log_slope(values).mean() - z.var(correction=0).log() / 2).item()

    powers = [step / 20 for step in range(41)]
    return YeoJohnson(max(powers, key=log_density), scale)
