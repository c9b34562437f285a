"""Incompressible flow: what an advection and a time step must keep, whatever the flow."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pde_benchmarks.pressure.cells import FLUID, OPEN, SOLID
from pde_benchmarks.smoke import (
    PRESSURE_METHODS,
    Ball,
    Body,
    CourantSteps,
    Domain,
    EqualSteps,
    Flow,
    FlowState,
    ImplicitViscosity,
    MacCormack,
    MacGrid,
    Motion,
    Projection,
    SemiLagrangian,
    Simulation,
    Splitting,
    VorticityConfinement,
    Walls,
    cavity,
    cavity_errors,
    default_obstacle,
    fluid_at_rest,
    plume,
    taylor_green,
    taylor_green_velocity,
)
from solvers import CG, GeometricMultigrid

ADVECTIONS = [SemiLagrangian(), MacCormack()]


def noise(grid, batch=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn(batch, *grid.face_shape(a), generator=generator, dtype=torch.float64) for a in range(grid.dimension)
    )


def still(grid):
    return tuple(torch.zeros(1, *grid.face_shape(a), dtype=torch.float64) for a in range(grid.dimension))


def obstacles(grid, sides, seed=0):
    """Walls at rest around random solid and open cells."""
    generator = torch.Generator().manual_seed(seed)
    dice = torch.rand(1, *grid.shape, generator=generator)
    cells = torch.full(dice.shape, FLUID, dtype=torch.int8)
    cells[dice < 0.25] = SOLID
    cells[dice > 0.95] = OPEN
    cells[0, 0, 0] = FLUID
    return Walls(grid, cells, still(grid), sides)


def largest(tensors):
    return max(float(u.abs().max()) for u in tensors)


def differences(one, other):
    return [a - b for a, b in zip(one, other, strict=True)]


def test_the_second_of_two_equal_projections_starts_at_its_solution():
    """x₀ = Σ ⟨b, s_i⟩ s_i = A⁻¹ b for b in the span of the right-hand sides before."""
    grid = MacGrid((16, 16), 0.1)
    walls, projection = obstacles(grid, "open"), Projection(CG(1e-6))
    u = walls.impose(noise(grid))
    assert int(projection.project(u, walls).report.iterations) > 5
    assert int(projection.project(u, walls).report.iterations) == 0


@pytest.mark.parametrize("advection", ADVECTIONS, ids=lambda a: type(a).__name__)
@given(seed=st.integers(0, 99), courant=st.floats(0.01, 1.0), d=st.integers(2, 3))
@settings(max_examples=10, deadline=None)
def test_advection_keeps_constants_and_bounds(advection, seed, courant, d):
    """min f ≤ f_new ≤ max f, so constants stay."""
    grid = MacGrid((6, 7, 5)[:d], 0.2)
    walls = obstacles(grid, "solid", seed)
    u = walls.impose(noise(grid, seed=seed))
    motion, dt = Motion(walls, u), courant * grid.spacing / max(largest(u), 1e-9)
    f = torch.rand(1, *grid.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    fluid = walls.cells == FLUID
    f = torch.where(walls.solid, 0.5, f)
    level = torch.full_like(f, 3.0)
    carried, constant = advection.carry([f, level], None, motion, dt)
    known = f[~walls.solid]
    assert carried[fluid].min() >= known.min() - 1e-14
    assert carried[fluid].max() <= known.max() + 1e-14
    torch.testing.assert_close(constant[fluid], level[fluid], rtol=1e-14, atol=0)


@pytest.mark.parametrize("dimension", [2, 3])
def test_symmetric_plume_stays_symmetric(dimension):
    """ρ(1 − x, …) = ρ(x, …), u(1 − x, …) = −u(x, …), v(1 − x, …) = v(x, …)."""
    flow, state = plume(16, dimension)
    simulation = Simulation(flow, state, Projection(CG(1e-12), GeometricMultigrid()))
    for _ in simulation.run(10, CourantSteps(0.05)):
        pass
    u, v, *_ = simulation.state.velocity
    assert v.max() > 0.05
    for field, sign in ((u, -1), (v, 1), (simulation.state.density, 1)):
        torch.testing.assert_close(field.flip(1), sign * field, rtol=0, atol=1e-9)


@pytest.mark.parametrize("dimension", [2, 3])
def test_divergence_stays_below_the_tolerance(dimension):
    """h max|div u| ≤ ‖b − A p‖ ≤ rtol ‖b‖ after every step."""
    simulation = Simulation(*plume(16, dimension, [default_obstacle(dimension)]))
    for report in simulation.run(5, CourantSteps(0.05)):
        done = report.projection
        assert done.outflow <= done.residual_norm + 1e-15
        assert done.residual_norm <= 1e-6 * done.rhs_norm
        assert report.courant <= 0.9


@pytest.mark.parametrize("name", sorted(set(PRESSURE_METHODS) - {"direct"}))
def test_every_pressure_method_gives_the_trajectory_of_the_direct_one(name):
    """‖u − u_direct‖ = O(rtol)."""

    def final(method):
        scene = plume(16, 2, [default_obstacle(2)])
        simulation = Simulation(*scene, Projection(*PRESSURE_METHODS[method](1e-10, 2)))
        for _ in simulation.run(6, EqualSteps(0.05)):
            pass
        return simulation.state

    one, exact = final(name), final("direct")
    assert largest(exact.velocity) > 0.02
    assert largest(differences(one.velocity, exact.velocity)) <= 1e-8
    torch.testing.assert_close(one.density, exact.density, rtol=0, atol=1e-8)


def test_samples_of_a_batch_flow_as_they_would_alone():
    """S([f, g]) = [S(f), S(g)]."""
    flow, state = plume(16)
    fields = torch.cat([state.density, 0.5 * state.temperature])

    def final(density):
        u = tuple(v.repeat(len(density), 1, 1) for v in state.velocity)
        start = FlowState(u, density, density.clone())
        simulation = Simulation(Flow(flow.domain, flow.momentum, flow.forces), start, Projection(CG(1e-12)))
        for _ in simulation.run(3, EqualSteps(0.05)):
            pass
        return simulation.state

    together, alone = final(fields), [final(f[None]) for f in fields]
    torch.testing.assert_close(together.density, torch.cat([s.density for s in alone]), rtol=0, atol=1e-10)


def test_float32_stays_float32():
    simulation = Simulation(*plume(16, dtype=torch.float32))
    list(simulation.run(2, CourantSteps(0.05)))
    state = simulation.state
    assert {t.dtype for t in (*state.velocity, state.density, state.temperature)} == {torch.float32}


def test_taylor_green_vortices_are_of_second_order():
    """‖u_h − u‖ = O(h²), dt ∝ h."""

    def error(n):
        scene = taylor_green(n, 0.05)
        simulation = Simulation(*scene, Projection(CG(1e-8), GeometricMultigrid()))
        for _ in simulation.run(n, EqualSteps(0.4 / n)):
            pass
        exact = taylor_green_velocity(scene.flow.domain.grid, 0.05, simulation.state.time)
        return largest(differences(simulation.state.velocity, exact))

    assert float(torch.tensor(error(16) / error(32)).log2()) == pytest.approx(2, abs=0.15)


def test_implicit_friction_of_vortices_is_backward_euler():
    """u_new = u / (1 + dt ν λ), λ = 2 (2 − 2 cos h) / h²: sin x cos y is an eigenvector on the grid."""
    scene = taylor_green(12, 0.1)
    grid = scene.flow.domain.grid
    motion = Motion(scene.flow.domain.walls(), scene.state.velocity)
    from pde_benchmarks.smoke.friction import face_laplacians

    slowed = ImplicitViscosity(0.1, CG(1e-12)).slow(scene.state.velocity, face_laplacians(motion.walls), grid, 0.7)
    h = torch.tensor(grid.spacing, dtype=torch.float64)
    factor = 1 / (1 + 0.7 * 0.1 * 2 * (2 - 2 * h.cos()) / h**2)
    assert largest(differences(slowed, [factor * u for u in scene.state.velocity])) <= 1e-11


def test_confinement_leaves_uniform_flow_alone():
    """ω = 0 ⇒ no force."""
    grid = MacGrid((8, 8), 0.125)
    walls = Walls(grid, torch.ones(1, 8, 8, dtype=torch.int8), still(grid), "open")
    uniform = FlowState(tuple(torch.ones_like(u) for u in still(grid)))
    assert largest(VorticityConfinement(5.0).acceleration(uniform, walls).values()) == 0


def test_fluid_at_a_moving_body_has_its_velocity():
    """u_f = v + ω × (x_f − c) on all faces of the body, and the rest is free of divergence."""
    body = Body(Ball((0.4, 0.5), 0.15), speed=(0.5, 0.0), spin=(1.0,), about=(0.4, 0.5))
    grid = MacGrid((16, 16), 1 / 16)
    flow = Flow(Domain(grid, "open", bodies=(body,)), Splitting())
    simulation = Simulation(flow, fluid_at_rest(grid))
    for report in simulation.run(8, EqualSteps(0.05)):
        assert report.projection.residual_norm <= 1e-6 * report.projection.rhs_norm
    t, covered = simulation.state.time, body.covers(grid, simulation.state.time)
    assert bool(covered[int((0.4 + 0.5 * t) * 16), 8])
    for a, u in enumerate(simulation.state.velocity):
        own, closed = body.velocity(grid.points(a), t)[..., a], simulation.walls.closed[a][0]
        torch.testing.assert_close(u[0][closed], own[closed], rtol=0, atol=1e-14)


@pytest.mark.slow
def test_cavity_agrees_with_the_published_table():
    """max|u − u_Ghia| and max|v − v_Ghia| at Re 100 on 48²."""
    simulation = Simulation(*cavity(48, 100.0))
    while simulation.state.time < 12:
        list(simulation.run(50, CourantSteps(1.0)))
    errors = cavity_errors(simulation.state, 100)
    assert errors.u <= 0.005
    assert errors.v <= 0.015
