"""Sensors read grid fields at points: exactly where the field is linear between nodes, and nowhere outside."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.grid import Grid
from pde_benchmarks.point_values import PointValues
from pde_benchmarks.sensors import Sensors, noise_std


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def multilinear(points: torch.Tensor) -> torch.Tensor:
    """Π (1 + k xₖ), linear along every axis."""
    return torch.stack([1 + (k + 1) * points[..., k] for k in range(points.shape[-1])]).prod(0)


@settings(deadline=None, max_examples=25)
@given(
    dim=st.integers(1, 3),
    size=st.integers(2, 7),
    alignment=st.sampled_from(["vertex", "cell", "interior", "left"]),
    batch=st.integers(0, 3),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 99),
)
def test_fields_linear_along_each_axis_are_read_exactly(dim, size, alignment, batch, dtype, seed):
    grid = Grid(tuple(size + k for k in range(dim)), alignment)
    lines = [grid.points(axis) for axis in range(dim)]
    field = multilinear(torch.stack(torch.meshgrid(*lines, indexing="ij"), -1)).to(dtype).expand(batch, 2, *grid.shape)
    sensors = Sensors.random(9, generator(seed), dim)
    seen = sensors.observe(field, grid)
    assert seen.shape == (batch, 9, 2)
    assert seen.dtype == dtype
    expected = multilinear(sensors.points).to(dtype)[None, :, None].expand_as(seen)
    torch.testing.assert_close(seen, expected, rtol=1e-5 if dtype == torch.float32 else 1e-11, atol=0)


def test_periodic_axes_go_round():
    """Beyond the last left node the next one is the first."""
    field = torch.tensor([0.0, 1.0, 2.0, 3.0]).reshape(1, 1, 4)
    grid = Grid((4,), "left", ("periodic",))
    points = torch.tensor([[0.875], [1.0], [0.125]])
    assert PointValues.linear(grid, points).of(field).flatten().tolist() == [1.5, 0.0, 0.5]
    assert PointValues.pixels(grid, torch.tensor([[0.9]])).of(field).item() == 0.0


def test_what_is_seen_is_linear_in_the_field_and_differentiable():
    sensors = Sensors.random(5, generator())
    field = torch.rand(1, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(sensors.observe, (field,))
    torch.testing.assert_close(sensors.observe(3 * field), 3 * sensors.observe(field))


def test_sensors_at_nodes_read_the_nodes():
    grid = Grid((5, 7), "vertex")
    field = torch.rand(2, 1, 5, 7, dtype=torch.float64)
    seen = Sensors.at_inner_nodes(grid).observe(field)
    torch.testing.assert_close(seen[..., 0], field[..., 1:-1, 1:-1].flatten(1))
    chosen = Sensors.random_nodes(15, grid, generator())
    assert len(chosen.points.unique(dim=0)) == 15


def test_the_noise_has_the_ratio_of_its_name():
    """σ² = mean(u²) / 10^(SNR/10) of every sample, and measured values scatter by σ."""
    field = (
        torch.randn(3, 1, 29, 29, generator=generator(), dtype=torch.float64)
        * torch.tensor([1.0, 2, 5])[:, None, None, None]
    )
    std = noise_std(field, 25.0)
    torch.testing.assert_close(10 * torch.log10(field.square().flatten(1).mean(1) / std**2), torch.full_like(std, 25.0))
    sensors = Sensors.random(4000, generator())
    seen, reported = sensors.measure(field, 25.0, generator(1))
    torch.testing.assert_close(reported, std)
    scatter = (seen - sensors.observe(field)).flatten(1).std(1)
    torch.testing.assert_close(scatter, std, rtol=5 / math.sqrt(2 * 4000), atol=0)
    again, _ = sensors.measure(field, 25.0, generator(1))
    assert torch.equal(seen, again)


def test_random_sensors_keep_their_margin():
    points = Sensors.random(200, generator(), margin=0.2).points
    assert points.min() >= 0.2
    assert points.max() <= 0.8


def test_sensors_outside_are_listed():
    points = torch.rand(30, 2, generator=generator())
    points[4, 0], points[17, 1] = 1.5, -0.1
    with pytest.raises(ProblemError, match=r"sensors: 2 of 30 lie outside the domain .* \(indices 4, 17; the first is"):
        Sensors(points)


def test_a_sensor_without_a_number_is_outside():
    with pytest.raises(ProblemError, match="indices 1"):
        Sensors(torch.tensor([[0.5, 0.5], [math.nan, 0.5]]))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Sensors(torch.rand(3)), r"expected \(n, dim\)"),
        (lambda: Sensors(torch.rand(0, 2)), "n ≥ 1"),
        (lambda: Sensors.random(0, generator()), "at least one"),
        (lambda: Sensors.random_nodes(10, Grid((5, 5), "vertex"), generator()), r"\(5, 5\) has 9"),
        (lambda: Sensors(torch.rand(3, 2)).observe(torch.rand(1, 1, 4)), "grid of 1 axes"),
        (lambda: noise_std(torch.rand(1, 1, 4), math.nan), "nan dB"),
    ],
)
def test_impossible_requests_are_named(make, match):
    with pytest.raises(ProblemError, match=match):
        make()
