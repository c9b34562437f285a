"""Interpolation between grids puts every value at its true place."""

import pytest
import torch

from pde_benchmarks import Grid
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.grid_transfer import inject, interpolate, mean_of_blocks, refinement_ratio

SIZES = {"cell": (8, 16), "vertex": (9, 17), "interior": (7, 15), "left": (8, 16)}


def bubble(grid: Grid) -> torch.Tensor:
    x, y = grid.points(0)[:, None], grid.points(1)[None, :]
    return (x * (1 - x) * y * (1 - y))[None, None]


@pytest.mark.parametrize("alignment", SIZES)
def test_splines_are_exact_on_a_bubble_that_vanishes_on_the_boundary(alignment):
    """x(1−x)y(1−y) is a cubic in each variable, and a not-a-knot spline reproduces cubics."""
    coarse, fine = (Grid((n, n), alignment) for n in SIZES[alignment])
    torch.testing.assert_close(interpolate(bubble(coarse), coarse, fine), bubble(fine), rtol=0, atol=1e-12)


@pytest.mark.parametrize("wrong", ["cell", "vertex"])
def test_a_wrong_alignment_is_not_exact(wrong):
    coarse, fine = Grid((8, 8), "left"), Grid((16, 16), "left")
    mistaken = interpolate(bubble(coarse), Grid((8, 8), wrong), Grid((16, 16), wrong))
    assert (mistaken - bubble(fine)).abs().max() > 1e-3


@pytest.mark.parametrize(("boundary", "function"), [("periodic", torch.sin), ("neumann", torch.cos)])
def test_order_four_up_to_the_boundary(boundary, function):
    """Halving the spacing divides the error of a smooth function by about 16."""
    errors = []
    for n in (16, 32):
        wave = 2 * torch.pi if boundary == "periodic" else torch.pi
        coarse, fine = Grid((n,), "cell", (boundary,)), Grid((4 * n,), "cell", (boundary,))
        values = interpolate(function(wave * coarse.points(0))[None, None], coarse, fine)
        errors.append((values[0, 0] - function(wave * fine.points(0))).abs().max())
    assert errors[0] / errors[1] > 12


def test_means_of_blocks_keep_the_integral_and_the_logarithm():
    field = torch.rand(2, 1, 8, 8, dtype=torch.float64) + 0.5
    torch.testing.assert_close(mean_of_blocks(field, 4).mean(), field.mean())
    torch.testing.assert_close(mean_of_blocks(field, 4, geometric=True).log().mean(), field.log().mean())


def test_blocks_that_do_not_fill_the_grid_are_refused():
    with pytest.raises(ProblemError, match="multiple of 4"):
        mean_of_blocks(torch.ones(1, 1, 50, 50), 4)


@pytest.mark.parametrize("alignment", ["vertex", "interior", "left"])
def test_injection_keeps_the_values_at_the_coarse_nodes(alignment):
    coarse, fine = (Grid((n, n), alignment) for n in SIZES[alignment])
    assert refinement_ratio(fine, coarse) == 2
    torch.testing.assert_close(inject(bubble(fine), 2, alignment), bubble(coarse), rtol=0, atol=1e-15)


def test_a_grid_that_is_no_refinement_is_refused():
    with pytest.raises(ProblemError, match="whole refinement"):
        refinement_ratio(Grid((24, 24)), Grid((16, 16)))
