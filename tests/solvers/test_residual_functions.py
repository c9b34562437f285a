"""least_squares with rows that bring their own derivatives, and the two factorisations."""

from __future__ import annotations

import pytest
import torch
from nonlinear_cases import DOUBLE, TIMES, decay, decay_data, double, rosenbrock

from solvers import DTypeError, SolveError
from solvers.nonlinear import LevenbergMarquardt, NormalEquations, Orthogonal, ResidualFunction, least_squares

FACTORISATIONS = pytest.mark.parametrize(
    "factorisation", [Orthogonal(), NormalEquations()], ids=lambda f: type(f).__name__
)


class Decay(ResidualFunction):
    """x₀ e^(−x₁ t) + x₂ − data with derivatives by hand; counts the calls of its Jacobian."""

    def __init__(self):
        self.jacobians = 0

    def __call__(self, x, data):
        return decay(x, data)

    def jacobian(self, x, data):
        self.jacobians += 1
        e = torch.exp(-x[..., 1:2] * TIMES)
        return torch.stack([e, -x[..., :1] * TIMES * e, torch.ones_like(e)], -1)

    def curvature(self, x, data):
        r, e = self(x, data), torch.exp(-x[..., 1:2] * TIMES)
        mixed, pure = (-r * TIMES * e).sum(-1), (r * x[..., :1] * TIMES**2 * e).sum(-1)
        zero = torch.zeros_like(mixed)
        rows = [[zero, mixed, zero], [mixed, pure, zero], [zero, zero, zero]]
        return torch.stack([torch.stack(row, -1) for row in rows], -2)

    def pullback(self, q, x, parameters, wanted):
        return (-(self.jacobian(x, *parameters) @ q.unsqueeze(-1)).squeeze(-1),)


@FACTORISATIONS
def test_own_derivatives_give_the_fit_and_the_gradient_of_automatic_ones(factorisation):
    """x* and ∂⟨c, x*⟩/∂data do not depend on who differentiates r."""
    c, x0 = double(0.3, -1.0, 0.7), double(2.0, 1.0, 0.5).expand(4, 3)
    results = []
    for r in (Decay(), decay):
        data = decay_data(4).requires_grad_()
        fit = least_squares(r, x0, (data,), LevenbergMarquardt(rtol=1e-12, factorisation=factorisation))
        (fit.value @ c).sum().backward()
        results.append((fit.value.detach(), data.grad))
    for own, automatic in zip(*results, strict=True):
        torch.testing.assert_close(own, automatic, rtol=1e-8, atol=1e-10)


def test_own_jacobian_is_the_only_derivative_that_is_taken():
    """The count of the statistics is the count of calls, polishing aside."""
    r = Decay()
    fit = least_squares(r, double(2.0, 1.0, 0.5), (decay_data(),), LevenbergMarquardt(polish=0))
    assert r.jacobians == fit.stats.jacobians


def test_gauss_newtons_adjoint_differs_where_rows_do_not_vanish():
    """JᵀJ ≠ H where r ≠ 0, = H where r = 0."""
    x0, gaps = double(2.0, 1.0, 0.5), []
    for noise in (0.3, 0.0):
        gradients = []
        for adjoint in ("exact", "gauss_newton"):
            data = decay_data(noise=noise).requires_grad_()
            least_squares(Decay(), x0, (data,), adjoint=adjoint).value.sum().backward()
            gradients.append(data.grad)
        gaps.append(float((gradients[0] - gradients[1]).norm() / gradients[0].norm()))
    assert gaps[0] > 1e-3
    assert gaps[1] < 1e-6


def test_second_derivatives_of_closed_forms_are_refused():
    data = decay_data().requires_grad_()
    x = least_squares(Decay(), double(2.0, 1.0, 0.5), (data,)).value
    with pytest.raises(SolveError, match="write the rows as a plain function"):
        torch.autograd.grad(x.sum(), data, create_graph=True)


def test_normal_equations_find_the_minimum_of_orthogonal_factors():
    """The minimum of Rosenbrock's rows, (1, 1), from three starts."""
    x0 = double([-1.2, 1.0], [3.0, -2.0], [0.0, 0.0])
    x = least_squares(rosenbrock, x0, solver=LevenbergMarquardt(factorisation=NormalEquations())).value
    torch.testing.assert_close(x, torch.ones(3, 2, dtype=DOUBLE), rtol=0, atol=1e-8)


def test_normal_equations_refuse_single_precision():
    with pytest.raises(DTypeError, match="use Orthogonal"):
        least_squares(rosenbrock, torch.zeros(2), solver=LevenbergMarquardt(factorisation=NormalEquations()))


def test_normal_equations_report_the_condition_of_orthogonal_factors():
    """σ_max / σ_min of the scaled J, to κ² ε."""
    conditions = [
        least_squares(
            Decay(), double(2.0, 1.0, 0.5), (decay_data(),), LevenbergMarquardt(factorisation=f)
        ).stats.condition
        for f in (Orthogonal(), NormalEquations())
    ]
    torch.testing.assert_close(*conditions, rtol=1e-6, atol=0)


def test_dependent_columns_are_left_where_they_are_by_normal_equations():
    """r = x₀ + x₁ − 3: the shortest step from 0, and an infinite condition."""
    fit = least_squares(
        lambda x: (x.sum(-1, keepdim=True) - 3).expand(*x.shape[:-1], 4),
        torch.zeros(2, dtype=DOUBLE),
        solver=LevenbergMarquardt(factorisation=NormalEquations()),
    )
    torch.testing.assert_close(fit.value, double(1.5, 1.5), rtol=1e-8, atol=0)
    assert fit.stats.condition.isinf()


def test_newton_steps_end_a_slowly_convergent_fit():
    """Far data: Gauss–Newton gains a constant factor a step, the exact Hessian squares what is left.

    Without Newton steps a cosine below √eps = 1.5e-8 is lost in the rounding of ‖r‖: both are asked for 1e-7.
    """
    t = torch.linspace(0, 1, 9, dtype=torch.float64)

    class Curved(ResidualFunction):
        """x, x² and data far from both."""

        def __call__(self, x):
            return x + 0.5 * x**2 * t - 3 * torch.cos(5 * t)

        def jacobian(self, x):
            return (1 + x * t).unsqueeze(-1)

        def curvature(self, x):
            return (self(x) * t).sum(-1, keepdim=True).unsqueeze(-1)

        def pullback(self, q, x, parameters, wanted):
            return ()

    x0 = torch.zeros(1, dtype=torch.float64)
    steps = {}
    for polish in (0, 2):
        solver = LevenbergMarquardt(rtol=1e-7, polish=polish, factorisation=NormalEquations())
        found = least_squares(Curved(), x0, solver=solver)
        steps[polish] = int(found.stats.iterations)
        J, r = Curved().jacobian(found.value), Curved()(found.value)
        assert float((J.mT @ r).abs() / (J.norm() * r.norm())) <= 1e-7
    assert steps[2] < steps[0]
