"""Families of parts: their designs, what a learner is told, and what they refuse."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mesh_families import Rods

from meshes import Mesh
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.mesh_problem import Parameter


@dataclass(frozen=True)
class Impossible(Rods):
    """No design belongs to it."""

    def is_admissible(self, designs):
        return np.zeros(len(designs), dtype=bool)


@settings(deadline=None, max_examples=25)
@given(few=st.integers(0, 40), more=st.integers(0, 60), seed=st.integers(0, 2**31))
def test_a_longer_list_of_designs_begins_with_the_shorter(few, more, seed):
    """One seed, one sequence: within the bounds, admissible, however many are asked for."""
    problem = Rods()
    short, long = problem.designs(few, seed), problem.designs(few + more, seed)
    assert short.shape == (few, 2)
    np.testing.assert_array_equal(long[:few], short)
    assert problem.is_admissible(long).all()
    assert ((long >= [1.0, 3.0]) & (long <= [2.0, 5.0])).all()


def test_designs_fill_the_space_and_differ_between_seeds():
    """Sobol points: the means of 256 lie within 1/256 of the middle of a box without gaps."""

    class Box(Rods):
        def is_admissible(self, designs):
            return np.ones(len(designs), dtype=bool)

    designs = Box().designs(256, seed=0)
    np.testing.assert_allclose(designs.mean(axis=0), [1.5, 4.0], atol=2 / 256)
    assert not np.isin(Box().designs(256, seed=1)[:, 0], designs[:, 0]).any()


def test_a_law_that_admits_nothing_is_an_error():
    with pytest.raises(ProblemError, match=r"rods: 0 admissible designs after 200 rounds, 3 wanted: widen its limits"):
        Impossible().designs(3, seed=0)


def test_inputs_are_the_given_parameters_and_outputs_split_by_support():
    problem = Rods()
    assert [(spec.name, spec.unit) for spec in problem.inputs] == [("F", "N")]
    assert problem.fields == ("u",)
    assert problem.scalars == ("w",)
    assert problem.usual_samples == (200, 100)


def test_given_scalars_are_read_from_the_mesh_or_named():
    problem = Rods()
    mesh = problem.part(np.array([1.5, 4.0]), seed=0)
    assert problem.given_scalars(mesh) == {"F": 4.0}
    with pytest.raises(ProblemError, match="rods: the mesh has no F in its global data, which holds nothing: give F"):
        problem.given_scalars(Mesh(mesh.points, mesh.cells))
    for wrong in (np.array([1.0, 2.0]), np.array(np.inf)):
        with pytest.raises(ProblemError, match=r"rods: F = .*: expected one finite number"):
            problem.given_scalars(Mesh(mesh.points, mesh.cells, global_data={"F": wrong}))


def test_a_family_without_foreign_parts_says_so():
    with pytest.raises(ProblemError, match="rods: foreign part 'wedge' is unknown: known are none"):
        Rods().foreign("wedge", 0)


@pytest.mark.parametrize("bounds", [(2.0, 1.0), (0.0, np.inf), (np.nan, 1.0)])
def test_parameters_vary_between_finite_bounds(bounds):
    assert Parameter("r", 1.0, 1.0).low == 1.0
    with pytest.raises(ProblemError, match=r"parameter 'r' from .*: expected finite low ≤ high"):
        Parameter("r", *bounds)
