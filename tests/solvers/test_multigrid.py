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
from solvers.kernels import cpu, reference
from solvers.kernels.structures import axis_transfer, cubic_transfer
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


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("smoother", SMOOTHERS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("case", ["cell", "periodic", "vertex"])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_backends_are_equal(d, case, smoother, dtype):
    """Every kernel of the CPU backend against the reference, batches repeated along a new axis included."""
    n = 15 if case == "vertex" else 16
    A = diffusion((n, n // 2 * 2 if case != "vertex" else 7, 8 if case != "vertex" else 7)[:d], (2,), dtype=dtype)
    A = DiffusionOperator(A.faces, alignment="vertex") if case == "vertex" else A
    A = diffusion(A.grid, (2,), "periodic", reaction=0.1, dtype=dtype) if case == "periodic" else A
    M = GeometricMultigrid(pre=2, post=2, smoother=smoother).setup(A)
    level = M.data.levels[0]
    b, u = normal(6, *A.grid, dtype=dtype), normal(6, *A.grid, seed=1, dtype=dtype)
    coarse = reference.restrict(level.linear, u)
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-4}[dtype]
    for name, arguments in {
        "apply": (level.links, u),
        "residual": (level.links, b, u),
        "jacobi": (level.links, b, u, 0.7),
        "red_black": (level.links, b, u),
        "restrict": (level.linear, u),
        "prolong": (level.linear, coarse),
        "correct": (M.data, b),
        "full_multigrid": (M.data, b, 2),
    }.items():
        expected, found = (getattr(backend, name)(*arguments) for backend in (reference, cpu))
        torch.testing.assert_close(
            found, expected, rtol=tolerance, atol=tolerance * float(expected.abs().max()), msg=name
        )
    reversed_sweeps = [backend.red_black(level.links, b, u, reverse=True) for backend in (reference, cpu)]
    torch.testing.assert_close(*reversed_sweeps, rtol=tolerance, atol=tolerance)


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
    found = coarsen(fine).to_dense()
    interior = coarse.to_dense() * 2.0 ** (d - 2)
    torch.testing.assert_close(found, interior)


@pytest.mark.parametrize("transfer", [axis_transfer, cubic_transfer])
@pytest.mark.parametrize("alignment", ["cell", "vertex"])
def test_interpolation_reproduces_linear_functions_inside(alignment, transfer):
    P = transfer(8, alignment, -1.0 if alignment == "cell" else 0.0, 1.0, False).matrix
    fine, coarse = ((torch.arange(n, dtype=torch.float64) + (alignment == "cell") * 0.5) for n in (P.shape[0], 8))
    line = P @ (coarse if alignment == "cell" else coarse + 1)
    expected = fine / 2 if alignment == "cell" else (fine + 1) / 2
    torch.testing.assert_close(line[4:-4], expected[4:-4])


@settings(max_examples=15, deadline=None)
@given(case=st.sampled_from([(1.0, 12), (10.0, 18), (1e2, 60), (1e4, 800)]), seed=st.integers(0, 100))
def test_jumping_coefficients(case, seed):
    """Random blocks: few iterations up to a contrast of ten, a working preconditioner beyond."""
    contrast, most = case
    blocks = torch.rand(8, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) > 0.5
    a = (1 + (contrast - 1) * blocks.double()).repeat_interleave(8, 0).repeat_interleave(8, 1)
    A = finite_volume_operator(a, (1 / 64, 1 / 64))
    solution = linear_solve(A, normal(4096), CG(rtol=1e-8, max_iterations=most), GeometricMultigrid())
    assert solution.converged


def test_obstacles():
    """Cells cut off by zero links: no division by zero, the fluid part is solved."""
    faces = [torch.ones(17, 16, dtype=torch.float64), torch.ones(16, 17, dtype=torch.float64)]
    faces[0][5:10, 4:8] = 0
    faces[1][5:9, 4:9] = 0
    A = DiffusionOperator(faces)
    b = normal(16, 16)
    b[5:9, 4:8] = 0
    solution = linear_solve(A, b.reshape(-1), CG(rtol=1e-10), GeometricMultigrid())
    torch.testing.assert_close(A.mv(solution.value), b.reshape(-1), rtol=0, atol=1e-8)
    assert solution.stats.iterations < 40


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
