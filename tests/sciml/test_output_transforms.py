"""Transforms of outputs: bijections with the right Jacobian, exact quantiles, and a choice that no unit can change."""

from __future__ import annotations

import math

import pytest
import torch
from gaussian_process_cases import CONFIG, seeded

from sciml.errors import LearnerError
from sciml.learners.mmgp.gaussian_processes import (
    Asinh,
    BoundedAsinh,
    GaussianPrediction,
    Identity,
    Logarithm,
    YeoJohnson,
    choose_transforms,
    decode_transforms,
    encode_transforms,
    original_moments,
    original_quantile,
)
from sciml.learners.mmgp.gaussian_processes.transform_choice import candidate_transforms, leave_one_out_log_density

POWERS = [YeoJohnson(p, 0.7) for p in (0.0, 0.4, 1.0, 1.5, 2.0)]
TRANSFORMS = [Identity(), Asinh(0.2), Asinh(30.0), Logarithm(), BoundedAsinh(0.2, 1e9), *POWERS]


def values(transform):
    w = torch.linspace(-4, 4, 41, dtype=torch.float64)
    return w[w > 0] if isinstance(transform, Logarithm) else w


@pytest.mark.parametrize("transform", TRANSFORMS, ids=repr)
def test_the_inverse_undoes_the_map(transform):
    w = values(transform)
    torch.testing.assert_close(transform.inverse(transform.forward(w)), w, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=repr)
def test_the_slope_is_positive_and_that_of_automatic_differentiation(transform):
    w = (values(transform) + 1e-3).requires_grad_()
    (slope,) = torch.autograd.grad(transform.forward(w).sum(), w)
    torch.testing.assert_close(transform.log_slope(w).detach(), slope.log(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=repr)
def test_the_density_in_the_original_unit_integrates_to_one(transform):
    low, high = transform.inverse(torch.tensor([-6.0, 6.0], dtype=torch.float64)).tolist()
    # Midpoints of cells that are equal in z.
    z = torch.linspace(-6, 6, 20_001, dtype=torch.float64)
    w = transform.inverse((z[1:] + z[:-1]) / 2)
    widths = transform.inverse(z).diff()
    normal = GaussianPrediction(torch.zeros_like(w), torch.ones_like(w))
    total = (leave_one_out_log_density(transform, w, normal).exp() * widths).sum().item()
    assert total == pytest.approx(1, abs=1e-5)
    assert low < high


@pytest.mark.parametrize("transform", TRANSFORMS, ids=repr)
def test_quantiles_are_those_of_samples(transform):
    latent = GaussianPrediction(torch.tensor([[0.3]]).double(), torch.tensor([[0.25]]).double())
    draws = transform.inverse(0.3 + 0.5 * torch.randn(40_000, generator=seeded(), dtype=torch.float64))
    for level in (0.025, 0.5, 0.975):
        below = (draws <= original_quantile(transform, latent, level)).double().mean().item()
        assert below == pytest.approx(level, abs=4.5 * math.sqrt(level * (1 - level) / 40_000))


def test_moments_of_the_logarithm_are_those_of_the_log_normal():
    mean, variance = torch.tensor([[0.2, -1.0]]).double(), torch.tensor([[0.04, 1.0]]).double()
    found = original_moments(Logarithm(), GaussianPrediction(mean, variance))
    expected = torch.exp(mean + variance / 2)
    torch.testing.assert_close(found.mean, expected, rtol=1e-10, atol=0)
    torch.testing.assert_close(found.variance, torch.expm1(variance) * expected**2, rtol=1e-8, atol=0)


def test_moments_of_asinh_are_those_of_the_hyperbolic_sine():
    """E sinh(m + s ξ) = sinh(m) exp(s²/2)."""
    mean, variance = torch.tensor([[0.5]]).double(), torch.tensor([[0.64]]).double()
    found = original_moments(Asinh(3.0), GaussianPrediction(mean, variance))
    torch.testing.assert_close(found.mean, 3 * mean.sinh() * torch.exp(variance / 2), rtol=1e-10, atol=0)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=repr)
def test_without_variance_the_mean_is_the_image(transform):
    z = torch.tensor([[-0.4, 0.0, 1.2]]).double()
    found = original_moments(transform, GaussianPrediction(z, torch.zeros_like(z)))
    torch.testing.assert_close(found.mean, transform.inverse(z), rtol=1e-12, atol=1e-12)
    assert found.variance.max() < 1e-20


def regression():
    """A normal output, one whose logarithm is normal, and one of both signs with heavy tails."""
    x = torch.linspace(-2, 2, 50, dtype=torch.float64)[:, None]
    noise = 0.1 * torch.randn(50, 3, generator=seeded(1), dtype=torch.float64)
    z = torch.cat([x, 1.5 * x, 3 * x], 1) + noise
    return x, torch.stack([5 + z[:, 0], z[:, 1].exp(), z[:, 2].sinh()], 1)


def test_the_transform_that_made_the_output_is_found():
    x, w = regression()
    chosen = choose_transforms(x, w, CONFIG, seeded())
    assert isinstance(chosen[0].transform, Identity)
    assert isinstance(chosen[1].transform, Logarithm)
    assert isinstance(chosen[2].transform, Asinh | YeoJohnson)
    for choice in chosen:
        assert isinstance(choice.candidates[0], Identity)
        assert len(choice.candidates) == len(choice.log_densities)


def test_another_unit_shifts_all_densities_and_changes_no_choice():
    x, w = regression()
    first, second = choose_transforms(x, w, CONFIG, seeded()), choose_transforms(x, 1e3 * w, CONFIG, seeded())
    for a, b in zip(first, second, strict=True):
        assert type(a.transform) is type(b.transform)
        shifted = [density - math.log(1e3) for density in a.log_densities]
        assert list(b.log_densities) == pytest.approx(shifted, abs=1e-3)


def test_a_constant_output_keeps_the_identity():
    x, w = regression()
    w = torch.cat([w[:, :1], torch.full((50, 1), 2.0, dtype=torch.float64)], 1)
    assert choose_transforms(x, w, CONFIG, seeded())[1].transform == Identity()


def test_no_logarithm_is_tried_where_values_vanish():
    tried = candidate_transforms(torch.tensor([0.0, 0.0, 1e-3, 2.0], dtype=torch.float64))
    assert not any(isinstance(t, Logarithm) for t in tried)
    assert all(t.scale > 0 for t in tried if isinstance(t, Asinh))


def test_tensors_carry_transforms():
    transforms = tuple(TRANSFORMS)
    assert decode_transforms(encode_transforms(transforms)) == transforms


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: Asinh(0.0), "scale = 0.0"),
        (lambda: YeoJohnson(2.5), "from 0 to 2"),
        (lambda: Logarithm().forward(torch.tensor([1.0, -2.0])), "use asinh"),
        (lambda: decode_transforms(torch.tensor([[9.0, 0.0, 0.0]])), "transform number 9"),
        (lambda: original_quantile(Identity(), GaussianPrediction(torch.zeros(1), torch.ones(1)), 1.0), "level = 1.0"),
    ],
)
def test_parameters_out_of_range_are_refused(act, message):
    with pytest.raises(LearnerError, match=message):
        act()


def test_a_bounded_map_keeps_moments_within_the_bound():
    """|E[w]| ≤ bound and Var[w] ≤ bound², however uncertain z is."""
    latent = GaussianPrediction(torch.tensor([[8.0]]).double(), torch.tensor([[16.0]]).double())
    found = original_moments(BoundedAsinh(1.0, 50.0), latent)
    assert found.mean.abs() <= 50
    assert 0 < found.variance <= 2500
    assert original_moments(Asinh(1.0), latent).mean > 1e5
