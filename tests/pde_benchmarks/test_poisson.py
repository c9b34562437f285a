"""Poisson's equation with mixed boundary conditions in 1D to 3D: order, symmetry, and agreement with other solvers."""

import math
from itertools import pairwise, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pde_benchmarks import Batch, Poisson
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.metrics import relative_l2
from pde_benchmarks.registry import configure, describe_problem, rebuild_problem
from solvers import FastPoisson, SuperLU, linear_solve

D, N = "dirichlet", "neumann"
# u along an axis that satisfies its conditions, and −u''/u.
FACTORS = {
    (D, D): (lambda x: torch.sin(math.pi * x), math.pi**2),
    (N, N): (lambda x: torch.cos(math.pi * x), math.pi**2),
    (D, N): (lambda x: torch.sin(math.pi * x / 2), math.pi**2 / 4),
    (N, D): (lambda x: torch.cos(3 * math.pi * x / 2), 9 * math.pi**2 / 4),
    ("periodic", "periodic"): (lambda x: torch.sin(2 * math.pi * x + 0.3), 4 * math.pi**2),
}
MIXTURES = [
    (D,),
    ((D, N),),
    ((D, N), (N, D)),
    (N, D),
    ((N, D), "periodic"),
    ((D, N), N),
    (D, "periodic", (D, N)),
    (N, (N, D), N),
]


def sampled(problem: Poisson, count: int = 3, seed: int = 0) -> Batch:
    return problem.sample(count, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("boundary", MIXTURES, ids=str)
def test_second_order_for_every_mixture_of_conditions(boundary):
    """u = Π u_k with −Δu = (Σ μ_k) u: the error divides by 4 per refinement."""
    sizes = (16, 32) if len(boundary) == 3 else (16, 32, 64)
    errors = []
    for n in sizes:
        problem = Poisson(boundary, n)
        axes = torch.meshgrid(*(problem.grid.points(k) for k in range(len(boundary))), indexing="ij")
        factors = [FACTORS[sides] for sides in problem.grid.sides]
        u = math.prod(function(x) for (function, _), x in zip(factors, axes, strict=True))
        f = sum(mu for _, mu in factors) * u
        solution = problem.solve(Batch({"source": f[None, None]}))["solution"][0, 0]
        errors.append((solution - u).norm() / u.norm())
    assert min(math.log2(coarse / fine) for coarse, fine in pairwise(errors)) > 1.9


def test_second_order_with_a_variable_coefficient():
    """a = 1 + x + y², u = sin(πx/2) cos πy: zero at x = 0, no flux on the other sides."""
    errors = []
    for n in (16, 32, 64):
        problem = Poisson(((D, N), N), n, heterogeneity=1.0)
        x, y = torch.meshgrid(problem.grid.points(0), problem.grid.points(1), indexing="ij")
        half = math.pi / 2
        u = torch.sin(half * x) * torch.cos(math.pi * y)
        ux = half * torch.cos(half * x) * torch.cos(math.pi * y)
        uy = -math.pi * torch.sin(half * x) * torch.sin(math.pi * y)
        a = 1 + x + y**2
        f = a * (half**2 + math.pi**2) * u - ux - 2 * y * uy
        solution = problem.solve(Batch({"source": f[None, None], "coefficient": a[None, None]}))["solution"][0, 0]
        errors.append((solution - u).norm() / u.norm())
    assert min(math.log2(errors[i] / errors[i + 1]) for i in range(2)) > 1.9


@pytest.mark.parametrize("boundary", MIXTURES, ids=str)
def test_operator_is_symmetric_positive_definite(boundary):
    problem = Poisson(boundary, 16, heterogeneity=2.0)
    inputs = sampled(problem, 1)
    A = problem.operator(inputs)
    v, w = torch.randn(2, 1, 16 ** len(boundary), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close((v * A.mv(w)).sum(), (w * A.mv(v)).sum(), rtol=1e-10, atol=1e-8)
    assert (v * A.mv(v)).sum() > 0


@pytest.mark.parametrize("boundary", MIXTURES, ids=str)
def test_reference_is_the_fast_direct_solution(boundary):
    """With a = 1 the operator is diagonal in a product basis."""
    problem = Poisson(boundary, 16)
    f = sampled(problem, 2)
    exact = linear_solve(problem.operator(f), problem.load(f), FastPoisson()).value
    torch.testing.assert_close(problem.solve(f)["solution"].flatten(1), exact, rtol=0, atol=1e-8 * exact.abs().max())


def test_reference_with_a_variable_coefficient_is_the_sparse_direct_solution():
    problem = Poisson(((D, N), N), 20, heterogeneity=4.0)
    inputs = sampled(problem)
    exact = linear_solve(problem.operator(inputs), problem.load(inputs), SuperLU()).value
    u = problem.solve(inputs)["solution"].flatten(1)
    torch.testing.assert_close(u, exact, rtol=0, atol=1e-7 * exact.abs().max())
    assert (problem.residual(inputs, Batch({"solution": u.reshape(3, 1, 20, 20)}))["solution"].abs() < 1e-6).all()


@given(
    sides=st.lists(st.sampled_from([(D, D), (D, N), (N, D), (N, N), ("periodic",) * 2]), min_size=1, max_size=2),
    seed=st.integers(0, 1000),
)
@settings(deadline=None, max_examples=15)
def test_solutions_add_up_and_mirror(sides, seed):
    """u[f + g] = u[f] + u[g], and the mirrored source between exchanged sides has the mirrored solution."""
    boundary = ((D, N), *sides)
    problem = Poisson(boundary, 16)
    f = sampled(problem, 2, seed)["source"]
    u = problem.solve(Batch({"source": f}))["solution"]
    both = problem.solve(Batch({"source": f.sum(0, keepdim=True)}))["solution"]
    torch.testing.assert_close(both, u.sum(0, keepdim=True), rtol=0, atol=1e-8)
    mirrored = Poisson(((N, D), *sides), 16).solve(Batch({"source": f.flip(2)}))["solution"]
    torch.testing.assert_close(mirrored.flip(2), u, rtol=0, atol=1e-8)


def test_periodic_axis_commutes_with_shifts():
    problem = Poisson((D, "periodic"), 32)
    f = sampled(problem)["source"]
    shifted = problem.solve(Batch({"source": f.roll(5, 3)}))["solution"]
    torch.testing.assert_close(shifted, problem.solve(Batch({"source": f}))["solution"].roll(5, 3), rtol=0, atol=1e-9)


def test_residual_is_differentiable_in_all_arguments():
    problem = Poisson((D, (D, N)), 16, heterogeneity=1.0)
    arrays = [torch.rand(1, 1, 4, 4, dtype=torch.float64).add(0.5).requires_grad_() for _ in range(3)]

    def residual(f, a, u):
        return problem.residual(Batch({"source": f, "coefficient": a}), Batch({"solution": u}))["solution"]

    assert torch.autograd.gradcheck(residual, arrays)


@pytest.mark.parametrize("boundary", [((D, N),), ((D, N), (N, D)), (D, "periodic"), (D, N, (D, N))], ids=str)
def test_guesses_get_better(boundary):
    """The coarse solution is a guess, one full multigrid pass a better one."""
    problem = Poisson(boundary, 16 if len(boundary) == 3 else 32, heterogeneity=1.0)
    inputs = sampled(problem, 4)
    u = problem.solve(inputs)["solution"]
    errors = [relative_l2(problem.first_guess(inputs, kind)["solution"], u).mean() for kind in problem.guesses]
    assert errors[1] < errors[0] < 0.5


def test_one_seed_is_one_function_and_positive_fields_are_checked():
    problem = Poisson(resolution=16, heterogeneity=1.0)
    fine, coarse = sampled(problem.at_resolution(32)), sampled(problem)
    for name in ("source", "coefficient"):
        blocks = fine[name].unfold(2, 2, 2).unfold(3, 2, 2).mean((-1, -2))
        assert relative_l2(blocks, coarse[name]).max() < 0.1
    coarse["coefficient"][1, 0, 2, 3] = -1.0
    with pytest.raises(ProblemError, match=r"'coefficient' must be positive .* sample 1"):
        problem.check(coarse)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_of_the_caller_is_kept(dtype):
    problem = Poisson(resolution=16)
    f = sampled(problem).to(dtype=dtype)
    assert problem.solve(f)["solution"].dtype == dtype
    assert problem.solve(f.rows(slice(0, 0)))["solution"].shape == (0, 1, 16, 16)


def test_configuration_survives_lists():
    """YAML and JSON know lists, not tuples."""
    problem = configure(Poisson, {"boundary": [["dirichlet", "neumann"], "periodic"], "resolution": 16})
    assert problem == Poisson((("dirichlet", "neumann"), "periodic"), 16)
    description = describe_problem(problem)
    assert rebuild_problem(description) == problem


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"boundary": ("neumann", "periodic")}, "make one side dirichlet"),
        ({"boundary": ()}, "1 to 3 axes"),
        ({"boundary": ("dirichlet",) * 4}, "1 to 3 axes"),
        ({"boundary": ("robin", "dirichlet")}, "'robin' is unknown"),
        ({"boundary": (("dirichlet", "unknown"),)}, "dirichlet, neumann or periodic"),
        ({"boundary": (("periodic", "dirichlet"),)}, "periodic on both sides or on neither"),
        ({"resolution": 18}, "resolution 18: a multiple of 4"),
        ({"resolution": 8}, "at least 16"),
        ({"heterogeneity": -1.0}, "heterogeneity -1.0"),
    ],
)
def test_impossible_parameters_are_named(arguments, match):
    with pytest.raises(ProblemError, match=match):
        Poisson(**arguments)


def test_every_mixture_of_two_dimensions_is_solved():
    """All 16 pairs of conditions per side that hold u somewhere, against the fast direct solver."""
    for sides in product([(D, D), (D, N), (N, D), (N, N)], repeat=2):
        if all(pair == (N, N) for pair in sides):
            continue
        problem = Poisson(sides, 16)
        f = sampled(problem, 1)
        exact = linear_solve(problem.operator(f), problem.load(f), FastPoisson()).value
        error = (problem.solve(f)["solution"].flatten(1) - exact).norm() / exact.norm()
        assert error < 1e-8
