"""The projection is what its equation says: exact identities, whatever the solver."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.pressure import FLUID, OPEN, SOLID, pressure_operator
from pde_benchmarks.smoke import (
    PRESSURE_METHODS,
    Domain,
    MacGrid,
    PastSolutions,
    Projection,
    Walls,
    outflow,
    pushed,
)
from solvers import CG, linear_solve

OPEN_TOP = ("solid", ("solid", "open"), "solid")


def random_walls(shape, seed=0, batch=2, sides=None, solid=0.2):
    """Random solid and open cells, one of each sample fluid."""
    generator = torch.Generator().manual_seed(seed)
    draw = torch.rand(batch, *shape, generator=generator)
    cells = torch.where(draw < solid, SOLID, torch.where(draw > 0.97, OPEN, FLUID)).to(torch.int8)
    cells[(slice(None), *[1] * len(shape))] = FLUID
    grid = MacGrid(shape, 1 / shape[0])
    still = tuple(torch.zeros(1, *grid.face_shape(a), dtype=torch.float64) for a in range(len(shape)))
    return Walls(grid, cells, still, OPEN_TOP[: len(shape)] if sides is None else sides)


def random_velocity(walls, seed=0, batch=None, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    batch = len(walls.cells) if batch is None else batch
    shapes = [walls.grid.face_shape(a) for a in range(walls.grid.dimension)]
    return walls.impose(tuple(torch.randn(batch, *s, generator=generator, dtype=dtype) for s in shapes))


def random_pressure(walls):
    values = torch.randn(walls.cells.shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    return torch.where(walls.cells == FLUID, values, 0)


def residual(walls, velocity, pressure):
    """The b of the projection, and b − A p."""
    fluid = walls.cells == FLUID
    b = torch.where(fluid, -outflow(velocity), 0)
    A = pressure_operator(walls.cells, walls.pairs)
    return b, b - A.mv(pressure.flatten(1)).reshape(b.shape)


@settings(deadline=None, max_examples=15)
@given(st.sampled_from([(6, 7), (9, 4), (5, 4, 6)]), st.integers(0, 1000), st.floats(1e-6, 1e3))
def test_the_outflow_of_a_cell_is_its_residual(shape, seed, size):
    """Σ outward (u − ∇p') = −(b − A p') for every p': h max|div u| = max|b − A p'|."""
    walls = random_walls(shape, seed)
    u = tuple(size * v for v in random_velocity(walls, seed))
    p = random_pressure(walls)
    _, r = residual(walls, u, p)
    left = torch.where(walls.cells == FLUID, outflow(pushed(u, p, walls)), 0)
    torch.testing.assert_close(left, -r, rtol=0, atol=1e-13 * (1 + size))


@pytest.mark.parametrize("shape", [(12, 10), (8, 6, 7)])
def test_the_divergence_is_below_the_norm_of_the_residual(shape):
    """h max|div u| ≤ ‖b − A p'‖₂ ≤ rtol ‖b‖₂."""
    walls = random_walls(shape)
    u = random_velocity(walls)
    velocity, p, report = Projection(CG(1e-6), project_rhs=True).project(u, walls)
    b, r = residual(walls, u, p)
    torch.testing.assert_close(report.outflow, r.flatten(1).abs().amax(1), rtol=0, atol=1e-13)
    assert (report.residual_norm <= 1.0001e-6 * report.rhs_norm).all()
    torch.testing.assert_close(report.rhs_norm, b.flatten(1).norm(dim=1))
    assert [v.shape for v in velocity] == [v.shape for v in u]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_result_keeps_the_dtype(dtype):
    """dtype(P u) = dtype(u)."""
    walls = random_walls((8, 8), solid=0)
    walls = Walls(walls.grid, walls.cells, tuple(u.to(dtype) for u in walls.velocity), "open")
    result = Projection(CG(1e-4)).project(random_velocity(walls, dtype=dtype), walls)
    assert {v.dtype for v in result.velocity} | {result.pressure.dtype} == {dtype}


@pytest.mark.parametrize("shape", [(16, 16), (8, 8, 8)])
def test_projecting_twice_is_projecting_once(shape):
    """P (P u) = P u, to the tolerance."""
    walls = random_walls(shape, solid=0.1)
    projection = Projection(CG(1e-11))
    once = projection.project(random_velocity(walls), walls).velocity
    twice = projection.project(once, walls).velocity
    for u, v in zip(once, twice, strict=True):
        torch.testing.assert_close(u, v, rtol=0, atol=1e-8)


@pytest.mark.parametrize("shape", [(12, 12), (8, 7, 6)])
def test_a_gradient_field_goes_to_zero(shape):
    """P ∇φ = 0 on the free faces, for φ = 0 in open cells."""
    walls = random_walls(shape, solid=0.15)
    phi = random_pressure(walls)
    zero = tuple(torch.zeros(2, *walls.grid.face_shape(a), dtype=torch.float64) for a in range(len(shape)))
    left = Projection(CG(1e-12)).project(pushed(zero, phi, walls), walls).velocity
    for u in left:
        torch.testing.assert_close(u, torch.zeros_like(u), rtol=0, atol=1e-9)


def test_faces_of_solids_are_not_touched():
    """P u = u where a solid closes the face, bit by bit."""
    walls = random_walls((10, 10), solid=0.3)
    u = random_velocity(walls)
    projected = Projection(CG(1e-8)).project(u, walls).velocity
    for closed, before, after in zip(walls.closed, u, projected, strict=True):
        assert torch.equal(before[closed.expand_as(before)], after[closed.expand_as(before)])


def test_the_kinetic_energy_of_an_iterate_is_the_minimum_and_half_its_error():
    """E(u − ∇p_k) = E(u − ∇p) + ‖p_k − p‖²_A / 2, which conjugate gradients never let grow."""
    walls = random_walls((12, 12), solid=0.2, batch=1)
    u = random_velocity(walls)
    A = pressure_operator(walls.cells, walls.pairs)
    b = A.project(residual(walls, u, torch.zeros_like(walls.cells, dtype=torch.float64))[0].flatten(1))
    exact = linear_solve(A, b, CG(1e-13)).value

    def energy(p):
        v = pushed(u, p.reshape(walls.cells.shape), walls)
        return sum(float((w * free).square().sum()) / 2 for w, free in zip(v, walls.free, strict=True))

    energies = []
    for steps in range(8):
        p = linear_solve(A, b, CG(1e-13, max_iterations=steps), throw=False).value
        e = p - exact
        energies.append(energy(p))
        assert energies[-1] == pytest.approx(energy(exact) + float((e * A.mv(e)).sum()) / 2, rel=1e-11)
    assert energies == sorted(energies, reverse=True)


@pytest.mark.parametrize("name", PRESSURE_METHODS)
@pytest.mark.parametrize("shape", [(16, 12), (8, 10, 9)])
def test_every_method_gives_the_same_velocity(name, shape):
    """P u does not depend on the solver, to its tolerance."""
    walls = random_walls(shape, seed=3)
    u = random_velocity(walls)
    expected = Projection(CG(1e-12), project_rhs=True).project(u, walls).velocity
    method = PRESSURE_METHODS[name](1e-10, len(shape))
    velocity, _, report = Projection(*method, project_rhs=True).project(u, walls)
    assert (report.residual_norm <= 1e-9 * report.rhs_norm + 1e-9).all()
    for v, w in zip(velocity, expected, strict=True):
        torch.testing.assert_close(v, w, rtol=0, atol=1e-7)


def test_one_mask_serves_a_batch_of_velocities():
    """P applied to a batch = P applied to each."""
    walls = random_walls((10, 10), batch=1)
    u = random_velocity(walls, batch=3)
    together = Projection(CG(1e-12)).project(u, walls).velocity
    for i in range(3):
        alone = Projection(CG(1e-12)).project(tuple(v[i : i + 1] for v in u), walls).velocity
        for v, w in zip(together, alone, strict=True):
            torch.testing.assert_close(v[i : i + 1], w, rtol=0, atol=1e-9)


def test_a_mirrored_flow_has_the_mirrored_pressure():
    """P R = R P for a flip of an axis."""
    walls = random_walls((10, 12), batch=1)
    u = random_velocity(walls)
    mirrored = Walls(walls.grid, walls.cells.flip(1), walls.velocity, walls.sides)
    v = (-u[0].flip(1), u[1].flip(1))
    p = Projection(CG(1e-12)).project(u, walls).pressure
    q = Projection(CG(1e-12)).project(v, mirrored).pressure
    torch.testing.assert_close(q, p.flip(1), rtol=0, atol=1e-9)


def test_the_set_up_is_kept_until_the_cells_change():
    """Setup(A) is called once for each mask."""
    walls, other = random_walls((8, 8), seed=1), random_walls((8, 8), seed=2)
    calls = []

    class Counting:
        def setup(self, A):
            calls.append(A)
            return PRESSURE_METHODS["jacobi-cg"](1e-6, 2).preconditioner.setup(A)

    projection = Projection(CG(1e-6), Counting())
    same = Walls(walls.grid, walls.cells.clone(), walls.velocity, walls.sides)
    for number, given_walls in ((1, walls), (1, same), (2, other), (3, walls)):
        projection.project(random_velocity(given_walls), given_walls)
        assert len(calls) == number


def test_past_solutions_give_the_best_start_of_their_span():
    """x₀ minimises ‖x − s‖_A over s in the span: a combination of the kept ones is found exactly."""
    walls = random_walls((8, 8), batch=2)
    A, past = pressure_operator(walls.cells, walls.pairs), PastSolutions(3)
    x = torch.randn(3, 2, 64, generator=torch.Generator().manual_seed(5), dtype=torch.float64) * (
        walls.cells == FLUID
    ).flatten(1)
    for own in x:
        past.remember(own, A)
    new = 2 * x[0] - x[1] + 0.5 * x[2]
    torch.testing.assert_close(past.guess(A.mv(new)), new, rtol=0, atol=1e-10)
    for i, (_, As) in enumerate(past.basis):
        for j, (t, _) in enumerate(past.basis):
            torch.testing.assert_close((t * As).sum(-1), torch.full((2,), float(i == j), dtype=torch.float64))
    assert all(torch.isfinite(s).all() for s, _ in past.basis)
    past.remember(x[0], A)  # nothing new
    assert len(past.basis) == 3


def test_no_past_is_a_start_from_zero():
    past = PastSolutions(0)
    walls = random_walls((6, 6))
    past.remember(torch.ones(2, 36, dtype=torch.float64), pressure_operator(walls.cells, walls.pairs))
    assert torch.equal(past.guess(torch.ones(2, 36)), torch.zeros(2, 36))


def sealed(n=8, wind=1.0):
    """A closed box into which fluid is pushed from the left."""
    return Domain(MacGrid((n, n), 1 / n), side_velocity={(0, 0): (wind, 0.0)}).walls()


def test_fluid_pushed_into_a_closed_box_is_an_error_that_says_where():
    walls = sealed()
    u = walls.impose(tuple(torch.zeros(1, *walls.grid.face_shape(a), dtype=torch.float64) for a in range(2)))
    with pytest.raises(
        ProblemError, match=r"sample 0: the 64 fluid cells around cell \(0, 0\) touch no open cell.*-8 ×"
    ):
        Projection(CG(1e-8)).project(u, walls)
    _, p, report = Projection(CG(1e-8), project_rhs=True).project(u, walls)
    assert report.removed.item() == pytest.approx(8 / 64)
    assert abs(float(p.mean())) < 1e-12


def test_a_floating_pocket_is_projected_for_itself():
    """A p' = b − mean b in a pocket without contact; mean p' = 0 there."""
    cells = torch.ones(1, 8, 8, dtype=torch.int8)
    cells[0, 2:6, 2:6] = SOLID
    cells[0, 3:5, 3:5] = FLUID
    grid = MacGrid((8, 8), 0.125)
    walls = Walls(
        grid, cells, tuple(torch.zeros(1, *grid.face_shape(a), dtype=torch.float64) for a in range(2)), "open"
    )
    _, p, report = Projection(CG(1e-12)).project(random_velocity(walls), walls)
    assert report.outflow.item() < 1e-9
    assert abs(float(p[0, 3:5, 3:5].mean())) < 1e-12


def test_a_projection_without_motion_is_nothing():
    """P 0 = 0 in no iterations."""
    walls = random_walls((8, 8))
    still = tuple(torch.zeros(2, *walls.grid.face_shape(a), dtype=torch.float64) for a in range(2))
    velocity, _, report = Projection().project(still, walls)
    assert all(torch.equal(u, v) for u, v in zip(velocity, still, strict=True))
    assert report.iterations.tolist() == [0, 0]
