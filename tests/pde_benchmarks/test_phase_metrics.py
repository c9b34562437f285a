"""Measures of recovered media: perfect for the truth, and blind to what should not matter."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.phase_metrics import centred_correlation, nearest_phase, volume_fraction_error, wrong_pixels

PHASES = (2.0, 5.0, 10.0)


def medium(seed: int = 0, samples: int = 4) -> torch.Tensor:
    index = torch.randint(3, (samples, 1, 6, 7), generator=torch.Generator().manual_seed(seed))
    return torch.tensor(PHASES, dtype=torch.float64)[index]


def test_a_perfect_prediction_has_no_error_and_correlation_one():
    truth = medium()
    zero, one = torch.zeros(4, dtype=torch.float64), torch.ones(4, dtype=torch.float64)
    torch.testing.assert_close(wrong_pixels(truth, truth, PHASES), zero)
    torch.testing.assert_close(volume_fraction_error(truth, truth, PHASES), zero)
    torch.testing.assert_close(centred_correlation(truth, truth), one)


@settings(deadline=None, max_examples=20)
@given(scale=st.floats(0.01, 100), shift=st.floats(-100, 100), seed=st.integers(0, 20))
def test_correlation_does_not_see_affine_changes(scale, shift, seed):
    truth, prediction = medium(seed), medium(seed + 100)
    expected = centred_correlation(prediction, truth)
    torch.testing.assert_close(centred_correlation(scale * prediction + shift, truth), expected, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(centred_correlation(prediction, scale * truth + shift), expected, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(centred_correlation(-scale * prediction, truth), -expected, rtol=1e-7, atol=1e-9)


@settings(deadline=None, max_examples=20)
@given(noise=st.floats(0, 1.49), seed=st.integers(0, 20))
def test_pixels_are_right_within_half_the_gap_of_the_phases(noise, seed):
    truth = medium(seed)
    moved = truth + noise * (2 * torch.rand(truth.shape, dtype=truth.dtype) - 1)
    assert (wrong_pixels(moved, truth, PHASES) == 0).all()


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 50))
def test_fractions_err_at_most_as_pixels_do_and_do_not_see_where(seed):
    """Half the L1 distance of the shares is a total variation: at most the fraction of wrong pixels."""
    truth, prediction = medium(seed), medium(seed + 100)
    wrong, fractions = wrong_pixels(prediction, truth, PHASES), volume_fraction_error(prediction, truth, PHASES)
    assert (fractions <= wrong + 1e-12).all()
    moved = prediction.flatten(2)[..., torch.randperm(42)].reshape(prediction.shape)
    torch.testing.assert_close(volume_fraction_error(moved, truth, PHASES), fractions)


def test_known_values():
    truth = torch.tensor([5.0, 5, 10, 10]).reshape(1, 1, 4)
    prediction = torch.tensor([5.0, 9, 9, 9]).reshape(1, 1, 4)
    assert wrong_pixels(prediction, truth, (5.0, 10.0)).item() == 0.25
    assert volume_fraction_error(prediction, truth, (5.0, 10.0)).item() == 0.25
    assert centred_correlation(prediction, truth).item() == pytest.approx(1 / 3**0.5)
    probability = torch.tensor([0.1, 0.9, 0.4, 0.6]).reshape(1, 1, 4)
    assert nearest_phase(probability, (0.0, 1.0)).flatten().tolist() == [0, 1, 0, 1]


def test_a_constant_guess_has_no_correlation_and_a_constant_truth_none_to_have():
    """The uncentred cosine of a constant with a medium of 5 and 10 is above 0.9."""
    truth = medium()
    assert (centred_correlation(torch.full_like(truth, 0.1), truth) == 0).all()
    assert centred_correlation(truth, torch.full_like(truth, 0.1)).isnan().all()


def test_bad_input_is_named():
    truth = medium()
    with pytest.raises(ProblemError, match="two different values"):
        wrong_pixels(truth, truth, (5.0,))
    with pytest.raises(ProblemError, match="two different values"):
        nearest_phase(truth, (5.0, 5.0))
    for metric in (centred_correlation, lambda p, t: wrong_pixels(p, t, PHASES)):
        with pytest.raises(ProblemError, match=r"\(4, 1, 6, 6\) and truth \(4, 1, 6, 7\)"):
            metric(truth[..., 1:], truth)
