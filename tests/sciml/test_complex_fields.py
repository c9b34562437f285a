"""Complex fields through a grid learner: real and imaginary parts as channels, complex answers."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from pde_benchmarks import Batch, FieldSpec, Grid
from pde_benchmarks.datasets import Dataset
from pde_benchmarks.metrics import relative_l2
from pde_benchmarks.problem import Complex, Problem
from sciml.errors import LearnerError
from sciml.learners.mgno import DataMgNO, DataMgNOConfig
from sciml.training import Trainer, TrainingConfig


@dataclass(frozen=True)
class Turned(Problem):
    """u = (2 + i) a for complex a."""

    name: ClassVar[str] = "turned"

    @property
    def inputs(self):
        return (FieldSpec("a", 1, Grid((8, 8), boundary=("neumann", "neumann")), kind=Complex()),)

    @property
    def outputs(self):
        return (FieldSpec("u", 1, Grid((8, 8), boundary=("neumann", "neumann")), kind=Complex()),)

    def sample(self, count, generator):
        a = torch.randn(count, 1, 8, 8, 2, generator=generator, dtype=torch.float64)
        return Batch({"a": torch.view_as_complex(a)})

    def solve(self, inputs):
        return Batch({"u": (2 + 1j) * inputs["a"]})


def turned(count=16, seed=0):
    problem = Turned()
    a = problem.sample(count, torch.Generator().manual_seed(seed))
    return Dataset(problem, a, problem.solve(a), "turned")


def test_the_error_of_a_complex_field_is_that_of_its_modulus():
    """‖(1 + ε) u − u‖ / ‖u‖ = |ε| for complex ε."""
    u = turned().outputs["u"]
    torch.testing.assert_close(relative_l2((1 + 0.03 + 0.04j) * u, u), torch.full((16,), 0.05, dtype=torch.float64))


def test_a_learner_maps_complex_fields_to_complex_fields():
    """A linear map between real and imaginary parts is learned; the answer has the inputs' precision."""
    data, unseen = turned(64), turned(8, seed=1)
    config = DataMgNOConfig(channels=16, layers=1, patch=1, levels="10", h1_weight=0.0)
    learner = DataMgNO.from_problem(data.problem, config)
    learner.fit(data, data, Trainer(TrainingConfig(steps=300, learning_rate=1e-2)))
    assert learner.evaluate(unseen)["relative_l2"] < 0.2
    for precision in (torch.complex64, torch.complex128):
        assert learner.predict(unseen.inputs.to(dtype=precision)).mean["u"].dtype == precision
    nothing = learner.predict(unseen.inputs.rows(slice(0, 0))).mean["u"]
    assert nothing.shape == (0, 1, 8, 8)
    assert nothing.dtype == torch.complex128


def test_error_bars_of_complex_fields_are_refused():
    with pytest.raises(LearnerError, match="complex fields have no error bars"):
        DataMgNO.from_problem(Turned(), DataMgNOConfig(channels=4, layers=1, levels="10", uncertainty="laplace"))
