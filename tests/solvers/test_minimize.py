"""Convex minimisation: Newton's method with conjugate gradients, and its derivative."""

import pytest
import torch
from nonlinear_cases import double
from solver_cases import normal
from torch import Tensor

from solvers import Status
from solvers.errors import NonFinite, NotConverged, ShapeError, ToleranceError
from solvers.nonlinear import NewtonCG, Objective, minimize

DOUBLE = torch.float64


def spd(*batch: int, n: int) -> Tensor:
    M = normal(*batch, n, n, seed=1)
    return M @ M.mT / n + 0.1 * torch.eye(n, dtype=DOUBLE)


def quadratic(x: Tensor, A: Tensor, b: Tensor) -> Tensor:
    return ((A @ x.unsqueeze(-1)).squeeze(-1) * x).sum(-1) / 2 - (b * x).sum(-1)


def log_cosh(x: Tensor, w: Tensor) -> Tensor:
    """Convex with a Hessian that nearly vanishes far from the minimum w."""
    return (torch.logaddexp(x - w, w - x)).sum(-1)


def test_the_minimum_of_a_quadratic_function_solves_the_linear_system():
    A, b = spd(3, n=12), normal(3, 12, seed=2)
    found = minimize(quadratic, torch.zeros_like(b), (A, b))
    torch.testing.assert_close(found.value, torch.linalg.solve(A, b), rtol=1e-7, atol=1e-9)
    assert found.stats.products.min() > 0


@pytest.mark.parametrize("distance", [0.1, 3.0, 30.0])
def test_far_starts_converge_although_full_newton_steps_diverge(distance):
    """Newton's full steps for log cosh leave from |x − w| > 1.09."""
    w = normal(4, 5, seed=3)
    found = minimize(log_cosh, w + distance, (w,), NewtonCG(atol=1e-10))
    torch.testing.assert_close(found.value, w, rtol=0, atol=1e-9)


def test_the_solution_does_not_depend_on_the_batch():
    """Every system has a tolerance of its own, so that neighbours do not change it."""
    w = normal(6, 4, seed=4)
    together = minimize(log_cosh, w + torch.arange(6.0)[:, None], (w,), NewtonCG(atol=1e-12)).value
    for i in range(6):
        alone = minimize(log_cosh, w[i] + float(i), (w[i],), NewtonCG(atol=1e-12)).value
        torch.testing.assert_close(together[i], alone, rtol=0, atol=1e-11)


def test_units_of_the_function_do_not_change_the_iterates():
    w = normal(2, 4, seed=5)
    one = minimize(log_cosh, w + 2, (w,)).value
    many = minimize(lambda x, w: 1e6 * log_cosh(x, w), w + 2, (w,)).value
    torch.testing.assert_close(one, many, rtol=0, atol=1e-12)


def test_the_derivative_is_that_of_the_implicit_function():
    A, b = spd(n=3), normal(3, seed=2)

    def soft(x: Tensor, A: Tensor, b: Tensor) -> Tensor:
        return quadratic(x, A, b) + log_cosh(x, b)

    def solution(A: Tensor, b: Tensor) -> Tensor:
        return minimize(soft, torch.zeros_like(b), ((A + A.mT) / 2, b), NewtonCG(atol=1e-12)).value

    inputs = (A.requires_grad_(), b.requires_grad_())
    assert torch.autograd.gradcheck(solution, inputs, atol=1e-6)
    assert torch.autograd.gradgradcheck(lambda b: solution(A.detach(), b), inputs[1:], atol=1e-5)


def test_a_gradient_in_closed_form_gives_the_same():
    class Closed(Objective):
        def value_and_gradient(self, x, *parameters):
            return log_cosh(x, *parameters), self.gradient(x, *parameters)

        def gradient(self, x, *parameters):
            return torch.tanh(x - parameters[0])

    w = normal(3, 4, seed=6).requires_grad_()
    found = [minimize(f, w.detach() + 1, (w,), NewtonCG(atol=1e-11)).value for f in (Closed(), log_cosh)]
    torch.testing.assert_close(*found, rtol=0, atol=1e-9)
    (slope,) = torch.autograd.grad(found[0].sum(), w)
    torch.testing.assert_close(slope, torch.ones_like(w), rtol=0, atol=1e-9)


def test_damping_keeps_functions_without_strong_convexity_solvable():
    """x⁴ has no curvature at its minimum; the gradient falls nevertheless."""
    found = minimize(lambda x: (x**4).sum(-1), double([1.0, -2.0]), (), NewtonCG(atol=1e-9, damping=1e-3))
    assert found.stats.residual_norm.max() <= 1e-9


def test_a_function_that_falls_for_ever_ends_with_a_status():
    found = minimize(
        lambda x: torch.exp(-x).sum(-1), double([0.0], [1.0]), (), NewtonCG(max_iterations=20), throw=False
    )
    assert not found.converged.any()
    with pytest.raises(NotConverged, match="system 0 of 2"):
        found.raise_if_failed()


def test_systems_with_bad_starts_leave_the_others_alone():
    w = torch.zeros(3, 2, dtype=DOUBLE)
    start = double([1.0, 1.0], [torch.nan, 1.0], [2.0, 1.0])
    found = minimize(log_cosh, start, (w,), NewtonCG(atol=1e-10), throw=False)
    assert found.status.tolist() == [Status.CONVERGED, Status.NONFINITE_INPUT, Status.CONVERGED]
    assert found.value[1].isnan().all()
    with pytest.raises(NonFinite):
        minimize(log_cosh, start, (w,))


def test_wrong_values_are_named():
    with pytest.raises(ShapeError, match=r"expected one number a system, \(3,\)"):
        minimize(lambda x: x.sum(), torch.zeros(3, 2, dtype=DOUBLE))
    with pytest.raises(ToleranceError, match="damping"):
        NewtonCG(damping=-1.0)
    with pytest.raises(ToleranceError, match="rtol"):
        minimize(lambda x: x.square().sum(-1), torch.zeros(3, 2), (), NewtonCG(rtol=1e-12))


def test_single_precision_stays_single():
    w = normal(2, 4, seed=5).float()
    found = minimize(log_cosh, w + 1, (w,))
    assert found.value.dtype == torch.float32
    torch.testing.assert_close(found.value, w, rtol=0, atol=1e-4)
