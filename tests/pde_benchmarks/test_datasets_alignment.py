"""Where grid points lie is read off the data when it tells, and left open when it does not."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pde_benchmarks.darcy import Darcy
from pde_benchmarks.datasets import Dataset, detect_alignment
from pde_benchmarks.datasets.alignment import (
    alignment_of_coordinates,
    alignment_of_pair,
    alignment_of_sides,
    boundary_of,
)
from pde_benchmarks.grid import axis_points
from pde_benchmarks.problem import Batch, FieldSpec, Grid, RecordedProblem

ALIGNMENTS = ("cell", "vertex", "left", "interior")
REFINED = {"cell": 32, "vertex": 31, "left": 32, "interior": 33}


def vanishing(n: int, alignment: str, dim: int = 2, samples: int = 6) -> torch.Tensor:
    """Random combinations of sin kπx, zero on the boundary; the same functions at every resolution."""
    generator = torch.Generator().manual_seed(0)
    x = axis_points(n, alignment)
    out = torch.zeros(samples, 1, *[n] * dim, dtype=torch.float64)
    for k in range(1, 4):
        wave = torch.ones((), dtype=torch.float64)
        for _ in range(dim):
            wave = wave[..., None] * torch.sin(k * math.pi * x)
        out += torch.randn(samples, 1, *[1] * dim, generator=generator, dtype=torch.float64) * wave / k**2
    return out


def recorded(field: torch.Tensor, alignment: str = "unknown") -> Dataset:
    spec = FieldSpec("u", 1, Grid(tuple(field.shape[2:]), alignment))
    return Dataset(RecordedProblem("r", (spec,), (spec,)), Batch({"u": field}), Batch({"u": field}), "r")


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_a_vanishing_field_tells_by_its_sides(alignment, dim):
    found, why = alignment_of_sides(vanishing(16, alignment, dim))
    assert found == alignment, why


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_two_resolutions_tell_by_their_common_points(alignment):
    coarse, fine = vanishing(16, alignment), vanishing(REFINED[alignment], alignment)
    found, why = alignment_of_pair(coarse, fine)
    assert found == alignment, why


def test_two_resolutions_of_a_periodic_field_tell_left_nodes_from_cells():
    def waves(n: int, alignment: str) -> torch.Tensor:
        return torch.sin(2 * math.pi * (axis_points(n, alignment) + torch.arange(5)[:, None, None] / 7))

    for alignment in ("cell", "left"):
        assert alignment_of_pair(waves(16, alignment), waves(64, alignment))[0] == alignment
    assert alignment_of_sides(waves(16, "left"))[0] is None
    assert boundary_of(waves(16, "left")) == ("periodic",)


@pytest.mark.parametrize("law", ["smooth", "rough", "multiscale"])
def test_darcy_solutions_are_recognised_as_cells(law):
    problem = Darcy(law=law, resolution=32, factors=3)
    u = problem.solve(problem.sample(8, torch.Generator().manual_seed(0)))
    found, why = detect_alignment(recorded(u["solution"]))
    assert found == "cell", why
    assert boundary_of(u["solution"]) == ("dirichlet", "dirichlet")


def test_every_26th_of_421_vertices_without_the_last_are_left_nodes():
    """How the neuraloperator Darcy sets were thinned: 421 vertices, 16 kept."""
    fine = vanishing(417, "vertex")
    assert alignment_of_sides(fine[:, :, :-1:26, :-1:26])[0] == "left"


def test_other_fields_on_the_fine_grid_are_not_taken_for_the_same():
    coarse, fine = vanishing(16, "left"), vanishing(32, "left").flip(0)
    found, why = alignment_of_pair(coarse, fine)
    assert found is None
    assert "different ones" in why
    assert alignment_of_pair(coarse, vanishing(33, "vertex"))[0] is None
    assert alignment_of_pair(coarse, vanishing(32, "left", samples=5))[0] is None


def test_what_the_data_set_states_is_believed_unless_a_finer_set_contradicts():
    stated = recorded(vanishing(16, "left"), "cell")
    found, why = detect_alignment(stated)
    assert (found, "r describes its points as cell" in why) == ("cell", True)
    # What the reader got from the values is told as such, not as a description that the file never gave.
    assert "vanishes" in detect_alignment(recorded(vanishing(16, "left"), "left"))[1]
    assert detect_alignment(stated, recorded(vanishing(32, "left")))[0] == "left"
    assert detect_alignment(recorded(vanishing(16, "left")))[0] == "left"
    found, why = detect_alignment(recorded(1 + vanishing(16, "left")))
    assert found is None
    assert why.endswith(".")


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@pytest.mark.parametrize(("start", "length"), [(0, 1), (-1, 2), (0, 2 * math.pi), (-2.5, 10)])
def test_coordinates_tell(alignment, start, length):
    x = start + length * axis_points(16, alignment).numpy()
    assert alignment_of_coordinates(x, x) == alignment
    assert alignment_of_coordinates(x.astype(np.float32)) == alignment


def test_coordinates_that_do_not_tell():
    assert alignment_of_coordinates(np.geomspace(1, 2, 16)) is None
    assert alignment_of_coordinates(np.arange(16) / 16, (np.arange(16) + 0.5) / 16) is None
    assert alignment_of_coordinates(0.123 + 0.0371 * np.arange(16)) is None
    assert alignment_of_coordinates() is None


def test_a_field_that_vanishes_nowhere_has_an_unknown_boundary():
    x = axis_points(32, "cell")
    assert boundary_of(torch.cos(math.pi * x) + torch.rand(8, 1, 1, dtype=torch.float64)) == ("unknown",)


@pytest.mark.parametrize("scale", [1e307, 1e-307, 1e-320])
def test_sides_are_read_at_the_limits_of_float64(scale):
    """The zero of a profile does not depend on its size: neither overflow nor loss near the smallest numbers."""
    x = (torch.arange(8, dtype=torch.float64) + 0.5) / 8
    bubble = (4 * x * (1 - x))[None, None]
    assert alignment_of_sides(scale * bubble)[0] == alignment_of_sides(bubble)[0] == "cell"
    spike = torch.tensor([0, scale, 0, 0], dtype=torch.float64)[None, None]
    assert alignment_of_sides(spike)[0] is None
