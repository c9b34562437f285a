"""Inference with unusual and with unusable input."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_gaussian import seeded

from sciml.errors import ConfigurationError, LearnerError, ObservationError
from sciml.inference import (
    ErrorCovariance,
    ErrorFraction,
    ErrorVariance,
    HMCConfig,
    LaplaceConfig,
    MapConfig,
    Observation,
    PCNConfig,
    Posterior,
    SVIConfig,
    infer,
)


@settings(deadline=None, max_examples=10)
@given(
    observations=st.integers(1, 3),
    d=st.integers(1, 4),
    n=st.integers(0, 3),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    method=st.sampled_from(["map", "laplace", "hmc", "pcn", "svi"]),
)
def test_samples_have_the_dtype_of_the_observation(observations, d, n, dtype, method):
    B = torch.ones(n, d, dtype=dtype)
    observation = Observation(torch.zeros(n, 1), torch.zeros(observations, n, dtype=dtype), 1.0)
    short = {
        "hmc": HMCConfig(draws=4, warmup=2),
        "pcn": PCNConfig(draws=4, warmup=2, thin=1),
        "svi": SVIConfig(steps=8),
    }
    posterior = Posterior(lambda z: z @ B.T, observation, d)
    result = infer(posterior, method, short.get(method), generator=seeded(), throw=False)
    assert result.samples.dtype == dtype
    assert result.samples.shape[0] == observations
    assert result.samples.shape[3] == d
    assert result.mean().isfinite().all()


def observe(values=None, noise=0.1, points=None, mask=None):
    return Observation(
        torch.rand(3, 2) if points is None else points, torch.zeros(2, 3) if values is None else values, noise, mask
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"noise": 0.0}, r"noise_std: not positive at \(observation, sensor\) \(0, 0\), \(0, 1\)"),
        ({"noise": torch.tensor([1.0, -1.0, 1.0])}, r"not positive at .* \(0, 1\), \(1, 1\): give"),
        ({"noise": torch.ones(2)}, r"noise_std: a shape that expands to \(2, 3\) .* found \(2,\)"),
        ({"values": torch.zeros(3)}, r"values: shape \(observations, sensors\) is expected, found \(3,\)"),
        ({"values": torch.zeros(2, 3).half()}, r"float32 or float64 is expected, found torch.float16"),
        ({"values": torch.tensor([[0.0, 0, 0], [0, torch.nan, 0]])}, r"values: not finite at .* \(1, 1\): mask it"),
        ({"points": torch.rand(4, 2)}, r"points: shape \(3, dim\) or \(2, 3, dim\) is expected"),
        ({"points": torch.full((3, 2), torch.inf)}, r"points: not finite"),
        ({"mask": torch.ones(3)}, r"mask: dtype bool is expected"),
    ],
)
def test_an_unusable_observation_is_refused(given, message):
    with pytest.raises(ObservationError, match=message):
        observe(**given)


def test_sensors_outside_the_domain_are_listed_unless_masked():
    points = torch.tensor([[0.5, 0.5], [1.5, 0.5], [0.1, 0.1]])
    with pytest.raises(ObservationError, match=r"outside the domain \[0, 1\] × \[0, 1\] at .* \(0, 1\), \(1, 1\)"):
        observe(points=points).require_inside(torch.zeros(2), torch.ones(2))
    observe(points=points, mask=torch.tensor([True, False, True])).require_inside(torch.zeros(2), torch.ones(2))


def test_misfits_of_a_perfect_and_of_a_noisy_prediction():
    """0 and 0; off by σ everywhere, χ² / n = 1."""
    observation = observe(values=torch.ones(2, 3))
    assert observation.relative_misfit(torch.ones(2, 3)).tolist() == [0, 0]
    torch.testing.assert_close(observation.reduced_chi_square(torch.full((2, 3), 1.1)), torch.ones(2))


def test_bad_models_and_settings_are_refused():
    good = observe(values=torch.zeros(1, 3).double())
    g = seeded()
    with pytest.raises(LearnerError, match=r"forward map: \(1, 1, 3\) of torch.float64 is expected"):
        infer(Posterior(lambda z: z, good, 2), generator=g)
    with pytest.raises(LearnerError, match=r"found \(1, 1, 3\) of torch.float32"):
        infer(Posterior(lambda z: z.float(), good, 3), generator=g)
    with pytest.raises(LearnerError, match=r"not finite at the prior's mean for observations \[0\]"):
        infer(Posterior(lambda z: 1 / z, good, 3), generator=g)
    with pytest.raises(LearnerError, match=r"penalty: shape \(1, 1\) is expected"):
        infer(Posterior(lambda z: z, good, 3, penalty=lambda z: z), generator=g)
    with pytest.raises(ConfigurationError, match=r"method = 'nuts': use one of map, laplace, hmc, pcn, svi"):
        infer(Posterior(lambda z: z, good, 3), "nuts", generator=g)
    with pytest.raises(ConfigurationError, match=r"hmc takes a HMCConfig, not a MapConfig"):
        infer(Posterior(lambda z: z, good, 3), "hmc", MapConfig(), generator=g)
    with pytest.raises(ObservationError, match=r"does not fit observations of 3 sensors"):
        Posterior(lambda z: z, good, 3, ErrorVariance(torch.ones(2)))
    with pytest.raises(ObservationError, match=r"not positive definite in observation 0"):
        Posterior(lambda z: z, good, 3, ErrorCovariance(-torch.eye(3)))
    with pytest.raises(ObservationError, match=r"not symmetric"):
        Posterior(lambda z: z, good, 3, ErrorCovariance(torch.ones(3, 3).triu()))
    with pytest.raises(ConfigurationError, match=r"penalty_weight = -1"):
        Posterior(lambda z: z, good, 3, penalty_weight=-1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MapConfig(starts=0), r"starts = 0: a finite number, at least 1"),
        (lambda: MapConfig(optimizer="sgd"), r"optimizer = 'sgd': use one of lbfgs, adam"),
        (lambda: HMCConfig(leapfrog=(5, 3)), r"leapfrog = \(5, 3\): two rising numbers"),
        (lambda: HMCConfig(target_acceptance=1.0), r"target_acceptance = 1.0: a number between 0 and 1"),
        (lambda: PCNConfig(draws=2), r"draws = 2: a finite number, at least 4"),
        (lambda: SVIConfig(family="flow"), r"family = 'flow': use one of full, diagonal"),
        (lambda: LaplaceConfig(draws=1), r"draws = 1: a finite number, at least 2"),
        (lambda: ErrorFraction(-0.1), r"fraction = -0.1"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(ConfigurationError, match=message):
        make()
