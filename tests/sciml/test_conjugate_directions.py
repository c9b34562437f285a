"""The published method: its network, its loss, its training vectors, and the learner that puts them together."""

from __future__ import annotations

import math

import pytest
import scipy.fft
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pde_benchmarks import Batch, Darcy
from pde_benchmarks.datasets import Dataset
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.pressure import PressurePoisson, pressure_operator
from sciml.errors import ConfigurationError, LearnerError
from sciml.learner import learner_types, load
from sciml.learners.conjugate_directions import (
    DirectionNetwork,
    PublishedDirections,
    PublishedDirectionsConfig,
    direction_loss,
    eigenvector_sums,
    ritz_pairs,
    ritz_sums,
)
from sciml.training import Trainer, TrainingConfig
from solvers import CG, AggregationMultigrid, EnrichedCG, SafeguardedCG, ToleranceError, linear_solve, poisson_operator

SMALL = PublishedDirectionsConfig(channels=4, vectors=64)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def data(count: int = 4, resolution: int = 16, dimension: int = 2, seed: int = 0) -> Dataset:
    problem = PressurePoisson(resolution, dimension)
    inputs = problem.sample(count, generator(seed))
    return Dataset(problem, inputs, problem.solve(inputs), "pressure")


def empty_box(*grid: int, sides: object = "open"):
    return pressure_operator(torch.ones(grid, dtype=torch.int8), sides)


# -- the network


@pytest.mark.parametrize(("dimension", "size", "count"), [(3, 64, 97_457), (3, 128, 152_881), (2, 64, 32_657)])
def test_the_networks_have_the_published_numbers_of_parameters(dimension, size, count):
    """(27 + 1)·16 + c (27·16 + 1)·16 + 17 with c = 14 and 22 convolutions."""
    assert sum(p.numel() for p in DirectionNetwork(dimension, size).parameters()) == count


@settings(deadline=None, max_examples=6)
@given(dimension=st.integers(2, 3), sides=st.lists(st.integers(4, 8), min_size=3, max_size=3))
def test_the_network_takes_any_even_grid(dimension, sides):
    """The shape of r is the shape of q."""
    grid = [2 * n for n in sides[:dimension]]
    r = torch.ones(2, *grid)
    assert DirectionNetwork(dimension, channels=2)(r).shape == r.shape


def test_the_reach_of_the_network_is_that_of_its_convolutions():
    """Network 64 sees 21 cells away along an axis (1 + 4 + 2·6 + 4), and a few more through the two grids, not 30."""
    torch.manual_seed(0)
    network = DirectionNetwork(2, channels=4)
    r = torch.rand(1, 64, 64, requires_grad=True)
    network(r)[0, 32, 32].backward()
    seen = (r.grad[0] != 0).nonzero()
    reach = int((seen - 32).abs().max())
    assert 15 <= reach <= 24


def test_an_untrained_network_is_homogeneous():
    """Without bias, N(c r) = c N(r) for c > 0."""
    network, r = DirectionNetwork(2, channels=4).double(), normal(2, 16, 16)
    torch.testing.assert_close(network(1e-3 * r), 1e-3 * network(r))


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ((16, 16, 16), "made for 2 dimensions; train one on a problem of dimension 3"),
        ((15, 16), "grid 15×16: an even number of cells, at least 8"),
        ((6, 16), "grid 6×16: an even number"),
    ],
)
def test_a_grid_that_does_not_fit_the_network_is_named(grid, message):
    with pytest.raises(LearnerError, match=message):
        DirectionNetwork(2)(torch.ones(1, *grid))


# -- the loss


@pytest.mark.parametrize("factor", [-3.0, 1e-6, 1e6, 1e-200])
def test_the_loss_does_not_depend_on_the_scale_of_the_direction(factor):
    """L(s q) = L(q)."""
    A, b, q = poisson_operator((8, 8)), normal(3, 64), normal(3, 64, seed=1)
    torch.testing.assert_close(direction_loss(A, b, factor * q), direction_loss(A, b, q), rtol=1e-12, atol=0)


def test_the_loss_of_the_solution_is_zero():
    """Q = A⁻¹ b."""
    A, b = poisson_operator((8, 8)), normal(3, 64)
    q = torch.linalg.solve(A.to_dense(), b.mT).mT
    assert direction_loss(A, b, q) < 1e-24


def test_a_direction_that_is_zero_takes_no_step():
    """L(0) = 1, and its gradient is finite."""
    A, b = poisson_operator((8, 8)), normal(3, 64)
    q = torch.zeros(3, 64, dtype=torch.float64, requires_grad=True)
    loss = direction_loss(A, b, q)
    loss.backward()
    assert loss == 1
    assert q.grad.isfinite().all()


def test_the_step_of_the_loss_is_the_best_for_the_energy():
    """A = ⟨q, b⟩/⟨q, A q⟩ minimises ‖x − a q‖_A, not ‖b − a A q‖: the loss may exceed 1."""
    A, b = poisson_operator((8,)), torch.ones(1, 8, dtype=torch.float64)
    oscillating = torch.tensor([[1.0, -1, 1, -1, 1, -1, 1, 0]], dtype=torch.float64)
    q = torch.where(torch.arange(8) == 3, 1.0, 0.02 * oscillating)
    assert direction_loss(A, b, q) > 0
    a = (q @ b.mT / (q @ A.mv(q).mT)).item()
    expected = (b - a * A.mv(q)).square().sum() / b.square().sum()
    torch.testing.assert_close(direction_loss(A, b, q), expected)


def test_the_gradient_of_the_loss_is_right():
    A, b = poisson_operator((3, 3)), normal(2, 9)
    q = normal(2, 9, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda q: direction_loss(A, b, q), q)


# -- training vectors


def test_a_full_lanczos_run_finds_all_eigenvalues():
    """m = n: the Ritz pairs are the eigenpairs."""
    A = poisson_operator((5, 6))
    values, vectors = ritz_pairs(A, 100, generator())
    assert 25 <= len(values) <= 30  # eigenvalues that coincide are found once
    torch.testing.assert_close(A.mv(vectors), values[:, None] * vectors, rtol=0, atol=1e-8 * float(values[-1]))
    assert (values.diff() >= 0).all()


def test_ritz_vectors_are_orthonormal_and_interlace_the_spectrum():
    """VᵀV = I, λ_1 ≤ θ ≤ λ_n, by full reorthogonalisation."""
    A = empty_box(16, 16)
    values, vectors = ritz_pairs(A, 40, generator())
    torch.testing.assert_close(vectors @ vectors.mT, torch.eye(40, dtype=torch.float64), rtol=0, atol=1e-12)
    spectrum = torch.linalg.eigvalsh(A.to_dense())
    assert spectrum[0] - 1e-12 <= values[0]
    assert values[-1] <= spectrum[-1] + 1e-12


def test_the_kernel_is_left_out_of_the_ritz_vectors():
    """A closed box: all vectors have mean zero, so have the sums."""
    A = empty_box(8, 8, sides="solid")
    values, vectors = ritz_pairs(A, 64, generator())
    assert values[0] > 1e-8
    assert ritz_sums(vectors, 5, generator(1)).sum(1).abs().max() < 1e-10


@pytest.mark.parametrize(("sides", "transform"), [("open", scipy.fft.dstn), ("solid", scipy.fft.dctn)])
def test_the_eigenbasis_of_an_empty_box_is_that_of_the_sine_and_cosine_transforms(sides, transform):
    """The coefficients of the sums by DST-I (open) or DCT-II (solid) have the law N(0, 81) below, N(0, 1) above."""
    n, count = 12, 400
    A = empty_box(n, n, sides=sides)
    b = eigenvector_sums(A, count, generator()).reshape(count, n, n).numpy()
    c = torch.from_numpy(transform(b, type=1 if sides == "open" else 2, axes=(1, 2), norm="ortho")).flatten(1)
    k = torch.arange(n, dtype=torch.float64) + (1 if sides == "open" else 0)
    own = 2 - 2 * torch.cos(math.pi * k / (n + 1 if sides == "open" else n))
    order = (own[:, None] + own).flatten().argsort()[0 if sides == "open" else 1 :]
    deviation = c.square().mean(0).sqrt()[order]
    half = round(0.55 * len(order))
    # Equal eigenvalues may stand on either side of the border: leave its neighbourhood out.
    low, high = deviation[: half - 8], deviation[half + 8 :]
    assert (low.mean() / high.mean() - 9).abs() < 0.5
    assert (low - low.mean()).abs().max() < 0.2 * low.mean()


def test_both_laws_are_the_same_where_lanczos_ends():
    """On a box of n cells a run of n steps spans everything that A z sees: equal energies ⟨b, A b⟩ on average."""
    A = empty_box(10, 11)
    _, vectors = ritz_pairs(A, 110, generator())
    energies = [
        (b * A.mv(b)).sum(1).mean()
        for b in (ritz_sums(vectors, 500, generator(1)), eigenvector_sums(A, 500, generator(2)))
    ]
    torch.testing.assert_close(energies[0], energies[1], rtol=0.05, atol=0)


def test_training_vectors_have_norm_one_and_one_seed_gives_one_set():
    A = empty_box(8, 8, 8)
    b = eigenvector_sums(A, 7, generator())
    torch.testing.assert_close(b.norm(dim=1), torch.ones(7, dtype=torch.float64))
    assert torch.equal(b, eigenvector_sums(A, 7, generator()))


def test_a_box_with_obstacles_has_no_known_eigenbasis():
    cells = torch.ones(8, 8, dtype=torch.int8)
    cells[3, 3] = 0
    with pytest.raises(LearnerError, match="varies across axis 0"):
        eigenvector_sums(pressure_operator(cells), 1, generator())
    cells[3, 3] = 2
    with pytest.raises(LearnerError, match="empty box alone"):
        eigenvector_sums(pressure_operator(cells), 1, generator())
    with pytest.raises(LearnerError, match="Lanczos of 0 steps"):
        ritz_pairs(pressure_operator(cells), 0, generator())


# -- the learner


def fitted(steps: int = 60, basis: str = "eigenvectors") -> tuple[PublishedDirections, Dataset]:
    watched = data()
    config = PublishedDirectionsConfig(channels=8, vectors=400, basis=basis, ritz=60)  # type: ignore[arg-type]
    learner = PublishedDirections.from_problem(watched.problem, config)
    learner.fit(
        watched,
        watched,
        Trainer(TrainingConfig(steps=steps, batch_size=10, learning_rate=2e-3, validations=1, weight_decay=0)),
    )
    return learner, watched


@pytest.mark.parametrize("basis", ["eigenvectors", "ritz"])
def test_training_reduces_the_loss_without_solutions(basis):
    learner, watched = fitted(basis=basis)
    box = learner.box()
    b = eigenvector_sums(box, 50, generator(9)).float()
    A = box.replace(tuple(t.float() for t in box.parameters()))
    untrained = PublishedDirections.from_problem(watched.problem, learner.config).module
    with torch.no_grad():
        losses = [direction_loss(A, b, net(b.reshape(-1, 16, 16)).flatten(1)) for net in (learner.module, untrained)]
    assert losses[0] < 0.7 * losses[1]


def test_it_saves_iterations_against_unpreconditioned_conjugate_gradients():
    """Also around obstacles that it has never seen."""
    learner, watched = fitted(200)
    A, b = watched.problem.operator(watched.inputs), watched.problem.load(watched.inputs)
    plain = linear_solve(A, b, CG(rtol=1e-4)).stats.iterations
    directed = linear_solve(A, b, SafeguardedCG(rtol=1e-4, rule=learner, window=32, slowest=math.inf)).stats
    assert (directed.iterations < plain).all()


@pytest.mark.parametrize("kind", [SafeguardedCG, EnrichedCG])
def test_the_solution_does_not_depend_on_the_network(kind):
    """‖b − A x‖ ≤ 1e-8 ‖b‖ with an untrained one."""
    watched = data(3)
    learner = PublishedDirections.from_problem(watched.problem, SMALL)
    A, b = watched.problem.operator(watched.inputs), watched.problem.load(watched.inputs)
    solution = linear_solve(A, b, kind(rtol=1e-8, rule=learner), AggregationMultigrid())
    expected = linear_solve(A, b, CG(rtol=1e-11), AggregationMultigrid()).value
    torch.testing.assert_close(solution.value, expected, rtol=1e-5, atol=1e-6 * float(expected.abs().max()))


@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_the_rule_is_homogeneous(factor):
    """The network sees r / ‖r‖."""
    learner = PublishedDirections.from_problem(PressurePoisson(16), SMALL)
    with torch.no_grad():
        for p in learner.module.parameters():
            p.add_(0.1)  # with biases the network itself is not
    rule = learner.setup(empty_box(16, 16))
    r = normal(2, 256)
    torch.testing.assert_close(rule(factor * r) / factor, rule(r), rtol=1e-3, atol=1e-3 * float(rule(r).abs().max()))


def test_fit_predict_save_load_predict(tmp_path):
    learner, watched = fitted(3)
    before = learner.predict(watched.inputs).mean["pressure"]
    assert before.dtype == watched.inputs["rhs"].dtype
    assert learner.evaluate(watched)["relative_l2"] < 1e-2
    assert learner.evaluate(watched)["iterations"] > 0
    learner.save(tmp_path)
    again = load(tmp_path)
    assert isinstance(again, PublishedDirections)
    assert torch.equal(again.predict(watched.inputs).mean["pressure"], before)


def test_prediction_works_on_other_grids_and_on_nothing():
    learner = PublishedDirections.from_problem(PressurePoisson(16), SMALL)
    finer = data(2, 32)
    error = learner.predict(finer.inputs, batch_size=1).mean["pressure"] - finer.outputs["pressure"]
    assert error.norm() < 1e-2 * finer.outputs["pressure"].norm()
    assert learner.predict(finer.inputs.rows(slice(0, 0))).mean["pressure"].shape == (0, 1, 32, 32)


def test_it_is_registered_for_the_pressure_problem_alone():
    assert learner_types()["dcdm-published"] is PublishedDirections
    assert PublishedDirections.accepts(PressurePoisson(16)) is None
    with pytest.raises(LearnerError, match=r"dcdm-published cannot learn darcy: .* use the problem pressure"):
        PublishedDirections.from_problem(Darcy(resolution=16))


# -- bad input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rtol": 0.0}, "rtol = 0.0: a relative tolerance between 0 and 1"),
        ({"max_iterations": 0}, "max_iterations = 0: at least 1"),
        ({"size": 32}, "size = 32: the published networks are 64 and 128"),
        ({"basis": "fourier"}, "basis = 'fourier': use one of eigenvectors, ritz"),
        ({"window": 0}, "window = 0"),
        ({"slowest": 0.0}, "slowest = 0.0: a positive factor"),
    ],
)
def test_a_bad_configuration_is_named(change, message):
    with pytest.raises(ConfigurationError, match=message):
        PublishedDirectionsConfig(**change)


def test_bad_inputs_are_named():
    watched = data(2)
    learner = PublishedDirections.from_problem(watched.problem, SMALL)
    with pytest.raises(LearnerError, match=r"cells: array of shape \(2, 1, 16\), expected \(samples, 1, nx, ny\)"):
        learner.predict(Batch({"cells": watched.inputs["cells"][..., 0], "rhs": watched.inputs["rhs"]}))
    with pytest.raises(ProblemError, match="finite numbers are expected"):
        learner.predict(Batch({"cells": watched.inputs["cells"], "rhs": watched.inputs["rhs"] / 0}))
    with pytest.raises(LearnerError, match="has 3 dimensions, and this was made for 2"):
        learner.setup(empty_box(8, 8, 8))
    with pytest.raises(LearnerError, match="CSROperator has no grid"):
        learner.setup(empty_box(8, 8).to_csr())
    with pytest.raises(LearnerError, match="grid 9×8: an even number"):
        learner.setup(empty_box(9, 8))
    strict = PublishedDirections.from_problem(watched.problem, PublishedDirectionsConfig(channels=4, rtol=1e-15))
    with pytest.raises(ToleranceError, match="rtol = 1e-15"):
        strict.predict(watched.inputs)
