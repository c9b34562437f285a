"""Decaying vorticity as one field of space and time: order, exact inverses, linearity, conservation, closed forms."""

from __future__ import annotations

import dataclasses
import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pde_benchmarks import Batch, GaussianField
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.metrics import relative_l2
from pde_benchmarks.navier_stokes import DecayingFlow, energy, enstrophy
from pde_benchmarks.navier_stokes.initial_motion import after_diffusion, carried_by_initial_flow, initial_rates

SMALL = DecayingFlow(resolution=16, frames=8, duration=0.2)


def drawn(problem=SMALL, count=2, seed=0):
    return problem.sample(count, torch.Generator().manual_seed(seed))


def random_fields(inputs, *leading, seed=1):
    shape = (*leading, inputs.count, *inputs["initial_vorticity"].shape[2:])
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def plane(n):
    x = 2 * math.pi * torch.arange(n, dtype=torch.float64) / n
    return torch.meshgrid(x, x, indexing="ij")


def taylor_green(problem):
    """w = 6 sin 2πx sin 2πy e^(−8π²νt), exact: the input and the field ``(1, *shape)``."""
    x, y = plane(problem.resolution)
    start = 6 * (torch.sin(x) * torch.sin(y))[None]
    t = torch.linspace(0, problem.duration, problem.frames, dtype=torch.float64)
    decay = torch.exp(-8 * math.pi**2 / problem.reynolds * t)
    return problem.held(start), decay[None, :, None, None] * start[:, None]


def orders(errors):
    return [math.log2(coarse / fine) for coarse, fine in pairwise(errors)]


def relative(a, b):
    return ((a - b).flatten(1).norm(dim=1) / b.flatten(1).norm(dim=1)).max().item()


def test_the_rows_of_taylor_green_vortices_fall_with_order_two():
    """w = e^(−8π²νt) sin 2πx sin 2πy solves the equation, so the rows are the defect of the midpoint rule: O(Δt²)."""
    sizes = []
    for frames in (9, 17, 33):
        problem = DecayingFlow(reynolds=20.0, resolution=8, frames=frames)
        inputs, exact = taylor_green(problem)
        sizes.append(problem.termwise(inputs).rows(exact).abs().max().item())
    assert all(abs(order - 2) < 0.1 for order in orders(sizes))


def test_the_discrete_solution_converges_to_the_reference_with_order_two():
    """|w_Δt − w| = O(Δt²) for flows that the grid resolves, down to what 1/h² of spectral modes leave out."""
    errors = []
    for frames in (9, 17, 33):
        problem = DecayingFlow(reynolds=100.0, smoothness=8.0, frames=frames, duration=0.1)
        inputs = drawn(problem, 1)
        errors.append(relative_l2(problem.discrete_solution(inputs)["vorticity"], problem.solve(inputs)["vorticity"]))
    assert all(abs(order - 2) < 0.15 for order in orders([e.item() for e in errors]))


def test_the_reference_loses_the_energy_and_enstrophy_that_viscosity_takes():
    """d/dt ½∫|u|² = −2ν · ½∫w², and enstrophy never rises: trapezoidal rule over the frames."""
    problem = DecayingFlow(frames=33, duration=0.1)
    flow = problem.solve(drawn(problem))["vorticity"]
    frames = flow.transpose(1, 2).flatten(0, 1)
    e, z = energy(frames).reshape(2, -1), enstrophy(frames).reshape(2, -1)
    taken = 2 / problem.reynolds * torch.trapezoid(z, dx=problem.interval, dim=1)
    torch.testing.assert_close(e[:, 0] - e[:, -1], taken, rtol=2e-3, atol=0)
    assert bool((z.diff(dim=1) < 0).all())


def test_the_discrete_solution_has_no_residual_and_needs_no_correction():
    """r(w*) = 0 and Ã⁻¹ r(w*) = 0."""
    inputs = drawn()
    solved = SMALL.discrete_solution(inputs)
    assert SMALL.residual(inputs, solved)["vorticity"].abs().max() < 1e-8
    assert SMALL.correction(inputs, solved)["vorticity"].abs().max() < 1e-8 * SMALL.vorticity


def test_corrections_converge_to_the_discrete_solution():
    """w ← w − Ã(w)⁻¹ r(w), from w(0) held: Newton's method with an inverse to 5 %."""
    inputs = drawn()
    exact = SMALL.discrete_solution(inputs)["vorticity"]
    outputs = Batch({"vorticity": SMALL.offset(inputs)[:, None]})
    for _ in range(10):
        outputs = Batch({"vorticity": outputs["vorticity"] + SMALL.correction(inputs, outputs)["vorticity"]})
    assert relative(outputs["vorticity"], exact) < 1e-8


def test_the_carrier_is_the_exact_inverse_about_rest():
    """About w = 0 the equation is Stokes': Ã⁻¹ A e = e, A e = G′(0) e."""
    rest = SMALL.held(torch.zeros(2, 16, 16, dtype=torch.float64))
    residual = SMALL.termwise(rest)
    e = random_fields(rest)
    still = torch.zeros_like(e)
    derivative = (residual.slopes(residual.terms(still)) * residual.terms(e)).sum(1)
    torch.testing.assert_close(residual.carrier(still)(derivative), e, rtol=1e-10, atol=1e-10)


def test_the_carrier_estimates_the_error_of_smooth_and_of_rough_fields():
    """‖Ã⁻¹ r(w* + e) − e‖ ≤ ¼ ‖e‖ for ‖e‖ = 5 % of ‖w*‖; diffusion alone misses most of a smooth e."""
    problem = DecayingFlow()
    inputs = drawn(problem, 3)
    residual, exact = problem.termwise(inputs), problem.discrete_solution(inputs)["vorticity"][:, 0]
    smooth = torch.stack([*drawn(problem, 3, seed=5)["initial_vorticity"][:, 0]]) * problem.envelope(inputs)
    diffusive = residual.carrier(torch.zeros_like(exact))
    law = GaussianField(2.0, 7.0, "periodic", 31)
    rough = law.sample(3 * 16, problem.flow.grid, torch.Generator().manual_seed(1)).reshape(smooth.shape)
    for shape in (smooth, rough * problem.envelope(inputs)):
        e = shape * 0.05 * exact.norm() / shape.norm()
        estimate = -residual.correction(exact + e)
        assert relative(estimate, e) < 0.25
        assert relative(diffusive(residual.rows(exact + e)), e) > 2 * relative(estimate, e)


@given(leading=st.lists(st.integers(0, 3), max_size=2), seed=st.integers(0, 99))
@settings(max_examples=8, deadline=None)
def test_terms_and_carrier_are_linear_and_take_leading_axes(leading, seed):
    """D(x + 2y) = D x + 2 D y and so for Ã⁻¹; every leading index is a computation of its own."""
    inputs = drawn()
    residual = SMALL.termwise(inputs)
    carry = residual.carrier(drawn(seed=seed)["initial_vorticity"][:, 0])
    x, y = random_fields(inputs, *leading, seed=seed), random_fields(inputs, *leading, seed=seed + 1)
    for linear in (residual.terms, carry):
        torch.testing.assert_close(linear(x + 2 * y), linear(x) + 2 * linear(y), rtol=1e-9, atol=1e-9)
        if linear(x).numel():
            first = (0,) * len(leading)
            torch.testing.assert_close(linear(x)[first], linear(x[first]))
    assert carry(x).shape == x.shape
    assert residual.terms(x).shape == (*leading, 2, 5, *residual.shape)


def test_rows_and_carrier_are_differentiable():
    """gradcheck of w ↦ r(w), w₀ ↦ r and of r ↦ Ã⁻¹ r."""
    problem = DecayingFlow(resolution=8, frames=3, duration=0.05)
    inputs = drawn(problem, 1)
    w = random_fields(inputs).requires_grad_()
    residual = problem.termwise(inputs)
    assert torch.autograd.gradcheck(residual.rows, w, fast_mode=True)
    assert torch.autograd.gradcheck(residual.carrier(3 * w), w, fast_mode=True)
    start = inputs["initial_vorticity"].clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda a: problem.termwise(Batch({"initial_vorticity": a})).rows(w.detach()), start, fast_mode=True
    )


def test_the_slopes_are_the_derivative_of_the_rows():
    """r(w + h e) − r(w − h e) = 2h Σ_j G_j D_j e: G is quadratic."""
    inputs = drawn()
    residual = SMALL.termwise(inputs)
    w, e = random_fields(inputs), random_fields(inputs, seed=2)
    slope = (residual.slopes(residual.terms(w)) * residual.terms(e)).sum(1)
    torch.testing.assert_close((residual.rows(w + e) - residual.rows(w - e)) / 2, slope, rtol=1e-9, atol=1e-9)


def test_the_mean_of_a_row_is_that_of_the_change_in_time():
    """∫u·∇w = ∫Δw = 0 on the grid for every field, so that the discrete solution keeps its mean."""
    inputs = drawn()
    residual, w = SMALL.termwise(inputs), random_fields(inputs)
    change = w.mean((-2, -1)).diff(dim=1) / SMALL.interval * SMALL.duration / SMALL.vorticity
    torch.testing.assert_close(residual.rows(w).mean((-2, -1))[:, 1:], change, rtol=1e-10, atol=1e-12)
    shifted = SMALL.held(inputs["initial_vorticity"][:, 0, 0] + 1)
    means = SMALL.discrete_solution(shifted)["vorticity"].mean((-2, -1))
    torch.testing.assert_close(means, torch.ones_like(means), rtol=0, atol=1e-9)


def test_the_solutions_satisfy_the_law_of_the_mean():
    """A w = c, A the mean over the square at every instant; m × n, and violated by a field with another mean."""
    inputs = SMALL.held(drawn()["initial_vorticity"][:, 0, 0] + 0.5)
    law = SMALL.conserved(inputs)
    assert law.operator.shape == (8, 8 * 16**2)
    for flow in (SMALL.solve(inputs), SMALL.discrete_solution(inputs)):
        means = law.operator.mv(flow["vorticity"].flatten(1))
        torch.testing.assert_close(means, law.value, rtol=0, atol=1e-9)
        torch.testing.assert_close(law.operator.mv(flow["vorticity"].flatten(1) + 1), law.value + 1)


def test_offset_and_envelope_build_the_initial_condition_in():
    """r = 0 at the first frame for offset + envelope · anything; these rows are the global ones."""
    inputs = drawn()
    residual = SMALL.termwise(inputs)
    rows = residual.rows(SMALL.offset(inputs) + SMALL.envelope(inputs) * random_fields(inputs))
    assert rows[:, residual.global_rows].abs().max() == 0
    assert residual.global_rows.sum() == 16**2


def test_one_sample_does_not_depend_on_another():
    """A field that is not finite, or fast, in one sample leaves the other's rows and correction as they are."""
    inputs = drawn()
    residual, alone = SMALL.termwise(inputs), SMALL.termwise(inputs.rows(slice(1)))
    fields = SMALL.offset(inputs).clone()
    fields[1] = float("nan")
    torch.testing.assert_close(residual.rows(fields)[:1], alone.rows(fields[:1]))
    torch.testing.assert_close(residual.correction(fields)[:1], alone.correction(fields[:1]), rtol=1e-10, atol=1e-10)


def test_the_rates_are_derivatives_in_time():
    """w(t) = Σ_k w_k t^k + O(t⁴) with the rates up to order 3."""
    errors = []
    for duration in (0.04, 0.02, 0.01):
        problem = DecayingFlow(smoothness=8.0, frames=2, duration=duration, refinement=1, step=1e-3)
        inputs = drawn(problem, 1)
        start = inputs["initial_vorticity"][:, 0, 0]
        series = start + sum(w * duration**k for k, w in enumerate(initial_rates(start, 1e-3, 3), 1))
        errors.append((series - problem.solve(inputs)["vorticity"][:, 0, 1]).norm().item())
    assert min(orders(errors)) > 3.7


def test_what_the_initial_flow_carries_is_exact_for_parallel_flows():
    """u₀ = (0, cos 2πx)/2π moves sin 2πy by that much; a function of x + y moves along itself and stays."""
    x, y = plane(16)
    shear = torch.sin(x + y)[None]
    carried = carried_by_initial_flow(shear, 4, 0.1)
    torch.testing.assert_close(carried, shear[:, None].expand_as(carried), rtol=0, atol=1e-6)
    halved = after_diffusion(shear, torch.tensor([math.log(2) / (8 * math.pi**2)], dtype=torch.float64))
    torch.testing.assert_close(halved, shear / 2)


def test_closed_forms_and_coordinates_fit_the_grid():
    """Finite fields of order one, each on the whole grid; 1, w(0), three rates and two transports."""
    inputs = drawn(count=3)
    forms = SMALL.closed_forms(inputs)
    assert list(forms) == ["one", "start", "rate_1", "rate_2", "rate_3", "carried", "carried_diffused"]
    assert all(form.shape == (3, 8, 16, 16) and form.isfinite().all() for form in forms.values())
    coordinates = SMALL.coordinates(inputs)
    assert coordinates.shape == (3, 9, 8, 16, 16)
    assert coordinates.abs().max() < 20


@given(dtype=st.sampled_from([torch.float32, torch.float64]), count=st.integers(0, 2), frames=st.integers(2, 4))
@settings(max_examples=6, deadline=None)
def test_everything_keeps_dtype_and_shape(dtype, count, frames):
    """Inputs ``(B, 1, F, n, n)`` in a dtype, outputs of the same; an empty batch is no exception."""
    problem = DecayingFlow(resolution=8, frames=frames, duration=0.02)
    inputs = drawn(problem, count).to(dtype=dtype)
    problem.check(inputs)
    for outputs in (problem.solve(inputs), problem.discrete_solution(inputs)):
        for batch in (outputs, problem.residual(inputs, outputs), problem.correction(inputs, outputs)):
            assert batch["vorticity"].shape == (count, 1, frames, 8, 8)
            assert batch["vorticity"].dtype == dtype


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"reynolds": 0.0}, r"reynolds 0\.0: a positive number"),
        ({"duration": math.inf}, "duration inf: a positive number"),
        ({"resolution": 9}, "resolution 9: an even number"),
        ({"frames": 1}, "frames 1: at least 2"),
        ({"carried_points": 2}, "carried_points 2: at least 4"),
    ],
)
def test_parameters_without_meaning_are_refused(parameters, message):
    """The message names the value and what was expected."""
    with pytest.raises(ProblemError, match=message):
        DecayingFlow(**parameters)


def test_inputs_that_move_and_steps_that_do_not_converge_are_named():
    """The sample is named, and what mends it."""
    moving = drawn()["initial_vorticity"].clone()
    moving[1, 0, 3, 2, 2] += 1
    with pytest.raises(ProblemError, match="sample 1 changes in time"):
        SMALL.check(Batch({"initial_vorticity": moving}))
    fast = dataclasses.replace(SMALL, duration=50.0, vorticity=60.0)
    with pytest.raises(ProblemError, match=r"frame 1 does not converge for sample 0.*duration lower"):
        fast.discrete_solution(drawn(fast))
