"""What does not fit together is refused before anything is computed or allocated, and named."""

import numpy as np
import pytest
import scipy.sparse
import torch
from solver_cases import dense_spd, diffusion, normal

from solvers import (
    CG,
    GMRES,
    CSROperator,
    DenseCholesky,
    DTypeError,
    IterativeRefinement,
    Jacobi,
    LinearOperator,
    NormalCG,
    PatternError,
    StencilOperator,
    TagError,
    ToleranceError,
    linear_solve,
)
from solvers.arguments import require_arguments

PLAIN = CSROperator.from_dense(dense_spd(3), tags={"spd"})
WIDE = torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, 1.0]], dtype=torch.float64)


def stencil(tags):
    return StencilOperator([(0,)], torch.ones(1, 4), tags=tags)


def matrix(tags):
    return CSROperator.from_dense(torch.eye(4), tags=tags)


@pytest.mark.parametrize("build", [matrix, stencil, lambda tags: 2 * matrix(tags)], ids=["csr", "stencil", "scaled"])
def test_one_string_is_one_tag(build):
    assert build("spd").tags == build({"spd"}).tags == build(iter(["spd"])).tags == {"symmetric", "spd"}
    assert build("symmetric").tags == {"symmetric"}


@pytest.mark.parametrize("build", [matrix, stencil], ids=["csr", "stencil"])
@pytest.mark.parametrize("tags", [{"SPD"}, "hermitian", ["spd", "sparse"]], ids=str)
def test_unknown_tags_are_named(build, tags):
    with pytest.raises(TagError, match=r"'(SPD|hermitian|sparse)': unknown; known are 'spd', 'symmetric'"):
        build(tags)


OUT_OF_REACH = {
    "krylov": (CG(rtol=1e-16), "rtol = 1e-16"),
    "direct": (DenseCholesky(rtol=1e-20), "rtol = 1e-20"),
    "refinement": (IterativeRefinement(rtol=1e-20), "rtol = 1e-20"),
    "nan": (GMRES(rtol=float("nan")), "rtol = nan"),
    "negative floor": (CG(atol=-1.0), "atol = -1"),
    "floor": (CG(atol=float("nan")), "atol = nan"),
    "limit": (CG(max_iterations=-1), "max_iterations = -1"),
    "interval": (CG(check_every=0), "check_every = 0"),
    "negative interval": (GMRES(check_every=-3), "check_every = -3"),
}


@pytest.mark.parametrize("case", OUT_OF_REACH)
def test_numbers_out_of_reach_are_refused(case):
    """`ToleranceError` is a ValueError, too, and advises no float64 to those who have it."""
    solver, words = OUT_OF_REACH[case]
    with pytest.raises(ToleranceError, match=words) as caught:
        linear_solve(PLAIN, normal(3), solver)
    assert isinstance(caught.value, ValueError)
    assert "use float64" not in str(caught.value)


def test_single_precision_is_pointed_to_double():
    with pytest.raises(ToleranceError, match="use float64"):
        linear_solve(PLAIN.to(torch.float32), normal(3).float(), CG(rtol=1e-9))


@pytest.mark.parametrize("shape", [(2**31, 2**31), (2**31, 1), (1, 2**31)], ids=str)
def test_a_matrix_that_32_bits_cannot_count_is_refused_before_it_is_built(monkeypatch, shape):
    monkeypatch.setattr(torch, "bincount", lambda *_, **__: pytest.fail("allocates one count for every row"))
    with pytest.raises(PatternError, match=r"below 2\^31"):
        CSROperator.from_coo(torch.tensor([0]), torch.tensor([0]), torch.ones(1), shape)


def test_shortest_solutions_have_no_derivatives():
    """They are found all the same: x = A⁺ b."""
    A, b = CSROperator.from_dense(WIDE), normal(2)
    torch.testing.assert_close(linear_solve(A, b, NormalCG(1e-12)).value, torch.linalg.pinv(WIDE) @ b)
    with pytest.raises(TagError, match=r"not defined; solve under torch.no_grad"):
        linear_solve(A, b.requires_grad_(), NormalCG())
    with pytest.raises(TagError, match="not defined"):
        torch.func.jvp(lambda v: linear_solve(A, v, NormalCG()).value, (normal(2),), (normal(2),))
    with torch.no_grad():
        assert bool(linear_solve(A, b, NormalCG()).converged)


MISTAKEN: dict[str, tuple[tuple[object, ...], str]] = {
    "tensor": ((torch.eye(3), normal(3)), r"A is a Tensor.*CSROperator.from_dense\(A\)"),
    "sparse tensor": ((torch.eye(3).to_sparse(), normal(3)), r"CSROperator.from_torch\(A\)"),
    "scipy": ((scipy.sparse.eye_array(3).tocsr(), normal(3)), r"A is a csr_array.*CSROperator.from_scipy\(A\)"),
    "numpy": ((np.eye(3), normal(3)), r"A is a ndarray.*from_dense\(torch.as_tensor\(A\)\)"),
    "rhs": ((PLAIN, np.ones(3)), r"b is a ndarray.*torch.as_tensor\(b\)"),
    "solver's name": ((PLAIN, normal(3), "cg"), r"solver is the string 'cg'.*CG\(\)"),
    "solver's class": ((PLAIN, normal(3), GMRES), r"solver is the class GMRES.*GMRES\(\)"),
    "recipe's class": ((PLAIN, normal(3), CG(), Jacobi), r"preconditioner is the class Jacobi.*Jacobi\(\)"),
    "recipe's name": ((PLAIN, normal(3), None, "jacobi"), r"preconditioner is the string 'jacobi'"),
}


@pytest.mark.parametrize("case", MISTAKEN)
def test_mistaken_arguments_are_named(case):
    arguments, words = MISTAKEN[case]
    with pytest.raises(DTypeError, match=words):
        require_arguments(*arguments)


def test_fitting_arguments_pass():
    for A in (PLAIN, diffusion((3,))):
        assert isinstance(A, LinearOperator)
        for preconditioner in (None, Jacobi(), DenseCholesky()):
            require_arguments(A, normal(3), CG(), preconditioner)
