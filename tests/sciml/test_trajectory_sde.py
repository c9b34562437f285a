"""Latent SDEs: an honest spread, from a proper score; paths that are functions of a seed; no noise is an ODE."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from evolutions import Drift
from trajectory_toys import OrnsteinUhlenbeck, Spiral, Waves, samples

from pde_benchmarks.burgers import Burgers
from pde_benchmarks.problem import Batch
from pde_benchmarks.registry import configure, problem_types
from sciml.errors import ConfigurationError, LearnerError, TrainingError
from sciml.learner import learner_types, load
from sciml.learners.neural_ode import odesolve
from sciml.learners.trajectories import LatentSDE, LatentSDEConfig
from sciml.learners.trajectories.scored_paths import energy_score
from sciml.training import Trainer, TrainingConfig

CASES = {
    "numbers": (Spiral(), LatentSDEConfig(width=8, latent=2, paths=8, samples=3)),
    "field": (Waves(), LatentSDEConfig(width=8, latent=3, paths=8, samples=8)),
    "network": (Waves(), LatentSDEConfig(width=8, latent=3, paths=4, autoencoder="network")),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def fitted(problem, config, steps=4, folder=None, progress=None, **settings):
    learner = LatentSDE.from_problem(problem, config, 0)
    training = TrainingConfig(steps=steps, batch_size=8, **{"learning_rate": 1e-2, **settings})
    learner.fit(samples(problem, 16), samples(problem, 4, 1), Trainer(training, folder, progress))
    return learner


def inputs_of(problem, count):
    return samples(problem, count, 2).inputs


def state_of(prediction):
    (name,) = prediction.mean
    return prediction.mean[name], prediction.std[name]


@pytest.mark.parametrize("spread", [0.5, 1.0, 2.0])
def test_the_energy_score_of_two_draws_has_no_bias(spread):
    """X ~ N(0, s²), y ~ N(0, 1): E S = √(2/π) √(1 + s²) − s/√π, which is least at s = 1."""
    generator, count = torch.Generator().manual_seed(0), 100_000
    draws = spread * torch.randn(count, 2, 1, generator=generator)
    scores = energy_score(draws, torch.randn(count, 1, generator=generator))
    expected = math.sqrt(2 / math.pi * (1 + spread**2)) - spread / math.sqrt(math.pi)
    assert abs(scores.mean() - expected) < 4 * scores.std() / math.sqrt(count)


def test_the_spread_of_a_known_law_is_learned():
    """Single paths of an Ornstein–Uhlenbeck process teach its deviation at every instant, hence a coverage of 90 %."""
    problem = OrnsteinUhlenbeck()
    config = LatentSDEConfig(width=16, depth=1, latent=2, paths=128)
    learner = LatentSDE.from_problem(problem, config, 0)
    training = TrainingConfig(steps=80, batch_size=64, learning_rate=2e-2)
    learner.fit(samples(problem, 512), samples(problem, 8, 1), Trainer(training))
    test = samples(problem, 250, 2)
    # Paths are shared by the samples, so a deviation has a standard error of 1 / √(2 · 127) = 6 %: three of these.
    ratio = state_of(learner.predict(test.inputs))[1].mean((0, 2)) / problem.deviations(torch.tensor(problem.instants))
    assert (ratio - 1).abs().max() < 0.2
    # 500 independent coordinates: a standard error of 1.3 % at least, and 6 % of deviation are another 2 %.
    assert abs(learner.evaluate(test)["coverage_90"] - 0.9) < 0.05


def test_without_noise_it_is_the_ordinary_differential_equation():
    """A diffusion of zero gives the solution of dz/dt = f on every path, up to the tolerance; no spread else."""
    config = LatentSDEConfig(width=8, latent=3, dtype="float64", rtol=1e-5, atol=1e-5, paths=2)
    learner = LatentSDE.from_problem(Waves(), config, 0)
    learner.begin(samples(Waves(), 16).inputs["initial_height"].double())
    module = learner.module
    with torch.no_grad():
        module.diffusion.amplitude.zero_()
    inputs = inputs_of(Waves(), 3).to(dtype=torch.float64)
    mean, std = state_of(learner.predict(inputs))
    z0 = module.encoded(inputs["initial_height"])
    exact = odesolve(module.dynamics, z0, torch.tensor([0.0, 1.0]), rtol=1e-9, atol=1e-9).ys[-1]
    torch.testing.assert_close(mean, module.decoded(exact), rtol=0, atol=1e-4)
    torch.testing.assert_close(std, module.left_out.expand_as(std), rtol=1e-12, atol=1e-14)
    assert float(std.min()) > 0


def test_what_the_latent_space_leaves_out_is_measured():
    """The residual is the root of the mean square over the training states; four modes are all of these waves."""
    for latent in (2, 4):
        learner = LatentSDE.from_problem(Waves(), LatentSDEConfig(latent=latent, dtype="float64"))
        states = samples(Waves(), 32).inputs["initial_height"].double()
        learner.begin(states)
        lost = learner.module.reconstructed(states[:, None])[:, 0] - states
        torch.testing.assert_close(learner.module.residual, lost.square().mean(0).sqrt())
        assert (float(learner.module.left_out.max()) < 1e-6) == (latent == 4)


def test_mean_and_deviation_are_those_of_the_paths():
    """With all paths handed out: their mean, and the variance of a new one from that mean plus what is left out."""
    problem, config = CASES["field"]
    learner = fitted(problem, config)
    prediction = learner.predict(inputs_of(problem, 3))
    mean, std = state_of(prediction)
    paths = prediction.samples["height"]
    assert paths.shape == (3, 8, *mean.shape[1:])
    torch.testing.assert_close(paths.mean(1), mean)
    torch.testing.assert_close(std.square(), paths.var(1) * 9 / 8 + learner.module.residual.detach() ** 2)


def test_saved_and_loaded_learners_predict_the_same(case, tmp_path, monkeypatch):
    problem, config = case
    monkeypatch.setitem(problem_types(), problem.name, type(problem))
    monkeypatch.setitem(learner_types(), LatentSDE.name, LatentSDE)
    learner = fitted(problem, config)
    learner.save(tmp_path)
    inputs = inputs_of(problem, 3)
    for found, expected in zip(
        state_of(load(tmp_path).predict(inputs)), state_of(learner.predict(inputs)), strict=True
    ):
        assert torch.equal(found, expected)


def test_predictions_are_functions_of_the_seed(case):
    problem, config = case
    learner = fitted(problem, config)
    inputs = inputs_of(problem, 3)
    first, again = state_of(learner.predict(inputs)), state_of(learner.predict(inputs))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    learner.config = dataclasses.replace(config, seed=1)
    assert not (state_of(learner.predict(inputs))[0] == first[0]).any()


def test_predictions_do_not_depend_on_the_order_or_the_batch(case):
    problem, config = case
    learner = fitted(problem, config)
    inputs, order = inputs_of(problem, 6), torch.randperm(6, generator=torch.Generator().manual_seed(0))
    together = state_of(learner.predict(inputs))
    moved, alone = state_of(learner.predict(inputs.rows(order))), state_of(learner.predict(inputs, batch_size=1))
    for k in range(2):
        torch.testing.assert_close(moved[k], together[k][order], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(alone[k], together[k], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("changes", [{}, {"target_evaluations": 3}], ids=["schedule", "budget"])
def test_a_stopped_training_goes_on_to_the_same_bits(changes, tmp_path):
    problem, config = CASES["field"]
    config, ends = dataclasses.replace(config, regularizer="error", **changes), []
    for stop in (False, True):
        folder = tmp_path / str(stop)
        folder.mkdir()
        if stop:
            with pytest.raises(_Stopped):
                fitted(problem, config, 8, folder, _stop_at_5, checkpoint_seconds=0.0)
        ends.append(fitted(problem, config, 8, folder, checkpoint_seconds=0.0).module.state_dict())
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    assert ("target_evaluations" in changes) == bool(ends[0]["budget"].any())


class _Stopped(Exception):
    pass


def _stop_at_5(progress):
    if progress.step == 5:
        raise _Stopped


def test_everything_learns_and_the_penalty_counts():
    """Drift, diffusion, autoencoder and residual have gradients; a penalty makes the loss larger."""
    learner = fitted(*CASES["network"], steps=1)
    batch = learner.arrays(samples(Waves(), 4, 3))
    losses = []
    for name in ("none", "error"):
        learner.config = dataclasses.replace(learner.config, regularizer=name)
        loss = learner.objective()
        loss.weight = 1.0
        losses.append(loss(learner.module, batch, torch.Generator().manual_seed(0)))
    losses[0].backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in learner.module.parameters())
    assert losses[1] > losses[0]


def test_other_instants_lie_on_the_same_paths():
    """Up to the tolerance of the solver, and with the same seed."""
    problem, config = CASES["numbers"]
    learner = fitted(problem, dataclasses.replace(config, rtol=1e-4, atol=1e-4))
    inputs = inputs_of(problem, 3)
    known = learner.predict(inputs)
    more = learner.predict_at(inputs, (0.125, 0.25, 0.5, 0.6, 0.75, 1.0))
    chosen = [1, 2, 4, 5]
    assert more.samples["position"].shape == (3, 3, 6, 2)
    torch.testing.assert_close(more.samples["position"][:, :, chosen], known.samples["position"], rtol=0, atol=1e-6)
    torch.testing.assert_close(more.std["position"][:, chosen], known.std["position"], rtol=0, atol=1e-6)
    assert learner.predict_at(inputs, (1.0, 2.0)).mean["position"].shape == (3, 2, 2)


def test_predictions_have_the_dtype_of_the_inputs_and_none_of_no_samples(case):
    problem, config = case
    learner = LatentSDE.from_problem(problem, config)
    inputs = inputs_of(problem, 2)
    assert {part.dtype for part in state_of(learner.predict(inputs.to(dtype=torch.float64)))} == {torch.float64}
    assert [len(part) for part in state_of(learner.predict(inputs.rows(slice(0, 0))))] == [0, 0]


def test_evaluations_of_the_drift_are_counted_per_path():
    learner = fitted(*CASES["numbers"])
    found = learner.evaluate(samples(Spiral(), 5, 3))
    assert 3 <= found["evaluations_mean"] <= found["evaluations_worst"]
    assert 0 <= found["coverage_90"] <= 1
    assert found["reconstruction_l2"] < 1e-5
    assert learner.evaluations_by_rk45(inputs_of(Spiral(), 2)).shape == (2,)


def test_what_the_solver_cannot_follow_is_named():
    config = LatentSDEConfig(width=8, latent=2, max_steps=1, noise=50.0, rtol=1e-3, atol=1e-3, paths=4)
    with pytest.raises(TrainingError, match=r"sample 0 of a training batch .*max steps.*learning_rate"):
        fitted(Spiral(), config)
    with pytest.raises(LearnerError, match="sample 0 cannot be followed"):
        LatentSDE.from_problem(Spiral(), config).predict(inputs_of(Spiral(), 3))
    with pytest.raises(LearnerError, match="initial_position"):
        LatentSDE.from_problem(Spiral(), config).predict(Batch({"initial_position": torch.zeros(2, 3)}))


def test_it_accepts_what_a_latent_ode_accepts():
    assert [LatentSDE.accepts(problem) for problem in (Spiral(), Burgers(resolution=16), Drift())] == [None] * 3
    assert "no initial state" in LatentSDE.accepts(problem_types()["darcy"]())


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"noise": 0.0}, "noise = 0.0"),
        ({"rtol": 0.0}, "rtol = 0.0"),
        ({"atol": math.inf}, "atol = inf"),
        ({"paths": 1}, "paths = 1"),
        ({"training_paths": 1}, "training_paths = 1"),
        ({"samples": 33}, "samples = 33"),
        ({"regularizer": "stiffness"}, "regularizer = 'stiffness'"),
        ({"weight": (1.0, 1.0)}, "without a penalty"),
        ({"latent": 0}, "latent = 0"),
        ({"autoencoder": "fourier"}, "autoencoder = 'fourier'"),
        ({"width": 0}, "width = 0"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_bad_settings_are_named(changes, match):
    with pytest.raises(ConfigurationError, match=match):
        LatentSDEConfig(**changes)


def test_settings_survive_the_way_to_json_and_back():
    config = LatentSDEConfig(regularizer="error-mean", weight=(2.0, 0.2), latent=5, samples=4)
    assert configure(LatentSDEConfig, dataclasses.asdict(config) | {"weight": [2.0, 0.2]}) == config
