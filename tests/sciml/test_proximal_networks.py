"""Convex networks: their gradient, symmetry, monotonicity, and what follows from being a proximal operator."""

from __future__ import annotations

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sciml.errors import ConfigurationError, LearnerError
from sciml.learners.proximal import FieldConvexNetwork, VectorConvexNetwork, prior_value
from sciml.learners.proximal.linear_maps import Convolution
from sciml.plug_and_play import LearnedPrior

ALPHA = 0.05


def network(dim: int, seed: int = 0, channels: int = 1, strides: tuple[int, ...] = (1, 1, 2)) -> FieldConvexNetwork:
    """A small random one in float64."""
    torch.manual_seed(seed)
    return FieldConvexNetwork(dim, channels, (4, 5, 3), strides, filters=3, beta=4.0, alpha=ALPHA).double()


def fields(dim: int, count: int = 2, channels: int = 1, size: int = 7, seed: int = 1) -> torch.Tensor:
    sizes = tuple(size + axis for axis in range(dim))
    return torch.randn(count, channels, *sizes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(
    st.integers(1, 3), st.integers(4, 9), st.sampled_from([(1, 1, 1), (1, 1, 2), (1, 2, 2), (1, 3, 1)]),
    st.integers(1, 3),
)  # fmt: skip
@settings(max_examples=20, deadline=None)
def test_the_written_gradient_is_that_of_the_potential(dim, size, strides, channels):
    net = network(dim, channels=channels, strides=strides)
    v = fields(dim, channels=channels, size=size).requires_grad_()
    (slope,) = torch.autograd.grad(net.potential(v).sum(), v)
    assert net(v).shape == v.shape
    torch.testing.assert_close(net(v), slope, rtol=0, atol=1e-10)


def test_value_and_gradient_are_those_of_the_two_calls():
    net, v = network(2), fields(2)
    psi, f = net.potential_and_gradient(v)
    assert torch.equal(psi, net.potential(v))
    assert torch.equal(f, net(v))


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_the_jacobian_is_symmetric_and_strongly_positive(dim):
    net, v = network(dim), fields(dim, seed=2)
    a, b = fields(dim, seed=3), fields(dim, seed=4)
    along_a, along_b = (torch.func.jvp(net, (v,), (d,))[1] for d in (a, b))
    inner = (a * along_b).flatten(1).sum(1), (along_a * b).flatten(1).sum(1)
    torch.testing.assert_close(*inner, rtol=0, atol=1e-10)
    assert bool(((a * along_a).flatten(1).sum(1) >= 2 * ALPHA * a.flatten(1).square().sum(1) - 1e-12).all())


def test_a_large_image_has_a_symmetric_jacobian_too():
    net = network(2)
    v, a, b = (torch.randn(1, 1, 130, 97, dtype=torch.float64) for _ in range(3))
    along_a, along_b = (torch.func.jvp(net, (v,), (d,))[1] for d in (a, b))
    size = float(a.norm() * b.norm())
    assert abs(((a * along_b).sum() - (along_a * b).sum()).item()) <= 1e-10 * size


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_the_potential_is_convex_along_segments(seed):
    net = network(2, seed=seed)
    a, b = fields(2, seed=seed + 1), 3 * fields(2, seed=seed + 2)
    middle = net.potential((a + b) / 2)
    assert bool((middle <= (net.potential(a) + net.potential(b)) / 2 + 1e-10).all())


def test_the_output_minimises_what_a_proximal_operator_minimises():
    """R(f(w)) + ½‖f(w) − v‖² ≥ R(f(v)) + ½‖f(v) − v‖² for every w."""
    net, v = network(2), fields(2, count=1)
    prior = LearnedPrior(net)
    best = prior.prox(v)
    others = prior.prox(v + torch.randn(64, *v.shape[1:], generator=torch.Generator().manual_seed(5)).double())
    assert best.value is not None
    assert others.value is not None
    height = best.value + (best.x - v).flatten(1).square().sum(1) / 2
    heights = others.value + (others.x - v).flatten(1).square().sum(1) / 2
    assert bool((heights >= height - 1e-10).all())


def test_the_prior_by_inversion_is_the_one_that_comes_for_free():
    net, v = network(2), fields(2)
    with torch.no_grad():
        point = LearnedPrior(net).prox(v)
    found = prior_value(net, point.x)
    assert bool(found.converged.all())
    assert bool((found.residual <= 1e-8).all())
    torch.testing.assert_close(found.value, point.value, rtol=0, atol=1e-8)


def test_a_field_outside_of_the_range_is_said_to_be():
    torch.manual_seed(0)
    net = VectorConvexNetwork(2, width=4, depth=1, beta=4.0, alpha=0.0).double()
    found = prior_value(net, torch.full((1, 2), 1e4, dtype=torch.float64), throw=False)
    assert not bool(found.converged.any())
    assert float(found.residual) > 1e-3


def test_samples_do_not_know_of_each_other():
    net, v = network(2), fields(2, count=3)
    alone = torch.cat([net(row[None]) for row in v])
    torch.testing.assert_close(net(v), alone, rtol=0, atol=1e-13)


def test_the_caller_s_tensor_stays_as_it_is():
    net, v = network(2), fields(2)
    with torch.no_grad():
        answer = net(v)
    assert not v.requires_grad
    assert not answer.requires_grad


def test_other_weights_can_stand_in_for_the_network_s():
    net, v = network(2), fields(2)
    weights = {name: 0.5 * value.detach() for name, value in net.named_parameters()}
    answer = torch.func.functional_call(net, weights, (v,))
    assert not answer.requires_grad
    with torch.no_grad():
        for value in net.parameters():
            value.mul_(0.5)
    torch.testing.assert_close(answer, net(v).detach())


def test_the_prior_is_differentiated_in_the_field():
    """Grad R(x) = f⁻¹(x) − x."""
    net = network(1)
    v = fields(1)
    x = net(v).detach().requires_grad_()
    (slope,) = torch.autograd.grad(prior_value(net, x).value.sum(), x)
    torch.testing.assert_close(slope, v - x.detach(), rtol=0, atol=1e-5)


def test_gradients_of_the_gradient_are_right():
    net = network(1)
    assert torch.autograd.gradcheck(net, fields(1, count=1).requires_grad_())


def test_negative_weights_from_elsewhere_are_projected_with_a_warning():
    net = network(2)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    state["mixing.0.weight"][0, 0] = -1.0
    with pytest.warns(UserWarning, match="loaded weights are negative"):
        net.load_state_dict(state)
    assert bool((net.mixing[0].weight >= 0).all())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net.load_state_dict(net.state_dict())


@pytest.mark.parametrize(("dim", "stride", "size"), [(1, 1, 5), (1, 3, 8), (2, 2, 5), (2, 2, 8), (3, 2, 4)])
def test_convolutions_know_their_transposes(dim, stride, size):
    torch.manual_seed(0)
    convolution = Convolution(dim, 2, 3, 3, stride).double()
    x = fields(dim, channels=2, size=size)
    y = torch.randn_like(convolution(x))
    inner = (convolution(x) * y).sum(), (x * convolution.transpose(y, x.shape[2:])).sum()
    torch.testing.assert_close(*inner, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "bad", [torch.zeros(2, 3, 7, 8), torch.zeros(2, 7, 8), torch.zeros(1, 7)], ids=["channels", "axes", "flat"]
)
def test_fields_of_another_kind_are_refused(bad):
    with pytest.raises(LearnerError, match="was built for"):
        network(2)(bad.double())


@pytest.mark.parametrize("settings", [{"beta": 0.0}, {"alpha": -1.0}])
def test_bad_constants_are_refused(settings):
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        FieldConvexNetwork(2, **settings)
