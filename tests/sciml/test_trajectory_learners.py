"""Neural and latent ODEs: they learn, come back from disk, go on after a stop, and count what they cost."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from evolutions import Drift, drift_data
from trajectory_toys import Spiral, Waves, samples

from pde_benchmarks.burgers import Burgers
from pde_benchmarks.problem import Batch, FieldSpec, Grid, RecordedProblem, Scalars, Times
from pde_benchmarks.registry import problem_types
from sciml.errors import ConfigurationError, LearnerError, TrainingError
from sciml.learner import learner_types, load
from sciml.learners.trajectories import LatentODE, LatentODEConfig, NeuralODE, NeuralODEConfig
from sciml.training import Trainer, TrainingConfig

CASES = {
    "numbers": (NeuralODE, Spiral(), NeuralODEConfig(width=16)),
    "field": (NeuralODE, Waves(), NeuralODEConfig(width=4, depth=1)),
    "latent": (LatentODE, Waves(), LatentODEConfig(width=8, latent=4)),
    "latent-network": (LatentODE, Waves(), LatentODEConfig(width=8, latent=3, autoencoder="network")),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def fitted(kind, problem, config, steps=4, folder=None, progress=None, **settings):
    learner = kind.from_problem(problem, config, 0)
    training = TrainingConfig(steps=steps, batch_size=8, **{"learning_rate": 1e-2, **settings})
    history = learner.fit(samples(problem, 16), samples(problem, 4, 1), Trainer(training, folder, progress))
    return learner, history


def test_a_linear_system_is_learned():
    config = NeuralODEConfig(width=16, depth=1, activation="softplus", rtol=1e-4, atol=1e-4)
    learner = NeuralODE.from_problem(Spiral(), config, 0)
    training = TrainingConfig(steps=80, batch_size=32, learning_rate=3e-2)
    learner.fit(samples(Spiral(), 128), samples(Spiral(), 16, 1), Trainer(training))
    found = learner.evaluate(samples(Spiral(), 32, 2))
    assert found["relative_l2"] < 0.06
    assert 8 <= found["evaluations_mean"] <= found["evaluations_worst"]


def test_a_decay_in_the_span_of_the_modes_is_learned():
    config = LatentODEConfig(width=16, depth=1, latent=4, rtol=1e-4, atol=1e-4)
    learner = LatentODE.from_problem(Waves(), config, 0)
    training = TrainingConfig(steps=60, batch_size=64, learning_rate=3e-2)
    learner.fit(samples(Waves(), 128), samples(Waves(), 16, 1), Trainer(training))
    assert learner.evaluate(samples(Waves(), 16, 2))["relative_l2"] < 0.12


def test_saved_and_loaded_learners_predict_the_same(case, tmp_path, monkeypatch):
    kind, problem, _ = case
    monkeypatch.setitem(problem_types(), problem.name, type(problem))
    monkeypatch.setitem(learner_types(), kind.name, kind)
    learner, _ = fitted(*case)
    learner.save(tmp_path)
    inputs = samples(problem, 3, 2).inputs
    name = problem.outputs[0].name
    assert torch.equal(load(tmp_path).predict(inputs).mean[name], learner.predict(inputs).mean[name])


@pytest.mark.parametrize(
    "changes",
    [
        {"regularizer": "error", "jitter": 0.5},
        {"regularizer": "local-error"},
        {"regularizer": "jacobian"},
        {"regularizer": "error", "target_evaluations": 8},
    ],
    ids=["error", "local-error", "jacobian", "budget"],
)
def test_a_stopped_training_goes_on_to_the_same_bits(changes, tmp_path):
    kind, problem, config = CASES["numbers"]
    config = dataclasses.replace(config, **changes)
    ends = []
    for stop in (False, True):
        folder = tmp_path / str(stop)
        folder.mkdir()
        if stop:
            with pytest.raises(_Stopped):
                fitted(kind, problem, config, 8, folder, _stop_at_5, checkpoint_seconds=0.0)
        learner, _ = fitted(kind, problem, config, 8, folder, checkpoint_seconds=0.0)
        ends.append(learner.module.state_dict())
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    assert ("target_evaluations" in changes) == bool(ends[0]["budget"].any())


class _Stopped(Exception):
    pass


def _stop_at_5(progress):
    if progress.step == 5:
        raise _Stopped


def test_predictions_do_not_depend_on_the_order_or_the_batch(case):
    learner, _ = fitted(*case)
    inputs = samples(case[1], 6, 2).inputs
    (name,) = learner.predict(inputs).mean
    order = torch.randperm(6, generator=torch.Generator().manual_seed(0))
    together = learner.predict(inputs).mean[name]
    torch.testing.assert_close(learner.predict(inputs.rows(order)).mean[name], together[order], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(learner.predict(inputs, batch_size=1).mean[name], together, rtol=1e-4, atol=1e-5)


def test_predictions_have_the_dtype_of_the_inputs_and_none_of_no_samples(case):
    kind, problem, config = case
    learner = kind.from_problem(problem, config)
    dataset = samples(problem, 2)
    (name,) = dataset.outputs
    assert learner.predict(dataset.inputs.to(dtype=torch.float64)).mean[name].dtype == torch.float64
    assert learner.predict(dataset.inputs.rows(slice(0, 0))).mean[name].shape == (0, *dataset.outputs[name].shape[1:])


def test_periodic_dynamics_commute_with_translations():
    for problem, data in ((Waves(), samples(Waves(), 2)), (Drift(), drift_data(2))):
        learner = NeuralODE.from_problem(problem, NeuralODEConfig(width=4, depth=2, dtype="float64"))
        name, later = problem.inputs[0].name, problem.outputs[0].name
        field = data.inputs[name].double()
        moved = learner.predict(Batch({name: field.roll(3, -1)})).mean[later]
        torch.testing.assert_close(moved, learner.predict(Batch({name: field})).mean[later].roll(3, -1))


def test_other_instants_lie_on_the_same_trajectory():
    learner, _ = fitted(*CASES["numbers"])
    inputs = samples(Spiral(), 3).inputs
    known = learner.predict(inputs).mean["position"]
    more = learner.predict_at(inputs, (0.125, 0.25, 0.5, 0.75, 1.0, 1.5)).mean["position"]
    assert more.shape == (3, 6, 2)
    torch.testing.assert_close(more[:, 1:5], known, rtol=1e-3, atol=1e-4)


def test_an_independent_solver_counts_evaluations_of_the_same_order():
    learner, _ = fitted(*CASES["latent"])
    test = samples(Waves(), 5, 3)
    ours = learner.evaluate(test)["evaluations_mean"]
    theirs = learner.evaluations_by_rk45(test.inputs, count=4)
    assert theirs.shape == (4,)
    assert bool((theirs >= 8).all())
    assert 0.3 < theirs.mean() / ours < 3


def test_the_exported_right_hand_side_is_the_learned_one():
    from scipy.integrate import solve_ivp

    kind, problem, _ = CASES["numbers"]
    learner = kind.from_problem(problem, NeuralODEConfig(width=16, dtype="float64", rtol=1e-10, atol=1e-10), 0)
    inputs = samples(problem, 2).inputs.to(dtype=torch.float64)
    exported = learner.right_hand_side(inputs)
    ends = [solve_ivp(exported, exported.span, z0, rtol=1e-10, atol=1e-10).y[:, -1] for z0 in exported.initial]
    expected = learner.module.raw(torch.from_numpy(np.stack(ends)))
    torch.testing.assert_close(learner.predict(inputs).mean["position"][:, -1], expected, rtol=1e-7, atol=1e-8)


def test_the_error_of_the_autoencoder_alone_is_told():
    exact, _ = fitted(LatentODE, Waves(), LatentODEConfig(width=8, latent=4), steps=1)
    lossy, _ = fitted(LatentODE, Waves(), LatentODEConfig(width=8, latent=2), steps=1)
    found = [learner.evaluate(samples(Waves(), 8, 2))["reconstruction_l2"] for learner in (exact, lossy)]
    assert found[0] < 1e-5
    assert 0.1 < found[1] < 1


def test_float64_is_trained_throughout():
    learner, _ = fitted(NeuralODE, Spiral(), NeuralODEConfig(width=4, dtype="float64", rtol=1e-7, atol=1e-7), steps=1)
    assert {p.dtype for p in learner.module.parameters()} == {torch.float64}


def test_a_training_that_the_solver_cannot_follow_says_what_to_change():
    with pytest.raises(TrainingError, match=r"max steps.*learning_rate"):
        fitted(NeuralODE, Spiral(), NeuralODEConfig(width=4, max_steps=1, rtol=1e-6, atol=1e-6))


def test_a_prediction_that_the_solver_cannot_follow_names_the_sample():
    learner = NeuralODE.from_problem(Spiral(), NeuralODEConfig(width=4, max_steps=1, rtol=1e-6, atol=1e-6))
    with torch.no_grad():
        for parameter in learner.module.dynamics.parameters():
            parameter.mul_(5)
    with pytest.raises(LearnerError, match="sample 0 cannot be followed"):
        learner.predict(samples(Spiral(), 3).inputs)


def test_half_precision_is_refused():
    with pytest.raises(ConfigurationError, match="precision = 'bf16'"):
        fitted(*CASES["numbers"], precision="bf16")


@pytest.mark.parametrize(
    "bad", [torch.zeros(2, 3), torch.full((2, 2), torch.nan), torch.zeros(2, 2, dtype=torch.int64)]
)
def test_unusable_initial_states_are_named(bad):
    with pytest.raises(LearnerError, match="initial_position"):
        NeuralODE.from_problem(Spiral()).predict(Batch({"initial_position": bad}))


LINE = Grid((8,))
ACCEPTED = {
    "spiral": Spiral(),
    "burgers": Burgers(resolution=16),
    "drift": Drift(),
    "recorded": RecordedProblem("file", (FieldSpec("a", 2, LINE),), (FieldSpec("b", 2, LINE),)),
}


def _pair(first, last):
    return RecordedProblem("file", (first,), (last,))


REFUSED = {
    "two inputs": RecordedProblem("file", (FieldSpec("a", 1, LINE),) * 2, (FieldSpec("b", 1, LINE),)),
    "same channels": _pair(FieldSpec("a", 1, LINE), FieldSpec("b", 2, LINE)),
    "on the same grid": _pair(FieldSpec("a", 1, LINE), FieldSpec("b", 1, Grid((9,)))),
    "one to three axes": _pair(FieldSpec("a", 1, Grid((4,) * 4)), FieldSpec("b", 1, Grid((4,) * 4))),
    "must increase": _pair(FieldSpec("a", 1, Scalars()), FieldSpec("b", 1, Times((1.0, 1.0), Scalars()))),
}


@pytest.mark.parametrize("name", ACCEPTED)
@pytest.mark.parametrize("kind", [NeuralODE, LatentODE])
def test_states_in_time_are_accepted(kind, name):
    assert kind.accepts(ACCEPTED[name]) is None


@pytest.mark.parametrize("kind", [NeuralODE, LatentODE])
def test_what_is_no_state_in_time_is_refused(kind):
    for name in ("darcy", "poisson", "reaction-diffusion", "denoising", "stokes-cylinder"):
        assert "in time" in kind.accepts(problem_types()[name]()) or "fields" in kind.accepts(problem_types()[name]())
    with pytest.raises(LearnerError, match="no initial state"):
        kind.from_problem(problem_types()["darcy"]())


@pytest.mark.parametrize("why", REFUSED)
def test_refusals_say_why(why):
    assert why.replace("two inputs", "2 input fields") in NeuralODE.accepts(REFUSED[why])
