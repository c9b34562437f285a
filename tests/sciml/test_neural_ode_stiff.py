"""Implicit pairs: their order and stability, stiff problems with known solutions, and gradients of their stages."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import nn

from sciml.learners.neural_ode import (
    IMPLICIT_TABLEAUX,
    ErrorRegularizer,
    IntegrationInputError,
    KineticRegularizer,
    LocalRegularizer,
    SolverError,
    SolverStatus,
    StiffnessRegularizer,
    odesolve,
)
from sciml.learners.neural_ode.estimates import Estimates
from sciml.learners.neural_ode.field import Field
from sciml.learners.neural_ode.stage_newton import StageNewton
from sciml.learners.neural_ode.stepping import stepper

PAIRS = pytest.mark.parametrize("name", list(IMPLICIT_TABLEAUX))
MODES = pytest.mark.parametrize("mode", ["per_sample", "shared"])
TIGHT = Estimates(1e-11, 1e-11)


def order_conditions(matrix, b):
    """Defects of the order conditions, by order: bᵀφ(τ) − 1/γ(τ) for all rooted trees τ of up to five nodes."""
    A, c = matrix, matrix.sum(axis=1)
    Ac, A2c = A @ c, A @ A @ c
    trees = {
        1: [(np.ones_like(c), 1)],
        2: [(c, 2)],
        3: [(c**2, 3), (Ac, 6)],
        4: [(c**3, 4), (c * Ac, 8), (A @ c**2, 12), (A2c, 24)],
        5: [(c**4, 5), (c**2 * Ac, 10), (c * (A @ c**2), 15), (c * A2c, 30), (Ac**2, 20), (A @ c**3, 20),
            (A @ (c * Ac), 40), (A @ A @ c**2, 60), (A @ A2c, 120)],
    }  # fmt: skip
    return {order: max(abs(b @ phi - 1 / density) for phi, density in found) for order, found in trees.items()}


@PAIRS
def test_both_solutions_fulfil_the_conditions_of_their_order_and_of_no_higher_one(name):
    pair = IMPLICIT_TABLEAUX[name]
    solution, comparison = (order_conditions(pair.matrix, pair.matrix[row]) for row in (-1, -2))
    for order in range(1, 6):
        if order <= pair.order:
            assert solution[order] < 1e-15
        if order < pair.order:
            assert comparison[order] < 1e-15
    assert comparison[pair.order] > 1e-4
    if pair.order < 5:
        assert solution[pair.order + 1] > 1e-4


@PAIRS
def test_stages_have_order_two_and_the_last_two_stand_at_the_end(name):
    """C(2): Σ a_ij c_j = c_i² / 2, so that stages stay accurate where eigenvalues are large; c_2 = 2γ follows."""
    pair = IMPLICIT_TABLEAUX[name]
    c = np.array(pair.c)
    np.testing.assert_allclose(pair.matrix @ c, c**2 / 2, atol=1e-15)
    np.testing.assert_allclose(c[[0, 1, -2, -1]], [0, 2 * pair.gamma, 1, 1], atol=1e-15)


@PAIRS
def test_both_solutions_are_stable_on_the_left_half_plane_and_the_one_carried_on_forgets_infinitely_stiff_modes(name):
    """|R(iy)| ≤ 1 and no pole on the left (all of them are 1/γ): A-stable. R(∞) = 0: L-stable; |R̂(∞)| < 1."""
    pair = IMPLICIT_TABLEAUX[name]

    def stages(z):
        return np.linalg.solve(np.eye(len(pair.c)) - z * pair.matrix, np.ones(len(pair.c)))

    for y in np.logspace(-3, 6, 200):
        assert abs(stages(1j * y)[-2:]).max() <= 1 + 1e-13
        assert pair.amplification(1j * y) == stages(1j * y)[-1]
    assert abs(pair.amplification(-1e8)) < 1e-6
    assert abs(stages(-1e8)[-2]) < 0.96


@PAIRS
def test_guesses_extrapolate_slopes_that_change_linearly(name):
    pair = IMPLICIT_TABLEAUX[name]
    c = np.array(pair.c)
    for stage, weights in enumerate(pair.guesses, start=1):
        assert sum(weights) == pytest.approx(1.0, abs=1e-14)
        if stage > 1:
            assert np.dot(weights, c[:stage]) == pytest.approx(c[stage], abs=1e-14)


@PAIRS
def test_dense_output_passes_through_both_states_with_both_slopes(name):
    pair = IMPLICIT_TABLEAUX[name]
    dense = pair.dense_matrix
    np.testing.assert_allclose(dense.sum(axis=1), pair.b, atol=1e-14)
    np.testing.assert_allclose(dense[:, 0], np.eye(len(pair.c))[0], atol=1e-14)
    np.testing.assert_allclose(dense @ np.arange(1, 4), np.eye(len(pair.c))[-1], atol=1e-13)


def replayed(f, name, z, t, h, tolerances=TIGHT):
    """Final states ``(B, n)`` of steps of given times and sizes ``(N, B)``; stages solved tightly."""
    pair = IMPLICIT_TABLEAUX[name]
    field, take_step = Field(f, tuple(z.shape[1:]), None), stepper(pair, tolerances)
    slope = field(torch.as_tensor(t[0]).to(z), z)
    for begin, size in zip(t, h, strict=True):
        step = take_step(field, pair, begin, size, z, slope)
        assert step.effort.solved.all()
        moved = torch.from_numpy(size != 0)[:, None]  # rejected attempts stay where they are
        z, slope = step.end, torch.where(moved[: len(slope)], step.end_slope, slope)
    return z


def pendulum(t, z):
    return torch.stack([z[:, 1], -torch.sin(z[:, 0]) + 0.3 * torch.cos(t)], dim=1)


@PAIRS
def test_a_step_multiplies_a_linear_mode_by_the_stability_function(name):
    z = torch.ones(1, 1, dtype=torch.float64)
    for rate in (-1e6, -30.0, 2.0):
        end = replayed(lambda t, z, rate=rate: rate * z, name, z, np.zeros((1, 1)), np.full((1, 1), 0.1))
        assert end.item() == pytest.approx(IMPLICIT_TABLEAUX[name].amplification(0.1 * rate).real, rel=1e-8, abs=1e-14)


@PAIRS
def test_errors_shrink_with_the_order(name):
    """Global error h^p on a smooth nonlinear problem."""
    z = torch.tensor([[1.0, 0.5]], dtype=torch.float64)
    exact = odesolve(pendulum, z, torch.tensor([0.0, 1.0]), rtol=1e-13, atol=1e-13).ys[-1]

    def error(steps):
        t = np.arange(steps)[:, None] / steps
        return float((replayed(pendulum, name, z, t, np.full((steps, 1), 1 / steps)) - exact).norm())

    order = IMPLICIT_TABLEAUX[name].order
    assert np.log2(error(4) / error(8)) == pytest.approx(order, abs=0.5)


def relaxation(t, z):
    """y' = −10⁶ (y − cos t); the smooth solution is (L² cos t + L sin t) / (1 + L²)."""
    return -1e6 * (z - torch.cos(t)[:, None])


@PAIRS
@pytest.mark.parametrize("start", [1.0, 3.0], ids=["on-the-slow-curve", "after-an-initial-layer"])
def test_fast_relaxation_takes_few_steps(name, start):
    times = torch.linspace(0, 10, 11, dtype=torch.float64)
    z0 = torch.full((1, 1), start, dtype=torch.float64)
    with torch.no_grad():
        solution = odesolve(relaxation, z0, times, method=name, record=("state", "error"))
    smooth = (1e12 * torch.cos(times) + 1e6 * torch.sin(times)) / (1 + 1e12)
    torch.testing.assert_close(solution.ys[1:, 0, 0], smooth[1:], rtol=0, atol=1e-7)
    assert solution.stats.accepted.item() < (60 if start == 1.0 else 250)
    torch.testing.assert_close(solution.interp(times[3]), solution.ys[3], rtol=0, atol=1e-12)


def test_an_explicit_method_stopped_by_stiffness_names_the_implicit_ones():
    with pytest.raises(SolverError, match='method="kvaerno5"') as caught:
        odesolve(relaxation, torch.ones(1, 1, dtype=torch.float64), torch.tensor([0.0, 10.0]), max_steps=400)
    assert caught.value.status == SolverStatus.STIFF
    assert caught.value.t < 0.01


def robertson(t, z):
    slow, back, fast = 0.04 * z[..., 0], 1e4 * z[..., 1] * z[..., 2], 3e7 * z[..., 1] ** 2
    return torch.stack([back - slow, slow - back - fast, fast], dim=-1)


def by_radau(f, z0, times, rtol, atol):
    def slopes(t, y):
        return f(torch.tensor([t], dtype=torch.float64), torch.from_numpy(y)[None])[0].numpy()

    found = solve_ivp(slopes, (times[0], times[-1]), z0, "Radau", t_eval=times, rtol=rtol, atol=atol)
    return torch.from_numpy(found.y.T)


SUBSTANCES = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)


@pytest.mark.parametrize(("name", "end"), [("kvaerno3", 40.0), ("kvaerno5", 1e5)])
def test_robertson_kinetics(name, end):
    """(0.7158, 9.185e-6, 0.2842) at t = 40, Radau's values, and the sum, to rounding."""
    times = torch.tensor([0.0, 40.0, end])[: 2 if end == 40 else 3].double()
    with torch.no_grad():
        solution = odesolve(robertson, SUBSTANCES, times, method=name, rtol=1e-6, atol=1e-9, record=("state",))
    known = torch.tensor([0.7158, 9.185e-6, 0.2842], dtype=torch.float64)
    torch.testing.assert_close(solution.ys[1, 0], known, rtol=2e-4, atol=0)  # digits given
    radau = by_radau(robertson, [1.0, 0.0, 0.0], times.numpy(), 1e-8, 1e-13)
    torch.testing.assert_close(solution.ys[:, 0], radau, rtol=2e-6, atol=1e-9)
    torch.testing.assert_close(solution.interp(40.0), solution.ys[1], rtol=1e-7, atol=1e-11)
    torch.testing.assert_close(solution.ys.sum(dim=-1), torch.ones_like(solution.ys[..., 0]), rtol=0, atol=1e-12)
    assert solution.stats.accepted.item() < 300


@PAIRS
def test_sums_are_conserved_to_rounding_whatever_the_tolerance(name):
    """cᵀf = 0 ⇒ cᵀJ = 0 ⇒ already one Newton iteration, converged or not, keeps cᵀz."""
    with torch.no_grad():
        solution = odesolve(robertson, SUBSTANCES, torch.tensor([0.0, 1e3]), method=name, rtol=1e-2, atol=1e-4)
    assert solution.ys[-1].sum().item() == pytest.approx(1.0, abs=1e-12)


def van_der_pol(t, z):
    return torch.stack([z[..., 1], 1000 * (1 - z[..., 0] ** 2) * z[..., 1] - z[..., 0]], dim=-1)


@pytest.mark.slow
def test_van_der_pol_oscillations_agree_with_radau():
    times = torch.tensor([0.0, 1000.0, 2000.0], dtype=torch.float64)
    with torch.no_grad():
        solution = odesolve(van_der_pol, torch.tensor([[2.0, 0.0]], dtype=torch.float64), times, method="kvaerno5")
    radau = by_radau(van_der_pol, [2.0, 0.0], times.numpy(), 1e-9, 1e-10)
    torch.testing.assert_close(solution.ys[:, 0], radau, rtol=0, atol=2e-5)
    assert solution.stats.accepted.item() < 1000


class Stiff(nn.Module):
    """A small network with one fast direction."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2)).double()
        self.rate = nn.Parameter(torch.tensor(1000.0, dtype=torch.float64))

    def forward(self, t, z):
        slow = self.net(torch.cat([torch.sin(t)[:, None], z], dim=1))
        return slow - self.rate * torch.stack([torch.zeros_like(z[:, 0]), z[:, 1] - z[:, 0] ** 2], dim=1)


STARTS = torch.tensor([[0.5, 0.3], [-1.0, 1.0], [0.2, 0.0]], dtype=torch.float64)


@PAIRS
@pytest.mark.parametrize("mode", ["per_sample", "shared"])
def test_gradients_equal_central_differences_on_the_recorded_steps(name, mode):
    f = Stiff()
    z0 = STARTS.clone().requires_grad_()
    solution = odesolve(f, z0, torch.tensor([0.0, 0.5]), method=name, mode=mode, rtol=1e-5, atol=1e-5)
    weights = torch.tensor([1.0, -2.0], dtype=torch.float64)
    parameters = [z0, f.rate, f.net[0].weight, f.net[2].bias]
    gradients = torch.autograd.grad((solution.ys[-1] * weights).sum(), parameters)
    t, h = (values.numpy() for values in (solution.stats.t, solution.stats.h * solution.stats.mask))

    @torch.no_grad()
    def loss():
        return (replayed(f, name, z0, t, h) * weights).sum().item()

    generator = torch.Generator().manual_seed(1)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        direction = torch.randn(parameter.shape, dtype=torch.float64, generator=generator)
        step = 1e-5 * max(1.0, float(parameter.detach().abs().max()))
        values = []
        for sign in (1, -1):
            parameter.data += sign * step * direction
            values.append(loss())
            parameter.data -= sign * step * direction
        slope = (values[0] - values[1]) / (2 * step)
        assert (gradient * direction).sum().item() == pytest.approx(slope, rel=1e-5, abs=1e-9)


@PAIRS
def test_gradients_of_fixed_steps_pass_the_check_of_derivatives(name):
    z = STARTS.clone().requires_grad_()
    rate = torch.tensor(50.0, dtype=torch.float64, requires_grad=True)
    t, h = np.array([0.0, 0.1])[:, None].repeat(3, 1), np.full((2, 3), 0.1)

    def end(z, rate):
        def f(t, z):
            return torch.stack([z[:, 1], -rate * (z[:, 1] - z[:, 0] ** 2)], dim=1) * torch.cos(t)[:, None]

        return replayed(f, name, z, t, h)

    assert torch.autograd.gradcheck(end, (z, rate), eps=1e-5, rtol=1e-6, atol=1e-8)


@PAIRS
def test_errors_of_the_steps_have_gradients(name):
    f = Stiff()
    solution = odesolve(f, STARTS, torch.tensor([0.0, 0.2]), method=name, record=("error", "state"))
    gradients = torch.autograd.grad(ErrorRegularizer()(solution), list(f.parameters()), retain_graph=True)
    local = LocalRegularizer(generator=torch.Generator().manual_seed(0))(solution)
    assert all(g.isfinite().all() for g in gradients)
    assert gradients[0].abs().max() > 0
    assert torch.autograd.grad(local, f.rate)[0].isfinite()
    with pytest.raises(IntegrationInputError, match="is implicit: stiffness"):
        StiffnessRegularizer()(solution)


@PAIRS
@MODES
def test_checkpoints_change_memory_and_nothing_else(name, mode):
    f = Stiff()
    found = []
    for adjoint in ("discrete", "checkpoint"):
        solution = odesolve(f, STARTS, torch.tensor([0.0, 0.3]), method=name, mode=mode, adjoint=adjoint, rtol=1e-4)
        loss = solution.ys[-1].square().sum() + ErrorRegularizer()(solution)
        found.append([loss.detach(), *torch.autograd.grad(loss, list(f.parameters()))])
    for plain, checkpointed in zip(*found, strict=True):
        torch.testing.assert_close(plain, checkpointed, rtol=1e-12, atol=1e-14)


@PAIRS
def test_samples_do_not_influence_one_another(name):
    f = Stiff()
    times = torch.tensor([0.0, 0.4, 1.0])
    with torch.no_grad():
        together = odesolve(f, STARTS, times, method=name)
        for sample in range(len(STARTS)):
            alone = odesolve(f, STARTS[sample : sample + 1], times, method=name)
            torch.testing.assert_close(alone.ys[:, 0], together.ys[:, sample], rtol=0, atol=1e-8)
            for count in ("accepted", "rejected", "jacobians"):
                assert getattr(alone.stats, count)[0] == getattr(together.stats, count)[sample]
            # Rates of convergence at the level of rounding decide on an iteration here and there, so that stages
            # agree to Newton's tolerance, a thousandth of the solver's.
            assert alone.stats.nfe[0].item() == pytest.approx(together.stats.nfe[sample].item(), rel=0.05)


@PAIRS
def test_shared_steps_and_reversed_time_agree_with_an_explicit_solve(name):
    times = torch.tensor([2.0, 1.3, 0.0], dtype=torch.float64)
    z0 = torch.tensor([[1.0, 0.5], [0.1, -0.4]], dtype=torch.float64)
    exact = odesolve(pendulum, z0, times, rtol=1e-11, atol=1e-11).ys
    for mode in ("per_sample", "shared"):
        solution = odesolve(pendulum, z0, times, method=name, mode=mode)
        torch.testing.assert_close(solution.ys, exact, rtol=0, atol=2e-5)
        torch.testing.assert_close((solution.stats.h * solution.stats.mask).sum(dim=0), torch.full((2,), -2.0).double())


@PAIRS
@MODES
def test_evaluations_are_those_of_newtons_iterations(name, mode):
    """One sample, no gradient: every call is the first two, an iteration, or a Jacobian."""
    calls = []

    def f(t, z):
        calls.append(len(z))
        return pendulum(t, z)

    with torch.no_grad():
        stats = odesolve(f, torch.tensor([[1.0, 0.5]]).double(), torch.tensor([0.0, 3.0]), method=name, mode=mode).stats
    assert len(calls) == stats.nfe_batched == int(stats.nfe[0] + stats.jacobians[0])
    assert stats.jacobians[0] == stats.accepted[0] + stats.rejected[0]


@PAIRS
def test_single_precision_and_integrals(name):
    kinetic = KineticRegularizer()
    z0 = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    solution = odesolve(lambda t, z: -300 * (z - 1.0), z0, torch.tensor([0.0, 1.0]), method=name, rtol=1e-3, atol=1e-3,
                        integrals=(kinetic,))  # fmt: skip
    assert solution.ys.dtype == torch.float32
    torch.testing.assert_close(solution.ys[-1], torch.ones(2, 2), rtol=0, atol=1e-3)
    # ∫ ‖300 (z₀ − 1) e^(−300 t)‖² dt = 150 ‖z₀ − 1‖².
    exact = 150 * (z0 - 1).square().sum(dim=1)
    torch.testing.assert_close(solution.integrals["kinetic"][-1], exact, rtol=0.02, atol=1e-3)


@PAIRS
def test_a_step_whose_stages_are_not_found_is_rejected(name):
    """With the Jacobian of the start, Newton's method fails on a stiff cubic over a long step and not over a short."""
    pair = IMPLICIT_TABLEAUX[name]
    z = torch.ones(1, 1, dtype=torch.float64)
    field = Field(lambda t, z: -1e4 * z**3, (1,), None)
    solved = {}
    for h in (1.0, 1e-6):
        step = stepper(pair, Estimates(1e-6, 1e-6))(field, pair, np.zeros(1), np.full(1, h), z, field(z[0], z))
        solved[h] = bool(step.effort.solved[0])
    assert solved == {1.0: False, 1e-6: True}
    rate = torch.tensor(1e4, dtype=torch.float64, requires_grad=True)
    solution = odesolve(lambda t, z: -rate * z**3, z, torch.tensor([0.0, 1.0]), method=name, first_step=1.0)
    assert solution.stats.rejected[0] > 0
    assert solution.ys[-1].item() == pytest.approx((1 + 2e4) ** -0.5, abs=1e-5)
    slope = torch.autograd.grad(solution.ys[-1].sum(), rate)[0]
    assert slope.item() == pytest.approx(-((1 + 2e4) ** -1.5), rel=1e-2)


@PAIRS
def test_a_singular_newton_matrix_costs_a_rejection(name):
    """z' = z and hγ = 1."""
    z0 = torch.tensor([[1.0], [2.0]], dtype=torch.float64, requires_grad=True)
    first = 1 / IMPLICIT_TABLEAUX[name].gamma
    solution = odesolve(lambda t, z: z, z0, torch.tensor([0.0, 5.0]), method=name, first_step=first)
    assert (solution.stats.rejected >= 1).all()
    torch.testing.assert_close(solution.ys[-1], z0.detach() * np.exp(5.0), rtol=1e-4, atol=0)
    assert torch.autograd.grad(solution.ys[-1].sum(), z0)[0].isfinite().all()


@PAIRS
def test_failures_keep_their_names(name):
    z0 = torch.ones(1, 1, dtype=torch.float64)
    wall = odesolve(lambda t, z: torch.where(z < 3, 1.0, torch.nan) * torch.ones_like(z), z0, torch.tensor([0.0, 5.0]),
                    method=name, on_failure="status")  # fmt: skip
    assert wall.status.tolist() == [SolverStatus.NON_FINITE]
    assert wall.reached.item() == pytest.approx(2.0, abs=1e-3)
    explosion = odesolve(lambda t, z: z**2, z0, torch.tensor([0.0, 2.0]), method=name, rtol=1e-2, atol=1e-2,
                         on_failure="status")  # fmt: skip
    assert explosion.status.tolist() != [SolverStatus.SUCCESS]
    assert explosion.reached.item() == pytest.approx(1.0, abs=0.05)
    short = odesolve(pendulum, torch.ones(1, 2).double(), torch.tensor([0.0, 9.0]), method=name, max_steps=3,
                     on_failure="status")  # fmt: skip
    assert short.status.tolist() == [SolverStatus.MAX_STEPS]


def test_what_implicit_methods_cannot_do_is_refused_with_a_remedy():
    z0 = torch.ones(1, 2, dtype=torch.float64, requires_grad=True)
    times = torch.tensor([0.0, 1.0])
    with pytest.raises(IntegrationInputError, match='adjoint="checkpoint"'):
        odesolve(pendulum, z0, times, method="kvaerno3", adjoint="continuous")
    with pytest.raises(IntegrationInputError, match="is implicit: stiffness"):
        odesolve(pendulum, z0, times, method="kvaerno3", record=("stiffness",))
    with pytest.raises(IntegrationInputError, match='mode="per_sample"'):
        odesolve(pendulum, torch.ones(2049, 2), times, method="kvaerno3", mode="shared")
    with pytest.raises(IntegrationInputError, match="kvaerno3, kvaerno5"):
        odesolve(pendulum, z0, times, method="kvaerno4")
    end = odesolve(pendulum, z0, times, method="kvaerno3", rtol=1e-3).ys[-1].sum()
    with pytest.raises(IntegrationInputError, match="first derivatives only"):
        torch.autograd.grad(end, z0, create_graph=True)


def test_newton_asks_for_less_where_the_tolerance_is_loose_and_never_below_rounding():
    """√rtol, at most 0.03, at least ten roundings in units of the tolerance (Hairer & Wanner, IV.8)."""
    for rtol, part in ((1e-2, 0.03), (1e-6, 1e-3), (1e-13, 10 * 2.0**-52 / 1e-13)):
        assert StageNewton(Estimates(rtol, 1.0)).part(torch.float64) == pytest.approx(part)
