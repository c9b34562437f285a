"""lobpcg: eigenvalues of the Laplacian, SciPy's eigenpairs, and derivatives by the implicit function theorem."""

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from solver_cases import dense_spd, diffusion, normal

from solvers import (
    CSROperator,
    FastPoisson,
    GeometricMultigrid,
    Jacobi,
    ShapeError,
    Singular,
    Status,
    TagError,
    lobpcg,
    poisson_operator,
)


def laplacian_spectrum(*grid):
    """Σ 2 − 2 cos(π iₖ / (nₖ + 1)), ascending."""
    total = torch.zeros((), dtype=torch.float64)
    for n in grid:
        own = 2 - 2 * torch.cos(torch.pi * torch.arange(1, n + 1, dtype=torch.float64) / (n + 1))
        total = total[..., None] + own
    return total.reshape(-1).sort().values


def mass(grid, *batch):
    """A diagonally dominant "mass matrix" on the same grid."""
    return diffusion(grid, batch, reaction=5.0, seed=7)


def test_eigenvalues_of_the_laplacian_preconditioned_and_not():
    """4 − 2 cos(π i/(n + 1)) − 2 cos(π j/(n + 1)) to 1e-8, double ones included."""
    A, expected = poisson_operator((31, 31), "vertex"), laplacian_spectrum(31, 31)
    steps = []
    for preconditioner in (None, Jacobi(), GeometricMultigrid(), FastPoisson()):
        found = lobpcg(A, 6, preconditioner=preconditioner)
        torch.testing.assert_close(found.values, expected[:6], rtol=0, atol=1e-8)
        assert found.converged.all()
        steps.append(int(found.iterations.max()))
    assert max(steps[2:]) < 0.25 * steps[0]
    largest = lobpcg(A, 6, largest=True)
    torch.testing.assert_close(largest.values, expected.flip(0)[:6], rtol=0, atol=1e-8)


@pytest.mark.parametrize("grid", [(100,), (9, 10), (5, 4, 6)], ids=str)
@pytest.mark.parametrize("largest", [False, True])
def test_pairs_are_those_of_scipy(grid, largest):
    """eigsh finds the same values and, up to sign, the same vectors."""
    A = diffusion(grid)
    found = lobpcg(A, 3, largest=largest, rtol=1e-10)
    values, vectors = scipy.sparse.linalg.eigsh(
        A.to_csr().to_scipy(), 3, which="LA" if largest else "SA", v0=np.ones(A.shape[0]), tol=1e-13
    )
    order = np.argsort(values)[:: -1 if largest else 1]
    np.testing.assert_allclose(found.values, values[order], rtol=1e-10)
    overlaps = np.abs((found.vectors.numpy() * vectors[:, order]).sum(0))
    np.testing.assert_allclose(overlaps, 1, atol=1e-10)


@pytest.mark.parametrize("n", [6, 9], ids=["dense", "iterated"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_generalised_pairs_of_a_batch(n, dtype):
    """A V = B V Λ, Vᵀ B V = I, for B shared by the systems or not."""
    A = diffusion((n, n), (3,), dtype=dtype)
    for B in (mass((n, n)), mass((n, n), 3)):
        B = B.replace(tuple(p.to(dtype) for p in B.parameters()))
        found = lobpcg(A, 4, B)
        assert found.converged.all()
        assert found.values.dtype == dtype
        expected = [
            scipy.linalg.eigh(a, b, eigvals_only=True)[:4]
            for a, b in zip(A.to_dense().numpy(), B.to_dense().expand(3, n * n, n * n).numpy(), strict=True)
        ]
        tolerance = 1e-4 if dtype == torch.float32 else 1e-8
        np.testing.assert_allclose(found.values, expected, rtol=tolerance)
        gram = found.vectors.mT @ B.mm(found.vectors)
        torch.testing.assert_close(gram, torch.eye(4, dtype=dtype).expand(3, 4, 4), rtol=0, atol=tolerance)
        residual = A.mm(found.vectors) - B.mm(found.vectors) * found.values[:, None]
        lengths = B.mm(found.vectors).norm(dim=-2)
        rounding = 100 * torch.finfo(dtype).eps
        torch.testing.assert_close(residual.norm(dim=-2) / lengths, found.residual, rtol=1e-2, atol=rounding)


def test_a_batch_element_is_found_as_if_alone():
    A = diffusion((10, 9), (3,))
    together = lobpcg(A, 2, rtol=1e-10)
    for i in range(3):
        alone = lobpcg(A.replace(tuple(p[i] for p in A.parameters())), 2, rtol=1e-10)
        assert (alone.iterations - together.iterations[i]).abs().max() <= 1
        torch.testing.assert_close(alone.values, together.values[i])
        torch.testing.assert_close(alone.vectors, together.vectors[i], rtol=0, atol=1e-8)


@pytest.mark.parametrize("n", [20, 80])
def test_hermitian_matrices_have_real_values(n):
    root = normal(n, n, dtype=torch.complex128)
    dense = root + root.mH
    found = lobpcg(CSROperator.from_dense(dense, tags={"symmetric"}), 3, rtol=1e-9)
    torch.testing.assert_close(found.values, torch.linalg.eigvalsh(dense)[:3])
    torch.testing.assert_close(dense @ found.vectors, found.vectors * found.values, rtol=1e-6, atol=1e-6)


def test_the_kernel_of_a_singular_operator_is_a_pair():
    """Neumann: λ = 0 with the constant vector, then λ > 0."""
    found = lobpcg(poisson_operator((12, 10), boundary="neumann"), 2)
    assert found.converged.all()
    assert abs(float(found.values[0])) <= 1e-12
    assert found.vectors[:, 0].std() <= 1e-6
    assert found.values[1] > 0.01


@settings(max_examples=20, deadline=None)
@given(
    n=st.integers(1, 12),
    k=st.integers(1, 12),
    batch=st.sampled_from([(), (0,), (2,), (2, 1)]),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.complex64, torch.complex128]),
    largest=st.booleans(),
    seed=st.integers(0, 50),
)
def test_small_matrices_of_every_kind(n, k, batch, dtype, largest, seed):
    """k ≤ n pairs in the order asked for; shapes and dtypes."""
    root = normal(*batch, n, n, seed=seed, dtype=dtype)
    dense, k = root + root.mH, min(n, k)
    row, col = torch.ones(n, n).nonzero(as_tuple=True)
    A = CSROperator.from_coo(row, col, dense.reshape(*batch, n * n), (n, n), {"symmetric"})
    found = lobpcg(A, k, largest=largest)
    assert found.values.shape == found.status.shape == found.iterations.shape == found.residual.shape == (*batch, k)
    assert found.vectors.shape == (*batch, n, k)
    assert found.vectors.dtype == dtype
    values = torch.linalg.eigvalsh(dense)
    expected = values.flip(-1)[..., :k] if largest else values[..., :k]
    torch.testing.assert_close(found.values, expected, rtol=1e-3, atol=1e-4)


def test_a_start_near_the_pairs_saves_steps_and_a_generator_changes_the_start():
    A = diffusion((12, 12))
    cold = lobpcg(A, 2)
    warm = lobpcg(A, 2, x0=cold.vectors + 1e-6 * normal(144, 2))
    assert warm.iterations.max() < 0.6 * cold.iterations.max()
    other = lobpcg(A, 2, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(other.values, cold.values)
    torch.testing.assert_close(other.vectors, cold.vectors, rtol=0, atol=1e-6)
    repeated = lobpcg(A, 2)
    assert torch.equal(repeated.vectors, cold.vectors)


def symmetrised(A, values):
    """One parameter for both entries of a pair, so that the operator stays symmetric."""
    _, order = A.pattern.transposed
    return A.replace((0.5 * (values + values[..., order].conj()),))


@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_pairs_of_dense_problems_are_twice_differentiable(batch):
    """In the entries of A and of B."""
    A = CSROperator.from_dense(dense_spd(5, *batch), tags={"spd"})
    B = CSROperator.from_dense(dense_spd(5, seed=3) / 5, tags={"spd"})

    def pairs(a, b):
        found = lobpcg(symmetrised(A, a), 2, symmetrised(B, b))
        return found.values, found.vectors

    inputs = [A.values.clone().requires_grad_(), B.values.clone().requires_grad_()]
    assert torch.autograd.gradcheck(pairs, inputs)
    assert torch.autograd.gradgradcheck(pairs, inputs, fast_mode=True)


@pytest.mark.parametrize("grid", [(3, 2), (9, 8)], ids=["dense", "iterated"])
def test_pairs_of_grid_problems_are_twice_differentiable(grid):
    A = diffusion(grid, (), reaction=0.4)

    def pairs(*parameters):
        found = lobpcg(A.replace(parameters), 2, rtol=1e-12)
        return found.values, found.vectors[::5]

    inputs = [p.clone().requires_grad_() for p in A.parameters()]
    assert torch.autograd.gradcheck(pairs, inputs, fast_mode=len(inputs[0]) > 5)
    assert torch.autograd.gradgradcheck(pairs, inputs, fast_mode=True)


@pytest.mark.parametrize("preconditioner", [None, GeometricMultigrid()], ids=["plain", "multigrid"])
def test_derivatives_of_large_problems_are_those_of_the_dense_decomposition(preconditioner):
    """n = 288: vectors are differentiated by MINRES, in two systems at once; the oracle is torch.linalg.eigh."""
    A, c = diffusion((16, 18), (2,), boundary=["dirichlet", "neumann"]), normal(2, 288, 2)
    faces = [t.clone().requires_grad_() for t in A.parameters()]

    def gradient(values, vectors):
        loss = (values * torch.tensor([2.0, -1.0])).sum() + ((c * vectors).sum(-2) ** 2).sum()
        return torch.autograd.grad(loss, faces)

    found = lobpcg(A.replace(tuple(faces)), 2, preconditioner=preconditioner, rtol=1e-11)
    values, vectors = torch.linalg.eigh(A.replace(tuple(faces)).to_csr().to_dense())
    ours, oracle = gradient(found.values, found.vectors), gradient(values[:, :2], vectors[..., :2])
    for own, expected in zip(ours, oracle, strict=True):
        torch.testing.assert_close(own, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("n", [6, 70], ids=["dense", "iterated"])
def test_functions_of_complex_vectors_that_ignore_the_phase_are_differentiated(n):
    """d |⟨c, v⟩|², the oracle being torch.linalg.eigh."""
    root, c = normal(n, n, dtype=torch.complex128), normal(n, dtype=torch.complex128)
    A = CSROperator.from_dense(root + root.mH, tags={"symmetric"})
    a = A.values.clone().requires_grad_()
    found = lobpcg(symmetrised(A, a), 2, rtol=1e-12)
    ours = torch.autograd.grad((c.conj() @ found.vectors).abs().square().sum() + found.values[0], a)[0]
    values, vectors = torch.linalg.eigh(symmetrised(A, a).to_dense())
    expected = torch.autograd.grad((c.conj() @ vectors[:, :2]).abs().square().sum() + values[0], a)[0]
    torch.testing.assert_close(ours, expected, rtol=1e-7, atol=1e-9)


def test_sums_over_a_cluster_have_derivatives_but_its_single_vectors_do_not():
    """λ₂ = λ₃ of the square: d(λ₂ + λ₃) is right, d v₂ does not exist, d v₁ does."""
    A = poisson_operator((6, 6), "vertex")
    faces = [t.clone().requires_grad_() for t in A.parameters()]
    found = lobpcg(A.replace(tuple(faces)), 3)
    ours = torch.autograd.grad(found.values[1:].sum(), faces, retain_graph=True)
    direction = [normal(*t.shape, seed=k) for k, t in enumerate(faces)]

    def total(step):
        moved = A.replace(tuple((t + step * d).detach() for t, d in zip(faces, direction, strict=True)))
        return lobpcg(moved, 3).values[1:].sum()

    slope = (total(1e-5) - total(-1e-5)) / 2e-5
    torch.testing.assert_close(
        sum((o * d).sum() for o, d in zip(ours, direction, strict=True)), slope, rtol=1e-6, atol=0
    )
    first = torch.autograd.grad(found.vectors[3, 0], faces, retain_graph=True)
    assert all(g.isfinite().all() for g in first)
    with pytest.raises(Singular, match=r"eigenvalues 1 and 2 are .* apart"):
        torch.autograd.grad(found.vectors[3, 1], faces)


def test_a_cluster_that_was_cut_is_seen():
    """k = 2 asks for one of two equal eigenvalues: the vector carried along shows it."""
    A = poisson_operator((6, 6), "vertex")
    faces = [t.clone().requires_grad_() for t in A.parameters()]
    with pytest.raises(Singular, match="eigenvalues 1 and 2"):
        torch.autograd.grad(lobpcg(A.replace(tuple(faces)), 2).vectors[3, 1], faces)


def test_each_system_and_pair_has_its_own_status():
    """NaN in A, B that is not positive definite, healthy."""
    A, B = diffusion((4, 4), (3,)).to_csr(), mass((4, 4), 3).to_csr()
    a, b = A.values.clone(), B.values.clone()
    a[0, 2] = torch.nan
    b[1] = -b[1]
    found = lobpcg(A.replace((a,)), 2, B.replace((b,)))
    assert found.status.tolist() == [[Status.NONFINITE_INPUT] * 2, [Status.INDEFINITE] * 2, [Status.CONVERGED] * 2]
    assert found.values[:2].isnan().all()
    assert found.vectors[:2].isnan().all()
    expected = scipy.linalg.eigh(A.to_dense()[2], B.to_dense()[2], eigvals_only=True)[:2]
    np.testing.assert_allclose(found.values[2], expected)


def test_the_limit_is_kept_and_warned_of():
    with pytest.warns(RuntimeWarning, match="3 of 3 eigenpairs have not converged after 4 iterations"):
        found = lobpcg(diffusion((12, 12)), 3, max_iterations=4)
    assert found.status.tolist() == [Status.MAX_ITERATIONS] * 3
    assert found.iterations.tolist() == [4] * 3
    assert not found.converged.any()


BAD_INPUTS = {
    "tag": (TagError, "'symmetric'", lambda: lobpcg(CSROperator.from_dense(dense_spd(3)), 1)),
    "mass": (TagError, "'spd'", lambda: lobpcg(diffusion((3,)), 1, CSROperator.from_dense(dense_spd(3)))),
    "sizes": (ShapeError, "shape and dtype", lambda: lobpcg(diffusion((3,)), 1, diffusion((4,)))),
    "none": (ShapeError, "k = 0", lambda: lobpcg(diffusion((3,)), 0)),
    "too many": (ShapeError, "3 eigenvalues", lambda: lobpcg(diffusion((3,)), 4)),
    "start": (ShapeError, "starting vectors", lambda: lobpcg(diffusion((3,)), 1, x0=torch.ones(3).double())),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_input_is_named(case):
    error, words, call = BAD_INPUTS[case]
    with pytest.raises(error, match=words):
        call()
