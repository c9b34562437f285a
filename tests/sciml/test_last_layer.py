"""Error bars of the last layer: algebra against dense matrices, calibration, coverage on unseen samples."""

import pytest
import torch

from pde_benchmarks import Batch, Darcy, Pipe
from pde_benchmarks.datasets import Dataset
from pde_benchmarks.metrics import coverage
from sciml.errors import ConfigurationError, LearnerError
from sciml.learner import load
from sciml.learners.baselines.unet import UNet, UNetConfig
from sciml.learners.last_layer import LastLayerLaplace, readout_of
from sciml.learners.mgno import DataMgNO, DataMgNOConfig, MgNO, MgNOConfig
from sciml.learners.mgno.ghosts import GhostLayer
from sciml.learners.mgno.network import MgNONetwork
from sciml.learners.mgno.schedule import Schedule
from sciml.training import Trainer, TrainingConfig

SETTINGS = {"channels": 8, "layers": 2, "levels": "11 20", "uncertainty": "laplace"}


def darcy(count, seed):
    problem = Darcy("smooth", 16)
    a = problem.sample(count, torch.Generator().manual_seed(seed))
    return Dataset(problem, a, problem.solve(a), "darcy")


def network(patch=2):
    torch.manual_seed(0)
    ghosts = GhostLayer(("dirichlet", "dirichlet"))
    return MgNONetwork(3, 1, 4, 1, Schedule.parse("10 20"), ghosts, patch).double()


def posterior(net, count=6):
    generator = torch.Generator().manual_seed(1)
    given = torch.randn(count, 3, 8, 8, generator=generator, dtype=torch.float64)
    target = torch.randn(count, 1, 8, 8, generator=generator, dtype=torch.float64)
    laplace = LastLayerLaplace(4, 1, (8, 8)).double()
    laplace.fit_posterior(net, [(given[:4], target[:4]), (given[4:], target[4:])])
    return laplace, given, target


@pytest.mark.parametrize("patch", [1, 2])
def test_the_spread_is_the_quadratic_form_of_the_last_features(patch):
    """Every point of a block has φᵀ Σ φ of the block's features."""
    net = network(patch)
    laplace, given, _ = posterior(net)
    seen = []
    handle = net.readout.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    net(given)
    handle.remove()
    phi = seen[0].movedim(1, -1)
    expected = torch.einsum("...i,ij,...j->...", phi, laplace.covariance, phi)[:, None]
    expected = expected.repeat_interleave(patch, 2).repeat_interleave(patch, 3)
    torch.testing.assert_close(laplace.spread(net, given), expected)


def test_the_mean_spread_over_the_training_set_is_the_number_of_features():
    """⟨φᵀ ⟨φφᵀ⟩⁻¹ φ⟩ = tr I, up to the ridge."""
    net = network()
    laplace, given, _ = posterior(net)
    assert laplace.spread(net, given).mean().item() == pytest.approx(4, rel=1e-2)


def test_the_network_is_left_as_it_was():
    net = network()
    laplace, given, _ = posterior(net)
    before = net(given)
    laplace.spread(net, given)
    assert torch.equal(net(given), before)


def test_calibration_finds_the_variance_that_the_errors_were_drawn_with():
    """e ~ N(0, τ φᵀΣφ + σ² m) gives τ and σ² back."""
    net = network()
    laplace, _, _ = posterior(net)
    generator = torch.Generator().manual_seed(2)
    given = 3 * torch.randn(400, 3, 8, 8, generator=generator, dtype=torch.float64)
    laplace.weights.copy_(torch.tensor([0.3, 0.5]))
    with torch.no_grad():
        noise = torch.randn(400, 1, 8, 8, generator=generator, dtype=torch.float64)
        target = net(given) + laplace(net, given) * noise
    laplace.weights.copy_(torch.tensor([0.0, 1.0]))
    laplace.calibrate(net, [(given, target)])
    torch.testing.assert_close(laplace.weights, torch.tensor([0.3, 0.5]).double(), rtol=0.1, atol=0)


def test_the_coverage_of_exact_deviations_is_the_level():
    noise = torch.randn(4, 1, 64, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    std = torch.rand(4, 1, 64, 64, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 0.1
    for level in (0.5, 0.9):
        covered = coverage(torch.zeros_like(noise), std, std * noise, level)
        torch.testing.assert_close(covered, torch.full((4,), level).double(), rtol=0, atol=0.02)


@pytest.mark.parametrize("kind", [DataMgNO, UNet])
def test_nine_tenths_of_unseen_values_lie_in_their_intervals(kind, tmp_path):
    """Coverage of 90 % intervals on fields that neither training nor calibration saw; error bars survive saving."""
    config = DataMgNOConfig(**SETTINGS) if kind is DataMgNO else UNetConfig(channels=4, depth=1, uncertainty="laplace")
    train, validation, unseen = darcy(64, 0), darcy(32, 1), darcy(32, 2)
    learner = kind.from_problem(train.problem, config)
    learner.fit(train, validation, Trainer(TrainingConfig(steps=150, learning_rate=5e-3)))
    assert learner.evaluate(unseen)["coverage_90"] == pytest.approx(0.9, abs=0.05)
    learner.save(tmp_path)
    std = learner.predict(unseen.inputs).std["solution"]
    assert torch.equal(load(tmp_path).predict(unseen.inputs).std["solution"], std)
    assert std.shape == unseen.outputs["solution"].shape
    assert bool((std >= 0).all())


def test_error_bars_are_refused_where_the_answer_is_not_the_networks_own():
    data = darcy(2, 0)
    with pytest.raises(LearnerError, match="post_cycles = 2 follows it"):
        MgNO.from_problem(data.problem, MgNOConfig(uncertainty="laplace", channels=4, levels="11 20"))
    with pytest.raises(ConfigurationError, match="labels = 0"):
        DataMgNOConfig(uncertainty="laplace", physics="error", labels=0)
    with pytest.raises(ConfigurationError, match="whose last layer is linear"):
        readout_of(torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1)))


def test_a_correction_of_multigrid_without_v_cycles_has_error_bars_on_its_own_grid():
    """std is there with a base, too; on another grid, where V-cycles follow, it is refused."""
    train, finer = darcy(32, 0), Darcy("smooth", 32)
    config = MgNOConfig(post_cycles=0, channels=4, layers=1, levels="11 20", uncertainty="laplace")
    learner = MgNO.from_problem(train.problem, config)
    learner.fit(train, darcy(16, 1), Trainer(TrainingConfig(steps=5)))
    assert learner.evaluate(darcy(16, 2))["coverage_90"] > 0.5
    with pytest.raises(LearnerError, match="error bars belong to the training grid 16×16"):
        learner.predict(finer.sample(1, torch.Generator().manual_seed(0)))


def test_imposed_values_have_no_deviation():
    """On the walls of a pipe the answer is zero whatever the network says, and so is its error."""
    problem = Pipe(resolution=17)
    shapes = problem.sample(8, torch.Generator().manual_seed(0))
    outputs = Batch({"velocity": torch.rand(8, 1, 17, 17, dtype=torch.float64)})
    data = Dataset(problem, shapes, outputs, "pipe")
    config = DataMgNOConfig(channels=4, layers=1, patch=1, levels="10", impose=True, uncertainty="laplace")
    learner = DataMgNO.from_problem(problem, config)
    learner.fit(data, data, Trainer(TrainingConfig(steps=2)))
    std = learner.predict(shapes).std["velocity"]
    assert std[..., 0].abs().max() == 0
    assert std[..., -1].abs().max() == 0
    assert (std[..., 1:-1] > 0).all()
