"""Penalties, autoencoders, scales of time and settings of the learners of trajectories."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Generator
from trajectory_toys import Spiral, Waves, samples

from pde_benchmarks.grid import Grid
from sciml.errors import ConfigurationError, LearnerError
from sciml.learners.trajectories import PENALTIES, LatentODE, LatentODEConfig, NeuralODE, NeuralODEConfig
from sciml.learners.trajectories.autoencoders import AUTOENCODERS
from sciml.learners.trajectories.dynamics import ConvolutionalDynamics
from sciml.learners.trajectories.orthogonal_decomposition import orthogonal_modes
from sciml.learners.trajectories.penalty_weight import PenaltyWeight
from sciml.learners.trajectories.time_scale import TimeScale

LEARNERS = {
    "numbers": lambda **changes: NeuralODE.from_problem(Spiral(), NeuralODEConfig(width=6, dtype="float64", **changes)),
    "field": lambda **changes: NeuralODE.from_problem(
        Waves(8), NeuralODEConfig(width=3, depth=1, dtype="float64", **changes)
    ),
    "latent": lambda **changes: LatentODE.from_problem(
        Waves(8), LatentODEConfig(width=6, latent=3, dtype="float64", autoencoder="network", **changes)
    ),
}


def gradients(learner, weight):
    """Loss and gradients of one batch."""
    batch = learner.arrays(samples(learner.problem, 4))
    learner.begin(torch.cat([batch["initial"][:, None], batch["frames"]], 1).flatten(0, 1))
    loss = learner.objective()
    loss.weight, loss.scale = weight, learner.module.scale
    learner.module.zero_grad()
    value = loss(learner.module, batch, Generator().manual_seed(0))
    value.backward()
    return float(value.detach()), {name: p.grad.clone() for name, p in learner.module.named_parameters()}


@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize("kind", LEARNERS)
def test_every_penalty_adds_to_the_loss_and_has_finite_gradients(kind, name):
    learner = LEARNERS[kind](regularizer=name)
    plain, without = gradients(learner, 0.0)
    value, found = gradients(learner, 1.0)
    assert value >= plain
    assert all(bool(grad.isfinite().all()) for grad in found.values())
    assert any(not torch.equal(found[key], without[key]) for key in found)


@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_of_weight_zero_changes_no_bit_of_the_gradients(name):
    _, plain = gradients(LEARNERS["numbers"](), 0.0)
    _, found = gradients(LEARNERS["numbers"](regularizer=name), 0.0)
    assert all(torch.equal(found[key], plain[key]) for key in plain)


@pytest.mark.parametrize("name", ["local-error", "local-stiffness"])
def test_local_penalties_serve_the_continuous_adjoint(name):
    _, discrete = gradients(LEARNERS["numbers"](regularizer=name, rtol=1e-9, atol=1e-9), 0.1)
    _, continuous = gradients(LEARNERS["numbers"](regularizer=name, rtol=1e-9, atol=1e-9, adjoint="continuous"), 0.1)
    for key in discrete:
        torch.testing.assert_close(continuous[key], discrete[key], rtol=1e-4, atol=1e-7)


def test_the_checkpointed_gradient_is_the_plain_one():
    _, plain = gradients(LEARNERS["field"](regularizer="error"), 0.1)
    _, found = gradients(LEARNERS["field"](regularizer="error", adjoint="checkpoint"), 0.1)
    for key in plain:
        torch.testing.assert_close(found[key], plain[key], rtol=1e-10, atol=1e-14)


def test_jitter_moves_instants_within_their_gaps():
    loss = LEARNERS["numbers"](jitter=1.0).objective()
    moved = loss._moments(Generator().manual_seed(0))
    assert not torch.equal(moved, loss.times)
    assert bool((moved - loss.times).abs().max() <= 0.125)
    assert float(LEARNERS["field"](jitter=1.0).objective()._moments(Generator().manual_seed(0))) != 1.0


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_autoencoders_begin_as_the_exact_projection(name):
    draw = Generator().manual_seed(0)
    states = torch.randn(40, 3, generator=draw) @ torch.randn(3, 10, generator=draw) + torch.randn(10, generator=draw)
    autoencoder = AUTOENCODERS[name]((2, 5), 3, 8)
    fields = states.reshape(-1, 2, 5)
    autoencoder.begin(fields)
    z = autoencoder.encode(fields)
    torch.testing.assert_close(autoencoder.decode(z), fields, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(z.std(0, correction=0), torch.ones(3), rtol=1e-4, atol=1e-4)


def test_the_error_of_the_projection_is_the_energy_discarded():
    states = torch.randn(30, 8, generator=Generator().manual_seed(0), dtype=torch.float64)
    errors = []
    for rank in (1, 3, 8):
        found = orthogonal_modes(states, rank)
        away = states - found.mean
        rest = away - away @ found.modes.T @ found.modes
        assert float(rest.square().sum(1).mean()) == pytest.approx(found.discarded, abs=1e-12)
        errors.append(found.discarded)
    assert errors[0] > errors[1] > errors[2] == pytest.approx(0, abs=1e-12)


def test_more_modes_than_states_are_refused():
    with pytest.raises(LearnerError, match="latent = 5"):
        orthogonal_modes(torch.randn(4, 8), 5)


def test_states_all_alike_have_a_projection():
    found = orthogonal_modes(torch.ones(5, 4), 2)
    assert found.discarded == 0
    assert bool((found.deviations > 0).all())


@pytest.mark.parametrize("kind", ["linear", "logarithmic"])
def test_scaled_times_run_from_0_to_1(kind):
    instants = (1e-3, 1e-1, 1e1, 1e3)
    scaled = TimeScale(instants[0], instants[-1], kind)(instants)
    assert scaled.dtype == torch.float64
    assert float(scaled[-1]) == 1
    assert bool((torch.cat([torch.zeros(1, dtype=torch.float64), scaled]).diff() > 0).all())


def test_logarithmic_time_spreads_decades_evenly():
    instants = tuple(10.0**k for k in range(-4, 5))
    gaps = TimeScale(instants[0], instants[-1], "logarithmic")(instants).diff()
    assert float(gaps.max() / gaps.min()) < 1.5


@pytest.mark.parametrize("instants", [(), (0.0, 1.0), (1.0, 0.5), (float("inf"),)])
def test_instants_that_do_not_increase_are_refused(instants):
    with pytest.raises(LearnerError, match="instants"):
        TimeScale(1.0, 1.0)(instants)


@pytest.mark.parametrize("boundary", ["periodic", "dirichlet", "neumann", ("dirichlet", "unknown")], ids=str)
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_convolutions_keep_the_grid_in_every_dimension(dim, boundary):
    shape = (4, 5, 6)[:dim]
    grid = Grid(shape, "left" if boundary == "periodic" else "cell", (boundary,) * dim)
    dynamics = ConvolutionalDynamics(2, grid, width=3, depth=1)
    assert dynamics(torch.zeros(2), torch.zeros(2, 2, *shape)).shape == (2, 2, *shape)


def test_the_weight_follows_the_budget_and_lives_in_the_module():
    learner = LEARNERS["numbers"](regularizer="error", target_evaluations=20, weight=(1.0, 1.0))
    weight = PenaltyWeight(learner.config.schedule(), learner.module)
    weight.begin()
    weight.observe(40.0, 0.1)
    again = PenaltyWeight(learner.config.schedule(), learner.module)
    assert again.at(0.5) == 2.0
    again.observe(10.0, 0.1)
    assert weight.at(0.6) == 1.0


def test_the_weight_falls_exponentially_after_a_pause():
    schedule = NeuralODEConfig(regularizer="error", weight=(1.0, 0.01)).schedule()
    assert schedule(0.0) == 0
    assert schedule(0.5) == pytest.approx(0.1)
    assert schedule(1.0) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"width": 0}, "width = 0"),
        ({"depth": -1}, "depth = -1"),
        ({"max_steps": 0}, "max_steps = 0"),
        ({"activation": "relu"}, "activation = 'relu'"),
        ({"time": "square"}, "time = 'square'"),
        ({"dtype": "float16"}, "dtype = 'float16'"),
        ({"jitter": 2.0}, "jitter = 2.0"),
        ({"method": "euler"}, "euler"),
        ({"rtol": -1.0}, "rtol=-1.0"),
        ({"mode": "each"}, "mode='each'"),
        ({"adjoint": "none"}, "adjoint='none'"),
        ({"regularizer": "errors"}, "regularizer = 'errors'"),
        ({"regularizer": "error", "adjoint": "continuous"}, "continuous"),
        ({"regularizer": "stiffness", "method": "bs3"}, "bs3"),
        ({"regularizer": "error", "weight": (1.0, 0.0)}, "weight = "),
        ({"weight": (1.0, 1.0)}, "without a penalty"),
        ({"target_evaluations": 30}, "without a penalty"),
        ({"regularizer": "error", "target_evaluations": 0}, "target_evaluations = 0"),
        ({"latent": 0}, "latent = 0"),
        ({"autoencoder": "fourier"}, "autoencoder = 'fourier'"),
        ({"reconstruction": -1.0}, "reconstruction = -1.0"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_bad_settings_are_named(changes, match):
    with pytest.raises(ConfigurationError, match=match):
        LatentODEConfig(**changes)


def test_settings_survive_the_way_to_json_and_back():
    from pde_benchmarks.registry import configure

    config = LatentODEConfig(regularizer="error", weight=(2.0, 0.2), latent=5)
    plain = dataclasses.asdict(config) | {"weight": [2.0, 0.2]}
    assert configure(LatentODEConfig, plain) == config
