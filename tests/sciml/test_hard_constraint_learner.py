"""Learners with a constraint: no labels, the equation solved in every prediction, and the same networks without it."""

import math
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import constraint_jobs
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pde_benchmarks import Darcy, NavierStokes
from pde_benchmarks.datasets import Dataset
from pde_benchmarks.diffusion_sorption import DiffusionSorption, DiffusionSorptionHard
from pde_benchmarks.interval import BurgersField
from pde_benchmarks.metrics import relative_l2
from pde_benchmarks.navier_stokes import DecayingFlow
from pde_benchmarks.problem import Batch
from pde_benchmarks.registry import configure
from sciml.commands.experts import with_experts
from sciml.errors import ConfigurationError, LearnerError
from sciml.learner import load
from sciml.learners.hard_constraints.constrained_learner import _warn_of_failures
from sciml.learners.hard_constraints.expert_counts import boxes_per_axis, parse_experts
from sciml.learners.hard_constraints.fixed_basis import FixedBasisConfig, FixedBasisLearner
from sciml.learners.hard_constraints.learner import HardConstraintConfig, HardConstraintLearner
from sciml.learners.hard_constraints.networks import NETWORKS
from sciml.learners.hard_constraints.residual_size import relative_size, residual_mean_square
from sciml.learners.hard_constraints.soft import SoftConstraintConfig, SoftConstraintLearner
from sciml.learners.hard_constraints.spectral_network import SpectralConvolution
from sciml.training import Trainer, TrainingConfig, TrainingInterrupted
from solvers.status import Status

sys.path.append(str(Path(__file__).parent.parent / "solvers"))
from distributed_world import World

COLUMN = DiffusionSorption(resolution=16, frames=7)
PROBLEMS = [
    COLUMN,
    DiffusionSorptionHard(resolution=16, frames=7),
    BurgersField(resolution=33, frames=5, viscosity=0.3),
    Darcy(resolution=16),
]
SMALL = {"functions": 4, "channels": 8, "layers": 2}


def data(problem, count=6, seed=0):
    inputs = problem.sample(count, torch.Generator().manual_seed(seed))
    return Dataset(problem, inputs, problem.solve(inputs), "samples")


def hard(problem=COLUMN, seed=0, **chosen):
    return HardConstraintLearner.from_problem(problem, HardConstraintConfig(**{**SMALL, **chosen}), seed)


def soft(problem=COLUMN, **chosen):
    return SoftConstraintLearner.from_problem(problem, SoftConstraintConfig(channels=8, layers=2, **chosen))


def trained(learner, dataset=None, steps=4, **options):
    dataset = data(learner.problem) if dataset is None else dataset
    trainer = Trainer(TrainingConfig(steps=steps, batch_size=3, learning_rate=3e-3, **options))
    return learner, learner.fit(dataset, data(learner.problem, 2, 1), trainer)


def unlabelled(dataset, beyond=0):
    (field,) = (f.clone() for f in dataset.outputs.values())
    field[beyond:] = math.nan
    return replace(dataset, outputs=Batch(dict.fromkeys(dataset.outputs, field)))


def weights(learner):
    return torch.cat([p.detach().flatten() for p in learner.module.parameters()])


@pytest.mark.parametrize(
    "learner",
    [lambda: hard(), lambda: hard(experts="1 2", coupling="independent"), lambda: soft(), lambda: soft(loss="plain")],
)
def test_labels_are_never_read(learner):
    """Solutions that are NaN change no weight."""
    dataset = data(COLUMN)
    (one, _), (other, _) = trained(learner(), dataset), trained(learner(), unlabelled(dataset))
    assert torch.equal(weights(one), weights(other))


def test_only_the_labels_asked_for_are_read():
    """labels = 2: solutions from the third on may be NaN; those of the first two change the weights."""
    dataset = data(COLUMN)
    (one, _) = trained(hard(labels=2), dataset)
    (other, _) = trained(hard(labels=2), unlabelled(dataset, 2))
    assert torch.equal(weights(one), weights(other))
    (none, _) = trained(hard(), dataset)
    assert not torch.equal(weights(one), weights(none))


@pytest.mark.parametrize("make", [hard, soft], ids=["hard", "soft"])
def test_training_makes_the_residual_smaller(make):
    """Relative ‖Ã⁻¹r‖ after training ≤ 0.7 of that before, on samples never seen."""
    dataset, test = data(COLUMN, 12), data(COLUMN, 4, 5)
    learner = make()
    before = learner.evaluate(test)["residual_error_norm"]
    trained(learner, dataset, steps=40)
    assert learner.evaluate(test)["residual_error_norm"] <= 0.7 * before


def test_the_constraint_beats_the_same_network_without():
    """After equally many steps the hard residual is below the soft one."""
    dataset, test = data(COLUMN, 12), data(COLUMN, 4, 5)
    (one, _), (other, _) = trained(hard(), dataset, 10), trained(soft(), dataset, 10)
    assert one.evaluate(test)["residual_error_norm"] < other.evaluate(test)["residual_error_norm"]


@pytest.mark.parametrize("norm", ["error", "plain"])
def test_a_solution_in_the_span_is_recovered(norm):
    """offset + envelope · (b w) = u for one b: residual and error vanish."""
    inputs = COLUMN.sample(2, torch.Generator().manual_seed(3))
    learner = hard(norm=norm, closed_forms=False, functions=3)
    truth = COLUMN.discrete_solution(inputs)["solution"]
    fields, envelope = learner.fields, learner.fields.envelope(inputs)
    missing = (truth[:, 0] - fields.offset(inputs)) / torch.where(envelope > 0, envelope, 1)
    functions = torch.stack([missing, torch.cos(missing), missing * truth[:, 0]], 1)
    learner.basis = lambda rows: functions * envelope.unsqueeze(1)
    prediction = learner.predict(inputs).mean["solution"]
    assert relative_l2(prediction, truth).max() < 1e-8


def test_closed_forms_only_lower_the_objective_of_a_linear_problem():
    """A larger span has no larger minimum."""
    problem = Darcy(resolution=16)
    inputs = problem.sample(3, torch.Generator().manual_seed(0))
    few, many = (next(iter(hard(problem, closed_forms=c).solved(inputs))).field for c in (False, True))
    assert bool((many.objective() <= few.objective() * (1 + 1e-9)).all())
    assert many.weights.shape[-1] == few.weights.shape[-1] + 4


def test_the_fixed_basis_learns_nothing_and_solves():
    """Closed forms alone: no parameter, no step, an error of per cents."""
    learner = FixedBasisLearner.from_problem(COLUMN, FixedBasisConfig(experts="1 2"))
    history = learner.fit(unlabelled(data(COLUMN)), data(COLUMN, 2, 1), Trainer(TrainingConfig(steps=3)))
    assert history.steps == 0
    assert learner.parameter_count == 0
    floor = COLUMN.metrics(COLUMN.discrete_solution(data(COLUMN, 2, 1).inputs), data(COLUMN, 2, 1).outputs)[
        "relative_l2"
    ]
    assert history.validation_error <= 1.5 * floor


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
def test_every_network_fits_every_problem(network, problem):
    """One step of training, a finite prediction of the problem's shape and dtype."""
    dataset = data(problem, 3)
    (learner, history) = trained(hard(problem, network=network), dataset, 1)
    inputs = dataset.inputs.to(dtype=torch.float32)
    (name,) = dataset.outputs
    prediction = learner.predict(inputs).mean[name]
    assert prediction.shape == dataset.outputs[name].shape
    assert prediction.dtype == torch.float32
    assert math.isfinite(history.rows[-1]["train_loss"])


def test_a_flow_of_two_dimensions_and_time_is_learned():
    """Three axes: spectral and pointwise networks, four boxes of space."""
    problem = DecayingFlow(resolution=8, frames=4, carried_points=4)
    dataset = data(problem, 2)
    for chosen in ({"network": "fno"}, {"network": "mlp", "experts": 4}):
        learner, _ = trained(hard(problem, **chosen), dataset, 1)
        assert learner.evaluate(dataset)["relative_l2"] < 1
    assert learner.router.counts == (1, 2, 2)


@pytest.mark.parametrize(
    "learner",
    [
        hard(experts="1 2"),
        soft(loss="data"),
        FixedBasisLearner.from_problem(COLUMN, FixedBasisConfig(experts=2, norm="plain")),
    ],
    ids=["hard", "soft", "fixed"],
)
def test_a_saved_learner_predicts_the_same(learner, tmp_path):
    """load(save(learner)) predicts bit for bit the same."""
    trained(learner, steps=2)
    learner.save(tmp_path)
    inputs = COLUMN.sample(2, torch.Generator().manual_seed(9))
    again = load(tmp_path)
    assert torch.equal(again.predict(inputs).mean["solution"], learner.predict(inputs).mean["solution"])


def test_seeds_decide_the_weights():
    """Equal seeds, equal networks; others, others."""
    assert torch.equal(weights(hard(seed=1)), weights(hard(seed=1)))
    assert not torch.equal(weights(hard(seed=1)), weights(hard(seed=2)))


def test_an_interrupted_training_goes_on_exactly(tmp_path):
    """Stopped after two steps and resumed = not stopped; rows drawn at random are drawn alike."""
    dataset, config = data(COLUMN), TrainingConfig(steps=4, batch_size=3, checkpoint_seconds=0)
    whole, broken = hard(points=60), hard(points=60)
    whole.fit(dataset, dataset.rows(slice(0, 1)), Trainer(config))

    def stop(progress):
        if progress.step == 2:
            raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, TrainingInterrupted)):
        broken.fit(dataset, dataset.rows(slice(0, 1)), Trainer(config, tmp_path, stop))
    resumed = hard(points=60)
    resumed.fit(dataset, dataset.rows(slice(0, 1)), Trainer(config, tmp_path))
    assert torch.equal(weights(resumed), weights(whole))


def test_batches_do_not_change_predictions():
    """Samples are solved each by itself."""
    learner, inputs = hard(), COLUMN.sample(5, torch.Generator().manual_seed(2))
    one, all_of_them = (learner.predict(inputs, batch_size=n).mean["solution"] for n in (1, 5))
    torch.testing.assert_close(one, all_of_them, rtol=1e-5, atol=1e-6)
    assert learner.predict(inputs.rows(slice(0, 0))).mean["solution"].shape == (0, 1, 7, 16)


@pytest.mark.parametrize("norm", ["error", "plain"])
def test_the_solved_objective_is_the_residual_of_the_field(norm):
    """One solve with all rows: 2 · objective = mean square of the residual of the field; the error norm's Ã may lag."""
    inputs = COLUMN.sample(2, torch.Generator().manual_seed(0))
    learner = hard(norm=norm, updates=12)
    field = next(iter(learner.solved(inputs))).field
    again = residual_mean_square(learner.fields.residual(inputs), field.values, norm)
    torch.testing.assert_close(2 * field.objective()[:, 0], again, rtol=1e-3, atol=1e-12)


def test_what_is_measured_beside_the_error():
    """Residuals in both norms, convergence, condition, the jump between experts and their load."""
    numbers = hard(experts="1 3", coupling="independent").evaluate(data(COLUMN, 2))
    assert {"residual_error_norm", "residual_plain_norm", "converged", "condition", "interface_jump"} <= set(numbers)
    assert numbers["load_imbalance"] == pytest.approx(6 * 3 / 16)
    assert numbers["converged"] == 1
    assert hard(experts="1 3").evaluate(data(COLUMN, 2))["converged"] == 1


def test_a_lower_bound_holds():
    """u ≥ 0.05 everywhere, though the equation wants less."""
    inputs = COLUMN.sample(2, torch.Generator().manual_seed(0))
    assert hard(lower_bound=0.05).predict(inputs).mean["solution"].min() >= 0.05


def test_failures_are_named():
    """Samples whose solve did not converge are listed by their numbers."""
    status = torch.tensor([[Status.CONVERGED], [Status.MAX_ITERATIONS]], dtype=torch.int8)
    part = SimpleNamespace(first=8, field=SimpleNamespace(status=status))
    with pytest.warns(RuntimeWarning, match=r"1 of 10 samples did not converge \(samples 9\)"):
        _warn_of_failures([part], 10)


@given(counts=st.lists(st.integers(1, 6), min_size=2, max_size=3), time=st.booleans())
@settings(deadline=None, max_examples=20)
def test_experts_are_read_in_any_writing(counts, time):
    """'1 4', '1x4', '1,4' are the same; a single number becomes boxes whose product it is, none of them in time."""
    shape = (64,) * len(counts)
    for join in (" ", "x", ","):
        assert boxes_per_axis(join.join(map(str, counts)), shape, time) == tuple(counts)
    total = math.prod(counts)
    if total <= 32:
        found = boxes_per_axis(total, shape, time)
        assert math.prod(found) == total
        assert not time or found[0] == 1


def test_weights_of_longest_waves_are_used_on_any_grid():
    """A field of few waves is mapped to the same function on every grid that resolves the modes."""
    layer = SpectralConvolution(2, (3, 3))

    def answer(n):
        x = torch.arange(n) / n * 2 * math.pi
        wave = torch.sin(x)[:, None] + torch.cos(2 * x[:, None] - x[None])
        return layer(torch.stack([wave, wave.square()])[None])

    torch.testing.assert_close(answer(32)[..., ::2, ::2], answer(16), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"experts": 0}, "experts = 0: a number of experts such as 8"),
        ({"experts": "one"}, "experts = 'one'"),
        ({"experts": "1 2 3"}, "boxes along 3 axes, but the grid 7×16 has 2"),
        ({"experts": 9}, "9 boxes along axis 1 of the grid 7×16, where at most 8"),
        ({"network": "resnet"}, "network = 'resnet': use one of fno, mlp"),
        ({"norm": "h1"}, "norm = 'h1'"),
        ({"coupling": "loose"}, "coupling = 'loose'"),
        ({"functions": 0}, "functions = 0"),
        ({"functions": 5000}, r"basis functions, but a solve on the grid \(7, 16\) has 112 rows: use fewer functions"),
        ({"functions": 20, "experts": 8}, "basis functions for each of 8 coupled experts"),
        ({"points": 9}, "has 9 rows: use fewer functions or experts, more points, or"),
        ({"lower_bound": math.nan}, "lower_bound = nan: expected a finite number"),
        ({"layers": 0}, "layers = 0"),
        ({"overlap": 2.0}, "overlap = 2.0"),
        ({"overlap": 0.0, "experts": 2}, "coupled experts need one above 0"),
        ({"updates": -1}, "updates = -1"),
        ({"labels": math.inf}, "labels = inf"),
        ({"parallel": "threads"}, "parallel = 'threads'"),
        ({"parallel": "experts"}, "with one solve: use experts=2 or more"),
    ],
)
def test_bad_settings_are_refused(chosen, message):
    """A message says what was found and what is expected."""
    with pytest.raises(ConfigurationError, match=message):
        hard(**chosen)


def test_a_refusal_names_the_problem_that_is_meant():
    assert HardConstraintLearner.accepts(NavierStokes()).endswith("; use navier-stokes-decay.")
    assert HardConstraintLearner.accepts(DecayingFlow()) is None


def test_unknown_settings_are_refused():
    """Keys that nobody reads are named."""
    with pytest.raises(ConfigurationError, match="unknown key 'expert'"):
        configure(HardConstraintConfig, {"expert": 4})
    with pytest.raises(ConfigurationError, match="loss = 'energy'"):
        soft(loss="energy")


def test_problems_without_terms_are_refused():
    """accepts() says why."""
    for kind in (HardConstraintLearner, SoftConstraintLearner, FixedBasisLearner):
        with pytest.raises(LearnerError, match="gives no `termwise` residual"):
            kind.from_problem(NavierStokes(resolution=16))


def test_a_network_with_too_few_outputs_is_refused():
    """Two outputs for four functions."""
    learner = hard()
    learner.module = nn.Conv2d(4, 2, 1)
    with pytest.raises(LearnerError, match=r"network answers with shape \(2, 2, 7, 16\), expected \(2, 4, 7, 16\)"):
        learner.predict(COLUMN.sample(2, torch.Generator()))


def test_any_other_network_may_take_the_place():
    """A module from coordinates to functions is all that is needed."""
    learner = hard()
    learner.module = nn.Conv2d(4, 4, 3, padding=1)
    _, history = trained(learner, steps=2)
    assert history.steps == 2


def test_more_functions_than_rows_are_refused():
    """Known where the learner is built, and on a coarser grid as it predicts."""
    with pytest.raises(ConfigurationError, match=r"12 basis functions, but a solve on the grid .* has 8 rows"):
        hard(points=8)
    coarse = replace(COLUMN, resolution=8, frames=2).sample(1, torch.Generator())
    with pytest.raises(LearnerError, match="16 rows for 24 basis functions"):
        hard(functions=16).predict(coarse)


@pytest.mark.parametrize("make", [hard, soft], ids=["hard", "soft"])
def test_bad_inputs_are_refused(make):
    """NaN, and a missing axis; too many labels."""
    learner, inputs = make(), COLUMN.sample(2, torch.Generator())["initial"]
    spoilt = inputs.clone()
    spoilt[1, 0, 2, 3] = math.nan
    with pytest.raises(LearnerError, match=r"initial: 1 of 2 samples hold NaN or infinity \(first: \[1\]\)"):
        learner.predict(Batch({"initial": spoilt}))
    with pytest.raises(LearnerError, match=r"array of shape \(1, 7, 16\)"):
        learner.predict(Batch({"initial": inputs[0]}))
    with pytest.raises(LearnerError, match="NaN"):
        trained(learner, replace(data(COLUMN, 2), inputs=Batch({"initial": spoilt})))


def test_more_labels_than_samples_are_refused():
    """labels = 9 of 6."""
    with pytest.raises(ConfigurationError, match="labels = 9: there are only 6 training samples"):
        trained(hard(labels=9))


def test_a_field_of_equal_rows_has_their_size():
    """relative_size is √(mean square) over the field's root mean square."""
    field = torch.full((1, 2, 2), 2.0, dtype=torch.float64)
    assert relative_size(torch.tensor([0.04], dtype=torch.float64), field).item() == pytest.approx(0.1)


@pytest.mark.parametrize("parallel", ["samples", "experts"])
@pytest.mark.parametrize("coupling", ["independent", "coupled"])
def test_two_processes_have_the_loss_and_gradient_of_one(world, parallel, coupling):
    """Samples or experts shared by two processes: equal to 1e-8 in float64."""
    loss, gradient = constraint_jobs.first_gradient(None, coupling)
    for other_loss, other in world.run(constraint_jobs.first_gradient, parallel, coupling):
        assert other_loss == pytest.approx(loss, rel=1e-8)
        torch.testing.assert_close(torch.tensor(other), torch.tensor(gradient), rtol=1e-6, atol=1e-8 * max(gradient))


@pytest.fixture(scope="module")
def world():
    running = World(2)
    yield running
    running.stop()


def test_experts_of_the_command_line():
    """--experts sets the learner's field; learners without are refused, with those that have some."""
    assert with_experts("hard-constraint", {}, "8") == {"experts": 8}
    assert with_experts("fixed-basis", {"norm": "plain"}, "1 4") == {"norm": "plain", "experts": "1 4"}
    with pytest.raises(ConfigurationError, match="unet has no experts; learners with: fixed-basis, hard-constraint"):
        with_experts("unet", {}, "8")
    with pytest.raises(ConfigurationError, match="give one of them"):
        with_experts("hard-constraint", {"experts": 2}, "8")
    assert parse_experts("2x2") == (2, 2)
