"""R-hat and effective sample size against closed forms."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sciml.inference import bulk_ess, split_r_hat


def autoregressive(phi, observations=20, chains=4, draws=2000, seed=0):
    """Stationary xₜ = φ xₜ₋₁ + √(1 − φ²) ξₜ."""
    xi = torch.randn(observations, chains, draws, 1, generator=torch.Generator().manual_seed(seed)).double()
    x = [xi[:, :, 0]]
    for t in range(1, draws):
        x.append(phi * x[-1] + (1 - phi**2) ** 0.5 * xi[:, :, t])
    return torch.stack(x, dim=2)


@pytest.mark.parametrize("phi", [-0.4, 0.0, 0.5, 0.9])
def test_the_effective_sample_size_of_an_autoregression_is_the_closed_form(phi):
    """ESS = N (1 − φ) / (1 + φ); ranks keep the autocorrelations of a Gaussian within a few per cent."""
    expected = 8000 * (1 - phi) / (1 + phi)
    estimates = bulk_ess(autoregressive(phi))
    assert estimates.mean().item() == pytest.approx(expected, rel=0.1)


def test_mixed_chains_have_an_r_hat_of_one():
    assert (split_r_hat(autoregressive(0.3)) < 1.01).all()


def test_r_hat_of_shifted_chains_is_the_closed_form():
    """Two chains N(±δ, 1): the ranks are of their mixture, W and B of its normal scores by quadrature."""
    shift = 1.0
    grid = torch.linspace(-8, 8, 40001).double()
    density = torch.stack([torch.exp(-((grid - s * shift) ** 2) / 2) for s in (-1, 1)]) / (2 * torch.pi) ** 0.5
    scores = torch.special.ndtri((torch.special.ndtr(grid + shift) + torch.special.ndtr(grid - shift)) / 2)
    means = (density * scores).sum(-1) * (grid[1] - grid[0])
    seconds = (density * scores.square()).sum(-1) * (grid[1] - grid[0])
    within = (seconds - means.square()).mean()
    # Split, each half comes twice: four chain means, two and two equal.
    expected = (1 + means.repeat_interleave(2).var() / within).sqrt().item()
    x = torch.randn(1, 2, 40000, 1, generator=torch.Generator().manual_seed(0)).double()
    x = x + shift * torch.tensor([-1.0, 1.0]).double()[:, None, None]
    assert split_r_hat(x).item() == pytest.approx(expected, rel=0.01)


def test_chains_of_different_spread_are_seen_though_their_means_agree():
    x = autoregressive(0.0, observations=1) * torch.tensor([1.0, 1.0, 1.0, 4.0]).double()[:, None, None]
    assert split_r_hat(x).item() > 1.05


def test_a_drift_within_a_chain_is_seen():
    x = autoregressive(0.0, observations=1, chains=1) + torch.linspace(-1, 1, 2000).double()[:, None]
    assert split_r_hat(x).item() > 1.1


def test_chains_that_stand_still_have_not_mixed():
    """R-hat infinite or large, no more effective draws than chains."""
    x = torch.ones(1, 4, 100, 1).double()
    assert split_r_hat(x).item() == torch.inf
    assert bulk_ess(x).item() == 0
    apart = x * torch.arange(4.0)[:, None, None]
    assert split_r_hat(apart).item() > 10
    assert bulk_ess(apart).item() < 5  # one for every chain


@settings(deadline=None, max_examples=15)
@given(scale=st.floats(0.01, 100), shift=st.floats(-10, 10), draws=st.integers(4, 60), d=st.integers(1, 3))
def test_ranks_make_the_diagnostics_blind_to_rising_maps(scale, shift, draws, d):
    """x ↦ exp(x) changes no rank; nor does x ↦ a x + b, a > 0, which keeps the folded ranks too."""
    x = torch.randn(2, 3, draws, d, generator=torch.Generator().manual_seed(draws)).double()
    torch.testing.assert_close(bulk_ess(x.exp()), bulk_ess(x))
    torch.testing.assert_close(split_r_hat(scale * x + shift), split_r_hat(x), rtol=1e-3, atol=1e-3)


def test_a_batch_equals_one_by_one():
    x = autoregressive(0.5, observations=3, draws=101)
    torch.testing.assert_close(bulk_ess(x), torch.cat([bulk_ess(part) for part in x.split(1)]))
    torch.testing.assert_close(split_r_hat(x), torch.cat([split_r_hat(part) for part in x.split(1)]))
