"""Geometric multigrid: symmetric, positive, mesh independent, the same on every backend."""

import multiprocessing

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from solver_cases import BOUNDARIES, case_name, diffusion, normal

from solvers import (
    CG,
    DampedJacobi,
    DiffusionOperator,
    GeometricMultigrid,
    RedBlackGaussSeidel,
    finite_volume_operator,
    linear_solve,
    poisson_operator,
    use_backend,
)
from solvers.kernels.nesting import cubic_transfer, linear_transfer
from solvers.multigrid.coarsening import coarsen

SMOOTHERS = [RedBlackGaussSeidel(), DampedJacobi(0.7)]


@pytest.mark.parametrize("smoother", SMOOTHERS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=case_name)
@pytest.mark.parametrize("grid", [(32,), (16, 32), (8, 16, 8)], ids=str)
def test_preconditioner_is_symmetric_positive_definite(grid, boundary, smoother):
    """⟨u, M v⟩ = ⟨M u, v⟩ and ⟨u, M u⟩ > 0 (u in the range)."""
    A = diffusion(grid, (2,), boundary)
    M = GeometricMultigrid(smoother=smoother).setup(A)
    u, v = (A.project(normal(2, A.shape[0], seed=seed)) for seed in (0, 1))
    left, right = (u * M(v)).sum(-1), (M(u) * v).sum(-1)
    size = (u * M(u)).sum(-1)
    assert (size > 0).all()
    assert ((left - right).abs() <= 1e-12 * size).all()


ROUGH = {
    "odd cells": lambda: diffusion((33, 17), (2,)),
    "odd vertices": lambda: poisson_operator((30, 11), "vertex"),
    "Neumann, odd": lambda: diffusion((9, 21), (2,), "neumann"),
    "long cells": lambda: finite_volume_operator(torch.rand(24, 40, dtype=torch.float64) + 0.5, (1.0, 30.0)),
    "obstacles": lambda: fluid_around_discs(48, 0)[0],
    "contrast": lambda: finite_volume_operator(10 ** (6 * normal(20, 20).sigmoid()), (1.0, 1.0)),
    "3-D, one axis weak": lambda: finite_volume_operator(torch.ones(9, 10, 12, dtype=torch.float64), (1.0, 1.0, 20.0)),
}


@pytest.mark.parametrize("smoother", SMOOTHERS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("case", ROUGH)
def test_preconditioner_is_symmetric_positive_definite_on_rough_ground(case, smoother):
    """⟨u, M v⟩ = ⟨M u, v⟩ and ⟨u, M u⟩ > 0, with semi-coarsening, odd grids, jumps and obstacles."""
    A = ROUGH[case]()
    M = GeometricMultigrid(smoother=smoother).setup(A)
    u, v = (A.project(normal(*A.batch_shape, A.shape[0], seed=seed)) for seed in (0, 1))
    left, right = (u * M(v)).sum(-1), (M(u) * v).sum(-1)
    scale = ((u * M(u)).sum(-1) * (v * M(v)).sum(-1)).sqrt()
    assert ((u * M(u)).sum(-1) > 0).all()
    assert ((left - right).abs() <= 1e-11 * scale).all()


@pytest.mark.parametrize("hierarchy", [torch.float64, torch.float32], ids=str)
def test_the_compiled_iteration_is_conjugate_gradients(hierarchy):
    """Same steps, same solution as the plain loop over the batch."""
    A, b = diffusion((16, 32), (3,)), normal(2, 3, 512)
    runs = []
    for backend in ("reference", "cpu"):
        with use_backend(backend):
            runs.append(linear_solve(A, b, CG(rtol=1e-9), GeometricMultigrid(dtype=hierarchy)))
    slow, fast = runs
    assert (slow.stats.iterations - fast.stats.iterations).abs().max() <= 1
    torch.testing.assert_close(slow.value, fast.value, rtol=1e-6, atol=1e-7)


POISSON = {
    "vertex 2-D": ([(63, 63), (127, 127), (255, 255), (511, 511)], "vertex", 11),
    "vertex 3-D": ([(15,) * 3, (31,) * 3, (63,) * 3], "vertex", 13),
    "cell 2-D": ([(64, 64), (128, 128), (256, 256), (512, 512)], "cell", 11),
    "cell 3-D": ([(16,) * 3, (32,) * 3, (64,) * 3], "cell", 13),
}


@pytest.mark.parametrize("case", POISSON)
def test_iterations_do_not_depend_on_the_mesh(case):
    """Multigrid-CG to 1e-8 with random right-hand sides."""
    grids, alignment, most = POISSON[case]
    counts = []
    for grid in grids:
        A = poisson_operator(grid, alignment)
        b = torch.from_numpy(np.random.default_rng(0).standard_normal(A.shape[0]))
        counts.append(int(linear_solve(A, b, CG(rtol=1e-8), GeometricMultigrid()).stats.iterations))
    assert max(counts) <= most, counts
    assert max(counts) - min(counts) <= 2, counts


@pytest.mark.parametrize(
    ("smoother", "bound"), [(RedBlackGaussSeidel(), 0.3), (DampedJacobi(0.8), 0.4)], ids=["rb", "jacobi"]
)
def test_cycles_contract_the_residual(smoother, bound):
    """V(1,1) on the 2-D vertex Laplacian."""
    A = poisson_operator((127, 127), "vertex")
    M = GeometricMultigrid(smoother=smoother).setup(A)
    b, x = normal(A.shape[0]), torch.zeros(A.shape[0], dtype=torch.float64)
    norms = []
    for _ in range(10):
        x = M.cycle(b, x)
        norms.append(float((b - A.mv(x)).norm()))
    assert (norms[-1] / norms[3]) ** (1 / 6) <= bound


def test_single_precision_hierarchy_costs_no_iterations():
    A, b = diffusion((64, 64), (2,)), normal(2, 4096)
    double = linear_solve(A, b, CG(rtol=1e-10), GeometricMultigrid())
    single = linear_solve(A, b, CG(rtol=1e-10), GeometricMultigrid(dtype=torch.float32))
    assert (single.stats.iterations - double.stats.iterations).max() <= 1
    assert single.converged.all()


def test_full_multigrid_reaches_the_discretisation_error():
    """One cycle a level: the algebraic error is at most half the discretisation error of a smooth solution."""
    n = 64
    t = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    u = (torch.sin(torch.pi * t)[:, None] * torch.sin(torch.pi * t)).reshape(-1)
    A = finite_volume_operator(torch.ones(n, n, dtype=torch.float64), (1 / n, 1 / n))
    b = 2 * torch.pi**2 * u
    discrete = linear_solve(A, b, CG(rtol=1e-12)).value
    fmg = GeometricMultigrid().setup(A).full_multigrid(b)
    assert (fmg - discrete).norm() <= 0.5 * (discrete - u).norm()


@pytest.mark.parametrize("alignment", ["cell", "vertex"])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_coarsening_reproduces_the_coarse_laplacian(alignment, d):
    """In integrated form the Laplacian with t = h^(d−2) is coarsened to itself with H = 2h."""
    n = 8 if alignment == "cell" else 7
    fine, coarse = (poisson_operator((m,) * d, alignment) for m in (n, n // 2))
    _, found = coarsen(fine, tuple(range(d)))
    interior = coarse.to_dense() * 2.0 ** (d - 2)
    torch.testing.assert_close(found.to_dense(), interior)


@pytest.mark.parametrize("transfer", [linear_transfer, cubic_transfer])
@pytest.mark.parametrize("alignment", ["cell", "vertex"])
def test_interpolation_reproduces_linear_functions_inside(alignment, transfer):
    n = 16 if alignment == "cell" else 17
    P = transfer(n, alignment, -1.0 if alignment == "cell" else 0.0, 1.0, False).matrix
    fine, coarse = ((torch.arange(n, dtype=torch.float64) + (alignment == "cell") * 0.5) for n in P.shape)
    line = P @ (coarse if alignment == "cell" else coarse + 1)
    expected = fine / 2 if alignment == "cell" else (fine + 1) / 2
    torch.testing.assert_close(line[4:-4], expected[4:-4])


@settings(max_examples=15, deadline=None)
@given(exponent=st.integers(0, 6), cells=st.sampled_from([8, 16]), seed=st.integers(0, 100))
def test_jumping_coefficients(exponent, cells, seed):
    """Random blocks of 8 cells and more: the contrast, from 1 to 1e6, hardly matters."""
    n = 64 // cells
    blocks = torch.rand(n, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) > 0.5
    a = torch.where(blocks, 10.0**exponent, 1.0).double().repeat_interleave(cells, 0).repeat_interleave(cells, 1)
    A = finite_volume_operator(a, (1 / 64, 1 / 64))
    solution = linear_solve(A, normal(4096), CG(rtol=1e-8, max_iterations=30), GeometricMultigrid())
    assert solution.converged


@pytest.mark.parametrize("grid", [(33, 33), (50, 50), (101, 37), (7, 9, 11), (20, 33, 12), (3,), (1, 5)], ids=str)
@pytest.mark.parametrize("alignment", ["cell", "vertex"])
def test_any_number_of_points(alignment, grid):
    """Grids need not halve: as many iterations as on the next one that does."""
    A = poisson_operator(grid, alignment)
    b = torch.from_numpy(np.random.default_rng(0).standard_normal(A.shape[0]))
    solution = linear_solve(A, b, CG(rtol=1e-8), GeometricMultigrid())
    assert solution.stats.iterations <= 12


@pytest.mark.parametrize("ratio", [1, 4, 30, 1e3, 1e6])
def test_anisotropy_is_met_by_semi_coarsening(ratio):
    """Cells `ratio` times as long as wide."""
    A = finite_volume_operator(torch.ones(64, 64, dtype=torch.float64), (1.0, ratio))
    solution = linear_solve(A, normal(4096), CG(rtol=1e-8), GeometricMultigrid())
    assert solution.stats.iterations <= 13


def fluid_around_discs(n, seed):
    """Links of a channel with solid discs: 0 at walls and in solids, held at the outlet."""
    draw = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(*(torch.linspace(0, 1, n, dtype=torch.float64),) * 2, indexing="ij")
    fluid = torch.ones(n, n, dtype=torch.float64)
    for _ in range(6):
        cx, cy, r = torch.rand(3, generator=draw).tolist()
        fluid[(x - cx) ** 2 + (y - cy) ** 2 < (0.04 + 0.08 * r) ** 2] = 0
    down, across = (torch.zeros(n + (k == 0), n + (k == 1), dtype=torch.float64) for k in range(2))
    down[1:-1], across[:, 1:-1] = fluid[1:] * fluid[:-1], fluid[:, 1:] * fluid[:, :-1]
    across[:, -1] = 2 * fluid[:, -1]
    return DiffusionOperator([down, across]), fluid


@pytest.mark.parametrize("n", [64, 97, 256])
@pytest.mark.parametrize("seed", range(3))
def test_obstacles(n, seed):
    """Cells cut off by zero links: no division by zero, and the iterations of the empty channel, nearly."""
    A, fluid = fluid_around_discs(n, seed)
    b = (normal(n, n) * fluid).reshape(-1)
    solution = linear_solve(A, b, CG(rtol=1e-8), GeometricMultigrid(), throw=False)
    assert solution.converged
    assert solution.stats.iterations <= 20


def test_repr_lists_the_levels():
    text = repr(GeometricMultigrid().setup(poisson_operator((16, 16))))
    assert "3 levels" in text
    assert "8 × 8 = 64 unknowns" in text
    assert "(dense)" in text


def _solve_in_child(queue):
    torch.set_num_threads(1)  # as data loader workers do: torch's own threads do not survive a fork
    A = poisson_operator((16, 16))
    queue.put(float(linear_solve(A, torch.ones(3, 256, dtype=torch.float64), CG(), GeometricMultigrid()).value.sum()))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_kernels_work_after_a_fork():
    """Data loader workers are forked from a process that has already used the kernels."""
    A = poisson_operator((16, 16))
    expected = float(linear_solve(A, torch.ones(3, 256, dtype=torch.float64), CG(), GeometricMultigrid()).value.sum())
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=_solve_in_child, args=(queue,), daemon=True)
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert queue.get() == pytest.approx(expected)
