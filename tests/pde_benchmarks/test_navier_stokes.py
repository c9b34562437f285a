"""Navier–Stokes: exact flows, orders of both schemes, budgets, conservation, symmetry."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pde_benchmarks import Batch, NavierStokes
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.metrics import relative_l2
from pde_benchmarks.navier_stokes import energy, energy_spectrum, enstrophy, resample, velocity
from pde_benchmarks.navier_stokes.finite_difference import ArakawaVorticity, arakawa_jacobian
from pde_benchmarks.navier_stokes.spectral import SpectralVorticity
from solvers import FastPoisson, poisson_operator

SCHEMES = ["spectral", "finite_difference"]


def sampled(count=2, **parameters):
    problem = NavierStokes(**{"resolution": 32, "frames": 1, "law": "generated", **parameters})
    return problem, problem.sample(count, torch.Generator().manual_seed(0))


def plane(n):
    x = torch.arange(n, dtype=torch.float64) / n
    return torch.meshgrid(2 * math.pi * x, 2 * math.pi * x, indexing="ij")


def smooth_flow(n):
    """A few waves that no symmetry keeps in place, shape ``(1, 1, n, n)``."""
    x, y = plane(n)
    return (torch.sin(x) * torch.cos(y) + torch.cos(2 * x + y) + 0.5 * torch.sin(x - 3 * y))[None, None]


def orders(errors):
    return [math.log2(coarse / fine) for coarse, fine in pairwise(errors)]


def test_taylor_green_vortices_decay_exactly():
    """w = sin 2πx sin 2πy has u·∇w = 0, so w(t) = e^(−8π²νt) w(0), whatever the step."""
    problem = NavierStokes(viscosity=1e-2, forcing=0.0, resolution=16, frames=3, step=0.5)
    x, y = plane(16)
    w = 0.1 * (torch.sin(x) * torch.sin(y))[None, None]
    decay = torch.exp(-8 * math.pi**2 * 1e-2 * torch.arange(1.0, 4.0, dtype=torch.float64))
    computed = problem.solve(Batch({"initial_vorticity": w}))["vorticity"]
    torch.testing.assert_close(computed, decay[None, :, None, None, None] * w[:, None], rtol=1e-12, atol=1e-14)


def test_taylor_green_vortices_decay_to_second_order_by_differences():
    """Five-point Laplacian: the decay rate errs by O(h²), and the Jacobian of w with −w/8π² vanishes."""
    x, y = plane(8)
    w = Batch({"initial_vorticity": (torch.sin(x) * torch.sin(y))[None, None]})
    errors = []
    for refinement in (2, 4, 8):
        problem = NavierStokes(
            viscosity=1e-2, forcing=0.0, resolution=8, refinement=refinement, frames=1, scheme="finite_difference",
            step=1 / 256,
        )  # fmt: skip
        exact = math.exp(-8 * math.pi**2 * 1e-2) * w["initial_vorticity"]
        errors.append(relative_l2(problem.solve(w)["vorticity"][:, 0], exact).item())
    assert min(orders(errors)) > 1.9


def test_laminar_response_to_the_forcing_is_exact_to_order_four():
    """From rest, w = (1 − e^(−8π²νt)) f / 8π²ν: a function of x + y, which no flow along it moves."""
    viscosity = 1e-2
    x, y = plane(16)
    force = 0.1 * (torch.sin(x + y) + torch.cos(x + y))
    rate = 8 * math.pi**2 * viscosity
    exact = ((1 - math.exp(-rate)) / rate * force)[None, None]
    rest = Batch({"initial_vorticity": torch.zeros(1, 1, 16, 16, dtype=torch.float64)})
    errors = []
    for step in (1 / 2, 1 / 4, 1 / 8):
        problem = NavierStokes(viscosity=viscosity, resolution=16, frames=1, step=step)
        errors.append(relative_l2(problem.solve(rest)["vorticity"][:, 0], exact).item())
    assert min(orders(errors)) > 3.9


def test_spectral_scheme_has_order_four_in_time():
    flow = smooth_flow(32)
    solutions = [
        NavierStokes(viscosity=1e-3, resolution=32, step=step).advance(flow)
        for step in (1 / 40, 1 / 80, 1 / 160, 1 / 640)
    ]
    errors = [relative_l2(solution, solutions[-1]).item() for solution in solutions[:-1]]
    assert min(orders(errors)) > 3.8


def test_differences_converge_to_the_spectral_solution_with_order_two_in_space():
    """Two discretisations that share no spatial operator agree in the limit."""
    flow = 0.5 * smooth_flow(16)
    exact = NavierStokes(viscosity=2e-3, resolution=16, refinement=8, interval=0.5, step=1 / 128).advance(flow)
    errors = []
    for refinement in (2, 4, 8):
        problem = NavierStokes(
            2e-3, resolution=16, refinement=refinement, scheme="finite_difference", interval=0.5, step=1 / 128
        )
        errors.append(relative_l2(problem.advance(flow), exact).item())
    assert min(orders(errors)) > 1.9


def test_spectral_scheme_converges_faster_than_any_order_in_space():
    """A flow of few waves at ν = 5e-3: doubling the points divides the error by more than any power would at first."""
    flow = smooth_flow(16)
    solutions = [
        NavierStokes(viscosity=5e-3, resolution=16, refinement=r, step=1 / 128).advance(flow) for r in (1, 2, 4, 8)
    ]
    errors = [relative_l2(solution, solutions[-1]).item() for solution in solutions[:-1]]
    assert orders(errors)[1] > 6


@pytest.mark.parametrize("seed", [0, 1])
def test_arakawa_jacobian_conserves_vorticity_enstrophy_and_energy(seed):
    """Σ J = Σ w J = Σ ψ J = 0 for any two grid functions, and J(ψ, w) = −J(w, ψ)."""
    psi, w = torch.randn((2, 3, 16, 16), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    jacobian = arakawa_jacobian(psi, w)
    size = jacobian.abs().sum((1, 2))
    for factor in (torch.ones_like(w), w, psi):
        assert ((factor * jacobian).sum((1, 2)).abs() < 1e-14 * size * factor.abs().amax((1, 2))).all()
    torch.testing.assert_close(arakawa_jacobian(w, psi), -jacobian)


def test_arakawa_jacobian_has_order_two():
    """J(ψ, w) for ψ = sin x cos 2y, w = cos(x + y) on the unit square."""
    errors = []
    for n in (16, 32, 64):
        x, y = plane(n)
        psi, w = torch.sin(x) * torch.cos(2 * y), torch.cos(x + y)
        psi_x, psi_y, w_xy = torch.cos(x) * torch.cos(2 * y), -2 * torch.sin(x) * torch.sin(2 * y), -torch.sin(x + y)
        exact = 4 * math.pi**2 * (psi_x * w_xy - psi_y * w_xy)
        errors.append(((arakawa_jacobian(psi[None], w[None])[0] - exact).norm() / exact.norm()).item())
    assert min(orders(errors)) > 1.9


def test_stream_function_of_the_differences_is_that_of_the_exact_grid_solver():
    n, w = 16, sampled(resolution=16)[1]["initial_vorticity"][:, 0]
    psi = ArakawaVorticity(n, 1e-3, 0.0, w).stream_function(w)
    exact = FastPoisson().setup(poisson_operator((n, n), boundary="periodic"))(w.flatten(1) / n**2).reshape(w.shape)
    torch.testing.assert_close(psi, exact, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_inviscid_tendencies_conserve_energy_and_enstrophy(scheme):
    """⟨w, −u·∇w⟩ = ⟨ψ, −u·∇w⟩ = 0 to rounding: Galerkin's method without aliases, and Arakawa's Jacobian."""
    w = sampled(resolution=32)[1]["initial_vorticity"][:, 0]
    if scheme == "spectral":
        discrete = SpectralVorticity(64, 15, 0.0, 0.0, w)
        state = discrete.encode(w)
        tendency, field = discrete.decode(discrete.tendency(state), 64), discrete.decode(state, 64)
        k = 2 * math.pi * torch.fft.fftfreq(64, 1 / 64, dtype=torch.float64)
        squares = k[:, None] ** 2 + k[None, :33] ** 2
        psi = torch.fft.irfft2(torch.fft.rfft2(field) / torch.where(squares > 0, squares, 1), s=(64, 64))
    else:
        differences = ArakawaVorticity(32, 0.0, 0.0, w)
        field, tendency, psi = w, differences.tendency(w), differences.stream_function(w)
    for factor in (field, psi):
        size = factor.abs().amax((1, 2)) * tendency.abs().mean((1, 2))
        assert ((factor * tendency).mean((1, 2)).abs() < 1e-13 * size).all()


def test_budgets_of_energy_and_enstrophy_are_balanced():
    """dE/dt = −2νZ + ⟨ψ f⟩ and dZ/dt = −ν ⟨|∇w|²⟩ + ⟨w f⟩ hold in the space of the waves kept, |k| ≤ 10 here.

    Simpson's rule over 32 short frames, which show all of these waves.
    """
    viscosity, frames, interval = 1e-3, 32, 1 / 64
    problem = NavierStokes(viscosity, resolution=32, refinement=1, frames=frames, interval=interval)
    flow = resample(sampled(resolution=20)[1]["initial_vorticity"], 32)
    start = Batch({"initial_vorticity": flow})
    w = torch.cat([flow[:, None], problem.solve(start)["vorticity"]], 1).flatten(0, 1)
    x, y = plane(32)
    force = 0.1 * (torch.sin(x + y) + torch.cos(x + y))
    k = 2 * math.pi * torch.fft.fftfreq(32, 1 / 32, dtype=torch.float64)
    gradient = torch.fft.ifft2(torch.fft.fft2(w) * 1j * torch.stack([k[:, None].expand(32, 32), k.expand(32, 32)])).real
    # f is an eigenfunction of the Laplacian, −Δf = 8π² f, hence ⟨ψ f⟩ = ⟨w f⟩ / 8π².
    work = (w[:, 0] * force).mean((1, 2))
    rates = {
        energy: -2 * viscosity * enstrophy(w) + work / (8 * math.pi**2),
        enstrophy: -viscosity * gradient.square().sum(1).mean((1, 2)) + work,
    }
    weights = torch.tensor([1.0, *[4.0, 2.0] * 15, 4.0, 1.0], dtype=torch.float64) * interval / 3
    for quantity, rate in rates.items():
        history = quantity(w).unflatten(0, (2, frames + 1))
        gained = (rate.unflatten(0, (2, frames + 1)) * weights).sum(1)
        torch.testing.assert_close(history[:, -1] - history[:, 0], gained, rtol=1e-6, atol=0)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_mean_vorticity_is_conserved(scheme):
    problem, start = sampled(scheme=scheme, resolution=16, step=1 / 64)
    start["initial_vorticity"].add_(torch.tensor([0.3, -0.1])[:, None, None, None])
    after = problem.solve(start)["vorticity"].mean((2, 3, 4))[:, 0]
    torch.testing.assert_close(after, start["initial_vorticity"].mean((1, 2, 3)), rtol=0, atol=1e-14)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_flow_commutes_with_periodic_shifts_without_forcing(scheme):
    problem, start = sampled(forcing=0.0, scheme=scheme, resolution=16, step=1 / 64)
    flow = start["initial_vorticity"]
    for solver in (problem.advance, lambda state: problem.guess_step(state, "large_steps")):
        moved = solver(flow.roll((3, 7), (2, 3)))
        torch.testing.assert_close(moved, solver(flow).roll((3, 7), (2, 3)), rtol=0, atol=1e-12)


def test_flow_commutes_with_a_quarter_turn_without_forcing():
    """w(x, y) ↦ w(y, −x): vorticity turns with the flow."""
    problem, start = sampled(forcing=0.0, resolution=16)

    def turned(w):
        return w.transpose(2, 3).flip(3).roll(1, 3)  # −y on left nodes is the node n − j

    flow = start["initial_vorticity"]
    torch.testing.assert_close(problem.advance(turned(flow)), turned(problem.advance(flow)), rtol=0, atol=1e-12)


def test_velocity_is_solenoidal_and_its_curl_is_the_vorticity():
    """For ψ = sin 2πx cos 4πy: w = 20π² ψ, u = ψ_y, v = −ψ_x; E = ½⟨ψ w⟩, all in one ring."""
    x, y = plane(32)
    psi = torch.sin(x) * torch.cos(2 * y)
    w = (20 * math.pi**2 * psi)[None, None]
    u = torch.stack([-4 * math.pi * torch.sin(x) * torch.sin(2 * y), -2 * math.pi * torch.cos(x) * torch.cos(2 * y)])
    torch.testing.assert_close(velocity(w)[0], u, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(energy(w), (psi * w[0, 0]).mean()[None] / 2)
    torch.testing.assert_close(enstrophy(w), w.square().mean()[None] / 2)
    rings = energy_spectrum(w)[0]
    torch.testing.assert_close(rings[2], energy(w)[0])  # |k| = √5
    assert rings.sum() == pytest.approx(energy(w).item(), rel=1e-12)


def test_spectrum_sums_to_the_energy():
    """Waves |k_x|, |k_y| ≤ 9 lie within the 16 rings of 32 points; a mean has no energy."""
    flow = resample(sampled(count=3, resolution=20)[1]["initial_vorticity"], 32)
    torch.testing.assert_close(energy_spectrum(flow + 0.5).sum(1), energy(flow), rtol=1e-12, atol=0)


def test_law_has_its_variance_and_one_seed_is_one_function():
    """Var w = σ² Σ_k (4π²|k|² + 49)^(−5/2) over |k_x|, |k_y| ≤ 31, k ≠ 0; σ² = 7^(3/2) or 7³."""
    k = torch.arange(-31, 32, dtype=torch.float64)
    terms = (4 * math.pi**2 * (k[:, None] ** 2 + k**2) + 49) ** (-2.5)
    terms[31, 31] = 0
    for law, sigma in (("stated", 7**1.5), ("generated", 7**3)):
        flow = sampled(count=2000, resolution=8, law=law)[1]["initial_vorticity"]
        kept = terms[28:35, 28:35].sum() * sigma  # 8 points resolve the waves up to 3
        assert abs(flow[:, 0, 3, 5].square().mean() / kept - 1) < 5 * math.sqrt(2 / 2000)
    coarse, fine = (sampled(resolution=n)[1]["initial_vorticity"] for n in (64, 128))
    torch.testing.assert_close(fine[..., ::2, ::2], coarse)
    torch.testing.assert_close(sampled(resolution=32)[1]["initial_vorticity"], resample(coarse, 32))


@settings(max_examples=6, deadline=None)
@given(
    count=st.integers(0, 5),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    scheme=st.sampled_from(SCHEMES),
)
def test_every_sample_is_solved_on_its_own_in_its_dtype(count, dtype, scheme):
    problem, start = sampled(count=count, resolution=8, frames=2, scheme=scheme, step=1 / 16)
    start = start.to(dtype=dtype)
    for solver in (problem.solve, lambda rows: problem.first_guess(rows, "large_steps")):
        together = solver(start)["vorticity"]
        assert together.shape == (count, 2, 1, 8, 8)
        assert together.dtype == dtype
        for row in range(count):
            alone = solver(start.rows([row]))["vorticity"]
            torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=20 * torch.finfo(dtype).eps)


def test_residual_is_the_defect_of_every_frame_and_differentiable():
    """Zero for frames that follow from one another, the change of a changed frame; its gradient by gradcheck."""
    problem, start = sampled(count=1, resolution=8, viscosity=1e-2, frames=2, step=1 / 4)
    frames = [problem.advance(start["initial_vorticity"])]
    frames.append(problem.advance(frames[0]))
    trajectory = torch.stack(frames, 1)
    assert problem.residual(start, Batch({"vorticity": trajectory}))["vorticity"].abs().max() < 1e-15
    changed = trajectory.clone().requires_grad_()
    flow = start["initial_vorticity"].clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda a, b: problem.residual(Batch({"initial_vorticity": a}), Batch({"vorticity": b}))["vorticity"],
        (flow, changed),
    )


def test_guess_is_close_where_its_waves_are_resolved_and_differentiable():
    problem, start = sampled(resolution=64, viscosity=1e-3)
    flow = start["initial_vorticity"]
    assert relative_l2(problem.guess_step(flow.float(), "large_steps"), problem.advance(flow)).max() < 1e-5
    small, start = sampled(count=1, resolution=8)
    flow = start["initial_vorticity"].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda w: small.guess_step(w, "large_steps"), (flow,))


@pytest.mark.parametrize("factor", [1e2, 1e4])
def test_guess_is_stable_for_any_flow(factor):
    """Waves that a step cannot carry only decay: 20 intervals of a flow far too fast for the steps stay bounded."""
    problem, start = sampled(viscosity=1e-5)
    flow = factor * start["initial_vorticity"]
    largest = energy(flow)
    for _ in range(20):
        flow = problem.guess_step(flow, "large_steps")
    assert (energy(flow) < 2 * largest).all()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"viscosity": 0.0}, "viscosity 0.0: a positive"),
        ({"viscosity": -1e-3}, "viscosity -0.001: a positive"),
        ({"interval": 0.0}, "interval 0.0: a positive"),
        ({"forcing": float("inf")}, "forcing inf: a finite"),
        ({"resolution": 33}, "resolution 33: an even number"),
        ({"resolution": 6}, "at least 8"),
        ({"refinement": 0}, "both must be at least 1"),
        ({"law": "mine"}, "stated or generated"),
        ({"scheme": "magic"}, "spectral or finite_difference"),
        ({"scheme": "finite_difference", "viscosity": 1e-2}, r"step 0.0208: too long .* set step to"),
    ],
)
def test_impossible_parameters_are_named(arguments, match):
    with pytest.raises(ProblemError, match=match):
        NavierStokes(**arguments)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_flow_too_fast_for_the_step_is_named_with_sample_and_step(scheme):
    problem, start = sampled(count=6, scheme=scheme, resolution=16)
    start["initial_vorticity"][5] *= 100
    with pytest.raises(
        ProblemError, match=r"frame 1, step 1 of 48: sample 5 is too fast .* set step to 0\.\d+ or less"
    ):
        problem.solve(start)
    start["initial_vorticity"][5, 0, 2, 3] = float("nan")
    with pytest.raises(ProblemError, match="step 1 of 48: sample 5 is not finite"):
        problem.solve(start)


def test_other_bad_input_is_named():
    problem, start = sampled(resolution=16)
    with pytest.raises(ProblemError, match="large_steps"):
        problem.guess_step(start["initial_vorticity"], "magic")
    with pytest.raises(ProblemError, match=r"\(batch, 1, n, n\) is expected"):
        energy(start["initial_vorticity"][:, 0])
