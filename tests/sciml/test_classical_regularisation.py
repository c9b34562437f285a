"""Quadratic regularisation, total variation, and the weight by the discrepancy principle."""

import pytest
import torch
from plug_and_play_cases import DOUBLE, SHAPE, N, dense, fidelity, normal, wide

from pde_benchmarks.problem import Grid
from pde_benchmarks.random_fields import GaussianField
from sciml.errors import ConfigurationError, InferenceError
from sciml.plug_and_play import (
    ADMM,
    GaussianFidelity,
    LearnedPrior,
    QuadraticNetwork,
    TotalVariation,
    discrepancy_weight,
    gaussian_field_precision,
    reconstruct,
    smoothness_precision,
    tikhonov,
)
from sciml.plug_and_play.total_variation import differences, differences_transposed, total_variation


@pytest.mark.parametrize("shape", [(1, 9), (2, 5, 4), (1, 4, 3, 2)])
def test_differences_and_their_transpose(shape):
    x = normal(3, *shape)
    p = normal(*differences(x).shape, seed=1)
    torch.testing.assert_close((differences(x) * p).sum(), (x * differences_transposed(p)).sum())
    # The bound of ‖∇‖² that step lengths rest on.
    assert differences(x).square().sum() <= 4 * (len(shape) - 1) * x.square().sum()


def test_total_variation_of_a_disc_is_its_boundary():
    """Isotropic: about 2πr whatever the direction; the sum of |∂ᵢ| would give 8r."""
    n, r = 200, 60
    i = torch.arange(n, dtype=DOUBLE) - n / 2
    disc = ((r - torch.hypot(i[:, None], i) + 3) / 6).clamp(0, 1)
    assert total_variation(disc[None, None]).item() == pytest.approx(2 * torch.pi * r, rel=0.03)


def test_total_variation_denoising_of_a_step_is_known():
    """A step of height 1 with n points on both sides is lowered by tau/n on each."""
    step = torch.cat([torch.zeros(6, dtype=DOUBLE), torch.ones(6, dtype=DOUBLE)])[None, None]
    exact = torch.cat([torch.full((6,), 0.05), torch.full((6,), 0.95)]).to(DOUBLE)[None, None]
    torch.testing.assert_close(TotalVariation(0.3).prox(step).x, exact, rtol=0, atol=1e-5)


def test_tikhonov_solves_the_normal_equations():
    data, A = fidelity(sigma=0.5), wide()
    mean = normal(*SHAPE, seed=3)
    x = tikhonov(data, 0.7, mean=mean).flatten(1)
    normal_matrix = A.mT @ A / 0.25 + 0.7 * torch.eye(N, dtype=DOUBLE)
    exact = torch.linalg.solve(normal_matrix, (data.data @ A / 0.25 + 0.7 * mean).mT).mT
    torch.testing.assert_close(x, exact, rtol=0, atol=1e-8)


def test_smoothness_leaves_constants_alone():
    constant = torch.full((1, 2, 4, 5), 3.0, dtype=DOUBLE)
    P = smoothness_precision((2, 4, 5))
    assert P.mv(constant.flatten(1)).abs().max() < 1e-12
    dense_P = P.to_dense()
    torch.testing.assert_close(dense_P, dense_P.mT)
    assert torch.linalg.eigvalsh(dense_P).min() > -1e-12


@pytest.mark.parametrize("grid", [(12,), (6, 5)])
def test_the_precision_of_a_gaussian_field_inverts_its_covariance(grid):
    """On the waves that the grid can tell apart, the mean aside."""
    field = GaussianField(1.5, 3.0, modes=min(grid))
    n = len(grid)
    noise = torch.eye(min(grid) ** n, dtype=DOUBLE).reshape(-1, *[min(grid)] * n)
    functions = field.evaluate(noise, Grid(grid, alignment="cell")).flatten(1)
    covariance = functions.mT @ functions
    P = gaussian_field_precision(GaussianField(1.5, 3.0), (1, *grid)).to_dense()
    # P C is the projection on the span of the waves.
    product = P @ covariance
    torch.testing.assert_close(product @ functions.mT, functions.mT, rtol=0, atol=1e-9)


def test_discrepancy_finds_the_level_of_every_sample():
    data = fidelity(4, sigma=0.05)
    prior = LearnedPrior(QuadraticNetwork(0.5 * torch.eye(N, dtype=DOUBLE)))
    by_hand = discrepancy_weight(lambda weight: tikhonov(data, weight), data, 1e-3, 1e6)
    assert by_hand.reached.all()
    assert (by_hand.discrepancy - 1).abs().max() <= 0.02
    assert by_hand.weight.unique().numel() == 4
    learned = discrepancy_weight(lambda weight: reconstruct(data, prior, weight, ADMM()).x, data, 1e-3, 1e6)
    torch.testing.assert_close(learned.weight, by_hand.weight, rtol=1e-2, atol=0)  # R(x) = ½‖x‖²


def test_levels_out_of_the_interval_are_said():
    data = fidelity(2, sigma=0.05)
    with pytest.raises(InferenceError, match="widen the interval") as caught:
        discrepancy_weight(lambda weight: tikhonov(data, weight), data, 1e-6, 1e-5)
    assert not caught.value.result.reached.any()
    torch.testing.assert_close(caught.value.result.weight, torch.full((2,), 1e-5, dtype=DOUBLE))
    with pytest.raises(ConfigurationError, match="interval"):
        discrepancy_weight(lambda weight: tikhonov(data, weight), data, 1.0, 0.5)


def test_unsolved_systems_are_raised():
    huge = GaussianFidelity(dense(1e9 * wide()), normal(2, 8))
    with pytest.raises(ConfigurationError, match="weight"):
        tikhonov(huge, -1.0)
    with pytest.raises(ConfigurationError, match="neumann"):
        gaussian_field_precision(GaussianField(boundary="periodic"), SHAPE)
