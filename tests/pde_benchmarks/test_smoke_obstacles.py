"""Obstacles cover the cells whose centres are inside, and move as rigid bodies do."""

from __future__ import annotations

from math import pi

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from meshes import Mesh, MeshFileWarning, boundary, read_mesh, structured_grid, write_mesh
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.pressure import SOLID
from pde_benchmarks.smoke import (
    Ball,
    Body,
    Buoyancy,
    CourantSteps,
    Cuboid,
    Domain,
    EqualSteps,
    ExplicitViscosity,
    Flow,
    FlowState,
    ImplicitViscosity,
    MacGrid,
    Projection,
    SemiLagrangian,
    Simulation,
    Source,
    Splitting,
    SurfaceSolid,
    fluid_at_rest,
    ghia_u,
    plume,
)
from pde_benchmarks.smoke.winding_number import closed_triangles, winding_numbers
from solvers import CG

OCTAHEDRON = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], dtype=float)
FACES = np.array([[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]])


def octahedron(centre=(0.0, 0.0, 0.0), size=1.0):
    """|x|₁ ≤ size."""
    return Mesh(OCTAHEDRON * size + np.array(centre), {"triangle": FACES})


def skin_of(lower, upper):
    """The surface of a box, of quadrilaterals."""
    return boundary(structured_grid(*(np.linspace(a, b, 3) for a, b in zip(lower, upper, strict=True))))[0]


def solid_angle_sum(points, triangles, x):
    """The winding number as Σ solid angles / 4π (van Oosterom & Strackee 1983)."""
    a, b, c = (points[triangles[:, i]] - x for i in range(3))
    la, lb, lc = (np.linalg.norm(v, axis=1) for v in (a, b, c))
    top = np.einsum("ij,ij->i", a, np.cross(b, c))
    dots = [np.einsum("ij,ij->i", v, w) for v, w in ((a, b), (b, c), (c, a))]
    return np.arctan2(top, la * lb * lc + dots[0] * lc + dots[1] * la + dots[2] * lb).sum() / (2 * pi)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000))
def test_the_winding_number_is_the_sum_of_the_solid_angles(seed):
    """w(x) = Σ Ω / 4π, for surfaces bent until they cross themselves."""
    random = np.random.default_rng(seed)
    points = OCTAHEDRON + 0.7 * random.standard_normal(OCTAHEDRON.shape)
    lines = tuple(np.sort(random.uniform(-2, 2, n)) for n in (5, 4, 3))
    found = winding_numbers(points, FACES, lines)
    for i, x in enumerate(lines[0]):
        for j, y in enumerate(lines[1]):
            for k, z in enumerate(lines[2]):
                assert found[i, j, k] == round(solid_angle_sum(points, FACES, np.array([x, y, z])))


def test_rays_through_corners_and_edges_count_once():
    """w is 0 or 1 on a grid that hits all corners, edges and faces."""
    line = np.linspace(-1.5, 1.5, 13)
    found = winding_numbers(OCTAHEDRON, FACES, (line + 1e-3, line, line))
    size = sum(np.meshgrid(*(np.abs(v) for v in (line + 1e-3, line, line)), indexing="ij"))
    inside = size < 1 - 1e-2
    assert set(np.unique(found)) == {0, 1}
    assert (found[inside] == 1).all()
    assert (found[size > 1 + 1e-2] == 0).all()


def test_two_surfaces_that_overlap_are_one_solid():
    """w = 2 in the intersection is inside, too."""
    one, two = octahedron((0.4, 0.5, 0.5), 0.3), octahedron((0.6, 0.5, 0.5), 0.3)
    both = Mesh(np.concatenate([one.points, two.points]), {"triangle": np.concatenate([FACES, FACES + 6])})
    grid = MacGrid((15, 15, 15), 1 / 15)
    covers = [Body(SurfaceSolid(mesh)).covers(grid, 0.0) for mesh in (one, two, both)]
    assert torch.equal(covers[2], covers[0] | covers[1])


def test_a_box_from_a_file_covers_the_cells_of_the_box(tmp_path):
    """Voxels of an STL surface = voxels of the solid that it bounds."""
    skin = skin_of((0.2, 0.3, 0.25), (0.7, 0.8, 0.6))
    triangles = Mesh(skin.points, {"triangle": closed_triangles(skin)})
    with pytest.warns(MeshFileWarning, match="numbers of the points"):
        write_mesh(tmp_path / "box.stl", triangles)
    grid = MacGrid((16, 12, 14), 0.0731)
    found = Body(SurfaceSolid(read_mesh(tmp_path / "box.stl"))).covers(grid, 0.0)
    assert torch.equal(found, Body(Cuboid((0.2, 0.3, 0.25), (0.7, 0.8, 0.6))).covers(grid, 0.0))
    assert found.any()


@pytest.mark.parametrize("time", [0.0, 0.4, 1.3])
def test_a_surface_moves_as_the_shape_that_it_bounds(time):
    """Covers(t) by moved vertices = covers(t) by points moved back."""
    motion = {"speed": (0.1, 0.05, 0.0), "spin": (0.3, -0.2, 1.0), "about": (0.5, 0.5, 0.5)}
    surface = skin_of((0.3, 0.35, 0.4), (0.7, 0.6, 0.65))
    grid = MacGrid((20, 20, 20), 0.05)
    box = Body(Cuboid((0.3, 0.35, 0.4), (0.7, 0.6, 0.65)), **motion).covers(grid, time)
    assert torch.equal(Body(SurfaceSolid(surface), **motion).covers(grid, time), box)


def test_the_velocity_of_a_body_is_the_derivative_of_its_motion():
    """v(x(t), t) = dx/dt."""
    body = Body(Ball((0.5, 0.5, 0.5), 0.1), speed=(0.1, 0.2, 0.3), spin=(1.0, -2.0, 0.5), about=(0.1, 0.2, 0.3))
    point = torch.tensor([[0.7, 0.1, 0.4]], dtype=torch.float64)
    dt, (before, now, after) = 1e-5, (body.pose(t).to_box(point) for t in (0.7 - 1e-5, 0.7, 0.7 + 1e-5))
    torch.testing.assert_close(body.velocity(now, 0.7), (after - before) / (2 * dt), rtol=0, atol=1e-8)
    torch.testing.assert_close(body.pose(0.7).to_body(now), point)


def test_a_rigid_body_pushes_no_volume():
    """Σ outward velocities over the faces of voxels = 0, moving and turning: a closed box stays compatible."""
    body = Body(Ball((0.5, 0.5), 0.2), speed=(0.3, 0.1), spin=(2.0,), about=(0.4, 0.5))
    grid = MacGrid((24, 24), 1 / 24)
    simulation = Simulation(Flow(Domain(grid, bodies=(body,))), fluid_at_rest(grid), Projection(CG(1e-9)))
    for report in simulation.run(4, EqualSteps(0.03)):
        assert report.projection.removed.item() < 1e-12


def test_cells_that_a_solid_leaves_take_the_mean_of_their_neighbours():
    """ρ_freed = mean ρ of the fluid around: uniform smoke stays uniform, and solids hold none."""
    body = Body(Cuboid((0.3, 0.3), (0.5, 0.6)), speed=(0.5, 0.0))
    grid = MacGrid((16, 16), 1 / 16)
    still = fluid_at_rest(grid, carries=False)
    state = FlowState(still.velocity, torch.full((1, 16, 16), 2.0, dtype=torch.float64))
    simulation = Simulation(Flow(Domain(grid, "open", bodies=(body,))), state)
    before = simulation.walls.solid
    list(simulation.run(5, EqualSteps(0.06)))
    after, density = simulation.walls.solid, simulation.state.density
    assert (before & ~after).any()
    assert (after & ~before).any()
    torch.testing.assert_close(density[~after], torch.full_like(density[~after], 2.0))
    assert (density[after] == 0).all()


def test_inflow_leaves_through_the_open_side():
    """∫ u over the outlet = ∫ u over the inlet, to the tolerance."""
    grid = MacGrid((24, 12), 1 / 24)
    body = Body(Ball((0.4, 0.26), 0.09))
    profile = torch.linspace(0.5, 1.5, 12, dtype=torch.float64)[None, None]
    domain = Domain(grid, [("solid", "open"), "solid"], "no-slip", (body,), inflow={(0, 0): profile})
    simulation = Simulation(Flow(domain, Splitting(viscosity=ImplicitViscosity(0.01))), fluid_at_rest(grid))
    reports = list(simulation.run(10, CourantSteps(0.02)))
    u = simulation.state.velocity[0]
    torch.testing.assert_close(u[:, 0], profile[:, 0].expand(1, -1))
    tolerance = 12 * 24 * float(reports[-1].projection.outflow)
    assert abs(float(u[:, -1].sum() - u[:, 0].sum())) <= tolerance


def test_each_sample_may_have_its_own_cells():
    """S([c₁, c₂]) = [S(c₁), S(c₂)]."""
    grid = MacGrid((12, 12), 1 / 12)
    cells = torch.ones(2, 12, 12, dtype=torch.int8)
    cells[0, 4:7, 5:8], cells[1, 7:9, 6:9] = SOLID, SOLID
    ball = Source(Ball((0.5, 0.15), 0.1))

    def final(own):
        flow = Flow(Domain(grid, ["solid", ("solid", "open")], cells=own), forces=(Buoyancy(),), source=ball)
        simulation = Simulation(flow, fluid_at_rest(grid, batch=len(own)), Projection(CG(1e-12)))
        list(simulation.run(5, EqualSteps(0.05)))
        return simulation.state.density

    together = final(cells)
    torch.testing.assert_close(together, torch.cat([final(cells[:1]), final(cells[1:])]), rtol=0, atol=1e-9)


def open_surface():
    return Mesh(OCTAHEDRON, {"triangle": FACES[1:]})


def bad_cases():
    grid, three = MacGrid((8, 8), 0.125), MacGrid((8, 8, 8), 0.125)
    rest = fluid_at_rest(grid)
    nan = FlowState(rest.velocity, torch.full((1, 8, 8), torch.nan, dtype=torch.float64))
    everywhere = (Body(Cuboid((-1.0, -1.0), (2.0, 2.0))),)
    yield "too few cells", lambda: MacGrid((1, 8), 0.1), "at least 2 cells"
    yield "four axes", lambda: MacGrid((8,) * 4, 0.1), "two or three axes"
    yield "spacing", lambda: MacGrid((8, 8), 0.0), "positive length"
    yield "no fluid", lambda: Domain(grid, bodies=everywhere).walls(), "without fluid"
    yield "a flag", lambda: Domain(grid, cells=torch.full((1, 8, 8), 3, dtype=torch.int8)).walls(), "value 3"
    yield (
        "cells",
        lambda: Domain(grid, cells=torch.ones(8, 8, dtype=torch.int8)),
        r"cells \(8, 8\).*\(batch or 1, 8, 8\)",
    )
    yield "sides", lambda: Domain(grid, ["open"]), 'sides .*"solid" or "open"'
    yield "friction", lambda: Domain(grid, friction="sticky"), "free-slip"
    yield "an open inlet", lambda: Domain(grid, "open", side_velocity={(0, 0): (1.0, 0.0)}), r"side \(0, 0\) is open"
    yield "a side", lambda: Domain(grid, side_velocity={(2, 0): (1.0, 0.0)}), r"side \(2, 0\)"
    yield "side velocity", lambda: Domain(grid, side_velocity={(0, 0): (1.0,)}), "2 numbers"
    yield (
        "a flat obstacle",
        lambda: Domain(three, bodies=(Body(Ball((0.5, 0.5), 0.1)),)).walls(),
        "in 2-D: the grid has 3",
    )
    yield "radius", lambda: Ball((0.5, 0.5), -1.0), "positive radius"
    yield "corners", lambda: Cuboid((0.5, 0.5), (0.4, 0.6)), "ascending"
    yield "a hole", lambda: SurfaceSolid(open_surface()), "not closed: 3 edges"
    yield (
        "a turned face",
        lambda: closed_triangles(Mesh(OCTAHEDRON, {"triangle": [FACES[0][::-1], *FACES[1:]]})),
        "3 edges",
    )
    yield "a plane mesh", lambda: SurfaceSolid(structured_grid([0, 1], [0, 1])), "closed surface"
    yield "spin", lambda: Body(Ball((0.5, 0.5), 0.1), spin=(1.0,)), "about="
    yield "speed", lambda: Body(Ball((0.5, 0.5), 0.1), speed=(1.0,)), "2 numbers"
    yield "viscosity", lambda: ExplicitViscosity(-1.0), "at least 0"
    yield "dt", lambda: EqualSteps(0.0), "positive time"
    yield "fraction", lambda: CourantSteps(0.1, 1.5), r"\(0, 1\]"
    yield "a NaN", lambda: Simulation(Flow(Domain(grid)), nan), r"density at \(0, 0, 0\) is nan"
    yield "components", lambda: Simulation(Flow(Domain(three)), rest), "2 velocity components"
    yield "another grid", lambda: Simulation(Flow(Domain(MacGrid((8, 9), 0.1))), rest), r"velocity 0 \(1, 9, 8\)"
    yield "resolution", lambda: plume(4), "at least 8"
    yield "Reynolds", lambda: ghia_u(200), "100, 400, 1000"


@pytest.mark.parametrize(("call", "words"), [case[1:] for case in bad_cases()], ids=[case[0] for case in bad_cases()])
def test_bad_input_is_named(call, words):
    with pytest.raises(ProblemError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def wind(grid, speed=1.0):
    return FlowState(
        tuple(torch.full((1, *grid.face_shape(a)), speed * (a == 0), dtype=torch.float64) for a in range(2))
    )


def test_steps_above_the_courant_limit_are_refused_unless_allowed():
    """dt max|u| / h ≤ 1 for MacCormack, ≤ 5 for semi-Lagrangian."""
    grid = MacGrid((8, 8), 0.125)
    domain = Domain(grid, [("open", "open"), "solid"])
    with pytest.raises(ProblemError, match=r"step 1: dt = 0.25 moves the flow by 2 cells.*meant for 1: take dt ≤ 0.12"):
        Simulation(Flow(domain), wind(grid)).step(0.25)
    Simulation(Flow(domain, Splitting(SemiLagrangian())), wind(grid)).step(0.25)
    Simulation(Flow(domain, allow_large_cfl=True), wind(grid)).step(0.25)
    with pytest.raises(ProblemError, match="meant for 5"):
        Simulation(Flow(domain, Splitting(SemiLagrangian())), wind(grid)).step(0.75)


def test_explicit_friction_above_its_limit_is_refused():
    """dt ≤ h² / (2 d ν)."""
    grid = MacGrid((8, 8), 0.125)
    flow = Flow(Domain(grid), Splitting(viscosity=ExplicitViscosity(1.0)))
    with pytest.raises(ProblemError, match=r"h²/\(2 d ν\) = 0.00391"):
        Simulation(flow, fluid_at_rest(grid)).step(0.01)


def test_a_solid_that_jumps_over_cells_is_refused():
    grid = MacGrid((8, 8), 0.125)
    body = Body(Ball((0.5, 0.5), 0.2), speed=(1.0, 0.0))
    flow = Flow(Domain(grid, "open", bodies=(body,)), Splitting(SemiLagrangian()), carrier=SemiLagrangian())
    with pytest.raises(ProblemError, match=r"a solid moves by 2 cells.*take dt ≤ 0.12"):
        Simulation(flow, fluid_at_rest(grid)).step(0.25)
