"""Grid learners: normalisation, physics inside, other resolutions, saving, bad input. Tiny networks only."""

import importlib.util

import pytest
import torch

from pde_benchmarks import Batch, Darcy, FieldSpec, Grid, RecordedProblem
from pde_benchmarks.datasets import Dataset
from pde_benchmarks.metrics import relative_l2
from pde_benchmarks.problem import Points
from sciml.errors import ConfigurationError, LearnerError, RunError
from sciml.learner import load
from sciml.learners.baselines.fno import FNO, FNOConfig
from sciml.learners.baselines.unet import UNet, UNetConfig
from sciml.learners.mgno import DataMgNO, DataMgNOConfig, MgNO, MgNOConfig, PublishedMgNO, PublishedMgNOConfig
from sciml.learners.multionet import DeepONetConfig, DeepONetLearner, MultiONetConfig, MultiONetLearner
from sciml.learners.symmetries import random_symmetry
from sciml.training import Trainer, TrainingConfig

SMALL = {
    MgNO: MgNOConfig(channels=4, layers=2, levels="11 20"),
    DataMgNO: DataMgNOConfig(channels=4, layers=2, patch=2, levels="11 20"),
    PublishedMgNO: PublishedMgNOConfig(channels=4, layers=2, levels="10 20"),
    UNet: UNetConfig(channels=4, depth=1),
    MultiONetLearner: MultiONetConfig(latent=8, width=16, depth=3, aggregate=2),
    DeepONetLearner: DeepONetConfig(latent=8, width=16, depth=3),
}
if importlib.util.find_spec("neuralop"):
    SMALL[FNO] = FNOConfig(channels=4, modes=4, layers=2)


def darcy_data(n: int = 16, count: int = 8, law: str = "smooth", seed: int = 0) -> Dataset:
    problem = Darcy(law, n)
    a = problem.sample(count, torch.Generator().manual_seed(seed))
    return Dataset(problem, a, problem.solve(a), "darcy")


def fitted(kind, steps: int = 3, config=None, n: int = 16):
    data = darcy_data(n)
    learner = kind.from_problem(data.problem, config or SMALL[kind], seed=0)
    learner.fit(data, data, Trainer(TrainingConfig(steps=steps, batch_size=4, validations=1)))
    return learner, data


@pytest.mark.parametrize("kind", SMALL, ids=lambda k: k.name)
def test_fit_predict_save_load_predict(kind, tmp_path):
    learner, data = fitted(kind)
    before = learner.predict(data.inputs).mean["solution"]
    assert before.shape == data.outputs["solution"].shape
    assert before.dtype == data.inputs["coefficient"].dtype
    learner.save(tmp_path)
    again = load(tmp_path)
    assert type(again) is kind
    assert torch.equal(again.predict(data.inputs).mean["solution"], before)


@pytest.mark.parametrize("kind", SMALL, ids=lambda k: k.name)
def test_one_seed_gives_one_result(kind):
    first, data = fitted(kind)
    second, _ = fitted(kind)
    assert torch.equal(first.predict(data.inputs).mean["solution"], second.predict(data.inputs).mean["solution"])


def test_training_reduces_the_error_on_unseen_samples():
    data, unseen = darcy_data(count=64), darcy_data(count=16, seed=1)
    learner = DataMgNO.from_problem(data.problem, SMALL[DataMgNO])
    mean = data.outputs["solution"].mean(0, keepdim=True).expand_as(unseen.outputs["solution"])
    learner.fit(data, unseen, Trainer(TrainingConfig(steps=200, learning_rate=5e-3)))
    assert learner.evaluate(unseen)["relative_l2"] < 0.5 * relative_l2(mean, unseen.outputs["solution"]).mean()


@pytest.mark.parametrize("base", ["coarse", "fmg"])
def test_a_silent_network_predicts_the_base_exactly(base):
    """With the readout at zero and no V-cycles after it, the answer is the first guess."""
    learner, data = fitted(MgNO, config=MgNOConfig(base=base, post_cycles=0, channels=4, layers=1, levels="11 20"))
    with torch.no_grad():
        learner.module.network.readout.weight.zero_()
    inputs = data.inputs.to(dtype=torch.float32)
    expected = data.problem.first_guess(inputs, base)["solution"]
    torch.testing.assert_close(learner.predict(inputs).mean["solution"], expected, rtol=0, atol=0)


def test_the_loss_trains_through_the_v_cycles():
    """Gradient of a loss after two V-cycles equals its finite difference along a random direction of the weights."""
    data = darcy_data(8, 2)
    learner = MgNO.from_problem(data.problem, MgNOConfig(channels=2, layers=1, patch=1, levels="11 20", symmetry=False))
    loss = learner.objective(data.count)
    arrays = loss.prepare(data)
    learner.module.fit_statistics(*loss.statistics(arrays), centred=True)
    learner.module.double()
    arrays = {name: array.double() for name, array in arrays.items()}
    weight = learner.module.network.readout.weight
    generator = torch.Generator()
    (gradient,) = torch.autograd.grad(loss(learner.module, arrays, generator), weight)
    direction = torch.randn(weight.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    values = []
    for step in (1e-5, -1e-5):
        with torch.no_grad():
            weight += step * direction
            values.append(loss(learner.module, arrays, generator))
            weight -= step * direction
    torch.testing.assert_close((values[0] - values[1]) / 2e-5, (gradient * direction).sum(), rtol=1e-5, atol=1e-12)


def test_anchored_evaluation_at_the_training_grid_is_the_direct_one():
    learner, data = fitted(DataMgNO)
    assert torch.equal(
        learner.predict(data.inputs).mean["solution"], learner.predict_directly(data.inputs).mean["solution"]
    )


@pytest.mark.parametrize("n", [8, 32, 64])
def test_anchored_evaluation_keeps_the_error_at_other_resolutions(n):
    """The same fields at another resolution are predicted with about the error of the training grid."""
    data = darcy_data(count=64)
    learner = DataMgNO.from_problem(data.problem, SMALL[DataMgNO])
    learner.fit(data, data, Trainer(TrainingConfig(steps=60, learning_rate=5e-3)))
    other = darcy_data(n, count=64)
    prediction = learner.predict(other.inputs).mean["solution"]
    error = relative_l2(prediction, other.outputs["solution"]).mean()
    assert prediction.shape[-1] == n
    assert error < 1.3 * learner.evaluate(data)["relative_l2"] + 0.03


def test_physics_inside_does_not_lose_at_other_resolutions():
    learner, data = fitted(MgNO, steps=20)
    finer = darcy_data(32)
    error = relative_l2(learner.predict(finer.inputs).mean["solution"], finer.outputs["solution"]).mean()
    assert error < 1.15 * learner.evaluate(data)["relative_l2"]


def test_a_recorded_problem_without_alignment_asks_for_it():
    spec = [FieldSpec(name, 1, Grid((16, 16), "unknown", ("unknown", "unknown"))) for name in ("x", "y")]
    problem = RecordedProblem("file.npz", (spec[0],), (spec[1],))
    learner = DataMgNO.from_problem(problem, SMALL[DataMgNO])
    assert learner.predict(Batch({"x": torch.ones(2, 1, 16, 16)})).mean["y"].shape == (2, 1, 16, 16)
    with pytest.raises(LearnerError, match="--alignment"):
        learner.predict(Batch({"x": torch.ones(2, 1, 32, 32)}))
    learner.place("left")
    assert learner.predict(Batch({"x": torch.ones(2, 1, 32, 32)})).mean["y"].shape == (2, 1, 32, 32)
    with pytest.raises(LearnerError, match="trained on left points"):
        learner.place("cell")


def test_physics_inside_needs_an_equation():
    spec = FieldSpec("x", 1, Grid((16, 16)))
    with pytest.raises(LearnerError, match="mgno-data"):
        MgNO.from_problem(RecordedProblem("file.npz", (spec,), (spec,)))


def test_scattered_points_are_refused_in_one_sentence():
    spec = FieldSpec("x", 1, Points(2))
    assert "uniform grid" in (DataMgNO.accepts(RecordedProblem("f", (spec,), (spec,))) or "")


@pytest.mark.parametrize(
    ("field", "match"),
    [
        (torch.ones(2, 2, 16, 16), r"expected \(samples, 1"),
        (torch.ones(2, 1, 16), r"expected \(samples, 1"),
        (torch.ones(2, 1, 24, 24), "valid grids are 16×16, 32×32"),
        (torch.full((2, 1, 16, 16), torch.nan), "2 of 2 samples"),
    ],
)
def test_inputs_that_do_not_fit(field, match):
    learner, _ = fitted(DataMgNO)
    with pytest.raises(LearnerError, match=match):
        learner.predict(Batch({"coefficient": field}))


def test_a_field_of_another_name_is_named():
    learner, _ = fitted(DataMgNO)
    with pytest.raises(ValueError, match="coefficient"):
        learner.predict(Batch({"permeability": torch.ones(1, 1, 16, 16)}))


def test_empty_input_gives_empty_output():
    learner, _ = fitted(DataMgNO)
    assert learner.predict(Batch({"coefficient": torch.ones(0, 1, 16, 16)})).mean["solution"].shape == (0, 1, 16, 16)


def test_grids_that_do_not_fit_are_refused_or_padded():
    problem = Darcy(resolution=18)
    with pytest.raises(ConfigurationError, match="valid sizes"):
        DataMgNO.from_problem(problem, DataMgNOConfig(channels=4, layers=1, patch=1, levels="11 11 20", fit="exact"))
    padded = DataMgNO.from_problem(problem, DataMgNOConfig(channels=4, layers=1, patch=1, levels="11 11 20", fit="pad"))
    assert padded.predict(Batch({"coefficient": torch.ones(2, 1, 18, 18)})).mean["solution"].shape == (2, 1, 18, 18)


@pytest.mark.parametrize("kind", [DataMgNO, UNet], ids=lambda k: k.name)
@pytest.mark.parametrize("shape", [(13,), (11, 13), (5, 6, 7)])
def test_recorded_grids_of_any_size_can_be_learned(kind, shape):
    """Files come with 421, 85 or 29 points an axis; nobody has to know about halving."""
    spec = [FieldSpec(name, 1, Grid(shape, "unknown", ("unknown",) * len(shape))) for name in ("x", "y")]
    learner = kind.from_problem(RecordedProblem("file.npz", (spec[0],), (spec[1],)), SMALL[kind])
    assert learner.predict(Batch({"x": torch.ones(2, 1, *shape)})).mean["y"].shape == (2, 1, *shape)


def test_weights_of_another_shape_are_refused(tmp_path):
    learner, data = fitted(DataMgNO)
    learner.save(tmp_path)
    other = DataMgNO.from_problem(data.problem, DataMgNOConfig(channels=6, layers=2, patch=2, levels="11 20"))
    with pytest.raises(RunError, match="not the weights"):
        other.read_weights(tmp_path / "weights.safetensors")


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_symmetries_act_on_all_fields_alike_and_form_the_group(dim):
    """Every draw is one of 2, 8, 48 elements; norms are kept; two fields that are equal stay equal."""
    f = torch.arange(4**dim, dtype=torch.float64).reshape(1, 1, *[4] * dim)
    generator, seen = torch.Generator().manual_seed(0), set()
    for _ in range(600):
        moved = random_symmetry({"a": f, "b": f}, generator)
        assert torch.equal(moved["a"], moved["b"])
        seen.add(tuple(moved["a"].flatten().tolist()))
    assert len(seen) == {1: 2, 2: 8, 3: 48}[dim]


def test_two_valued_inputs_become_plus_and_minus_one():
    learner, data = fitted(DataMgNO)
    features = learner.fields.features(data.inputs)["features"]
    standard = (features - learner.module.shift) / learner.module.scale
    torch.testing.assert_close(standard.abs(), torch.ones_like(standard), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.int64, torch.complex64])
def test_numbers_of_the_wrong_kind_are_named(dtype):
    learner, data = fitted(DataMgNO)
    with pytest.raises(LearnerError, match="numbers, expected real floating-point ones"):
        learner.predict(data.inputs.to(dtype=dtype))


def test_settings_of_roll_outs_are_refused_where_nothing_evolves():
    with pytest.raises(LearnerError, match="push_forward = 2 is for problems that evolve in time, and darcy does not"):
        DataMgNO.from_problem(Darcy(resolution=16), DataMgNOConfig(channels=4, push_forward=2))
