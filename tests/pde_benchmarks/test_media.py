"""Darcy flow through random media: the laws, and a reference solver that solves the equation it names."""

from __future__ import annotations

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.grid import axis_points
from pde_benchmarks.media import BlockDarcy, SmoothDarcy, ThreePhaseDarcy, TwoPhaseDarcy
from pde_benchmarks.media.node_multigrid import node_hierarchy
from pde_benchmarks.media.node_operator import node_diffusion
from pde_benchmarks.metrics import relative_l2
from pde_benchmarks.phase_metrics import nearest_phase
from pde_benchmarks.point_values import PointValues
from pde_benchmarks.problem import Batch, Points
from pde_benchmarks.registry import configure, describe_problem, problem_types, rebuild_problem
from solvers import CG, GeometricMultigrid, SuperLU, finite_volume_operator, linear_solve

PROBLEMS = [TwoPhaseDarcy(), ThreePhaseDarcy(), SmoothDarcy(refinement=1), BlockDarcy()]
MEANS = ["arithmetic", "harmonic"]


def by_name(problem) -> str:
    return problem.name


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("average", MEANS)
def test_second_order_on_a_manufactured_solution(average):
    """u = sin πx sin 2πy, a = 1 + x + y²: the error divides by 4 per refinement."""
    errors = []
    for n in (17, 33, 65):
        X, Y = torch.meshgrid(axis_points(n, "vertex"), axis_points(n, "vertex"), indexing="ij")
        a = 1 + X + Y**2
        u = torch.sin(math.pi * X) * torch.sin(2 * math.pi * Y)
        ux = math.pi * torch.cos(math.pi * X) * torch.sin(2 * math.pi * Y)
        uy = 2 * math.pi * torch.sin(math.pi * X) * torch.cos(2 * math.pi * Y)
        f = 5 * math.pi**2 * a * u - ux - 2 * Y * uy
        f[[0, -1]], f[:, [0, -1]] = 0, 0
        solution = linear_solve(node_diffusion(a, average), f.flatten(), CG(rtol=1e-12), GeometricMultigrid()).value
        errors.append((solution - u.flatten()).norm() / u.norm())
    orders = [math.log2(errors[i] / errors[i + 1]) for i in range(2)]
    assert min(orders) > 1.9


@pytest.mark.parametrize("average", MEANS)
def test_the_operator_is_symmetric_definite_and_that_of_the_inner_nodes(average):
    """Without the rows of the boundary it is the five-point matrix with u = 0 there; they hold multiples of u."""
    a = torch.rand(5, 6, dtype=torch.float64, generator=generator()) + 0.5
    A = node_diffusion(a, average).to_dense()
    torch.testing.assert_close(A, A.T)
    assert (torch.linalg.eigvalsh(A) > 0).all()
    expected = torch.zeros_like(A)
    for i in range(5):
        for j in range(6):
            here = 6 * i + j
            if i in (0, 4) or j in (0, 5):
                expected[here, here] = a[i, j] * 2 * (4**2 + 5**2)
                continue
            for k, m, h in ((i - 1, j, 4), (i + 1, j, 4), (i, j - 1, 5), (i, j + 1, 5)):
                p, q = a[i, j], a[k, m]
                t = h**2 * ((p + q) / 2 if average == "arithmetic" else 2 * p * q / (p + q))
                expected[here, here] += t
                if 0 < k < 4 and 0 < m < 5:
                    expected[here, 6 * k + m] -= t
    torch.testing.assert_close(A, expected)


@pytest.mark.parametrize("average", MEANS)
def test_the_reference_solves_for_the_medium_that_coefficient_at_describes(average):
    """A fine solution with a read at its cells is nearer to the nodes' own than with the other reading of a."""
    own, other = (TwoPhaseDarcy(average=mean) for mean in (average, *(m for m in MEANS if m != average)))
    inputs = own.sample(6, generator())
    u = own.solve(inputs)["solution"][:, 0, 1:-1, 1:-1]
    errors = []
    for problem in (own, other):
        m = 28 * 6
        centres = axis_points(m, "cell")
        points = torch.cartesian_prod(centres, centres)
        a = problem.coefficient_at(inputs, points).reshape(6, m, m)
        A = finite_volume_operator(a, (1 / m, 1 / m), "dirichlet")
        load = torch.full((6, m * m), 10.0, dtype=torch.float64)
        fine = linear_solve(A, load, CG(rtol=1e-8), GeometricMultigrid()).value.reshape(6, m, m)
        node = torch.arange(1, 28) * 6
        at_nodes = sum(fine[:, node + p][:, :, node + q] for p in (-1, 0) for q in (-1, 0)) / 4
        errors.append(relative_l2(u[:, None], at_nodes[:, None]).mean())
    assert errors[0] < 0.0035
    assert errors[0] < errors[1] / 1.5


@pytest.mark.parametrize("problem", PROBLEMS, ids=by_name)
def test_reference_solution_satisfies_the_discrete_equation_and_the_boundary(problem):
    inputs = problem.sample(3, generator())
    u = problem.solve(inputs)
    residual = problem.residual(inputs, u)["solution"].flatten(1).norm(dim=1)
    assert (residual / problem.load(inputs).norm(dim=1) <= 1e-10 * 1.01).all()
    inner = u["solution"][..., 1:-1, 1:-1]
    assert (inner > 0).all()
    assert u["solution"].abs().sum() == pytest.approx(inner.sum())


def test_any_grid_is_solved():
    problem = BlockDarcy(resolution=12)
    inputs = Batch({"coefficient": torch.rand(2, 1, 12, 17, dtype=torch.float64) + 0.1})
    exact = linear_solve(problem.operator(inputs), problem.load(inputs), SuperLU()).value.reshape(2, 1, 12, 17)
    torch.testing.assert_close(problem.solve(inputs)["solution"], exact, rtol=1e-7, atol=1e-10)


def test_the_smooth_reference_is_that_of_the_finer_grid_at_every_second_node():
    """The law itself on the finer grid gives the same u up to 1e-5, a hundredth of the coarse grid's error."""
    problem = SmoothDarcy()
    inputs = problem.sample(8, generator())
    found = problem.solve(inputs)["solution"]
    finer = SmoothDarcy(resolution=57, refinement=1)
    fine = finer.solve(finer.sample(8, generator()))["solution"][..., ::2, ::2]
    assert relative_l2(found, fine).max() < 1e-5
    coarse = SmoothDarcy(refinement=1).solve(inputs)["solution"]
    assert relative_l2(coarse, fine).mean() > 100 * relative_l2(found, fine).mean()
    assert problem.solve(inputs.to(dtype=torch.float32))["solution"].dtype == torch.float32


@pytest.mark.parametrize("n", [5, 12, 29, 30])
@pytest.mark.parametrize("problem", PROBLEMS, ids=by_name)
def test_first_guesses_are_near_the_solution_and_zero_on_the_boundary(problem, n):
    problem = problem.at_resolution(n)
    inputs = problem.sample(3, generator())
    u = problem.solve(inputs)["solution"]
    for kind in problem.guesses:
        guess = problem.first_guess(inputs, kind)["solution"]
        assert relative_l2(guess, u).max() < (0.25 if n > 12 else 1.0)
        assert kind == "coarse" or relative_l2(guess, u).max() < 0.05
        assert guess.abs().sum() == pytest.approx(guess[..., 1:-1, 1:-1].abs().sum())


@pytest.mark.parametrize(("shape", "bound"), [((5, 5), 0.4), ((29, 29), 0.4), ((33, 33), 0.4), ((12, 17), 1.0)])
def test_multigrid_of_the_inner_nodes_is_symmetric_and_contracts(shape, bound):
    """M = Mᵀ and the boundary is exact; a cycle shrinks the energy norm, on square grids to 0.4 of it at most (what
    `correction` counts on).
    """
    a = torch.rand(2, *shape, dtype=torch.float64, generator=generator()) * 5 + 5
    A = node_diffusion(a, "arithmetic")
    hierarchy = node_hierarchy(A)
    x, y = torch.randn(2, 2, A.shape[0], dtype=torch.float64, generator=generator())
    torch.testing.assert_close((hierarchy(x) * y).sum(1), (x * hierarchy(y)).sum(1))
    for _ in range(8):
        before = (x * A.mv(x)).sum(1)
        x = x - hierarchy(A.mv(x))
        assert ((x * A.mv(x)).sum(1) <= bound**2 * before + 1e-25).all()
    inner = x.unflatten(1, shape)[:, 1:-1, 1:-1]
    torch.testing.assert_close(x.square().sum(), inner.square().sum(), rtol=1e-9, atol=1e-25)


def test_correction_is_the_error_to_first_order():
    problem = TwoPhaseDarcy()
    inputs = problem.sample(4, generator())
    guess = problem.first_guess(inputs, "fmg")
    error = problem.solve(inputs)["solution"] - guess["solution"]
    missing = problem.correction(inputs, guess)["solution"] - error
    assert (missing.flatten(1).norm(dim=1) < 0.5 * error.flatten(1).norm(dim=1)).all()


def test_residual_is_differentiable_in_both_arguments():
    problem = TwoPhaseDarcy(resolution=6)
    a = problem.sample(1, generator())["coefficient"].clone().requires_grad_()
    u = torch.rand(1, 1, 6, 6, dtype=torch.float64, requires_grad=True)

    def residual(c, v):
        return problem.residual(Batch({"coefficient": c}), Batch({"solution": v}))["solution"]

    assert torch.autograd.gradcheck(residual, (a, u))


@settings(deadline=None, max_examples=10)
@given(fraction=st.floats(0.1, 0.9), seed=st.integers(0, 50), inverse_length=st.sampled_from([3.0, 4.0, 10.0]))
def test_the_volume_fraction_is_that_of_every_sample(fraction, seed, inverse_length):
    problem = TwoPhaseDarcy(volume_fraction=fraction, inverse_length=inverse_length)
    a = problem.sample(3, generator(seed))["coefficient"]
    share = (a == 10).double().flatten(1).mean(1)
    assert (share - fraction).abs().max() <= 1.5 / 29**2


def test_three_phases_have_their_shares_and_touch_each_other():
    problem = ThreePhaseDarcy()
    a = problem.sample(16, generator())["coefficient"]
    phase = nearest_phase(a, problem.kind.values)
    shares = torch.stack([(phase == k).double().flatten(1).mean(1) for k in range(3)], 1)
    torch.testing.assert_close(shares, torch.full_like(shares, 1 / 3), rtol=0, atol=4 / 29**2)
    neighbours = torch.stack([phase[..., 1:].flatten(), phase[..., :-1].flatten()]).sort(0).values.unique(dim=1)
    assert [0, 2] in neighbours.T.tolist()


def test_blocks_are_whole_pixels_within_their_range():
    problem = BlockDarcy(blocks=3, low=2.0, high=4.0)
    a = problem.sample(5, generator())["coefficient"]
    assert a.min() >= 2
    assert a.max() <= 4
    assert (a[0].unique().numel(), a.shape) == (9, (5, 1, 29, 29))


def test_the_smooth_law_is_its_formula():
    """a(0, y) = 2.1 + cos ω₂y and a(x, 0) = 3.1 + sin ω₁x with ω in the range."""
    a = SmoothDarcy(low_frequency=5.0, high_frequency=6.0).sample(4, generator())["coefficient"][:, 0]
    omega = torch.acos(a[:, 0, 7] - 2.1) / 0.25
    assert ((omega > 5) & (omega < 6)).all()
    y = axis_points(29, "vertex")
    torch.testing.assert_close(a[:, 0], 2.1 + torch.cos(omega[:, None] * y))
    torch.testing.assert_close(a - a[:, :, :1], (a - a[:, :, :1])[:, :1].expand_as(a))


def test_typical_sizes_are_typical():
    """max u / typical solution is between a half and two, over all laws."""
    for problem in PROBLEMS:
        u = problem.solve(problem.sample(32, generator()))["solution"]
        ratio = u.flatten(1).amax(1).median() / problem.typical_solution
        assert 0.5 < ratio < 2, problem.name


def test_coefficient_at_nodes_is_the_coefficient():
    for problem in PROBLEMS:
        inputs = problem.sample(2, generator())
        axis = problem.grid.points(0)
        found = problem.coefficient_at(inputs, torch.cartesian_prod(axis, axis))
        torch.testing.assert_close(found[..., 0], inputs["coefficient"].flatten(1))


def test_pixels_end_half_way_between_nodes():
    field = torch.arange(9.0).reshape(1, 1, 3, 3)
    points = torch.tensor([[0.24, 0.0], [0.26, 0.0], [0.76, 0.74], [1.0, 1.0]])
    grid = TwoPhaseDarcy(resolution=5).at_resolution(5).grid
    assert PointValues.pixels(type(grid)((3, 3), "vertex"), points).of(field).flatten().tolist() == [0, 3, 7, 8]


def test_observations_are_values_at_points():
    problem = TwoPhaseDarcy()
    u = problem.solve(problem.sample(2, generator()))
    (spec,) = problem.observations
    assert spec.support == Points(2)
    torch.testing.assert_close(problem.observe(u)["solution"][..., 0], u["solution"][..., 1:-1, 1:-1].flatten(1))


def test_problems_are_installed_and_survive_json():
    for problem in (*PROBLEMS, TwoPhaseDarcy(volume_fraction=0.3)):
        assert problem_types()[problem.name] is type(problem)
        assert rebuild_problem(json.loads(json.dumps(describe_problem(problem)))) == problem
    assert configure(TwoPhaseDarcy, {"volume_fraction": "0.7"}) == TwoPhaseDarcy(volume_fraction=0.7)


def test_values_outside_the_phases_are_listed():
    problem = TwoPhaseDarcy()
    inputs = problem.sample(2, generator())
    problem.check(inputs)
    inputs["coefficient"][0, 0, 3, 4] = 7.25
    with pytest.raises(ProblemError, match=r"file: .* values 5, 10 only, but 7\.25 were found"):
        problem.check(inputs, "file")
    inputs["coefficient"][0, 0, 3, 4] = -5
    with pytest.raises(ProblemError, match="must be positive"):
        problem.check(inputs)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: TwoPhaseDarcy(resolution=3), "at least 5"),
        (lambda: TwoPhaseDarcy(average="geometric"), "use arithmetic or harmonic"),
        (lambda: TwoPhaseDarcy(low=10.0, high=5.0), "increasing order"),
        (lambda: TwoPhaseDarcy(low=0.0), "positive values"),
        (lambda: TwoPhaseDarcy(inverse_length=0.0), "inverse_length 0"),
        (lambda: TwoPhaseDarcy(volume_fraction=1.0), "between 0 and 1"),
        (lambda: ThreePhaseDarcy(middle=20.0), "increasing order"),
        (lambda: ThreePhaseDarcy(low_fraction=0.0), "between 0 and 1"),
        (lambda: SmoothDarcy(low_frequency=6.0), "low < high"),
        (lambda: SmoothDarcy(refinement=0), "at least 1"),
        (lambda: BlockDarcy(blocks=30), "1 to 29"),
        (lambda: BlockDarcy(low=0.0), "0 < low < high"),
    ],
)
def test_impossible_parameters_are_named(make, match):
    with pytest.raises(ProblemError, match=match):
        make()
