"""The classical prior: adjoint gradients are right, and inversion explains the measurements."""

import pytest
import torch

from pde_benchmarks import Burgers, Darcy
from pde_benchmarks.media import SmoothDarcy, ThreePhaseDarcy, TwoPhaseDarcy
from pde_benchmarks.phase_metrics import wrong_pixels
from pde_benchmarks.random_fields import GaussianField
from pde_benchmarks.sensors import Sensors
from sciml.errors import ConfigurationError, LearnerError
from sciml.gaussian_field_prior import GaussianFieldPrior
from sciml.inference import Observation
from sciml.inverse import invert

LAW = GaussianField(2.0, 3.0)


@pytest.mark.parametrize("problem", [TwoPhaseDarcy(resolution=9), SmoothDarcy(resolution=9)])
def test_the_adjoint_gradient_is_that_of_differences(problem):
    """d/dε F(z + ε w) = J w, J by one adjoint solve a sensor."""
    prior = GaussianFieldPrior(problem, LAW, modes=4, sharpness=1.0, log_std=0.3)
    generator = torch.Generator().manual_seed(0)
    z, w = (torch.randn(1, prior.latent_dim, generator=generator, dtype=torch.float64) for _ in range(2))
    points = Sensors.random(5, generator).points
    z.requires_grad_()
    gradient = torch.autograd.grad(prior.at_sensors(z, points).sum(), z)[0]
    step = 1e-4
    with torch.no_grad():
        ends = [prior.at_sensors(z + sign * step * w, points).sum() for sign in (1, -1)]
    assert float((gradient * w).sum()) == pytest.approx(float((ends[0] - ends[1]) / (2 * step)), rel=1e-4)


def test_phases_are_told_apart_by_the_sign_of_the_field():
    prior = GaussianFieldPrior(TwoPhaseDarcy(resolution=9), LAW, modes=4)
    z = torch.randn(6, prior.latent_dim, generator=torch.Generator().manual_seed(1))
    mixed, decided = prior.inputs(z)["coefficient"], prior.decided_inputs(z)["coefficient"]
    assert set(decided.unique().tolist()) == {5.0, 10.0}
    assert ((mixed > 7.5) == (decided > 7.5)).all()
    assert ((mixed >= 5) & (mixed <= 10)).all()


def test_a_sharper_sigmoid_is_nearer_to_the_decision():
    problem = TwoPhaseDarcy(resolution=9)
    z = torch.randn(6, 16, generator=torch.Generator().manual_seed(1))
    gaps = []
    for sharpness in (1.0, 4.0, 16.0):
        prior = GaussianFieldPrior(problem, LAW, modes=4, sharpness=sharpness)
        gaps.append(float((prior.inputs(z)["coefficient"] - prior.decided_inputs(z)["coefficient"]).abs().mean()))
    assert gaps[0] > gaps[1] > gaps[2]


def test_a_map_estimate_explains_the_sensors_and_finds_the_phases():
    problem = TwoPhaseDarcy(resolution=13)
    truth = problem.sample(2, torch.Generator().manual_seed(3))
    solution = problem.solve(truth)["solution"]
    generator = torch.Generator().manual_seed(4)
    sensors = Sensors.random(60, generator)
    values, std = sensors.measure(solution, 40.0, generator)
    observation = Observation(sensors.points, values[..., 0], std[:, None])
    prior = GaussianFieldPrior(problem, LAW, modes=6)
    result = invert(prior, observation, "map", generator=generator, throw=False)
    assert (result.surrogate_misfit < 0.02).all()
    assert wrong_pixels(result.decided["coefficient"], truth["coefficient"], (5.0, 10.0)).mean() < 0.2


def test_bad_arguments_are_named():
    with pytest.raises(LearnerError, match="elliptic problem with one input"):
        GaussianFieldPrior(Burgers(), LAW)  # type: ignore[arg-type]
    with pytest.raises(LearnerError, match="has 3 phases"):
        GaussianFieldPrior(ThreePhaseDarcy(resolution=9), LAW)
    with pytest.raises(ConfigurationError, match="at least 2 modes"):
        GaussianFieldPrior(TwoPhaseDarcy(resolution=9), LAW, modes=1)
    prior = GaussianFieldPrior(Darcy(resolution=16), LAW, modes=2)
    observation = Observation(torch.full((1, 2), 0.5), torch.ones(1, 1), 0.1)
    with pytest.raises(LearnerError, match="no field that is observed at points"):
        invert(prior, observation, generator=torch.Generator())
