"""root and least_squares: solutions, rates of convergence, statuses, invariances, errors."""

import math

import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nonlinear_cases import (
    DOUBLE,
    TIMES,
    coupled,
    coupled_parameters,
    decay,
    decay_data,
    double,
    powell,
    rosenbrock,
)
from solver_cases import normal

from solvers import (
    CG,
    GMRES,
    DenseLU,
    DTypeError,
    NonFinite,
    NotConverged,
    ShapeError,
    Singular,
    Status,
    finite_volume_operator,
    linear_solve,
    poisson_operator,
)
from solvers.fast_poisson import FastPoisson
from solvers.nonlinear import FullStep, GaussNewton, LevenbergMarquardt, Newton, least_squares, root

LEAST_SQUARES = [LevenbergMarquardt(), GaussNewton()]


def name(value):
    return type(value).__name__


def test_roots_are_those_that_are_known():
    """√a, and Kepler's E − e sin E = M, each system from the same start."""
    a = double([0.25], [2.0], [1e6])
    torch.testing.assert_close(root(lambda x: x**2 - a, torch.ones_like(a)).value, a.sqrt(), rtol=1e-14, atol=0)
    e, M = torch.meshgrid(
        torch.linspace(0, 0.99, 7, dtype=DOUBLE), torch.linspace(0.1, 3.1, 9, dtype=DOUBLE), indexing="ij"
    )
    found = root(lambda E: E - e[..., None] * torch.sin(E) - M[..., None], torch.full((7, 9, 1), math.pi, dtype=DOUBLE))
    expected = [
        scipy.optimize.brentq(lambda E, e=e, M=M: E - e * math.sin(E) - M, 0, 4, xtol=1e-14)
        for e, M in zip(e.ravel().tolist(), M.ravel().tolist(), strict=True)
    ]
    torch.testing.assert_close(found.value.ravel(), double(*expected), rtol=1e-12, atol=1e-12)


def test_coupled_systems_are_solved_as_by_scipy():
    a, b = coupled_parameters(4)
    found = root(coupled, torch.zeros(4, 3, dtype=DOUBLE), (a, b))
    for i in range(4):

        def f(x, i=i):
            return coupled(torch.from_numpy(x), a[i], b[i]).numpy()

        expected = scipy.optimize.root(f, np.zeros(3), tol=1e-13)
        assert expected.success
        torch.testing.assert_close(found.value[i], torch.from_numpy(expected.x), rtol=1e-10, atol=1e-11)
    torch.testing.assert_close(found.stats.residual_norm, coupled(found.value, a, b).norm(dim=-1), rtol=0, atol=0)


@pytest.mark.parametrize("method", [Newton(line_search=FullStep()), Newton()], ids=["full step", "backtracking"])
def test_newton_converges_quadratically(method):
    """e_{k+1} ≤ C e_k², with C = max |f''/2f'| for x − cos x and a coupled system."""
    a, b = coupled_parameters(3)
    exact = root(coupled, torch.zeros(3, 3, dtype=DOUBLE), (a, b), Newton(rtol=1e-12)).value
    errors = []
    for k in range(6):
        limited = Newton(max_iterations=k, line_search=method.line_search)
        x = root(coupled, torch.zeros(3, 3, dtype=DOUBLE), (a, b), limited, throw=False).value
        errors.append((x - exact).norm(dim=-1))
    e = torch.stack(errors)
    constants = (e[1:] / e[:-1] ** 2)[e[1:] > 1e-14]
    assert (e[-1] < 1e-14).all()
    assert len(constants) >= 6
    assert constants.max() < 1.5
    # ... and not linearly: the quotient of errors itself goes to zero.
    assert (e[3] / e[2] < 1e-2).all()


def test_linear_systems_take_one_step_and_one_to_see_it():
    A = normal(3, 5, 5) + 5 * torch.eye(5, dtype=DOUBLE)
    b = normal(3, 5, seed=1)
    found = root(lambda x: (A @ x[..., None])[..., 0] - b, torch.zeros(3, 5, dtype=DOUBLE))
    torch.testing.assert_close(found.value, torch.linalg.solve(A, b), rtol=1e-12, atol=1e-13)
    assert (found.stats.iterations <= 2).all()


def test_backtracking_saves_what_full_steps_lose():
    """arctan x = 0 from 3: Newton's full steps diverge, shortened ones converge."""
    start = double([3.0], [-20.0])
    assert root(torch.atan, start).value.abs().max() < 1e-12
    assert not root(torch.atan, start, solver=Newton(line_search=FullStep()), throw=False).converged.any()


def test_the_guess_does_not_loosen_the_tolerance():
    """e^x = 2 from x = 50, where the residual is 5e21: a tolerance relative to that would stop at once."""
    found = root(lambda x: torch.exp(x) - 2, double([50.0], [1.0]), solver=Newton(max_iterations=100))
    torch.testing.assert_close(found.value, double([math.log(2)], [math.log(2)]), rtol=1e-13, atol=0)


def test_a_root_at_zero_is_found_to_relative_accuracy():
    """x + x² = 0 near 0: the relative step never shrinks below 1 against x alone."""
    found = root(lambda x: x + x**2, double([0.3], [0.0], [1e-40]))
    assert found.converged.all()
    assert found.value.abs().max() < 1e-15
    assert (found.stats.iterations <= 9).all()


def test_each_system_of_a_root_has_its_own_status():
    """NaN in x0, f NaN at x0, |x| + 1, a constant, a double root, healthy: side by side."""
    x0 = double(math.nan, -1.0, 0.6, 1.0, 1.0, 1.0)[:, None]
    root_of, kink, square, constant = double(
        [0.0, 1.0, 0.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 1.0, 0.0, 0.0, 0.0],
        [1.0, 0.0, 0.0, 0.0, 1.0, 1.0],
        [-2.0, -2.0, 1.0, 1.0, 0.0, -2.0],
    )[..., None]

    def f(x):
        return root_of * x.sqrt() + kink * x.abs() + square * x**2 + constant

    found = root(f, x0, solver=Newton(max_iterations=100), throw=False)
    expected = [Status.NONFINITE_INPUT] * 2
    expected += [Status.STAGNATION, Status.SINGULAR, Status.MAX_ITERATIONS, Status.CONVERGED]
    assert found.status.tolist() == expected
    assert found.value[:2].isnan().all()
    assert found.value[2:].isfinite().all()
    alone = root(lambda x: x**2 - 2, double([1.0]))
    torch.testing.assert_close(found.value[5], alone.value[0], rtol=0, atol=0)
    assert found.stats.iterations[5] == alone.stats.iterations[0]
    assert found.stats.iterations[:2].sum() == 0


def test_a_function_that_overflows_ends_its_own_system_only():
    found = root(
        lambda x: torch.where(x < 1.5, x - 2, torch.inf),
        double([0.0]),
        solver=Newton(line_search=FullStep()),
        throw=False,
    )
    assert found.status.tolist() == [Status.NONFINITE_ITERATE]
    assert found.value.isfinite().all()


def test_each_system_of_a_fit_has_its_own_status():
    """NaN in the data, NaN in x0, too few steps, healthy; the healthy one is bitwise what it is without the others."""
    data = decay_data(4)
    data[0, 3] = math.nan
    x0 = double([1.0, 1.0, 0.0]).repeat(4, 1)
    x0[1, 0] = math.nan
    x0[2] = double(1.0, 15.0, 0.0)
    found = least_squares(decay, x0, (data,), LevenbergMarquardt(max_iterations=9, polish=0), throw=False)
    expected = [Status.NONFINITE_INPUT, Status.NONFINITE_INPUT, Status.MAX_ITERATIONS, Status.CONVERGED]
    assert found.status.tolist() == expected
    assert found.value[:2].isnan().all()
    healthy = least_squares(decay, double([1.0, 1.0, 0.0]).repeat(4, 1), (data[3].repeat(4, 1),))
    torch.testing.assert_close(found.value[3], healthy.value[3], rtol=1e-6, atol=0)


def test_gauss_newton_says_that_columns_depend_on_each_other():
    def r(x):
        return torch.stack([x.sum(-1) - 1, x.sum(-1) ** 2, x.sum(-1)], -1)

    x0 = double([0.3, 0.1])
    assert least_squares(r, x0, solver=GaussNewton(), throw=False).status.tolist() == [Status.SINGULAR]
    damped = least_squares(r, x0)
    assert damped.converged.all()
    assert damped.stats.condition.isinf().all()


FITS = {
    "Rosenbrock": (rosenbrock, double([-1.2, 1.0], [0.0, 0.0], [3.0, -4.0]), 1e-8),
    # J loses rank at the solution 0, where both stop by the angle between r and the columns.
    "Powell": (powell, double([3.0, -1.0, 0.0, 1.0], [1.0, 1.0, 1.0, -1.0]), 1e-3),
    "exponential": (lambda x: decay(x, decay_data(noise=0.2)), double([1.0, 1.0, 0.0], [4.0, 0.2, -1.0]), 1e-7),
    "exact data": (lambda x: decay(x, decay_data(noise=0.0)), double([1.0, 1.0, 0.0], [4.0, 0.2, -1.0]), 1e-9),
}


@pytest.mark.parametrize("case", FITS)
def test_fits_are_those_of_scipy(case):
    r, starts, rtol = FITS[case]
    found = least_squares(r, starts)
    for x0, value, norm in zip(starts, found.value, found.stats.residual_norm, strict=True):
        theirs = scipy.optimize.least_squares(
            lambda x: r(torch.from_numpy(x)).numpy(), x0.numpy(), method="lm", xtol=1e-14, ftol=1e-14, gtol=1e-14
        )
        torch.testing.assert_close(value, torch.from_numpy(theirs.x), rtol=rtol, atol=rtol)
        assert norm <= (1 + 1e-12) * math.sqrt(2 * theirs.cost) + 1e-14


@pytest.mark.parametrize("solver", LEAST_SQUARES, ids=name)
def test_linear_least_squares_are_those_of_lapack(solver):
    """argmin ‖A x − b‖, in float32 too, where normal equations would lose half of the digits."""
    for dtype, rtol in ((DOUBLE, 1e-12), (torch.float32, 2e-4)):
        A = normal(3, 20, 6, dtype=dtype) * torch.logspace(-3, 3, 6, dtype=dtype)
        A[..., 1] = A[..., 0] * 1e-1 + 1e-3 * A[..., 1]  # nearly dependent: κ ≈ 1e3 after scaling
        b = normal(3, 20, seed=1, dtype=dtype)
        found = least_squares(
            lambda x, A=A, b=b: (A @ x[..., None])[..., 0] - b, torch.zeros(3, 6, dtype=dtype), solver=solver
        )
        expected = torch.linalg.lstsq(A.double(), b.double()[..., None]).solution[..., 0].to(dtype)
        torch.testing.assert_close(found.value, expected, rtol=rtol, atol=0)
        assert (found.stats.cosine <= 1e-4).all()


def test_polishing_removes_the_error_that_rounding_leaves():
    """max |⟨Jⱼ, r⟩| / (‖Jⱼ‖ ‖r‖) falls to rounding; the residual does not rise."""
    data, x0 = decay_data(16, noise=0.3), double([1.0, 1.0, 0.0]).repeat(16, 1)
    rough = least_squares(decay, x0, (data,), LevenbergMarquardt(polish=0))
    fine = least_squares(decay, x0, (data,), LevenbergMarquardt(polish=2))
    assert rough.stats.cosine.max() > 1e-11
    assert fine.stats.cosine.max() < 1e-13
    assert (fine.stats.residual_norm <= rough.stats.residual_norm * (1 + 1e-14)).all()


def test_the_residual_never_rises():
    data, x0 = decay_data(8, noise=0.3), normal(8, 3, seed=2)
    norms = []
    for k in range(25):
        limited = LevenbergMarquardt(max_iterations=k, polish=0)
        norms.append(least_squares(decay, x0, (data,), limited, throw=False).stats.residual_norm)
    steps = torch.stack(norms)
    assert (steps[1:] <= steps[:-1] * (1 + 1e-14)).all()
    assert (steps[-1] < steps[0]).all()


@settings(max_examples=15, deadline=None)
@given(exponent=st.integers(-18, 18), unit=st.integers(-8, 8), dtype=st.sampled_from([torch.float32, torch.float64]))
def test_units_change_nothing(exponent, unit, dtype):
    """s r(D⁻¹ x) has the minimum D x and takes the same steps; s f has the same root."""
    s, D = 10.0**exponent, 10.0 ** torch.tensor([unit, -unit / 2, 0.0], dtype=dtype)
    data, x0 = decay_data().to(dtype), torch.tensor([1.0, 1.0, 0.0], dtype=dtype)
    times = TIMES.to(dtype)
    plain = least_squares(lambda x: decay(x, data, times), x0)
    scaled = least_squares(lambda x: s * decay(x / D, data, times), D * x0)
    torch.testing.assert_close(scaled.value / D, plain.value, rtol=10 * torch.finfo(dtype).eps ** 0.5, atol=0)
    assert abs(int(scaled.stats.iterations) - int(plain.stats.iterations)) <= 2
    a, b = (p.to(dtype) for p in coupled_parameters())
    one = root(coupled, torch.zeros(3, dtype=dtype), (a, b))
    other = root(lambda x: s * coupled(x / D, a, b), torch.zeros(3, dtype=dtype))
    torch.testing.assert_close(
        other.value / D, one.value, rtol=100 * torch.finfo(dtype).eps, atol=1e-6 * torch.finfo(dtype).eps ** 0.5
    )


@pytest.mark.parametrize("solver", [Newton(), *LEAST_SQUARES], ids=name)
def test_a_batch_element_is_solved_as_if_alone_and_order_does_not_matter(solver):
    if isinstance(solver, Newton):
        parameters, x0 = coupled_parameters(6), normal(6, 3, seed=7)
        solve = lambda x0, *p: root(coupled, x0, p, solver)  # noqa: E731
    else:
        parameters, x0 = (decay_data(6),), double(2.0, 1.0, 0.3) + 0.2 * normal(6, 3, seed=7)
        solve = lambda x0, *p: least_squares(decay, x0, p, solver)  # noqa: E731
    together = solve(x0, *parameters)
    shuffle = torch.tensor([3, 1, 5, 0, 2, 4])
    shuffled = solve(x0[shuffle], *(p[shuffle] for p in parameters))
    torch.testing.assert_close(shuffled.value, together.value[shuffle], rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(shuffled.stats.iterations, together.stats.iterations[shuffle])
    for i in range(6):
        alone = solve(x0[i], *(p[i] for p in parameters))
        torch.testing.assert_close(alone.value, together.value[i], rtol=1e-11, atol=1e-12)
        assert abs(int(alone.stats.iterations) - int(together.stats.iterations[i])) <= 1


def test_sizes_without_systems_or_unknowns():
    for shape in ((0, 3), (2, 0), (2, 0, 3)):
        x0 = torch.zeros(shape, dtype=DOUBLE)
        theta = torch.ones(shape[-1], dtype=DOUBLE, requires_grad=True)
        for found in (root(lambda x, p: x - p, x0, (theta,)), least_squares(lambda x, p: x - p, x0, (theta,))):
            assert found.value.shape == shape
            assert found.converged.all()
            found.value.sum().backward()
    assert theta.grad.tolist() == [0.0, 0.0, 0.0]


def cubic_residual(u, f):
    """−u'' + u³ − f on a uniform grid of (0, 1), u = 0 at both ends."""
    n = u.shape[-1]
    outside = torch.nn.functional.pad(u, (1, 1))
    return (2 * u - outside[..., 2:] - outside[..., :-2]) * (n + 1) ** 2 + u**3 - f


def test_a_nonlinear_boundary_value_problem_is_solved_matrix_free_with_order_two():
    """−u'' + u³ = f with u = c sin πx: the error falls fourfold per refinement, and no matrix is formed."""
    c, errors = double([1.0], [4.0]), []
    for n in (127, 255, 511, 1023):
        x = torch.arange(1, n + 1, dtype=DOUBLE) / (n + 1)
        exact = c * torch.sin(math.pi * x)
        f = math.pi**2 * exact + exact**3
        newton = Newton(
            linear_solver=GMRES(rtol=1e-4), preconditioner=FastPoisson(model=poisson_operator((n,), "vertex"))
        )
        found = root(cubic_residual, torch.zeros(2, n, dtype=DOUBLE), (f,), newton)
        assert (found.stats.iterations <= 10).all()
        errors.append((found.value - exact).abs().amax(-1))
    e = torch.stack(errors)
    assert ((e[:-1] / e[1:] - 4).abs() < 0.02).all(), e


def test_many_unknowns_need_no_choice():
    """Above 512 unknowns Newton is matrix-free by itself; the answer is that of the dense method."""
    A = torch.diag_embed(torch.linspace(1, 2, 600, dtype=DOUBLE)) + 0.1 * normal(600, 600) / 25
    b = normal(600, seed=1)
    matrix_free = root(lambda x: A @ x + torch.tanh(x) - b, torch.zeros(600, dtype=DOUBLE))
    dense = root(
        lambda x: A @ x + torch.tanh(x) - b, torch.zeros(600, dtype=DOUBLE), solver=Newton(linear_solver=DenseLU())
    )
    torch.testing.assert_close(matrix_free.value, dense.value, rtol=0, atol=1e-11)


def test_a_function_may_contain_solves():
    """log a from x = A(a)⁻¹ 1: a solve cannot be vectorised, and is differentiated row by row."""

    def r(log_a, data):
        A = finite_volume_operator(log_a.exp().reshape(*log_a.shape[:-1], 2, 4), (0.25, 0.25))
        return linear_solve(A, torch.ones(8, dtype=DOUBLE), CG(rtol=1e-13)).value - data

    truth = 0.3 * normal(2, 8)
    data = r(truth, 0.0)
    found = least_squares(r, torch.zeros(2, 8, dtype=DOUBLE), (data,), LevenbergMarquardt(polish=0))
    torch.testing.assert_close(found.value, truth, rtol=0, atol=1e-7)


FAILURES = {
    "limit": (NotConverged, "Raise max_iterations", lambda: root(square(2.0), ones(), solver=Newton(max_iterations=2))),
    "no root": (NotConverged, "change x0", lambda: root(lambda x: x.abs() + double([-2.0], [1.0]), 0.6 * ones())),
    "flat": (Singular, "Change x0", lambda: root(lambda x: x * double([1.0], [0.0]) - 3, ones())),
    "NaN": (NonFinite, "isfinite", lambda: root(square(math.nan), ones())),
    "fit": (NonFinite, "isfinite", lambda: least_squares(square(math.nan), ones())),
}


def ones():
    return torch.ones(2, 1, dtype=DOUBLE)


def square(a):
    """x² = (1, a)."""
    return lambda x: x**2 - double([1.0], [a])


@pytest.mark.parametrize("case", FAILURES)
def test_failure_names_the_system_and_a_remedy(case):
    error, remedy, call = FAILURES[case]
    with pytest.raises(error, match=f"system 1 of 2: .*{remedy}") as caught:
        call()
    assert caught.value.batch_indices == (1,)


BAD_INPUTS = {
    "scalar start": (ShapeError, r"\(\*batch, n\)", lambda: root(torch.sin, double(1.0)[0])),
    "result": (ShapeError, r"returned shape \(2,\) for x0 \(2, 1\)", lambda: root(lambda x: x[..., 0], ones())),
    "more equations": (ShapeError, "use least_squares", lambda: root(lambda x: x.expand(2, 3), ones())),
    "batch": (ShapeError, "expand x0", lambda: least_squares(lambda x: x + ones(), ones()[0])),
    "dtype of the result": (DTypeError, "float64 for x0 of torch.float32", lambda: root(square(2.0), ones().float())),
    "dtype of x0": (DTypeError, "int64", lambda: root(torch.sin, ones().long())),
    "complex": (DTypeError, "real and imaginary", lambda: root(torch.sin, ones().cfloat())),
    "parameters": (TypeError, "tuple", lambda: root(lambda x, p: x - p, ones(), ones())),
    "integer parameter": (DTypeError, "parameter 0", lambda: root(lambda x, p: x - p, ones(), (ones().long(),))),
    "no tensor": (TypeError, "returned float", lambda: root(lambda x: 1.0, ones())),
    "closure": (ValueError, "parameters=", lambda: root(ones().requires_grad_().__rsub__, ones())),
    "rtol": (ValueError, "float32", lambda: root(torch.sin, ones().float(), solver=Newton(rtol=1e-9))),
    "adjoint": (ValueError, "'gauss_newton'", lambda: least_squares(square(2.0), ones(), adjoint="gauss")),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_input_is_named(case):
    error, words, call = BAD_INPUTS[case]
    with pytest.raises(error, match=words):
        call()
