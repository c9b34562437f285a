"""Random images: their ranges, their repeatability, and one function whatever the grid."""

from __future__ import annotations

import pytest
import torch

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.imaging.laws import LAWS, draw_ellipses, draw_permeability, draw_signals, draw_sources

each_law = pytest.mark.parametrize("name", LAWS)


def drawn(name: str, count: int, n: int, seed: int = 0) -> torch.Tensor:
    return LAWS[name].draw(count, (n,) * LAWS[name].dim, torch.Generator().manual_seed(seed))


@each_law
def test_values_lie_in_the_unit_interval(name):
    fields = drawn(name, 64, 24)
    assert fields.shape == (64, 1, *[24] * LAWS[name].dim)
    assert fields.dtype == torch.float64
    assert fields.min() >= 0
    assert 0.9 < fields.max() <= 1


@each_law
def test_a_seed_repeats_its_fields_and_another_gives_others(name):
    assert torch.equal(drawn(name, 8, 16), drawn(name, 8, 16))
    assert not torch.equal(drawn(name, 8, 16), drawn(name, 8, 16, seed=1))


@each_law
def test_fields_differ_from_each_other(name):
    fields = drawn(name, 8, 24).flatten(1)
    assert (torch.cdist(fields, fields) + torch.eye(8) > 0.01).all()


@each_law
def test_one_seed_is_one_function_on_every_grid(name):
    """Means over blocks of a fine grid are the field on the coarse one, but for the edges."""
    dim = LAWS[name].dim
    fine = drawn(name, 16, 128)
    pool = torch.nn.functional.avg_pool1d if dim == 1 else torch.nn.functional.avg_pool2d
    coarse = drawn(name, 16, 32)
    assert (pool(fine, 4) - coarse).abs().mean() < 0.03 * coarse.std() + 0.01


@each_law
def test_grids_with_another_number_of_axes_are_refused(name):
    wrong = (8,) * (3 - LAWS[name].dim)
    with pytest.raises(ProblemError, match="axes"):
        LAWS[name].draw(1, wrong, torch.Generator())


def test_ellipses_are_flat_with_edges_of_a_pixel():
    """On a fine grid most pixels equal their neighbour, and the ground is black."""
    images = draw_ellipses(32, (96, 96), torch.Generator().manual_seed(0))
    assert (images.diff(dim=-1) == 0).double().mean() > 0.9
    assert (images == 0).double().mean() > 0.3


def test_signals_hold_boxes_and_bumps():
    """0.6 of the shapes are flat on top: between all and none of the signals are piecewise constant."""
    signals = draw_signals(256, (256,), torch.Generator().manual_seed(0))[:, 0]
    flat = (signals.diff(dim=-1).abs() < 1e-9).double().mean(1)
    assert 0.1 < (flat > 0.9).double().mean() < 0.9


def test_sources_are_smooth():
    fields = draw_sources(16, (64, 64), torch.Generator().manual_seed(0))
    assert fields.diff(dim=-1).abs().max() < 0.45  # an edge of one pixel would reach 1


def test_permeability_has_two_values_about_equally_often():
    fields = draw_permeability(256, (16, 16), torch.Generator().manual_seed(0))
    assert fields.unique().tolist() == [0.25, 1.0]
    assert abs((fields == 1).double().mean() - 0.5) < 0.05
