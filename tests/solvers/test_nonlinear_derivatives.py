"""root and least_squares: derivatives by the implicit function theorem, and the Jacobian as an operator."""

import gc
import math

import pytest
import torch
from nonlinear_cases import DOUBLE, coupled, coupled_parameters, decay, double
from solver_cases import normal

from solvers import GMRES, DenseLU, Singular, SolveError, linear_solve, poisson_operator
from solvers.fast_poisson import FastPoisson
from solvers.nonlinear import GaussNewton, JacobianOperator, LevenbergMarquardt, Newton, least_squares, root

TIGHT = Newton(rtol=1e-12)


def variable(x):
    return x.detach().clone().requires_grad_()


def coupled_root(a, b):
    return root(coupled, torch.zeros(*a.shape[:-1], 3, dtype=DOUBLE), (a, b), TIGHT).value


SHORT = torch.linspace(0, 2, 6, dtype=DOUBLE)
START = double(2.0, 1.0, 0.3)


def curve(x, data, weight):
    """Six weighted points of a decay; `weight` is shared by the batch."""
    return weight * decay(x, data, SHORT)


def curve_fit(data, weight, adjoint="exact", solver=None):
    x0 = START.expand(*data.shape[:-1], 3)
    return least_squares(curve, x0, (data, weight), solver, adjoint=adjoint).value


def curve_data(*batch, noise):
    return decay(START + 0.1 * normal(*batch, 3, seed=8), double(0.0), SHORT) + noise * normal(*batch, 6, seed=9)


@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_roots_are_twice_differentiable_both_ways(batch):
    """dx = −f_x⁻¹ f_θ dθ, backward, forward, and both again."""
    inputs = [variable(p) for p in coupled_parameters(*batch)]
    assert torch.autograd.gradcheck(coupled_root, inputs, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(coupled_root, inputs, check_fwd_over_rev=True)


def test_fits_are_twice_differentiable_both_ways():
    """Jᵀr = 0 differentiated with the exact Hessian, r ≠ 0."""
    inputs = [variable(curve_data(2, noise=0.2)), variable(1 + 0.2 * normal(6, seed=1))]
    assert torch.autograd.gradcheck(curve_fit, inputs, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(curve_fit, inputs, check_fwd_over_rev=True)


@pytest.mark.parametrize("solver", [LevenbergMarquardt(), GaussNewton()], ids=lambda s: type(s).__name__)
def test_gauss_newtons_adjoint_is_exact_where_the_residual_vanishes(solver):
    """With data from the model itself JᵀJ is the Hessian: twice differentiable in the parameters of the truth."""

    def refit(truth):
        data = decay(truth, double(0.0), SHORT)
        return least_squares(curve, START, (data, torch.ones(6, dtype=DOUBLE)), solver, adjoint="gauss_newton").value

    truth = variable(START + 0.1)
    assert torch.autograd.gradcheck(refit, truth)
    assert torch.autograd.gradgradcheck(refit, truth)


def test_gauss_newtons_adjoint_is_off_where_the_residual_does_not_vanish():
    weight, c = torch.ones(6, dtype=DOUBLE), normal(3)
    gradients = []
    for adjoint in ("exact", "gauss_newton"):
        data = variable(curve_data(noise=0.2))
        (curve_fit(data, weight, adjoint) @ c).backward()
        gradients.append(data.grad)
    exact, approximate = gradients
    assert 1e-3 < (exact - approximate).norm() / exact.norm() < 0.5


def test_implicit_derivatives_are_those_of_unrolled_iterations():
    """Autograd through ten dense Newton steps, first and second derivatives."""

    def unrolled(a, b):
        x = torch.zeros(3, dtype=DOUBLE)
        for _ in range(10):
            J = torch.func.jacrev(coupled)(x, a, b)
            x = x - torch.linalg.solve(J, coupled(x, a, b))
        return x

    c = normal(3, seed=2)
    results = []
    for solve in (coupled_root, unrolled):
        a, b = map(variable, coupled_parameters())
        first = torch.autograd.grad(solve(a, b) @ c, (a, b), create_graph=True)
        second = torch.autograd.grad((first[0] * normal(2, seed=5)).sum() + first[1], (a, b))
        results.append((*first, *second))
    for implicit, explicit in zip(*results, strict=True):
        torch.testing.assert_close(implicit, explicit, rtol=1e-10, atol=1e-12)


def test_gradient_of_a_linear_root_is_that_of_linear_solve():
    A = poisson_operator((4, 4))
    c, gradients = normal(16, seed=1), []
    for solve in (
        lambda b: root(lambda x, b: A.mv(x) - b, torch.zeros(16, dtype=DOUBLE), (b,)).value,
        lambda b: linear_solve(A, b, DenseLU()).value,
    ):
        b = variable(normal(16))
        (solve(b) @ c).backward()
        gradients.append(b.grad)
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-12)


def test_the_minimal_residual_has_the_partial_derivative_as_gradient():
    """The envelope theorem: d/dθ min ‖r(x, θ)‖² = ∂/∂θ ‖r(x*, θ)‖², since ∂/∂x vanishes."""
    data, weight = variable(curve_data(3, noise=0.2)), torch.ones(6, dtype=DOUBLE)
    x = curve_fit(data, weight)
    (total,) = torch.autograd.grad(curve(x, data, weight).square().sum(), data)
    (partial,) = torch.autograd.grad(curve(x.detach(), data, weight).square().sum(), data)
    torch.testing.assert_close(total, partial, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("n", [15, 600])
def test_gradients_through_a_matrix_free_root(n):
    """λ = J⁻ᵀ g with products by automatic differentiation, against the dense inverse of the tridiagonal Jacobian."""

    def f(u, load, a):
        outside = torch.nn.functional.pad(u, (1, 1))
        return (2 * u - outside[2:] - outside[:-2]) * (n + 1) ** 2 + a * u**3 - load

    model = poisson_operator((n,), "vertex")
    newton = Newton(rtol=1e-10, linear_solver=GMRES(rtol=1e-8), preconditioner=FastPoisson(model=model))
    load, a, g = variable(10 * normal(n) + 50), variable(double(2.0)[0]), normal(n, seed=1)
    u = root(f, torch.zeros(n, dtype=DOUBLE), (load, a), newton, adjoint_solver=GMRES(rtol=1e-12)).value
    (u @ g).backward()
    J = model.to_dense() * (n + 1) ** 2 * (2 / model.diagonal()[0]) + torch.diag(3 * 2.0 * u.detach() ** 2)
    multiplier = torch.linalg.solve(J.mT, g)
    torch.testing.assert_close(load.grad, multiplier, rtol=1e-7, atol=1e-9 * float(multiplier.abs().max()))
    torch.testing.assert_close(a.grad, -(multiplier @ u.detach() ** 3), rtol=1e-7, atol=0)


def test_what_is_kept_for_derivatives_does_not_depend_on_the_iterations():
    """One node, holding the solution and the parameters; no iterate is left alive."""

    def kept(start):
        gc.collect()
        before = {id(o) for o in gc.get_objects() if isinstance(o, torch.Tensor)}
        a, b = map(variable, coupled_parameters(5))
        found = root(coupled, start, (a, b), TIGHT)
        gc.collect()
        tensors = [o for o in gc.get_objects() if isinstance(o, torch.Tensor) and id(o) not in before]
        saved = found.value.grad_fn.saved_tensors
        assert {id(s) for s in saved[1:]} == {id(a), id(b)}
        assert [type(node).__name__ for node, _ in found.value.grad_fn.next_functions if node] == ["AccumulateGrad"] * 2
        return int(found.stats.iterations.max()), len(tensors), sum(s.numel() for s in saved)

    near = root(coupled, torch.zeros(5, 3, dtype=DOUBLE), coupled_parameters(5)).value
    few, many = kept(near), kept(torch.zeros(5, 3, dtype=DOUBLE))
    assert many[0] >= few[0] + 3
    assert few[1:] == many[1:]
    assert few[2] == 5 * 3 + 5 * 2 + 5


def test_gradients_of_failed_systems_are_nan_and_loud():
    a = variable(double([2.0], [-1.0], [math.nan]))
    shared = variable(double([1.0]))
    found = root(lambda x, a, s: s * x**2 - a, torch.ones(3, 1, dtype=DOUBLE), (a, shared), throw=False)
    with pytest.warns(RuntimeWarning, match="system 1 of 3 is NaN, .*SINGULAR"):
        found.value.sum().backward()
    torch.testing.assert_close(a.grad[:1], double([0.5 / math.sqrt(2)]), rtol=1e-12, atol=0)
    assert a.grad[1:].isnan().all()
    assert shared.grad.isnan().all()


@pytest.mark.filterwarnings("error")
def test_a_failed_system_that_the_loss_leaves_out_does_no_harm():
    """A cotangent of zero has the gradient zero, also for parameters that all systems share."""
    a, shared = variable(double([2.0], [-1.0])), variable(double([1.0]))
    found = root(lambda x, a, s: s * x**2 - a, torch.ones(2, 1, dtype=DOUBLE), (a, shared), throw=False)
    found.value[found.converged].sum().backward()
    torch.testing.assert_close(a.grad, double([0.5 / math.sqrt(2)], [0.0]), rtol=1e-12, atol=0)
    torch.testing.assert_close(shared.grad, double([-math.sqrt(2) / 2]), rtol=1e-12, atol=0)


def test_a_solution_that_is_not_unique_has_no_derivative():
    """x₀ + x₁ = a: found, but not differentiable; so it says, or is NaN."""

    def r(x, a):
        return torch.stack([x.sum(-1) - a, 2 * (x.sum(-1) - a)], -1)

    a = variable(double(1.0, 2.0))
    x0 = torch.zeros(2, 2, dtype=DOUBLE)
    with pytest.raises(Singular, match=r"system 0 of 2: the Jacobian .*Hessian.* is singular"):
        least_squares(r, x0, (a,)).value.sum().backward()
    with pytest.warns(RuntimeWarning, match="gradient is NaN"):
        least_squares(r, x0, (a,), throw=False).value.sum().backward()
    assert a.grad.isnan().all()


def test_an_adjoint_solve_that_fails_names_the_remedy():
    newton = Newton(linear_solver=GMRES(rtol=1e-4))
    a, b = map(variable, coupled_parameters(2))
    value = root(coupled, torch.zeros(2, 3, dtype=DOUBLE), (a, b), newton, adjoint_solver=GMRES(max_iterations=1)).value
    with pytest.raises(SolveError, match=r"derivative, linear solve .* system 0 of 2: .*adjoint_solver"):
        value.sum().backward()


def test_tiny_cotangents_have_gradients():
    a, b = map(variable, coupled_parameters())
    x = coupled_root(a, b)
    (large,) = torch.autograd.grad(x.sum(), a, retain_graph=True)
    (small,) = torch.autograd.grad(1e-30 * x.sum(), a)
    torch.testing.assert_close(1e30 * small, large, rtol=1e-12, atol=0)


def test_parameters_may_depend_on_each_other():
    """Partial derivatives do not run through θ₂(θ₁) twice."""
    a = variable(double(0.3, -0.2))

    def solve(a):
        return coupled_root(a, a.square().sum())

    assert torch.autograd.gradcheck(solve, a)
    assert torch.autograd.gradgradcheck(solve, a)


def test_the_jacobian_is_that_of_torch_func():
    """J, Jᵀ and their adjoint identity; more rows than columns, and fewer."""
    a, b = coupled_parameters(4)
    x = normal(4, 3, seed=1)
    J = JacobianOperator(coupled, x, (a, b))
    dense = torch.stack([torch.func.jacfwd(coupled)(x[i], a[i], b[i]) for i in range(4)])
    torch.testing.assert_close(J.to_dense(), dense)
    for narrow in (
        lambda x: x[..., :1] * x,
        lambda x: (x**2).sum(-1, keepdim=True),
        lambda x: torch.cat([x] * 9, -1) ** 2,
    ):
        K = JacobianOperator(narrow, x)
        u, v = normal(2, 4, K.shape[0], seed=2), normal(2, 4, 3, seed=3)
        torch.testing.assert_close(K.inner(u, K.mv(v)), K.inner(K.rmv(u), v))
        expected = torch.stack([torch.func.jacfwd(narrow)(row) for row in x])
        torch.testing.assert_close(K.to_dense(), expected)
        torch.testing.assert_close(K.mv(v), (expected @ v[..., None])[..., 0])


def test_products_with_the_jacobian_are_twice_differentiable_both_ways():
    a, b = (variable(p) for p in coupled_parameters(2))
    x, v = variable(normal(2, 3)), variable(normal(2, 3, seed=1))
    for product in (lambda v, *p: jacobian(*p).mv(v), lambda v, *p: jacobian(*p).rmv(v)):
        assert torch.autograd.gradcheck(product, (v, x, a, b), check_forward_ad=True)
        assert torch.autograd.gradgradcheck(product, (v, x, a, b))


def jacobian(x, a, b):
    return JacobianOperator(coupled, x, (a, b))


def test_solves_with_the_jacobian_are_twice_differentiable():
    """An implicit time step: (∂f/∂x) s = b by linear_solve, in b, x and the parameters of f."""
    x, (a, b), rhs = normal(3), coupled_parameters(), normal(3, seed=1)

    def step(rhs, *p):
        return linear_solve(jacobian(*p), rhs, DenseLU()).value

    inputs = [variable(t) for t in (rhs, x, a, b)]
    assert torch.autograd.gradcheck(step, inputs)
    assert torch.autograd.gradgradcheck(step, inputs)
