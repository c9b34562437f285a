"""Penalties integrated along the solution, random times, and schedules of weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sciml.learners.neural_ode import (
    ConstantSchedule,
    EndTimeJitter,
    ErrorRegularizer,
    ExponentialSchedule,
    IntegrationInputError,
    JacobianRegularizer,
    KineticRegularizer,
    NFEBudgetSchedule,
    SeriesJitter,
    TaylorRegularizer,
    odesolve,
)

MODES = pytest.mark.parametrize("mode", ["per_sample", "shared"])
TIMES = torch.tensor([0.0, 0.7, 1.5], dtype=torch.float64)


@MODES
@pytest.mark.parametrize("adjoint", ["discrete", "checkpoint", "continuous"])
def test_integrals_along_the_solution_are_right_and_leave_the_steps_alone(mode, adjoint):
    """dz/dt = a z: ∫ ‖f‖² = a (z(T)² − z₀²)/2, ∫ ‖εᵀJ‖² = a² ‖ε‖² T, d²z/dt² = a f; gradients by the chain rule."""
    a = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    z0 = torch.tensor([[1.0], [-2.0]], dtype=torch.float64)
    terms = (KineticRegularizer(), JacobianRegularizer(torch.Generator().manual_seed(0)), TaylorRegularizer(2))
    options = {"args": (a,), "mode": mode, "rtol": 1e-6, "atol": 1e-6}

    def f(t, z, a):
        return a * z

    plain = odesolve(f, z0, TIMES, **options)
    solution = odesolve(f, z0, TIMES, adjoint=adjoint, integrals=terms, **options)
    assert torch.equal(plain.stats.h, solution.stats.h)
    torch.testing.assert_close(solution.ys, plain.ys, rtol=1e-12, atol=0)
    noise = torch.randn(z0.shape, dtype=z0.dtype, generator=torch.Generator().manual_seed(0))
    energy = (a * z0.square() * (torch.exp(2 * a * 1.5) - 1) / 2).mean()
    expected = (energy, (a.square() * noise.square() * 1.5).mean(), a**2 * energy)
    for term, value in zip(terms, expected, strict=True):
        torch.testing.assert_close(term(solution), value, rtol=1e-5, atol=0)
        slope = torch.autograd.grad(value, a, retain_graph=True)
        torch.testing.assert_close(torch.autograd.grad(term(solution), a, retain_graph=True), slope, rtol=1e-4, atol=0)
    with pytest.raises(IntegrationInputError, match="was not carried along"):
        terms[0](plain)


def test_the_total_derivative_includes_explicit_time():
    """z = sin(t) z₀ + …: d²z/dt² of dz/dt = cos(t) is −sin(t)."""
    term = TaylorRegularizer(2)
    z0 = torch.zeros(1, 1, dtype=torch.float64)
    solution = odesolve(lambda t, z: torch.cos(t)[:, None] + 0 * z, z0, torch.tensor([0.0, math.pi]), integrals=(term,),
                        rtol=1e-9, atol=1e-9)  # fmt: skip
    assert term(solution).item() == pytest.approx(math.pi / 2, rel=1e-6)


def test_schedules():
    schedule = ExponentialSchedule(100.0, 10.0, total=50, warm_up=2)
    assert schedule(1) == 0.0
    assert schedule(25) == pytest.approx(math.sqrt(1000))
    assert schedule(50) == pytest.approx(10.0)
    wrongly_made = (
        lambda: ExponentialSchedule(0.0, 1.0, 5),
        lambda: ConstantSchedule(-1.0),
        lambda: NFEBudgetSchedule(0),
        lambda: TaylorRegularizer(1),
        lambda: ErrorRegularizer("median"),
    )
    for make in wrongly_made:
        with pytest.raises(IntegrationInputError):
            make()


def test_the_budget_schedule_finds_the_weight_that_meets_the_target():
    """Evaluations fall with the weight, the error explodes beyond 10: the weight settles between what both ask for."""
    schedule = NFEBudgetSchedule(target_nfe=50, tolerance=0.05, weight=0.01, factor=1.5)
    visited = []
    for _ in range(60):
        weight = schedule(0)
        schedule.observe(nfe=100 / (1 + weight), validation_error=0.1 if weight < 10 else 1.0)
        visited.append(weight)
    assert np.median(visited[-20:]) == pytest.approx(1.0, rel=0.5)
    copy = NFEBudgetSchedule(target_nfe=50)
    copy.restore(schedule.state())
    assert copy(0) == schedule(0)
    assert schedule.observe(nfe=100, validation_error=math.nan) < copy(0)


def test_jitters_keep_times_strictly_monotone():
    generator = torch.Generator().manual_seed(0)
    times = torch.tensor([3.0, 2.0, 1.9, 0.0], dtype=torch.float64)
    ends = []
    for _ in range(50):
        series = SeriesJitter(generator=generator)(times)
        assert (series.diff() < 0).all()
        assert series[0] == 3.0
        assert series.min() >= 0.0
        ends.append(EndTimeJitter(0.5, generator)(times)[-1].item())
    assert -0.5 < min(ends) < -0.2 < 0.2 < max(ends) < 0.5
    with pytest.raises(IntegrationInputError, match="less than the last gap"):
        EndTimeJitter(2.0)(times)
