"""A learner as preconditioner: homogeneous, exact if the learner is, and convergent whatever it answers."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import scipy.sparse.linalg
import torch
from torch import nn

from pde_benchmarks import Batch, Corrections, Darcy, Poisson
from pde_benchmarks.datasets import Dataset
from pde_benchmarks.errors import ProblemError
from sciml.certify import certify
from sciml.errors import LearnerError
from sciml.learned_preconditioner import learned_preconditioner
from sciml.learner import Prediction, load
from sciml.learners.mgno import DataMgNO, DataMgNOConfig
from sciml.training import Trainer, TrainingConfig
from solvers import CG, FlexibleCG, TagError, linear_solve

SMALL = DataMgNOConfig(channels=4, layers=2)


class Answers:
    """Stands for a learner of corrections whose answers are a given function of problem and inputs."""

    name = "answers"

    def __init__(self, problem: Corrections, answer: Any) -> None:
        self.problem, self.answer = problem, answer
        self.module = nn.Linear(1, 1, dtype=torch.float64)  # its dtype is what counts

    def predict(self, inputs: Batch, batch_size: int = 32) -> Prediction:
        return Prediction(Batch({"correction": self.answer(self.problem, inputs)}))


ADVERSARIES = {
    "exact": lambda problem, inputs: problem.solve(inputs)["correction"],
    "opposite": lambda problem, inputs: -problem.solve(inputs)["correction"],
    "huge": lambda problem, inputs: 1e6 * problem.solve(inputs)["correction"],
    "silent": lambda problem, inputs: 0 * inputs["residual"],
    "constant": lambda problem, inputs: torch.ones_like(inputs["residual"]),
    "noisy": lambda problem, inputs: torch.randn(
        inputs["residual"].shape, generator=torch.Generator().manual_seed(0), dtype=inputs["residual"].dtype
    ),
}


def case(count: int = 3, whole: Any = None):
    whole = whole or Darcy("rough", resolution=16)
    inputs = whole.sample(count, torch.Generator().manual_seed(0))
    return whole, inputs, whole.operator(inputs), whole.load(inputs)


def untrained(whole: Any, seed: int = 0) -> DataMgNO:
    return DataMgNO.from_problem(Corrections(whole), SMALL, seed)


@pytest.mark.parametrize("smoothing", [0, 2])
@pytest.mark.parametrize("factor", [1e-9, 2.0**20])
def test_homogeneous(smoothing, factor):
    """M(c r) = c M(r) for c > 0, to the precision of the network."""
    whole, inputs, A, b = case()
    M = learned_preconditioner(untrained(whole), inputs, smoothing).setup(A)
    z = M(b)
    assert z.dtype == torch.float64
    torch.testing.assert_close(M(factor * b) / factor, z, rtol=1e-3, atol=1e-5 * float(z.abs().max()))


@pytest.mark.parametrize("smoothing", [0, 1, 3])
def test_an_exact_learner_makes_flexible_cg_converge_in_one_step(smoothing):
    """M = A⁻¹: one step, up to the precision of the hierarchy."""
    whole, inputs, A, b = case()
    M = learned_preconditioner(Answers(Corrections(whole), ADVERSARIES["exact"]), inputs, smoothing)  # type: ignore[arg-type]
    assert (linear_solve(A, b, FlexibleCG(rtol=1e-5), M).stats.iterations == 1).all()


@pytest.mark.parametrize("answer", ADVERSARIES.values(), ids=ADVERSARIES)
def test_no_answer_increases_the_energy_of_the_error(answer):
    """‖e − M A e‖_A ≤ ρ ‖e‖_A, ρ that of the Jacobi steps alone."""
    whole, inputs, A, _ = case()
    e = torch.randn(3, 256, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    M = learned_preconditioner(Answers(Corrections(whole), answer), inputs, 1).setup(A)  # type: ignore[arg-type]
    left = e - M(A.mv(e))

    def energy(v):
        return (v * A.mv(v)).sum(1).sqrt()

    smoothed = e - 0.8 * A.mv(e) / A.diagonal()
    assert (energy(left) <= energy(smoothed) * (1 + 1e-5)).all()


@pytest.mark.parametrize("answer", ADVERSARIES.values(), ids=ADVERSARIES)
def test_flexible_cg_finds_the_solution_of_scipy_whatever_the_answers(answer):
    """x = A⁻¹ b."""
    whole, inputs, A, b = case()
    M = learned_preconditioner(Answers(Corrections(whole), answer), inputs)  # type: ignore[arg-type]
    x = linear_solve(A, b, FlexibleCG(rtol=1e-9), M).value
    for row in range(3):
        expected = scipy.sparse.linalg.spsolve(scipy.sparse.csc_matrix(A.to_dense()[row].numpy()), b[row].numpy())
        torch.testing.assert_close(x[row], torch.from_numpy(expected), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("whole", [Darcy("multiscale", 16), Poisson(resolution=16, heterogeneity=1.0)])
def test_an_untrained_learner_still_reaches_the_tolerance(whole):
    """‖b − A x‖ ≤ 1e-8 ‖b‖."""
    whole, inputs, A, b = case(4, whole)
    M = learned_preconditioner(untrained(whole), inputs, batch_size=3)
    x = linear_solve(A, b, FlexibleCG(rtol=1e-8), M).value
    assert ((b - A.mv(x)).norm(dim=1) <= 1.01e-8 * b.norm(dim=1)).all()


def test_no_gradient_and_no_training_mode():
    whole, inputs, A, b = case()
    learner = untrained(whole)
    z = learned_preconditioner(learner, inputs).setup(A)(b)
    assert not z.requires_grad
    assert not learner.module.training


def test_conjugate_gradients_refuse_it():
    whole, inputs, A, b = case()
    with pytest.raises(TagError, match="use FlexibleCG"):
        linear_solve(A, b, CG(), learned_preconditioner(untrained(whole), inputs))


def test_a_certificate_means_the_same_with_any_preconditioner():
    """The polished residual is at most the tolerance; the solution is that of the V-cycles; iterations are counted."""
    whole, inputs, _, _ = case(5)
    guess = whole.first_guess(inputs, "coarse")
    by_cycles = certify(whole, inputs, guess, 1e-9)
    learned = partial(learned_preconditioner, untrained(whole))
    by_learner = certify(whole, inputs, guess, 1e-9, batch_size=2, preconditioner=learned)
    assert (by_learner.polished_residual <= 1.01e-9).all()
    torch.testing.assert_close(by_learner.polished["solution"], by_cycles.polished["solution"], rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(by_learner.residual, by_cycles.residual)
    exact = partial(learned_preconditioner, Answers(Corrections(whole), ADVERSARIES["exact"]))  # type: ignore[arg-type]
    assert (certify(whole, inputs, guess, 1e-5, preconditioner=exact).iterations <= 1).all()


def test_a_trained_learner_of_corrections_survives_the_disk(tmp_path):
    """load(save(learner)) answers the same; training reduces the number of iterations."""
    whole = Darcy("rough", resolution=16)
    problem = Corrections(whole)
    data = problem.sample(32, torch.Generator().manual_seed(1))
    pairs = Dataset(problem, data, problem.solve(data), "corrections")
    learner = untrained(whole)
    learner.fit(pairs, pairs, Trainer(TrainingConfig(steps=40, batch_size=8, validations=1)))
    learner.save(tmp_path)
    again = load(tmp_path)
    assert again.problem == problem
    whole, inputs, A, b = case(4, whole)
    steps = {}
    for name, each in {"learned": learner, "read": again, "untrained": untrained(whole)}.items():
        steps[name] = linear_solve(A, b, FlexibleCG(rtol=1e-8), learned_preconditioner(each, inputs)).stats.iterations
    assert torch.equal(steps["learned"], steps["read"])
    assert (steps["learned"] < steps["untrained"]).all()


def test_a_learner_of_another_problem_is_refused_by_name():
    whole, inputs, _, _ = case()
    with pytest.raises(LearnerError, match="this mgno-data learned darcy; one that was trained on corrections"):
        learned_preconditioner(DataMgNO.from_problem(whole, SMALL), inputs)


def test_inputs_on_another_grid_are_refused():
    whole, _, _, _ = case()
    finer = Darcy("rough", 32).sample(2, torch.Generator().manual_seed(0))
    with pytest.raises(LearnerError, match=r"shape \(2, 1, 32, 32\), expected \(samples, 1, 16, 16\)"):
        learned_preconditioner(untrained(whole), finer)


def test_other_bad_input_is_named():
    whole, inputs, A, b = case()
    with pytest.raises(LearnerError, match="smoothing = -1"):
        learned_preconditioner(untrained(whole), inputs, smoothing=-1)
    with pytest.raises(ProblemError, match="no field 'coefficient'"):
        learned_preconditioner(untrained(whole), Batch({"source": inputs["coefficient"]}))
    with pytest.raises(ProblemError, match="must be positive"):
        learned_preconditioner(untrained(whole), Batch({"coefficient": -inputs["coefficient"]}))
    other = learned_preconditioner(untrained(whole), inputs.rows(slice(0, 2)))
    with pytest.raises(LearnerError, match="for 2 samples"):
        linear_solve(A, b, FlexibleCG(), other)
