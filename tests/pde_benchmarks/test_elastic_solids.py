"""Elastic solids: bars with exact solutions, balance of forces, and the families of blades and brackets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from meshes import boundary_facets, cell_volumes, check_mesh, structured_grid, to_simplices
from meshes.generate import blade_points
from pde_benchmarks.elasticity.blade import TwistedBlade, TwistedBladeAll
from pde_benchmarks.elasticity.bracket import Bracket
from pde_benchmarks.elasticity.solid import ElasticSolid
from pde_benchmarks.errors import ProblemError

LENGTH, YOUNG, HUB = 100.0, 2e5, 100.0
BLADE = TwistedBlade(coarsest=(6, 4, 1), finest=(9, 6, 2))
BRACKET = Bracket(smallest=7.0, largest=9.0)


def bar(n: int, jitter: float = 0.1) -> ElasticSolid:
    """A prismatic bar along x without Poisson's effect, n cubes long and 2 × 2 thick, its inner nodes moved at random.

    What happens along x does not depend on the section.
    """
    x = np.linspace(0, LENGTH, n + 1)
    grid = structured_grid(x, x[:3], x[:3])
    inner = (grid.points > 0) & (grid.points < grid.points.max(axis=0))
    step = jitter * LENGTH / n * np.random.default_rng(0).uniform(-1, 1, grid.points.shape)
    return ElasticSolid(to_simplices(grid.with_points(grid.points + inner * step)), YOUNG, 0.0, clamped="left")


def solved_blade(seed: int = 0, **load: float):
    mesh = BLADE.part(BLADE.designs(1, seed=5)[0], seed)
    given = {name: np.array(value) for name, value in load.items()}
    return BLADE.solve(replace(mesh, global_data={**mesh.global_data, **given}))


def test_a_pulled_bar_has_the_stress_of_the_pull_everywhere():
    """ν = 0: u = t x/E and von Mises' stress t, to 1e-9, on any mesh."""
    solid = bar(5)
    u = solid.displacement(solid.traction("right", [30.0, 0.0, 0.0])).view(-1, 3)
    np.testing.assert_allclose(u[:, 0], 30.0 / YOUNG * solid.space.nodes[:, 0], rtol=0, atol=1e-9 * LENGTH * 30 / YOUNG)
    np.testing.assert_allclose(solid.von_mises(u.flatten()), 30.0, rtol=1e-8)


def test_a_hanging_bar_is_exact():
    """ν = 0 and a constant force f: u = f (L x − x²/2)/E is quadratic, so the elements have it exactly."""
    solid, f = bar(4), 0.02
    u = solid.displacement(solid.body_force(np.tile([f, 0.0, 0.0], (solid.space.node_count, 1))))
    x = solid.space.nodes[:, 0]
    exact = f * (LENGTH * x - x**2 / 2) / YOUNG
    np.testing.assert_allclose(u.view(-1, 3)[:, 0], exact, rtol=0, atol=1e-9 * exact.max())


def test_a_turning_bar_converges_with_third_order():
    """ν = 0: E u = ρω² ((L²/2 + r L) x − x³/6 − r x²/2); halving the cells divides the error by 8."""
    force_law = TwistedBlade(hub_radius=HUB).centrifugal_force

    def error(n: int) -> float:
        solid = bar(n, jitter=0.0)
        u = solid.displacement(solid.body_force(force_law(solid.space.nodes, 1000.0))).view(-1, 3)[:, 0].numpy()
        x = solid.space.nodes[:, 0]
        exact = 8.2e-3 / YOUNG * ((LENGTH**2 / 2 + HUB * LENGTH) * x - x**3 / 6 - HUB * x**2 / 2)
        return float(np.abs(u - exact).max() / exact.max())

    assert error(4) < 2e-3
    assert error(8) < error(4) / 6.5


def test_the_clamp_holds_what_pulls():
    """Its reaction is minus ∫ ρω² (x + r) dV and minus ∫ −p n dA, of the shape of the mesh itself, to 1e-8."""
    mesh = BLADE.part(BLADE.designs(1, seed=5)[0], seed=0)
    solid = ElasticSolid(mesh, YOUNG, 0.3, clamped="root")
    force = solid.body_force(BLADE.centrifugal_force(solid.space.nodes, 900.0)) + solid.pressure("pressure", 0.2)
    cells = mesh.cells["tetra"]
    centres = mesh.points[cells].mean(axis=1)
    pull = (cell_volumes(mesh)["tetra"][:, None] * BLADE.centrifugal_force(centres, 900.0)).sum(axis=0)
    a, b, c = mesh.points[mesh.facet_set("pressure")["triangle"]].transpose(1, 0, 2)
    push = -0.2 * 0.5 * np.cross(b - a, c - a).sum(axis=0)
    np.testing.assert_allclose(force.view(-1, 3).sum(0), pull + push, rtol=1e-9)
    np.testing.assert_allclose(solid.reaction(solid.displacement(force), force), -pull - push, rtol=1e-6)


def test_rigid_motions_of_a_blade_cost_no_energy():
    """K (a + W x) = 0 for skew W, relative to the forces of a stretch of that size."""
    solid = ElasticSolid(BLADE.part(BLADE.designs(1, seed=5)[0], seed=0), YOUNG, 0.3, clamped="root")
    G = torch.randn(3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = torch.from_numpy(solid.space.nodes)
    rigid, stretch = ((x @ motion.T + G[0]).flatten() for motion in (G - G.T, G + G.T))
    assert float((solid.stiffness @ rigid).norm()) < 1e-11 * float((solid.stiffness @ stretch).norm())


def test_a_pressure_all_around_pushes_nowhere():
    """∮ −p n = 0 over the six sides together."""
    solid = ElasticSolid(BLADE.part(BLADE.designs(1, seed=5)[0], seed=0), YOUNG, 0.3, clamped="root")
    sides = [solid.pressure(name, 1.0) for name in ("root", "tip", "leading", "trailing", "suction", "pressure")]
    total = torch.stack(sides).sum(0).view(-1, 3).sum(0)
    assert float(total.abs().max()) < 1e-9 * float(sides[5].view(-1, 3).sum(0).norm())


def test_loads_superpose_and_stiffness_divides():
    """u(ω, p; E) = (ω² a + p b)/E on one mesh."""
    both, turned, pressed = (
        solved_blade(speed=speed, pressure=pressure, young=2e5)
        for speed, pressure in ((1000.0, 0.3), (1000.0, 0.0), (0.0, 0.3))
    )
    doubled = solved_blade(speed=2000.0, pressure=0.0, young=1e5)
    for name in ("u", "v", "w"):
        sum_of_parts = turned.point_data[name] + pressed.point_data[name]
        size = np.abs(both.point_data[name]).max()
        np.testing.assert_allclose(both.point_data[name], sum_of_parts, rtol=0, atol=1e-6 * size)
        np.testing.assert_allclose(doubled.point_data[name], 8 * turned.point_data[name], rtol=0, atol=1e-6 * size)
    assert float(doubled.global_data["max_vM"]) == pytest.approx(4 * float(turned.global_data["max_vM"]), rel=1e-6)


def test_refinement_settles_the_tip():
    """The displacement of the tip changes by less than 3 % from (8, 6, 1) to (16, 12, 2) divisions."""
    design = BLADE.designs(1, seed=5)[0]
    tips = []
    for n in ((8, 6, 1), (16, 12, 2)):
        problem = TwistedBlade(coarsest=n, finest=n)
        tips.append(float(problem.solve(problem.part(design, seed=0)).global_data["tip_displacement"]))
    assert tips[0] == pytest.approx(tips[1], rel=0.03)


def test_blades_of_one_design_differ_in_everything_but_shape():
    """Nodes are the images of the places stored as "box", which fill it; corners agree."""
    design = BLADE.designs(3, seed=1)[2]
    one, other = (BLADE.part(design, seed) for seed in (0, 1))
    assert one == BLADE.part(design, 0)
    assert len(one.points) != len(other.points)
    length, chord, taper, thickness, twist, *bend = design[:7]
    for mesh in (one, other):
        box = mesh.point_data["box"]
        image = blade_points(box, length, chord, thickness, np.deg2rad(twist), taper, (bend[0], bend[1]))
        np.testing.assert_allclose(mesh.points, image, rtol=0, atol=1e-12 * length)
        np.testing.assert_array_equal([box.min(axis=0), box.max(axis=0)], [[0, -0.5, -0.5], [1, 0.5, 0.5]])
        assert check_mesh(mesh).is_sound
        assert check_mesh(mesh.with_points(box)).is_sound
        assert np.corrcoef(np.arange(len(box)), box[:, 0])[0, 1] < 0.5  # numbered along the blade it would be 1
    for name in BLADE.landmarks:
        a, b = (mesh.points[mesh.node_set(name)] for mesh in (one, other))
        np.testing.assert_allclose(a, b, atol=1e-12 * length)


def test_the_sides_of_a_blade_are_its_whole_boundary():
    mesh = BLADE.part(BLADE.designs(1, seed=5)[0], seed=0)
    named = np.concatenate([mesh.facet_set(name)["triangle"] for name in mesh.facet_sets])
    rows = {tuple(sorted(facet)) for facet in named.tolist()}
    assert len(rows) == len(named)
    assert rows == {tuple(sorted(facet)) for facet in boundary_facets(mesh)["triangle"].tolist()}
    box = mesh.point_data["box"]
    np.testing.assert_array_equal(np.sort(mesh.node_set("pressure")), np.flatnonzero(box[:, 2] == 0.5))
    assert sum(len(name.split()) == 2 for name in mesh.node_sets) == 12


def test_the_wide_family_of_blades_contains_the_other():
    """Every bound of the working point lies within the wide one, and its outermost shapes can be meshed."""
    wide = TwistedBladeAll(coarsest=(6, 4, 1), finest=(6, 4, 1))
    for narrow, broad in zip(BLADE.parameters, wide.parameters, strict=True):
        assert narrow.name == broad.name
        assert broad.low <= narrow.low < narrow.high <= broad.high
    for side in ("low", "high"):
        mesh = wide.part(np.array([getattr(p, side) for p in wide.parameters]), seed=0)
        assert check_mesh(mesh).is_sound


def test_a_bracket_balances_its_force_and_keeps_its_hole():
    """Genus 1: the skin has Euler characteristic 0. The clamp holds the force, whatever its direction."""
    mesh = BRACKET.part(BRACKET.designs(1, seed=2)[0], seed=0)
    skin = boundary_facets(mesh)["triangle"]
    edges = np.unique(np.sort(np.concatenate([skin[:, [0, 1]], skin[:, [1, 2]], skin[:, [2, 0]]]), axis=1), axis=0)
    assert len(np.unique(skin)) - len(edges) + len(skin) == 0
    assert all(len(mesh.node_set(name)) == 1 for name in BRACKET.landmarks)
    assert check_mesh(mesh).is_sound
    solid = ElasticSolid(mesh, 7e4, 0.33, clamped="top")
    area = np.ptp(mesh.points[mesh.node_set("end"), 1:], axis=0).prod()
    force = solid.traction("end", np.array([3.0, -4.0, 0.0]) / area)
    np.testing.assert_allclose(solid.reaction(solid.displacement(force), force), [-3.0, 4.0, 0.0], atol=1e-6)


@pytest.mark.parametrize(("problem", "column"), [(BLADE, 4), (BLADE, 8), (BRACKET, 7)], ids=str)
def test_fields_are_smooth_in_the_design(problem, column):
    """With one seed, second differences of the scalars over a small step are far below first ones."""
    design = problem.designs(1, seed=5)[0]
    parameter = problem.parameters[column]
    values = []
    for shift in (-0.01, 0.0, 0.01):
        moved = design.copy()
        moved[column] += shift * (parameter.high - parameter.low)
        solved = problem.solve(problem.part(moved, seed=0))
        values.append([float(solved.global_data[name]) for name in problem.scalars])
    low, middle, high = np.array(values)
    assert (np.abs(low - 2 * middle + high) < 0.1 * np.abs(high - low) + 1e-4 * middle).all()


def test_what_a_solid_cannot_use_is_named():
    mesh = BLADE.part(BLADE.designs(1, seed=5)[0], seed=0)
    with pytest.raises(ProblemError, match="blade: the mesh has no speed, pressure, young in its global data"):
        BLADE.solve(replace(mesh, global_data={}))
    with pytest.raises(ProblemError, match=r"E = -1.0, ν = 0.3: expected E > 0"):
        ElasticSolid(mesh, -1.0, 0.3, "root")
    with pytest.raises(ProblemError, match="hexahedron cells: expected tetrahedra"):
        ElasticSolid(structured_grid([0.0, 1.0], [0.0, 1.0], [0.0, 1.0]), 1.0, 0.3, "left")
