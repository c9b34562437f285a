"""Training by the equation: what its losses are at the solution, and what they teach without a label."""

import pytest
import torch

from pde_benchmarks import Batch, Darcy
from pde_benchmarks.datasets import Dataset
from pde_benchmarks.metrics import relative_l2
from sciml.errors import ConfigurationError
from sciml.learners.mgno import DataMgNO, DataMgNOConfig
from sciml.training import Trainer, TrainingConfig

SMALL = {"channels": 8, "layers": 2, "patch": 1, "levels": "10 20", "h1_weight": 0.0}


def darcy(count=8, seed=0):
    problem = Darcy("smooth", 16)
    a = problem.sample(count, torch.Generator().manual_seed(seed))
    return Dataset(problem, a, problem.solve(a), "darcy")


def learner_of(data, **settings):
    return DataMgNO.from_problem(data.problem, DataMgNOConfig(**{**SMALL, **settings}))


class Answer(torch.nn.Module):
    """A network that knows its answer."""

    def __init__(self, answer):
        super().__init__()
        self.answer = torch.nn.Parameter(answer)

    def forward(self, features):
        return self.answer


def loss_at(data, answer, **settings):
    objective = learner_of(data, symmetry=False, **settings).objective(data.count)
    arrays = {name: a.double() if a.is_floating_point() else a for name, a in objective.prepare(data).items()}
    module = Answer(answer)
    value = objective(module, arrays, torch.Generator())
    (slope,) = torch.autograd.grad(value, module.answer)
    return float(value.detach()), slope


def test_the_error_loss_vanishes_at_the_solution():
    data = darcy()
    assert loss_at(data, data.outputs["solution"], physics="error", labels=0)[0] < 1e-8


def test_the_energy_loss_is_stationary_at_the_solution_and_smallest_there():
    """∇(uᵀAu/2 − uᵀf) = Au − f = 0."""
    data = darcy()
    u = data.outputs["solution"]
    least, slope = loss_at(data, u, physics="energy", labels=0)
    assert slope.abs().max() < 1e-9
    noise = torch.randn(u.shape, generator=torch.Generator().manual_seed(1), dtype=u.dtype) * 1e-3
    assert loss_at(data, u + noise, physics="energy", labels=0)[0] > least


def test_the_relative_energy_is_the_square_of_the_error_in_the_energy_norm():
    """E(u + e) − E(u) = ‖e‖²_A / 2, and −E(u) = ‖u‖²_A / 2, so the difference is (‖e‖_A / ‖u‖_A)²."""
    data = darcy(4)
    u, problem = data.outputs["solution"], data.problem
    e = 0.1 * torch.randn(u.shape, generator=torch.Generator().manual_seed(1), dtype=u.dtype) * u
    A = problem.operator(data.inputs)
    ratio = (A.mv(e.flatten(1)) * e.flatten(1)).sum(1) / (A.mv(u.flatten(1)) * u.flatten(1)).sum(1)
    energies = [problem.relative_energy(data.inputs, Batch({"solution": v})) for v in (u + e, u)]
    torch.testing.assert_close(energies[0] - energies[1], ratio, rtol=0.02, atol=0)


def test_the_gradient_of_the_error_loss_points_along_the_error():
    """With M A ≈ I the gradient is that of the distance to the solution: the angle between the two is small."""
    data = darcy(1)
    u = data.outputs["solution"]
    error = 0.1 * u * torch.linspace(-1, 1, 16, dtype=torch.float64)
    _, slope = loss_at(data, u + error, physics="error", labels=0)
    cosine = (slope * error).sum() / (slope.norm() * error.norm())
    assert cosine > 0.95


@pytest.mark.parametrize("physics", ["error", "energy"])
def test_unlabelled_solutions_are_never_looked_at(physics):
    """With labels = 2 the other outputs may be anything."""
    data = darcy()
    spoiled = data.outputs["solution"].clone()
    spoiled[2:] = torch.nan
    other = Dataset(data.problem, data.inputs, Batch({"solution": spoiled}), "spoiled")
    results = []
    for dataset in (data, other):
        learner = learner_of(data, physics=physics, labels=2)
        learner.fit(dataset, data, Trainer(TrainingConfig(steps=3, batch_size=4, validations=1)))
        results.append(learner.predict(data.inputs).mean["solution"])
    assert torch.equal(*results)


@pytest.mark.parametrize("settings", [{"physics": "error"}, {"physics": "energy"}], ids=str)
def test_the_equation_teaches_without_a_label(settings):
    data, unseen = darcy(64), darcy(16, seed=1)
    learner = learner_of(data, labels=0, **settings)
    learner.fit(data, unseen, Trainer(TrainingConfig(steps=200, learning_rate=5e-3)))
    mean = data.outputs["solution"].mean(0, keepdim=True).expand_as(unseen.outputs["solution"])
    assert learner.evaluate(unseen)["relative_l2"] < 0.5 * relative_l2(mean, unseen.outputs["solution"]).mean()


def test_labels_without_another_teacher_are_refused():
    with pytest.raises(ConfigurationError, match="labels = 3: what teaches the other samples"):
        DataMgNOConfig(labels=3)


def test_more_labels_than_samples_are_refused():
    data = darcy()
    with pytest.raises(ConfigurationError, match="labels = 9: there are only 8 training samples"):
        learner_of(data, physics="error", labels=9).fit(data, data, Trainer(TrainingConfig(steps=1)))
