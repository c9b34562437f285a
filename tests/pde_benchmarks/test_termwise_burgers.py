"""Burgers' equation as one field of space and time: order, exact inverse, budgets of mass and energy, linearity."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pde_benchmarks import Batch, BurgersField
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.metrics import relative_l2

SMALL = BurgersField(resolution=33, frames=9, duration=0.3)


def drawn(problem=SMALL, count=2, seed=0):
    return problem.sample(count, torch.Generator().manual_seed(seed))


def random_fields(inputs, *leading, seed=1):
    shape = (*leading, inputs.count, *inputs["initial_solution"].shape[2:])
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_discrete_solution_converges_to_the_reference_with_order_two():
    """|u_{h,Δt} − u| = O(h² + Δt²)."""
    errors = []
    for n, frames in ((33, 11), (65, 21), (129, 41)):
        problem = BurgersField(viscosity=0.1, resolution=n, frames=frames, duration=0.5)
        inputs = drawn(problem)
        solved = problem.discrete_solution(inputs)["solution"]
        errors.append(relative_l2(solved, problem.solve(inputs)["solution"]).max().item())
    assert min(math.log2(coarse / fine) for coarse, fine in pairwise(errors)) > 1.8


def test_the_discrete_solution_has_no_residual_and_needs_no_correction():
    """r(u*) = 0 and Ã⁻¹ r(u*) = 0."""
    inputs = drawn()
    solved = SMALL.discrete_solution(inputs)
    assert SMALL.residual(inputs, solved)["solution"].abs().max() < 1e-11
    assert SMALL.correction(inputs, solved)["solution"].abs().max() < 1e-11


def test_the_discrete_solution_loses_the_energy_that_viscosity_takes():
    """½ Σ (u_m² − u_{m−1}²) / Δt = −D Σ_faces ((ū_{i+1} − ū_i)/h)², for any step: convection takes no part."""
    problem = BurgersField(resolution=33, frames=5, duration=2.0)
    u = problem.discrete_solution(drawn(problem))["solution"][:, 0]
    change = u.square().sum(-1).diff(dim=1) / (2 * 0.5)
    middle = (u[:, 1:] + u[:, :-1]) / 2
    taken = -problem.viscosity / 4 * (middle.diff(dim=-1) * 32).square().sum(-1)
    torch.testing.assert_close(change, taken, rtol=1e-10, atol=0)


def test_convection_conserves_mass_between_the_faces():
    """Σ_{i=j}^{k} ½ A u δu = (F_{k+½} − F_{j−½})/h with F = (u_i² + u_i u_{i+1} + u_{i+1}²)/12 for every field."""
    inputs = drawn()
    u = random_fields(inputs)
    terms = SMALL.termwise(inputs).terms(u)
    convection = (terms[:, 1] * terms[:, 2])[:, 1:] / SMALL.duration
    m = (u[:, 1:] + u[:, :-1]) / 2
    flux = (m[..., 1:] ** 2 + m[..., 1:] * m[..., :-1] + m[..., :-1] ** 2) / 12
    torch.testing.assert_close(convection[..., 5:20].sum(-1), (flux[..., 19] - flux[..., 4]) * 32)


def test_the_carrier_is_the_exact_inverse_about_every_field():
    """Ã(u)⁻¹ r′(u) e = e."""
    inputs = drawn()
    residual, about, e = SMALL.termwise(inputs), random_fields(inputs), random_fields(inputs, seed=2)
    derivative = (residual.slopes(residual.terms(about)) * residual.terms(e)).sum(1)
    torch.testing.assert_close(residual.carrier(about)(derivative), e, rtol=1e-9, atol=1e-9)


def test_corrections_converge_quadratically():
    """u ← u − Ã⁻¹ r(u) is Newton's method: from the diffused start to rounding in six steps."""
    inputs = drawn()
    exact = SMALL.discrete_solution(inputs)["solution"]
    u = Batch({"solution": SMALL.offset(inputs)[:, None]})
    for _ in range(6):
        u = Batch({"solution": u["solution"] + SMALL.correction(inputs, u)["solution"]})
    torch.testing.assert_close(u["solution"], exact, rtol=0, atol=1e-11)


@given(leading=st.lists(st.integers(0, 3), max_size=2), seed=st.integers(0, 99))
@settings(max_examples=8, deadline=None)
def test_terms_and_carrier_are_linear_and_take_leading_axes(leading, seed):
    """D(x + 2y) = D x + 2 D y and so for Ã⁻¹; every leading index is a computation of its own."""
    inputs = drawn()
    residual = SMALL.termwise(inputs)
    carry = residual.carrier(drawn(seed=seed)["initial_solution"][:, 0])
    x, y = random_fields(inputs, *leading, seed=seed), random_fields(inputs, *leading, seed=seed + 1)
    for linear in (residual.terms, carry):
        torch.testing.assert_close(linear(x + 2 * y), linear(x) + 2 * linear(y), rtol=1e-9, atol=1e-9)
        if x.numel():
            first = (0,) * len(leading)
            torch.testing.assert_close(linear(x)[first], linear(x[first]))
    assert carry(x).shape == x.shape
    assert residual.terms(x).shape == (*leading, 2, 3, *residual.shape)


def test_rows_and_carrier_are_differentiable():
    """gradcheck of u ↦ r(u), u₀ ↦ r and of r ↦ Ã⁻¹ r."""
    problem = BurgersField(resolution=9, frames=4)
    inputs = drawn(problem)
    u = random_fields(inputs).requires_grad_()
    residual = problem.termwise(inputs)
    assert torch.autograd.gradcheck(residual.rows, u, fast_mode=True)
    assert torch.autograd.gradcheck(residual.carrier(u), u, fast_mode=True)
    start = inputs["initial_solution"].clone().requires_grad_()
    fixed = u.detach()
    assert torch.autograd.gradcheck(
        lambda a: problem.termwise(Batch({"initial_solution": a})).rows(fixed), start, fast_mode=True
    )


def test_offset_and_envelope_build_start_and_walls_in():
    """r = 0 in the global rows, the first frame and both walls, for offset + envelope · anything."""
    inputs = drawn()
    residual = SMALL.termwise(inputs)
    rows = residual.rows(SMALL.offset(inputs) + SMALL.envelope(inputs) * random_fields(inputs))
    assert rows[:, residual.global_rows].abs().max() < 1e-14
    assert residual.global_rows.sum() == 33 + 2 * 8


def test_one_sample_does_not_depend_on_another():
    """A sample that is not finite leaves the other's rows and correction as they are."""
    inputs = drawn()
    residual, alone = SMALL.termwise(inputs), SMALL.termwise(inputs.rows(slice(1)))
    fields = SMALL.offset(inputs).clone()
    fields[1] = float("nan")
    torch.testing.assert_close(residual.rows(fields)[:1], alone.rows(fields[:1]))
    torch.testing.assert_close(residual.correction(fields)[:1], alone.correction(fields[:1]))


@given(dtype=st.sampled_from([torch.float32, torch.float64]), count=st.integers(0, 2), frames=st.integers(2, 4))
@settings(max_examples=6, deadline=None)
def test_everything_keeps_dtype_and_shape(dtype, count, frames):
    """Inputs ``(B, 1, F, n)`` in a dtype, fields of the same; an empty batch is no exception."""
    problem = BurgersField(resolution=33, frames=frames, duration=0.1)
    inputs = drawn(problem, count).to(dtype=dtype)
    problem.check(inputs)
    for outputs in (problem.solve(inputs), problem.discrete_solution(inputs)):
        for batch in (outputs, problem.residual(inputs, outputs), problem.correction(inputs, outputs)):
            assert batch["solution"].shape == (count, 1, frames, 33)
            assert batch["solution"].dtype == dtype
    forms = problem.closed_forms(inputs)
    assert list(forms) == ["one", "x", "start", "convected", "convected_t"]
    assert all(form.shape == (count, frames, 33) and form.dtype == dtype for form in forms.values())
    assert problem.coordinates(inputs).shape == (count, 4, frames, 33)


def test_bad_input_is_named():
    """Frames, moving inputs, walls with a velocity, steps that do not converge."""
    with pytest.raises(ProblemError, match=r"burgers-space-time frames 1: at least 2"):
        BurgersField(resolution=33, frames=1)
    moving, slipping, broken = (drawn()["initial_solution"].clone() for _ in range(3))
    moving[1, 0, 3, 4] += 1
    with pytest.raises(ProblemError, match="sample 1 changes in time"):
        SMALL.check(Batch({"initial_solution": moving}))
    slipping[1, 0, :, 0] = 1
    with pytest.raises(ProblemError, match=r"sample 1 is 1 and -?0 at the walls"):
        SMALL.check(Batch({"initial_solution": slipping}))
    broken[1] = float("nan")
    with pytest.raises(ProblemError, match="frame 1 does not converge for sample 1"):
        SMALL.discrete_solution(Batch({"initial_solution": broken}))
