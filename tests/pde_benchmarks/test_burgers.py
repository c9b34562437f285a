"""Burgers: the exact solution against independent solvers, its symmetries, and a scheme with the order it claims."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pde_benchmarks import Batch, Burgers
from pde_benchmarks.burgers.cole_hopf import cole_hopf, series
from pde_benchmarks.burgers.upwind import upwind
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.metrics import relative_l2


def sampled(count=2, **parameters):
    problem = Burgers(**parameters)
    return problem, problem.sample(count, torch.Generator().manual_seed(0))


def nodes(n):
    return torch.arange(n, dtype=torch.float64) / n


def pseudo_spectral(initial, viscosity, time, steps):
    """Runge-Kutta steps with an integrating factor, 2/3 rule: shares nothing with the solution formula."""
    n = initial.shape[-1]
    waves = torch.fft.rfftfreq(n, 1 / n, dtype=torch.float64)
    gradient = -1j * math.pi * waves * (waves < n / 3)
    dt = time / steps
    half = torch.exp(-viscosity * dt / 2 * (2 * math.pi * waves) ** 2)

    def tendency(w):
        return gradient * torch.fft.rfft(torch.fft.irfft(w, n=n).square())

    w = torch.fft.rfft(initial) * (waves < n / 3)
    for _ in range(steps):
        a = tendency(w)
        b = tendency(half * (w + dt / 2 * a))
        c = tendency(half * w + dt / 2 * b)
        d = tendency(half**2 * w + dt * half * c)
        w = half**2 * (w + dt / 6 * a) + dt / 3 * half * (b + c) + dt / 6 * d
    return torch.fft.irfft(w, n=n)


@pytest.mark.parametrize("viscosity", [0.1, 0.01])
def test_exact_solution_is_that_of_one_mode_of_the_heat_equation(viscosity):
    """φ = 1 + a e^(−4π²νt) cos 2πx solves φ_t = ν φ_xx, so u = −2ν φ_x/φ solves Burgers."""

    def u(t):
        decayed = 0.7 * math.exp(-4 * math.pi**2 * viscosity * t)
        phase = 2 * math.pi * nodes(128)
        return 4 * math.pi * viscosity * decayed * torch.sin(phase) / (1 + decayed * torch.cos(phase))

    exact = cole_hopf(u(0.0)[None], viscosity, 0.5, 512)[0]
    torch.testing.assert_close(exact, u(0.5), rtol=1e-12, atol=1e-13)


def test_an_independent_solver_converges_to_the_exact_solution_with_order_four_in_time():
    problem, u0 = sampled(viscosity=0.02, resolution=512, time=0.5)
    exact = problem.solve(u0)["solution"][:, 0]
    errors = [
        relative_l2(pseudo_spectral(u0["initial"][:, 0], 0.02, 0.5, steps)[:, None], exact[:, None]).max().item()
        for steps in (200, 400, 800)
    ]
    orders = [math.log2(a / b) for a, b in pairwise(errors)]
    assert min(orders) > 3.7
    assert errors[-1] < 1e-8


def test_thin_shocks_agree_with_a_resolved_computation():
    """ν = 1e-3: 2048 points resolve the shocks; the two solvers then agree to the time step's error."""
    problem, u0 = sampled(count=1)
    fine = series(u0["initial"][:, 0], 2048)
    computed = pseudo_spectral(fine, problem.viscosity, problem.time, 4000)[:, ::8]
    assert relative_l2(computed[:, None], problem.solve(u0)["solution"]).item() < 1e-8


def test_quadrature_errs_by_rounding():
    _, u0 = sampled()
    once, twice = (Burgers(nodes=count).solve(u0)["solution"] for count in (1024, 2048))
    torch.testing.assert_close(once, twice, rtol=0, atol=1e-13)


def test_upwind_scheme_has_order_two_where_the_solution_is_smooth():
    """Mean error O(h²); extrema that the limiter cuts do not spoil it in L¹."""
    errors = []
    for n in (64, 128, 256, 512):
        u0 = 0.3 * torch.sin(2 * math.pi * nodes(n))[None]
        errors.append((upwind(u0, 0.02, 1.0) - cole_hopf(u0, 0.02, 1.0, 512)).abs().mean().item())
    orders = [math.log2(a / b) for a, b in pairwise(errors)]
    assert min(orders) > 1.8


def test_mean_is_conserved():
    """d/dt ∫u = 0; exactly by the finite volumes, to the accuracy of the nodes' sum by the formula."""
    problem, u0 = sampled(viscosity=0.02)
    moving = Batch({"initial": u0["initial"] + 0.3})
    for u in (problem.solve(moving), problem.first_guess(moving, "upwind")):
        torch.testing.assert_close(u["solution"].mean(-1), moving["initial"].mean(-1), rtol=0, atol=1e-12)


def test_energy_decays_at_the_rate_of_dissipation():
    """½ ∫u² falls by ν ∫∫ u_x² dx dt: Simpson's rule in time over exact solutions."""
    viscosity, final = 0.02, 0.5
    start = torch.stack([torch.sin(2 * math.pi * nodes(256)), torch.cos(2 * math.pi * nodes(256)) + 0.3])
    instants = torch.linspace(0, final, 65, dtype=torch.float64).tolist()
    states = [start, *(cole_hopf(start, viscosity, t, 1024) for t in instants[1:])]
    rates = torch.stack([viscosity * series(u, 256, order=1).square().mean(1) for u in states])
    weights = torch.tensor([1.0, *[4.0, 2.0] * 31, 4.0, 1.0], dtype=torch.float64) * final / 64 / 3
    lost = (states[0].square().mean(1) - states[-1].square().mean(1)) / 2
    torch.testing.assert_close((weights[:, None] * rates).sum(0), lost, rtol=1e-6, atol=0)
    assert (lost > 0).all()


@pytest.mark.parametrize("solver", ["solve", "first_guess"])
def test_odd_symmetry_shifts_and_moving_frames(solver):
    """−u(−x), u(x − a) solve the equation where u does; u(x − cT) + c does, for cT a whole number of nodes."""
    problem, u0 = sampled(resolution=64)

    def solution(initial):
        inputs = Batch({"initial": initial})
        return (problem.solve(inputs) if solver == "solve" else problem.first_guess(inputs, "upwind"))["solution"]

    start = u0["initial"]
    u = solution(start)
    torch.testing.assert_close(solution(-start.flip(-1)), -u.flip(-1), rtol=0, atol=1e-11)
    torch.testing.assert_close(solution(start.roll(5, -1)), u.roll(5, -1), rtol=0, atol=1e-11)
    if solver == "solve":
        torch.testing.assert_close(solution(start + 8 / 64), u.roll(8, -1) + 8 / 64, rtol=0, atol=1e-11)


def test_upwind_scheme_makes_no_new_extrema():
    """Its convection is total variation diminishing, the viscous factor is no gain: max |u| does not grow."""
    problem, u0 = sampled(count=8)
    guess = problem.first_guess(u0, "upwind")["solution"]
    assert (guess.abs().amax((1, 2)) <= u0["initial"].abs().amax((1, 2))).all()
    assert relative_l2(guess, problem.solve(u0)["solution"]).max() < 0.03


def test_law_has_its_variance_and_one_seed_is_one_function():
    """Var u = Σ_k 2 · 625 / (4π²k² + 25)²."""
    problem, u0 = sampled(count=2000, resolution=256)
    waves = torch.arange(1, 128, dtype=torch.float64)
    variance = (2 * 625 / (4 * math.pi**2 * waves**2 + 25) ** 2).sum()
    drawn = u0["initial"][:, 0, 17].square().mean()
    assert abs(drawn / variance - 1) < 5 * math.sqrt(2 / 2000)
    finer = problem.at_resolution(512).sample(3, torch.Generator().manual_seed(0))["initial"]
    torch.testing.assert_close(finer[..., ::2], problem.sample(3, torch.Generator().manual_seed(0))["initial"])


@settings(max_examples=8, deadline=None)
@given(count=st.integers(0, 3), n=st.sampled_from([8, 30, 64]), dtype=st.sampled_from([torch.float32, torch.float64]))
def test_every_sample_is_solved_on_its_own_in_its_dtype(count, n, dtype):
    problem, u0 = sampled(count=count, resolution=n, viscosity=0.02)
    u0 = u0.to(dtype=dtype)
    for solver in (problem.solve, lambda rows: problem.first_guess(rows, "upwind")):
        together = solver(u0)["solution"]
        assert together.shape == (count, 1, n)
        assert together.dtype == dtype
        for row in range(count):
            alone = solver(u0.rows([row]))["solution"]
            torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=20 * torch.finfo(dtype).eps)


def test_solution_and_guess_are_differentiable():
    problem, u0 = sampled(count=1, resolution=8, viscosity=0.05, nodes=64, time=0.3)
    start = u0["initial"].clone().requires_grad_()
    u = torch.rand(1, 1, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda a, b: problem.residual(Batch({"initial": a}), Batch({"solution": b}))["solution"], (start, u)
    )
    (gradient,) = torch.autograd.grad(
        problem.first_guess(Batch({"initial": start}), "upwind")["solution"].square().sum(), start
    )
    assert gradient.isfinite().all()
    assert gradient.norm() > 0


def test_residual_of_the_solution_vanishes():
    problem, u0 = sampled()
    assert problem.residual(u0, problem.solve(u0))["solution"].abs().max() == 0


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"viscosity": 0.0}, "viscosity 0.0: a positive"),
        ({"time": float("nan")}, "time nan: a positive"),
        ({"resolution": 31}, "even number, at least 8"),
        ({"resolution": 4}, "even number, at least 8"),
        ({"nodes": 2}, "at least 16"),
    ],
)
def test_impossible_parameters_are_named(arguments, match):
    with pytest.raises(ProblemError, match=match):
        Burgers(**arguments)


def test_what_cannot_be_solved_is_named():
    problem, u0 = sampled(resolution=64)
    with pytest.raises(ProblemError, match=r"sample 0 is too steep for 1024 quadrature nodes .* set nodes to \d+"):
        Burgers(viscosity=1e-6, resolution=64).solve(u0)
    u0["initial"][1, 0, 3] = float("nan")
    with pytest.raises(ProblemError, match="sample 1 is not finite"):
        problem.solve(u0)
    with pytest.raises(ProblemError, match="use upwind"):
        problem.first_guess(u0, "magic")
