"""Sums, multiples, products, and operators that store no pattern: the matrix they stand for, and its derivatives."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from solver_cases import dense_spd, diffusion, generator, normal, random_stencil
from torch import Tensor

from solvers import (
    CG,
    BlockDiagonalOperator,
    CSROperator,
    DenseOperator,
    DiagonalOperator,
    DTypeError,
    FunctionOperator,
    IdentityOperator,
    LinearOperator,
    ProductOperator,
    ShapeError,
    Status,
    SumOperator,
    TagError,
    linear_solve,
    poisson_operator,
)
from solvers.operators import AdjointOperator

DTYPES = [torch.float64, torch.complex128]
Case = tuple[LinearOperator, Tensor]


def sparse(m: int, n: int, *batch: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> CSROperator:
    kept = torch.rand(m, n, generator=generator(seed)) < 0.6
    return CSROperator.from_dense(normal(*batch, m, n, seed=seed, dtype=dtype) * kept)


def leaves(dtype: torch.dtype) -> dict[str, Case]:
    """Operators by themselves, each with its matrix made in another way."""
    M, d, w = normal(2, 3, 4, dtype=dtype), normal(2, 3, dtype=dtype, seed=1), normal(4, dtype=dtype, seed=2)
    shift = torch.eye(4, dtype=dtype).roll(1, 0)
    turn = FunctionOperator(lambda x, w: (w.sin() * x).roll(1, -1), (4, 4), (w,))
    turn_with_adjoint = FunctionOperator(
        lambda x, w: (w.sin() * x).roll(1, -1), (4, 4), (w,), lambda y, w: w.sin().conj() * y.roll(-1, -1)
    )
    blocks = [sparse(k, k, dtype=dtype, seed=k) for k in (2, 4, 3)]
    padded = torch.eye(4, dtype=dtype).repeat(3, 1, 1)
    for i, block in enumerate(blocks):
        padded[i, : block.shape[0], : block.shape[1]] = block.to_dense()
    return {
        "dense": (DenseOperator(M), M),
        "one dense": (DenseOperator(M[0]), M[0]),
        "diagonal": (DiagonalOperator(d), torch.diag_embed(d)),
        "identity": (IdentityOperator(3, dtype), torch.eye(3, dtype=dtype)),
        "csr": (sparse(3, 4, 2, dtype=dtype), sparse(3, 4, 2, dtype=dtype).to_torch().to_dense()),
        "function": (turn, shift @ torch.diag(w.sin())),
        "function, adjoint": (turn_with_adjoint, shift @ torch.diag(w.sin())),
        "tall function": (
            FunctionOperator(lambda x, w: torch.cat([w[:2] * x, x**1 * w[2] * w[3]], -1), (4, 2), (w,)),
            torch.cat([torch.diag(w[:2]), w[2] * w[3] * torch.eye(2, dtype=dtype)]),
        ),
        "blocks": (BlockDiagonalOperator(blocks), padded),
    }


def compositions(dtype: torch.dtype) -> dict[str, Case]:
    A, B, D = sparse(3, 3, dtype=dtype), DenseOperator(normal(2, 3, 3, dtype=dtype)), normal(3, dtype=dtype, seed=3)
    tall, wide = DenseOperator(normal(4, 3, dtype=dtype, seed=4)), sparse(3, 4, 2, dtype=dtype, seed=5)
    a, b, t, w = A.to_dense(), B.matrix, tall.matrix, wide.to_dense()
    c, eye = torch.tensor([0.5, -2.0], dtype=dtype), IdentityOperator(3, dtype)
    bent = FunctionOperator(lambda x, v: v**2 * x, (3, 3), (D,))
    return {
        "sum": (A + B, a + b),
        "difference": (A - B, a - b),
        "negative": (-B, -b),
        "half": (B / 2, b / 2),
        "per system": (c * A, c[:, None, None] * a),
        "one factor": (c[0] * B, c[0] * b),
        "shift": (A + 0.3 * eye, a + 0.3 * torch.eye(3)),
        "variable shift": (A - c * eye, a - c[:, None, None] * torch.eye(3)),
        "product": (tall @ wide, t @ w),
        "three factors": (A @ wide @ tall, a @ w @ t),
        "Gram": (wide.H @ wide, w.mH @ w),
        "adjoint": (AdjointOperator(tall @ wide), (t @ w).mH),
        "everything": (
            c * (wide @ tall + bent @ A) - AdjointOperator(A @ bent) @ A,
            c[:, None, None] * (w @ t + torch.diag(D**2) @ a) - (a @ torch.diag(D**2)).mH @ a,
        ),
    }


@cache
def cases(dtype: torch.dtype) -> dict[str, Case]:
    return leaves(dtype) | compositions(dtype)


every_case = pytest.mark.parametrize("name", cases(torch.float64))
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=["real", "complex"])


@every_dtype
@every_case
def test_operator_is_its_matrix(name, dtype):
    """A x = M x, Aᴴ y = Mᴴ y, diagonal, transpose and conjugate; also for vectors with more batch axes."""
    A, M = cases(dtype)[name]
    assert A.shape == M.shape[-2:]
    assert A.batch_shape == M.shape[:-2]
    x, y = normal(5, *A.batch_shape, A.shape[1], dtype=dtype), normal(*A.batch_shape, A.shape[0], dtype=dtype, seed=1)
    torch.testing.assert_close(A @ x, (M @ x[..., None])[..., 0])
    torch.testing.assert_close(A.rmv(y), (M.mH @ y[..., None])[..., 0])
    torch.testing.assert_close(A.to_dense(), M)
    torch.testing.assert_close(A.H.to_dense(), M.mH)
    torch.testing.assert_close(A.T.to_dense(), M.mT)
    torch.testing.assert_close(A.conj().to_dense(), M.conj())
    torch.testing.assert_close(A.diagonal(), M.diagonal(dim1=-2, dim2=-1))
    torch.testing.assert_close(A.H.diagonal(), M.mH.diagonal(dim1=-2, dim2=-1))


@every_dtype
@every_case
def test_products_are_linear_and_adjoint(name, dtype):
    """A (s u + v) = s A u + A v, and ⟨A u, w⟩ = ⟨u, Aᴴ w⟩ to 1e-12."""
    A, _ = cases(dtype)[name]
    u, v = (normal(*A.batch_shape, A.shape[1], dtype=dtype, seed=i) for i in (0, 1))
    w, s = normal(*A.batch_shape, A.shape[0], dtype=dtype, seed=2), normal(1, dtype=dtype, seed=3)
    torch.testing.assert_close(A @ (s * u + v), s * (A @ u) + A @ v, rtol=0, atol=1e-12)
    torch.testing.assert_close(A.inner(A @ u, w), A.inner(u, A.rmv(w)), rtol=0, atol=1e-12)


@every_dtype
@every_case
def test_columns_are_vectors_side_by_side(name, dtype):
    A, M = cases(dtype)[name]
    X = normal(*A.batch_shape, A.shape[1], 3, dtype=dtype)
    torch.testing.assert_close(A.mm(X), M @ X)


@every_dtype
@every_case
@pytest.mark.parametrize("transposed", [False, True], ids=["A x", "Aᴴ x"])
def test_products_are_differentiable_twice_and_forward(name, transposed, dtype):
    """∂(A(θ) x): gradients, their gradients, and forward mode of both, in x and in every parameter."""
    A, _ = cases(dtype)[name]
    x = normal(*A.batch_shape, A.shape[0 if transposed else 1], dtype=dtype)

    def product(x, *parameters):
        B = A.replace(parameters)
        return B.rmv(x) if transposed else B.mv(x)

    inputs = [t.detach().clone().requires_grad_() for t in (x, *A.parameters())]
    # Every path of the rules, along random directions: whole Jacobians of everything would take minutes.
    assert torch.autograd.gradcheck(product, inputs, check_forward_ad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(product, inputs, check_fwd_over_rev=True, fast_mode=True)


@every_case
def test_real_jacobians_are_right_entry_by_entry(name):
    """The same for whole Jacobians of first order."""
    A, _ = cases(torch.float64)[name]
    x = normal(*A.batch_shape, A.shape[1])
    inputs = [t.detach().clone().requires_grad_() for t in (x, *A.parameters())]
    assert torch.autograd.gradcheck(lambda x, *theta: A.replace(theta).mv(x), inputs, check_forward_ad=True)


@every_dtype
@every_case
def test_pullback_is_the_gradient_of_the_bilinear_form(name, dtype):
    """∂ Re ⟨u, A(θ) v⟩ / ∂θ against autograd through the dense matrix."""
    A, _ = cases(dtype)[name]
    u, v = normal(*A.batch_shape, A.shape[0], dtype=dtype), normal(*A.batch_shape, A.shape[1], dtype=dtype, seed=1)
    theta = [t.detach().clone().requires_grad_() for t in A.parameters()]
    B = A.replace(tuple(theta))
    if not theta:
        assert A.pullback(u, v) == ()
        return
    form = (u.conj() * (B.to_dense() @ v[..., None])[..., 0]).sum().real
    for ours, theirs in zip(B.pullback(u, v), torch.autograd.grad(form, theta), strict=True):
        torch.testing.assert_close(ours, theirs)


@every_dtype
@every_case
def test_stored_entries_are_the_same_matrix(name, dtype):
    """Where every part has entries, sums and products can be formed; the error names a part that has none."""
    A, M = cases(dtype)[name]
    if "FunctionOperator" in A.expression:
        if hasattr(A, "to_csr"):
            with pytest.raises(TagError, match=r"FunctionOperator.* has no stored entries"):
                A.to_csr()
        return
    if hasattr(A, "to_csr"):
        formed = A.to_csr()
        assert formed.batch_shape == A.batch_shape
        assert formed.pattern.col.dtype == torch.int32
        torch.testing.assert_close(formed.to_dense(), M)


@every_case
def test_precision_is_converted_with_every_part(name):
    """`to` and `replace` carry parts without parameters along; real factors of complex operators stay real."""
    A, M = cases(torch.float64)[name]
    low = A.to(torch.float32)
    assert low.dtype == torch.float32
    assert {p.dtype for p in low.parameters()} <= {torch.float32}
    torch.testing.assert_close(low.to_dense(), M.to(torch.float32), rtol=1e-5, atol=1e-5)
    if A.parameters():
        replaced = A.replace(tuple(p.to(torch.float32) for p in A.parameters()))
        torch.testing.assert_close(replaced.to_dense(), low.to_dense())
    raised = A.to(torch.complex128)
    torch.testing.assert_close(raised.to_dense(), M.to(torch.complex128))
    with pytest.raises(DTypeError, match=r"drop imaginary parts"):
        raised.to(torch.float64)


TAGS = {
    "spd + spd": (lambda A, S: A + A, {"symmetric", "spd"}),
    "spd + symmetric": (lambda A, S: A + S, {"symmetric"}),
    "spd − spd": (lambda A, S: A - A, {"symmetric"}),
    "2 spd": (lambda A, S: 2 * A, {"symmetric", "spd"}),
    "−spd": (lambda A, S: -A, {"symmetric"}),
    "−(−spd)": (lambda A, S: -1 * (-A), {"symmetric"}),
    "positive tensor": (lambda A, S: torch.tensor([1.0, 2.0], dtype=torch.float64) * A, {"symmetric", "spd"}),
    "NaN": (lambda A, S: torch.tensor([1.0, torch.nan], dtype=torch.float64) * A, {"symmetric", "spd"}),
    "a zero": (lambda A, S: torch.tensor([1.0, 0.0], dtype=torch.float64) * A, {"symmetric"}),
    "A Bᴴ": (lambda A, S: A @ S, set()),
    "A A": (lambda A, S: A @ A, {"symmetric"}),
    "congruence": (lambda A, S: (P := DenseOperator(normal(3, 2))).H @ A @ P, {"symmetric"}),
    "not a congruence": (lambda A, S: (P := DenseOperator(normal(3, 3))) @ A @ P, set()),
    "claimed": (lambda A, S: ProductOperator(A, A, tags={"spd"}), {"symmetric", "spd"}),
    "claim kept": (lambda A, S: 2 * ProductOperator(A, A, tags={"spd"}) + A, {"symmetric", "spd"}),
    "shift": (lambda A, S: A + 0.1 * IdentityOperator(3, torch.float64), {"symmetric", "spd"}),
    "real diagonal": (lambda A, S: DiagonalOperator(normal(3)), {"symmetric"}),
    "complex diagonal": (lambda A, S: DiagonalOperator(normal(3, dtype=torch.complex128)), set()),
    "imaginary multiple": (lambda A, S: 1j * A.to(torch.complex128), set()),
    "real multiple of Hermitian": (lambda A, S: 2 * A.to(torch.complex128), {"symmetric", "spd"}),
    "NumPy's numbers": (lambda A, S: np.float32(2) * (np.float64(0.5) * A), {"symmetric", "spd"}),
}


@pytest.mark.parametrize("case", TAGS)
def test_tags_follow_theorems(case):
    """Sums of symmetric, positive multiples of definite ones, congruences; and no tag where no theorem gives one."""
    build, tags = TAGS[case]
    A, S = DenseOperator(dense_spd(3), {"spd"}), DenseOperator(-dense_spd(3, seed=1), {"symmetric"})
    combined = build(A, S)
    assert combined.tags == tags
    assert combined.replace(combined.parameters()).tags == tags
    if "symmetric" in tags and bool(combined.is_finite().all()):
        torch.testing.assert_close(combined.to_dense(), combined.to_dense().mH)


def test_sums_and_products_are_associative_in_what_they_store():
    """(A + B) + C and A + (B + C) are one sum of three; likewise products."""
    A, B, C = (DenseOperator(normal(3, 3, seed=i)) for i in range(3))
    assert ((A + B) + C).parts == (A + (B + C)).parts == (A, B, C)
    assert ((A @ B) @ C).parts == (A @ (B @ C)).parts == (A, B, C)


def test_printed_form_says_how_it_is_made():
    A = DenseOperator(dense_spd(3), {"spd"})
    text = repr(2 * (A + 0.5 * IdentityOperator(3, torch.float64)) @ A.replace((A.matrix,)))
    assert "2 · (DenseOperator + 0.5 · IdentityOperator) @ DenseOperator" in text
    assert "9 entries" in repr(A.to_csr())


@pytest.mark.parametrize("boundary", ["neumann", "periodic"])
def test_kernel_of_a_sum_is_what_the_terms_share(boundary):
    """Neumann + Neumann has the constants as its kernel; one regular term, and there is none."""
    A, B = diffusion((3, 3), (2,), boundary), 3 * diffusion((3, 3), (), boundary, seed=1)
    x = normal(2, 9)
    torch.testing.assert_close((A + B).project(x), x - x.mean(-1, keepdim=True))
    shifted = A + B + IdentityOperator(9, torch.float64)
    assert shifted.project(x) is x
    b = (A + B).project(x)
    solution = linear_solve(A + B, b, CG(rtol=1e-12)).value
    torch.testing.assert_close((A + B) @ solution, b, rtol=1e-9, atol=1e-10)


SOLVED = {
    "implicit step": lambda: diffusion((2, 3), (2,)) + 0.5 * IdentityOperator(6, torch.float64),
    "per system": lambda: torch.tensor([0.5, 2.0], dtype=torch.float64) * diffusion((2, 2)),
    "normal equations": lambda: ProductOperator((B := sparse(5, 3, seed=2)).H, B, tags={"spd"}),
    "dense": lambda: DenseOperator(dense_spd(3, 2), {"spd"}),
    "function": lambda: FunctionOperator(
        lambda x, w: w.exp() * x + 0.1 * x.sum(-1, keepdim=True), (4, 4), (normal(4),), tags={"spd"}
    ),
    "blocks": lambda: BlockDiagonalOperator(
        [CSROperator.from_dense(dense_spd(k, seed=k), tags={"spd"}) for k in (2, 3)]
    ),
}


@pytest.mark.parametrize("name", SOLVED)
def test_solves_with_combined_operators_are_twice_differentiable(name):
    """x(θ, b) = A(θ)⁻¹ b through every rule at once, and equal to the dense solve."""
    A = SOLVED[name]()
    b = normal(*A.batch_shape, A.shape[0])
    solve = CG(rtol=1e-13)
    expected = torch.linalg.solve(A.to_dense(), b)
    torch.testing.assert_close(linear_solve(A, b, solve).value, expected)
    inputs = [t.detach().clone().requires_grad_() for t in (b, *A.parameters())]

    def value(b, *theta):
        return linear_solve(A.replace(theta), b, solve).value

    assert torch.autograd.gradcheck(value, inputs, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(value, inputs, fast_mode=True)


def test_factor_is_learned_through_a_solve():
    """d/dc of c ↦ ⟨w, (A + c I)⁻¹ b⟩ is −⟨w, (A + c I)⁻² b⟩."""
    A, b, w = poisson_operator((4, 4)), normal(16), normal(16, seed=1)
    c = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    shifted = A + c * IdentityOperator(16, torch.float64)
    (linear_solve(shifted, b, CG(rtol=1e-13)).value @ w).backward()
    M = A.to_dense() + 0.3 * torch.eye(16)
    torch.testing.assert_close(c.grad, -w @ torch.linalg.solve(M, torch.linalg.solve(M, b)))


def test_each_block_has_its_own_status_and_count():
    """A ragged batch behaves as its systems do alone: healthy, zero right-hand side, NaN, indefinite."""
    sizes = (4, 7, 5, 3, 6)
    blocks = [CSROperator.from_dense(dense_spd(n, seed=n), tags={"spd"}) for n in sizes]
    blocks[2].values[3] = torch.nan
    blocks[3] = CSROperator.from_dense(-dense_spd(3), tags={"spd"})
    A = BlockDiagonalOperator(blocks)
    rhs = [normal(n, seed=n) for n in sizes]
    rhs[1].zero_()
    solution = linear_solve(A, A.pack(rhs), CG(rtol=1e-10), throw=False)
    expected = [Status.CONVERGED, Status.CONVERGED, Status.NONFINITE_INPUT, Status.INDEFINITE, Status.CONVERGED]
    assert solution.status.tolist() == expected
    for i in (0, 1, 4):
        alone = linear_solve(blocks[i], rhs[i], CG(rtol=1e-10))
        assert int(solution.stats.iterations[i]) == int(alone.stats.iterations)
        torch.testing.assert_close(A.unpack(solution.value)[i], alone.value, rtol=1e-9, atol=1e-12)
        assert solution.value[i, sizes[i] :].abs().sum() == 0


@settings(max_examples=20, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 5), min_size=1, max_size=4), more=st.sampled_from([(), (2,)]), seed=st.integers(0, 9)
)
def test_ragged_vectors_survive_packing(sizes, more, seed):
    """`unpack(pack(v)) = v`, and the product of packed vectors is that of each block, empty ones included."""
    blocks = [sparse(n, n, seed=seed + i) for i, n in enumerate(sizes)]
    A = BlockDiagonalOperator(blocks)
    vectors = [normal(*more, n, seed=seed + i) for i, n in enumerate(sizes)]
    for ours, given_vector in zip(A.unpack(A.pack(vectors)), vectors, strict=True):
        assert torch.equal(ours, given_vector)
    for ours, block, v in zip(A.unpack(A @ A.pack(vectors)), blocks, vectors, strict=True):
        torch.testing.assert_close(ours, block @ v)
    for block, again in zip(blocks, A.blocks, strict=True):
        assert block.pattern is again.pattern
        assert torch.equal(block.values, again.values)


def test_gradients_reach_the_values_of_each_block():
    dense = [dense_spd(n, seed=n).requires_grad_() for n in (2, 3)]
    A = BlockDiagonalOperator([CSROperator.from_dense(m, tags={"spd"}) for m in dense])
    b = [normal(2), normal(3)]
    A.unpack(linear_solve(A, A.pack(b), CG(rtol=1e-13)).value)[1].sum().backward()
    x = torch.linalg.solve(dense[1], b[1])
    adjoint = torch.linalg.solve(dense[1], torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(dense[1].grad, -torch.outer(adjoint, x).detach())
    assert dense[0].grad.abs().sum() == 0


def test_derivative_of_a_function_is_partial():
    """A vector that depends on θ itself must not enter ∂A/∂θ twice: d(θ² · θ)/dθ = 3 θ²."""
    theta = torch.tensor([2.0, 3.0], dtype=torch.float64, requires_grad=True)
    A = FunctionOperator(lambda x, t: t**2 * x, (2, 2), (theta,))
    (first,) = torch.autograd.grad((A @ theta).sum(), theta, create_graph=True)
    torch.testing.assert_close(first, 3 * theta**2)
    torch.testing.assert_close(torch.autograd.grad(first.sum(), theta)[0], 6 * theta.detach())


def test_function_without_autograd_needs_an_adjoint():
    """A product by NumPy: fine with both directions given, a clear error where the adjoint is missing."""
    M = np.random.default_rng(0).standard_normal((3, 3))

    def by(matrix):
        return lambda x: torch.from_numpy(x.detach().numpy() @ matrix.T)

    A = FunctionOperator(by(M), (3, 3), adjoint_fn=by(M.T), dtype=torch.float64)
    x = normal(3).requires_grad_()
    (A @ x).sum().backward()
    torch.testing.assert_close(x.grad, torch.from_numpy(M.sum(0)))
    with pytest.raises(TagError, match="adjoint_fn"):
        FunctionOperator(by(M), (3, 3), dtype=torch.float64).rmv(x)


@pytest.mark.parametrize("n", [0, 1])
def test_degenerate_sizes(n):
    """No unknowns, one unknown, an empty batch: shapes are kept."""
    eye = IdentityOperator(n, torch.float64)
    dense = DenseOperator(torch.ones(n, n, dtype=torch.float64))
    A = (dense + 2 * eye) @ DiagonalOperator(torch.ones(n, dtype=torch.float64))
    assert (A @ torch.ones(n, dtype=torch.float64)).tolist() == [3.0] * n
    assert A.diagonal().tolist() == [3.0] * n
    assert A.to_csr().to_dense().shape == (n, n)
    batch = torch.ones(0, dtype=torch.float64) * A
    assert (batch @ torch.ones(n, dtype=torch.float64)).shape == (0, n)
    assert batch.to_csr().to_dense().shape == (0, n, n)
    assert (A.to_csr() @ torch.ones(0, n, dtype=torch.float64)).shape == (0, n)


def test_from_stencil_and_products_with_stencils():
    """A stencil and a diffusion of one grid add up."""
    A, B = random_stencil((3, 4), (2,), False), diffusion((3, 4))
    torch.testing.assert_close((A + B).to_dense(), A.to_dense() + B.to_dense())
    torch.testing.assert_close((A @ B).to_csr().to_dense(), A.to_dense() @ B.to_dense())


f32, f64 = torch.float32, torch.float64
BAD_INPUTS = {
    "sum of shapes": (ShapeError, "cannot add .*2 × 3.*3 × 3.*shapes differ", lambda: sparse(2, 3) + sparse(3, 3)),
    "sum of dtypes": (DTypeError, r"dtypes differ.*\.to\(dtype\)", lambda: sparse(3, 3) + IdentityOperator(3, f32)),
    "sum of batches": (ShapeError, "do not broadcast", lambda: sparse(3, 3, 2) + sparse(3, 3, 3)),
    "sum of three batches": (
        ShapeError,
        r"batch \(2,\).*do not broadcast",
        lambda: SumOperator(sparse(3, 3), sparse(3, 3, 2), sparse(3, 3, 3)),
    ),
    "product of three batches": (
        ShapeError,
        r"batch \(2,\).*do not broadcast",
        lambda: ProductOperator(sparse(3, 3, 2), sparse(3, 3), sparse(3, 3, 3)),
    ),
    "sum of nothing": (ShapeError, "nothing to add", lambda: SumOperator()),
    "product of nothing": (ShapeError, "nothing to multiply", lambda: ProductOperator()),
    "product": (ShapeError, "3 columns meet 2 rows", lambda: sparse(2, 3) @ sparse(2, 3)),
    "number plus operator": (TypeError, "unsupported operand", lambda: 1 + sparse(3, 3)),
    "operator times operator": (TypeError, "unsupported operand", lambda: sparse(3, 3) * sparse(3, 3)),
    "factor batch": (ShapeError, r"factor \(3,\)", lambda: normal(3) * sparse(3, 3, 2)),
    "factor dtype": (DTypeError, "factor of dtype torch.float32", lambda: normal(2, dtype=f32) * sparse(3, 3)),
    "complex factor": (DTypeError, r"to\(torch.complex128\)", lambda: 1j * sparse(3, 3)),
    "vector": (ShapeError, r"SumOperator expects \(\*batch, 3\)", lambda: (sparse(3, 3) + sparse(3, 3)) @ normal(4)),
    "dense vector": (ShapeError, r"\(\*batch, m, n\)", lambda: DenseOperator(normal(3))),
    "dense integers": (DTypeError, "int64", lambda: DenseOperator(torch.ones(2, 2, dtype=torch.int64))),
    "diagonal number": (ShapeError, "IdentityOperator", lambda: DiagonalOperator(torch.tensor(1.0))),
    "diagonal integers": (DTypeError, "int64", lambda: DiagonalOperator(torch.ones(2, dtype=torch.int64))),
    "identity size": (ShapeError, "n = -1", lambda: IdentityOperator(-1, f64)),
    "identity dtype": (DTypeError, "int64", lambda: IdentityOperator(2, torch.int64)),
    "function shape": (ShapeError, r"fn returned \(2,\)", lambda: function(lambda x: x[..., :2])),
    "function dtype": (DTypeError, "fn returned torch.float32", lambda: function(lambda x: x.float())),
    "function without dtype": (DTypeError, "dtype=torch.float64", lambda: FunctionOperator(lambda x: x, (3, 3))),
    "affine function": (TagError, r"fn\(0\) is not zero", lambda: function(lambda x: x + 1)),
    "hidden parameter": (TagError, "not among params", lambda: hidden()),
    "integer parameter": (DTypeError, "inside of fn", lambda: function(lambda x, k: x[..., k], torch.arange(3))),
    "batch in a block": (ShapeError, "block 1.*without batch", lambda: ragged(sparse(2, 2), sparse(2, 2, 2))),
    "oblong block": (ShapeError, "block 0.*square", lambda: ragged(sparse(2, 3))),
    "block dtypes": (DTypeError, "block 1 holds torch.float32", lambda: ragged(sparse(2, 2), sparse(2, 2).to(f32))),
    "no blocks": (ShapeError, "at least one", lambda: ragged()),
    "pack": (ShapeError, r"lengths \(2, 2\)", lambda: ragged(sparse(2, 2), sparse(3, 3)).pack([normal(2), normal(2)])),
    "unpack": (ShapeError, "as pack returns", lambda: ragged(sparse(2, 2), sparse(3, 3)).unpack(normal(2, 2))),
}


def function(fn, *params):
    return FunctionOperator(fn, (3, 3), params, dtype=f64)


def hidden():
    w = normal(3).requires_grad_()
    return FunctionOperator(lambda x: w * x, (3, 3), dtype=f64)


def ragged(*blocks):
    return BlockDiagonalOperator(blocks)


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_input_is_named(case):
    error, words, call = BAD_INPUTS[case]
    with pytest.raises(error, match=words):
        call()
