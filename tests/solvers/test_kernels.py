"""Inner loops: the reference is the mathematics, the compiled loops equal the reference."""

import hashlib
from importlib import import_module
from pathlib import Path

import kernel_cases
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import GRIDS, assert_equal
from solver_cases import normal

from solvers import CG, GeometricMultigrid, StencilOperator, linear_solve, poisson_operator, use_backend
from solvers.kernels import Reference, Taps, kernels_for
from solvers.kernels.cpu import CPU
from solvers.kernels.stencil_loops import CHUNK
from solvers.kernels.threads import over_batch
from solvers.multigrid.coarsening import coarsen

DTYPES = [torch.float64, torch.float32]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", GRIDS)
def test_compiled_loops_equal_the_reference(name, dtype):
    """Every kernel, one to three axes, odd sizes, single points, batches repeated along a new axis."""
    for kernel, call in kernel_cases.calls(name, dtype):
        assert_equal(kernel, call(CPU()), call(Reference()))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_compiled_stencils_equal_the_reference(dtype):
    """Σ_q c_q(i) x(i + o_q) and its transpose, for neighbours of any distance."""
    for taps, c, x in kernel_cases.stencils(dtype):
        assert_equal(str(taps), CPU().stencil(taps, c, x), Reference().stencil(taps, c, x))


@pytest.mark.parametrize("name", [name for name in GRIDS if GRIDS[name][2]])
def test_restriction_is_the_transpose_of_interpolation(name):
    """⟨P e, r⟩ = ⟨e, Pᵀ r⟩."""
    A = kernel_cases.operator(name, (2,), torch.float64)
    steps, coarse = coarsen(A, GRIDS[name][2])
    e, r = normal(2, *coarse.grid), normal(2, *A.grid, seed=1)
    for kernels in (Reference(), CPU()):
        left, right = (kernels.prolong(steps, e) * r).sum(), (e * kernels.restrict(steps, r)).sum()
        torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("backend", [Reference(), CPU()], ids=lambda k: type(k).__name__)
@pytest.mark.parametrize("name", GRIDS)
def test_links_are_taps(name, backend):
    """The diffusion product is the product with the stencil `Taps.of_links`."""
    A = kernel_cases.operator(name, (2,), torch.float64)
    u = normal(2, *A.grid)
    found = backend.stencil(Taps.of_links(len(A.grid)), A.links.data, u)
    torch.testing.assert_close(found.flatten(1), (A.to_dense() @ u.flatten(1)[..., None])[..., 0])


@settings(max_examples=25, deadline=None)
@given(
    grid=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    batch=st.integers(0, 3),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.complex64, torch.complex128]),
    data=st.data(),
)
def test_stencils_are_their_matrices(grid, batch, dtype, data):
    """A x and Aᴴ y by the product's kernel are those of the sparse matrix; empty batches, complex numbers."""
    offset = st.tuples(*(st.integers(-3, 3) for _ in grid))
    offsets = data.draw(st.lists(offset, min_size=1, max_size=4, unique=True))
    periodic = data.draw(st.lists(st.booleans(), min_size=len(grid), max_size=len(grid)))
    A = StencilOperator(offsets, normal(batch, len(offsets), *grid, dtype=dtype), periodic)
    x = normal(batch, A.shape[1], seed=1, dtype=dtype)
    dense = A.to_csr().to_dense()
    tolerance = {"rtol": 1e-4, "atol": 1e-4} if dtype in (torch.float32, torch.complex64) else {}
    torch.testing.assert_close(A.mv(x), (dense @ x[..., None])[..., 0], **tolerance)
    torch.testing.assert_close(A.rmv(x), (dense.mH @ x[..., None])[..., 0], **tolerance)


@pytest.mark.parametrize("periodic", [False, True])
def test_long_lines_are_computed_in_pieces(periodic):
    """A line longer than a piece is the same line."""
    offsets, n = [(-1,), (0,), (5,)], 2 * CHUNK + 3
    c, x = normal(1, 3, n), normal(1, n, seed=1)
    for taps in (Taps.forward(offsets, (periodic,)), Taps.adjoint(offsets, (periodic,))):
        assert_equal(str(taps), CPU().stencil(taps, c, x), Reference().stencil(taps, c, x))


@pytest.mark.parametrize(("count", "least"), [(0, 1), (1, 1), (5, 1), (5, 2), (100, 40), (3, 100)])
def test_pieces_cover_the_batch_once(count, least):
    """Disjoint, complete, and none shorter than asked."""
    pieces: list[tuple[int, int]] = []
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        over_batch(lambda begin, end: pieces.append((begin, end)), count, least=least)
    finally:
        torch.set_num_threads(before)
    assert sorted(i for begin, end in pieces for i in range(begin, end)) == list(range(count))
    assert len(pieces) == 1 or min(end - begin for begin, end in pieces) >= least


def test_one_large_grid_is_shared_by_the_threads():
    """Planes on different threads: the same product."""
    A = poisson_operator((40, 40, 40))
    x = normal(A.shape[0])
    before = torch.get_num_threads()
    results = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        results.append(A.mv(x))
    torch.set_num_threads(before)
    torch.testing.assert_close(*results, rtol=0, atol=0)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("kind", ["diffusion", "stencil"])
def test_compiled_conjugate_gradients_take_the_plain_steps(kind, scaled):
    """The loop of one call a system and the loop over the batch: same steps, same solution."""
    A = kernel_cases.operator("3-D", (2,), torch.float64)
    taps = Taps.of_links(3) if kind == "diffusion" else Taps.forward(A.to_stencil().offsets, A.periodic)
    data = A.links.data if kind == "diffusion" else A.to_stencil().coefficients
    b = normal(4, A.shape[0])
    scaling = 1 / A.diagonal() if scaled else torch.ones(1, 1, dtype=torch.float64)
    goal = 1e-9 * b.norm(dim=-1)
    limit = torch.full((4,), 500, dtype=torch.int32)
    x, status, steps = CPU().stencil_conjugate_gradients(
        taps, data, scaling, *(v.reshape(-1, *A.grid) for v in (torch.zeros_like(b), b)), goal, limit
    )
    with use_backend("reference"):
        repeated = A.replace(tuple(p.repeat(2, 1, 1, 1) if p.ndim == 4 else p for p in A.parameters()))
        plain = linear_solve(repeated, b, CG(rtol=1e-9))
    assert (status == -1).all()
    if not scaled:
        assert (steps - plain.stats.iterations).abs().max() <= 1
    torch.testing.assert_close(x.flatten(1), plain.value, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
def test_complex_numbers_run_on_the_reference(dtype):
    with use_backend("cpu"):
        assert type(kernels_for(torch.zeros(1, dtype=dtype))) is Reference
        assert type(kernels_for(torch.zeros(1))) is CPU


def test_transformed_functions_run_on_the_reference():
    """torch.func.vmap has no memory to hand to compiled loops."""
    A = poisson_operator((4, 4)).to_stencil()
    x = normal(3, 16)
    torch.testing.assert_close(torch.func.vmap(lambda v: A._mv(v))(x), A.mv(x))


PARTS = {
    "loops": ["smoothing_loops", "transfer_loops", "vector_loops"],
    "stencil_loops": ["vector_loops"],
    "csr_loops": ["vector_loops"],
    "aggregation_loops": ["aggregation_sweeps", "loops", "smoothing_loops", "vector_loops"],
}


@pytest.mark.parametrize("name", PARTS)
def test_cached_loops_know_their_parts(name):
    """Numba's cache does not see changes in imported files: a change there must be one of the importing file, too."""
    loops = import_module(f"solvers.kernels.{name}")
    parts = (Path(loops.__file__).with_name(f"{part}.py").read_bytes() for part in PARTS[name])
    digest = hashlib.sha256(b"".join(parts)).hexdigest()[:16]
    assert digest == loops.PARTS, f"set PARTS in solvers/kernels/{name}.py to {digest!r}"


def test_the_hierarchy_is_packed_once():
    M = GeometricMultigrid().setup(poisson_operator((16, 16)))
    M(normal(256))
    packed = M.data.prepared["cpu"]
    M(normal(256, seed=1))
    assert M.data.prepared["cpu"] is packed


@settings(max_examples=25, deadline=None)
@given(
    m=st.integers(0, 7),
    n=st.integers(0, 7),
    own=st.sampled_from([1, 2]),
    batch=st.integers(0, 3),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 100),
)
def test_products_with_sparse_matrices_are_those_of_dense_ones(m, n, own, batch, dtype, seed):
    """A x on every backend, batches of vectors repeated over the matrices, empty rows and sizes."""
    stored = torch.rand(m, n, generator=torch.Generator().manual_seed(seed)) < 0.4
    crow = torch.cat([torch.zeros(1, dtype=torch.int64), stored.sum(1).cumsum(0)]).int()
    col = stored.nonzero()[:, 1].int()
    values, x = normal(own, col.numel(), seed=seed, dtype=dtype), normal(own * batch, n, seed=seed + 1, dtype=dtype)
    dense = torch.zeros(own, m, n, dtype=dtype)
    dense[:, stored] = values
    expected = (dense.repeat(batch, 1, 1) @ x[..., None])[..., 0]
    for kernels in (Reference(), CPU()):
        assert_equal(type(kernels).__name__, kernels.csr_product(crow, col, values, x), expected)


def test_long_matrices_are_multiplied_in_pieces():
    """More rows than a piece has, on several threads."""
    A = poisson_operator((150, 150)).to_csr()
    x = normal(3, A.shape[0])
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        found = CPU().csr_product(A.pattern.crow, A.pattern.col, A.values[None], x)
    finally:
        torch.set_num_threads(before)
    assert_equal("product", found, torch.stack([A.mv(v) for v in x]))
