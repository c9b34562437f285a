"""The coarse solve inside a decoder: the equation's own solution, differentiable, and more robust than a network."""

import math

import pytest
import torch

from pde_benchmarks.media import TwoPhaseDarcy
from pde_benchmarks.problem import Batch
from sciml.errors import ConfigurationError
from sciml.learners.dgno import DGNO, DGNOConfig
from sciml.learners.dgno.coarse_solution import CoarseSolution
from sciml.learners.dgno.fields import grid_points

PROBLEM = TwoPhaseDarcy(resolution=17)
POINTS = grid_points(PROBLEM.grid)


def media(count=2, problem=PROBLEM):
    return problem.sample(count, torch.Generator().manual_seed(0))


def test_on_the_grid_itself_it_is_the_reference_solution():
    inputs = media()
    # Around every node alone both means are the coefficient itself.
    whole = CoarseSolution(PROBLEM, 16).double()
    whole._around = lambda field: field
    reference = PROBLEM.solve(inputs)["solution"].flatten(1)
    torch.testing.assert_close(whole.jet(inputs["coefficient"], POINTS).value[..., 0], reference, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("cells", [4, 8])
def test_the_coarse_coefficient_lies_between_the_wiener_bounds(cells):
    """H ≤ Aˢ H¹⁻ˢ ≤ A, and a constant medium stays as it is."""
    coarse = CoarseSolution(PROBLEM, cells).double()
    a = media(4)["coefficient"]
    mean, harmonic = coarse._around(a)[:, 0], 1 / coarse._around(1 / a)[:, 0]
    found = coarse.coarsened(a)
    assert bool((found <= mean * (1 + 1e-12)).all())
    assert bool((found >= harmonic * (1 - 1e-12)).all())
    torch.testing.assert_close(coarse.coarsened(torch.full_like(a, 7.0)), torch.full_like(mean, 7.0))


def test_the_gradient_of_the_series_is_its_derivative():
    coarse, inputs = CoarseSolution(PROBLEM, 4).double(), media()
    points = torch.rand(7, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    jet, h = coarse.jet(inputs["coefficient"], points), 1e-6
    for axis in (0, 1):
        step = h * torch.eye(2, dtype=torch.float64)[axis]
        ahead, behind = (coarse.jet(inputs["coefficient"], points + s * step).value for s in (1, -1))
        torch.testing.assert_close(jet.gradient[..., axis], (ahead - behind) / (2 * h), rtol=1e-6, atol=1e-8)


def test_a_constant_medium_is_solved_with_order_two():
    """‖u_H − u‖ = O(H²) against the series of −Δu = 10/a, and u(c a) = u(a)/c."""
    problem = TwoPhaseDarcy(resolution=33)
    a = torch.full((1, 1, 33, 33), 5.0, dtype=torch.float64)
    points = torch.tensor([[0.5, 0.5], [0.3, 0.6]], dtype=torch.float64)
    odd = torch.arange(1, 400, 2, dtype=torch.float64)
    waves = torch.sin(math.pi * odd * points[..., None])
    k, m = odd[:, None], odd[None, :]
    exact = 2.0 * torch.einsum("pk,pm,km->p", waves[:, 0], waves[:, 1], 16 / (math.pi**4 * k * m * (k**2 + m**2)))
    errors = [
        float((CoarseSolution(problem, cells).double().jet(a, points).value[0, :, 0] - exact).detach().abs().max())
        for cells in (4, 8, 16)
    ]
    assert errors[0] / errors[1] > 3
    assert errors[1] / errors[2] > 3.5
    coarse = CoarseSolution(problem, 8).double()
    torch.testing.assert_close(coarse.jet(3 * a, points).value, coarse.jet(a, points).value / 3)


def test_it_turns_with_the_medium():
    """u(aᵀ) = u(a)ᵀ, and the same for a reflection: the problem knows no direction."""
    coarse, a = CoarseSolution(PROBLEM, 8).double(), media(3)["coefficient"]
    for turned in (lambda field: field.mT, lambda field: field.flip(-1)):
        torch.testing.assert_close(coarse.nodal(turned(a)), turned(coarse.nodal(a)))


def test_gradients_reach_the_medium_and_the_mean():
    coarse = CoarseSolution(TwoPhaseDarcy(resolution=9), 4).double()
    a = (
        5 + 5 * torch.rand(1, 1, 9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ).requires_grad_()
    points = grid_points(TwoPhaseDarcy(resolution=9).grid)[30:34]
    assert torch.autograd.gradcheck(lambda a: coarse.jet(a, points).value, a)
    coarse.jet(a, points).value.sum().backward()
    assert float(coarse.balance.grad) != 0


def test_the_series_vanishes_on_the_boundary():
    jet = (
        CoarseSolution(PROBLEM, 8).double().jet(media()["coefficient"], torch.tensor([[0.0, 0.3], [1.0, 0.7]]).double())
    )
    assert float(jet.value.detach().abs().max()) < 1e-14


def test_a_decoder_with_the_coarse_solve_starts_near_the_solution_and_predicts_at_points():
    learner = DGNO.from_problem(PROBLEM, DGNOConfig(coarse_cells=8, branch="dense", width=8, latent=8))
    inputs = media(4).to(dtype=torch.float32)
    learner.module.fit_statistics(inputs["coefficient"])
    for parameter in learner.module.solutions.parameters():
        parameter.data.zero_()
    truth = PROBLEM.solve(inputs)
    assert PROBLEM.metrics(learner.predict(inputs).mean, truth)["relative_l2"] < 0.05
    at = learner.predict_at(inputs, POINTS).mean["solution"][..., 0]
    torch.testing.assert_close(at, learner.predict(inputs).mean["solution"].flatten(1), rtol=1e-4, atol=1e-6)


def test_its_objective_trains_the_mean():
    learner = DGNO.from_problem(PROBLEM, DGNOConfig(coarse_cells=4, branch="dense", width=8, latent=8))
    inputs = media(4).to(dtype=torch.float32)
    learner.module.fit_statistics(inputs["coefficient"])
    learner.objective()(learner.module, dict(inputs), torch.Generator().manual_seed(0)).backward()
    assert math.isfinite(float(learner.module.coarse.balance.grad))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"coarse_cells": 5}, "must divide the 16 cells of the grid: 4, 8, 16"),
        ({"coarse_cells": 2}, "must divide"),
        ({"coarse_cells": 4, "residual": "strong"}, "use residual=energy"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ConfigurationError, match=message):
        DGNO.from_problem(PROBLEM, DGNOConfig(**settings))


def test_an_empty_batch_stays_empty():
    empty = Batch({"coefficient": torch.zeros(0, 1, 17, 17)})
    assert CoarseSolution(PROBLEM, 4).jet(empty["coefficient"], torch.rand(3, 2)).value.shape == (0, 3, 1)
