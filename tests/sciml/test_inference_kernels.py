"""Posterior densities, the chains' transitions, several modes, and chains that are refused."""

from __future__ import annotations

import pytest
import torch
from linear_gaussian import closed_form, linear_model, seeded
from scipy import stats

from sciml.errors import InferenceError
from sciml.inference import (
    ErrorCovariance,
    ErrorFraction,
    ErrorVariance,
    HMCConfig,
    InferenceStatus,
    MapConfig,
    Observation,
    Posterior,
    infer,
)
from sciml.inference.gaussian import Gaussian
from sciml.inference.hmc import HMCState, hmc_transition, standardised_potential
from sciml.inference.map_estimate import find_minima
from sciml.inference.pcn import PCNState, pcn_transition


@pytest.mark.parametrize("error", ["fraction", "variance", "covariance"])
def test_the_model_error_is_added_to_the_noise(error):
    """Σ = σ² I + Σ_model in the closed form; masked sensors are taken out of it."""
    plain, B, c, _ = linear_model(observations=1)
    A = torch.randn(4, 4, generator=seeded(9)).double()
    values, mask = plain.observation.values, torch.tensor([True, True, False, True])
    observation = Observation(plain.observation.points, values, 0.5, mask)
    model_error, added = {
        "fraction": (ErrorFraction(0.5), 0.25 * values[0, mask].square().mean() * torch.eye(4).double()),
        "variance": (ErrorVariance(A[0].square()), A[0].square().diag()),
        "covariance": (ErrorCovariance.from_errors(A), A.T @ A / 4),
    }[error]
    posterior = Posterior(plain.forward, observation, 3, model_error)
    Sigma = (added + 0.25 * torch.eye(4).double())[mask][:, mask]
    mean, C = closed_form(B[mask], c[mask], values[:, mask], Sigma)
    z = infer(posterior, "map", MapConfig(tolerance=1e-12), generator=seeded(), throw=False).map.z
    torch.testing.assert_close(z, mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(posterior.gauss_newton(z[:, None])[0, 0], torch.linalg.inv(C), rtol=1e-9, atol=1e-9)


def curved(z):
    return torch.stack([z[..., 0] * z[..., 1], torch.sin(z[..., 0]), z[..., 1].square()], -1)


def test_the_gradient_is_that_of_finite_differences():
    """dU/dzᵢ = (U(z + h eᵢ) − U(z − h eᵢ)) / 2h + O(h²), with penalty and mask."""
    values = torch.randn(2, 3, generator=seeded()).double()
    observation = Observation(torch.rand(3, 1), values, 0.3, torch.tensor([True, False, True]))
    posterior = Posterior(curved, observation, 2, penalty=lambda z: z.pow(4).sum(-1), penalty_weight=0.7)
    z, h = posterior.prior_draws(3, seeded(1)), 1e-5
    _, gradient = posterior.potential_and_gradient(z)
    for i, e in enumerate(torch.eye(2).double()):
        difference = (posterior.potential(z + h * e) - posterior.potential(z - h * e)) / (2 * h)
        torch.testing.assert_close(gradient[..., i], difference, rtol=1e-6, atol=1e-6)


def test_a_penalty_enters_the_gauss_newton_hessian_with_its_own():
    """H = JᵀJ + I + w ∇²R, negative curvature of R left out."""
    nothing = Observation(torch.rand(0, 2), torch.empty(1, 0, dtype=torch.float64), 1.0)
    posterior = Posterior(
        lambda z: z[..., :0], nothing, 2, penalty=lambda z: z[..., 0] ** 2 - z[..., 1] ** 2, penalty_weight=3.0
    )
    H = posterior.gauss_newton(torch.ones(1, 1, 2).double())
    torch.testing.assert_close(H[0, 0], torch.tensor([[7.0, 0.0], [0.0, 1.0]]).double())


def test_a_batch_of_observations_equals_one_by_one(monkeypatch):
    """Observations share nothing: given the same random numbers, each chain is what it is alone."""
    g, recorded = seeded(11), []
    values = 0.3 * torch.randn(3, 3, generator=seeded()).double()
    points = torch.rand(3, 1)

    def record(shape, generator, like):
        recorded.append(torch.randn(shape, generator=generator, dtype=like.dtype))
        return recorded[-1].clone()

    def record_uniform(shape, generator, like):
        recorded.append(torch.rand(shape, generator=generator, dtype=like.dtype))
        return recorded[-1].clone()

    config = HMCConfig(chains=2, draws=10, warmup=10, leapfrog=(5, 5))
    _replace_draws(monkeypatch, record, record_uniform)
    together = infer(Posterior(curved, Observation(points, values, 0.5), 2), "hmc", config, generator=g, throw=False)
    for b in range(3):
        rest = iter(recorded)
        _replace_draws(monkeypatch, *[lambda shape, generator, like, b=b, rest=rest: next(rest)[b : b + 1].clone()] * 2)
        alone_posterior = Posterior(curved, Observation(points, values[b : b + 1], 0.5), 2)
        alone = infer(alone_posterior, "hmc", config, generator=seeded(0), throw=False)
        torch.testing.assert_close(alone.samples[0], together.samples[b], rtol=1e-7, atol=1e-7)


def _replace_draws(monkeypatch, normal, uniform):
    monkeypatch.setattr("sciml.inference.posterior.normal", normal)
    monkeypatch.setattr("sciml.inference.hmc.normal", normal)
    monkeypatch.setattr("sciml.inference.hmc.uniform", uniform)


def two_modes(noise=0.1):
    return Posterior(torch.square, Observation(torch.zeros(1, 1), torch.tensor([[4.0]]).double(), noise), 1)


def test_all_minima_of_a_posterior_with_two_modes_are_reported():
    """u = z², y = 4: minima at ±2 but for the prior."""
    estimate = find_minima(two_modes(), MapConfig(starts=8), seeded())
    assert estimate.distinct.tolist() == [2]
    torch.testing.assert_close(estimate.minima.abs(), torch.full((1, 8, 1), 2.0).double(), rtol=0, atol=1e-2)
    assert estimate.minima.sign().unique().tolist() == [-1.0, 1.0]


def test_chains_stuck_in_different_modes_are_refused():
    config = HMCConfig(draws=100, warmup=50, map=MapConfig(starts=8))
    with pytest.raises(
        InferenceError, match=r"not mixed: R-hat .* effective sample size .* 2 minima were found"
    ) as info:
        infer(two_modes(), "hmc", config, generator=seeded())
    result = info.value.result
    assert result.status == (InferenceStatus.NOT_MIXED,)
    assert result.diagnostics.r_hat.item() > 1.5
    returned = infer(two_modes(), "hmc", config, generator=seeded(), throw=False)
    assert torch.equal(returned.samples, result.samples)


def test_a_trajectory_that_runs_away_is_a_divergence_and_stays():
    posterior = Posterior(lambda z: 1e3 * z**3, Observation(torch.zeros(1, 1), torch.ones(1, 1).double(), 0.01), 1)
    unit = Gaussian(torch.zeros(1, 1).double(), torch.ones(1, 1, 1).double())
    evaluate = standardised_potential(posterior, unit)
    state = evaluate(torch.ones(1, 3, 1).double())
    move = hmc_transition(
        evaluate, state, torch.ones(1, 3).double(), 20, torch.ones(1, 3, 1).double(), torch.zeros(1, 3)
    )
    assert move.diverged.all()
    assert torch.equal(move.state.latent, state.latent)
    assert isinstance(move.state, HMCState)


def test_too_many_divergences_are_refused():
    config = HMCConfig(draws=20, warmup=0, max_divergent=0.0)
    posterior = Posterior(lambda z: 30 * z**3, Observation(torch.zeros(1, 1), torch.zeros(1, 1).double(), 0.01), 1)
    with pytest.raises(InferenceError, match=r"transitions diverged: raise target_acceptance"):
        infer(posterior, "hmc", config, generator=seeded())


def test_an_optimisation_cut_short_is_refused():
    posterior, *_ = linear_model(noise=0.01)
    with pytest.raises(InferenceError, match=r"observation 0 of 3 .*steps ran out .* nats\): raise steps"):
        infer(posterior, "map", MapConfig(steps=1), generator=seeded())
    found = infer(posterior, "map", MapConfig(steps=1), generator=seeded(), throw=False)
    assert set(found.status) == {InferenceStatus.MAX_ITERATIONS}


def test_hmc_leaves_the_posterior_invariant():
    """Exact draws stay exact after transitions with a step long enough to be rejected now and then."""
    posterior, B, c, _ = linear_model(observations=1, d=2)
    mean, C = closed_form(B, c, posterior.observation.values, 0.25 * torch.eye(4).double())
    g, chains = seeded(1), 4000
    exact = Gaussian(mean, torch.linalg.cholesky(C)[None])
    evaluate = standardised_potential(posterior, Gaussian(mean, 0.25 * torch.eye(2).double()[None]))
    state = evaluate(4 * (exact.draws(chains, g) - mean[:, None]))
    step, accepted = torch.full((1, chains), 0.9).double(), []
    for _ in range(5):
        momentum, chance = torch.randn(1, chains, 2, generator=g).double(), torch.rand(1, chains, generator=g).double()
        move = hmc_transition(evaluate, state, step, 7, momentum, chance)
        state = move.state
        accepted.append(move.acceptance.mean().item())
    assert 0.2 < sum(accepted) / 5 < 0.98
    _assert_standard_normal(exact.standardised(state.latent)[0])


@pytest.mark.parametrize("method", ["hmc", "pcn"])
def test_kernels_leave_the_prior_invariant(method):
    """Draws of N(0, I) stay draws of N(0, I) where nothing was measured."""
    posterior, *_ = linear_model(observations=1, d=2, mask=torch.zeros(4, dtype=torch.bool))
    g, chains = seeded(2), 4000
    z = posterior.prior_draws(chains, g)
    evaluate = standardised_potential(posterior, Gaussian(torch.zeros(1, 2).double(), torch.eye(2).double()[None]))
    state = evaluate(z) if method == "hmc" else PCNState(z, posterior.misfit(z))
    for _ in range(5):
        noise, chance = torch.randn(1, chains, 2, generator=g).double(), torch.rand(1, chains, generator=g).double()
        if method == "hmc":
            state = hmc_transition(evaluate, state, torch.full((1, chains), 1.3).double(), 5, noise, chance).state
        else:
            state = pcn_transition(posterior.misfit, state, torch.full((1, chains), 0.4).double(), noise, chance).state
    _assert_standard_normal(state.latent[0])


def test_pcn_leaves_the_posterior_invariant():
    posterior, B, c, _ = linear_model(observations=1, d=2)
    mean, C = closed_form(B, c, posterior.observation.values, 0.25 * torch.eye(4).double())
    exact, g, chains = Gaussian(mean, torch.linalg.cholesky(C)[None]), seeded(3), 4000
    z = exact.draws(chains, g)
    state = PCNState(z, posterior.misfit(z))
    for _ in range(20):
        noise, chance = torch.randn(1, chains, 2, generator=g).double(), torch.rand(1, chains, generator=g).double()
        state = pcn_transition(posterior.misfit, state, torch.full((1, chains), 0.4).double(), noise, chance).state
    _assert_standard_normal(exact.standardised(state.latent)[0])


def _assert_standard_normal(z):
    for coordinate in z.T:
        assert stats.kstest(coordinate.numpy(), "norm").pvalue > 1e-3
    assert (z.T.cov() - torch.eye(2)).abs().max() <= 5 * (2 / len(z)) ** 0.5


def test_the_leapfrog_is_reversible():
    """Momentum turned round, the trajectory returns to where it started."""
    posterior, *_ = linear_model(observations=2)
    evaluate = standardised_potential(
        posterior, Gaussian(torch.zeros(2, 3).double(), torch.eye(3).double().expand(2, 3, 3))
    )
    start = evaluate(posterior.prior_draws(5, seeded()))
    step, p = torch.full((2, 5), 0.05).double(), torch.randn(2, 5, 3, generator=seeded(1)).double()
    momenta = []

    def watched(w):
        momenta.append(w)
        return evaluate(w)

    end = hmc_transition(watched, start, step, 8, p, torch.zeros(2, 5).double()).state
    assert not torch.allclose(end.latent, start.latent)
    half = p - step[..., None] / 2 * start.gradient
    assert torch.allclose(momenta[0], start.position + step[..., None] * half)
    # The momentum at the end, from the last two positions and the last gradient.
    p_end = (momenta[-1] - momenta[-2]) / step[..., None] - step[..., None] / 2 * end.gradient
    back = hmc_transition(evaluate, end, step, 8, -p_end, torch.zeros(2, 5).double()).state
    torch.testing.assert_close(back.latent, start.latent, rtol=1e-9, atol=1e-9)
