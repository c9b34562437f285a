"""Training by proximal matching: losses, schedules, averages, learners on disk, and what they refuse."""

from __future__ import annotations

import warnings

import pytest
import torch

from pde_benchmarks import Darcy
from pde_benchmarks.datasets import Dataset
from pde_benchmarks.imaging import Denoising
from pde_benchmarks.problem import Batch
from sciml.errors import ConfigurationError, LearnerError
from sciml.learner import load
from sciml.learners.proximal import (
    LPN,
    LPNConfig,
    MatchingSchedule,
    PlainDenoiser,
    VectorConvexNetwork,
    matching_loss,
)
from sciml.learners.proximal.averaged import AveragedNetwork
from sciml.learners.proximal.learner import calibrate
from sciml.training import Trainer, TrainingConfig

PROBLEM = Denoising("signals", resolution=16)
SMALL = LPNConfig(widths=(4, 4), strides=(1, 2), filters=3)


def data(problem: Denoising, count: int, seed: int) -> Dataset:
    drawn = problem.sample(count, torch.Generator().manual_seed(seed)).to(dtype=torch.float32)
    return Dataset(problem, Batch({"noisy": drawn["noisy"]}), problem.solve(drawn), "denoising")


def trained(kind, problem: Denoising = PROBLEM, config=None, steps: int = 5, seed: int = 0):
    learner = kind.from_problem(problem, config, seed)
    settings = {**kind.training_defaults, "steps": steps, "batch_size": 8}
    learner.fit(data(problem, 32, 0), data(problem, 8, 1), Trainer(TrainingConfig(**settings)))
    return learner


def test_the_matching_loss_is_flat_at_zero_and_bounded():
    error = torch.zeros(3, 1, 4, requires_grad=True)
    matching_loss(error, 0.1).backward()
    assert torch.equal(error.grad, torch.zeros_like(error))
    assert 0 <= float(matching_loss(1e3 * torch.ones(2, 4), 0.1)) <= 1


def test_the_matching_loss_knows_no_unit():
    error = torch.randn(4, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(matching_loss(7 * error, 0.7), matching_loss(error, 0.1))


@pytest.mark.parametrize("gamma", [(0.1, 0.2), (0.1, 0.0), (0.1, -0.1), (float("inf"), 0.1)])
def test_widths_that_rise_or_vanish_are_refused(gamma):
    with pytest.raises(ConfigurationError, match="gamma"):
        MatchingSchedule(0.5, gamma)


def test_the_schedule_begins_with_absolute_values():
    schedule, error = MatchingSchedule(0.5, (0.2, 0.1)), torch.tensor([[0.3, -0.1]])
    assert float(schedule.loss(error, 0.2)) == pytest.approx(0.2)
    assert float(schedule.loss(error, 1.0)) == pytest.approx(0.1 * float(matching_loss(error, 0.1)))


def test_calibration_finds_the_best_multiple():
    torch.manual_seed(0)
    network = VectorConvexNetwork(3, width=4, depth=1)
    with torch.no_grad():
        network.shift.zero_()
    noisy, clean = torch.randn(20, 3), torch.randn(20, 3)
    before = network(noisy).detach()
    calibrate(network, noisy, clean)
    scale = max(float((before * clean).sum() / (before * before).sum()), 1e-4)
    torch.testing.assert_close(network(noisy), scale * before, rtol=1e-4, atol=1e-6)


def test_averages_of_admissible_weights_are_admissible():
    torch.manual_seed(0)
    averaged = AveragedNetwork(VectorConvexNetwork(2, width=4, depth=2), 0.5)
    weight = averaged.network.mixing[0].weight
    for _ in range(3):
        with torch.no_grad():
            weight.sub_(0.2)
        averaged.advance()
        assert bool((weight >= 0).all())
    averaged.settle()
    assert bool((averaged.network.mixing[0].weight >= 0).all())
    v = torch.randn(5, 2)
    answers = averaged.train()(v), averaged.eval()(v)
    torch.testing.assert_close(*answers)


def test_a_stopped_training_goes_on_to_the_same_bits_without_a_warning(tmp_path):
    """The checkpoint holds weights that the next step projects."""
    settings = {**LPN.training_defaults, "steps": 12, "batch_size": 8, "learning_rate": 0.3, "checkpoint_seconds": 0.0}
    ends = []
    for stop in (False, True):
        learner = LPN.from_problem(PROBLEM, SMALL, 0)
        folder = tmp_path / str(stop)
        folder.mkdir()
        if stop:
            trainer = Trainer(TrainingConfig(**settings), folder, _stop_at_7)
            with pytest.raises(_Stopped):
                learner.fit(data(PROBLEM, 32, 0), data(PROBLEM, 8, 1), trainer)
            learner = LPN.from_problem(PROBLEM, SMALL, 0)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            learner.fit(data(PROBLEM, 32, 0), data(PROBLEM, 8, 1), Trainer(TrainingConfig(**settings), folder))
        ends.append({name: value.clone() for name, value in learner.module.state_dict().items()})
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


class _Stopped(Exception):
    pass


def _stop_at_7(progress):
    if progress.step == 7:
        raise _Stopped


def test_foreign_negative_averages_are_projected_with_a_warning():
    averaged = AveragedNetwork(VectorConvexNetwork(2, width=4, depth=1), 0.5)
    state = {name: value.clone() for name, value in averaged.state_dict().items()}
    state["averaged_mixing_0_weight"].fill_(-1.0)
    with pytest.warns(UserWarning, match="loaded weights are negative"):
        averaged.load_state_dict(state)
    assert bool((averaged.network.mixing[0].weight >= 0).all())
    assert bool((averaged.averaged_mixing_0_weight >= 0).all())


@pytest.mark.parametrize("law", ["signals", "ellipses"])
def test_training_improves_on_the_noise(law):
    problem = Denoising(law, resolution=16)
    learner = trained(LPN, problem, LPNConfig(widths=(8, 8), strides=(1, 1)), steps=120)
    found = learner.evaluate(data(problem, 16, 2))
    assert found["psnr_db"] > found["psnr_db_noisy"] + 1


@pytest.mark.parametrize(("kind", "config"), [(LPN, SMALL), (PlainDenoiser, None)])
def test_a_learner_comes_back_from_disk_as_it_was(kind, config, tmp_path, monkeypatch):
    monkeypatch.setattr("sciml.learner.learner_types", lambda: {kind.name: kind})
    learner = trained(kind, config=config)
    learner.save(tmp_path)
    inputs = data(PROBLEM, 4, 3).inputs
    again = load(tmp_path).predict(inputs).mean["clean"]
    assert torch.equal(again, learner.predict(inputs).mean["clean"])


def test_the_same_seed_gives_the_same_learner():
    one, two = (trained(LPN, config=SMALL, seed=4) for _ in range(2))
    inputs = data(PROBLEM, 4, 3).inputs
    assert torch.equal(one.predict(inputs).mean["clean"], two.predict(inputs).mean["clean"])


def test_the_trained_map_has_a_potential():
    learner = trained(LPN, config=SMALL, steps=20)
    network = learner.network.double()
    v, a, b = (torch.randn(1, 1, 16, dtype=torch.float64) for _ in range(3))
    along_a, along_b = (torch.func.jvp(network, (v,), (d,))[1] for d in (a, b))
    assert abs(((a * along_b).sum() - (along_a * b).sum()).item()) <= 1e-10
    assert (a * along_a).sum().item() > 0


def test_units_do_not_matter():
    """The field of another problem, in its own unit: the network sees its range."""
    problem = Denoising("darcy:coefficient", resolution=16)
    learner = trained(LPN, problem, SMALL, steps=2)
    noisy = data(problem, 2, 3).inputs["noisy"]
    expected = problem.peak * learner.network(noisy / problem.peak)
    torch.testing.assert_close(learner.predict(Batch({"noisy": noisy})).mean["clean"], expected, rtol=1e-4, atol=1e-4)
    value = learner.prior().prox(noisy).value
    inner = LPN.prior(trained(LPN, Denoising("signals", resolution=16), SMALL, steps=1))
    assert value is not None
    assert inner.exact


@pytest.mark.parametrize(
    "bad",
    [
        torch.zeros(2, 2, 16),
        torch.zeros(2, 1, 4, 4),
        torch.zeros(2, 1, 16, dtype=torch.int64),
        torch.full((1, 1, 16), torch.nan),
    ],
    ids=["channels", "axes", "integers", "nan"],
)
def test_fields_that_cannot_be_denoised_are_refused(bad):
    with pytest.raises(LearnerError, match="noisy fields"):
        LPN.from_problem(PROBLEM, SMALL).predict(Batch({"noisy": bad}))


def test_other_problems_are_refused_with_a_way_out():
    with pytest.raises(LearnerError, match="law=darcy:coefficient"):
        LPN.from_problem(Darcy(resolution=8))


@pytest.mark.parametrize(
    "settings",
    [{"loss": "huber"}, {"average": 1.0}, {"strides": (2, 1, 1)}, {"widths": (4,)}, {"gamma": (0.1, 0.2)}],
    ids=lambda settings: next(iter(settings)),
)
def test_bad_settings_are_refused(settings):
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        LPNConfig(**settings)


def test_three_dimensions_work():
    torch.manual_seed(0)
    from sciml.learners.proximal import FieldConvexNetwork

    v = torch.rand(2, 1, 5, 6, 7)
    assert FieldConvexNetwork(3, widths=(4, 4), strides=(1, 2), filters=3)(v).shape == v.shape
