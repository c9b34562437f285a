"""Learners of evolutions: one network, applied to its own answer."""

import pytest
import torch
from evolutions import Drift, drift_data
from torch import nn

from pde_benchmarks import Batch
from pde_benchmarks.metrics import relative_l2
from pde_benchmarks.registry import problem_types
from sciml.errors import ConfigurationError, LearnerError
from sciml.experiments import Experiment, Silent, conduct, with_data
from sciml.learner import load
from sciml.learners.baselines.unet import UNet, UNetConfig
from sciml.learners.mgno import DataMgNO, DataMgNOConfig
from sciml.runs import Run
from sciml.training import Trainer, TrainingConfig

SMALL = {
    "channels": 6,
    "layers": 2,
    "patch": 1,
    "levels": "10 20",
    "boundary": "periodic",
    "h1_weight": 0.0,
    "fit": "exact",
}


def learner_of(data, **settings):
    return DataMgNO.from_problem(data.problem, DataMgNOConfig(**{**SMALL, **settings}))


def fitted(data, steps=3, **settings):
    learner = learner_of(data, **settings)
    learner.fit(data, data, Trainer(TrainingConfig(steps=steps, batch_size=4, validations=1, learning_rate=1e-2)))
    return learner


class Exact(nn.Module):
    """The answer that a perfect network adds to the frame."""

    def forward(self, features):
        return 0.9 * features.roll(1, -1) - features


@pytest.mark.parametrize("settings", [{}, {"unroll": 3}, {"push_forward": 2}, {"unroll": 2, "push_forward": 2}])
def test_the_exact_step_has_no_loss_however_it_is_trained(settings):
    """Teacher forcing, unrolled and pushed-forward losses all vanish at the true step."""
    data = drift_data()
    objective = learner_of(data, **settings).objective(data.count)
    arrays = {name: array.double() for name, array in objective.prepare(data).items()}
    for seed in range(5):
        assert float(objective(Exact(), arrays, torch.Generator().manual_seed(seed))) < 1e-6


def test_unrolled_derivatives_pass_through_all_steps_and_pushed_ones_through_the_last_alone():
    """With u ← s u from true frames 0.9ᵏ: d/ds of the last of n unrolled steps is n sⁿ⁻¹; after pushes it is sᵖ."""

    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.s = nn.Parameter(torch.tensor(1.1, dtype=torch.float64))

        def forward(self, features):
            return (self.s - 1) * features

    data = drift_data(frames=3)
    frames = torch.ones(2, 4, 1, 8, 8, dtype=torch.float64) * 0.9 ** torch.arange(4.0).double()[:, None, None, None]
    module = Scale()
    objective = learner_of(data, unroll=3).objective(2)
    (slope,) = torch.autograd.grad(objective(module, {"frames": frames}, torch.Generator()), module.s)
    expected = sum(k * 1.1 ** (k - 1) / 0.9**k for k in (1, 2, 3)) / 3
    torch.testing.assert_close(slope, torch.tensor(expected, dtype=torch.float64))
    objective = learner_of(data, push_forward=2).objective(2)
    slopes = set()
    for seed in range(20):
        loss = objective(module, {"frames": frames}, torch.Generator().manual_seed(seed))
        slopes.add(round(float(torch.autograd.grad(loss, module.s)[0]), 9))
    assert slopes == {round(1.1**p / 0.9 ** (p + 1), 9) for p in range(3)}


@pytest.mark.parametrize("kind", ["mgno-data", "unet"])
def test_training_makes_roll_outs_better_than_standing_still(kind):
    data, unseen = drift_data(32), drift_data(8, seed=1)
    if kind == "unet":
        learner = UNet.from_problem(data.problem, UNetConfig(channels=4, depth=1))
        learner.fit(data, data, Trainer(TrainingConfig(steps=200, learning_rate=1e-2)))
    else:
        learner = fitted(data, steps=200, unroll=2)
    still = unseen.inputs["initial_density"][:, None].expand_as(unseen.outputs["density"])
    standing = relative_l2(still.flatten(1, 2), unseen.outputs["density"].flatten(1, 2)).mean()
    assert learner.evaluate(unseen)["relative_l2"] < 0.5 * standing


def test_a_trajectory_has_a_frame_for_every_instant_and_survives_saving(tmp_path, monkeypatch):
    data = drift_data()
    learner = fitted(data, base="decay", push_forward=1, noise=0.01)
    prediction = learner.predict(data.inputs).mean["density"]
    assert prediction.shape == data.outputs["density"].shape
    assert prediction.dtype == torch.float64
    learner.save(tmp_path)
    monkeypatch.setitem(problem_types(), "drift", Drift)
    assert torch.equal(load(tmp_path).predict(data.inputs).mean["density"], prediction)


def test_a_longer_roll_out_begins_with_the_shorter_one():
    data = drift_data()
    learner = fitted(data)
    short, long = learner.predict(data.inputs).mean["density"], learner.roll_out(data.inputs, 9).mean["density"]
    assert long.shape[1] == 9
    assert torch.equal(long[:, :4], short)
    assert learner.predict(data.inputs).mean["density"].shape[1] == 4


def test_the_periodic_network_commutes_with_shifts_of_its_coarsest_cells():
    """Without coordinates among the features shifts by 2 cells (two levels) commute with the step."""
    data = drift_data()
    network = learner_of(data).module.network.double()
    v = torch.randn(1, 3, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(network(v.roll((2, 4), (2, 3))), network(v).roll((2, 4), (2, 3)), rtol=1e-12, atol=1e-12)


def test_an_infinite_frame_is_named():
    data = drift_data()
    learner = fitted(data)
    with torch.no_grad():
        learner.module.output_scale.fill_(1e30)
    with pytest.raises(LearnerError, match=r"roll-out: frame 2 of 4 is NaN or infinite in 8 of 8 samples"):
        learner.predict(data.inputs)


def test_anchored_trajectories_keep_their_frames():
    data = drift_data()
    finer = Drift(resolution=32)
    inputs = finer.sample(8, torch.Generator().manual_seed(0))
    answer = fitted(data).predict(inputs).mean["density"]
    assert answer.shape == (8, 4, 1, 32, 32)
    coarse = fitted(data).predict(data.inputs).mean["density"]
    torch.testing.assert_close(answer[..., ::2, ::2], coarse, rtol=1e-5, atol=1e-6)


def test_no_samples_give_no_trajectories():
    learner = fitted(drift_data())
    assert learner.predict(Batch({"initial_density": torch.zeros(0, 1, 16, 16)})).mean["density"].shape == (
        0,
        4,
        1,
        16,
        16,
    )


def test_an_experiment_on_an_evolution_is_told_whole(tmp_path, monkeypatch):
    """Report, figures and rows without learning; the metrics name first and last frame."""
    monkeypatch.setitem(problem_types(), "drift", Drift)
    monkeypatch.setenv("SCIML_CACHE", str(tmp_path / "cache"))
    settings = {"channels": 4, "layers": 1, "patch": 1, "levels": "10 20"}
    experiment = Experiment("mgno-data", "drift", learner_settings=settings, steps=3, samples=8, test_samples=4)
    run = Run.create(tmp_path / "run", experiment.plain())
    outcome = conduct(run, experiment, with_data(experiment, Silent()), Silent())
    assert outcome.report.is_file()
    assert {"fields.png", "frames.png"} <= {path.name for path in (tmp_path / "run" / "figures").iterdir()}
    assert {"the initial state, standing still", "first guess: decay"} < set(outcome.metrics["without_learning"])
    assert outcome.metrics["test.held_out.relative_l2_first_frame"] < outcome.metrics["test.held_out.relative_l2"]


def test_bad_settings_are_named():
    data = drift_data(frames=2)
    with pytest.raises(LearnerError, match="unroll=4 and push_forward=0 take 4 steps, and a trajectory of drift has 2"):
        learner_of(data, unroll=4)
    with pytest.raises(LearnerError, match="3 frames a trajectory, the initial one included, but unroll=4"):
        learner_of(drift_data(frames=4), unroll=4).objective(2).prepare(data)
    with pytest.raises(LearnerError, match=r"roll_out of 2\.5 frames: a whole number of at least 1"):
        learner_of(data).roll_out(data.inputs, 2.5)  # type: ignore[arg-type]
    with pytest.raises(LearnerError, match="base='magic': the first guesses of drift are decay"):
        learner_of(data, base="magic")
    with pytest.raises(ConfigurationError, match="unroll = 0"):
        learner_of(data, unroll=0)
    with pytest.raises(LearnerError, match="physics = error needs a problem with a known elliptic operator"):
        learner_of(data, physics="error")
    with pytest.raises(LearnerError, match="post_cycles = 2 needs"):
        learner_of(data, base="decay", post_cycles=2)
