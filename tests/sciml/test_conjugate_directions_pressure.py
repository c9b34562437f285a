"""The pressure solve for foreign codes: arrays in, arrays out, the same answer by any model."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse.linalg
import torch
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.pressure import FLUID, OPEN, SOLID, PressurePoisson, RandomCells, pressure_operator
from sciml.errors import LearnerError
from sciml.learners.baselines.unet import UNet, UNetConfig
from sciml.learners.conjugate_directions import LearnedCycle, default_scalars
from sciml.pressure import as_linear_operator, condition_number, solve_pressure
from solvers import CG, AggregationMultigrid, IncompleteCholesky, ToleranceError, linear_solve

PAGE = Path(__file__).resolve().parents[2] / "docs" / "pressure.md"


def case(grid=(16, 16), seed=0):
    """A mask with an open top and obstacles, and noise in its fluid."""
    cells, sides = RandomCells().sample(1, grid, torch.Generator().manual_seed(seed))
    mask = cells[0].numpy()
    pairs = [tuple("open" if is_open else "solid" for is_open in pair) for pair in sides[0].tolist()]
    rhs = np.random.default_rng(seed).standard_normal(grid) * (mask == 1)
    return rhs, mask, pairs


def exact(rhs, mask, sides):
    A = pressure_operator(torch.from_numpy(mask), sides)
    b = torch.from_numpy(rhs).flatten(-len(sides))
    return linear_solve(A, b, CG(rtol=1e-12), IncompleteCholesky()).value.reshape(rhs.shape).numpy()


@pytest.mark.parametrize("grid", [(16, 16), (12, 20), (8, 8, 8), (9, 10, 11)], ids=str)
@pytest.mark.parametrize("tol", [1e-4, 1e-10])
def test_the_residual_is_at_most_the_tolerance(grid, tol):
    """‖b − A p‖ ≤ tol ‖b‖, on even and odd grids, in two and three dimensions."""
    rhs, mask, sides = case(grid)
    p, info = solve_pressure(rhs, mask, sides, tol)
    A = pressure_operator(torch.from_numpy(mask), sides)
    left = rhs.ravel() - A.mv(torch.from_numpy(p).flatten()).numpy()
    assert np.linalg.norm(left) <= 1.01 * tol * np.linalg.norm(rhs)
    assert info.relative_residual <= 1.01 * tol
    assert (p[mask != 1] == 0).all()
    assert (info.removed == 0).all()


@pytest.mark.parametrize("model", ["default", "textbook", IncompleteCholesky()], ids=["default", "textbook", "own"])
def test_the_solution_does_not_depend_on_the_model(model):
    rhs, mask, sides = case()
    p, _ = solve_pressure(rhs, mask, sides, 1e-10, model)
    np.testing.assert_allclose(p, exact(rhs, mask, sides), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f8"])
def test_an_array_comes_back_as_it_went(dtype):
    """NumPy in, NumPy out; the same precision; any memory layout."""
    rhs, mask, sides = case()
    given = np.asfortranarray(rhs.astype(dtype))[::-1][::-1]
    p, info = solve_pressure(given, np.asfortranarray(mask), sides, 1e-4)
    assert isinstance(p, np.ndarray)
    assert isinstance(info.iterations, np.ndarray)
    assert p.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_allclose(p, exact(rhs, mask, sides), atol=2e-3 * np.abs(p).max())


def test_a_tensor_comes_back_as_a_tensor():
    rhs, mask, sides = case()
    p, info = solve_pressure(torch.from_numpy(rhs).float(), torch.from_numpy(mask), sides)
    assert p.dtype == torch.float32
    assert info.iterations.shape == ()


def test_the_caller_s_arrays_are_left_alone():
    rhs, mask, sides = case()
    before = rhs.copy(), mask.copy(), np.ones_like(rhs)
    start = before[2].copy()
    solve_pressure(rhs, mask, sides, start=start)
    for array, copy in zip((rhs, mask, start), before, strict=True):
        assert (array == copy).all()


@settings(deadline=None, max_examples=8)
@given(batch=arrays.array_shapes(min_dims=0, max_dims=2, max_side=3))
def test_right_hand_sides_are_solved_side_by_side(batch):
    """p of a batch is the batch of p."""
    _, mask, sides = case((8, 8))
    many = np.random.default_rng(1).standard_normal((*batch, 8, 8)) * (mask == 1)
    p, info = solve_pressure(many, mask, sides, 1e-10)
    assert info.iterations.shape == batch
    np.testing.assert_allclose(p, exact(many, mask, sides), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("factor", [1e-30, 1e30])
def test_homogeneous(factor):
    """p(c b) = c p(b)."""
    rhs, mask, sides = case()
    p, _ = solve_pressure(rhs, mask, sides, 1e-8)
    np.testing.assert_allclose(solve_pressure(factor * rhs, mask, sides, 1e-8)[0] / factor, p, rtol=1e-6, atol=1e-9)


def test_the_solution_as_a_start_takes_no_step():
    rhs, mask, sides = case()
    p, _ = solve_pressure(rhs, mask, sides, 1e-8)
    assert solve_pressure(rhs, mask, sides, 1e-6, start=p)[1].iterations == 0


def test_floating_fluid_needs_a_compatible_right_hand_side():
    """A closed box: the sum is taken out and reported, or refused."""
    rhs, mask = np.zeros((16, 16)), np.ones((16, 16), dtype=int)
    rhs[3, 3] = 1.0
    with pytest.raises(ProblemError, match="sums to 1 over the 256 cells"):
        solve_pressure(rhs, mask)
    p, info = solve_pressure(rhs, mask, tol=1e-9, project=True)
    np.testing.assert_allclose(info.removed, 1 / 256)
    assert abs(p.mean()) < 1e-12
    assert info.relative_residual <= 1e-9


def test_a_mask_on_which_the_cycle_is_slow_is_handed_to_algebraic_multigrid(monkeypatch):
    """It goes on from where the cycle stopped."""
    monkeypatch.setattr("sciml.pressure.PATIENCE", 3)
    rhs, mask, sides = case((32, 32))
    p, info = solve_pressure(rhs, mask, sides, 1e-10)
    assert info.method == "CG + SmoothedAggregation"
    np.testing.assert_allclose(p, exact(rhs, mask, sides), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("grid", [(16, 16), (8, 9, 10)], ids=str)
def test_the_learned_cycle_solves_a_thousand_masks(grid):
    """Any share of solid voxels, no side open but in a few cells: parts that float are solved in their range."""
    g = torch.Generator().manual_seed(5)
    d, cycle = len(grid), AggregationMultigrid(coefficients=default_scalars(len(grid)).cycle())
    for _ in range(10):
        share = 0.05 + 0.45 * torch.rand(100, *(1,) * d, generator=g)
        solid, is_open = torch.rand(100, *grid, generator=g) < share, torch.rand(100, *grid, generator=g) < 0.003
        cells = torch.where(solid, SOLID, torch.where(is_open, OPEN, FLUID))
        A = pressure_operator(cells, torch.zeros(100, d, 2, dtype=torch.bool))
        b = A.project(torch.randn(100, A.shape[0], generator=g, dtype=torch.float64))
        solution = linear_solve(A, b, CG(rtol=1e-8, max_iterations=150), cycle, throw=False)
        assert solution.converged.all()
        assert (solution.stats.relative_residual <= 1.01e-8).all()


@pytest.mark.parametrize("seed", range(3))
def test_random_voxels_are_solved(seed):
    """Half of all cells solid, pockets everywhere: every component on its own."""
    rng = np.random.default_rng(seed)
    mask = rng.choice([0, 1, 1, 2], p=[0.5, 0.25, 0.22, 0.03], size=(16, 16, 16))
    rhs = rng.standard_normal(mask.shape) * (mask == 1)
    _, info = solve_pressure(rhs, mask, tol=1e-8, project=True)
    assert info.relative_residual <= 1.01e-8


def test_a_trained_model_is_read_from_its_directory(tmp_path):
    LearnedCycle.from_problem(PressurePoisson(16)).save(tmp_path / "cycle")
    UNet.from_problem(PressurePoisson(16), UNetConfig(channels=4, depth=1)).save(tmp_path / "unet")
    rhs, mask, sides = case()
    p, _ = solve_pressure(rhs, mask, sides, 1e-10, tmp_path / "cycle")
    np.testing.assert_allclose(p, exact(rhs, mask, sides), rtol=1e-7, atol=1e-9)
    with pytest.raises(LearnerError, match="is a unet: one of dcdm, dcdm-fields is expected"):
        solve_pressure(rhs, mask, sides, model=tmp_path / "unet")


# -- as a preconditioner of SciPy


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_operator_is_symmetric_and_positive(dtype):
    """⟨u, M v⟩ = ⟨M u, v⟩, ⟨u, M u⟩ > 0 on the fluid."""
    _, mask, sides = case((8, 8))
    M = as_linear_operator(mask, sides, dtype=dtype)
    matrix = M @ np.eye(64, dtype=dtype)
    assert M.dtype == dtype
    eps = np.finfo(dtype).eps
    assert np.abs(matrix - matrix.T).max() <= 50 * eps * np.abs(matrix).max()
    fluid = mask.ravel() == 1
    assert np.linalg.eigvalsh(matrix[fluid][:, fluid])[0] > 0
    np.testing.assert_allclose(M.rmatvec(matrix[0]), M.matvec(matrix[0]))


def test_the_condition_number_is_that_of_the_dense_product():
    """κ(M A) on the fluid, by eigenvalues of A^(1/2) M A^(1/2)."""
    _, mask, sides = case((8, 8))
    A = pressure_operator(torch.from_numpy(mask), sides).to_dense().numpy()
    M = as_linear_operator(mask, sides) @ np.eye(64)
    fluid = mask.ravel() == 1
    values = np.sort(np.linalg.eigvals((M @ A)[fluid][:, fluid]).real)
    assert condition_number(mask, sides) == pytest.approx(values[-1] / values[0], rel=1e-6)


def test_scipy_takes_the_steps_of_our_conjugate_gradients():
    rhs, mask, sides = case((32, 32))
    A = pressure_operator(torch.from_numpy(mask), sides)
    product = scipy.sparse.linalg.LinearOperator(
        A.shape, lambda x: A.mv(torch.from_numpy(x).ravel()).numpy(), dtype=float
    )
    steps = []
    M = as_linear_operator(mask, sides)
    x, failed = scipy.sparse.linalg.cg(product, rhs.ravel(), rtol=1e-8, M=M, callback=steps.append)
    assert failed == 0
    assert abs(len(steps) - int(solve_pressure(rhs, mask, sides, 1e-8)[1].iterations)) <= 1
    np.testing.assert_allclose(x, exact(rhs, mask, sides).ravel(), rtol=1e-4, atol=1e-6)


# -- the page


def test_the_page_s_code_runs_and_leaves_no_divergence():
    """|div u| ≤ tol ‖b‖₂ after every projection, in a loop that knows nothing of this package."""
    scope: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), scope)
    size = np.linalg.norm(np.where(scope["fluid"], scope["outflow"], 0))
    assert np.abs(scope["left"]).max() <= 1.01 * scope["tolerance"] * size
    assert float(scope["v"].max()) > 0.01
    assert scope["failed"] == 0
    residual = scope["b"] - scope["A"] @ scope["x"]
    assert np.linalg.norm(residual) <= 1.01e-8 * np.linalg.norm(scope["b"])


# -- bad input


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"mask": np.zeros((16, 16), int)}, ProblemError, "without fluid"),
        ({"mask": np.full((16, 16), 3)}, ProblemError, "value 3: 0 .solid., 1 .fluid. or 2 .open. is expected"),
        ({"mask": np.ones((16, 16))}, ProblemError, "integers 0"),
        ({"mask": np.ones((16, 16), bool)}, LearnerError, r"mask of bool: .*mask.astype\(int\)"),
        ({"mask": np.ones(16, int)}, LearnerError, r"mask \(16,\): two or three axes"),
        ({"mask": np.ones((8, 8), int)}, ProblemError, r"the shape of the cells, \(8, 8\), is expected"),
        ({"rhs": np.full((16, 16), np.nan)}, ProblemError, "finite numbers are expected"),
        ({"rhs": np.ones((16, 16))}, ProblemError, "zero is expected outside the fluid"),
        ({"rhs": np.zeros((16, 16), int)}, ProblemError, "float32 or float64 is expected"),
        ({"rhs": np.zeros((16, 16), object)}, LearnerError, "rhs of object: an array of plain numbers"),
        ({"rhs": np.zeros((16, 16), np.float16)}, LearnerError, "rhs of torch.float16: float32 or float64"),
        ({"start": np.full((16, 16), np.nan)}, LearnerError, "start holds NaN"),
        ({"sides": ["solid"]}, ProblemError, "for each of 2 axes"),
        ({"sides": "periodic"}, ProblemError, "periodic"),
        ({"tol": 1e-15}, ToleranceError, "rtol = 1e-15: torch.float64 reaches"),
        ({"tol": 1.5}, ToleranceError, "rtol = 1.5"),
        ({"tol": float("nan")}, ToleranceError, "rtol = nan"),
        ({"model": "best"}, LearnerError, "model 'best': default, textbook or the directory of a run"),
        ({"model": LearnedCycle.from_problem(PressurePoisson(16, 3))}, LearnerError, "has 2 dimensions, and this was"),
        ({"start": np.zeros((8, 8))}, LearnerError, r"start \(8, 8\): the shape of rhs, \(16, 16\), is expected"),
    ],
    ids=lambda one: one if isinstance(one, str) else None,
)
def test_bad_input_is_named(change, error, message):
    rhs, mask, _ = case(seed=2)
    mask[4:8, 4:8], rhs[4:8, 4:8] = 0, 0
    arguments = {"rhs": rhs, "mask": mask, "sides": "open", **change}
    with pytest.raises(error, match=message):
        solve_pressure(**arguments)


@pytest.mark.parametrize("dtype", [np.int64, np.complex128, np.float16])
def test_a_linear_operator_of_another_dtype_is_refused(dtype):
    """Integers would cut every residual off."""
    with pytest.raises(LearnerError, match=f"dtype {np.dtype(dtype)}: float64 or float32 is expected"):
        as_linear_operator(np.ones((8, 8), int), "open", dtype=dtype)
