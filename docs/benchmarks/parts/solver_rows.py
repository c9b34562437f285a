"""The rows of the solver benchmark: our solvers beside SciPy, PyAMG and torch-sla on the same systems."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import pyamg
import scipy.sparse
import scipy.sparse.linalg
import torch
from torch import Tensor

from parts.record import Record, at_least, at_most
from parts.solver_systems import RTOL, diffusion_batch, poisson, rhs, stencil
from parts.timing import interleaved
from solvers import CG, GeometricMultigrid, Solution, linear_solve

__all__ = ["aggregation", "batches", "conjugate_gradients", "iterations", "multigrid", "products"]

Job = Callable[[], Any]


def conjugate_gradients(record: Record, quick: bool) -> None:
    """Plain CG on CSR and on a stencil against SciPy and torch-sla: equal iterations, ratio of times."""
    rows = []
    for name, grid in {"256sq": (256, 256), "64cubed": (64, 64, 64)}.items():
        grid = tuple(n // 8 for n in grid) if quick else grid
        operator, csr, matrix = poisson(grid)
        b = rhs(csr.shape[0])
        jobs: dict[str, Job] = {
            "scipy.cg": partial(scipy.sparse.linalg.cg, matrix, b.numpy(), rtol=RTOL),
            "CG on CSR": partial(linear_solve, csr, b, CG(RTOL)),
            "CG on a stencil": partial(linear_solve, stencil(operator), b, CG(RTOL)),
            "CG on a diffusion operator": partial(linear_solve, operator, b, CG(RTOL)),
        }
        sla = _torch_sla(matrix, b)
        if sla is not None:
            jobs["torch-sla PCG (Jacobi)"] = sla
        times = best(jobs, quick, dear=True)
        ours = linear_solve(csr, b, CG(RTOL)).stats
        steps: list[Any] = []
        scipy.sparse.linalg.cg(matrix, b.numpy(), rtol=RTOL, callback=steps.append)
        bars = {"64cubed": (1.2, 0.6)}.get(name, (None, None))
        _ratio(record, f"cg_csr_over_scipy.time.{name}", times, "CG on CSR", "scipy.cg", bars[0])
        _ratio(record, f"cg_stencil_over_scipy.time.{name}", times, "CG on a stencil", "scipy.cg", bars[1])
        if sla is not None:
            bar = {"256sq": 0.75, "64cubed": 0.5}[name]
            _ratio(record, f"cg_csr_over_torch_sla.time.{name}", times, "CG on CSR", "torch-sla PCG (Jacobi)", bar)
        record.figure(
            f"cg_minus_scipy.iterations.{name}", float(int(ours.iterations) - len(steps)), unit="1", bar=at_most(3)
        )
        counts = {"scipy.cg": len(steps), "torch-sla PCG (Jacobi)": None}
        rows += [[name, job, counts.get(job, int(ours.iterations)), 1e3 * seconds] for job, seconds in times.items()]
    record.table("conjugate_gradients", COLUMNS, rows, _caption("Unpreconditioned CG (constant diagonal)"))


def multigrid(record: Record, quick: bool) -> None:
    """Multigrid-CG, geometric and algebraic, against PyAMG's solvers: set-up and solve."""
    rows = []
    for name, grid in {"255sq": (255, 255), "63cubed": (63, 63, 63)}.items():
        grid = tuple((n + 1) // 8 - 1 for n in grid) if quick else grid
        operator, _, matrix = poisson(grid)
        b = rhs(operator.shape[0])
        table, setup = _pyamg_solvers(matrix, b)
        state = linear_solve(operator, b, CG(RTOL), GeometricMultigrid()).state
        jobs = {
            **table,
            "GMG-CG": partial(linear_solve, operator, b, state=state),
            "GMG-CG with set-up": partial(linear_solve, operator, b, CG(RTOL), GeometricMultigrid()),
        }
        times = best(jobs, quick, dear=name == "63cubed")
        theirs = {job: seconds for job, seconds in times.items() if job in table}
        quickest = min(theirs, key=lambda job: theirs[job])
        total = {job: seconds + setup[job] for job, seconds in theirs.items()}
        cheapest = min(total, key=lambda job: total[job])
        _ratio(
            record, f"gmg_pcg_over_pyamg_solve.time.{name}", times, "GMG-CG", quickest, 0.8 if name == "255sq" else None
        )
        record.figure(
            f"gmg_pcg_over_pyamg_total.time.{name}",
            times["GMG-CG with set-up"] / total[cheapest],
            timed=True,
            unit="1",
            note=f"set-up and solve; PyAMG's best: {cheapest}",
            **({"bar": at_most(0.15)} if name == "63cubed" else {}),
        )
        count = int(linear_solve(operator, b, state=state).stats.iterations)
        for job, seconds in times.items():
            steps = _pyamg_iterations(matrix, b, job) if job in table else count
            rows.append([name, job, steps, 1e3 * setup[job] if job in setup else None, 1e3 * seconds])
    columns = ["grid", "solver", "iterations", "set-up, ms", "solve, ms"]
    record.table("multigrid", columns, rows, _caption("Vertex grids; PyAMG by its own defaults, to the same residual"))


def aggregation(record: Record, quick: bool) -> None:
    """Smoothed aggregation set up by PyAMG: its cycles in torch against its own."""
    from solvers import SmoothedAggregation

    n = 32 if quick else 256
    _, csr, matrix = poisson((n, n))
    b = rhs(csr.shape[0])
    hierarchy = pyamg.smoothed_aggregation_solver(matrix)
    residuals: list[float] = []

    def theirs() -> None:
        residuals.clear()
        hierarchy.solve(b.numpy(), tol=RTOL, accel="cg", residuals=residuals)

    solutions = {
        name: linear_solve(csr, b, CG(RTOL), recipe)
        for name, recipe in {
            "SA-CG": SmoothedAggregation(),
            "SA-CG, single-precision cycle": SmoothedAggregation(dtype=torch.float32),
        }.items()
    }
    jobs: dict[str, Job] = {"PyAMG SA-CG": theirs}
    jobs |= {name: partial(linear_solve, csr, b, state=s.state) for name, s in solutions.items()}
    times = best(jobs, quick)
    quickest = min(solutions, key=lambda name: times[name])
    _ratio(record, "smoothed_aggregation_over_pyamg.time", times, quickest, "PyAMG SA-CG", 0.8)
    counts = {name: int(s.stats.iterations) for name, s in solutions.items()} | {"PyAMG SA-CG": len(residuals) - 1}
    rows = [[f"{n}sq", name, counts[name], 1e3 * seconds] for name, seconds in times.items()]
    record.table("smoothed_aggregation", COLUMNS, rows, _caption("Solve only, the same hierarchy"))


def batches(record: Record, quick: bool) -> None:
    """A batch of small systems: one masked CG against a loop and against torch-sla's batched CG."""
    from solvers import Jacobi

    count, n = (8, 16) if quick else (64, 32)
    operator = diffusion_batch(count, n)
    csr, b = operator.to_csr(), rhs(count, n * n)
    matrices = [scipy.sparse.csr_matrix(csr.replace((v,)).to_scipy()) for v in csr.values]
    diagonals = [1 / matrix.diagonal() for matrix in matrices]

    def loop() -> None:
        for matrix, inverse, rhs_ in zip(matrices, diagonals, b.numpy(), strict=True):
            M = scipy.sparse.linalg.LinearOperator(matrix.shape, matvec=partial(np.multiply, inverse))
            scipy.sparse.linalg.cg(matrix, rhs_, rtol=RTOL, M=M)

    jobs: dict[str, Job] = {
        "loop of scipy.cg": loop,
        "CG + Jacobi on CSR": partial(linear_solve, csr, b, CG(RTOL), Jacobi()),
        "CG + Jacobi on a stencil": partial(linear_solve, stencil(operator), b, CG(RTOL), Jacobi()),
        "CG + Jacobi on a diffusion operator": partial(linear_solve, operator, b, CG(RTOL), Jacobi()),
        "CG + GMG": partial(linear_solve, operator, b, CG(RTOL), GeometricMultigrid()),
    }
    if find_spec("torch_sla") is not None:
        from torch_sla.backends.pytorch_backend import batched_cg_same_pattern

        row, col = csr.pattern.row, csr.pattern.column
        jobs["torch-sla batched CG"] = partial(
            batched_cg_same_pattern, csr.values, row, col, csr.shape, b, atol=0.0, rtol=RTOL
        )
    times = best(jobs, quick)
    _ratio(record, "batched_cg_over_scipy_loop.time", times, "CG + Jacobi on CSR", "loop of scipy.cg", 0.5)
    if "torch-sla batched CG" in times:
        _ratio(record, "batched_cg_over_torch_sla.time", times, "CG + Jacobi on CSR", "torch-sla batched CG", 0.35)
    else:
        reason = "torch-sla is not installed: pip install torch-sla"
        record.figure("batched_cg_over_torch_sla.time", None, reason=reason, bar=at_most(0.35))
    rows = [[name, 1e3 * seconds] for name, seconds in times.items()]
    record.table("batches", ["solver", "ms"], rows, _caption(f"{count} systems on {n}², κ = exp N(0, 1) per cell"))


def products(record: Record, quick: bool) -> None:
    """Matrix-vector products against SciPy, against index_add_ and against the memory's bandwidth."""
    n = 16 if quick else 128
    _, csr, matrix = poisson((n, n, n))
    x = rhs(csr.shape[0])
    times = best({"scipy": lambda: matrix @ x.numpy(), "CSR": lambda: csr @ x}, quick)
    _ratio(record, "csr_product_over_scipy.time.128cubed", times, "CSR", "scipy", 1.15)
    rows = [["128cubed", name, 1e3 * seconds, None] for name, seconds in times.items()]

    count, n = (4, 32) if quick else (64, 128)
    operator = diffusion_batch(count, n)
    A, csr, x = stencil(operator), operator.to_csr(), rhs(count, n * n)
    row, col, out = csr.pattern.row, csr.pattern.column, torch.empty_like(x)
    a, b, c = (torch.empty(2**20 if quick else 2**25, dtype=torch.float64).normal_() for _ in range(3))
    jobs: dict[str, Job] = {
        "index_add_": lambda: out.zero_().index_add_(1, row, csr.values * x[:, col]),
        "CSR": lambda: csr @ x,
        "stencil": lambda: A @ x,
        "diffusion operator": lambda: operator @ x,
        "triad": lambda: torch.add(a, b, alpha=2.0, out=c),
    }
    times = best(jobs, quick)
    triad = 3 * 8 * a.numel() / times["triad"]
    # The least that must move: every coefficient and x once in, y once out.
    traffic = {"stencil": 8 * (A.coefficients.numel() + 2 * x.numel()), "diffusion operator": 8 * 5 * x.numel()}
    traffic["CSR"] = 12 * csr.values.numel() + 8 * 2 * x.numel()
    share = {name: moved / times[name] / triad for name, moved in traffic.items()}
    record.figure(
        "stencil_bandwidth_over_triad",
        share["stencil"],
        timed=True,
        unit="1",
        bar=at_least(0.5),
        note=f"{count} × {n}², one thread; triad {triad / 1e9:.1f} GB/s",
    )
    _ratio(record, "batched_stencil_over_index_add.time", times, "stencil", "index_add_", 15 / 103)
    rows += [[f"{count} × {n}²", name, 1e3 * s, share.get(name)] for name, s in times.items() if name != "triad"]
    caption = _caption("Share: least traffic over time over the triad's bandwidth")
    record.table("products", ["grid", "product", "ms", "share of triad"], rows, caption)


def iterations(record: Record, quick: bool) -> None:
    """Multigrid-CG takes the same number of steps on every grid."""
    squares = (15, 31) if quick else (63, 127, 255, 511)
    cubes = (7,) if quick else (15, 31, 63)
    rows = []
    grids = {f"{n}sq": (n, n) for n in squares} | {f"{n}cubed": (n, n, n) for n in cubes}
    for name, grid in grids.items():
        operator, *_ = poisson(grid)
        counts = {
            smoothing: _count(linear_solve(operator, rhs(operator.shape[0]), CG(RTOL), recipe))
            for smoothing, recipe in {
                "V(1,1)": GeometricMultigrid(),
                "V(2,2)": GeometricMultigrid(pre=2, post=2),
                "V(1,1), single precision": GeometricMultigrid(dtype=torch.float32),
            }.items()
        }
        record.figure(f"gmg_pcg.iterations.{name}", float(counts["V(1,1)"]), unit="1", bar=at_most(13))
        rows.append([name, *counts.values()])
    columns = ["grid", "V(1,1)", "V(2,2)", "V(1,1), single precision"]
    record.table(
        "iterations", columns, rows, "Iterations of CG to a relative residual of 1e-8, random right-hand side."
    )


COLUMNS = ["grid", "solver", "iterations", "ms"]


def best(jobs: dict[str, Job], quick: bool, dear: bool = False) -> dict[str, float]:
    """Least seconds of each job over interleaved rounds, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rounds = interleaved(jobs, repeats=1 if quick else 5 if dear else 9)
    finally:
        torch.set_num_threads(threads)
    return {name: min(seconds) for name, seconds in rounds.items()}


def _ratio(record: Record, name: str, times: dict[str, float], ours: str, theirs: str, bar: float | None) -> None:
    facts = {} if bar is None else {"bar": at_most(round(bar, 3))}
    note = f"{ours} {1e3 * times[ours]:.3g} ms, {theirs} {1e3 * times[theirs]:.3g} ms"
    record.figure(name, times[ours] / times[theirs], timed=True, unit="1", note=note, **facts)


def _caption(what: str) -> str:
    return f"{what}; float64, relative residual 1e-8, one thread, least of interleaved rounds in one process."


def _count(solution: Solution) -> int:
    return int(solution.stats.iterations)


def _pyamg_solvers(matrix: Any, b: Tensor) -> tuple[dict[str, Job], dict[str, float]]:
    """Every PyAMG solver that competes, and the seconds of its set-up (least of three)."""
    setups = {"RS": pyamg.ruge_stuben_solver, "SA": pyamg.smoothed_aggregation_solver}
    jobs: dict[str, Job] = {}
    setup: dict[str, float] = {}
    for name, build in setups.items():
        seconds, hierarchy = [], None
        for _ in range(3):
            began = time.perf_counter()
            hierarchy = build(matrix)
            seconds.append(time.perf_counter() - began)
        for accel in (None, "cg"):
            label = f"PyAMG {name}" + ("-CG" if accel else "")
            jobs[label] = partial(hierarchy.solve, b.numpy(), tol=RTOL, accel=accel)
            setup[label] = min(seconds)
    return jobs, setup


def _pyamg_iterations(matrix: Any, b: Tensor, label: str) -> int:
    build = pyamg.ruge_stuben_solver if " RS" in label else pyamg.smoothed_aggregation_solver
    residuals: list[float] = []
    build(matrix).solve(b.numpy(), tol=RTOL, accel="cg" if label.endswith("-CG") else None, residuals=residuals)
    return len(residuals) - 1


def _torch_sla(matrix: Any, b: Tensor) -> Job | None:
    if find_spec("torch_sla") is None:
        return None
    from torch_sla.backends.pytorch_backend import pcg_solve

    coo = matrix.tocoo()
    row, col = (torch.from_numpy(np.asarray(index, dtype=np.int64)) for index in (coo.row, coo.col))
    values = torch.from_numpy(coo.data)
    return partial(pcg_solve, values, row, col, matrix.shape, b, atol=0.0, rtol=RTOL)
