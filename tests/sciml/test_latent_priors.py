"""Priors of latents: invertible maps with the right volume, saved with the learner."""

from __future__ import annotations

import math

import pytest
import torch

from sciml.errors import ConfigurationError, LearnerError
from sciml.files import read_tensors, write_tensors
from sciml.inference import FlowFit, FlowPrior, GaussianPrior, StandardNormal
from sciml.module_state import module_tensors

KINDS = ["normal", "gaussian", "flow"]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def bent_latents(count, d, seed=1):
    """A banana: the second coordinate follows the square of the first."""
    x = torch.randn(count, d, generator=seeded(seed)).double()
    x[:, 1] = 0.3 * x[:, 1] + x[:, 0].square()
    return 2 + x


def empty_prior(kind, d):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return {"normal": StandardNormal, "gaussian": GaussianPrior, "flow": FlowPrior}[kind](d).double()


def fitted_prior(kind, d=4):
    prior = empty_prior(kind, d)
    if kind == "gaussian":
        prior.fit(bent_latents(600, d))
    if kind == "flow":
        prior.fit(bent_latents(600, d), seeded(), FlowFit(epochs=15, learning_rate=5e-3))
    return prior


@pytest.mark.parametrize("kind", KINDS)
def test_the_inverse_undoes_the_map(kind):
    """g⁻¹(g(z)) = z and g(g⁻¹(β)) = β to 1e-5."""
    prior, z = fitted_prior(kind), torch.randn(3, 5, 4, generator=seeded()).double()
    torch.testing.assert_close(prior.inverse(prior(z)), z, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(prior(prior.inverse(2 + z)), 2 + z, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_log_determinant_is_that_of_the_jacobian(kind):
    """log |det dg/dz| by autograd, d = 4; the density follows by the change of variables."""
    prior, z = fitted_prior(kind), torch.randn(4, generator=seeded()).double()
    expected = torch.linalg.slogdet(torch.autograd.functional.jacobian(prior, z)).logabsdet
    torch.testing.assert_close(prior.log_det(z), expected, rtol=1e-8, atol=1e-8)
    base = -z.square().sum() / 2 - 2 * math.log(2 * math.pi)
    torch.testing.assert_close(prior.log_prob(prior(z)), base - expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_the_density_integrates_to_one(kind):
    """∫ p(β) dβ = 1, d = 2, by the trapezoidal rule on a fine grid that holds all the mass."""
    prior = fitted_prior(kind, d=2)
    line = torch.linspace(-16, 24, 401).double()
    with torch.no_grad():
        density = prior.log_prob(torch.cartesian_prod(line, line)).exp()
    assert density.sum().item() * (line[1] - line[0]).item() ** 2 == pytest.approx(1, abs=2e-3)


def test_the_gaussian_prior_has_the_moments_of_the_latents():
    latents = bent_latents(600, 4)
    prior = fitted_prior("gaussian")
    torch.testing.assert_close(prior.mean, latents.mean(0))
    torch.testing.assert_close(prior.factor @ prior.factor.T, latents.T.cov(), rtol=1e-4, atol=1e-4)


def test_latents_that_do_not_fill_the_space_still_have_a_density():
    """Fewer samples than dimensions, and a coordinate that never varies."""
    latents = torch.randn(3, 6, generator=seeded()).double()
    latents[:, 2] = 1.0
    prior = GaussianPrior(6).double()
    prior.fit(latents)
    assert prior.log_prob(latents).isfinite().all()


def test_a_flow_is_the_gaussian_until_trained_and_better_afterwards():
    """Held-out negative log likelihood: the first entry is that of the Gaussian with the same moments."""
    latents = bent_latents(600, 2)
    flow = empty_prior("flow", 2)
    history = flow.fit(latents, seeded(), FlowFit(epochs=15, learning_rate=5e-3))
    assert history.validation[history.best] == min(history.validation)
    assert history.validation[history.best] < history.validation[0] - 0.1
    held_out = bent_latents(500, 2, seed=5)
    assert flow.log_prob(held_out).mean() > flow.standardise.log_prob(held_out).mean() + 0.1


def test_training_of_a_flow_stops_early_and_keeps_the_best():
    latents = torch.randn(40, 2, generator=seeded()).double()
    history = empty_prior("flow", 2).fit(latents, seeded(), FlowFit(epochs=500, learning_rate=2e-2, patience=5))
    assert len(history.validation) == history.best + 1 + 5


def test_the_same_seed_gives_the_same_flow():
    z = torch.randn(5, 4, generator=seeded()).double()
    assert torch.equal(fitted_prior("flow")(z), fitted_prior("flow")(z))


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_prior_is_the_same_after_loading(kind, tmp_path):
    """Whether it was fitted is saved with it."""
    prior, fresh = fitted_prior(kind), empty_prior(kind, 4)
    write_tensors(tmp_path / "prior.safetensors", module_tensors(prior))
    fresh.load_state_dict(read_tensors(tmp_path / "prior.safetensors"))
    z = torch.randn(5, 4, generator=seeded()).double()
    assert torch.equal(fresh(z), prior(z))


@pytest.mark.parametrize("kind", ["gaussian", "flow"])
def test_a_prior_must_be_fitted_before_use(kind):
    for use in ("forward", "inverse", "log_prob", "log_det"):
        with pytest.raises(LearnerError, match=r"Prior is not fitted: call fit\(latents\)"):
            getattr(empty_prior(kind, 4), use)(torch.zeros(4).double())


def test_unusable_latents_are_refused():
    prior = GaussianPrior(3)
    with pytest.raises(LearnerError, match=r"shape \(samples, 3\), two samples or more, is expected, found \(5, 2\)"):
        prior.fit(torch.zeros(5, 2))
    with pytest.raises(LearnerError, match=r"two samples or more, is expected, found \(1, 3\)"):
        prior.fit(torch.zeros(1, 3))
    with pytest.raises(LearnerError, match=r"samples \[1\] are not finite"):
        prior.fit(torch.tensor([[0.0, 1, 2], [torch.nan, 0, 0], [1, 1, 1]]))
    with pytest.raises(LearnerError, match=r"all samples are equal"):
        prior.fit(torch.ones(5, 3))
    with pytest.raises(LearnerError, match=r"latents \(\.\.\., 4\) are expected, found \(2, 3\)"):
        StandardNormal(4)(torch.zeros(2, 3))
    with pytest.raises(LearnerError, match=r"at least 8 samples, found 5"):
        FlowPrior(2).fit(torch.randn(5, 2, generator=seeded()), seeded())
    with pytest.raises(ConfigurationError, match=r"dim = 1: couplings need at least 2"):
        FlowPrior(1)
    with pytest.raises(ConfigurationError, match=r"validation = 1.0"):
        FlowFit(validation=1.0)


def test_without_zuko_a_flow_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("sciml.inference.flow_prior.find_spec", lambda name: None)
    with pytest.raises(LearnerError, match=r"pip install \"sciml-pde\[flows\]\""):
        FlowPrior(2)
