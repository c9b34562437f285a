"""Evolution problems: trajectories are the step repeated, one step is a problem of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.evolution import EvolutionProblem, OneStep
from pde_benchmarks.problem import Batch, FieldSpec, Grid, Times


@dataclass(frozen=True)
class Decay(EvolutionProblem):
    """du/dt = −u on three nodes; the guess is one Euler step."""

    frames: int = 4
    interval: float = 0.5
    name: ClassVar[str] = "decay"
    guesses: ClassVar[tuple[str, ...]] = ("euler",)

    @property
    def state(self):
        return FieldSpec("u", 2, Grid((3,), "left", ("periodic",)))

    def sample(self, count, generator):
        return Batch({"initial_u": torch.randn((count, 2, 3), generator=generator, dtype=torch.float64)})

    def advance(self, state):
        return state * math.exp(-self.interval)

    def guess_step(self, state, kind):
        return state * (1 - self.interval) if kind == "euler" else super().guess_step(state, kind)


@pytest.fixture
def start():
    return Decay().sample(5, torch.Generator().manual_seed(0))


def test_trajectory_is_the_step_repeated(start):
    """u(k Δt) = e^(−kΔt) u(0), with the initial state left out."""
    u = Decay().solve(start)["u"]
    factors = torch.exp(-0.5 * torch.arange(1, 5, dtype=torch.float64))
    torch.testing.assert_close(u, start["initial_u"][:, None] * factors[:, None, None])


def test_specification_names_instants_and_grid():
    problem = Decay(frames=3)
    (spec,) = problem.outputs
    assert spec.support == Times((0.5, 1.0, 1.5), problem.grid)
    assert [field.name for field in problem.inputs] == ["initial_u"]
    assert problem.inputs[0].support == problem.grid
    assert spec.channels == 2


def test_more_frames_begin_with_the_same_frames(start):
    longer = Decay().with_frames(6).solve(start)["u"]
    assert longer.shape == (5, 6, 2, 3)
    assert torch.equal(longer[:, :4], Decay().solve(start)["u"])


def test_residual_is_zero_for_a_trajectory_and_local_to_a_defect(start):
    """A change d of frame k shows as d in frame k and −e^(−Δt) d in frame k + 1, nowhere else."""
    problem = Decay()
    u = problem.solve(start)["u"]
    assert problem.residual(start, Batch({"u": u}))["u"].abs().max() == 0
    changed = u.clone()
    changed[:, 1] += 1
    defect = problem.residual(start, Batch({"u": changed}))["u"]
    expected = torch.zeros_like(u)
    expected[:, 1], expected[:, 2] = 1, -math.exp(-0.5)
    torch.testing.assert_close(defect, expected)


def test_guess_is_the_cheap_step_repeated(start):
    guess = Decay().first_guess(start, "euler")["u"]
    factors = 0.5 ** torch.arange(1, 5, dtype=torch.float64)
    torch.testing.assert_close(guess, start["initial_u"][:, None] * factors[:, None, None])
    with pytest.raises(ProblemError, match=r"decay: first guess 'magic' is unknown: .*euler"):
        Decay().first_guess(start, "magic")


def test_metrics_are_those_of_whole_first_and_last_frame():
    """Frames of equal norm, wrong by 0, 0, 0 and a: the whole errs by a/2."""
    truth = torch.ones(2, 4, 2, 3, dtype=torch.float64)
    wrong = truth.clone()
    wrong[:, -1] *= torch.tensor([1.1, 1.3], dtype=torch.float64)[:, None, None]
    metrics = Decay().metrics(Batch({"u": wrong}), Batch({"u": truth}))
    assert metrics["relative_l2"] == pytest.approx(0.1)
    assert metrics["relative_l2_worst"] == pytest.approx(0.15)
    assert metrics["relative_l2_first_frame"] == 0
    assert metrics["relative_l2_last_frame"] == pytest.approx(0.2)
    assert metrics["left_out"] == 0


def test_vanishing_trajectories_are_left_out_and_blow_up_is_not_hidden():
    truth = torch.ones(3, 4, 2, 3, dtype=torch.float64)
    truth[0] = 0
    metrics = Decay().metrics(Batch({"u": 1.5 * truth}), Batch({"u": truth}))
    assert metrics["left_out"] == 1
    assert metrics["relative_l2"] == pytest.approx(0.5)
    broken = truth.clone()
    broken[1, 2, 0, 0] = float("nan")
    assert Decay().metrics(Batch({"u": broken}), Batch({"u": truth}))["relative_l2"] == math.inf


def test_one_step_is_a_problem_of_its_own(start):
    """Its solution is the first frame, its guess the cheap step, its residual zero at the solution."""
    whole = Decay()
    step = OneStep(whole)
    solution = step.solve(start)
    assert torch.equal(solution["u"], whole.solve(start)["u"][:, 0])
    assert torch.equal(step.first_guess(start, "euler")["u"], whole.first_guess(start, "euler")["u"][:, 0])
    assert step.residual(start, solution)["u"].abs().max() == 0
    assert step.guesses == ("euler",)
    assert step.outputs == (whole.state,)
    assert step.inputs == whole.inputs
    assert not step.isotropic
    drawn = step.sample(5, torch.Generator().manual_seed(0))
    assert torch.equal(drawn["initial_u"], start["initial_u"])


def test_empty_batches_have_empty_trajectories(start):
    assert Decay().solve(start.rows(slice(0, 0)))["u"].shape == (0, 4, 2, 3)
