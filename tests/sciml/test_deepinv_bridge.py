"""deepinv beside this package: priors that are exact there, physics that are exact here."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from pde_benchmarks.imaging.errors import OperatorError
from pde_benchmarks.imaging.forward_operators import LinearForwardOperator, ReflectingBlur, gaussian_kernel
from sciml.deepinv_bridge import deepinv_denoiser, deepinv_prior, physics_operator
from sciml.errors import ConfigurationError, LearnerError
from sciml.plug_and_play import (
    GaussianFidelity,
    LearnedPrior,
    QuadraticNetwork,
    QuadraticPrior,
    identity_precision,
    reconstruct,
)

SHAPE = (1, 6, 6)


def fields(count: int = 2, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, *SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def halves() -> QuadraticNetwork:
    """f(v) = v/2, R(x) = ½‖x‖²."""
    return QuadraticNetwork(0.5 * torch.eye(36, dtype=torch.float64))


def blur() -> ReflectingBlur:
    return ReflectingBlur(SHAPE, gaussian_kernel(0.8, 2))


def physics_of(operator: LinearForwardOperator, scale: float = 1.0) -> SimpleNamespace:
    return SimpleNamespace(A=operator.apply, A_adjoint=lambda y: scale * operator.adjoint(y))


@pytest.fixture
def deepinv():
    try:
        return pytest.importorskip("deepinv")
    except RuntimeError as error:
        pytest.skip(f"deepinv cannot be loaded: {error}")


def test_physics_are_operators_with_their_adjoint_and_norm():
    operator = physics_operator(physics_of(blur()), SHAPE)
    x, y = fields(), fields(seed=1)
    assert isinstance(operator, LinearForwardOperator)
    left, right = (operator.apply(x) * y).sum(), (x * operator.adjoint(y)).sum()
    torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)
    assert operator.norm() == pytest.approx(blur().norm(), rel=0.01)


def test_our_iterations_take_physics():
    data = blur().apply(fields())
    ours, theirs = (
        reconstruct(GaussianFidelity(operator, data), QuadraticPrior(identity_precision(SHAPE)), 0.1).x
        for operator in (blur(), physics_operator(physics_of(blur()), SHAPE))
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def test_a_wrong_adjoint_is_refused():
    with pytest.raises(OperatorError, match="A_adjoint is not the transpose"):
        physics_operator(physics_of(blur(), scale=1.1), SHAPE)


def test_physics_with_several_outputs_are_refused():
    with pytest.raises(OperatorError, match="list"):
        physics_operator(SimpleNamespace(A=lambda x: [x, x], A_adjoint=sum), SHAPE)


def test_physics_without_an_adjoint_are_nonlinear():
    operator = physics_operator(SimpleNamespace(A=lambda x: x**3), SHAPE)
    x, y = fields(), fields(seed=1)
    assert not isinstance(operator, LinearForwardOperator)
    torch.testing.assert_close(operator.vjp(x, y), 3 * x**2 * y)


def test_without_deepinv_the_message_says_what_to_install(monkeypatch):
    def missing(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr("sciml.deepinv_bridge.import_module", missing)
    with pytest.raises(LearnerError, match="sciml-pde\\[imaging\\]"):
        deepinv_prior(halves())


def test_levels_must_be_positive():
    with pytest.raises(ConfigurationError, match="noise_level = 0"):
        deepinv_denoiser(halves(), 0.0)


def test_the_denoiser_is_the_network_at_its_level_and_scales_with_others(deepinv):
    torch.manual_seed(0)
    network = QuadraticNetwork(torch.diag(torch.linspace(0.1, 0.9, 36, dtype=torch.float64)))
    denoiser = deepinv_denoiser(network, 0.1)
    assert isinstance(denoiser, deepinv.models.Denoiser)
    torch.testing.assert_close(denoiser(fields(), 0.1), network(fields()))
    s = torch.tensor([1.0, 2.0], dtype=torch.float64)
    expected = torch.cat([scale * network(x[None] / scale) for scale, x in zip(s, fields(), strict=True)])
    torch.testing.assert_close(denoiser(fields(), 0.1 * s), expected)
    with pytest.raises(ConfigurationError, match="sigma"):
        denoiser(fields(), 0.0)


def test_value_gradient_and_proximal_operator_of_a_known_prior(deepinv):
    """R(x) = ½‖x‖²: ∇R(x) = x, prox_{γR}(v) = v / (1 + γ)."""
    prior, x = deepinv_prior(halves(), noise_level=0.1), fields()
    assert isinstance(prior, deepinv.optim.Prior)
    torch.testing.assert_close(prior(x), x.square().flatten(1).sum(-1) / 2)
    torch.testing.assert_close(prior.g(x, 0.3), prior(x))  # homogeneous of degree two
    torch.testing.assert_close(prior.grad(x), x, atol=1e-7, rtol=1e-7)
    torch.testing.assert_close(prior.prox(x, gamma=0.7), x / 1.7, atol=1e-7, rtol=1e-7)
    with pytest.raises(ConfigurationError, match="noise_level"):
        deepinv_prior(halves()).prox(x, 0.1)


def test_deepinv_s_proximal_gradient_finds_our_minimum(deepinv):
    """½‖A x − b‖² + λR by their algorithm with our prior, and by ours."""
    prior, operator = deepinv_prior(halves()), blur()
    physics = deepinv.physics.LinearPhysics(A=operator.apply, A_adjoint=operator.adjoint)
    data = operator.apply(fields())
    theirs = deepinv.optim.PGD(
        prior=prior, data_fidelity=deepinv.optim.L2(), stepsize=0.9, lambda_reg=0.2, max_iter=300, crit_conv="residual",
        thres_conv=1e-12, early_stop=True,
    )  # fmt: skip
    found = theirs(data, physics, init=operator.adjoint(data))
    ours = reconstruct(GaussianFidelity(operator, data), LearnedPrior(halves()), 0.2)
    torch.testing.assert_close(found, ours.x, atol=1e-5, rtol=1e-5)


def test_deepinv_s_own_physics_run_here(deepinv):
    kernel = gaussian_kernel(0.8, 2)[None, None].float()
    physics = deepinv.physics.Blur(filter=kernel, padding="circular")
    operator = physics_operator(physics, SHAPE)
    x, y = fields(), fields(seed=1)
    assert isinstance(operator, LinearForwardOperator)
    left, right = (operator.apply(x) * y).sum(), (x * operator.adjoint(y)).sum()
    torch.testing.assert_close(left, right, rtol=1e-10, atol=1e-10)
    assert next(physics.buffers()).dtype == torch.float32  # the caller's physics are as they were
