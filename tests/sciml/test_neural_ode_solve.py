"""The adaptive loop: accuracy, counts, independence of the batch, failures and bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import nn

from sciml.learners.neural_ode import (
    TABLEAUX,
    IController,
    IntegrationInputError,
    ScalarTime,
    SolverError,
    SolverStatus,
    odesolve,
)

MODES = pytest.mark.parametrize("mode", ["per_sample", "shared"])
PAIRS = pytest.mark.parametrize("name", list(TABLEAUX))


def van_der_pol(t, z, mu):
    x, v = z.unbind(1)
    return torch.stack([v, mu * (1 - x**2) * v - x], dim=1)


def oscillators(count=16, largest=20.0):
    mu = torch.logspace(np.log10(0.5), np.log10(largest), count, dtype=torch.float64)
    return torch.tensor([[2.0, 0.0]], dtype=torch.float64).expand(count, 2), mu


def pendulum(t, z):
    return torch.stack([z[:, 1], -torch.sin(z[:, 0]) + 0.3 * torch.cos(t)], dim=1)


class Counted:
    def __init__(self, f):
        self.f, self.calls = f, 0

    def __call__(self, t, z, *args):
        self.calls += 1
        return self.f(t, z, *args)


@MODES
@PAIRS
def test_solutions_agree_with_dop853_within_the_tolerance(name, mode):
    """All outputs, most of them inside steps, within 10 tolerances (times the steps of the low orders)."""
    tol = 1e-7 if TABLEAUX[name].order == 5 else 1e-5
    z0 = torch.tensor([[1.0, 0.0], [0.2, -1.5], [2.5, 0.3]], dtype=torch.float64)
    times = torch.linspace(0, 4, 23, dtype=torch.float64)
    solution = odesolve(pendulum, z0, times, method=name, mode=mode, rtol=tol, atol=tol)
    for b, start in enumerate(z0):
        exact = solve_ivp(
            lambda t, y: [y[1], -np.sin(y[0]) + 0.3 * np.cos(t)], (0, 4), start.numpy(), "DOP853", times.numpy(),
            rtol=1e-12, atol=1e-12,
        ).y.T  # fmt: skip
        assert np.abs(solution.ys[:, b].numpy() - exact).max() < 30 * tol


@PAIRS
def test_global_error_falls_in_proportion_to_the_tolerance(name):
    z0 = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    times = torch.tensor([0.0, 3.0])
    exact = odesolve(pendulum, z0, times, rtol=1e-12, atol=1e-12).ys[-1]
    errors = [
        (odesolve(pendulum, z0, times, method=name, rtol=tol, atol=tol).ys[-1] - exact).norm() for tol in (1e-4, 1e-6)
    ]
    assert errors[0] / errors[1] > 20


@MODES
@PAIRS
@pytest.mark.parametrize("first_step", [None, 0.01])
def test_evaluations_are_those_that_an_outside_counter_sees(name, mode, first_step):
    """2 + (s − 1)(accepted + rejected), one fewer with a given first step."""
    f = Counted(pendulum)
    z0 = torch.tensor([[1.0, 0.0], [3.0, -1.5]], dtype=torch.float64)
    solution = odesolve(f, z0, torch.linspace(0, 5, 7), method=name, mode=mode, first_step=first_step,
                        rtol=1e-5, atol=1e-5)  # fmt: skip
    stats, first = solution.stats, 2 if first_step is None else 1
    assert stats.nfe_batched == f.calls
    per_step = TABLEAUX[name].evaluations_per_step
    assert stats.nfe.tolist() == (first + per_step * (stats.accepted + stats.rejected)).tolist()
    assert stats.nfe.max() == f.calls


@MODES
@pytest.mark.parametrize("times", [[0.0, 1.0, 3.0], [3.0, 1.0, -2.0]])
def test_steps_sum_to_the_time_and_never_turn_back(mode, times):
    z0 = torch.tensor([[1.0, 0.0], [3.0, -1.5]], dtype=torch.float64)
    stats = odesolve(pendulum, z0, torch.tensor(times), mode=mode).stats
    direction = np.sign(times[-1] - times[0])
    for b in range(2):
        h, t = stats.h[stats.mask[:, b], b], stats.t[stats.mask[:, b], b]
        assert h.sum().item() == pytest.approx(times[-1] - times[0], rel=1e-14)
        assert (direction * h > 0).all()
        assert (direction * t.diff() > 0).all()


@MODES
def test_there_and_back_is_the_start(mode):
    z0 = torch.tensor([[1.0, 0.0], [0.3, -1.5]], dtype=torch.float64)
    times = torch.linspace(0, 2, 5, dtype=torch.float64)
    there = odesolve(pendulum, z0, times, mode=mode, rtol=1e-9, atol=1e-9)
    back = odesolve(pendulum, there.ys[-1], times.flip(0), mode=mode, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(back.ys.flip(0), there.ys, rtol=0, atol=1e-7)


def test_a_sample_is_solved_as_if_it_were_alone():
    """Permuting or splitting the batch changes nothing, though finished samples leave it on the way."""
    z0, mu = oscillators(8)
    times = torch.tensor([0.0, 1.0, 5.0], dtype=torch.float64)
    whole = odesolve(van_der_pol, z0, times, sample_args=(mu,))
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    permuted = odesolve(van_der_pol, z0[order], times, sample_args=(mu[order],))
    torch.testing.assert_close(permuted.ys, whole.ys[:, order], rtol=1e-9, atol=1e-12)
    assert permuted.stats.nfe.tolist() == whole.stats.nfe[order].tolist()
    for b in (0, 7):
        alone = odesolve(van_der_pol, z0[b : b + 1], times, sample_args=(mu[b : b + 1],))
        torch.testing.assert_close(alone.ys[:, 0], whole.ys[:, b], rtol=1e-9, atol=1e-12)
        assert alone.stats.nfe[0] == whole.stats.nfe[b]


def test_leaving_the_batch_changes_nothing():
    z0, mu = oscillators(8)
    times = torch.linspace(0, 5, 9, dtype=torch.float64)
    with_, without = (odesolve(van_der_pol, z0, times, sample_args=(mu,), compaction=part) for part in (1.0, 0.0))
    torch.testing.assert_close(with_.ys, without.ys, rtol=1e-9, atol=1e-12)
    assert with_.stats.nfe.tolist() == without.stats.nfe.tolist()
    torch.testing.assert_close(with_.stats.error * with_.stats.mask, without.stats.error * without.stats.mask,
                               rtol=1e-5, atol=1e-9)  # fmt: skip


def test_own_steps_are_fewer_than_shared_ones_for_unlike_oscillators():
    """At most 0.6 of the sample steps on 16 Van der Pol oscillators (μ from 0.5 to 20)."""
    z0, mu = oscillators()
    times = torch.tensor([0.0, 5.0])
    own, shared = (odesolve(van_der_pol, z0, times, sample_args=(mu,), mode=m).stats for m in ("per_sample", "shared"))
    assert own.accepted.sum() <= 0.6 * shared.accepted.sum()


def test_every_sample_has_its_own_times_and_padding_repeats_the_end():
    z0 = torch.tensor([[1.0, 0.0], [0.3, -1.5], [1.0, 1.0]], dtype=torch.float64)
    times = torch.tensor([[0.0, 1.0, 2.0, 4.0], [1.0, 0.5, -1.0, -1.0], [2.0, 2.0, 2.0, 2.0]], dtype=torch.float64)
    solution = odesolve(pendulum, z0, times)
    assert solution.status.tolist() == [SolverStatus.SUCCESS] * 3
    for b, row in enumerate(([0.0, 1.0, 2.0, 4.0], [1.0, 0.5, -1.0])):
        alone = odesolve(pendulum, z0[b : b + 1], torch.tensor(row, dtype=torch.float64))
        torch.testing.assert_close(solution.ys[: len(row), b], alone.ys[:, 0], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(solution.ys[3, 1], solution.ys[2, 1], rtol=0, atol=0)
    torch.testing.assert_close(solution.ys[:, 2], z0[2].expand(4, 2), rtol=0, atol=0)


@MODES
def test_interpolation_continues_the_outputs(mode):
    z0 = torch.tensor([[1.0, 0.0], [0.3, -1.5]], dtype=torch.float64)
    times = torch.linspace(0, 3, 11, dtype=torch.float64)
    solution = odesolve(pendulum, z0, times, mode=mode, record=("h", "state"))
    for m in (0, 4, 10):
        torch.testing.assert_close(solution.interp(times[m]), solution.ys[m], rtol=1e-10, atol=1e-12)
    mixed = solution.interp(torch.tensor([times[2], times[7]]))
    torch.testing.assert_close(mixed[1], solution.ys[7, 1], rtol=1e-10, atol=1e-12)
    with pytest.raises(IntegrationInputError, match="outside of what was integrated"):
        solution.interp(3.5)


@MODES
def test_states_keep_their_shape_and_dtype_and_time_its_precision(mode):
    z0 = torch.ones(2, 3, 4)
    solution = odesolve(lambda t, z: -z, z0, torch.tensor([0.0, 1.0]), mode=mode, rtol=1e-5, atol=1e-5)
    assert solution.ys.shape == (2, 2, 3, 4)
    assert solution.ys.dtype == torch.float32
    assert solution.ts.dtype == solution.stats.t.dtype == torch.float64
    assert solution.stats.h.shape == solution.stats.error.shape == (len(solution.stats.mask), 2)


@MODES
def test_a_network_of_a_scalar_time_runs_through_the_adapter(mode):
    z0 = torch.ones(3, 2, dtype=torch.float64)
    f = ScalarTime(lambda t, z: torch.cat([z[:, :1] * t, t * torch.ones_like(z[:, :1])], dim=1))
    solution = odesolve(f, z0, torch.tensor([0.0, 1.0]), mode=mode, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(solution.ys[-1, 0], torch.tensor([np.exp(0.5), 1.5]), rtol=1e-7, atol=0)


def test_the_step_limit_gives_a_partial_result():
    z0 = torch.tensor([[1.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    times = torch.linspace(0, 50, 51, dtype=torch.float64)

    def f(t, z):
        return torch.stack([z[:, 1], -z[:, 0]], dim=1)

    solution = odesolve(f, z0, times, max_steps=20, on_failure="status")
    assert solution.status.tolist() == [SolverStatus.MAX_STEPS, SolverStatus.SUCCESS]
    reached = times <= solution.reached[0]
    assert 1 < reached.sum() < 51
    torch.testing.assert_close(solution.ys[reached, 0, 0], torch.cos(times[reached]), rtol=0, atol=1e-4)
    assert solution.ys[~reached, 0].isnan().all()
    assert solution.ys[:, 1].isfinite().all()
    with pytest.raises(SolverError, match="20 steps were not enough") as caught:
        odesolve(f, z0, times, max_steps=20)
    assert caught.value.sample == 0
    assert caught.value.status == SolverStatus.MAX_STEPS
    torch.testing.assert_close(caught.value.solution.ys, solution.ys, equal_nan=True, rtol=0, atol=0)


def test_an_explicit_method_says_that_stiffness_stopped_it():
    z0 = torch.ones(1, 1, dtype=torch.float64)
    with pytest.raises(SolverError, match="stiffness") as caught:
        odesolve(lambda t, z: -1e4 * (z - torch.cos(t)[:, None]), z0, torch.tensor([0.0, 10.0]), max_steps=500,
                 rtol=1e-4, atol=1e-4)  # fmt: skip
    assert caught.value.status == SolverStatus.STIFF


@MODES
def test_a_right_hand_side_that_turns_nan_is_named_with_sample_and_time(mode):
    z0 = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    rate = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)

    def f(t, z, limit):
        return rate * torch.where(z < limit[:, None], torch.ones_like(z), torch.nan)

    with pytest.raises(SolverError, match="NaN") as caught:
        odesolve(f, z0, torch.tensor([0.0, 2.0]), sample_args=(torch.tensor([9.0, 3.0]),), mode=mode)
    assert caught.value.status == SolverStatus.NON_FINITE
    assert caught.value.t == pytest.approx(1.0, abs=1e-6)
    if mode == "per_sample":
        assert caught.value.sample == 1
        healthy = caught.value.solution.ys[-1, 0]
        torch.testing.assert_close(healthy, torch.tensor([3.0], dtype=torch.float64))
        assert torch.autograd.grad(healthy.sum(), rate)[0] == pytest.approx(2.0)


def test_nan_at_the_start_is_reported_at_the_start():
    z0 = torch.tensor([[1.0], [float("nan")]], dtype=torch.float64)
    solution = odesolve(lambda t, z: -z, z0, torch.tensor([0.0, 1.0]), on_failure="status")
    assert solution.status.tolist() == [SolverStatus.SUCCESS, SolverStatus.NON_FINITE]
    alone = odesolve(lambda t, z: -z, z0[1:], torch.tensor([0.0, 1.0]), on_failure="status")
    assert alone.stats.nfe.tolist() == [2]


def test_an_explosion_ends_with_a_step_underflow():
    solution = odesolve(lambda t, z: z**2, torch.ones(1, 1, dtype=torch.float64), torch.tensor([0.0, 2.0]),
                        on_failure="status")  # fmt: skip
    assert solution.status[0] in (SolverStatus.STEP_UNDERFLOW, SolverStatus.NON_FINITE)
    assert solution.reached[0].item() == pytest.approx(1.0, abs=1e-3)


Z = torch.ones(2, 2, dtype=torch.float64)
T = torch.tensor([0.0, 1.0])


@pytest.mark.parametrize(
    ("message", "z0", "t", "options"),
    [
        ("not strictly monotone: 1 is followed by 0.5", Z, torch.tensor([0.0, 1.0, 0.5]), {}),
        ("not strictly monotone", Z, torch.tensor([0.0, 1.0, 1.0]), {}),
        ("of sample 1 is not strictly", Z, torch.tensor([[0.0, 1.0, 2.0], [0.0, 0.0, 2.0]]), {}),
        ("expected \\(M,\\) or \\(B, M\\)", Z, torch.tensor(1.0), {}),
        ("3 rows for 2 samples", Z, torch.zeros(3, 2), {}),
        ("NaN or infinity", Z, torch.tensor([0.0, float("inf")]), {}),
        ("requires a gradient", Z, torch.tensor([0.0, 1.0], requires_grad=True), {}),
        ("floating-point", Z.long(), T, {}),
        ("batch, features", Z[0], T, {}),
        ("at least 0 and one of them positive", Z, T, {"rtol": -1.0}),
        ("at least 0 and one of them positive", Z, T, {"rtol": 0.0, "atol": 0.0}),
        ("unknown; the methods are tsit5", Z, T, {"method": "rk4"}),
        ("mode='each'", Z, T, {"mode": "each"}),
        ("adjoint='none'", Z, T, {"adjoint": "none"}),
        ("max_steps=0", Z, T, {"max_steps": 0}),
        ("first_step=-0.1", Z, T, {"first_step": -0.1}),
        ("record: 'energy' is unknown", Z, T, {"record": ("energy",)}),
        ("1 rows for 2 samples", Z, T, {"sample_args": (torch.ones(1),)}),
        ("differs between samples", Z, torch.tensor([[0.0, 1.0], [0.0, 2.0]]), {"mode": "shared"}),
        ("shared step sizes", Z, T, {"method": "torchdiffeq:dopri5"}),
        ("only dopri5", Z, T, {"method": "torchdiffeq:rk4", "mode": "shared"}),
    ],
)  # fmt: skip
def test_bad_input_is_named(message, z0, t, options):
    with pytest.raises(IntegrationInputError, match=message):
        odesolve(lambda t, z: -z, z0, t, **options)


@pytest.mark.parametrize("wrong", [lambda t, z: z[:, :1], lambda t, z: z.float()], ids=["shape", "dtype"])
def test_a_right_hand_side_of_another_shape_or_dtype_is_named(wrong):
    with pytest.raises(IntegrationInputError, match="the right-hand side returned"):
        odesolve(wrong, Z, T)


@pytest.mark.parametrize(("layer", "name"), [(nn.BatchNorm1d(2), "BatchNorm"), (nn.Dropout(0.5), "Dropout")])
def test_layers_that_change_between_stages_are_refused_in_training_mode(layer, name):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = layer.double()

        def forward(self, t, z):
            return -self.inner(z)

    with pytest.raises(IntegrationInputError, match=name):
        odesolve(Net(), Z, T)
    assert odesolve(Net().eval(), Z, T).ys.isfinite().all()


@pytest.mark.parametrize(("z0", "rtol"), [(Z.float(), 1e-8), (Z, 1e-15)], ids=["float32", "float64"])
def test_tolerances_below_rounding_warn(z0, rtol):
    with pytest.warns(UserWarning, match="below ten roundings"):
        odesolve(lambda t, z: 0 * z, z0, T, rtol=rtol, atol=rtol)


def test_both_controllers_reach_the_tolerance():
    z0 = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    a, b = (
        odesolve(pendulum, z0, torch.tensor([0.0, 3.0]), controller=c).ys[-1] for c in (IController(), IController(0.7))
    )
    torch.testing.assert_close(a, b, rtol=0, atol=1e-5)
