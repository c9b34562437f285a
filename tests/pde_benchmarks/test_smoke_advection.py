"""What is carried along stays what it was: bounds, constants, orders of accuracy."""

from __future__ import annotations

from math import log2, pi

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pde_benchmarks.pressure import FLUID, SOLID
from pde_benchmarks.smoke import MacCormack, MacGrid, Motion, SemiLagrangian, Walls
from pde_benchmarks.smoke.extrapolation import extrapolated
from pde_benchmarks.smoke.interpolation import bounds, bounds_reference, interpolate, interpolate_reference

SCHEMES = [SemiLagrangian(), MacCormack()]
NAMES = ["semi-lagrangian", "maccormack"]


def box(shape, cells=None, sides="solid", friction="free-slip", extent=1.0):
    grid = MacGrid(shape, extent / shape[0])
    cells = torch.ones(1, *shape, dtype=torch.int8) if cells is None else cells
    still = tuple(torch.zeros(1, *grid.face_shape(a), dtype=torch.float64) for a in range(len(shape)))
    return Walls(grid, cells, still, sides, friction)


def random_wind(walls, seed, batch=2):
    generator = torch.Generator().manual_seed(seed)
    shapes = [walls.grid.face_shape(a) for a in range(walls.grid.dimension)]
    return walls.impose(tuple(torch.randn(batch, *s, generator=generator, dtype=torch.float64) for s in shapes))


def obstructed(shape, seed):
    draw = torch.rand(1, *shape, generator=torch.Generator().manual_seed(seed))
    cells = torch.where(draw < 0.2, SOLID, FLUID).to(torch.int8)
    cells[(0, *[0] * len(shape))] = FLUID
    return box(shape, cells)


@settings(deadline=None, max_examples=15)
@given(st.sampled_from([(7, 6), (5, 4, 6)]), st.integers(0, 1000), st.floats(0.01, 1.0), st.sampled_from(SCHEMES))
def test_nothing_leaves_the_range_of_what_was_there(shape, seed, dt, scheme):
    """min f ≤ f_new ≤ max f over the fluid, around any obstacles."""
    walls = obstructed(shape, seed)
    f = torch.rand(2, *shape, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64) + 1
    fluid = (walls.cells == FLUID).expand_as(f)
    (carried,) = scheme.carry([f], None, Motion(walls, random_wind(walls, seed)), dt * walls.grid.spacing)
    eps = 4 * torch.finfo(f.dtype).eps
    for before, after, own in zip(f, carried, fluid, strict=True):
        assert after[own].min() >= before[own].min() - eps
        assert after[own].max() <= before[own].max() + eps


@settings(deadline=None, max_examples=10)
@given(st.sampled_from([(7, 6), (5, 4, 6)]), st.integers(0, 1000), st.sampled_from(SCHEMES))
def test_a_constant_stays_constant(shape, seed, scheme):
    """f = c ⇒ f_new = c in every fluid cell that has a fluid neighbour or none."""
    walls = obstructed(shape, seed)
    f = torch.full((2, *shape), 3.7, dtype=torch.float64)
    (carried,) = scheme.carry([f], None, Motion(walls, random_wind(walls, seed)), 0.7 * walls.grid.spacing)
    fluid = (walls.cells == FLUID).expand_as(f)
    torch.testing.assert_close(carried[fluid], f[fluid], rtol=1e-15, atol=0)


@pytest.mark.parametrize("scheme", SCHEMES, ids=NAMES)
def test_a_fluid_at_rest_carries_nothing(scheme):
    """u = 0 ⇒ f_new = f."""
    walls = obstructed((8, 8), 0)
    f = torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * (walls.cells == FLUID)
    (carried,) = scheme.carry([f], None, Motion(walls, tuple(torch.zeros_like(u) for u in walls.velocity)), 0.1)
    fluid = walls.cells == FLUID
    torch.testing.assert_close(carried[fluid], f[fluid])


@pytest.mark.parametrize("scheme", SCHEMES, ids=NAMES)
def test_a_shift_by_whole_cells_is_exact(scheme):
    """u dt = h ⇒ f_new(i) = f(i − 1), also where the flow leaves the box."""
    walls = box((8, 4), sides="open")
    wind = (torch.ones(1, 9, 4, dtype=torch.float64), torch.zeros(1, 8, 5, dtype=torch.float64))
    f = torch.rand(1, 8, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    (carried,) = scheme.carry([f], None, Motion(walls, wind), walls.grid.spacing)
    torch.testing.assert_close(carried[:, 2:], f[:, 1:-1])


def turning_error(scheme, n):
    """Mean error of a bump after a quarter of a turn about the centre, at a fixed Courant number."""
    walls = box((n, n), sides="open")
    grid = walls.grid
    wind = tuple((sign * (grid.points(a)[..., 1 - a] - 0.5))[None] for a, sign in ((0, -2 * pi), (1, 2 * pi)))
    motion, steps = Motion(walls, wind), n
    f = bump(grid, 0.0)
    for _ in range(steps):
        (f,) = scheme.carry([f], None, motion, 0.25 / steps)
    return float((f - bump(grid, 0.25)).abs().mean())


def bump(grid, time):
    angle = torch.tensor(2 * pi * time, dtype=torch.float64)
    centre = 0.5 + 0.2 * torch.stack([angle.cos(), angle.sin()])
    return (-((grid.points(None) - centre).square().sum(-1)) / 0.1**2).exp()[None]


@pytest.mark.parametrize(("scheme", "order"), [(SemiLagrangian(), 1), (MacCormack(), 2)], ids=NAMES)
def test_the_order_of_accuracy(scheme, order):
    """‖f − exact‖₁ = O(h^p), dt ∝ h."""
    coarse, fine = (turning_error(scheme, n) for n in (64, 128))
    assert log2(coarse / fine) > order - 0.25


@pytest.mark.parametrize("scheme", SCHEMES, ids=NAMES)
def test_a_mirror_image_is_carried_like_its_original(scheme):
    """R (carry f) = carry (R f), for a flip R of x."""
    walls = obstructed((8, 6), 5)
    u, v = random_wind(walls, 5, batch=1)
    f = torch.rand(1, 8, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mirrored = box((8, 6), walls.cells.flip(1))
    (carried,) = scheme.carry([f], None, Motion(walls, (u, v)), 0.05)
    (image,) = scheme.carry([f.flip(1)], None, Motion(mirrored, (-u.flip(1), v.flip(1))), 0.05)
    fluid = walls.cells == FLUID
    torch.testing.assert_close(image.flip(1)[fluid], carried[fluid], rtol=0, atol=1e-12)


def test_a_way_ends_where_it_enters_a_solid():
    """X' is outside of every solid, however long the step."""
    cells = torch.ones(1, 12, 4, dtype=torch.int8)
    cells[:, 5] = SOLID
    walls = box((12, 4), cells, sides="open")
    wind = (torch.full((1, 13, 4), 1.0, dtype=torch.float64), torch.zeros(1, 12, 5, dtype=torch.float64))
    (x, _), whole = Motion(walls, wind).departure(None, 4 * walls.grid.spacing)
    x = x.reshape(12, 4)
    assert (x[6:] >= 6 - 1e-12).all()
    assert (x[:5] < 5).all()
    assert (x[9] <= 6 + 2**-5).all()
    assert not whole.reshape(12, 4)[[0, 9]].any()


def test_interpolation_is_exact_for_multilinear_fields():
    """I f = f for f = (1 + 2x)(3 − y)(z + 1)."""
    grid = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in (4, 5, 3)), indexing="ij")
    generator = torch.Generator().manual_seed(0)
    points = [torch.rand(1, 50, generator=generator, dtype=torch.float64) * (n - 1) for n in (4, 5, 3)]

    def f(x, y, z):
        return (1 + 2 * x) * (3 - y) * (z + 1)

    field = f(*grid)[None]
    torch.testing.assert_close(interpolate(field, points), f(*points))
    low, high = bounds(field, points)
    assert ((low <= f(*points) + 1e-12) & (f(*points) <= high + 1e-12)).all()


@settings(deadline=None, max_examples=10)
@given(st.sampled_from([(2, 5), (4, 3, 2)]), st.sampled_from([torch.float32, torch.float64]), st.integers(0, 1000))
def test_compiled_interpolation_is_that_of_the_reference(shape, dtype, seed):
    """Inside, on the nodes and beyond the array, in every sample; NaN stays NaN."""
    generator = torch.Generator().manual_seed(seed)
    field = torch.randn(2, *shape, generator=generator, dtype=dtype)
    points = [1.4 * n * torch.rand(2, 40, generator=generator, dtype=dtype) - 0.2 * n for n in shape]
    last = [torch.full((2, 1), n - 1.0, dtype=dtype) for n in shape]
    points = [torch.cat([x, x.round(), end], 1) for x, end in zip(points, last, strict=True)]
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(interpolate(field, points), interpolate_reference(field, points), rtol=0, atol=20 * eps)
    for one, other in zip(bounds(field, points), bounds_reference(field, points), strict=True):
        assert torch.equal(one, other)
    lost = [torch.full_like(x[:, :1], torch.nan) for x in points]
    assert interpolate(field, lost).isnan().all()


def test_extrapolation_leaves_what_is_known_and_fills_the_rest():
    """Known values are kept; a layer takes the mean of its known neighbours."""
    values = torch.tensor([[[1.0, 2.0, 7.0], [3.0, 7.0, 7.0], [7.0, 7.0, 7.0]]])
    known = torch.tensor([[[True, True, False], [True, False, False], [False, False, False]]])
    one = extrapolated(values, known, layers=1)
    assert one.tolist() == [[[1.0, 2.0, 2.0], [3.0, 2.5, 0.0], [3.0, 0.0, 0.0]]]


def test_the_flow_along_a_wall_is_copied_or_mirrored_behind_it():
    """Free-slip: u_ghost = u. No-slip: u_ghost = 2 u_wall − u."""
    u = torch.ones(1, 5, 4, dtype=torch.float64)
    free, stuck = box((4, 4)), box((4, 4), friction="no-slip")
    sliding = Walls(stuck.grid, stuck.cells, stuck.velocity, "solid", "no-slip", {(1, 1): (3.0, 0.0)})
    assert free.with_ghosts(u, 0)[0, 3, 0] == 1
    assert stuck.with_ghosts(u, 0)[0, 3, 0] == -1
    assert sliding.with_ghosts(u, 0)[0, 3, -1] == 5
