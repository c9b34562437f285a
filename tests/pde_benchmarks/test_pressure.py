"""The pressure problem: its matrix, components of the fluid, random obstacles, and solutions by any solver."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.pressure import (
    FLUID,
    OPEN,
    SOLID,
    PressurePoisson,
    RandomCells,
    compatible,
    fluid_components,
    pressure_operator,
    without_floating,
)
from pde_benchmarks.pressure.problem import with_open_rim
from pde_benchmarks.problem import Batch
from pde_benchmarks.registry import describe_problem, problem_types, rebuild_problem
from solvers import CG, GeometricMultigrid, linear_solve

quick = settings(max_examples=25, deadline=None)
grids = st.one_of(
    st.tuples(st.integers(1, 7)), st.tuples(*[st.integers(1, 6)] * 2), st.tuples(*[st.integers(1, 4)] * 3)
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def any_cells(grid, seed, batch=()):
    """Every cell solid, fluid or open at random, one at least fluid; every side open or not."""
    g = generator(seed)
    cells = torch.randint(3, (*batch, *grid), generator=g, dtype=torch.int8)
    cells.flatten(-len(grid))[..., 0] = FLUID
    return cells, torch.rand((*batch, len(grid), 2), generator=g) < 0.3


def padded(cells, sides):
    """One more layer of cells around the box: what lies beyond its sides."""
    big = torch.full([n + 2 for n in cells.shape], SOLID, dtype=cells.dtype)
    for k in range(cells.ndim):
        for place, is_open in ((0, sides[k, 0]), (-1, sides[k, 1])):
            big.select(k, place).fill_(OPEN if is_open else SOLID)
    big[(slice(1, -1),) * cells.ndim] = cells
    return big


def faces_by_hand(cells, sides):
    """The dense matrix, cell by cell and face by face."""
    big = padded(cells, sides)
    index = torch.arange(cells.numel()).reshape(cells.shape)
    A = torch.zeros(cells.numel(), cells.numel(), dtype=torch.float64)
    for place in (cells == FLUID).nonzero():
        i = index[tuple(place)]
        for k in range(cells.ndim):
            for step in (-1, 1):
                there = place.clone()
                there[k] += step
                kind = big[tuple(there + 1)]
                A[i, i] += kind != SOLID
                if kind == FLUID and 0 <= there[k] < cells.shape[k]:
                    A[i, index[tuple(there)]] -= 1
    return A


@quick
@given(grid=grids, seed=st.integers(0, 999))
def test_the_matrix_counts_faces(grid, seed):
    """A_ii = faces that no solid closes, A_ij = −1 between fluid cells, other rows zero."""
    cells, sides = any_cells(grid, seed)
    torch.testing.assert_close(pressure_operator(cells, sides).to_dense(), faces_by_hand(cells, sides))


@quick
@given(grid=grids, seed=st.integers(0, 999), batch=st.integers(1, 3))
def test_symmetry_row_sums_and_null_vectors(grid, seed, batch):
    """A = Aᵀ, A 1 = number of open faces, A 1_component = 0 exactly on floating components, stored or matrix-free."""
    cells, sides = any_cells(grid, seed, (batch,))
    A = pressure_operator(cells, sides)
    dense = A.to_dense()
    assert torch.equal(dense, dense.mT)
    assert torch.equal(dense, A.to_csr().to_dense())
    ones = torch.ones(A.shape[0], dtype=torch.float64)
    fluid = (cells == FLUID).reshape(batch, -1)
    neighbours = -(dense - torch.diag_embed(A.diagonal())).sum(-1)
    assert torch.equal(A.mv(ones.expand(batch, -1)), A.diagonal() - neighbours)
    parts = fluid_components(cells, sides)
    for label in parts.labels[parts.labels >= 0].unique():
        inside = (parts.labels == label).reshape(batch, -1)
        sample = int(inside.any(1).nonzero())
        leaks = bool((dense[sample] @ inside[sample].double()).any())
        assert leaks != bool(parts.floating.reshape(batch, -1)[inside].all())
    assert not parts.floating.reshape(batch, -1)[~fluid].any()


@quick
@given(seed=st.integers(0, 999), d=st.integers(2, 3))
def test_a_mirrored_or_turned_box_has_the_mirrored_or_turned_product(seed, d):
    """A(T cells) T u = T A(cells) u for flips and transposes T."""
    cells, sides = any_cells((5,) * d, seed)
    u = torch.randn((5,) * d, generator=generator(seed), dtype=torch.float64)
    y = pressure_operator(cells, sides).mv(u.flatten()).reshape(u.shape)
    flipped, swapped = sides.clone(), sides.clone()
    flipped[0] = sides[0].flip(0)
    swapped[[0, 1]] = sides[[1, 0]]
    cases = [(lambda t: t.flip(0), flipped), (lambda t: t.transpose(0, 1).contiguous(), swapped)]
    for turn, turned in cases:
        moved = pressure_operator(turn(cells), turned).mv(turn(u).flatten()).reshape(u.shape)
        torch.testing.assert_close(moved, turn(y), rtol=0, atol=1e-14)


def test_sides_of_every_sample_are_its_own():
    """A batch with sides (B, d, 2) is the batch of the single operators."""
    cells, sides = any_cells((4, 5), 3, (6,))
    dense = pressure_operator(cells, sides).to_dense()
    for s in range(6):
        words = [tuple("open" if side else "solid" for side in pair) for pair in sides[s].tolist()]
        assert torch.equal(dense[s], pressure_operator(cells[s], words).to_dense())


@quick
@given(grid=grids, seed=st.integers(0, 999), dtype=st.sampled_from([torch.float32, torch.float64]))
def test_what_is_compatible_sums_to_zero_on_floating_components(grid, seed, dtype):
    """Σ_component b' = 0; b = b' + mean, constant on a component and zero where something is open; twice = once."""
    cells, sides = any_cells(grid, seed)
    b = torch.where(cells == FLUID, torch.randn(grid, generator=generator(seed)), 0).to(dtype)
    found, parts = compatible(cells, sides, b, project=True), fluid_components(cells, sides)
    assert found.rhs.dtype == dtype
    torch.testing.assert_close(found.rhs + found.mean, b)
    assert not found.mean[~parts.floating].any()
    for label in parts.labels[parts.floating].unique():
        inside = parts.labels == label
        torch.testing.assert_close(found.mean[inside], b[inside].mean().expand(int(inside.sum())))
    again = compatible(cells, sides, found.rhs)
    torch.testing.assert_close(again.rhs, found.rhs)


def test_a_sum_that_is_not_zero_is_told_with_cell_and_size():
    cells = torch.tensor([[1, 1, 0, 1], [1, 1, 0, 2]])
    b = torch.tensor([[0.0, 1.0, 0.0, 5.0], [1.0, 0.0, 0.0, 0.0]])
    with pytest.raises(ProblemError, match=r"sums to 2 over the 4 cells around cell \(0, 0\).*project=True"):
        compatible(cells, "solid", b)
    tiny = torch.tensor([[1e-7, 1.0, 0.0, 5.0], [-1.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    mean = compatible(cells, "solid", tiny).mean
    torch.testing.assert_close(mean[:, :2], torch.full((2, 2), 2.5e-8).double(), rtol=1e-6, atol=0)
    assert not mean[:, 2:].any()


@pytest.mark.parametrize(
    ("cells", "sides", "rhs", "message"),
    [
        (torch.tensor([0, 2]), "solid", torch.zeros(2), "without fluid"),
        (torch.tensor([1, 3]), "solid", torch.zeros(2), "value 3"),
        (torch.tensor([1, -1]), "solid", torch.zeros(2), "value -1"),
        (torch.tensor([1.0, 1.0]), "solid", torch.zeros(2), "integers 0"),
        (torch.tensor([1, 1]), "closed", torch.zeros(2), "sides 'closed'"),
        (torch.tensor([1, 1]), ["solid", "open"], torch.zeros(2), r"cells \(2,\)"),
        (torch.tensor([1, 1]), torch.ones(2, 2), torch.zeros(2), "booleans of shape"),
        (torch.tensor([1, 1]), "solid", torch.zeros(3), r"rhs \(3,\): the shape of the cells, \(2,\)"),
        (torch.tensor([1, 1]), "solid", torch.zeros(2, dtype=torch.int32), "float32 or float64"),
        (torch.tensor([1, 1]), "solid", torch.tensor([0.0, torch.nan]), r"cell \(1,\) is nan"),
        (torch.tensor([1, 0]), "solid", torch.tensor([0.0, 2.0]), r"cell \(1,\), which is solid, is 2"),
        (torch.tensor([1, 2]), "solid", torch.tensor([0.0, 2.0]), r"cell \(1,\), which is open, is 2"),
    ],
)
def test_bad_cells_sides_and_right_hand_sides_are_refused(cells, sides, rhs, message):
    with pytest.raises(ProblemError, match=message):
        compatible(cells, sides, rhs)


@pytest.mark.parametrize("grid", [(16, 24), (8, 10, 12)])
def test_drawn_fluid_touches_something_open(grid):
    """No floating component is left, one side at least is open, and one seed gives one draw."""
    cells, sides = RandomCells().sample(12, grid, generator())
    assert cells.shape == (12, *grid)
    assert cells.dtype == torch.int8
    assert (cells == FLUID).flatten(1).any(1).all()
    assert sides.flatten(1).any(1).all()
    assert not fluid_components(cells, sides).floating.any()
    again, same = RandomCells().sample(12, grid, generator())
    assert torch.equal(cells, again)
    assert torch.equal(sides, same)


def test_bodies_are_the_same_on_every_grid():
    """Marked at cell centres, a body's share of the box changes by O(h) only."""
    shares = []
    for n in (32, 128):
        cells, _ = RandomCells().with_pockets(20, (n, n), generator(1))
        shares.append((cells == SOLID).double().mean((1, 2)))
    assert (shares[0] - shares[1]).abs().max() < 0.05
    assert shares[1].max() > 0.1


def test_free_surfaces_and_open_sides_have_their_probabilities():
    cells, sides = RandomCells(open_side=1, free_surface=1).with_pockets(10, (32, 32), generator())
    assert (cells == OPEN).flatten(1).any(1).all()
    assert not (cells[:, :, :16] == OPEN).any()
    assert sides.all()
    cells, sides = RandomCells(open_side=0, free_surface=0).with_pockets(10, (32, 32), generator())
    assert not (cells == OPEN).any()
    assert (sides.flatten(1).sum(1) == 1).all()


def test_a_pocket_is_filled_and_nothing_else():
    cells = torch.tensor([[1, 0, 1, 1], [0, 0, 1, 1]])
    assert torch.equal(
        without_floating(cells, ["solid", ("solid", "open")]), torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1]])
    )
    assert RandomCells().sample(0, (8, 8), generator())[0].shape == (0, 8, 8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: RandomCells(obstacles=0), "obstacles 0"),
        (lambda: RandomCells(open_side=1.5), "open_side 1.5"),
        (lambda: RandomCells().sample(1, (7, 8), generator()), "at least 8 cells"),
        (lambda: RandomCells().sample(1, (16,), generator()), "2 or 3 axes"),
        (lambda: PressurePoisson(resolution=18), "resolution 18"),
        (lambda: PressurePoisson(dimension=1), "dimension 1"),
        (lambda: PressurePoisson(law="white"), "law 'white'"),
    ],
)
def test_parameters_out_of_range_are_refused(call, message):
    with pytest.raises(ProblemError, match=message):
        call()


@pytest.mark.parametrize(("n", "d"), [(32, 2), (16, 3)])
@pytest.mark.parametrize("law", ["noise", "smooth", "mixed"])
def test_the_reference_solves_the_equation(n, d, law):
    """‖A p − b‖ ≤ 1e-9 ‖b‖, p = 0 outside the fluid, rms of b in the fluid 1."""
    problem = PressurePoisson(n, d, law)
    inputs = problem.sample(5, generator())
    p, b, fluid = problem.solve(inputs), inputs["rhs"], inputs["cells"] == FLUID
    assert problem.residual(inputs, p)["pressure"].norm() < 1e-9 * b.norm()
    assert not p["pressure"][~fluid].any()
    assert not b[~fluid].any()
    torch.testing.assert_close((b.square().flatten(1).sum(1) / fluid.flatten(1).sum(1)), torch.ones(5).double())


def test_the_solution_does_not_depend_on_the_solver_and_is_homogeneous():
    """CG + multigrid = CG = dense LU to the tolerance; p(s b) = s p(b)."""
    problem = PressurePoisson(16)
    inputs = problem.sample(4, generator(2))
    A, b = problem.operator(inputs), problem.load(inputs)
    p = problem.solve(inputs)["pressure"].flatten(1)
    plain = linear_solve(A, b, CG(rtol=1e-11)).value
    torch.testing.assert_close(plain, p, rtol=0, atol=1e-7 * float(p.abs().max()))
    fluid = torch.diag_embed((A.diagonal() == 0).double())
    dense = torch.linalg.solve(A.to_dense() + fluid, b)
    torch.testing.assert_close(dense, p, rtol=0, atol=1e-7 * float(p.abs().max()))
    scaled = problem.solve(inputs.merged({"rhs": -1e-6 * inputs["rhs"]}))["pressure"].flatten(1)
    torch.testing.assert_close(scaled, -1e-6 * p, rtol=0, atol=1e-15 * float(p.abs().max()))


@pytest.mark.parametrize("d", [2, 3])
def test_multigrid_iterations_on_obstacles_stay_bounded(d):
    """The classical cycle that knows obstacles: iterations to 1e-8 do not grow with the grid."""
    counts = []
    for n in (16, 32):
        cells, sides = RandomCells().sample(4, (n,) * d, generator(5))
        A = pressure_operator(cells, sides)
        b = torch.where(cells == FLUID, torch.randn(cells.shape, generator=generator()), 0).double().flatten(1)
        counts.append(int(linear_solve(A, b, CG(rtol=1e-8), GeometricMultigrid()).stats.iterations.max()))
    assert counts[1] <= counts[0] + 5


def test_the_correction_lowers_the_error_in_energy():
    """‖p − M (b − A 0)‖_A < ‖p‖_A: the eigenvalues of M A are in (0, 2); D⁻¹ r vanishes outside the fluid."""
    problem = PressurePoisson(32)
    inputs = problem.sample(4, generator())
    A, p = problem.operator(inputs), problem.solve(inputs)["pressure"]
    zero = Batch({"pressure": torch.zeros_like(p)})
    left = (p - problem.correction(inputs, zero)["pressure"]).flatten(1)
    assert ((left * A.mv(left)).sum(1) < (p.flatten(1) * A.mv(p.flatten(1))).sum(1)).all()
    step = problem.scaled_residual(inputs, zero)["pressure"]
    assert step.isfinite().all()
    assert not step[inputs["cells"] != FLUID].any()


def test_turned_inputs_have_turned_solutions():
    problem = PressurePoisson(16)
    inputs = problem.sample(3, generator())
    turned = Batch({name: field.rot90(1, (2, 3)) for name, field in inputs.items()})
    p = problem.solve(inputs)["pressure"].rot90(1, (2, 3))
    torch.testing.assert_close(problem.solve(turned)["pressure"], p, rtol=0, atol=1e-8 * float(p.abs().max()))


def test_an_open_rim_is_an_open_side_one_cell_further_in():
    """A(with_open_rim(cells, sides)) in a closed box = A(cells without their rim) with these sides, in the inside."""
    cells, sides = any_cells((6, 6), 7, (4,))
    cells[:, [0, -1]], cells[:, :, [0, -1]] = FLUID, FLUID
    sides[:] = True
    rim = pressure_operator(with_open_rim(cells, sides), ["solid", "solid"]).to_dense()
    inside = torch.arange(36).reshape(6, 6)[1:-1, 1:-1].flatten()
    small = pressure_operator(cells[:, 1:-1, 1:-1].contiguous(), sides).to_dense()
    assert torch.equal(rim[:, inside[:, None], inside], small)


def test_inputs_without_a_solution_are_refused_with_their_source():
    problem = PressurePoisson(16)
    inputs = problem.sample(2, generator())
    half = inputs.merged({"cells": inputs["cells"] / 2})
    with pytest.raises(ProblemError, match=r"file\.h5: cells with the value"):
        problem.check(half, "file.h5")
    closed = Batch({"cells": torch.ones(1, 1, 16, 16), "rhs": torch.ones(1, 1, 16, 16)})
    for call in (problem.check, problem.solve):
        with pytest.raises(ProblemError, match="sums to 256 over the 256 cells"):
            call(closed)
    with pytest.raises(ProblemError, match="first guess 'coarse'"):
        problem.first_guess(inputs, "coarse")


def test_a_floating_box_has_a_pressure_of_mean_zero():
    b = torch.randn(1, 1, 16, 16, generator=generator(), dtype=torch.float64)
    inputs = Batch({"cells": torch.ones_like(b), "rhs": b - b.mean()})
    problem = PressurePoisson(16)
    p = problem.solve(inputs)
    assert abs(float(p["pressure"].mean())) < 1e-12
    assert problem.residual(inputs, p)["pressure"].norm() < 1e-9 * b.norm()


def test_the_problem_is_found_by_name_and_survives_json():
    problem = PressurePoisson(16, 3, "smooth")
    assert problem_types()["pressure"] is PressurePoisson
    assert rebuild_problem(describe_problem(problem)) == problem


def test_no_samples_make_no_trouble():
    problem = PressurePoisson(16)
    inputs = problem.sample(0, generator())
    assert problem.solve(inputs)["pressure"].shape == (0, 1, 16, 16)
