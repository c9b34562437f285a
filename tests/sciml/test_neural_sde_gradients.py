"""Gradients of stochastic solves: exact derivatives of what was computed, with the step sizes as constants."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sciml.learners.neural_ode import (
    ErrorRegularizer,
    IntegrationInputError,
    KineticRegularizer,
    LocalRegularizer,
    PIController,
    StiffnessRegularizer,
)
from sciml.learners.neural_sde import sdesolve

BOTH = pytest.mark.parametrize("interpretation", ["ito", "stratonovich"])
TIMES = torch.tensor([0.0, 0.23, 0.6, 1.0], dtype=torch.float64)


class Network(nn.Module):
    """A small network of state and time."""

    def __init__(self, seed, scale):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weights = nn.ParameterList(
            scale * torch.randn(*shape, dtype=torch.float64, generator=generator) for shape in ((3, 6), (6, 2))
        )

    def forward(self, t, z):
        return torch.tanh(torch.cat([z, t[:, None]], dim=1) @ self.weights[0]) @ self.weights[1]


class Recorded:
    """A controller that keeps the factors it has chosen."""

    smallest = 0.2

    def __init__(self):
        self.factors = []

    def factor(self, error, previous, order):
        self.factors.append(PIController(largest=3.0).factor(error, previous, order))
        return self.factors[-1]


class Replayed:
    """A controller that chooses the same factors again, whatever the errors."""

    smallest = 0.2

    def __init__(self, factors):
        self.factors = iter(factors)

    def factor(self, error, previous, order):
        return next(self.factors)


@BOTH
@pytest.mark.parametrize("penalty", ["none", "sum", "mean", "max", "square", "raw"])
def test_gradients_are_central_differences_on_the_same_grid(interpretation, penalty):
    """d/dε of outputs and penalty along a random direction of all parameters and z₀; several steps are rejected."""
    drift, diffusion = Network(0, 1.2), Network(1, 1.0)
    z0 = torch.tensor([[1.0, -0.5], [0.2, 2.0], [-1.5, 0.1]], dtype=torch.float64, requires_grad=True)
    variables = [z0, *drift.parameters(), *diffusion.parameters()]
    generator = torch.Generator().manual_seed(2)
    directions = [torch.randn(v.shape, dtype=v.dtype, generator=generator) for v in variables]

    def loss(controller):
        solution = sdesolve(
            drift, diffusion, z0, TIMES, seed=7, interpretation=interpretation, controller=controller,
            first_step=0.2, record=("error", "raw_error"),
        )  # fmt: skip
        value = (solution.ys**2 * torch.arange(1, 5)[:, None, None]).sum()
        if penalty in ("sum", "mean", "max"):
            value = value + 10 * ErrorRegularizer(penalty)(solution)
        elif penalty == "square":
            value = value + 10 * ErrorRegularizer("sum", power=2)(solution)
        elif penalty == "raw":
            value = value + 100 * (solution.stats.raw_error * solution.stats.mask).sum()
        return value, solution.stats

    recorded = Recorded()
    value, stats = loss(recorded)
    assert int(stats.rejected.sum()) > 0
    gradients = torch.autograd.grad(value, variables)
    along = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True))

    def moved(size):
        with torch.no_grad():
            for v, d in zip(variables, directions, strict=True):
                v += size * d
            shifted, moved_stats = loss(Replayed(recorded.factors))
            for v, d in zip(variables, directions, strict=True):
                v -= size * d
        assert torch.equal(moved_stats.h, stats.h)
        return shifted

    size = 1e-5
    difference = (moved(size) - moved(-size)) / (2 * size)
    torch.testing.assert_close(along, difference, rtol=1e-6, atol=1e-8)


@BOTH
def test_the_automatic_first_step_is_a_constant(interpretation):
    """The gradient with the automatic first step is that with the same step given."""
    drift, diffusion = Network(0, 1.2), Network(1, 0.5)
    z0 = torch.tensor([[1.0, -0.5]], dtype=torch.float64, requires_grad=True)
    settings = {"seed": 7, "interpretation": interpretation}
    automatic = sdesolve(drift, diffusion, z0, TIMES, **settings)
    given = sdesolve(drift, diffusion, z0, TIMES, first_step=float(automatic.stats.h[0, 0]), **settings)
    losses = [s.ys.square().sum() + ErrorRegularizer()(s) for s in (automatic, given)]
    gradients = [torch.autograd.grad(loss, [z0, *drift.parameters()]) for loss in losses]
    assert torch.equal(automatic.stats.h, given.stats.h)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-12, atol=1e-12)


def test_the_penalty_is_the_sum_over_accepted_steps():
    """R = mean over samples of Σ E_j h_j; rejected steps do not count. Stiffness is not measured, and says so."""
    solution = sdesolve(Network(0, 1.2), Network(1, 1.0), torch.ones(4, 2).double(), TIMES, seed=0, first_step=0.5)
    stats = solution.stats
    by_hand = (stats.error * stats.h)[stats.mask].sum() / 4
    assert int(stats.rejected.sum()) > 0
    torch.testing.assert_close(ErrorRegularizer("sum")(solution), by_hand)
    with pytest.raises(IntegrationInputError, match="cannot measure stiffness; use ErrorRegularizer"):
        StiffnessRegularizer()(solution)
    with pytest.raises(IntegrationInputError, match="with milstein use ErrorRegularizer"):
        LocalRegularizer()(solution)
    with pytest.raises(IntegrationInputError, match="use odesolve with"):
        KineticRegularizer()(solution)


def test_recording_changes_nothing():
    """Outputs and gradients are the same, bit by bit, with and without measurements."""
    drift, diffusion = Network(0, 1.2), Network(1, 1.0)
    results = []
    for record in ((), ("error", "raw_error", "h")):
        solution = sdesolve(drift, diffusion, torch.ones(4, 2).double(), TIMES, seed=0, record=record)
        results.append([solution.ys, *torch.autograd.grad(solution.ys[-1].sum(), list(drift.parameters()))])
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)
