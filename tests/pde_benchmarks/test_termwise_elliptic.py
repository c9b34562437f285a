"""Every elliptic problem as rows of one linear term: exactness, scale, conservation, V-cycles as carrier."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pde_benchmarks import Batch, Corrections, Darcy, Poisson, SmoothDarcy, TwoPhaseDarcy

MIXED = (("dirichlet", "neumann"), "periodic")
PROBLEMS = [
    Darcy(resolution=16),
    Poisson(boundary=MIXED, resolution=16, heterogeneity=0.5),
    Poisson(boundary=("dirichlet",), resolution=32),
    Poisson(boundary=("dirichlet", "neumann", "periodic"), resolution=16),
    TwoPhaseDarcy(resolution=17),
    SmoothDarcy(resolution=17, refinement=1),
    Corrections(Darcy(resolution=16)),
]


@pytest.fixture(params=PROBLEMS, ids=lambda p: f"{p.name}-{p.output.support.dim}d")
def problem(request):
    return request.param


def drawn(problem, count=2, seed=0):
    return problem.sample(count, torch.Generator().manual_seed(seed))


def random_fields(residual, *leading, seed=1):
    return torch.randn((*leading, *residual.shape), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_rows_are_the_residual_over_the_size_of_the_source(problem):
    """r = (A u − f) / ‖f‖, hence of root mean square one at u = 0, and zero at the solution."""
    inputs = drawn(problem)
    residual = problem.termwise(inputs)
    u = random_fields(residual, 2)
    expected = problem.residual(inputs, Batch({problem.output.name: u[:, None]}))[problem.output.name][:, 0]
    size = problem.load(inputs).square().mean(1).sqrt().reshape(-1, *[1] * len(residual.shape))
    torch.testing.assert_close(residual.rows(u), expected / size)
    still = residual.rows(problem.offset(inputs)).flatten(1)
    torch.testing.assert_close(still.square().mean(1), torch.ones(2, dtype=torch.float64))


def test_the_correction_is_that_of_the_problem(problem):
    """−Ã⁻¹ r(u) = M (f − A u), two V-cycles."""
    inputs = drawn(problem)
    residual = problem.termwise(inputs)
    u = random_fields(residual, 2)
    expected = problem.correction(inputs, Batch({problem.output.name: u[:, None]}))[problem.output.name][:, 0]
    torch.testing.assert_close(residual.correction(u), expected, rtol=1e-9, atol=1e-12)


def test_corrections_converge_to_the_solution(problem):
    """u ← u − Ã⁻¹ r(u) contracts to A⁻¹ f."""
    inputs = drawn(problem)
    residual, u = problem.termwise(inputs), problem.offset(inputs)
    for _ in range(25):
        u = u + residual.correction(u)
    assert residual.rows(u).abs().max() < 1e-8


@given(leading=st.lists(st.integers(0, 3), max_size=2), which=st.sampled_from(PROBLEMS), seed=st.integers(0, 99))
@settings(max_examples=8, deadline=None)
def test_terms_and_carrier_are_linear_and_take_leading_axes(leading, which, seed):
    """D(x + 2y) = D x + 2 D y and so for Ã⁻¹; every leading index is a computation of its own."""
    residual = which.termwise(drawn(which))
    carry = residual.carrier(random_fields(residual, 2))
    x, y = (random_fields(residual, *leading, 2, seed=s) for s in (seed, seed + 1))
    for linear in (residual.terms, carry):
        torch.testing.assert_close(linear(x + 2 * y), linear(x) + 2 * linear(y), rtol=1e-8, atol=1e-8)
        if x.numel():
            first = (0,) * len(leading)
            torch.testing.assert_close(linear(x)[first], linear(x[first]))
    assert carry(x).shape == x.shape
    assert residual.terms(x).shape == (*leading, 2, 1, *residual.shape)


def test_rows_and_carrier_are_differentiable():
    """gradcheck of u ↦ r(u), of a ↦ r and of r ↦ Ã⁻¹ r with a leading axis."""
    problem = Darcy(resolution=8)
    inputs = drawn(problem)
    residual = problem.termwise(inputs)
    u = random_fields(residual, 3, 2).requires_grad_()
    assert torch.autograd.gradcheck(residual.terms, u, fast_mode=True)
    assert torch.autograd.gradcheck(residual.carrier(u[0]), u, fast_mode=True)
    a = inputs["coefficient"].clone().requires_grad_()
    fixed = u[0].detach()
    assert torch.autograd.gradcheck(
        lambda a: problem.termwise(Batch({"coefficient": a})).rows(fixed), a, fast_mode=True
    )


def test_flux_is_conserved_over_any_box_of_vanishing_rows():
    """Σ_box r = ‖f‖⁻¹ (outflow through the box's sides − Σ_box f): interior fluxes cancel."""
    problem = Darcy(resolution=8)
    inputs = drawn(problem, 1)
    residual, n = problem.termwise(inputs), 8
    u, a = random_fields(residual, 1)[0], inputs["coefficient"][0, 0]
    mean = 2 * a[:-1] * a[1:] / (a[:-1] + a[1:])  # harmonic, on the faces across axis 0
    across = 2 * a[:, :-1] * a[:, 1:] / (a[:, :-1] + a[:, 1:])
    flux_0, flux_1 = mean * (u[:-1] - u[1:]) * n**2, across * (u[:, :-1] - u[:, 1:]) * n**2
    box = slice(2, 5)
    outflow = flux_0[4, box].sum() - flux_0[1, box].sum() + flux_1[box, 4].sum() - flux_1[box, 1].sum()
    torch.testing.assert_close(residual.rows(u[None])[0, box, box].sum(), outflow - 9)


def test_what_is_produced_flows_out(problem):
    """(1ᵀA/n) u = 1ᵀf/n for the solution; only cells at the boundary count where there is no reaction."""
    inputs = drawn(problem)
    law, u = problem.conserved(inputs), problem.solve(inputs)[problem.output.name].flatten(1)
    torch.testing.assert_close(law.operator.mv(u), law.value, rtol=1e-7, atol=1e-9)
    inside = ~problem.termwise(inputs).global_rows.flatten()
    row = law.operator.matrix[:, 0]
    # A node on the boundary is zero: the flux is that to its inner neighbour.
    on_boundary = problem.output.support.alignment == "vertex"
    assert on_boundary or row[:, inside].abs().max() < 1e-9 * row.abs().max()


def test_global_rows_are_those_at_the_sides_that_are_not_periodic():
    """One layer of cells an axis with a condition, none on a periodic one."""
    problem = Poisson(boundary=MIXED, resolution=16)
    rows = problem.termwise(drawn(problem)).global_rows
    assert rows[[0, -1]].all()
    assert not rows[1:-1].any()


def test_closed_forms_and_coordinates_fit_the_grid(problem):
    """Finite fields on the inputs' own grid, in their dtype; a polynomial that vanishes where the solution does."""
    inputs = drawn(problem, 3).to(dtype=torch.float32)
    shape = (3, *problem.output.support.shape)
    forms = problem.closed_forms(inputs)
    assert {"one", "vanishing", "vanishing_x0"} <= set(forms)
    for field in (*forms.values(), problem.offset(inputs), problem.envelope(inputs)):
        assert field.shape == shape
        assert field.dtype == torch.float32
    coordinates = problem.coordinates(inputs)
    assert coordinates.isfinite().all()
    assert coordinates.abs().max() < 20
    assert problem.termwise(inputs).rows(problem.offset(inputs)).dtype == torch.float32


def test_an_empty_batch_and_a_source_of_zero_have_rows():
    """No sample, or f = 0, divides by nothing: r = A u."""
    problem = Poisson(boundary=("dirichlet", "dirichlet"), resolution=16)
    still = Batch({"source": torch.zeros(1, 1, 16, 16, dtype=torch.float64)})
    residual = problem.termwise(still)
    u = random_fields(residual, 1)
    torch.testing.assert_close(residual.rows(u).flatten(1), problem.operator(still).mv(u.flatten(1)))
    none = problem.termwise(drawn(problem, 0))
    assert none.correction(u[:0]).shape == (0, 16, 16)
