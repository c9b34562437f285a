"""Linear problems: the flat vectors of the solver and the fields of the learner are the same thing."""

import pytest
import torch

from pde_benchmarks import Darcy, Helmholtz, Poisson
from pde_benchmarks.media import TwoPhaseDarcy
from solvers import linear_solve

PROBLEMS = pytest.mark.parametrize(
    "problem",
    [
        Darcy(resolution=16),
        Poisson(resolution=16),
        TwoPhaseDarcy(resolution=13),
        Helmholtz(frequency=200.0, resolution=25),
        Helmholtz(frequency=200.0, resolution=25, damping=0.05),
    ],
    ids=["darcy", "poisson", "media", "wave", "damped wave"],
)


@PROBLEMS
def test_fields_and_unknowns_are_inverse_to_each_other(problem):
    inputs = problem.sample(3, torch.Generator().manual_seed(0))
    solution = problem.solve(inputs)
    again = problem.fields(problem.unknowns(solution), inputs)
    assert torch.equal(again[problem.output.name], solution[problem.output.name])


@PROBLEMS
def test_the_unknowns_of_the_solution_solve_the_system(problem):
    """A u = f, the system that is certified, is the one that is solved."""
    inputs = problem.sample(3, torch.Generator().manual_seed(1))
    b = problem.load(inputs)
    left = b - problem.operator(inputs).mv(problem.unknowns(problem.solve(inputs)))
    assert (left.norm(dim=1) <= 1e-9 * b.norm(dim=1)).all()


@PROBLEMS
def test_the_recommended_iteration_reaches_its_tolerance(problem):
    inputs = problem.sample(2, torch.Generator().manual_seed(2))
    A, b = problem.operator(inputs), problem.load(inputs)
    answer = linear_solve(A, b, problem.krylov(1e-8), problem.preconditioner(inputs))
    assert ((b - A.mv(answer.value)).norm(dim=1) <= 1.01e-8 * b.norm(dim=1)).all()


@PROBLEMS
def test_the_solution_lacks_nothing_and_half_of_it_half(problem):
    """The correction of c u* is (1 − c) u* to first order."""
    inputs = problem.sample(2, torch.Generator().manual_seed(3))
    name = problem.output.name
    solution = problem.solve(inputs)
    size = solution[name].flatten(1).norm(dim=1)
    assert (problem.correction(inputs, solution)[name].flatten(1).norm(dim=1) < 1e-4 * size).all()
    half = type(solution)({name: solution[name] / 2})
    ratio = problem.correction(inputs, half)[name].flatten(1).norm(dim=1) / (size / 2)
    assert ((ratio > 0.5) & (ratio < 1.5)).all()
