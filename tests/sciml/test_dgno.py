"""DGNO: the equation as teacher, one latent vector for input and solution, and inversion in it."""

import math

import pytest
import torch

from pde_benchmarks import Darcy
from pde_benchmarks.datasets import Dataset
from pde_benchmarks.media import SmoothDarcy, ThreePhaseDarcy, TwoPhaseDarcy
from pde_benchmarks.metrics import relative_l2
from pde_benchmarks.problem import Batch
from pde_benchmarks.sensors import Sensors
from sciml.errors import ConfigurationError, LearnerError
from sciml.inference import Observation
from sciml.inverse import invert
from sciml.learner import load
from sciml.learners.dgno import DGNO, DGNOConfig
from sciml.learners.dgno.inversion import DecodedFields
from sciml.learners.dgno.likelihoods import BernoulliLikelihood, CategoricalLikelihood, GaussianLikelihood
from sciml.training import Trainer, TrainingConfig

SMALL = {"latent": 8, "width": 16, "depth": 3, "aggregate": 2, "coefficient_width": 16}


def data(problem, count=12, seed=0):
    inputs = problem.sample(count, torch.Generator().manual_seed(seed)).to(dtype=torch.float32)
    return Dataset(problem, inputs, problem.solve(inputs), "media")


def fitted(problem, steps=8, dataset=None, **settings):
    learner = DGNO.from_problem(problem, DGNOConfig(**{**SMALL, **settings}))
    dataset = data(problem) if dataset is None else dataset
    trainer = Trainer(TrainingConfig(steps=steps, batch_size=4, learning_rate=5e-3))
    learner.fit(dataset, data(problem, 4, 1), trainer)
    return learner


def unlabelled(dataset):
    nothing = {name: torch.full_like(field, math.nan) for name, field in dataset.outputs.items()}
    return Dataset(dataset.problem, dataset.inputs, Batch(nothing), dataset.name)


@pytest.mark.parametrize("residual", ["energy", "weak", "mixed", "strong"])
def test_training_by_the_equation_never_reads_a_solution(residual):
    """NaN in place of every label changes no weight."""
    problem = TwoPhaseDarcy(resolution=9)
    whole = fitted(problem, residual=residual)
    blind = fitted(problem, residual=residual, dataset=unlabelled(data(problem)))
    for one, other in zip(whole.module.parameters(), blind.module.parameters(), strict=True):
        assert torch.equal(one, other)
        assert one.isfinite().all()


def test_labels_of_the_first_samples_are_used_and_no_others():
    problem = TwoPhaseDarcy(resolution=9)
    dataset = data(problem)
    some = unlabelled(dataset).outputs["solution"].clone()
    some[:3] = dataset.outputs["solution"][:3]
    partly = Dataset(problem, dataset.inputs, Batch({"solution": some}), "partly")
    one, other = fitted(problem, labels=3), fitted(problem, labels=3, dataset=partly)
    none = fitted(problem)
    first = [next(learner.module.solutions.parameters()) for learner in (one, other, none)]
    assert torch.equal(first[0], first[1])
    assert not torch.equal(first[0], first[2])


def test_one_medium_is_solved_by_the_energy_alone():
    """a = 1 everywhere: the minimiser of the energy is the solution."""
    problem = SmoothDarcy(resolution=13)
    inputs = Batch({"coefficient": torch.full((4, 1, 13, 13), 1.0)})
    dataset = Dataset(problem, inputs, problem.solve(inputs), "one")
    learner = DGNO.from_problem(problem, DGNOConfig(**{**SMALL, "width": 32, "latent": 4}, reconstruction_weight=0.0))
    trainer = Trainer(TrainingConfig(steps=300, batch_size=4, learning_rate=5e-3))
    trainer.fit(learner.module, learner.objective(), {"coefficient": inputs["coefficient"]})
    assert relative_l2(learner.predict(inputs).mean["solution"], dataset.outputs["solution"]).max() < 0.02


@pytest.mark.parametrize(
    "problem", [TwoPhaseDarcy(resolution=9), ThreePhaseDarcy(resolution=9), SmoothDarcy(resolution=9)]
)
def test_every_kind_of_medium_is_predicted_reconstructed_and_drawn(problem, tmp_path):
    learner = fitted(problem)
    inputs = data(problem, 3, 2).inputs
    answer = learner.predict(inputs).mean["solution"]
    assert answer.shape == (3, 1, 9, 9)
    assert answer[..., 0, :].abs().max() == 0  # the boundary value, to the last digit
    assert learner.reconstruct(inputs)["coefficient"].shape == (3, 1, 9, 9)
    pairs = learner.sample_prior(5, torch.Generator().manual_seed(0))
    problem.check(
        Batch({"coefficient": pairs["coefficient"].clamp_min(0.1)}) if isinstance(problem, SmoothDarcy) else pairs
    )
    learner.save(tmp_path)
    assert torch.equal(load(tmp_path).predict(inputs).mean["solution"], answer)


def test_the_same_seed_gives_the_same_learner():
    problem = TwoPhaseDarcy(resolution=9)
    one, other = (fitted(problem, posterior="gaussian") for _ in range(2))
    inputs = data(problem, 2, 3).inputs
    assert torch.equal(one.predict(inputs).mean["solution"], other.predict(inputs).mean["solution"])


def test_symmetries_multiply_the_media_of_every_batch():
    """One medium that no symmetry leaves as it is: another loss in every draw; without symmetries only the points."""
    problem = TwoPhaseDarcy(resolution=9)
    inputs = data(problem, 1).inputs
    losses = {}
    for symmetry in (True, False):
        learner = DGNO.from_problem(problem, DGNOConfig(**SMALL, symmetry=symmetry, residual_weight=1e-12))
        learner.module.fit_statistics(inputs["coefficient"])
        objective = learner.objective()
        draws = [objective(learner.module, dict(inputs), torch.Generator().manual_seed(s)).item() for s in range(6)]
        losses[symmetry] = {round(value, 5) for value in draws}
    assert len(losses[True]) > 1
    assert len(losses[False]) == 1


def test_a_gaussian_encoder_has_error_bars():
    learner = fitted(TwoPhaseDarcy(resolution=9), posterior="gaussian")
    prediction = learner.predict(data(learner.problem, 2, 3).inputs)
    assert prediction.std is not None
    assert (prediction.std["solution"][..., 1:-1, 1:-1] > 0).all()
    assert prediction.samples is not None
    drawn = prediction.samples["solution"]
    assert drawn.shape[0] == 2
    assert drawn.shape[2:] == (1, 9, 9)
    torch.testing.assert_close(drawn.mean(1), prediction.mean["solution"])


def test_the_answer_at_the_nodes_is_the_answer_on_the_grid():
    learner = fitted(TwoPhaseDarcy(resolution=9))
    inputs = data(learner.problem, 2, 3).inputs
    points = torch.cartesian_prod(*[learner.problem.grid.points(axis) for axis in (0, 1)])
    at_points = learner.predict_at(inputs, points).mean["solution"]
    torch.testing.assert_close(at_points.mT.reshape(2, 1, 9, 9), learner.predict(inputs).mean["solution"])


def test_no_samples_have_no_answer():
    learner = fitted(TwoPhaseDarcy(resolution=9))
    assert learner.predict(data(learner.problem).inputs.rows(slice(0, 0))).mean["solution"].shape == (0, 1, 9, 9)


def test_a_flow_is_fitted_after_training_and_saved(tmp_path):
    pytest.importorskip("zuko")
    learner = fitted(TwoPhaseDarcy(resolution=9), prior="flow")
    z = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    learner.save(tmp_path)
    assert torch.equal(load(tmp_path).module.prior(z), learner.module.prior(z))


def test_draws_of_a_likelihood_have_its_probabilities():
    """The frequency of a phase is its probability; the mean is the mean."""
    generator = torch.Generator().manual_seed(0)
    two = BernoulliLikelihood((5.0, 10.0))
    decoded = torch.full((20000, 1, 1), 0.4)
    draws = two.draw(decoded, generator)
    assert draws.mean().item() == pytest.approx(two.mean(decoded).mean().item(), abs=0.1)
    three = CategoricalLikelihood((1.0, 2.0, 5.0))
    decoded = torch.tensor([0.0, 1.0, -1.0]).expand(20000, 1, 3)
    draws = three.draw(decoded, generator)
    expected = torch.tensor([0.0, 1.0, -1.0]).softmax(0)
    for phase, probability in zip((1.0, 2.0, 5.0), expected, strict=True):
        assert (draws == phase).float().mean().item() == pytest.approx(probability.item(), abs=0.02)
    assert three.mode(decoded).unique().item() == 2.0


def test_a_drawn_medium_has_no_grains():
    """Where a phase is at least as probable as in a point that has it, it is there, too."""
    decoded = torch.randn(6, 50, 1, generator=torch.Generator().manual_seed(1))
    drawn = BernoulliLikelihood((5.0, 10.0)).draw(decoded, torch.Generator().manual_seed(0))
    high = drawn == 10.0
    least_with = torch.where(high, decoded, torch.inf).amin(1)
    most_without = torch.where(high, -torch.inf, decoded).amax(1)
    assert bool((least_with > most_without).all())
    assert 0 < high.double().mean().item() < 1
    constant = CategoricalLikelihood((1.0, 2.0, 5.0)).draw(torch.zeros(9, 4, 3), torch.Generator().manual_seed(0))
    assert bool((constant == constant[:, :1]).all())


def test_a_continuous_likelihood_knows_what_reconstruction_leaves():
    likelihood = GaussianLikelihood()
    field = 3 + 2 * torch.randn(50, 1, 40, generator=torch.Generator().manual_seed(0))
    likelihood.fit_statistics(field)
    values = field.mT
    decoded = (values - likelihood.shift) / likelihood.scale + 0.1
    likelihood.fit_deviation(decoded, values)
    assert likelihood.deviation.item() == pytest.approx(0.1, rel=1e-4)
    spread = (likelihood.draw(decoded, torch.Generator().manual_seed(1)) - likelihood.mean(decoded)).std()
    assert spread.item() == pytest.approx(0.2, rel=0.1)


@pytest.mark.parametrize("method", ["map", "laplace"])
def test_an_inversion_explains_what_the_decoder_itself_would_measure(method):
    """Sensors see the decoded solution of a latent from the prior: its misfit is that of the noise."""
    learner = fitted(SmoothDarcy(resolution=9), steps=40)
    prior = DecodedFields(learner)
    prior.model_error = None
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(3))
    points = Sensors.random(40, torch.Generator().manual_seed(4)).points
    seen = prior.at_sensors(z, points).detach()
    std = 0.01 * seen.abs().mean().item()
    result = invert(prior, Observation(points, seen, std), method, generator=torch.Generator().manual_seed(5))
    assert (result.surrogate_misfit < 0.02).all()
    assert result.resimulated["solution"].shape == (2, 1, 9, 9)
    assert result.resimulated_misfit.isfinite().all()
    if method == "map":
        with pytest.raises(LearnerError, match="no spread"):
            _ = result.std
    else:
        low, high = result.intervals(0.9)
        inside = (low["solution"] <= result.mean["solution"]) & (result.mean["solution"] <= high["solution"])
        assert inside.all()


def test_draws_of_phases_have_intervals_that_end_at_phases():
    learner = fitted(TwoPhaseDarcy(resolution=9), steps=20)
    points = Sensors.random(20, torch.Generator().manual_seed(4)).points
    seen = Sensors(points).observe(data(learner.problem, 1, 7).outputs["solution"])[..., 0]
    generator = torch.Generator().manual_seed(5)
    result = invert(DecodedFields(learner), Observation(points, seen, 0.01), generator=generator)
    low, high = result.intervals(0.9)
    assert set(low["coefficient"].unique().tolist()) <= {5.0, 10.0}
    assert set(high["coefficient"].unique().tolist()) <= {5.0, 10.0}
    learner.problem.check(Batch({"coefficient": result.samples["coefficient"].flatten(0, 1)}))


def test_sensors_at_the_nodes_see_the_decoded_solution():
    """The map that inference differentiates and the fields that are reported are one."""
    learner = fitted(TwoPhaseDarcy(resolution=9))
    prior = learner.field_prior()
    z = torch.randn(3, prior.latent_dim, generator=torch.Generator().manual_seed(0))
    sensors = Sensors.at_inner_nodes(learner.problem.grid)
    with torch.no_grad():
        seen, fields = prior.at_sensors(z, sensors.points), prior.outputs(z)["solution"]
    torch.testing.assert_close(seen, sensors.observe(fields)[..., 0].to(seen), rtol=1e-4, atol=1e-6)


def test_wider_intervals_hold_narrower_ones():
    learner = fitted(SmoothDarcy(resolution=9), steps=20)
    points = Sensors.random(20, torch.Generator().manual_seed(4)).points
    seen = Sensors(points).observe(data(learner.problem, 1, 7).outputs["solution"])[..., 0]
    generator = torch.Generator().manual_seed(5)
    result = invert(learner.field_prior(), Observation(points, seen, 0.01), generator=generator, throw=False)
    (low, high), (lower, higher) = result.intervals(0.5), result.intervals(0.9)
    for name in low:
        assert (lower[name] <= low[name]).all()
        assert (high[name] <= higher[name]).all()


def test_bad_settings_and_inputs_are_named():
    problem = TwoPhaseDarcy(resolution=9)
    with pytest.raises(ConfigurationError, match="nothing teaches the solution"):
        DGNOConfig(residual_weight=0.0)
    with pytest.raises(ConfigurationError, match="does not vanish at the solution"):
        DGNO.from_problem(problem, DGNOConfig(**SMALL, learned_precision=True))
    with pytest.raises(ConfigurationError, match="only 12 training samples"):
        fitted(problem, labels=13)
    with pytest.raises(LearnerError, match="no weak form"):
        DGNO.from_problem(Darcy(resolution=16))
    learner = DGNO.from_problem(problem, DGNOConfig(**SMALL))
    with pytest.raises(LearnerError, match="is not fitted"):
        learner.sample_prior(1, torch.Generator())
    with pytest.raises(LearnerError, match=r"expected \(samples, 1, 9, 9\)"):
        learner.predict(TwoPhaseDarcy(resolution=13).sample(1, torch.Generator()))
    strange = Dataset(problem, Batch({"coefficient": torch.full((4, 1, 9, 9), 7.0)}), data(problem, 4).outputs, "x")
    with pytest.raises(LearnerError, match="values 7 are none of the phases 5, 10"):
        fitted(problem, dataset=strange)
