"""Every method of inference against the closed form of linear Gaussian models."""

from __future__ import annotations

import pytest
import torch
from linear_gaussian import closed_form, linear_model, seeded
from scipy import stats

from sciml.errors import ConfigurationError, InferenceError
from sciml.inference import (
    HMCConfig,
    LaplaceConfig,
    MapConfig,
    Observation,
    PCNConfig,
    Posterior,
    SVIConfig,
    infer,
)

CONFIGS = {
    "map": MapConfig(),
    "laplace": LaplaceConfig(draws=4000),
    "hmc": HMCConfig(draws=1000, warmup=150, leapfrog=(2, 6)),
    "pcn": PCNConfig(draws=500, warmup=500, thin=20),
    "svi": SVIConfig(draws=4000),
}
SAMPLERS = [name for name in CONFIGS if name != "map"]


def effective_draws(result):
    if result.diagnostics.ess is not None:
        return result.diagnostics.ess.min().item()
    return result.samples.shape[1] * result.samples.shape[2]


def check_moments(result, mean, covariance):
    """Mean within 4 standard errors, every entry of the covariance within 5."""
    draws = effective_draws(result)
    std = covariance.diagonal(dim1=-2, dim2=-1).sqrt()
    assert ((result.mean() - mean).abs() <= 4 * std / draws**0.5).all()
    for z in result.samples.flatten(1, 2):
        error = (z.T.cov() - covariance).abs()
        # Variance of a sample covariance: (C_ii C_jj + C_ij²) / draws; squares of HMC have ESS N / 3 at best.
        spread = ((std[:, None] * std).square() + covariance.square()).sqrt()
        slower = 3.0 if result.diagnostics.ess is not None else 1.0
        assert (error <= 5 * spread * (slower / draws) ** 0.5).all()


@pytest.mark.parametrize("method", SAMPLERS)
def test_samplers_reproduce_the_gaussian_posterior_of_a_linear_model(method):
    """u = B z + c: z | y ~ N(m, C)."""
    posterior, B, c, _ = linear_model()
    result = infer(posterior, method, CONFIGS[method], generator=seeded())
    mean, covariance = closed_form(B, c, posterior.observation.values, 0.25 * torch.eye(4).double())
    check_moments(result, mean, covariance)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_the_map_of_a_linear_model_is_its_posterior_mean(optimizer):
    """U(z) − U(m) ≤ tolerance: ½ (z − m)ᵀ C⁻¹ (z − m) is what was left to gain."""
    posterior, B, c, _ = linear_model()
    result = infer(posterior, "map", MapConfig(optimizer=optimizer), generator=seeded())
    mean, covariance = closed_form(B, c, posterior.observation.values, 0.25 * torch.eye(4).double())
    error = result.mean() - mean
    assert (((error @ torch.linalg.inv(covariance)) * error).sum(-1) / 2 <= 1e-2).all()
    assert result.map.distinct.tolist() == [1, 1, 1]
    assert result.map.minima.shape == (3, 4, 3)


@pytest.mark.parametrize(("method", "masked"), [*((name, False) for name in SAMPLERS), ("laplace", True)])
def test_without_observations_every_sampler_returns_the_prior(method, masked):
    """n = 0, or all masked: z | y ~ N(0, I)."""
    if masked:
        posterior, *_ = linear_model(mask=torch.zeros(4, dtype=torch.bool))
    else:
        nothing = Observation(torch.rand(0, 2), torch.empty(3, 0, dtype=torch.float64), 1.0)
        posterior = Posterior(lambda z: z[..., :0], nothing, 3)
    result = infer(posterior, method, CONFIGS[method], generator=seeded())
    check_moments(result, torch.zeros(3, 3).double(), torch.eye(3).double())


def test_without_observations_the_map_is_the_prior_mean():
    posterior, *_ = linear_model(mask=torch.zeros(4, dtype=torch.bool))
    assert infer(posterior, "map", generator=seeded()).mean().norm() <= 0.2


@pytest.mark.parametrize("method", SAMPLERS)
def test_the_same_seed_gives_the_same_samples(method):
    posterior, *_ = linear_model(observations=1)
    quick = {"hmc": HMCConfig(draws=20, warmup=20), "pcn": PCNConfig(draws=20, warmup=20), "svi": SVIConfig(steps=20)}
    runs = [infer(posterior, method, quick.get(method), generator=seeded(3), throw=False).samples for _ in range(2)]
    assert torch.equal(*runs)


@pytest.mark.parametrize("method", ["laplace", "hmc", "svi"])
def test_simulation_based_calibration_ranks_are_uniform(method):
    """The rank of the truth among L posterior draws is uniform on 0..L (Talts et al. 2018)."""
    posterior, _, _, truth = linear_model(observations=800, d=2)
    kept = 15
    config = {
        "laplace": LaplaceConfig(draws=kept, map=MapConfig(starts=1)),
        "hmc": HMCConfig(chains=1, draws=kept, warmup=60, thin=4, leapfrog=(3, 8), map=MapConfig(starts=1)),
        "svi": SVIConfig(draws=kept, steps=50, map=MapConfig(starts=1)),
    }[method]
    z = infer(posterior, method, config, generator=seeded(5), throw=False).samples.flatten(1, 2)
    ranks = (z < truth[:, None]).sum(1)
    for rank in ranks.T:
        assert stats.chisquare(torch.bincount(rank, minlength=kept + 1).numpy()).pvalue > 1e-3


@pytest.mark.parametrize("method", ["laplace", "svi"])
def test_doubling_the_noise_variance_halves_the_data_term_alone(method):
    """C⁻¹ − I = Bᵀ B / σ²."""
    for variance in (0.25, 0.5):
        posterior, B, c, _ = linear_model()
        observation = posterior.observation
        noisier = Observation(observation.points, observation.values, variance**0.5)
        mean, C = closed_form(B, c, observation.values, variance * torch.eye(4).double())
        result = infer(Posterior(posterior.forward, noisier, 3), method, CONFIGS[method], generator=seeded())
        check_moments(result, mean, C)


def test_the_importance_share_tells_gaussian_posteriors_from_others():
    """1 for a Gaussian posterior; small for the other of two modes left out."""
    posterior, *_ = linear_model()
    share = infer(posterior, "laplace", generator=seeded()).diagnostics.importance
    torch.testing.assert_close(share, torch.ones(3).double(), rtol=0, atol=1e-3)
    banana = Posterior(
        lambda z: z[..., :1] + 3 * z[..., 1:].square(),
        Observation(torch.zeros(1, 1), torch.zeros(1, 1).double(), 0.1),
        2,
    )
    assert infer(banana, "laplace", generator=seeded()).diagnostics.importance.item() < 0.7


def test_mean_std_and_intervals_of_a_pushed_forward_quantity():
    """Of u = B z + c: B m + c, the root of diag(B C Bᵀ), and 90 % within."""
    posterior, B, c, _ = linear_model()
    mean, C = closed_form(B, c, posterior.observation.values, 0.25 * torch.eye(4).double())
    result = infer(posterior, "laplace", LaplaceConfig(draws=8000), generator=seeded())
    std = (B @ C @ B.T).diagonal().sqrt()
    low, high = result.intervals(0.9, posterior.forward)
    torch.testing.assert_close(result.mean(posterior.forward), mean @ B.T + c, rtol=0, atol=0.05)
    torch.testing.assert_close(result.std(posterior.forward), std.expand(3, 4), rtol=0.05, atol=0)
    torch.testing.assert_close((high - low) / 2, 1.645 * std.expand(3, 4), rtol=0.05, atol=0)
    assert result.pushed(posterior.forward, count=10).shape == (3, 10, 4)
    with pytest.raises(ConfigurationError, match=r"level = 90: a number between 0 and 1"):
        result.intervals(90)


def test_a_map_estimate_has_no_spread():
    posterior, *_ = linear_model()
    with pytest.raises(InferenceError, match=r"no spread: use laplace, hmc"):
        infer(posterior, "map", generator=seeded()).std()


def test_progress_reaches_one():
    posterior, *_ = linear_model(observations=1)
    for method in CONFIGS:
        seen = []
        short = {"hmc": HMCConfig(draws=4, warmup=4), "pcn": PCNConfig(draws=4, warmup=4), "svi": SVIConfig(steps=8)}
        follow = lambda fraction, text, seen=seen: seen.append(fraction)  # noqa: E731
        infer(posterior, method, short.get(method), generator=seeded(), throw=False, progress=follow)
        assert seen == sorted(seen)
        assert seen[-1] == 1.0
