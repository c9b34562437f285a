"""MgNO with the problem's own operator inside: multigrid as built, linear, exact at the solution, better trained."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import pytest
import torch

from pde_benchmarks import Batch, Darcy, FieldSpec, Grid, Poisson, RecordedProblem
from pde_benchmarks.datasets import Dataset
from pde_benchmarks.metrics import relative_l2
from sciml.errors import ConfigurationError, LearnerError
from sciml.learner import load
from sciml.learners.mgno import DataMgNO, DataMgNOConfig, MgNO, MgNOConfig
from sciml.learners.mgno.ghosts import GhostLayer
from sciml.learners.mgno.grid_equation import GridEquation
from sciml.learners.mgno.operator_residual import DAMPING, OperatorLayer, OperatorNetwork, OperatorVCycle
from sciml.learners.mgno.schedule import Schedule
from sciml.training import Trainer, TrainingConfig
from solvers import DampedJacobi, GeometricMultigrid

SMALL = {"residual": "operator", "channels": 4, "layers": 2, "levels": "11 20"}
ONE = torch.ones((), dtype=torch.float64)

PROBLEMS = [
    Darcy("multiscale", 16),
    Poisson((("dirichlet", "neumann"), "periodic"), 16, 1.0),
    Poisson(("dirichlet",), 16),
    Poisson(("dirichlet", "dirichlet", "neumann"), 16),
]


def field(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def sampled(problem, count: int = 2, seed: int = 0) -> Dataset:
    inputs = problem.sample(count, torch.Generator().manual_seed(seed))
    return Dataset(problem, inputs, problem.solve(inputs), problem.name)


def equation(problem, inputs: Batch, levels: int = 2, base=None) -> GridEquation:
    return GridEquation.of(problem, inputs, base, ONE, levels)


def ghosts(problem) -> GhostLayer:
    return GhostLayer(("zeros",) * problem.grid.dim)


def mixed(module: torch.nn.Module) -> torch.nn.Module:
    """In double precision, with weights that let every channel act on every other one."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return module.double()


@pytest.mark.parametrize("problem", PROBLEMS, ids=repr)
def test_the_scaled_operators_are_those_of_the_problem(problem):
    """D⁻¹ (f − A u) on the finest grid is the problem's; Pᵀ is the transpose of P between all grids."""
    data = sampled(problem)
    shape = data.outputs["solution"].shape
    u, base = field(*shape), field(*shape, seed=1)
    equations = equation(problem, data.inputs, 3, base)
    expected = problem.scaled_residual(data.inputs, Batch({"solution": base + u}))["solution"]
    torch.testing.assert_close(equations.residual(u), expected, rtol=1e-12, atol=1e-12 * float(expected.abs().max()))
    for fine, coarse in pairwise(equations.levels):
        r, c = field(*fine.diagonal.shape), field(*coarse.diagonal.shape, seed=2)
        down = (coarse.diagonal * fine.restrict(coarse, r) * c).sum()
        torch.testing.assert_close(down, (fine.diagonal * r * fine.prolong(c)).sum(), rtol=1e-11, atol=0)


@pytest.mark.parametrize("restrict", ["rhs", "residual"])
@pytest.mark.parametrize("levels", ["11", "11 20", "10 11 20"])
@pytest.mark.parametrize("problem", PROBLEMS, ids=repr)
def test_a_v_cycle_is_linear_in_the_right_hand_side(problem, levels, restrict):
    """W(a)(0.3 f + g) = 0.3 W(a) f + W(a) g with the channels mixed at random."""
    schedule = Schedule.parse(levels)
    cycle = mixed(OperatorVCycle(2, 3, schedule, ghosts(problem), restrict))
    equations = equation(problem, sampled(problem).inputs, schedule.levels)
    f, g = (field(2, 3, *problem.grid.shape, seed=seed) for seed in (0, 1))
    expected = (0.3 * cycle(f, equations) + cycle(g, equations)).detach()
    found = cycle(0.3 * f + g, equations).detach()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12 * float(expected.abs().max()))


@pytest.mark.parametrize("n", [16, 32])
def test_as_built_a_v_cycle_is_that_of_the_solver(n):
    """D⁻¹ r ↦ M r, with M one V(1, 1)-cycle of the geometric multigrid with damped Jacobi, to rounding."""
    problem, schedule = Darcy("multiscale", n), Schedule.parse("11 11 10" if n == 16 else "11 11 11 10")
    inputs = sampled(problem).inputs
    equations = equation(problem, inputs, schedule.levels)
    cycle = OperatorVCycle(1, 1, schedule, ghosts(problem)).double()
    r = field(2, 1, n, n)
    omega = float(torch.tensor(DAMPING))  # as stored in the single-precision weights
    M = GeometricMultigrid(smoother=DampedJacobi(omega)).setup(problem.operator(inputs))
    expected = M(r.flatten(1)).reshape(r.shape)
    f = torch.cat([r / equations.levels[0].diagonal, field(2, 1, n, n, seed=1)], 1)
    found = cycle(f, equations)[:, :1].detach()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12 * float(expected.abs().max()))


@pytest.mark.parametrize("n", [16, 32, 64])
def test_as_built_a_layer_is_textbook_multigrid(n):
    """‖f − A e‖ falls by less than 0.3 a layer for constant coefficients, on every grid: 2 + 2 steps, 4² coarsest."""
    problem = Darcy("multiscale", n)
    schedule = Schedule.parse("22 " * (n.bit_length() - 3) + "10")
    inputs = Batch({"coefficient": torch.full((1, 1, n, n), 2.0, dtype=torch.float64)})
    equations = equation(problem, inputs, schedule.levels)
    layer = OperatorLayer(1, 1, schedule, ghosts(problem), "rhs", 0, "none").double()
    e, v = torch.zeros(1, 1, n, n, dtype=torch.float64), field(1, 1, n, n)
    norms = []
    with torch.no_grad():
        for _ in range(12):
            norms.append(float((equations.levels[0].diagonal * equations.residual(e)).norm()))
            e, _ = layer(e, v, equations)
    assert max(after / before for before, after in pairwise(norms)) < 0.3


@pytest.mark.parametrize("problem", PROBLEMS, ids=repr)
def test_as_built_more_layers_approach_the_solution_of_every_problem(problem):
    """The hidden channels do not act on e before training: ‖e − u‖ → 0 with the number of layers."""
    data = sampled(problem)
    network = OperatorNetwork(2, 3, 24, Schedule.parse("11 20"), ghosts(problem)).double()
    equations = equation(problem, data.inputs)
    with torch.no_grad():
        answer = network(field(2, 2, *problem.grid.shape), equations)
    assert relative_l2(answer, data.outputs["solution"]).max() < 1e-3


@pytest.mark.parametrize("problem", PROBLEMS, ids=repr)
def test_at_the_solution_the_residual_vanishes_and_e_stays(problem):
    data = sampled(problem)
    u = data.outputs["solution"]
    equations = equation(problem, data.inputs)
    assert equations.residual(u).abs().max() < 1e-8 * u.abs().max()
    layer = OperatorLayer(2, 3, Schedule.parse("11 20"), ghosts(problem), "rhs", 0, "none").double()
    e, _ = layer(u, field(2, 2, *problem.grid.shape), equations)
    assert (e - u).detach().abs().max() < 1e-8 * u.abs().max()


def test_the_answer_is_proportional_to_the_load():
    """As built, u(a, c f) = c u(a, f), whatever units the outputs are in: the scale cancels."""
    problem = Darcy("multiscale", 16)
    data = sampled(problem)
    learner = DataMgNO.from_problem(problem, DataMgNOConfig(**SMALL))
    first = learner.predict(data.inputs).mean["solution"]
    learner.module.output_scale.fill_(0.01)
    torch.testing.assert_close(learner.predict(data.inputs).mean["solution"], first, rtol=1e-4, atol=1e-8)


def test_gradients():
    """With respect to the features and the load; A is a constant."""
    problem = Darcy("multiscale", 4)
    inputs = sampled(problem, 1).inputs
    tiny = mixed(OperatorNetwork(1, 3, 2, Schedule.parse("11 10"), ghosts(problem)))

    def answer(v, load):
        return tiny(v, dataclasses.replace(equation(problem, inputs), load=load))

    arguments = (field(1, 1, 4, 4).requires_grad_(), field(1, 1, 4, 4, seed=1).requires_grad_())
    assert torch.autograd.gradcheck(answer, arguments)


def test_checkpointing_gives_the_same_gradients():
    problem = Darcy("multiscale", 16)
    equations = equation(problem, sampled(problem).inputs)
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        network = mixed(OperatorNetwork(2, 4, 2, Schedule.parse("11 20"), ghosts(problem), checkpointing=checkpointing))
        network(field(2, 2, 16, 16), equations).square().sum().backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def fitted(kind, config, problem=None, steps: int = 3):
    data = sampled(problem or Darcy("multiscale", 16), 8)
    learner = kind.from_problem(data.problem, config)
    learner.fit(data, data, Trainer(TrainingConfig(steps=steps, batch_size=4, validations=1)))
    return learner, data


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (DataMgNO, DataMgNOConfig(**SMALL)),
        (DataMgNO, DataMgNOConfig(base="coarse", norm="layer", bias_degree=1, **SMALL)),
        (MgNO, MgNOConfig(patch=1, **SMALL)),
        (DataMgNO, DataMgNOConfig(physics="energy", labels=0, **SMALL)),
    ],
    ids=["from zero", "on the coarse solution", "mgno", "without labels"],
)
@pytest.mark.parametrize("problem", PROBLEMS[:2], ids=repr)
def test_fit_save_load_predict(kind, config, problem, tmp_path):
    learner, data = fitted(kind, config, problem)
    before = learner.predict(data.inputs).mean["solution"]
    assert before.dtype == torch.float64
    assert relative_l2(before, data.outputs["solution"]).mean() < 0.5
    learner.save(tmp_path)
    again = load(tmp_path)
    assert again.config == config
    assert torch.equal(again.predict(data.inputs).mean["solution"], before)


def test_the_learner_knows_the_inputs_from_its_features():
    """Transformed features are those of transformed inputs, and so are the operators made from them."""
    learner, data = fitted(DataMgNO, DataMgNOConfig(base="fmg", **SMALL))
    inputs = data.inputs
    features = learner.fields.features(inputs)
    decoded, base = learner.fields.features.decoded(features["features"].flip(2).mT)
    torch.testing.assert_close(decoded["coefficient"], inputs["coefficient"].flip(2).mT)
    assert torch.equal(base, features["base"].flip(2).mT)


def test_a_sample_does_not_depend_on_the_others_of_its_batch():
    """One coefficient varies a thousand times more along one axis: its neighbour is coarsened as it is alone."""
    learner, data = fitted(DataMgNO, DataMgNOConfig(**SMALL))
    a = data.inputs["coefficient"][:1]
    wild = 1000 ** torch.linspace(0, 1, 16, dtype=torch.float64).expand_as(a)
    both = learner.predict(Batch({"coefficient": torch.cat([a, wild])})).mean["solution"][:1]
    torch.testing.assert_close(both, learner.predict(Batch({"coefficient": a})).mean["solution"], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("base", "words"), [(None, "its own operators"), ("fmg", "the first guess is made there")])
def test_another_resolution_is_predicted_with_its_own_operators(base, words):
    """Two V-cycles follow there: the error at twice the resolution is not larger than at home."""
    learner, data = fitted(DataMgNO, DataMgNOConfig(base=base, **SMALL))
    finer = sampled(Darcy("multiscale", 32), 8)
    assert learner.evaluate(finer)["relative_l2"] < learner.evaluate(data)["relative_l2"]
    assert words in learner.resolution_note


def test_a_short_training_beats_the_learned_residual():
    """At the same number of steps, from the same data, both without a first guess."""
    problem = Darcy("multiscale", 32)
    data, unseen = sampled(problem, 32), sampled(problem, 16, seed=1)
    errors = {}
    for residual in ("learned", "operator"):
        config = DataMgNOConfig(residual=residual, channels=6, layers=2, levels="11 20", patch=1)
        learner = DataMgNO.from_problem(problem, config)
        learner.fit(data, unseen, Trainer(TrainingConfig(steps=30, validations=1)))
        errors[residual] = learner.evaluate(unseen)["relative_l2"]
    assert errors["operator"] < 0.3 * errors["learned"]


def test_training_improves_on_the_multigrid_that_it_starts_from():
    problem = Darcy("multiscale", 16)
    data, unseen = sampled(problem, 32), sampled(problem, 16, seed=1)
    config = DataMgNOConfig(**SMALL)
    start = DataMgNO.from_problem(problem, config).evaluate(unseen)["relative_l2"]
    learner = DataMgNO.from_problem(problem, config)
    learner.fit(data, unseen, Trainer(TrainingConfig(steps=60, validations=1)))
    assert learner.evaluate(unseen)["relative_l2"] < 0.5 * start


def test_a_problem_without_operator_is_refused():
    grid = Grid((16, 16))
    problem = RecordedProblem("file", (FieldSpec("x", 1, grid),), (FieldSpec("y", 1, grid),))
    with pytest.raises(LearnerError, match="residual = operator needs a problem with a known elliptic operator"):
        DataMgNO.from_problem(problem, DataMgNOConfig(**SMALL))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"patch": 2}, "patch = 2: .* use patch=1, or residual=learned"),
        ({"channels": 1}, "channels = 1"),
        ({"impose": True}, "impose = True does not go with residual=operator"),
        ({"uncertainty": "laplace"}, "uncertainty = laplace does not go with residual=operator"),
    ],
)
def test_options_that_do_not_go_with_it(options, words):
    with pytest.raises(ConfigurationError, match=words):
        DataMgNOConfig(**(SMALL | options))


def test_grids_that_do_not_halve_are_refused_even_where_others_are_padded():
    with pytest.raises(ConfigurationError, match="grid of 18 points: 3 levels"):
        DataMgNO.from_problem(Darcy("multiscale", 18), DataMgNOConfig(**(SMALL | {"levels": "11 11 20"})))
