"""Plates: shapes, landmarks, laws of designs, scaling of elastic answers, and what refuses to be solved."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from meshes import boundary_facets, cell_volumes, check_mesh, scaled_jacobians
from meshes.morphing.surfaces import boundary_loops
from meshes.renumbering import renumbered
from pde_benchmarks.elasticity import ElasticNotchedPlate, NotchedPlate, NotchedPlateAll, PerforatedPlate
from pde_benchmarks.errors import ConfigurationError, ProblemError
from pde_benchmarks.registry import describe_problem, mesh_problem_types, rebuild_mesh_problem

KINDS = [NotchedPlate, NotchedPlateAll, ElasticNotchedPlate, PerforatedPlate]
COARSE = 0.06


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.name)
def problem(request):
    return request.param(size=COARSE)


@pytest.fixture(scope="module")
def solved(problem):
    (design,) = problem.designs(1, seed=0)
    return problem.solve(problem.part(design, seed=0))


def test_a_part_is_a_sound_mesh_of_its_area(problem):
    """4 mm² less the half-ellipses, π a r² together, or the hole, π r²; to the polygons' second order."""
    for seed, design in enumerate(problem.designs(3, seed=5)):
        mesh = problem.part(design, seed)
        missing = np.pi * design[0] ** 2 * (1.0 if isinstance(problem, PerforatedPlate) else design[2])
        assert check_mesh(mesh).is_sound
        assert cell_volumes(mesh)["triangle"].sum() == pytest.approx(4 - missing, rel=5e-3)
        assert scaled_jacobians(mesh)["triangle"].min() > 0.3


def test_landmarks_are_met_in_their_order_on_the_boundary(problem):
    """Counterclockwise, one node each, where their names say."""
    (design,) = problem.designs(1, seed=2)
    mesh = problem.part(design, seed=3)
    loops = boundary_loops(boundary_facets(mesh)["line"])
    outer = max(loops, key=lambda loop: np.ptp(mesh.points[loop]))
    places = [np.flatnonzero(outer == mesh.node_set(name)) for name in problem.landmarks]
    assert all(len(place) == 1 for place in places)
    order = np.concatenate(places)
    assert np.argsort((order - order[0]) % len(outer)).tolist() == list(range(len(order)))
    x = {name: mesh.points[mesh.node_set(name)[0]] for name in problem.landmarks}
    np.testing.assert_array_equal(x["corner_bottom_left"], [-1, -1])
    np.testing.assert_array_equal(x["corner_top_right"], [1, 1])
    if "notch_left_upper" in x:
        np.testing.assert_allclose(x["notch_left_upper"], [-1, design[1] + design[0]], atol=1e-12)
        np.testing.assert_allclose(x["notch_right_lower"], [1, design[1] - design[0]], atol=1e-12)


def test_seeds_make_meshes_of_one_shape(problem):
    """One seed is one mesh; another has other nodes, and as far as meshes of this size can tell the same answer."""
    (design,) = problem.designs(1, seed=0)
    first, again, other = (problem.part(design, seed) for seed in (1, 1, 2))
    assert first == again
    assert len(first.points) != len(other.points)
    solved = [problem.solve(mesh).global_data for mesh in (first, other)]
    assert solved[0]["max_v"] == pytest.approx(float(solved[1]["max_v"]), rel=2e-2)


def test_a_solution_has_what_the_problem_promises(problem, solved):
    """All fields at all nodes, finite; scalars; the peaks are those of the fields."""
    count = len(solved.points)
    assert all(solved.point_data[name].shape == (count,) for name in problem.fields)
    assert all(np.isfinite(solved.point_data[name]).all() for name in problem.fields)
    scalars = {name: float(solved.global_data[name]) for name in problem.scalars}
    top = solved.node_set("top")
    assert scalars["max_vM"] == solved.point_data["vM"].max()
    assert scalars["max_v"] == solved.point_data["v"][top].max()
    assert scalars["max_s22"] == solved.point_data["s22"][top].max()
    assert np.all(solved.point_data["v"][solved.node_set("bottom")] == 0)
    assert solved.point_data["u"][solved.node_set("corner_bottom_left")] == 0


def test_renumbered_nodes_carry_renumbered_answers(problem, solved):
    """π solve = solve π, to the tolerance of the solver."""
    order = np.random.default_rng(0).permutation(len(solved.points))
    bare = replace(solved, point_data={})
    answer = problem.solve(renumbered(bare, order))
    for name in problem.fields:
        scale = np.abs(solved.point_data[name]).max()
        np.testing.assert_allclose(answer.point_data[name], solved.point_data[name][order], rtol=0, atol=1e-6 * scale)


@pytest.mark.parametrize("kind", [ElasticNotchedPlate, PerforatedPlate], ids=lambda kind: kind.name)
def test_elastic_answers_scale(kind):
    """σ ∝ P and u ∝ P/E."""
    problem = kind(size=COARSE)
    (design,) = problem.designs(1, seed=1)
    mesh = problem.part(design, seed=0)
    other = replace(mesh, global_data={"P": 3 * mesh.global_data["P"], "E": 2 * mesh.global_data["E"]})
    one, two = problem.solve(mesh), problem.solve(other)
    for name, factor in {"u": 1.5, "v": 1.5, "s11": 3, "s22": 3, "s12": 3, "vM": 3}.items():
        scale = np.abs(two.point_data[name]).max()
        np.testing.assert_allclose(two.point_data[name], factor * one.point_data[name], rtol=0, atol=1e-9 * scale)


def test_a_plate_that_does_not_reach_its_limit_is_elastic():
    """R₀ above every stress: `NotchedPlate` is `ElasticNotchedPlate`, and p = 0."""
    problem = NotchedPlate(size=COARSE)
    (design,) = problem.designs(1, seed=0)
    mesh = problem.part(design, seed=0)
    strong = problem.solve(replace(mesh, global_data={**mesh.global_data, "R0": np.array(1e6)}))
    elastic = ElasticNotchedPlate(size=COARSE).solve(mesh)
    assert not strong.point_data["p"].any()
    for name in elastic.point_data:
        np.testing.assert_allclose(strong.point_data[name], elastic.point_data[name], rtol=0, atol=1e-6)


def test_plastic_strains_are_where_the_stress_is_at_the_limit():
    """Followed by nodes as material points, σ_Mises = R₀ + H p wherever p > 0 grew to the end, and ≤ it elsewhere."""
    problem = NotchedPlateAll(size=COARSE, recovery="followed")
    design = np.array([0.5, 0.1, 1.1, 48.0, 7e4, 70.0, 2000.0])
    fields = problem.solve(problem.part(design, seed=0)).point_data
    limit = 70.0 + 2000.0 * fields["p"]
    assert (fields["vM"] <= limit * (1 + 1e-9)).all()
    at_limit = fields["vM"] > limit * (1 - 1e-9)
    assert 0.05 < at_limit.mean() < 1
    assert fields["p"].max() > 1e-3


def test_fields_followed_by_nodes_are_closer_to_those_on_a_fine_mesh():
    """The peak of the von Mises stress of an elastic plate: averages cut it, by the edge length times its slope."""
    (design,) = ElasticNotchedPlate().designs(1, seed=0)
    peaks = {}
    for recovery, size in (("averages", COARSE), ("followed", COARSE), ("followed", COARSE / 4)):
        problem = ElasticNotchedPlate(size=size, recovery=recovery)
        peaks[recovery, size] = float(problem.solve(problem.part(design, seed=0)).global_data["max_vM"])
    truth = peaks["followed", COARSE / 4]
    assert abs(peaks["followed", COARSE] / truth - 1) < 0.03
    assert abs(peaks["followed", COARSE] - truth) < 0.5 * abs(peaks["averages", COARSE] - truth)


def test_the_standard_law_excludes_net_section_yielding():
    """P/(1 − a r) ≤ R₀ for every design, about three quarters of all; the other law takes all."""
    designs = NotchedPlate().designs(64, seed=0)
    r, _, a, load, _, limit, _ = designs.T
    assert (load <= limit * (1 - a * r)).all()
    everything = NotchedPlateAll().designs(2048, seed=0)
    assert NotchedPlateAll().is_admissible(everything).all()
    assert NotchedPlate().is_admissible(everything).mean() == pytest.approx(0.75, abs=0.03)
    np.testing.assert_array_equal(everything[NotchedPlate().is_admissible(everything)][:64], designs)


def test_learners_are_told_loads_and_materials_not_shapes():
    assert [spec.name for spec in NotchedPlate().inputs] == ["P", "E", "R0", "H"]
    assert [spec.unit for spec in PerforatedPlate().inputs] == ["MPa", "MPa"]
    assert "p" in NotchedPlate().fields
    assert "p" not in ElasticNotchedPlate().fields
    mesh = NotchedPlate(size=COARSE).part(NotchedPlate().designs(1, 0)[0], 0)
    assert sorted(mesh.global_data) == ["E", "H", "P", "R0"]


@pytest.mark.parametrize(("kind", "depth", "half_width"), [("ellipsoid", 0.52, 0.2), ("wedge", 0.36, 0.4)])
def test_foreign_parts_have_other_notches_and_middling_loads(kind, depth, half_width):
    problem = NotchedPlate(size=COARSE)
    mesh = problem.foreign(kind, seed=0)
    notch = mesh.points[mesh.node_set("notch")]
    assert np.abs(notch[:, 0]).min() == pytest.approx(1 - depth)
    assert np.abs(notch[:, 1]).max() == pytest.approx(half_width)
    assert float(mesh.global_data["P"]) == 45
    assert problem.solve(mesh).point_data["p"].max() > 0
    with pytest.raises(ProblemError, match="plate: foreign part 'star' is unknown: known are ellipsoid, wedge"):
        problem.foreign("star", 0)
    with pytest.raises(ProblemError, match="known are none"):
        PerforatedPlate().foreign(kind, 0)


def test_what_cannot_be_solved_is_named():
    problem = NotchedPlate(size=0.1)
    mesh = problem.foreign("wedge", 0)
    with pytest.raises(ProblemError, match=r"plate: the mesh has no H in its global data, which holds P, E, R0"):
        problem.solve(replace(mesh, global_data={k: v for k, v in mesh.global_data.items() if k != "H"}))
    with pytest.raises(ProblemError, match="R0 = nan: expected one finite number"):
        problem.solve(replace(mesh, global_data={**mesh.global_data, "R0": np.array(np.nan)}))
    soft = {**mesh.global_data, "H": np.array(0.0), "R0": np.array(20.0)}
    with pytest.raises(ProblemError, match=r"carries \d+\.\d% of a traction of 45 MPa.*raise yield stress"):
        problem.solve(replace(mesh, global_data=soft))


@pytest.mark.parametrize("wrong", [{"size": 0.0}, {"size": 0.5}, {"poisson": 0.5}, {"recovery": "guessed"}], ids=str)
def test_constants_out_of_range_are_refused(wrong):
    for kind in (NotchedPlate, PerforatedPlate):
        with pytest.raises(ProblemError, match=r"expected"):
            kind(**wrong)


def test_plates_survive_json(monkeypatch):
    monkeypatch.setattr("pde_benchmarks.registry.mesh_problem_types", lambda: {kind.name: kind for kind in KINDS})
    for kind in KINDS:
        problem = kind(size=0.0085, recovery="followed")
        assert rebuild_mesh_problem(json.loads(json.dumps(describe_problem(problem)))) == problem
    with pytest.raises(ConfigurationError, match=r"recovery = 'guessed'"):
        rebuild_mesh_problem({"name": "plate", "config": {"recovery": "guessed"}})
    with pytest.raises(ConfigurationError, match="unknown problem on meshes 'wing': known are plate"):
        rebuild_mesh_problem({"name": "wing"})


def test_installed_problems_on_meshes_have_names():
    assert all(kind.name == name for name, kind in mesh_problem_types().items())
