"""The learners multionet and deeponet: training, saving, other grids, points between the grid's, bad input."""

import math
from functools import cache

import pytest
import torch
from evolutions import drift_data

from pde_benchmarks import Batch, Burgers, Darcy, FieldSpec, Grid, RecordedProblem
from pde_benchmarks.datasets import Dataset
from pde_benchmarks.metrics import relative_l2
from pde_benchmarks.problem import Complex
from sciml.errors import ConfigurationError, LearnerError
from sciml.learner import learner_types, load
from sciml.learners.multionet import DeepONetConfig, DeepONetLearner, MultiONetConfig, MultiONetLearner
from sciml.training import Trainer, TrainingConfig

SMALL = {"latent": 12, "width": 16, "depth": 3, "aggregate": 2}
BRANCHES = ("dense", "convolutional", "points")


def darcy(count=8, n=16, seed=0):
    problem = Darcy("smooth", n)
    a = problem.sample(count, torch.Generator().manual_seed(seed))
    return Dataset(problem, a, problem.solve(a), "darcy")


def fitted(data, steps=3, learning_rate=3e-3, **settings):
    learner = MultiONetLearner.from_problem(data.problem, MultiONetConfig(**{**SMALL, **settings}))
    config = TrainingConfig(steps=steps, batch_size=8, validations=1, learning_rate=learning_rate)
    learner.fit(data, data, Trainer(config))
    return learner


@cache
def on_darcy(branch="convolutional"):
    """A learner that several tests look at and none changes."""
    return fitted(darcy(), branch=branch)


def centres(n):
    line = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    return torch.cartesian_prod(line, line)


@pytest.mark.parametrize("branch", BRANCHES)
def test_training_saving_and_loading(branch, tmp_path):
    """Saved and loaded it predicts the same bits, on the grid and between its points."""
    data, learner = darcy(), on_darcy(branch)
    before = learner.predict(data.inputs).mean["solution"]
    assert before.shape == data.outputs["solution"].shape
    assert before.dtype == torch.float64
    learner.save(tmp_path)
    again = load(tmp_path)
    points = torch.rand(9, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again.predict(data.inputs).mean["solution"], before)
    between = [each.predict_at(data.inputs, points).mean["solution"] for each in (learner, again)]
    assert torch.equal(*between)


@pytest.mark.parametrize("branch", BRANCHES)
def test_two_samples_are_learned_by_heart(branch):
    data = darcy(2)
    sizes = {"latent": 16, "width": 40, "depth": 4, "aggregate": 3}
    learner = fitted(data, 120, 7e-3, branch=branch, symmetry=False, h1_weight=0.0, **sizes)
    assert learner.evaluate(data)["relative_l2"] < 0.05


def test_deeponet_is_multionet_of_the_last_layer(tmp_path):
    """The same seed and aggregate = 1 give the same network and the same answer."""
    data = darcy()
    sizes = {"latent": 12, "width": 16, "depth": 3}
    deep = DeepONetLearner.from_problem(data.problem, DeepONetConfig(**sizes), seed=3)
    multi = MultiONetLearner.from_problem(data.problem, MultiONetConfig(aggregate=1, **sizes), seed=3)
    assert torch.equal(deep.predict(data.inputs).mean["solution"], multi.predict(data.inputs).mean["solution"])
    assert deep.parameter_count == multi.parameter_count
    assert learner_types()["deeponet"] is DeepONetLearner
    assert learner_types()["multionet"] is MultiONetLearner
    deep.save(tmp_path)
    assert type(load(tmp_path)) is DeepONetLearner


@pytest.mark.parametrize("branch", BRANCHES)
def test_the_grid_is_nothing_but_points(branch):
    """`predict_at` at the grid's points is `predict`, whatever their order."""
    data, learner = darcy(), on_darcy(branch)
    on_grid = learner.predict(data.inputs).mean["solution"]
    order = torch.randperm(256, generator=torch.Generator().manual_seed(0))
    at = learner.predict_at(data.inputs, centres(16)[order]).mean["solution"]
    assert at.shape == (8, 256, 1)
    torch.testing.assert_close(at[..., 0], on_grid.flatten(1)[:, order], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("branch", BRANCHES)
@pytest.mark.parametrize("n", [8, 32])
def test_another_grid_is_answered_at_its_own_points(n, branch):
    """On n × n cells the field is the one that `predict_at` gives in their centres; no spline between."""
    learner, other = on_darcy(branch), darcy(n=n)
    field = learner.predict(other.inputs).mean["solution"]
    at = learner.predict_at(other.inputs, centres(n)).mean["solution"]
    assert field.shape == (8, 1, n, n)
    torch.testing.assert_close(field.flatten(2).mT, at, rtol=0, atol=0)
    if branch == "points":
        own = learner.predict_directly(other.inputs).mean["solution"]
        torch.testing.assert_close(own, field, rtol=1e-5, atol=1e-7)
    else:
        with pytest.raises(LearnerError, match=f"grid {n}×{n}: the {branch} branch reads fields on 16×16 points"):
            learner.predict_directly(other.inputs)


@pytest.mark.parametrize("branch", BRANCHES)
def test_other_resolutions_keep_the_error(branch):
    data, finer = darcy(32), darcy(32, 32)
    learner = fitted(data, steps=60, branch=branch)
    error = relative_l2(learner.predict(finer.inputs).mean["solution"], finer.outputs["solution"]).mean()
    assert error < 1.2 * learner.evaluate(data)["relative_l2"] + 0.03


def test_a_branch_over_points_reads_grids_that_are_no_refinement():
    learner = on_darcy("points")
    answer = learner.predict(Batch({"coefficient": torch.full((2, 1, 11, 13), 3.0)})).mean["solution"]
    assert answer.shape == (2, 1, 11, 13)
    assert answer.dtype == torch.float32
    with pytest.raises(LearnerError, match="valid grids are 16×16, 32×32"):
        on_darcy().predict(Batch({"coefficient": torch.full((2, 1, 11, 13), 3.0)}))


@pytest.mark.parametrize("branch", BRANCHES)
@pytest.mark.parametrize("shape", [(13,), (11, 13), (5, 6, 7)])
def test_recorded_grids_of_any_size_and_dimension_can_be_learned(branch, shape):
    """Two input channels, two output channels, one to three axes."""
    grid = Grid(shape, "vertex")
    problem = RecordedProblem("f", (FieldSpec("x", 2, grid),), (FieldSpec("y", 2, grid),))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, 2, *shape, generator=generator)
    data = Dataset(problem, Batch({"x": x}), Batch({"y": x.flip(1)}), "f")
    learner = fitted(data, branch=branch)
    assert learner.predict(data.inputs).mean["y"].shape == x.shape
    points = torch.rand(5, len(shape), generator=generator)
    assert learner.predict_at(data.inputs, points).mean["y"].shape == (6, 5, 2)


def test_complex_fields_are_answered_between_the_points():
    grid = Grid((6, 8), "left", ("periodic", "periodic"))
    problem = RecordedProblem("f", (FieldSpec("a", 1, grid),), (FieldSpec("u", 1, grid, kind=Complex()),))
    inputs = Batch({"a": torch.randn(2, 1, 6, 8, dtype=torch.float64)})
    learner = MultiONetLearner.from_problem(problem, MultiONetConfig(**SMALL))
    points = torch.cartesian_prod(*[grid.points(axis) for axis in range(2)])
    at = learner.predict_at(inputs, points).mean["u"]
    assert at.dtype == torch.complex128
    torch.testing.assert_close(at.mT.unflatten(2, grid.shape), learner.predict(inputs).mean["u"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("physics", ["error", "energy"])
def test_the_equation_teaches_without_looking_at_labels(physics):
    """NaN solutions change nothing; the error on them shrinks."""
    data = darcy(32)
    blind = Dataset(data.problem, data.inputs, Batch({"solution": torch.full((32, 1, 16, 16), math.nan)}), "blind")
    learner = MultiONetLearner.from_problem(data.problem, MultiONetConfig(**SMALL, physics=physics, labels=0))
    before = learner.evaluate(data)["relative_l2"]
    learner.fit(blind, data, Trainer(TrainingConfig(steps=60, batch_size=8, validations=1, learning_rate=5e-3)))
    assert learner.evaluate(data)["relative_l2"] < 0.5 * before


@pytest.mark.parametrize("branch", BRANCHES)
def test_a_correction_of_multigrid_is_anchored(branch):
    """With a base the answer belongs to a grid: another one is anchored, or for points predicted there."""
    data, finer = darcy(), darcy(n=32)
    learner = fitted(data, branch=branch, base="fmg", post_cycles=1)
    error = relative_l2(learner.predict(finer.inputs).mean["solution"], finer.outputs["solution"]).mean()
    assert error < 0.1
    with pytest.raises(LearnerError, match="a correction of base=fmg"):
        learner.predict_at(data.inputs, torch.rand(3, 2))


def test_error_bars_cover_unseen_values_as_they_cover_held_out_ones(tmp_path):
    """Calibrated by likelihood on held-out samples; errors of one size a sample are no Gaussians, so 0.9 is a floor."""
    config = MultiONetConfig(latent=16, width=32, depth=4, aggregate=3, uncertainty="laplace")
    learner = MultiONetLearner.from_problem(Darcy(resolution=16), config)
    training = TrainingConfig(steps=120, batch_size=8, validations=1, learning_rate=5e-3)
    held_out, unseen = darcy(64, seed=1), darcy(64, seed=2)
    learner.fit(darcy(64), held_out, Trainer(training))
    coverage = learner.evaluate(unseen)["coverage_90"]
    assert coverage > 0.88
    assert coverage == pytest.approx(learner.evaluate(held_out)["coverage_90"], abs=0.03)
    learner.save(tmp_path)
    std = learner.predict(unseen.inputs).std["solution"]
    assert torch.equal(load(tmp_path).predict(unseen.inputs).std["solution"], std)
    assert learner.predict(darcy(2, 32).inputs).std["solution"].shape == (2, 1, 32, 32)


def test_evolutions_are_rolled_out():
    """Thirty-two trajectories teach it to beat standing still; a longer roll-out begins with the shorter one."""
    data, unseen = drift_data(32), drift_data(8, seed=1)
    learner = fitted(data, 120, 7e-3, width=32, latent=48, unroll=2)
    still = unseen.inputs["initial_density"][:, None].expand_as(unseen.outputs["density"])
    standing = relative_l2(still.flatten(1, 2), unseen.outputs["density"].flatten(1, 2)).mean()
    assert learner.evaluate(unseen)["relative_l2"] < 0.9 * standing
    longer = learner.roll_out(data.inputs, 6).mean["density"]
    assert torch.equal(longer[:, :4], learner.predict(data.inputs).mean["density"])
    with pytest.raises(LearnerError, match="a correction of the frame before"):
        learner.predict_at(data.inputs, torch.rand(3, 2))


def test_one_dimension_and_time():
    problem = Burgers(resolution=32)
    inputs = problem.sample(4, torch.Generator().manual_seed(0))
    learner = MultiONetLearner.from_problem(problem, MultiONetConfig(**SMALL))
    outputs = problem.solve(inputs)
    for name, field in learner.predict(inputs).mean.items():
        assert field.shape == outputs[name].shape


def test_no_samples_and_no_points():
    learner = on_darcy()
    none = Batch({"coefficient": torch.ones(0, 1, 16, 16)})
    assert learner.predict(none).mean["solution"].shape == (0, 1, 16, 16)
    assert learner.predict_at(none, torch.rand(5, 2)).mean["solution"].shape == (0, 5, 1)
    assert learner.predict_at(darcy().inputs, torch.rand(0, 2)).mean["solution"].shape == (8, 0, 1)


@pytest.mark.parametrize(
    ("points", "match"),
    [
        (torch.tensor([[0.5, 0.5], [1.5, 0.5], [0.1, -0.1]]), r"2 of 3 points lie outside .* \(indices 1, 2\)"),
        (torch.tensor([[0.5, torch.nan]]), r"1 of 1 points lie outside .* \(indices 0\)"),
        (torch.rand(3, 3), r"points of shape \(3, 3\)"),
        (torch.ones(3, 2, dtype=torch.int64), "expected real floating-point"),
    ],
)
def test_points_outside_the_domain_are_listed(points, match):
    with pytest.raises(LearnerError, match=match):
        on_darcy().predict_at(darcy().inputs, points)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"aggregate": 4}, "aggregate = 4: between 1 and the 3 layers"),
        ({"aggregate": 0}, "aggregate = 0"),
        ({"latent": 0}, "latent = 0"),
        ({"branch": "transformer"}, "branch = 'transformer': use one of dense, convolutional, points"),
        ({"trunk_activation": "relu"}, "use one of tanh_sin, silu_sin, silu_identity"),
    ],
)
def test_settings_that_do_not_fit(settings, match):
    with pytest.raises(ConfigurationError, match=match):
        MultiONetConfig(**{**SMALL, **settings})


def test_deeponet_refuses_to_aggregate():
    with pytest.raises(ConfigurationError, match="use the learner multionet"):
        DeepONetConfig(aggregate=3)
