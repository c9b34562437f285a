"""The learned multigrid cycle: symmetric and positive for any numbers, classical at zero, trained through CG."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pde_benchmarks import Batch, Poisson
from pde_benchmarks.datasets import Dataset
from pde_benchmarks.pressure import PressurePoisson, RandomCells, pressure_operator
from sciml.errors import ConfigurationError, LearnerError
from sciml.learner import learner_types, load
from sciml.learners.conjugate_directions import (
    FieldCoefficients,
    FieldCycle,
    FieldCycleConfig,
    LearnedCycle,
    LearnedCycleConfig,
    ScalarCoefficients,
    convergence_rate,
    default_scalars,
)
from sciml.learners.conjugate_directions.cycle import levels_of
from sciml.learners.conjugate_directions.defaults import default_record
from sciml.training import Trainer, TrainingConfig
from solvers import (
    CG,
    HAND_TUNED,
    AggregationMultigrid,
    CellGraph,
    ToleranceError,
    aggregation_cycle,
    aggregation_levels,
    linear_solve,
)

GRIDS = [(16, 16), (8, 8, 8)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def systems(grid: tuple[int, ...], count: int = 2, seed: int = 0, dtype: torch.dtype = torch.float64):
    return pressure_operator(*RandomCells().sample(count, grid, generator(seed)), dtype=dtype)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def random_scalars(dimension: int, size: float = 1.0, seed: int = 0) -> ScalarCoefficients:
    module = ScalarCoefficients(dimension, 2).double()
    with torch.no_grad():
        module.outputs.copy_(size * normal(*module.outputs.shape, seed=seed))
    return module


def random_fields(dimension: int, size: float = 1.0, seed: int = 0) -> FieldCoefficients:
    torch.manual_seed(seed)
    module = FieldCoefficients(random_scalars(dimension, size, seed), channels=4).double()
    with torch.no_grad():
        module.head.weight.copy_(size * normal(*module.head.weight.shape, seed=seed))
    return module


def dense(inverse, A) -> torch.Tensor:
    """The matrices of M, ``(batch, n, n)``, by its columns."""
    n = A.shape[0]
    units = torch.eye(n, dtype=torch.float64).unsqueeze(1).expand(n, A.batch_shape[0], n)
    return inverse(units).movedim(0, -1)


def cells_data(count: int = 8, resolution: int = 16, dimension: int = 2, seed: int = 0) -> Dataset:
    problem = PressurePoisson(resolution, dimension)
    inputs = problem.sample(count, generator(seed))
    return Dataset(problem, inputs, Batch({"pressure": torch.zeros_like(inputs["rhs"])}), "cells")


# -- symmetric positive definite, whatever was learned


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("rule", [random_scalars, random_fields], ids=["scalars", "fields"])
@pytest.mark.parametrize("size", [0.3, 3.0])
def test_the_cycle_is_symmetric_and_positive_for_random_parameters(grid, rule, size):
    """⟨u, M v⟩ = ⟨M u, v⟩ to 1e-12 and ⟨u, M u⟩ > 0 on the fluid."""
    A = systems(grid)
    M = dense(AggregationMultigrid(coefficients=rule(len(grid), size)).setup(A), A)
    assert (M - M.mT).abs().max() <= 1e-12 * M.abs().max()
    for matrix, fluid in zip(M, A.diagonal() > 0, strict=True):
        assert torch.linalg.eigvalsh(matrix[fluid][:, fluid])[0] > 1e-3
        assert matrix[~fluid].abs().max() == 0 if bool((~fluid).any()) else True


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("rule", [random_scalars, random_fields], ids=["scalars", "fields"])
def test_the_cycle_is_linear(grid, rule):
    """M(α u + v) = α M u + M v."""
    A = systems(grid)
    M = AggregationMultigrid(coefficients=rule(len(grid))).setup(A)
    u, v = normal(2, A.shape[0]), normal(2, A.shape[0], seed=1)
    torch.testing.assert_close(M(3.7 * u + v), 3.7 * M(u) + M(v), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_zero_parameters_are_the_classical_cycle(grid):
    """O = 0: ω = 1, P = P₀, coarse links and mass halved."""
    A, r = systems(grid), normal(2, math.prod(grid))
    classical = AggregationMultigrid().setup(A)(r)
    d = len(grid)
    for rule in (ScalarCoefficients(d, 3), FieldCoefficients(ScalarCoefficients(d, 3))):
        torch.testing.assert_close(AggregationMultigrid(coefficients=rule).setup(A)(r), classical, rtol=0, atol=0)


@settings(deadline=None, max_examples=20)
@given(values=st.lists(st.floats(-50, 50), min_size=7, max_size=7))
def test_all_numbers_give_admissible_coefficients(values):
    """ω in (0, 2), a c in [1/2, 2], links and mass positive."""
    module = ScalarCoefficients(2, 1).double()
    with torch.no_grad():
        module.outputs.copy_(torch.tensor([values], dtype=torch.float64))
    (level,) = module.exported()
    assert 0 < level["omega_red"] < 2
    assert 0 < level["omega_black"] < 2
    assert 0.5 - 1e-12 <= level["fine"] * level["coarse"] <= 2 + 1e-12
    assert min(level["link"]) > 0.3
    assert level["mass"] > 0.2


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("rule", [random_scalars, random_fields], ids=["scalars", "fields"])
def test_the_compiled_cycle_is_the_differentiable_one(grid, rule):
    """What is trained is what runs."""
    A, r = systems(grid), normal(2, math.prod(grid))
    r = torch.where(A.diagonal() > 0, r, 0)
    module = rule(len(grid))
    trained = aggregation_cycle(aggregation_levels(CellGraph.of(A), module), r.reshape(2, *grid)).flatten(1)
    torch.testing.assert_close(AggregationMultigrid(coefficients=module).setup(A)(r), trained, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("rule", [random_scalars, random_fields], ids=["scalars", "fields"])
def test_fields_and_numbers_serve_every_grid(rule):
    """Trained on one grid, used on others, odd ones too; deeper levels take the last numbers."""
    module = rule(2, 0.3)
    for grid in ((8, 8), (40, 24), (17, 9)):
        A = systems(grid)
        b = torch.where(A.diagonal() > 0, normal(2, math.prod(grid)), 0)
        assert linear_solve(A, b, CG(), AggregationMultigrid(coefficients=module)).converged.all()


def test_a_floating_pocket_is_no_obstacle():
    """Fluid that nothing open touches: solved in the range, with mean zero."""
    cells = torch.ones(16, 16, dtype=torch.int8)
    cells[8] = 0
    A = pressure_operator(cells, [("open", "solid"), "solid"])
    b = A.project(normal(256))
    solution = linear_solve(A, b, CG(), AggregationMultigrid(coefficients=default_scalars(2)))
    assert solution.converged
    assert solution.value.reshape(16, 16)[9:].mean().abs() < 1e-12


# -- training


def test_the_rate_is_that_of_conjugate_gradients():
    """exp(K · rate) = ‖r_K‖/‖r_0‖ of `CG` after K steps."""
    A = systems((16, 16), 1)
    b = torch.where(A.diagonal() > 0, normal(1, 256), 0)
    graph, module = CellGraph.of(A), random_scalars(2, 0.3)
    levels = aggregation_levels(graph, module)
    rate = convergence_rate(graph.apply, lambda r: aggregation_cycle(levels, r), b.reshape(1, 16, 16), steps=5)
    recipe = AggregationMultigrid(coefficients=module)
    stats = linear_solve(A, b, CG(rtol=1e-12, max_iterations=5), recipe, throw=False).stats
    torch.testing.assert_close((5 * rate).exp(), stats.relative_residual[0], rtol=1e-8, atol=0)


def test_the_gradient_goes_through_all_steps():
    """Autograd against differences, in every number of every level that is used."""
    A = systems((16, 16), 2)
    b = torch.where(A.diagonal() > 0, normal(2, 256), 0).reshape(2, 16, 16)
    graph, module = CellGraph.of(A), random_scalars(2, 0.3)

    def rate(outputs):
        def rule(level, fine, coarse):
            return torch.func.functional_call(module, {"outputs": outputs}, (level, fine, coarse))

        levels = aggregation_levels(graph, rule)
        return convergence_rate(graph.apply, lambda r: aggregation_cycle(levels, r), b, steps=3)

    assert torch.autograd.gradcheck(rate, module.outputs.detach().clone().requires_grad_())


def test_a_system_that_is_solved_early_gives_no_nan():
    """‖r‖ = 0 after one step of three."""
    b = torch.ones(1, 3, requires_grad=True)
    rate = convergence_rate(lambda u: u, lambda r: r, b, steps=3)
    rate.backward()
    assert rate.isfinite()
    assert b.grad.isfinite().all()


def trained(kind, data: Dataset, steps: int, seed: int = 0):
    learner = kind.from_problem(data.problem, seed=seed)
    settings = {**kind.training_defaults, "steps": steps, "batch_size": 4, "validations": 1}
    learner.fit(data, data, Trainer(TrainingConfig(**settings)))
    return learner


def test_training_saves_iterations_on_unseen_obstacles():
    """Fewer than the classical and the hand-tuned cycle, also on a finer grid."""
    learner = trained(LearnedCycle, cells_data(32, 32), 30)
    for resolution in (32, 64):
        unseen = cells_data(8, resolution, seed=7)
        A, b = unseen.problem.operator(unseen.inputs), unseen.problem.load(unseen.inputs)
        learned, textbook, tuned = (
            linear_solve(A, b, CG(rtol=1e-8), M).stats.iterations.sum()
            for M in (learner, AggregationMultigrid(), AggregationMultigrid(coefficients=HAND_TUNED))
        )
        assert learned < 0.85 * textbook
        assert learned < tuned


def test_one_seed_gives_one_result():
    data = cells_data()
    first, second = (trained(LearnedCycle, data, 3).module.outputs for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("kind", [LearnedCycle, FieldCycle])
def test_fit_predict_save_load_predict(kind, tmp_path):
    data = cells_data(4)
    learner = trained(kind, data, 2)
    before = learner.predict(data.inputs).mean["pressure"]
    truth = data.problem.solve(data.inputs)["pressure"]
    assert (before - truth).norm() < 1e-2 * truth.norm()
    learner.save(tmp_path)
    again = load(tmp_path)
    assert type(again) is kind
    assert torch.equal(again.predict(data.inputs).mean["pressure"], before)
    assert learner_types()[kind.name] is kind


def test_fields_start_from_the_default_numbers():
    """The head is zero: the cycle is that of the package's numbers."""
    problem = PressurePoisson(16)
    A, r = systems((16, 16)), normal(2, 256)
    learner = FieldCycle.from_problem(problem, FieldCycleConfig(channels=4))
    expected = AggregationMultigrid(coefficients=default_scalars(2), dtype=torch.float32).setup(A)(r)
    torch.testing.assert_close(learner.setup(A)(r), expected, rtol=1e-5, atol=1e-5)


def test_fields_have_the_size_that_is_said():
    """About 16 600 weights in three dimensions, without the numbers for each level."""
    module = FieldCoefficients(ScalarCoefficients(3, 3))
    own = sum(p.numel() for name, p in module.named_parameters() if not name.startswith("scalars"))
    assert own == (6 * 27 + 1) * 16 + 2 * (16 * 27 + 1) * 16 + 17 * 6 == 16_566


def test_training_moves_the_fields():
    """The gradient reaches the head, and through it the network."""
    learner = trained(FieldCycle, cells_data(), 3)
    assert learner.module.head.weight.abs().max() > 0


# -- the numbers of the package


@pytest.mark.parametrize("dimension", [2, 3])
def test_the_default_numbers_beat_the_classical_cycles(dimension):
    """On obstacles that neither has seen."""
    grid = (64, 64) if dimension == 2 else (32, 32, 32)
    A = systems(grid, 4, seed=5)
    b = torch.where(A.diagonal() > 0, normal(4, A.shape[0]), 0)
    learned, textbook, tuned = (
        linear_solve(A, b, CG(rtol=1e-6), AggregationMultigrid(coefficients=rule)).stats.iterations.sum()
        for rule in (default_scalars(dimension), ScalarCoefficients(dimension), HAND_TUNED)
    )
    assert learned < 0.8 * textbook
    assert learned < tuned


@pytest.mark.parametrize("dimension", [2, 3])
def test_the_default_numbers_say_how_they_were_found(dimension):
    record = default_record(dimension)
    assert {"seed", "steps", "masks", "batch", "resolution", "factor_per_step"} <= set(record)
    assert len(record["levels"]) == levels_of((record["resolution"],) * dimension)


@pytest.mark.parametrize("dimension", [2, 3])
def test_export_and_import_are_inverse(dimension):
    """The coefficients themselves are written, for codes that do not know the maps."""
    module = random_scalars(dimension)
    again = ScalarCoefficients.imported(module.exported())
    torch.testing.assert_close(again.outputs, module.outputs, rtol=1e-10, atol=1e-12)
    A, r = systems((8,) * dimension), normal(2, 8**dimension)
    results = [AggregationMultigrid(coefficients=rule).setup(A)(r) for rule in (module, again.cycle())]
    torch.testing.assert_close(*results, rtol=1e-10, atol=1e-12)


# -- bad input


def test_a_model_of_another_dimension_is_refused():
    with pytest.raises(LearnerError, match="these coefficients are for 2 dimensions; use a model of dimension 3"):
        AggregationMultigrid(coefficients=default_scalars(2)).setup(systems((8, 8, 8)))
    with pytest.raises(LearnerError, match="default coefficients in 1 dimensions: there are some in 2 and 3"):
        default_scalars(1)  # type: ignore[arg-type]
    learner = LearnedCycle.from_problem(PressurePoisson(16))
    with pytest.raises(LearnerError, match="dcdm: the operator's grid 8×8×8 has 3 dimensions"):
        learner.setup(systems((8, 8, 8)))
    with pytest.raises(LearnerError, match="use the problem pressure"):
        LearnedCycle.from_problem(Poisson(resolution=16))


def test_a_tolerance_out_of_reach_is_refused():
    data = cells_data(2)
    learner = LearnedCycle.from_problem(data.problem, LearnedCycleConfig(rtol=1e-15))
    with pytest.raises(ToleranceError, match=r"rtol = 1e-15: torch\.float64 reaches"):
        learner.predict(data.inputs)


def test_single_precision_inputs_are_solved_in_double_and_come_back_in_single():
    """A smooth pressure leaves a residual above 1e-4 in float32, whatever the solver."""
    data = cells_data(2)
    learner = LearnedCycle.from_problem(data.problem, LearnedCycleConfig(rtol=1e-8))
    single = learner.predict(data.inputs.to(dtype=torch.float32)).mean["pressure"]
    assert single.dtype == torch.float32
    exact = learner.predict(data.inputs).mean["pressure"]
    torch.testing.assert_close(single, exact.float(), rtol=0, atol=1e-4 * float(exact.abs().max()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps = 0"),
        ({"smooth_fraction": -0.1}, "smooth_fraction = -0.1"),
        ({"smooth_fraction": 1.5}, "smooth_fraction = 1.5"),
        ({"rtol": 2.0}, "rtol = 2.0"),
    ],
)
def test_a_bad_configuration_is_named(change, message):
    with pytest.raises(ConfigurationError, match=message):
        LearnedCycleConfig(**change)


def test_floating_fluid_is_not_trained_on():
    data = cells_data(3)
    cells, rhs = (data.inputs[name].clone() for name in ("cells", "rhs"))
    cells[1], rhs[1] = 1, rhs[1] - rhs[1].mean()
    rows = Dataset(data.problem, Batch({"cells": cells, "rhs": rhs}), data.outputs, "cells")
    with pytest.raises(LearnerError, match="sample 1 has fluid that nothing open touches"):
        LearnedCycle.from_problem(data.problem).graphs(rows.inputs)
