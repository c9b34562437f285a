"""Triton kernels: equal to the reference under Triton's interpreter, and on a GPU where there is one.

The interpreter is chosen when Triton is imported, so the tests that need it run in a process of their own.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import islice, takewhile
from types import SimpleNamespace

import kernel_cases
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import GRIDS
from solver_cases import normal
from torch import Tensor

from solvers import CG, CSROperator, DeviceError, GeometricMultigrid, StencilOperator, linear_solve, use_backend
from solvers.kernels import Links, Reference, Taps, kernels_for

pytest.importorskip("triton", reason="the gpu backend needs triton: pip install 'sciml-pde[gpu]'")

from triton.backends.compiler import GPUTarget
from triton.runtime import driver

from solvers.kernels import triton_csr, triton_points, triton_taps, triton_transfers
from solvers.kernels.gpu import GPU

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DTYPES = [torch.float64, torch.float32]
ROUNDING = {torch.float64: 1e-13, torch.float32: 1e-5}
#: What the inherited functions make of the others.
COMPOSED = ("correct", "full multigrid")
#: The interpreter is slow: it takes one grid of each kind, and single precision where hypothesis draws it.
SOME_GRIDS = ("1-D one point", "1-D pair", "1-D even vertices", "2-D odd", "3-D periodic", "3-D odd")
NAMES, PRECISIONS = (SOME_GRIDS, DTYPES[:1]) if INTERPRETED else (GRIDS, DTYPES)


@pytest.fixture(scope="module", params=["cpu"] if INTERPRETED else [pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request) -> str:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return request.param


@pytest.fixture
def on_gpu() -> str:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return "cuda"


def assert_equal(found: Tensor, expected: Tensor, name: object = "") -> None:
    """Up to rounding relative to the largest value."""
    scale = float(expected.abs().max()) if expected.numel() else 1.0
    torch.testing.assert_close(
        found, expected, rtol=0, atol=ROUNDING[expected.dtype] * max(scale, 1), msg=lambda text: f"{name}: {text}"
    )


def single_kernels(name: str, dtype: torch.dtype, device: str = "cpu") -> Iterator[tuple[str, Callable[[GPU], Tensor]]]:
    return takewhile(lambda call: not call[0].startswith(COMPOSED), kernel_cases.calls(name, dtype, device))


def links(grid: tuple[int, ...], batch: int, device: str, seed: int = 0) -> Links:
    """Random and symmetric, around every axis that is long enough to be periodic."""
    upper = [normal(batch, *grid, seed=seed + k) * (grid[k] > 2) for k in range(len(grid))]
    return Links.build([u.to(device) for u in upper], (normal(batch, *grid, seed=seed + 9).abs() + 1).to(device))


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_kernels_equal_the_reference(name, dtype, device):
    """One to three axes, odd sizes, single points, batches repeated along a new axis."""
    for kernel, call in single_kernels(name, dtype, device):
        assert_equal(call(GPU()), call(Reference()), kernel)


@pytest.mark.parametrize("name", ["1-D periodic"] if INTERPRETED else [name for name in GRIDS if GRIDS[name][2]])
def test_cycles_equal_the_reference(name, device):
    """A V-cycle and nested iteration, made of the kernels."""
    for kernel, call in kernel_cases.calls(name, torch.float64, device):
        if kernel.startswith(COMPOSED):
            kernel_cases.assert_equal(kernel, call(GPU()), call(Reference()))


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
def test_stencils_equal_the_reference(dtype, device):
    """Σ_q c_q(i) x(i + o_q) and its transpose, for neighbours of any distance."""
    for taps, c, x in islice(kernel_cases.stencils(dtype, device), 0, None, 7 if INTERPRETED else 1):
        assert_equal(GPU().stencil(taps, c, x), Reference().stencil(taps, c, x), taps)


@st.composite
def products(draw) -> tuple[Taps, Tensor, Tensor]:
    """Taps of both kinds with any sign and part, data in any layout, a batch that it repeats to."""
    grid = draw(st.lists(st.integers(1, 7), min_size=1, max_size=3))
    offset = st.tuples(*(st.integers(-8, 8) for _ in grid))
    offsets = draw(st.lists(offset, min_size=1, max_size=4))
    each = {"min_size": len(offsets), "max_size": len(offsets)}
    part = draw(st.lists(st.integers(0, 2), **each))
    sign = draw(st.lists(st.sampled_from([1.0, -1.0, 0.3]), **each))
    moved = draw(st.lists(st.booleans(), **each))
    periodic = draw(st.lists(st.booleans(), min_size=len(grid), max_size=len(grid)))
    own, repeats = draw(st.integers(1, 2)), draw(st.integers(0, 2))
    dtype = draw(st.sampled_from(DTYPES))
    layouts = {
        "in order": normal(own, 3, *grid, dtype=dtype),
        "parts last": normal(own, *grid, 3, dtype=dtype).movedim(-1, 1),
        "constant": normal(own, 3, *(1 for _ in grid), dtype=dtype).expand(own, 3, *grid),
    }
    data = layouts[draw(st.sampled_from(sorted(layouts)))]
    x = normal(*grid, own * repeats, seed=1, dtype=dtype).movedim(-1, 0)
    return Taps(tuple(offsets), tuple(part), tuple(sign), tuple(moved), tuple(periodic)), data, x


@settings(max_examples=10, deadline=None)
@given(product=products())
def test_any_stencil_equals_the_reference(product, device):
    """y(i) = Σ_q sign_q c_q(j) x(i + shift_q)."""
    taps, data, x = product[0], *(t.to(device) for t in product[1:])
    assert_equal(GPU().stencil(taps, data, x), Reference().stencil(taps, data, x))


@settings(max_examples=10, deadline=None)
@given(product=products())
def test_stencils_are_linear_and_have_their_adjoint(product, device):
    """A (x + 2 z) = A x + 2 A z and ⟨y, A x⟩ = ⟨Aᵀ y, x⟩."""
    taps, data, x = product
    data, x = (t.to(device, torch.float64) for t in (data, x))
    y, z = (normal(*x.shape, seed=seed).to(device) for seed in (2, 3))
    forward = Taps.forward(taps.shift[:3], taps.periodic)
    adjoint = Taps.adjoint(taps.shift[:3], taps.periodic)
    Ax, Az, Axz = (GPU().stencil(forward, data, v) for v in (x, z, x + 2 * z))
    assert_equal(Axz, Ax + 2 * Az)
    assert_equal((y * Ax).sum(), (GPU().stencil(adjoint, data, y) * x).sum())


@pytest.mark.parametrize("grid", [(6,), (1,), (4, 6), (5, 1), (2, 4, 6)])
def test_sweeps_have_the_solution_as_fixed_point(grid, device):
    """b = A u: u + ω D⁻¹ (b − A u) = u, and D⁻¹ (b + neighbours) = u."""
    A, u = links(grid, 2, device), normal(2, *grid).to(device)
    b = GPU().apply(A, u)
    assert_equal(GPU().residual(A, b, u), torch.zeros_like(u))
    assert_equal(GPU().jacobi(A, b, u, 0.7), u)
    assert_equal(GPU().red_black(A, b, u), u)


@pytest.mark.parametrize("grid", [(6,), (4, 6), (2, 4, 6)])
def test_the_reversed_sweep_is_the_adjoint(grid, device):
    """E u = u − M A u of one order and E' of the other: ⟨E u, A v⟩ = ⟨A u, E' v⟩."""
    A = links(grid, 1, device)
    u, v = (normal(1, *grid, seed=seed).to(device) for seed in (1, 2))
    zero = torch.zeros_like(u)
    left = (GPU().red_black(A, zero, u) * GPU().apply(A, v)).sum()
    right = (GPU().apply(A, u) * GPU().red_black(A, zero, v, reverse=True)).sum()
    torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
@pytest.mark.parametrize("grid", [(5,), (3, 4), (3, 3, 5)])
def test_sweeps_around_axes_of_odd_length_equal_the_reference(grid, dtype, device):
    """Neighbours of one colour: each takes the other's old value."""
    A = Links(links(grid, 2, device).data.to(dtype))
    b, u = (normal(4, *grid, seed=seed, dtype=dtype).to(device) for seed in (1, 2))
    for reverse in (False, True):
        assert_equal(GPU().red_black(A, b, u, reverse), Reference().red_black(A, b, u, reverse))


def test_kernels_leave_their_input_alone(device):
    A, b, u = links((4, 6), 1, device), *(normal(1, 4, 6, seed=seed).to(device) for seed in (1, 2))
    before = u.clone(), b.clone()
    GPU().red_black(A, b, u)
    GPU().jacobi(A, b, u, 0.5)
    assert torch.equal(u, before[0])
    assert torch.equal(b, before[1])


@pytest.mark.parametrize("shape", [(0, 5), (2, 0), (0, 0), (2, 3, 0)], ids=str)
def test_nothing_to_compute_is_no_launch(shape, device):
    """Empty batches and empty grids."""
    batch, *grid = shape
    x, data = torch.zeros(shape, device=device), torch.zeros(batch, len(grid) + 2, *grid, device=device)
    for field in (
        GPU().apply(Links(data), x),
        GPU().residual(Links(data), x, x),
        GPU().jacobi(Links(data), x, x, 0.5),
        GPU().red_black(Links(data), x, x),
    ):
        assert field.shape == x.shape


def test_large_grids_are_counted_in_64_bits(device, monkeypatch):
    """The same kernels with wide indices."""
    monkeypatch.setattr(triton_points, "_NARROW", 0)
    for kernel, call in single_kernels("2-D odd", torch.float64, device):
        assert_equal(call(GPU()), call(Reference()), kernel)


@settings(max_examples=10, deadline=None)
@given(
    shape=st.tuples(st.integers(0, 7), st.integers(1, 70)),
    batch=st.sampled_from([(1, 1), (1, 3), (2, 2), (2, 4), (3, 0)]),
    density=st.sampled_from([0.0, 0.2, 1.0]),
    dtype=st.sampled_from(DTYPES),
)
def test_sparse_products_equal_dense_ones(shape, batch, density, dtype, device):
    """(A x)ᵢ = Σ over the entries of row i: empty rows, rows longer than a tile, values repeated to the batch."""
    own, repeats = batch
    occupied = torch.rand(shape, generator=torch.Generator().manual_seed(0)) < density
    A = CSROperator.from_dense(torch.where(occupied, normal(own, *shape, dtype=dtype), 0))
    x = normal(shape[1], own * repeats, seed=1, dtype=dtype).mT
    expected = (A.to_dense().repeat(repeats, 1, 1) @ x[..., None])[..., 0]
    arguments = (t.to(device) for t in (A.pattern.crow, A.pattern.col, A.values, x))
    assert_equal(GPU().csr_product(*arguments), expected.to(device))


def test_operators_and_solvers_run_on_the_backend_named(device):
    """The product of a stencil, and multigrid-CG: those of the reference."""
    A = kernel_cases.operator("1-D odd", (2,), torch.float64, device)
    x = normal(2, A.shape[0]).to(device)
    stencil: StencilOperator = A.to_stencil()
    results = []
    for name in ("gpu", "reference"):
        with use_backend(name):
            results.append((stencil.mv(x), stencil.H.mv(x), linear_solve(A, x, CG(), GeometricMultigrid()).value))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.gpu
def test_two_runs_give_the_same_bits(on_gpu):
    """No sum depends on the order in which programs end."""
    for kernel, call in kernel_cases.calls("3-D odd", torch.float32, on_gpu):
        assert torch.equal(call(GPU()), call(GPU())), kernel


@pytest.mark.gpu
def test_the_device_chooses_the_backend(on_gpu):
    assert type(kernels_for(torch.zeros(1, device=on_gpu))) is GPU


if not INTERPRETED:

    def test_these_tests_pass_under_the_interpreter():
        """The tests above that take a device, on the CPU."""
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
        done = subprocess.run(command, env=os.environ | {"TRITON_INTERPRET": "1"}, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    @pytest.mark.parametrize(
        ("name", "dtype"),
        [("1-D one point", torch.float64), ("2-D vertices", torch.float64), ("2-D vertices", torch.float32)],
    )
    def test_kernels_compile_and_compute_in_the_dtype_of_the_data(name, dtype, monkeypatch, tmp_path):
        """Machine code for a GPU that need not be there, without a number of the other precision."""
        target = SimpleNamespace(
            get_current_target=lambda: GPUTarget("cuda", 90, 32),
            get_current_device=lambda: "none",
            get_current_stream=lambda device: 0,
        )
        monkeypatch.setattr(driver, "_active", target)
        monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
        compiled = {}

        def compile_only(kernel, programs, out, *arguments, **constants):
            compiled[kernel.__name__] = kernel.warmup(out, *arguments, grid=(programs,), **constants).asm
            return out

        for module in (triton_csr, triton_taps, triton_transfers):
            monkeypatch.setattr(module, "launch", compile_only)
        for _, call in single_kernels(name, dtype):
            call(GPU())
        A = kernel_cases.operator(name, (), dtype).to_csr()
        GPU().csr_product(A.pattern.crow, A.pattern.col, A.values[None], normal(3, A.shape[1], dtype=dtype))
        assert len(compiled) >= 5
        other = {torch.float64: "f32", torch.float32: "f64"}[dtype]
        for kernel, code in compiled.items():
            assert code["cubin"], kernel
            assert f".{other}" not in code["ptx"], kernel

    def test_tensors_elsewhere_are_refused():
        A = StencilOperator([(0,)], torch.ones(1, 3))
        with (
            use_backend("gpu"),
            pytest.raises(DeviceError, match="tensor on cpu: the backend 'gpu' needs tensors on a"),
        ):
            A.mv(torch.ones(3))

    def test_triton_is_imported_on_first_use():
        code = "import sys, solvers; sys.exit('triton' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code]).returncode == 0
