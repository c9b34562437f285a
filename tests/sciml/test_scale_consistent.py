"""The scale-consistent V-cycle has a limit; its learner is applied directly to grids it was not trained on."""

import dataclasses
from itertools import pairwise

import pytest
import torch

from pde_benchmarks import Batch, Darcy, FieldSpec, Grid, RecordedProblem
from pde_benchmarks.datasets import Dataset
from pde_benchmarks.grid_transfer import mean_of_blocks
from pde_benchmarks.metrics import relative_l2
from sciml.errors import ConfigurationError, LearnerError
from sciml.learner import load
from sciml.learners.mgno import ScaleConsistentMgNO, ScaleConsistentMgNOConfig
from sciml.learners.mgno.ghosts import GhostLayer
from sciml.learners.mgno.resolutions import halved
from sciml.learners.mgno.scale_consistent import (
    ChannelMix,
    PureTransfers,
    ScaleConsistentNetwork,
    ScaleConsistentVCycle,
    halvings,
)
from sciml.training import Trainer, TrainingConfig

SMALL = ScaleConsistentMgNOConfig(channels=4, layers=2, own_levels=2)


def field(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def transfers(rule="dirichlet", dim=2, nodal=False) -> PureTransfers:
    return PureTransfers(GhostLayer((rule,) * dim), nodal)


def v_cycle(rule="dirichlet", dim=2, own=4, channels=(1, 1), nodal=False, seed=0) -> ScaleConsistentVCycle:
    torch.manual_seed(seed)
    return ScaleConsistentVCycle(*channels, own, transfers(rule, dim, nodal)).double()


def network(rule="dirichlet", own=4, nodal=False, seed=0) -> ScaleConsistentNetwork:
    torch.manual_seed(seed)
    return ScaleConsistentNetwork(1, 1, 8, 3, own, transfers(rule, 2, nodal)).double()


@torch.no_grad()
def gains(function, alignment="cell", sizes=(32, 64, 128, 256, 512)):
    """By which factor the change of the answer shrinks with every doubling: on the whole square, and inside."""
    answers = []
    for n in sizes:
        x = Grid((n, n), alignment, ("periodic", "periodic")).points(0)
        X, Y = torch.meshgrid(x, x, indexing="ij")
        a = torch.sin(3 * X + 2 * Y) + X * Y
        if alignment == "left":  # periodic
            a = torch.sin(2 * torch.pi * X + 1) * torch.cos(4 * torch.pi * Y)
        answer = function(a[None, None])
        step = n // sizes[0]
        answers.append(mean_of_blocks(answer, step) if alignment == "cell" else answer[..., ::step, ::step])
    changes = [fine - coarse for coarse, fine in pairwise(answers)]
    whole, inside = [c.norm() for c in changes], [c[..., 8:-8, 8:-8].norm() for c in changes]
    return [[float(a / b) for a, b in pairwise(norms)] for norms in (whole, inside)]


@pytest.mark.parametrize("make", [v_cycle, network], ids=["W", "network"])
@pytest.mark.parametrize("rule", ["dirichlet", "neumann", "periodic", "zeros"])
def test_answers_converge_when_the_grid_is_refined(make, rule):
    """‖u_2N − u_N‖ shrinks by a factor of at least 3 with every doubling of N from 32 to 512, for random weights."""
    whole, inside = gains(make(rule))
    assert min(whole) > 3
    assert min(inside) > 3


def test_nodes_of_a_periodic_grid_converge_too():
    whole, _ = gains(network("periodic", nodal=True), "left")
    assert min(whole) > 3


def test_with_a_mix_on_the_shared_levels_there_is_no_limit():
    """The same weights, with one more mix for every finer level: from 64 on the changes grow."""
    W = v_cycle(channels=(4, 4))
    torch.manual_seed(1)
    mixes = {name: ChannelMix(4, 2).double() for name in ("restrict", "prolong")}

    @dataclasses.dataclass(frozen=True)
    class Mixed(PureTransfers):
        def restrict(self, field):
            return mixes["restrict"](super().restrict(field))

        def prolong(self, field):
            return mixes["prolong"](super().prolong(field))

    W.transfers = Mixed(W.transfers.ghosts)
    whole, _ = gains(lambda a: W(a.expand(-1, 4, -1, -1)))
    assert max(whole[1:]) < 1


@pytest.mark.parametrize("n", [8, 32])
@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize(("rule", "nodal"), [("dirichlet", False), ("zeros", False), ("periodic", True)])
def test_w_is_linear_on_every_grid(rule, nodal, dim, n):
    n = min(n, 16) if dim == 3 else n
    W = v_cycle(rule, dim, own=2, channels=(2, 3), nodal=nodal)
    f, g = field(1, 2, *[n] * dim), field(1, 2, *[n] * dim, seed=1)
    combined = W(0.3 * f + g).detach()
    assert combined.shape == (1, 3, *[n] * dim)
    torch.testing.assert_close(
        combined, (0.3 * W(f) + W(g)).detach(), rtol=1e-12, atol=1e-12 * float(combined.abs().max())
    )
    assert W(torch.zeros_like(f)).abs().max() == 0


@pytest.mark.parametrize("nodal", [False, True])
def test_periodic_networks_commute_with_shifts_of_the_coarsest_cell(nodal):
    """N(τ v) = τ N(v) for shifts by N/4 points."""
    net, v = network("periodic", own=2, nodal=nodal), field(1, 1, 32, 32)
    moved = net(v.roll((8, 16), (2, 3))).detach()
    torch.testing.assert_close(moved, net(v).roll((8, 16), (2, 3)).detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("rule", "nodal"), [("dirichlet", False), ("neumann", False), ("periodic", True)])
def test_gradients(rule, nodal):
    W = v_cycle(rule, own=2, channels=(2, 2), nodal=nodal)
    assert torch.autograd.gradcheck(W, (field(1, 2, 16, 16).requires_grad_(),), fast_mode=True)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_transfers_are_exact_for_linear_functions(dim):
    """Block means and bilinear values of x + 2 y + … are its values, away from the boundary."""
    fine, coarse = (
        sum((k + 1) * Grid((n,) * dim).points(0).reshape(-1, *[1] * k) for k in range(dim)) for n in (16, 8)
    )
    move = transfers("neumann", dim)
    torch.testing.assert_close(move.restrict(fine[None, None])[0, 0], coarse, rtol=1e-14, atol=0)
    inside = (slice(1, -1),) * dim
    torch.testing.assert_close(move.prolong(coarse[None, None])[0, 0][inside], fine[inside], rtol=1e-14, atol=0)


def test_nodal_transfers_keep_the_nodes():
    move, f = transfers("periodic", 1, nodal=True), field(1, 1, 8)
    assert torch.equal(move.prolong(f)[..., ::2], f)
    spread = (f.roll(1, -1) + 2 * f + f.roll(-1, -1)) / 4
    torch.testing.assert_close(move.restrict(f), spread[..., ::2], rtol=1e-14, atol=1e-15)


def test_prolongation_meets_the_boundary_value():
    """Beside a zero boundary the fine value is half of the coarse one: half the distance."""
    fine = transfers("dirichlet", 1).prolong(torch.ones(1, 1, 4))
    assert fine[0, 0].tolist() == [0.5, 1, 1, 1, 1, 1, 1, 0.5]


@pytest.mark.parametrize(("shape", "count"), [((4,), 0), ((64, 64), 4), ((32, 96, 64), 3)])
def test_halvings(shape, count):
    assert halvings(shape) == count


@pytest.mark.parametrize("shape", [(3,), (48,), (63, 64), (64, 65), (16, 34)])
def test_grids_without_levels_are_refused(shape):
    with pytest.raises(ConfigurationError, match=r"4·2\^k"):
        halvings(shape)


# the learner


def darcy_data(n=16, count=16, law="smooth", seed=0) -> Dataset:
    problem = Darcy(law, n)
    a = problem.sample(count, torch.Generator().manual_seed(seed))
    return Dataset(problem, a, problem.solve(a), "darcy")


def fitted(config=SMALL, steps=4, n=16, data=None):
    data = data or darcy_data(n)
    learner = ScaleConsistentMgNO.from_problem(data.problem, config)
    learner.fit(data, data, Trainer(TrainingConfig(steps=steps, batch_size=4, validations=1, learning_rate=5e-3)))
    return learner, data


def test_fit_save_load_predict(tmp_path):
    learner, data = fitted(dataclasses.replace(SMALL, boundary=(("dirichlet", "neumann"), "zeros")))
    before = learner.predict(data.inputs).mean["solution"]
    learner.save(tmp_path)
    again = load(tmp_path)
    assert again.config == learner.config
    assert torch.equal(again.predict(data.inputs).mean["solution"], before)


def test_other_resolutions_are_predicted_directly():
    learner, _ = fitted()
    finer = darcy_data(32, 4).inputs
    expected = learner.predict_directly(finer).mean["solution"]
    assert torch.equal(learner.predict(finer).mean["solution"], expected)
    assert "directly" in learner.resolution_note


def test_twice_the_training_resolution_costs_little():
    """Trained on 16² and 32² at random, the error at 64² is close to that at 32²."""
    data = darcy_data(32, 64)
    learner, _ = fitted(dataclasses.replace(SMALL, channels=8), steps=150, data=data)
    errors = []
    for n in (32, 64):
        unseen = darcy_data(n, 16, seed=1)
        errors.append(relative_l2(learner.predict(unseen.inputs).mean["solution"], unseen.outputs["solution"]).mean())
    assert errors[0] < 0.15
    assert errors[1] < 1.3 * errors[0]


def test_first_guesses_are_corrected_on_every_grid():
    config = ScaleConsistentMgNOConfig(base="fmg", channels=4, layers=1, own_levels=2)
    learner, _ = fitted(config)
    finer = darcy_data(32, 4)
    prediction = learner.predict(finer.inputs).mean["solution"]
    assert relative_l2(prediction, finer.outputs["solution"]).mean() < 0.02


def test_halved_phases_are_one_cell_of_every_block_and_are_solved_again():
    data = darcy_data(16, 8)
    coarse = halved(data, data.problem.grid, 2, torch.Generator().manual_seed(0))
    a = coarse.inputs["coefficient"]
    corners = [data.inputs["coefficient"][..., i::2, j::2] for i in (0, 1) for j in (0, 1)]
    assert all(any(torch.equal(a[k], corner[k]) for corner in corners) for k in range(8))
    assert len({next(c for c in range(4) if torch.equal(a[k], corners[c][k])) for k in range(8)}) > 1
    residual = Darcy(resolution=8).residual(coarse.inputs, coarse.outputs)["solution"]
    assert residual.abs().max() < 1e-6


def test_halved_positive_fields_take_geometric_means():
    data = darcy_data(16, 4, "multiscale")
    coarse = halved(data, data.problem.grid, 2, torch.Generator())
    expected = mean_of_blocks(data.inputs["coefficient"], 2, geometric=True)
    torch.testing.assert_close(coarse.inputs["coefficient"], expected)
    assert torch.equal(coarse.outputs["solution"], mean_of_blocks(data.outputs["solution"], 2))


def test_halved_nodes_are_every_second_node():
    grid = Grid((16,), "left", ("periodic",))
    problem = RecordedProblem("file", (FieldSpec("x", 1, grid),), (FieldSpec("y", 1, grid),))
    x = field(3, 1, 16)
    coarse = halved(Dataset(problem, Batch({"x": x}), Batch({"y": 2 * x}), "file"), grid, 2, torch.Generator())
    assert torch.equal(coarse.inputs["x"], x[..., ::2])
    assert torch.equal(coarse.outputs["y"], 2 * x[..., ::2])


def recorded(grid: Grid) -> RecordedProblem:
    return RecordedProblem("file", (FieldSpec("x", 1, grid),), (FieldSpec("y", 1, grid),))


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        (Grid((17, 17), "vertex"), "vertex points"),
        (Grid((16,), "left", ("dirichlet",)), "left points"),
        (Grid((16, 16), "unknown"), "unknown points"),
        (Grid((24, 24)), r"4·2\^k"),
    ],
)
def test_grids_that_it_does_not_take(grid, words):
    with pytest.raises(LearnerError, match=words):
        ScaleConsistentMgNO.from_problem(recorded(grid))


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_periodic_nodes_and_cells_are_taken_in_every_dimension(dim):
    for grid in (Grid((16,) * dim, "left", ("periodic",) * dim), Grid((16,) * dim)):
        learner = ScaleConsistentMgNO.from_problem(recorded(grid), SMALL)
        assert learner.predict(Batch({"x": field(2, 1, *[32] * dim)})).mean["y"].shape == (2, 1, *[32] * dim)


@pytest.mark.parametrize(
    ("shape", "words"), [((24, 24), r"4·2\^k"), ((16, 32), "no refinement of the training grid 16×16")]
)
def test_predictions_on_grids_that_do_not_fit(shape, words):
    learner = ScaleConsistentMgNO.from_problem(Darcy(resolution=16), SMALL)
    with pytest.raises(ConfigurationError, match=words):
        learner.predict(Batch({"coefficient": torch.ones(1, 1, *shape)}))


def test_error_bars_of_one_grid_are_refused():
    with pytest.raises(ConfigurationError, match="use mgno-data"):
        ScaleConsistentMgNOConfig(uncertainty="laplace")


def test_more_resolutions_than_the_grid_has():
    with pytest.raises(ConfigurationError, match="halves 2 times"):
        ScaleConsistentMgNO.from_problem(Darcy(resolution=16), dataclasses.replace(SMALL, resolutions=4))
