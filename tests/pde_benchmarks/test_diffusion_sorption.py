"""Diffusion and sorption: orders, balances, and a residual whose linear part the carrier inverts."""

from __future__ import annotations

import dataclasses
import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from pde_benchmarks.diffusion_sorption import DiffusionSorption, DiffusionSorptionHard
from pde_benchmarks.diffusion_sorption.tridiagonal import Tridiagonal
from pde_benchmarks.metrics import relative_l2
from pde_benchmarks.problem import Batch

SMALL = {"resolution": 12, "frames": 7}
PROBLEMS = pytest.mark.parametrize(
    "problem", [DiffusionSorption(**SMALL), DiffusionSorptionHard(**SMALL)], ids=lambda problem: problem.name
)


def sampled(problem, count=3, seed=0):
    return problem.sample(count, torch.Generator().manual_seed(seed))


def fields(problem, count=3, seed=1, leading=()):
    """Random concentrations between 0.1 and 1.1."""
    shape = (*leading, count, problem.frames, problem.resolution)
    return 0.1 + torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def starts(problem, *heights):
    """Constant initial concentrations."""
    column = torch.tensor(heights, dtype=torch.float64)[:, None, None, None]
    return Batch({"initial": column.expand(-1, 1, problem.frames, problem.resolution)})


def error(u, truth):
    return relative_l2(u, truth).max().item()


@settings(deadline=None, max_examples=25)
@given(rows=st.integers(1, 70), seed=st.integers(0, 1000))
def test_cyclic_reduction_solves_tridiagonal_systems(rows, seed):
    """A x = r for diagonally dominant A of any size, and the first a and the last c are not read."""
    generator = torch.Generator().manual_seed(seed)
    a, c = torch.randn(2, 3, rows, dtype=torch.float64, generator=generator)
    b = a.abs() + c.abs() + 0.1
    matrix = torch.diag_embed(b) + torch.diag_embed(a[:, 1:], -1) + torch.diag_embed(c[:, :-1], 1)
    r = torch.randn(2, 3, rows, dtype=torch.float64, generator=generator)
    expected = torch.linalg.solve(matrix, r[..., None])[..., 0]
    torch.testing.assert_close(Tridiagonal(a, b, c).solve(r), expected, rtol=1e-10, atol=1e-12)


def test_retardation_is_the_derivative_of_what_is_stored():
    """m′ = R, m(0) = 0, above and below zero."""
    u = torch.tensor([-1.0, -1e-7, 0.0, 1e-7, 1e-3, 0.5, 2.0], dtype=torch.float64, requires_grad=True)
    law = DiffusionSorption().law
    (slope,) = torch.autograd.grad(law.stored(u).sum(), u)
    torch.testing.assert_close(slope, law.retardation(u))
    assert law.stored(torch.zeros(())) == 0


def test_reference_takes_the_known_values():
    """u(500) at x = 1/4, 1/2, 3/4, from an independent solution on 2048 cells (right sign, BDF)."""
    problem = DiffusionSorption(resolution=256, frames=11, steps=8)
    last = problem.solve(starts(problem, 0.0, 0.2))["solution"][:, 0, -1]
    for k, known in ((64, (0.498993, 0.601853)), (128, (0.166572, 0.314223)), (192, (0.030874, 0.136683))):
        between = (9 * (last[:, k - 1] + last[:, k]) - last[:, k - 2] - last[:, k + 1]) / 16
        torch.testing.assert_close(between, torch.tensor(known, dtype=torch.float64), rtol=0, atol=2e-6)


def test_reference_agrees_with_scipy_bdf_on_the_same_cells():
    """u' = (D/R(u)) (∂xx u)_h by SciPy's variable-order BDF at tight tolerance."""
    problem = DiffusionSorptionHard(resolution=16, frames=6, refinement=1, steps=60, levels=1)
    inputs = sampled(problem, 1)
    column = problem.column(inputs)

    def slope(t, u):
        u = torch.from_numpy(u)[None]
        flow = column.second_difference(u) - column.exchange * u + column.inflow[:, 1]
        return (column.diffusivity * flow / column.law.retardation(u))[0].numpy()

    times = [100.0 * k for k in range(6)]
    found = solve_ivp(slope, (0, 500), column.initial[0].numpy(), "BDF", times, rtol=1e-10, atol=1e-12)
    expected = torch.from_numpy(found.y.T)[None, None]
    assert error(problem.solve(inputs)["solution"], expected) < 1e-6


def test_reference_has_order_three_in_time():
    """Halved steps, errors divided by 2³, from a jump at the left end."""
    problem = DiffusionSorption(resolution=16, frames=4, refinement=1)
    inputs = starts(problem, 0.1)
    finest = dataclasses.replace(problem, steps=64).solve(inputs)["solution"]
    errors = [error(dataclasses.replace(problem, steps=s).solve(inputs)["solution"], finest) for s in (4, 8, 16)]
    assert min(math.log2(coarse / fine) for coarse, fine in itertools.pairwise(errors)) > 2.7


def test_reference_has_order_two_in_space():
    """Cells divided by three, errors divided by 3²: differences of successive grids."""
    problem = DiffusionSorption(resolution=16, frames=6, steps=3)
    refined = [
        dataclasses.replace(problem, refinement=r).solve(starts(problem, 0.1))["solution"] for r in (1, 3, 9, 27)
    ]
    gaps = [error(coarse, fine) for coarse, fine in itertools.pairwise(refined)]
    assert min(math.log(coarse / fine, 3) for coarse, fine in itertools.pairwise(gaps)) > 1.8


def test_implicit_euler_has_order_one_in_time():
    """Halved intervals, errors divided by 2."""
    problem = DiffusionSorption(resolution=12, frames=5, refinement=1, steps=20)
    finest = problem.solve(starts(problem, 0.1))["solution"]
    errors = []
    for parts in (20, 40, 80):
        finer = dataclasses.replace(problem, frames=4 * parts + 1)
        euler = finer.discrete_solution(starts(finer, 0.1))["solution"]
        errors.append(error(euler[:, :, ::parts], finest))
    assert errors[0] / errors[1] == pytest.approx(2, abs=0.2)
    assert errors[1] / errors[2] == pytest.approx(2, abs=0.2)


@PROBLEMS
def test_implicit_euler_keeps_the_balance_of_the_solute(problem):
    """Σ h (m(u_n) − m(u_{n−1}))/Δt = D [∂x u]₀¹ with ∂x u = (u₀ − g)/(h/2) and −u_n/(h/2 + D) at the ends."""
    inputs = sampled(problem)
    column, u = problem.column(inputs), problem.discrete_solution(inputs)["solution"][:, 0]
    stored = column.law.stored(u).mean(-1)
    gained = stored.diff(dim=1) * (problem.frames - 1) / problem.duration
    D, half = column.diffusivity[:, None], column.width / 2
    flux = D * (-u[..., -1] / (half + D) - (u[..., 0] - column.left) / half)
    torch.testing.assert_close(gained, flux[:, 1:], rtol=1e-9, atol=1e-12)


def test_reference_keeps_the_balance_of_the_solute():
    """d/dt ∫ [φ u + (1 − φ) ρ k u^n] dx = φ D [∂x u]₀¹, integrated by Simpson's rule over late frames."""
    problem = DiffusionSorption(resolution=128, frames=31, refinement=1)
    u = problem.solve(starts(problem, 0.1))["solution"][0, 0, 18:]
    phi, D, h = problem.porosity, problem.diffusivity, 1 / 128
    mass = (phi * u + (1 - phi) * problem.density * problem.coefficient * u**problem.exponent).mean(-1)
    flux = phi * D * (-u[:, -1] / (h / 2 + D) - (u[:, 0] - 1) / (h / 2))
    supplied = 500 / 30 * (flux[:-2] + 4 * flux[1:-1] + flux[2:]) / 3
    torch.testing.assert_close(mass[2:] - mass[:-2], supplied, rtol=1e-4, atol=0)


@PROBLEMS
def test_concentrations_stay_between_their_data(problem):
    """0 ≤ u ≤ 1: implicit Euler of an M-matrix has a maximum principle."""
    u = problem.discrete_solution(sampled(problem, 20))["solution"]
    assert u.min() >= 0
    assert u.max() <= 1


@PROBLEMS
def test_residual_and_correction_vanish_at_the_discrete_solution(problem):
    inputs = sampled(problem)
    u = problem.discrete_solution(inputs)
    assert problem.residual(inputs, u)["solution"].abs().max() < 1e-12
    assert problem.correction(inputs, u)["solution"].abs().max() < 1e-12


@PROBLEMS
def test_carrier_inverts_the_derivative_of_the_rows(problem):
    """Ã⁻¹ (dr/du) e = e at the field itself, for any e, with any leading axes."""
    rows, u = problem.termwise(sampled(problem)), fields(problem)
    e = torch.randn(4, 2, *u.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    linear = (rows.slopes(rows.terms(u)) * rows.terms(e)).sum(-3)
    _, by_autograd = torch.func.jvp(rows.rows, (u,), (e[0, 0],))
    torch.testing.assert_close(linear[0, 0], by_autograd)
    torch.testing.assert_close(rows.carrier(u)(linear), e, rtol=1e-9, atol=1e-10)


@PROBLEMS
def test_correction_is_exact_where_retardation_is_constant(problem):
    """n = 1 makes R constant and the equation linear: u + correction(u) is the discrete solution, whatever u."""
    linear = dataclasses.replace(problem, exponent=1.0)
    inputs, u = sampled(linear), {"solution": fields(linear)[:, None]}
    mended = u["solution"] + linear.correction(inputs, Batch(u))["solution"]
    torch.testing.assert_close(mended, linear.discrete_solution(inputs)["solution"], rtol=1e-10, atol=1e-10)


@PROBLEMS
def test_corrections_converge_quadratically(problem):
    """A correction is a Newton step of all frames at once: ‖e₊‖ ≤ C ‖e‖²."""
    inputs = sampled(problem)
    if problem.name == "diffusion-sorption":
        inputs = starts(problem, 0.1, 0.15, 0.2)  # away from u = 0, where R″ is huge
    truth = problem.discrete_solution(inputs)["solution"]
    shape = fields(problem)[:, None] - 0.6
    errors = []
    for size in (1e-3, 1e-4):
        u = truth * (1 + size * shape)
        errors.append(error(u + problem.correction(inputs, Batch({"solution": u}))["solution"], truth))
    assert errors[0] < 1e-5
    assert errors[1] < 0.02 * errors[0]


@PROBLEMS
def test_slopes_are_the_derivatives_of_the_rows(problem):
    rows = problem.termwise(sampled(problem))
    terms = rows.terms(fields(problem))
    torch.testing.assert_close(rows.slopes(terms), super(type(rows), rows).slopes(terms))


@PROBLEMS
def test_second_slopes_are_the_derivatives_of_the_slopes(problem):
    """∂²G/∂T_j∂T_k above, below and at u = 0, where autograd has both clamps the slope 1."""
    rows = problem.termwise(sampled(problem))
    u = fields(problem) - 0.3
    u[:, 3, 2:5] = 0
    terms = rows.terms(u)
    expected = super(type(rows), rows).second_slopes(terms)
    found = rows.second_slopes(terms)
    assert sum(bool((t != 0).any()) for t in found.values()) == 3
    for pair, values in expected.items():
        torch.testing.assert_close(found.get(pair, torch.zeros_like(values)), values)


@PROBLEMS
def test_rows_are_differentiable_in_fields_and_inputs(problem):
    rows = problem.termwise(sampled(problem, 2))
    u = fields(problem, 2).requires_grad_()
    parameters = [p.clone().requires_grad_() for p in rows.parameters]
    assert torch.autograd.gradcheck(lambda u, *p: rows.combine(rows.terms(u), p), (u, *parameters), fast_mode=True)


@PROBLEMS
def test_terms_are_linear_and_take_leading_axes(problem):
    rows = problem.termwise(sampled(problem))
    u = fields(problem, leading=(5,))
    torch.testing.assert_close(rows.terms(u)[3], rows.terms(u[3]))
    torch.testing.assert_close(rows.terms(2 * u[0] - u[1]), 2 * rows.terms(u[0]) - rows.terms(u[1]))
    carry = rows.carrier(u[0])
    torch.testing.assert_close(carry(u)[3], carry(u[3]))


@PROBLEMS
def test_a_row_is_the_error_of_its_cell_up_to_a_factor(problem):
    """Rows are of order one for errors of order one, in every row."""
    rows = problem.termwise(sampled(problem))
    truth = problem.discrete_solution(sampled(problem))["solution"][:, 0] + 0.2
    for frame, cell in ((0, 3), (2, 0), (2, 5), (4, -1)):
        wrong = truth.clone()
        wrong[:, frame, cell] += 1
        change = (rows.rows(wrong) - rows.rows(truth))[:, frame, cell]
        assert change.min() > 0.5
        assert change.max() < 2


@PROBLEMS
def test_global_rows_are_the_start_and_both_ends(problem):
    rows = problem.termwise(sampled(problem)).global_rows
    assert rows.shape == (problem.frames, problem.resolution)
    assert rows[0].all()
    assert rows[:, 0].all()
    assert rows[:, -1].all()
    assert not rows[1:, 1:-1].any()


@PROBLEMS
def test_offset_is_right_where_the_envelope_vanishes(problem):
    inputs = sampled(problem)
    right = problem.envelope(inputs) == 0
    assert right[:, 0].all()
    assert not right[:, 1:].any()
    torch.testing.assert_close(
        problem.offset(inputs)[right], problem.discrete_solution(inputs)["solution"][:, 0][right]
    )


@pytest.mark.parametrize("levels", [1, 4])
def test_left_response_is_the_solution_of_a_half_line(levels):
    """R = 4, u₀ = 0: until the right end is felt, u = Σ Δg_k erfc(x/(2√(D (t − t_k)/4)))."""
    law = {"exponent": 1.0, "coefficient": 3 / (0.71 / 0.29 * 2880)}
    problem = DiffusionSorptionHard(
        resolution=32, frames=11, refinement=9, duration=50.0, levels=levels, low=4e-4, high=8e-4, **law
    )
    inputs = sampled(problem).merged({"initial": torch.zeros(3, 1, 11, 32, dtype=torch.float64)})
    found = problem.closed_forms(inputs)["erfc_left"][:, None]
    assert error(found[:, :, 1:], problem.solve(inputs)["solution"][:, :, 1:]) < 2e-3


@PROBLEMS
def test_closed_forms_and_coordinates_are_of_order_one(problem):
    inputs = sampled(problem)
    forms = problem.closed_forms(inputs)
    assert list(forms) == ["1", "t", "x", "tx", "xx", "tt", "erfc_left", "erfc_right"]
    for form in (*forms.values(), problem.coordinates(inputs)):
        assert form.shape[-2:] == (problem.frames, problem.resolution)
        assert form.min() >= 0
        assert form.max() <= 1
    assert problem.coordinates(inputs).shape[:2] == (3, 3 + len(problem.inputs))


@pytest.mark.filterwarnings("ignore:.* is ill-posed")
def test_both_signs_agree_on_coarse_cells_where_nothing_has_arrived():
    """u(0) = 0: the ends' conditions differ by 1e-4 or less of u while h > 2D."""
    problem = DiffusionSorption(resolution=32, frames=11)
    inputs = starts(problem, 0.0)
    printed = dataclasses.replace(problem, right_sign="printed")
    assert error(printed.discrete_solution(inputs)["solution"], problem.discrete_solution(inputs)["solution"]) < 1e-4


@PROBLEMS
def test_precision_of_the_inputs_is_kept(problem):
    inputs = sampled(problem, 2)
    single = inputs.to(dtype=torch.float32)
    for verb in (problem.solve, problem.discrete_solution):
        assert verb(single)["solution"].dtype == torch.float32
        torch.testing.assert_close(verb(single)["solution"].double(), verb(inputs)["solution"], rtol=1e-5, atol=1e-5)
        assert verb(inputs.rows(slice(0, 0)))["solution"].shape == (0, 1, problem.frames, problem.resolution)
    assert problem.residual(single, problem.solve(single))["solution"].dtype == torch.float32
    assert problem.correction(single, problem.solve(single))["solution"].dtype == torch.float32


@PROBLEMS
def test_a_batch_of_no_samples_has_no_rows(problem):
    empty = Batch({name: values[:0] for name, values in sampled(problem).items()})
    rows = problem.termwise(empty)
    assert rows.rows(problem.offset(empty)).shape == (0, *rows.shape)
    assert rows.correction(problem.offset(empty)).shape == (0, *rows.shape)
