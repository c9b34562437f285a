"""Darcy flow: the reference solver against theory, and the verbs every learner relies on."""

import math

import pytest
import torch

from pde_benchmarks import Batch, Darcy
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.metrics import relative_l2
from solvers import CG, SuperLU, finite_volume_operator, linear_solve

LAWS = ["smooth", "rough", "multiscale"]


def sampled(law: str = "smooth", n: int = 32, count: int = 3, seed: int = 0) -> tuple[Darcy, Batch]:
    problem = Darcy(law, n)
    return problem, problem.sample(count, torch.Generator().manual_seed(seed))


def test_second_order_on_a_manufactured_solution():
    """u = sin πx sin 2πy, a = 1 + x + y²: the error divides by 4 per refinement."""
    errors = []
    for n in (16, 32, 64):
        x = (torch.arange(n, dtype=torch.float64) + 0.5) / n
        X, Y = torch.meshgrid(x, x, indexing="ij")
        a = 1 + X + Y**2
        u = torch.sin(math.pi * X) * torch.sin(2 * math.pi * Y)
        ux = math.pi * torch.cos(math.pi * X) * torch.sin(2 * math.pi * Y)
        uy = 2 * math.pi * torch.sin(math.pi * X) * torch.cos(2 * math.pi * Y)
        f = 5 * math.pi**2 * a * u - ux - 2 * Y * uy
        A = finite_volume_operator(a, 1 / n, "dirichlet")
        solution = linear_solve(A, f.flatten(), CG(rtol=1e-12)).value
        errors.append((solution - u.flatten()).norm() / u.norm())
    orders = [math.log2(errors[i] / errors[i + 1]) for i in range(2)]
    assert min(orders) > 1.9


def test_constant_coefficient_has_the_mean_of_the_sine_series():
    """For constant a, u has mean 64/(π⁶ a) Σ_odd 1/(j² k² (j² + k²)) = 0.0351443/a; 64² cells: 0.011726 at a = 3."""
    odd = torch.arange(1, 400, 2, dtype=torch.float64)
    j, k = odd[:, None] ** 2, odd[None, :] ** 2
    series = 64 / math.pi**6 * (1 / (j * k * (j + k))).sum()
    assert series == pytest.approx(0.0351443, abs=1e-7)
    u = Darcy(resolution=64).solve(Batch({"coefficient": torch.full((1, 1, 64, 64), 3.0, dtype=torch.float64)}))
    assert u["solution"].mean() == pytest.approx(0.011726, abs=1e-6)


@pytest.mark.parametrize("law", LAWS)
def test_reference_solution_satisfies_the_discrete_equation(law):
    problem, a = sampled(law)
    residual = problem.residual(a, problem.solve(a))["solution"].flatten(1).norm(dim=1)
    assert (residual / problem.load(a).norm(dim=1) <= 1e-10 * 1.01).all()


@pytest.mark.parametrize("law", LAWS)
def test_solution_obeys_the_maximum_principle(law):
    """−∇·(a∇u) = 1 > 0 with u = 0 on the boundary gives u > 0."""
    problem, a = sampled(law)
    assert (problem.solve(a)["solution"] > 0).all()


def test_laws_have_their_values():
    assert set(sampled("smooth")[1]["coefficient"].unique().tolist()) == {3.0, 12.0}
    assert set(sampled("rough")[1]["coefficient"].unique().tolist()) == {2.0, 12.0}
    assert (sampled("multiscale")[1]["coefficient"] > 0).all()


def test_the_smooth_law_has_its_published_moments():
    """D1 at 64²: mean of u 0.0057, its largest value about 0.0174 over a thousand fields."""
    problem, a = sampled("smooth", 64, count=64)
    u = problem.solve(a)["solution"]
    assert u.mean() == pytest.approx(0.0057, rel=0.05)
    assert 0.014 < u.max() < 0.0176


def test_sampling_repeats_and_refines():
    """One seed gives one field; read on a finer grid it agrees away from the interfaces."""
    first, again = sampled("multiscale", 16)[1], sampled("multiscale", 16)[1]
    assert torch.equal(first["coefficient"], again["coefficient"])
    blocks = sampled("smooth", 64)[1]["coefficient"].unfold(2, 2, 2).unfold(3, 2, 2).mean((-1, -2))
    agree = (blocks == sampled("smooth", 32)[1]["coefficient"]).double().mean()
    assert agree > 0.8  # blocks that no interface crosses


def test_residual_is_differentiable_in_both_arguments():
    problem, a = sampled(n=8, count=1)
    u = problem.solve(a)["solution"].clone().requires_grad_()
    coefficient = a["coefficient"].clone().requires_grad_()

    def residual(c, v):
        return problem.residual(Batch({"coefficient": c}), Batch({"solution": v}))["solution"]

    assert torch.autograd.gradcheck(residual, (coefficient, u))


def test_correction_is_the_error_to_first_order_and_differentiable():
    problem, a = sampled(n=32)
    u = problem.solve(a)
    guess = problem.first_guess(a, "coarse")
    correction = problem.correction(a, guess)["solution"]
    error = u["solution"] - guess["solution"]
    assert ((correction - error).flatten(1).norm(dim=1) < 0.5 * error.flatten(1).norm(dim=1)).all()
    small, a = sampled(n=8, count=1)
    v = torch.rand(1, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w: small.correction(a, Batch({"solution": w}))["solution"], (v,))
    assert torch.autograd.gradgradcheck(lambda w: small.correction(a, Batch({"solution": w}))["solution"] ** 2, (v,))


@pytest.mark.parametrize("law", LAWS)
def test_more_cycles_are_more_exact_and_the_base_converges(law):
    problem, a = sampled(law, 64)
    u = problem.solve(a)["solution"]
    errors = [relative_l2(problem.full_multigrid(a, k)["solution"], u).mean() for k in (0, 2, 4, 20)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-5
    torch.testing.assert_close(
        problem.cycle(a, problem.full_multigrid(a), 2)["solution"],
        problem.full_multigrid(a, 2)["solution"],
        rtol=1e-9,
        atol=0,
    )


def test_empty_batch_solves_to_an_empty_batch():
    problem, a = sampled(n=16)
    assert problem.solve(a.rows(slice(0, 0)))["solution"].shape == (0, 1, 16, 16)


def test_dtype_of_the_caller_is_kept():
    problem, a = sampled(n=16)
    assert problem.solve(a.to(dtype=torch.float32))["solution"].dtype == torch.float32


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"law": "sandy"}, "smooth, rough or multiscale"),
        ({"resolution": 2}, "at least 4"),
        ({"factors": 0}, "at least 1"),
    ],
)
def test_impossible_parameters_are_named(arguments, match):
    with pytest.raises(ProblemError, match=match):
        Darcy(**arguments)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
@pytest.mark.parametrize("law", ["smooth", "rough", "multiscale"])
def test_a_coefficient_that_is_not_positive_is_refused(law, value):
    """The operator is positive definite for a > 0 only."""
    problem, a = sampled(law, 16)
    problem.check(a)
    a["coefficient"][1, 0, 3, 4] = value
    with pytest.raises(ProblemError, match=r"file: field 'coefficient' must be positive .* sample 1 .* \(1 of 3"):
        problem.check(a, "file")


@pytest.mark.parametrize("shape", [(33, 33), (50, 50), (37, 64), (4, 101)])
def test_any_grid_is_solved(shape):
    """Multigrid does not need grids that halve: the answer is SuperLU's."""
    problem = Darcy(resolution=16)
    a = Batch({"coefficient": torch.rand(2, 1, *shape, dtype=torch.float64) + 0.1})
    exact = linear_solve(problem.operator(a), problem.load(a), SuperLU()).value.reshape(2, 1, *shape)
    torch.testing.assert_close(problem.solve(a)["solution"], exact, rtol=1e-7, atol=1e-10)


def test_unknown_first_guess_is_named():
    problem, a = sampled(n=16)
    with pytest.raises(ProblemError, match="coarse, fmg"):
        problem.first_guess(a, "magic")
