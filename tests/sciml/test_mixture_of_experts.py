"""The mixture of experts: routers, windows, independent and coupled experts, experts over processes."""

from __future__ import annotations

import sys
from pathlib import Path

import expert_jobs
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from termwise_toys import Reaction, reaction, smooth_basis

from pde_benchmarks.diffusion_sorption import DiffusionSorption
from pde_benchmarks.problem import Batch
from sciml.errors import ConfigurationError, LearnerError
from sciml.learners.hard_constraints.bounds import LowerBound
from sciml.learners.hard_constraints.boxes import Boxes
from sciml.learners.hard_constraints.expert_metrics import interface_jump, load_imbalance
from sciml.learners.hard_constraints.expert_parallel import ExpertParallel
from sciml.learners.hard_constraints.layer import ConstraintLayer
from sciml.learners.hard_constraints.mixture import Coupled, Independent, MixtureOfExperts
from sciml.learners.hard_constraints.norms import ErrorNorm, PlainNorm
from sciml.learners.hard_constraints.routers import BoxRouter, FittedRouter, windows
from solvers import DistributedError, SolveError, Status

sys.path.append(str(Path(__file__).parent.parent / "solvers"))
from distributed_world import World

PLAIN = ConstraintLayer(PlainNorm(), ridge=0.0)
ERROR = ConstraintLayer(ErrorNorm(), ridge=0.0)
NORMS = pytest.mark.parametrize("layer", [PLAIN, ERROR], ids=["plain", "error"])
COUPLINGS = pytest.mark.parametrize(
    "coupling", [Independent(), Independent(overlap=0.5), Coupled()], ids=["independent", "blended", "coupled"]
)
NORM_NAMES = pytest.mark.parametrize("norm", ["plain", "error"])
WIDE = {"times": 7, "points": 17}


def normal(*shape, seed=5):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def zero_offset(residual, batch=2):
    return torch.zeros(batch, *residual.shape, dtype=torch.float64)


@settings(deadline=None, max_examples=20)
@given(
    shape=st.lists(st.integers(3, 12), min_size=1, max_size=3),
    counts=st.lists(st.integers(1, 3), min_size=3, max_size=3),
    overlap=st.floats(0, 1),
)
def test_windows_are_a_partition_of_unity(shape, counts, overlap):
    """0 ≤ χ_e, Σ_e χ_e = 1 to rounding, and boxes hold every point once."""
    router, shape = BoxRouter(tuple(counts[: len(shape)])), tuple(shape)
    chi, boxes = windows(router, shape, overlap), router.boxes(shape)
    assert float(chi.min()) >= 0
    assert float((chi.sum(0) - 1).abs().max()) < 1e-15
    assert boxes.points[boxes.mask].sort().values.tolist() == list(range(boxes.size))
    assert int(boxes.loads.sum()) == boxes.size


def test_windows_without_overlap_are_indicators():
    router = BoxRouter((2, 3))
    owner = router.boxes((5, 7)).owner
    assert torch.equal(windows(router, (5, 7), 0.0), torch.nn.functional.one_hot(owner).T.double())


def test_a_fitted_router_cuts_where_the_residual_is():
    """The peak's box is smaller than the others; all of the grid has an owner."""
    x = torch.linspace(0, 1, 64)
    router = FittedRouter.fit(torch.exp(-400 * (x - 0.2) ** 2), 4)
    sizes = [b - a for ((a, b),) in router.extents((64,))]
    assert sum(sizes) == 64
    assert min(sizes) < 16 < max(sizes)
    assert float((windows(router, (64,), 0.5).sum(0) - 1).abs().max()) < 1e-15


@pytest.mark.parametrize("curve", [0.0, 2.0])
def test_independent_experts_are_separate_problems(curve):
    """w_e = argmin of the rows of box e and of all conditions, one problem after the other."""
    residual = reaction(curve=curve, **WIDE)
    basis, offset = smooth_basis(residual, 2, 4), zero_offset(residual)
    router = BoxRouter((1, 3))
    together = MixtureOfExperts(PLAIN, router, Independent())(residual, basis, offset)
    boxes, expansion = router.boxes(residual.shape), PLAIN.expansion(residual, basis, offset)
    for e in range(3):
        alone = PLAIN.solve(expansion, boxes, None, None, slice(e, e + 1))
        torch.testing.assert_close(alone.weights[:, 0], together.weights[:, e], rtol=1e-7, atol=1e-7)
        field = offset + (basis * together.weights[:, e, :, None, None]).sum(1)
        mine = (boxes.owner == e).reshape(residual.shape) & ~residual.global_rows
        rows = residual.rows(field)
        total = rows[:, mine].square().mean(-1) + rows[:, residual.global_rows].square().mean(-1)
        torch.testing.assert_close(together.objective()[:, e], total / 2, rtol=1e-9, atol=0)


@NORMS
def test_permuting_experts_permutes_their_weights(layer):
    residual = reaction(curve=0.0, **WIDE)
    basis, offset = smooth_basis(residual, 2, 4), zero_offset(residual)
    owner, order = BoxRouter((1, 3)).boxes(residual.shape).owner, torch.tensor([2, 0, 1])
    expansion, weights = layer.expansion(residual, basis, offset), []
    for numbers in (owner, order[owner]):
        weights.append(layer.solve(expansion, Boxes.from_owner(residual.shape, numbers), None, None).weights)
    torch.testing.assert_close(weights[1][:, order], weights[0], rtol=1e-10, atol=1e-10)


@NORMS
@COUPLINGS
@pytest.mark.parametrize("curve", [0.0, 2.0])
def test_one_expert_is_the_plain_layer(layer, coupling, curve):
    residual = reaction(curve=curve)
    basis, offset = smooth_basis(residual, 2, 4), zero_offset(residual)
    layer = layer if layer is PLAIN else ConstraintLayer(ErrorNorm(updates=60), ridge=0.0)
    one = MixtureOfExperts(layer, BoxRouter((1, 1)), coupling)(residual, basis, offset)
    torch.testing.assert_close(one.values, layer(residual, basis, offset).values, rtol=1e-6, atol=1e-6)


@NORMS
@pytest.mark.parametrize("curve", [0.0, 2.0])
def test_coupled_experts_are_never_above_one_solve(layer, curve):
    """span{b} ⊂ span{χ_e b}: equal weights are the field of one solve, and the minimum is lower."""
    residual = reaction(curve=curve, **WIDE)
    basis, offset = smooth_basis(residual, 2, 4), zero_offset(residual)
    layer = layer if layer is PLAIN else ConstraintLayer(ErrorNorm(updates=12), ridge=0.0)
    single = layer(residual, basis, offset)
    coupled = MixtureOfExperts(layer, BoxRouter((1, 3)), Coupled())(residual, basis, offset)
    if layer is PLAIN or curve == 0.0:  # otherwise each is measured by the inverse at its own field
        assert (coupled.objective() <= single.objective() * (1 + 1e-10)).all()
    chi = windows(BoxRouter((1, 3)), residual.shape, 0.5)
    expansion = layer.expansion(residual, basis, offset)
    same = expansion.field(single.weights.expand(-1, 3, -1), chi)
    torch.testing.assert_close(same, single.values, rtol=1e-12, atol=1e-12)


@NORMS
def test_two_level_schwarz_finds_the_dense_solution(layer):
    """Conjugate gradients on the K N weights give the field and the gradient of the dense normal equations."""
    residual = reaction(curve=2.0, **WIDE)
    offset, c, results = zero_offset(residual), normal(2, *residual.shape), []
    for dense in (1024, 4):
        basis = smooth_basis(residual, 2, 4).requires_grad_()
        field = MixtureOfExperts(layer, BoxRouter((1, 3)), Coupled(dense=dense))(residual, basis, offset)
        (field.values * c).sum().backward()
        assert field.fallbacks == 0
        results.append((field.values.detach(), basis.grad))
    assert field.condition.isnan().all()
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6 * float(theirs.abs().max()))


@NORMS
@COUPLINGS
def test_gradients_of_experts_are_central_differences(layer, coupling):
    """d⟨c, u⟩/db for a linear residual in both norms, all couplings."""
    residual = reaction(curve=0.0, **WIDE)
    basis, offset, c = smooth_basis(residual, 2, 4), zero_offset(residual), normal(2, *residual.shape)
    experts = MixtureOfExperts(layer, BoxRouter((1, 3)), coupling)
    variable, direction = basis.clone().requires_grad_(), normal(*basis.shape, seed=7) / 10
    (experts(residual, variable, offset).values * c).sum().backward()
    ends = [(experts(residual, basis + s * 1e-6 * direction, offset).values * c).sum() for s in (1, -1)]
    torch.testing.assert_close((variable.grad * direction).sum(), (ends[0] - ends[1]) / 2e-6, rtol=1e-6, atol=1e-7)


@COUPLINGS
def test_gradients_of_nonlinear_experts_are_central_differences(coupling):
    residual = reaction(curve=2.0, **WIDE)
    basis, offset, c = smooth_basis(residual, 2, 4), zero_offset(residual), normal(2, *residual.shape)
    experts = MixtureOfExperts(PLAIN, BoxRouter((1, 3)), coupling)
    start = experts(residual, basis, offset).weights.detach()
    variable, direction = basis.clone().requires_grad_(), normal(*basis.shape, seed=7) / 100
    (experts(residual, variable, offset, start).values * c).sum().backward()
    ends = [(experts(residual, basis + s * 1e-5 * direction, offset, start).values * c).sum() for s in (1, -1)]
    torch.testing.assert_close((variable.grad * direction).sum(), (ends[0] - ends[1]) / 2e-5, rtol=1e-6, atol=1e-7)


def test_a_broken_expert_leaves_the_others_bitwise_unchanged_and_is_named():
    """NaN in the basis inside box 1 of sample 0: the other five systems are the same bits."""
    residual = reaction(curve=2.0, **WIDE)
    basis, offset = smooth_basis(residual, 2, 4), zero_offset(residual)
    broken = basis.clone()
    broken[0, 2, 4, 8] = torch.nan
    experts = MixtureOfExperts(PLAIN, BoxRouter((1, 3)), Independent())
    healthy, beside = experts(residual, basis, offset), experts(residual, broken, offset)
    assert beside.status.tolist() == [[0, Status.NONFINITE_INPUT, 0], [0, 0, 0]]
    assert beside.fallbacks == 1
    others = beside.status == 0
    assert torch.equal(healthy.weights[others], beside.weights[others])
    assert torch.equal(healthy.values[..., :5], beside.values[..., :5])
    loud = MixtureOfExperts(ConstraintLayer(PlainNorm(), throw=True), BoxRouter((1, 3)), Independent())
    with pytest.raises(SolveError, match="sample 0 of 2, expert 1 of 3: status NONFINITE_INPUT"):
        loud(residual, broken, offset)


@COUPLINGS
def test_a_broken_expert_in_the_error_norm_is_named_with_its_point(coupling):
    """NaN in the basis at (4, 8): the second box fails, others survive with their gradients; coupled, the sample."""
    residual = reaction(curve=2.0, **WIDE)
    broken = smooth_basis(residual, 2, 4)
    broken[0, 2, 4, 8] = torch.nan
    broken.requires_grad_()
    experts = MixtureOfExperts(ERROR, BoxRouter((1, 3)), coupling)
    with pytest.warns(RuntimeWarning, match="status NONFINITE_INPUT"):
        field = experts(residual, broken, zero_offset(residual))
    bad = Status.NONFINITE_INPUT
    apart = isinstance(coupling, Independent)
    assert field.status.tolist() == ([[0, bad, 0], [0, 0, 0]] if apart else [[bad], [0]])
    field.values[1].sum().backward()
    assert broken.grad.isfinite().all()
    # The rate of change, a difference, is broken in (4, 8) and (5, 8), the bend in (4, 7) already.
    message = rf"expert {int(apart)} of {3 if apart else 1}: .* at point \(4, 7\) of the grid \(7, 17\)"
    with pytest.raises(SolveError, match=message):
        field.raise_if_failed()


def test_a_broken_right_hand_side_fails_its_expert_alone():
    """NaN in the initial field at the last point, a condition of the third box."""
    residual = reaction(curve=0.0, **WIDE)
    kappa, initial = residual.parameters
    initial = initial.clone()
    initial[1, -1] = torch.nan
    posed, basis = Reaction(kappa, initial, WIDE["times"], 0.0), smooth_basis(residual, 2, 4)
    field = MixtureOfExperts(ERROR, BoxRouter((1, 3)), Independent())(posed, basis, zero_offset(residual))
    assert field.status.tolist() == [[0, 0, 0], [0, 0, Status.NONFINITE_INPUT]]
    assert field.values[:, :, :11].isfinite().all()


def test_jumps_and_loads_are_measured():
    """Equal weights have no jump; blending is smoother than cutting in the field, whatever the traces."""
    residual = reaction(**WIDE)
    basis, boxes = smooth_basis(residual, 2, 4), BoxRouter((1, 3)).boxes(residual.shape)
    weights = normal(2, 1, 4).expand(2, 3, 4)
    assert float(interface_jump(basis, weights, boxes).abs().max()) == 0
    assert (interface_jump(basis, normal(2, 3, 4), boxes) > 0).all()
    assert load_imbalance(boxes) == pytest.approx(6 / (17 / 3))


@NORM_NAMES
@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_two_processes_train_as_one(world, norm, overlap):
    """Losses, gradients and trained parameters of three experts on two processes, to 1e-8."""
    coupling = Independent(overlap=overlap)
    alone = expert_jobs.trained(False, norm, coupling, 3)
    for result in world.run(expert_jobs.trained, True, norm, coupling, 3):
        for ours, theirs in zip(result, alone, strict=True):
            torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("norm", list(expert_jobs.NORMS))
def test_two_processes_train_coupled_experts_as_one(world, norm):
    """The same for coupled ones, whose loss has their objective, too."""
    alone = expert_jobs.trained(False, norm, Coupled(), 3)
    for result in world.run(expert_jobs.trained, True, norm, Coupled(), 3):
        for ours, theirs in zip(result, alone, strict=True):
            torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), rtol=1e-8, atol=1e-10)


@NORM_NAMES
def test_two_processes_take_the_schwarz_steps_of_one(world, norm):
    """Above `dense` unknowns: products, blocks and the coarse block summed over processes."""
    coupling = Coupled(dense=4)
    alone = expert_jobs.trained(False, norm, coupling, 3, steps=1)
    for result in world.run(expert_jobs.trained, True, norm, coupling, 3, None, 1):
        for ours, theirs in zip(result, alone, strict=True):
            torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), rtol=1e-8, atol=1e-10)


@NORM_NAMES
@COUPLINGS
def test_two_processes_have_the_sensitivities_of_one(world, norm, coupling):
    """Mean over processes of the gradients in what they all hold: the offset, the residual's parameters."""
    alone = expert_jobs.sensitivities(False, norm, coupling)
    for result in world.run(expert_jobs.sensitivities, True, norm, coupling):
        for ours, theirs in zip(result, alone, strict=True):
            torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), rtol=1e-7, atol=1e-9)


def test_two_processes_hold_the_bound_of_one(world):
    """Coupled experts whose field would be below the bound somewhere."""
    alone = expert_jobs.trained(False, "plain", Coupled(), 3, LowerBound(0.6))
    free = expert_jobs.trained(False, "plain", Coupled(), 3)
    assert alone[0][0] != pytest.approx(free[0][0], rel=1e-3)
    for result in world.run(expert_jobs.trained, True, "plain", Coupled(), 3, LowerBound(0.6)):
        for ours, theirs in zip(result, alone, strict=True):
            torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), rtol=1e-8, atol=1e-10)


def test_more_processes_than_experts_are_refused_everywhere(world):
    for message in world.run(expert_jobs.complaint, 1):
        assert "1 experts for 2 processes" in message


def test_a_broken_expert_of_one_process_is_told_to_all(world):
    """All processes raise and name sample and expert; nobody waits."""
    for message in world.run(expert_jobs.broken):
        assert "sample 1 of 2, expert 2 of 3: status NONFINITE_INPUT" in message


def test_experts_over_processes_need_processes():
    residual = reaction()
    with pytest.raises(DistributedError, match="not initialised"):
        ExpertParallel()(residual, smooth_basis(residual, 2, 4), zero_offset(residual))


@pytest.fixture(scope="module")
def world():
    running = World(2)
    yield running
    running.stop()


def test_experts_without_conditions_or_coupling_are_refused():
    residual = reaction(**WIDE)
    residual.global_rows = torch.zeros_like(residual.global_rows)
    basis, offset = smooth_basis(residual, 2, 4), zero_offset(residual)
    with pytest.raises(LearnerError, match=r"3 independent experts, but the residual has no initial or boundary rows"):
        MixtureOfExperts(PLAIN, BoxRouter((1, 3)), Independent())(residual, basis, offset)
    field = MixtureOfExperts(PLAIN, BoxRouter((1, 3)), Independent(isolated=True))(residual, basis, offset)
    assert field.values.isfinite().all()


@pytest.mark.parametrize(
    ("router", "message"),
    [
        (BoxRouter((1, 30)), r"an expert would have no point"),
        (BoxRouter((2,)), r"1 counts \(2,\) for the 2 axes of a grid \(7, 17\): .* such as BoxRouter\(\(1, 2\)\)"),
        (BoxRouter((1, 17)), r"expert 0 of 17 has no point beside initial and boundary conditions"),
        (FittedRouter.fit(torch.ones(8, 8), 2), r"fitted on a grid \(8, 8\), used on \(7, 17\)"),
    ],
    ids=["points", "axes", "conditions", "grid"],
)
def test_routers_that_do_not_fit_the_grid_are_named(router, message):
    residual = reaction(**WIDE)
    with pytest.raises(LearnerError, match=message):
        MixtureOfExperts(PLAIN, router, Independent())(residual, smooth_basis(residual, 2, 4), zero_offset(residual))


def test_bad_routers_are_named():
    with pytest.raises(ConfigurationError, match=r"counts = \(0, 2\)"):
        BoxRouter((0, 2))
    with pytest.raises(ConfigurationError, match=r"overlap = 2"):
        windows(BoxRouter((2,)), (4,), 2.0)
    with pytest.raises(LearnerError, match="no box of 4 points a side is left to cut"):
        FittedRouter.fit(torch.ones(8), 3)
    with pytest.raises(LearnerError, match="expert 1 of 3 has no point"):
        Boxes.from_owner((4,), torch.tensor([0, 0, 2, 2]))


def test_closed_forms_solve_sorption_in_the_error_norm():
    """Without a network, against the discrete solution: plain > error norm of one solve > four coupled experts."""
    problem = DiffusionSorption(resolution=32, frames=21)
    inputs = problem.sample(3, torch.Generator().manual_seed(0))
    inputs = Batch({name: array.double() for name, array in inputs.items()})
    truth = problem.discrete_solution(inputs)["solution"][:, 0].double()
    residual, offset = problem.termwise(inputs), problem.offset(inputs)
    basis = torch.stack(list(problem.closed_forms(inputs).values()), 1) * problem.envelope(inputs).unsqueeze(1)
    errors = []
    for experts in (PLAIN, ERROR, MixtureOfExperts(ERROR, BoxRouter((1, 4)), Coupled())):
        field = experts(residual, basis, offset)
        assert field.fallbacks == 0
        errors.append(float((field.values - truth).norm() / truth.norm()))
    plain, one, coupled = errors
    assert one < 0.5 * plain
    assert coupled < 0.8 * one
