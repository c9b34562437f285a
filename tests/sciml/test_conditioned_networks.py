"""Convex networks that know the noise level: at every level what a proximal operator must be."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sciml.errors import ConfigurationError, LearnerError
from sciml.learners.proximal import (
    ConditionedNetwork,
    ConvexNetwork,
    FieldConvexNetwork,
    NoiseLevels,
    VectorConvexNetwork,
    matching_loss,
    prior_value,
)
from sciml.learners.proximal.averaged import AveragedNetwork
from sciml.plug_and_play import LearnedPrior
from sciml.plug_and_play.inversion import per_sample

ALPHA = 0.05
LEVELS = NoiseLevels(0.02, 0.2, 4)
SOME = [0.02, 0.05, 0.1234, 0.2]


def shaken(base: ConvexNetwork, seed: int = 0) -> ConditionedNetwork:
    """In float64, with weights that depend strongly on the level."""
    torch.manual_seed(seed)
    net = ConditionedNetwork(base, LEVELS).double()
    with torch.no_grad():
        for parameter in [*net.offsets, *net.gains, net.shifts]:
            parameter.add_(torch.randn_like(parameter))
    net.project_()
    return net


def network(dim: int, seed: int = 0, strides: tuple[int, ...] = (1, 1, 2)) -> ConditionedNetwork:
    torch.manual_seed(seed)
    return shaken(FieldConvexNetwork(dim, 1, (4, 5, 3), strides, filters=3, beta=4.0, alpha=ALPHA), seed)


def fields(dim: int, count: int = 2, size: int = 7, seed: int = 1) -> torch.Tensor:
    sizes = tuple(size + axis for axis in range(dim))
    return torch.randn(count, 1, *sizes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(st.floats(1e-3, 1.0), st.floats(1.5, 100.0), st.integers(3, 8))
@settings(max_examples=20, deadline=None)
def test_the_functions_of_the_level_are_a_partition_of_one(lowest, ratio, functions):
    levels = NoiseLevels(lowest, lowest * ratio, functions)
    basis = levels.basis(torch.linspace(0, 1, 41, dtype=torch.float64).mul(torch.tensor(ratio).log()).exp() * lowest)
    assert bool((basis >= 0).all())
    torch.testing.assert_close(basis.sum(1), torch.ones(41, dtype=torch.float64))


def test_the_functions_of_the_level_are_smooth():
    """The slope in log σ has no jump at the knots, where the pieces meet."""
    inner = torch.tensor([0.02 * 10**0.5], dtype=torch.float64)  # the knot in the middle: two pieces for 4 functions
    near = torch.cat([inner * (1 - 1e-6), inner * (1 + 1e-6)]).requires_grad_()
    slopes = torch.autograd.functional.jacobian(LEVELS.basis, near).diagonal(dim1=0, dim2=2)
    torch.testing.assert_close(slopes[:, 0], slopes[:, 1], rtol=1e-4, atol=1e-4)
    assert float(slopes.abs().max()) > 1


def test_drawn_levels_are_log_uniform_and_seeded():
    one, two = (LEVELS.draw(1000, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, two)
    share = (one / 0.02).log10()
    assert bool(((share >= 0) & (share < 1)).all())
    counts = torch.histc(share, 10, 0.0, 1.0)
    assert bool(((counts - 100).abs() <= 2).all())


@pytest.mark.parametrize("sigma", SOME)
@pytest.mark.parametrize(("dim", "size"), [(1, 5), (1, 12), (2, 7), (3, 4)])
def test_at_every_level_the_jacobian_is_symmetric_and_strongly_positive(dim, size, sigma):
    net, v = network(dim), fields(dim, size=size, seed=2)
    a, b = fields(dim, size=size, seed=3), fields(dim, size=size, seed=4)
    along_a, along_b = (torch.func.jvp(lambda v: net(v, sigma), (v,), (d,))[1] for d in (a, b))
    inner = (a * along_b).flatten(1).sum(1), (along_a * b).flatten(1).sum(1)
    torch.testing.assert_close(*inner, rtol=0, atol=1e-10)
    least = net.strong_convexity * a.flatten(1).square().sum(1)
    assert bool(((a * along_a).flatten(1).sum(1) >= least - 1e-12).all())
    assert net.strong_convexity == net.at(sigma).strong_convexity == 2 * ALPHA


@pytest.mark.parametrize("sigma", SOME)
def test_the_smallest_eigenvalue_is_at_least_the_modulus(sigma):
    net, v = network(1), fields(1, count=1, size=9)
    jacobian = torch.autograd.functional.jacobian(lambda v: net(v, sigma), v).reshape(9, 9)
    assert float(torch.linalg.eigvalsh((jacobian + jacobian.mT) / 2).min()) >= net.strong_convexity - 1e-12


@given(st.integers(0, 10_000), st.floats(0.02, 0.2))
@settings(max_examples=20, deadline=None)
def test_the_potential_is_convex_along_segments(seed, sigma):
    net = network(2, seed=seed)
    a, b = fields(2, seed=seed + 1), 3 * fields(2, seed=seed + 2)
    values = [net.potential(a + t * (b - a), sigma) for t in (0.0, 0.3, 1.0)]
    assert bool((values[1] <= 0.7 * values[0] + 0.3 * values[2] + 1e-10).all())


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_the_written_gradient_is_that_of_the_potential_at_every_sample_s_level(dim):
    net, v = network(dim), fields(dim, count=3).requires_grad_()
    sigma = torch.tensor([0.02, 0.07, 0.2], dtype=torch.float64)
    psi, f = net.potential_and_gradient(v, sigma)
    (slope,) = torch.autograd.grad(psi.sum(), v)
    torch.testing.assert_close(f, slope, rtol=0, atol=1e-10)
    assert torch.equal(f, net(v, sigma))


@pytest.mark.parametrize("kind", ["fields", "vectors"])
def test_a_batch_of_levels_is_as_one_level_at_a_time(kind):
    vectors = VectorConvexNetwork(6, width=5, depth=2, beta=4.0, alpha=ALPHA)
    net = network(2) if kind == "fields" else shaken(vectors)
    v = fields(2, count=4) if kind == "fields" else torch.randn(4, 6, dtype=torch.float64)
    together = net(v, torch.tensor(SOME, dtype=torch.float64))
    alone = torch.cat([net(row[None], sigma) for row, sigma in zip(v, SOME, strict=True)])
    ordinary = torch.cat([net.at(sigma)(row[None]) for row, sigma in zip(v, SOME, strict=True)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-13)
    torch.testing.assert_close(together, ordinary, rtol=0, atol=1e-13)
    assert float((net(v, 0.02) - net(v, 0.2)).detach().abs().max()) > 0.1


def test_before_training_every_level_is_the_convex_network():
    torch.manual_seed(0)
    base = FieldConvexNetwork(2, 1, (4, 4), (1, 2), filters=3).double()
    v = fields(2)
    expected = base(v)
    net = ConditionedNetwork(base, LEVELS).double()
    for sigma in SOME:
        torch.testing.assert_close(net(v, sigma), expected, rtol=0, atol=1e-13)


def test_the_network_of_a_level_has_weights_of_its_own():
    net, v = network(1), fields(1)
    one = net.at(0.1)
    before = one(v)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(0.5)
    assert torch.equal(one(v), before)
    assert one.potential(v).shape == (2,)


@pytest.mark.parametrize("sigma", SOME)
def test_the_prior_by_inversion_is_the_one_that_comes_for_free(sigma):
    one, v = network(2).at(sigma), fields(2)
    with torch.no_grad():
        point = LearnedPrior(one).prox(v)
    found = prior_value(one, point.x, tolerance=1e-10)  # fields of size 100
    assert bool((found.residual <= 2e-10).all())
    torch.testing.assert_close(found.value, point.value, rtol=0, atol=1e-8)


def test_the_loss_has_the_right_gradient():
    """In the shared maps and in what depends on the level."""
    net = network(1, strides=(1, 1, 2))
    x, v = fields(1, count=2, size=5, seed=5), fields(1, count=2, size=5)
    sigma = torch.tensor([0.03, 0.15], dtype=torch.float64)
    names = ["base.first.weight", "base.mixing.0.weight", "base.readouts.2", "offsets.0", "gains.1", "shifts"]

    def loss(*weights):
        answer = torch.func.functional_call(net, dict(zip(names, weights, strict=True)), (v, sigma))
        return matching_loss((answer - x) / per_sample(sigma, x), 30.0)

    given = [net.get_parameter(name).detach().clone().requires_grad_() for name in names]
    assert float(torch.autograd.grad(loss(*given), given[3])[0].abs().max()) > 1e-4
    assert torch.autograd.gradcheck(loss, given)


def test_averages_of_conditioned_networks_are_convex():
    net = network(1).float()
    averaged = AveragedNetwork(net, 0.5)
    for _ in range(3):
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.sub_(0.2)
        averaged.advance()
    averaged.settle()
    assert all(bool((weight >= 0).all()) for weight in net.constrained())
    assert {"gains.0", "base.mixing.0.weight", "base.readouts.2"} <= set(net.constrained_names)
    v, sigma = fields(1).float(), torch.tensor([0.03, 0.1])
    torch.testing.assert_close(averaged.train()(v, sigma), averaged.eval()(v, sigma))


def test_negative_factors_from_elsewhere_are_projected_with_a_warning():
    net = network(1)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    state["gains.0"][0, 0] = -1.0
    with pytest.warns(UserWarning, match="loaded weights are negative"):
        net.load_state_dict(state)
    assert bool((net.gains[0] >= 0).all())


@pytest.mark.parametrize("sigma", [0.01, 0.3, -0.1, float("nan")])
def test_levels_outside_of_the_range_are_refused_with_the_range(sigma):
    net, v = network(1), fields(1)
    for call in (lambda: net(v, sigma), lambda: net.at(sigma), lambda: net(v, torch.tensor([0.1, sigma]))):
        with pytest.raises(LearnerError, match=r"levels from 0\.02 to 0\.2"):
            call()


def test_as_many_levels_as_samples_are_expected():
    with pytest.raises(LearnerError, match=r"one a sample, \(2,\)"):
        network(1)(fields(1), torch.full((3,), 0.1))


@pytest.mark.parametrize(
    ("low", "high", "count"), [(0.0, 0.2, 3), (0.2, 0.1, 3), (0.1, float("inf"), 3), (0.1, 0.2, 2)]
)
def test_bad_ranges_are_refused(low, high, count):
    with pytest.raises(ConfigurationError):
        NoiseLevels(low, high, count)
