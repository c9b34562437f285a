"""DGNO on fields over time and on meshes: taught by the equation alone, answers where the outputs live."""

import math
from functools import lru_cache

import pytest
import torch

from pde_benchmarks.datasets import Dataset
from pde_benchmarks.interval import ReactionDiffusion, WalledBurgers
from pde_benchmarks.problem import Batch
from pde_benchmarks.stokes import StokesCylinder
from sciml.errors import LearnerError
from sciml.learner import load
from sciml.learners.dgno import DGNO, DGNOConfig
from sciml.training import Trainer, TrainingConfig

SMALL = {"latent": 8, "width": 16, "depth": 3, "aggregate": 2, "coefficient_width": 16}
BURGERS = WalledBurgers(resolution=65, frames=4, interval=0.25)
REACTION = ReactionDiffusion(resolution=17, frames=4, interval=0.25)
CYLINDER = StokesCylinder(size=0.15, resolution=17)
PROBLEMS = pytest.mark.parametrize("problem", [BURGERS, REACTION, CYLINDER], ids=lambda p: p.name)


@lru_cache
def data(problem, count=8, seed=0):
    inputs = problem.sample(count, torch.Generator().manual_seed(seed)).to(dtype=torch.float32)
    return Dataset(problem, inputs, problem.solve(inputs), "data")


def unlabelled(dataset):
    nothing = {name: torch.full_like(field, math.nan) for name, field in dataset.outputs.items()}
    return Dataset(dataset.problem, dataset.inputs, Batch(nothing), dataset.name)


def fitted(problem, dataset=None, steps=4, **settings):
    learner = DGNO.from_problem(problem, DGNOConfig(**{**SMALL, **settings}))
    trainer = Trainer(TrainingConfig(steps=steps, batch_size=4, learning_rate=5e-3))
    learner.fit(data(problem) if dataset is None else dataset, data(problem, 4, 1), trainer)
    return learner


@PROBLEMS
def test_training_by_the_equation_never_reads_a_trajectory(problem):
    """NaN in place of every label changes no weight."""
    for residual in problem.residual_kinds:
        options = {"residual": residual, "steps": 2} | ({"functions": 50} if residual == "weak" else {"cells": 12})
        whole, blind = (fitted(problem, d, **options) for d in (data(problem), unlabelled(data(problem))))
        for one, other in zip(whole.module.parameters(), blind.module.parameters(), strict=True):
            assert torch.equal(one, other)
            assert one.isfinite().all()


@PROBLEMS
def test_answers_live_where_the_outputs_do(problem, tmp_path):
    dataset = data(problem, 3, 2)
    learner = fitted(problem)
    answer = learner.predict(dataset.inputs).mean
    for name, truth in dataset.outputs.items():
        assert answer[name].shape == truth.shape
    assert all(math.isfinite(value) for value in problem.metrics(answer, dataset.outputs).values())
    learner.save(tmp_path)
    for name, field in load(tmp_path).predict(dataset.inputs).mean.items():
        assert torch.equal(field, answer[name])
    (spec,) = problem.inputs
    assert learner.reconstruct(dataset.inputs)[spec.name].shape == dataset.inputs[spec.name].shape
    assert learner.sample_prior(2, torch.Generator().manual_seed(0)).count == 2


@pytest.mark.parametrize("problem", [BURGERS, REACTION], ids=lambda p: p.name)
def test_walls_are_exact_and_frames_are_the_answer_at_their_instants(problem):
    learner, inputs = fitted(problem), data(problem, 2, 2).inputs
    flow = learner.predict(inputs).mean["solution"]
    assert (flow[..., [0, -1]] == 0).all()
    x = problem.nodes.points(0)
    for frame in range(problem.frames):
        points = torch.stack([x, torch.full_like(x, problem.interval * (frame + 1))], 1)
        at_points = learner.predict_at(inputs, points).mean["solution"]
        torch.testing.assert_close(at_points[..., 0], flow[:, frame, 0])


def test_the_cylinder_flow_at_the_points_of_the_mesh_is_the_answer_there():
    learner, inputs = fitted(CYLINDER), data(CYLINDER, 2, 2).inputs
    flow = learner.predict(inputs).mean
    there = learner.predict_at(inputs, CYLINDER.mesh_points).mean
    for name in ("velocity", "pressure"):
        torch.testing.assert_close(there[name], flow[name])
    walls = (CYLINDER.mesh_points[:, 1] % 1 == 0).nonzero().squeeze(1)
    assert (flow["velocity"][:, walls] == 0).all()


@pytest.mark.parametrize("problem", [REACTION, CYLINDER], ids=lambda p: p.name)
def test_labels_teach_too(problem):
    """A few labelled steps differ from unlabelled ones, and are finite."""
    one, other = fitted(problem, labels=4), fitted(problem)
    weights = [next(learner.module.solutions.parameters()) for learner in (one, other)]
    assert weights[0].isfinite().all()
    assert not torch.equal(*weights)


def test_one_flow_is_solved_by_its_equation_alone():
    """What the heat kernel leaves of one steepening flow, 21 % of it, is learned from the weak residual."""
    problem = WalledBurgers(resolution=65, frames=10, interval=0.1, viscosity=0.1)
    inputs = problem.sample(1, torch.Generator().manual_seed(3)).to(dtype=torch.float32)
    settings = {**SMALL, "width": 32, "latent": 4, "reconstruction_weight": 0.0, "functions": 100}
    learner = DGNO.from_problem(problem, DGNOConfig(**settings))
    truth = problem.solve(inputs)
    before = problem.metrics(learner.predict(inputs).mean, truth)["relative_l2"]
    trainer = Trainer(TrainingConfig(steps=200, batch_size=1, learning_rate=1e-2))
    trainer.fit(learner.module, learner.objective(), dict(inputs))
    after = problem.metrics(learner.predict(inputs).mean, truth)["relative_l2"]
    assert before > 0.1
    assert after < 0.03


def test_a_profile_on_another_grid_is_refused():
    learner = fitted(CYLINDER)
    with pytest.raises(LearnerError, match="the encoder reads the grid that it was trained on"):
        learner.predict(Batch({"inflow": torch.zeros(1, 1, 20)}))
