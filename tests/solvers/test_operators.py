"""Operators: the matrix they stand for, its transpose, its derivatives, and the errors for what does not fit."""

import pytest
import torch
from solver_cases import BOUNDARIES, case_name, diffusion, normal, random_stencil, small_operators

from solvers import (
    DiffusionOperator,
    DTypeError,
    LinearOperator,
    ShapeError,
    StencilOperator,
    finite_volume_operator,
    poisson_operator,
    use_backend,
)


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)], ids=str)
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=case_name)
@pytest.mark.parametrize("grid", [(5,), (4, 3), (2, 2), (1, 4), (2, 3, 4)], ids=str)
def test_diffusion_is_one_matrix_in_every_format(grid, boundary, batch):
    """DIA = CSR = dense for random coefficients, all boundaries, one to three axes."""
    A = diffusion(grid, batch, boundary, reaction=0.3)
    x = normal(*batch, A.shape[1])
    expected = (A.to_csr().to_dense() @ x[..., None])[..., 0]
    for backend in ("reference", "cpu"):
        with use_backend(backend):
            torch.testing.assert_close(A.mv(x), expected)
    torch.testing.assert_close(A.to_stencil().mv(x), expected)
    torch.testing.assert_close(A.to_csr().mv(x), expected)
    torch.testing.assert_close(A.diagonal(), A.to_dense().diagonal(dim1=-2, dim2=-1))
    torch.testing.assert_close(A.to_dense(), A.to_dense().mT)


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("grid", [(5,), (4, 5), (3, 3, 4)], ids=str)
def test_stencil_is_its_sparse_matrix(grid, periodic):
    """Far and diagonal neighbours too, with the transposed product the adjoint."""
    A = random_stencil(grid, (2,), periodic)
    x, y = normal(2, A.shape[1]), normal(2, A.shape[0], seed=1)
    torch.testing.assert_close(A.to_dense(), A.to_csr().to_dense())
    torch.testing.assert_close((A.mv(x) * y).sum(-1), (x * A.rmv(y)).sum(-1), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(A.diagonal(), A.to_dense().diagonal(dim1=-2, dim2=-1))


@pytest.mark.parametrize("A", [*small_operators(), random_stencil((3, 2), (2,), True)], ids=case_name)
@pytest.mark.parametrize("transposed", [False, True])
def test_products_are_twice_differentiable(A: LinearOperator, transposed):
    """∂(A x) by the pullback and the transposed product, and their derivatives."""
    x = normal(*A.batch_shape, A.shape[1])

    def product(x, *parameters):
        B = A.replace(parameters)
        return B.rmv(x) if transposed else B.mv(x)

    inputs = [t.detach().clone().requires_grad_() for t in (x, *A.parameters())]
    assert torch.autograd.gradcheck(product, inputs)
    assert torch.autograd.gradgradcheck(product, inputs)


def test_gradients_sum_over_broadcast_batches():
    """One shared operator, many vectors: its gradient is the sum over them."""
    A = diffusion((4, 3))
    faces = [t.clone().requires_grad_() for t in A.parameters()]
    x, c = normal(2, 5, 12), normal(2, 5, 12, seed=1)
    (A.replace(tuple(faces)).mv(x) * c).sum().backward()
    loop = [sum(A.pullback(c[i, j], x[i, j])[k] for i in range(2) for j in range(5)) for k in range(2)]
    for face, expected in zip(faces, loop, strict=True):
        torch.testing.assert_close(face.grad, expected)


def test_operator_batches_broadcast_against_vectors():
    A = diffusion((3, 4), (2, 1))
    x = normal(5, 12)
    torch.testing.assert_close(A.mv(x), (A.to_dense() @ x[..., None])[..., 0])


def test_stencil_units():
    """Inner diagonal 2d; a Dirichlet face of a cell is half a cell away and counts twice."""
    assert poisson_operator((3, 3), "vertex").diagonal().unique().tolist() == [4.0]
    assert poisson_operator((4,)).diagonal().tolist() == [3.0, 2.0, 2.0, 3.0]
    assert poisson_operator((4,), boundary="neumann").diagonal().tolist() == [1.0, 2.0, 2.0, 1.0]


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("boundary", ["neumann", "periodic"])
def test_constants_are_in_the_kernel_without_dirichlet_sides(boundary, backend):
    A = diffusion((4, 6), (3,), boundary)
    with use_backend(backend):
        assert A.mv(torch.ones(24, dtype=torch.float64)).abs().max() < 1e-13
    assert A.is_singular.all()
    assert not diffusion((4, 6), (3,), boundary, reaction=0.1).is_singular.any()


BAD_INPUTS = {
    "vector length": (ShapeError, "flatten the grid", lambda: diffusion((4, 4)).mv(normal(4, 4))),
    "vector batch": (ShapeError, "broadcast", lambda: diffusion((4,), (3,)).mv(normal(2, 4))),
    "vector dtype": (DTypeError, "float32", lambda: diffusion((4,)).mv(normal(4, dtype=torch.float32))),
    "integer faces": (DTypeError, "int64", lambda: DiffusionOperator([torch.ones(5, dtype=torch.int64)])),
    "faces disagree": (ShapeError, r"faces\[1\]", lambda: DiffusionOperator([torch.ones(5, 4), torch.ones(3, 5)])),
    "four axes": (ShapeError, "1 to 3", lambda: DiffusionOperator([torch.ones(2, 2, 2, 2)] * 4)),
    "reaction": (ShapeError, "reaction", lambda: DiffusionOperator([torch.ones(5)], torch.ones(3))),
    "alignment": (ValueError, "'cell' or 'vertex'", lambda: DiffusionOperator([torch.ones(5)], alignment="node")),
    "spacing": (ValueError, "positive", lambda: finite_volume_operator(torch.ones(4), [0.0])),
    "boundary": (ValueError, "dirichlet, neumann", lambda: finite_volume_operator(torch.ones(4), [1.0], "robin")),
    "half periodic": (
        ValueError,
        "both sides",
        lambda: finite_volume_operator(torch.ones(4), [1.0], [("periodic", "neumann")]),
    ),
    "axes disagree": (ShapeError, "disagree", lambda: finite_volume_operator(torch.ones(4, 4), [1.0], ["neumann"] * 2)),
    "stencil axes": (ShapeError, "coefficients", lambda: StencilOperator([(0, 0)], torch.ones(3, 4, 4))),
    "twice the same neighbour": (ShapeError, "once", lambda: StencilOperator([(0,), (0,)], torch.ones(2, 4))),
    "backend": (ValueError, "'tpu'.*reference, cpu, gpu", lambda: use_backend("tpu").__enter__()),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_input_is_named(case):
    error, words, call = BAD_INPUTS[case]
    with pytest.raises(error, match=words):
        call()


def test_the_at_sign_is_the_product():
    A, x = diffusion((4, 4), (2,)), normal(2, 16)
    torch.testing.assert_close(A @ x, A.mv(x), rtol=0, atol=0)
