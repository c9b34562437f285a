"""Gaussian fields: one seed is one function, with the spectrum of its law."""

import math

import pytest
import scipy.fft
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pde_benchmarks import GaussianField, Grid
from pde_benchmarks.errors import ProblemError


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("boundary", ["neumann", "dirichlet", "periodic"])
def test_one_seed_is_one_function_at_every_resolution(boundary):
    """Vertex grids of 9 and 17 points share every second point; so do the values there."""
    field = GaussianField(2.0, 3.0, boundary, modes=16)
    coarse = field.sample(2, Grid((9, 9), "vertex"), seeded())
    fine = field.sample(2, Grid((17, 17), "vertex"), seeded())
    torch.testing.assert_close(fine[:, ::2, ::2], coarse, rtol=1e-12, atol=1e-12)


def test_cell_centred_sum_is_the_inverse_cosine_transform():
    """On N = K cell centres the series is SciPy's orthonormal inverse DCT-II, scaled by N per axis pair."""
    modes = 16
    field = GaussianField(modes=modes)
    noise = torch.randn(1, modes, modes, dtype=torch.float64, generator=seeded())
    expected = scipy.fft.idctn((noise * field.amplitudes(2))[0].numpy(), norm="ortho") * modes
    actual = field.evaluate(noise, Grid((modes, modes)))[0]
    torch.testing.assert_close(actual, torch.from_numpy(expected), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_mean_square_is_the_sum_of_squared_amplitudes(dim):
    """E ∫ g² = Σ s_k² (Parseval), for orthonormal φ_k."""
    field = GaussianField(3.0, 4.0, "periodic", modes=8)
    noise = torch.zeros(1, *[8] * dim, dtype=torch.float64)
    noise[(0, *[1] * dim)] = 1.0
    g = field.evaluate(noise, Grid((16,) * dim, "left"))
    torch.testing.assert_close((g**2).mean(), field.amplitudes(dim)[(1,) * dim] ** 2, rtol=1e-12, atol=0)


@pytest.mark.parametrize("boundary", ["neumann", "periodic"])
def test_the_mean_mode_is_left_out(boundary):
    g = GaussianField(boundary=boundary, modes=16).sample(3, Grid((32, 32)), seeded())
    torch.testing.assert_close(g.mean((1, 2)), torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-12)


def test_matern_parameters_are_the_usual_ones():
    """ν + d/2 = α and √(2ν)/ℓ = τ."""
    field = GaussianField.matern(regularity=1.5, length=0.25, dim=2)
    assert field.smoothness == 2.5
    assert field.inverse_length == pytest.approx(math.sqrt(3) / 0.25)


def test_pointwise_variance_matches_the_law():
    """At a point, Var g = Σ s_k² φ_k²: checked over 4000 draws to 5 standard errors."""
    field = GaussianField(2.0, 3.0, modes=8)
    grid = Grid((8, 8))
    draws = field.sample(4000, grid, seeded())[:, 2, 5]
    lines = [
        torch.where(torch.arange(8) == 0, 1.0, math.sqrt(2)) * torch.cos(math.pi * torch.arange(8) * grid.points(0)[i])
        for i in (2, 5)
    ]
    variance = ((field.amplitudes(2) * torch.outer(*lines)) ** 2).sum()
    assert abs(draws.var() / variance - 1) < 5 * math.sqrt(2 / 4000)


@settings(max_examples=20, deadline=None)
@given(count=st.integers(0, 3), shape=st.lists(st.integers(1, 9), min_size=1, max_size=3), seed=st.integers(0, 9))
def test_shape_and_repeatability(count, shape, seed):
    field = GaussianField(modes=6)
    first = field.sample(count, Grid(tuple(shape)), seeded(seed))
    assert first.shape == (count, *shape)
    assert torch.equal(first, field.sample(count, Grid(tuple(shape)), seeded(seed)))


def test_unknown_boundary_is_named():
    with pytest.raises(ProblemError, match=r"robin.*neumann"):
        GaussianField(boundary="robin")
