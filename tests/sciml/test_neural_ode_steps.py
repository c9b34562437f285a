"""Runge–Kutta pairs, one step and its estimates: what holds by construction."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from sciml.learners.neural_ode import (
    TABLEAUX,
    ErrorRegularizer,
    IController,
    IntegrationInputError,
    PIController,
    StiffnessRegularizer,
    odesolve,
)
from sciml.learners.neural_ode.field import Field
from sciml.learners.neural_ode.step import embedded_step, interpolate

PAIRS = pytest.mark.parametrize("name", list(TABLEAUX))
WITH_STIFFNESS = pytest.mark.parametrize("name", ["tsit5", "dopri5", "heun_euler"])


def dense_weights(pair, x):
    powers = np.asarray(x)[..., None] ** np.arange(1, len(pair.dense[0]) + 1)
    return powers @ np.array(pair.dense).T


def one_step(f, name, z, h, t=0.0):
    """One step of a row per sample from time t."""
    field = Field(f, tuple(z.shape[1:]), None)
    sizes = np.full(len(z), h)
    slope = field(torch.full((len(z),), t, dtype=z.dtype), z)
    return embedded_step(field, TABLEAUX[name], np.full(len(z), t), sizes, z, slope)


@PAIRS
def test_weights_are_a_quadrature_of_the_pairs_order(name):
    """Σ b c^q = 1 / (q + 1) for q < p, rows of a sum to c, and the last stage stands at the end."""
    pair = TABLEAUX[name]
    c = np.array(pair.c)
    for q in range(pair.order):
        assert np.dot(pair.b, c[:-1] ** q) == pytest.approx(1 / (q + 1), abs=1e-14)
    np.testing.assert_allclose([sum(row) for row in pair.a], c[1:], atol=1e-14)
    assert pair.c[-1] == 1.0


@PAIRS
def test_error_weights_vanish_up_to_the_lower_order_and_not_beyond(name):
    """Σ (b − b̂) c^q = 0 for q < p − 1, and not for q = p − 1 (−5.82e-4 up to sign for tsit5)."""
    pair = TABLEAUX[name]
    moments = [np.dot(pair.error, np.array(pair.c) ** q) for q in range(pair.order)]
    np.testing.assert_allclose(moments[:-1], 0, atol=1e-14)
    assert abs(moments[-1]) > 1e-5
    if name == "tsit5":
        assert abs(moments[-1]) == pytest.approx(5.82e-4, rel=1e-2)


@PAIRS
def test_dense_output_starts_at_the_state_and_ends_with_the_weights_and_slope(name):
    """B(0) = 0, B(1) = b, B'(0) and B'(1) select the slopes at the ends: the output is continuously differentiable."""
    pair = TABLEAUX[name]
    stages = len(pair.c)
    np.testing.assert_allclose(dense_weights(pair, 1.0), [*pair.b, 0.0], atol=1e-13)
    derivatives = np.array(pair.dense) * np.arange(1, len(pair.dense[0]) + 1)
    np.testing.assert_allclose(derivatives[:, 0], np.eye(stages)[0], atol=1e-13)
    np.testing.assert_allclose(derivatives.sum(axis=1), np.eye(stages)[-1], atol=1e-12)


@pytest.mark.parametrize(("name", "order"), [("tsit5", 4), ("dopri5", 4), ("bs3", 3), ("heun_euler", 2)])
def test_dense_output_is_a_quadrature_to_every_point(name, order):
    """Σ B_i(x) c_i^q = x^(q + 1) / (q + 1)."""
    x = np.linspace(0, 1, 11)
    weights = dense_weights(TABLEAUX[name], x)
    for q in range(order):
        np.testing.assert_allclose(weights @ np.array(TABLEAUX[name].c) ** q, x ** (q + 1) / (q + 1), atol=1e-13)


@pytest.mark.parametrize(("name", "limit"), [("tsit5", 3.5069), ("dopri5", 3.3066), ("bs3", 2.5128), ("heun_euler", 2)])
def test_stability_limit_is_where_a_decaying_mode_stops_decaying(name, limit):
    """|R(−ρ)| = 1, below inside, above outside: measured by steps of dz/dt = −z."""
    rho = TABLEAUX[name].stability_limit
    assert rho == pytest.approx(limit, abs=1e-4)
    for factor, decays in ((0.5, True), (0.999, True), (1.001, False)):
        end = one_step(lambda t, z: -z, name, torch.ones(1, 1, dtype=torch.float64), rho * factor).end
        assert bool(end.abs() <= 1) is decays


def pendulum(t, z):
    return torch.stack([z[:, 1], -torch.sin(z[:, 0]) + 0.3 * torch.cos(t)], dim=1)


def local_errors(name, sizes):
    """Errors of the end, of the middle by dense output, and of the estimate, for one step of every size."""
    z = torch.tensor([[1.0, 0.5]], dtype=torch.float64)
    found = []
    for h in sizes:
        step = one_step(pendulum, name, z, h, t=0.2)
        middle = interpolate(TABLEAUX[name], z, step, torch.tensor([0]), np.array([0.5]))
        fine = z
        states = []
        for k in range(64):
            fine = one_step(pendulum, "tsit5", fine, h / 64, t=0.2 + k * h / 64).end
            states.append(fine)
        found.append([(step.end - states[-1]).norm(), (middle - states[31]).norm(), step.evidence.local_error.norm()])
    return np.array(found)


@pytest.mark.parametrize(
    ("name", "order", "dense"), [("tsit5", 5, 4), ("dopri5", 5, 4), ("bs3", 3, 3), ("heun_euler", 2, 2)]
)
def test_local_errors_shrink_with_the_order(name, order, dense):
    """End h^(p+1), estimate h^p, dense output at least h^(dense+1)."""
    large, small = local_errors(name, (0.1, 0.05))
    slopes = np.log2(large / small)
    assert slopes[0] > order + 0.8
    assert slopes[1] > dense + 0.7
    assert slopes[2] == pytest.approx(order, abs=0.3)


@WITH_STIFFNESS
@pytest.mark.parametrize("mode", ["per_sample", "shared"])
@pytest.mark.parametrize("value", [0.0, 3.0])
def test_constant_slopes_are_exact_with_nothing_to_penalise_and_finite_gradients(name, mode, value):
    c = torch.full((2,), value, dtype=torch.float64, requires_grad=True)
    z0 = torch.tensor([[0.0, 0.0], [1.0, -2.0]], dtype=torch.float64, requires_grad=True)
    solution = odesolve(lambda t, z: c.expand_as(z), z0, torch.tensor([0.0, 2.0]), method=name, mode=mode)
    torch.testing.assert_close(solution.ys[-1], z0 + 2 * c, rtol=0, atol=1e-13)
    penalty = ErrorRegularizer()(solution) + StiffnessRegularizer()(solution)
    assert penalty.item() == pytest.approx(0.0, abs=1e-6)  # rounding of the weights in units of the tolerance
    assert solution.stats.stiffness.abs().max() == 0
    for gradient in torch.autograd.grad(penalty + solution.ys[-1].sum(), (c, z0)):
        assert gradient.isfinite().all()


@WITH_STIFFNESS
def test_stiffness_of_a_scalar_linear_equation_is_its_rate(name):
    z0 = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    solution = odesolve(lambda t, z: -7.0 * z, z0, torch.tensor([0.0, 1.0]), method=name, rtol=1e-4, atol=1e-4)
    stats = solution.stats
    torch.testing.assert_close(stats.stiffness[stats.mask], torch.full_like(stats.stiffness[stats.mask], 7.0),
                               rtol=1e-9, atol=0)  # fmt: skip


@WITH_STIFFNESS
def test_stiffness_is_at_most_the_lipschitz_constant(name):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 4)).double()
    bound = torch.linalg.matrix_norm(net[0].weight, 2) * torch.linalg.matrix_norm(net[2].weight, 2)
    symmetric = torch.randn(4, 4, dtype=torch.float64)
    symmetric = symmetric + symmetric.T
    z0 = torch.randn(5, 4, dtype=torch.float64)
    for f, limit in (
        (lambda t, z: net(z), bound),
        (lambda t, z: z @ symmetric, torch.linalg.matrix_norm(symmetric, 2)),
    ):
        stats = odesolve(f, z0, torch.tensor([0.0, 1.0]), method=name, rtol=1e-5, atol=1e-5).stats
        assert stats.stiffness[stats.mask].max() <= limit * (1 + 1e-8)
        assert stats.stiffness_skipped.sum() == 0


def test_linear_equations_look_the_same_at_every_scale_without_absolute_tolerance():
    """E, S and the steps do not change under z₀ → α z₀ when f is linear and atol = 0."""
    matrix = torch.tensor([[-1.0, 4.0], [-4.0, -1.0]], dtype=torch.float64)
    z0 = torch.tensor([[1.0, 0.3]], dtype=torch.float64)
    a, b = (
        odesolve(lambda t, z: z @ matrix, scale * z0, torch.tensor([0.0, 2.0]), atol=0.0).stats
        for scale in (1.0, 2.0**9)
    )
    torch.testing.assert_close(a.h, b.h, rtol=1e-12, atol=0)
    torch.testing.assert_close(a.error, b.error, rtol=1e-8, atol=0)
    torch.testing.assert_close(a.stiffness, b.stiffness, rtol=1e-8, atol=0)


@pytest.mark.parametrize("factor", [4.0, 0.25])
def test_stretching_time_scales_the_penalties_and_keeps_the_steps(factor):
    """t → c t, f → f / c: the same number of steps, R_E times c, S divided by c."""
    z0 = torch.tensor([[1.0, 0.5]], dtype=torch.float64)
    end = torch.tensor([0.0, 3.0])
    a = odesolve(pendulum, z0, end, first_step=0.01)
    b = odesolve(lambda t, z: pendulum(t / factor, z) / factor, z0, factor * end, first_step=0.01 * factor)
    assert a.stats.nfe.tolist() == b.stats.nfe.tolist()
    torch.testing.assert_close(ErrorRegularizer()(b), factor * ErrorRegularizer()(a), rtol=1e-8, atol=0)
    torch.testing.assert_close(b.stats.stiffness, a.stats.stiffness / factor, rtol=1e-8, atol=0)


@pytest.mark.parametrize("controller", [IController(), PIController()], ids=["I", "PI"])
def test_controllers_stay_within_their_limits_and_shrink_after_large_errors(controller):
    error = np.array([0.0, 1e-30, 0.5, 1.0, 32.0, 1e30, np.inf])
    factor = controller.factor(error, np.ones(7), 5)
    assert (np.diff(factor) <= 0).all()
    assert factor[0] == 10.0
    assert factor[3] == pytest.approx(0.9)
    assert factor[-1] == 0.2


def test_a_pair_without_two_stages_at_the_end_cannot_measure_stiffness():
    z0, t = torch.ones(1, 1, dtype=torch.float64), torch.tensor([0.0, 1.0])
    with pytest.raises(IntegrationInputError, match="bs3 has no two stages"):
        odesolve(lambda t, z: -z, z0, t, method="bs3", record=("stiffness",))
    with pytest.raises(IntegrationInputError, match="bs3 has no two stages"):
        StiffnessRegularizer()(odesolve(lambda t, z: -z, z0, t, method="bs3"))
