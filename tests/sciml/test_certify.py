"""Certificates: what the equation says about a prediction, and the polished answer."""

import pytest
import torch

from pde_benchmarks import Darcy, FieldSpec, Grid, Helmholtz, Poisson, RecordedProblem, UpscaledDarcy
from pde_benchmarks.metrics import relative_l2
from pde_benchmarks.problem import Batch
from sciml.certify import certify
from sciml.errors import LearnerError


def case(n: int = 32, count: int = 5):
    problem = Darcy(resolution=n)
    a = problem.sample(count, torch.Generator().manual_seed(0))
    return problem, a, problem.solve(a)


@pytest.mark.parametrize("rtol", [1e-6, 1e-9])
def test_the_polished_answer_satisfies_the_equation(rtol):
    problem, a, _ = case()
    certificate = certify(problem, a, problem.first_guess(a, "fmg"), rtol, batch_size=2)
    residual = problem.residual(a, certificate.polished)["solution"].flatten(1).norm(dim=1)
    assert (residual <= 1.01 * rtol * problem.load(a).norm(dim=1)).all()
    assert (certificate.polished_residual <= 1.01 * rtol).all()


def test_the_estimate_is_the_error_within_a_factor_of_two_and_a_bit():
    problem, a, u = case()
    guess = problem.first_guess(a, "coarse")
    ratio = certify(problem, a, guess).estimated_error / relative_l2(guess["solution"], u["solution"])
    assert (ratio > 0.3).all()
    assert (ratio < 1.5).all()


def test_a_good_start_saves_iterations_and_an_exact_one_all():
    problem, a, u = case()
    from_guess = certify(problem, a, problem.full_multigrid(a, 3))
    assert (from_guess.iterations < from_guess.iterations_from_zero).all()
    assert (certify(problem, a, u).iterations == 0).all()


def test_single_precision_predictions_stay_single():
    problem, a, _ = case()
    guess = problem.first_guess(a, "fmg").to(dtype=torch.float32)
    assert certify(problem, a, guess).polished["solution"].dtype == torch.float32


def test_recorded_data_cannot_be_certified():
    spec = FieldSpec("x", 1, Grid((8, 8)))
    with pytest.raises(LearnerError, match="needs the equation"):
        certify(RecordedProblem("f", (spec,), (spec,)), {}, {})  # type: ignore[arg-type]


@pytest.mark.parametrize("damping", [0.0, 0.05], ids=["real", "complex"])
def test_waves_are_certified_and_polished_by_gmres(damping):
    """The polished wave solves A u = f to the tolerance; for a single answer the estimate is its error."""
    problem = Helmholtz(frequency=300.0, resolution=33, damping=damping)
    c = problem.sample(3, torch.Generator().manual_seed(1))
    guess = problem.first_guess(c, "born")
    certificate = certify(problem, c, guess, 1e-8)
    u = problem.solve(c)
    assert (certificate.polished_residual <= 1.01e-8).all()
    assert relative_l2(certificate.polished["wave"], u["wave"]).max() < 1e-5
    missing = (u["wave"] - guess["wave"]).flatten(1).norm(dim=1) / guess["wave"].flatten(1).norm(dim=1)
    assert torch.allclose(certificate.estimated_error, missing, rtol=1e-2)


def test_no_samples_have_an_empty_certificate():
    problem, a, u = case(n=16)
    certificate = certify(problem, a.rows(slice(0, 0)), u.rows(slice(0, 0)))
    assert certificate.residual.shape == (0,)
    assert certificate.polished["solution"].shape == (0, 1, 16, 16)


def test_a_source_of_zero_has_the_solution_zero_and_no_error():
    problem = Poisson(resolution=16)
    inputs = problem.sample(2, torch.Generator().manual_seed(0))
    nothing = Batch({name: torch.zeros_like(field) for name, field in inputs.items()})
    certificate = certify(problem, nothing, problem.solve(nothing))
    assert certificate.residual.tolist() == [0, 0]
    assert certificate.estimated_error.tolist() == [0, 0]


def test_a_problem_whose_equation_holds_on_a_finer_grid_says_so():
    with pytest.raises(LearnerError, match="known at the output's own resolution"):
        certify(UpscaledDarcy(), {}, {})  # type: ignore[arg-type]
