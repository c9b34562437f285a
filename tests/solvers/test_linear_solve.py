"""linear_solve and CG: accuracy, statuses, homogeneity, derivatives."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from solver_cases import BOUNDARIES, case_name, dense_spd, diffusion, normal, small_operators

from solvers import (
    CG,
    CSROperator,
    DampedJacobi,
    DTypeError,
    GeometricMultigrid,
    Indefinite,
    NonFinite,
    NotConverged,
    ShapeError,
    Singular,
    SolveError,
    Status,
    TagError,
    finite_volume_operator,
    linear_solve,
    poisson_operator,
)

PRECONDITIONERS = [None, GeometricMultigrid(), GeometricMultigrid(smoother=DampedJacobi(), levels=2)]


@pytest.mark.parametrize("preconditioner", PRECONDITIONERS, ids=["none", "red-black", "jacobi"])
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=case_name)
@pytest.mark.parametrize("grid", [(8,), (8, 4), (4, 4, 8)], ids=str)
def test_solution_is_that_of_the_dense_matrix(grid, boundary, preconditioner):
    """To a relative error of cond · rtol, singular operators in their range."""
    A = diffusion(grid, (3,), boundary)
    b = A.project(normal(3, A.shape[0]))
    x = linear_solve(A, b, CG(rtol=1e-12), preconditioner).value
    torch.testing.assert_close(x, (torch.linalg.pinv(A.to_dense()) @ b[..., None])[..., 0], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("shape", [(64, 64), (16, 16, 16)], ids=str)
def test_plain_cg_takes_scipys_iterations(shape):
    """The same algorithm, hence the same count up to rounding."""
    A = poisson_operator(shape, "vertex")
    b = np.random.default_rng(0).standard_normal(A.shape[0])
    steps = []
    scipy.sparse.linalg.cg(A.to_csr().to_scipy(), b, rtol=1e-8, callback=steps.append)
    ours = linear_solve(A, torch.from_numpy(b), CG(rtol=1e-8))
    assert abs(int(ours.stats.iterations) - len(steps)) <= 3
    assert ours.stats.relative_residual <= 1.01e-8


def test_cg_ends_after_as_many_steps_as_distinct_eigenvalues():
    A = CSROperator.from_dense(torch.diag(torch.tensor([1.0, 2.0, 2.0, 5.0, 5.0], dtype=torch.float64)), tags={"spd"})
    assert linear_solve(A, torch.ones(5, dtype=torch.float64), CG(rtol=1e-12)).stats.iterations == 3


def test_error_in_the_energy_norm_decreases():
    """CG minimises ‖x − x*‖_A over growing spaces."""
    A = diffusion((8, 8))
    b = normal(64)
    exact = torch.linalg.solve(A.to_dense(), b)
    energies = []
    for steps in range(1, 12):
        error = linear_solve(A, b, CG(rtol=1e-12, max_iterations=steps), throw=False).value - exact
        energies.append(float(error @ A.mv(error)))
    assert all(later < earlier for earlier, later in pairwise(energies))


@settings(max_examples=20, deadline=None)
@given(exponent=st.integers(-30, 30), multigrid=st.booleans(), dtype=st.sampled_from([torch.float32, torch.float64]))
def test_solve_is_homogeneous(exponent, multigrid, dtype):
    """x(A, s b) = s x(A, b) for every scale: no absolute tolerance hides anywhere."""
    A = diffusion((8, 8), (2,), dtype=dtype)
    b = normal(2, 64, dtype=dtype)
    solver, preconditioner = CG(rtol=1e-5), GeometricMultigrid() if multigrid else None
    one, scale = linear_solve(A, b, solver, preconditioner), 10.0**exponent
    scaled = linear_solve(A, scale * b, solver, preconditioner)
    torch.testing.assert_close(scaled.value / scale, one.value, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(scaled.stats.relative_residual <= 1.01e-5, one.converged)


@pytest.mark.parametrize("preconditioner", [None, GeometricMultigrid()], ids=["none", "multigrid"])
def test_a_batch_element_is_solved_as_if_alone(preconditioner):
    A = diffusion((16, 16), (5,))
    b = normal(5, 256) * torch.tensor([1e-8, 1.0, 1e8, 1.0, 1.0], dtype=torch.float64)[:, None]
    together = linear_solve(A, b, CG(rtol=1e-10), preconditioner)
    for i in range(5):
        alone = linear_solve(A.replace(tuple(p[i] for p in A.parameters())), b[i], CG(rtol=1e-10), preconditioner)
        assert abs(int(together.stats.iterations[i]) - int(alone.stats.iterations)) <= 1
        error = (together.value[i] - alone.value).norm() / alone.value.norm()
        assert error < 1e-8


def test_batches_of_every_shape():
    """(2, 3) operators; one operator for many vectors; operators repeated along new leading axes."""
    A = diffusion((8, 8), (2, 3))
    b = normal(4, 2, 3, 64)
    x = linear_solve(A, b, CG(rtol=1e-10), GeometricMultigrid()).value
    torch.testing.assert_close(A.mv(x), b, rtol=1e-7, atol=1e-8)
    shared = diffusion((8, 8))
    x = linear_solve(shared, b, CG(rtol=1e-10), GeometricMultigrid()).value
    torch.testing.assert_close(shared.mv(x), b, rtol=1e-7, atol=1e-8)
    assert linear_solve(A, normal(64), CG(), GeometricMultigrid()).value.shape == (2, 3, 64)
    assert linear_solve(A, b[:0], CG(), GeometricMultigrid()).value.shape == (0, 2, 3, 64)


def test_a_good_start_saves_iterations():
    A = diffusion((32, 32))
    b = normal(1024)
    cold = linear_solve(A, b, CG(rtol=1e-8))
    warm = linear_solve(A, b, CG(rtol=1e-8), x0=cold.value + 1e-6 * normal(1024, seed=1))
    assert warm.stats.iterations < 0.6 * cold.stats.iterations
    assert linear_solve(A, b, CG(rtol=1e-8), x0=cold.value).stats.iterations <= 1


def test_state_is_reused():
    A = diffusion((16, 16))
    first = linear_solve(A, normal(256), preconditioner=GeometricMultigrid())
    again = linear_solve(A, normal(256, seed=1), state=first.state)
    assert again.state is first.state
    assert again.stats.iterations < 12


@pytest.mark.parametrize("preconditioner", [None, GeometricMultigrid()], ids=["none", "multigrid"])
def test_each_system_has_its_own_status(preconditioner):
    """Zero right-hand side, NaN in b, NaN in A, indefinite, healthy: side by side, and the healthy ones are solved."""
    a = torch.ones(6, 8, 8, dtype=torch.float64)
    a[2, 3, 3] = torch.nan
    reaction = torch.zeros_like(a)
    reaction[3] = -3.0
    A = finite_volume_operator(a, (1.0, 1.0), reaction=reaction)
    b = normal(6, 64)
    b[0] = 0
    b[1, 5] = torch.nan
    solution = linear_solve(A, b, CG(rtol=1e-10), preconditioner, throw=False)
    assert solution.status[:3].tolist() == [Status.CONVERGED, Status.NONFINITE_INPUT, Status.NONFINITE_INPUT]
    assert solution.status[3] in (Status.INDEFINITE, Status.PRECONDITIONER_INDEFINITE)
    assert solution.status[4:].tolist() == [Status.CONVERGED] * 2
    assert solution.value[0].abs().max() == 0
    assert solution.stats.iterations[0] == 0
    assert solution.value[1:3].isnan().all()
    assert solution.stats.iterations[1:3].sum() == 0
    healthy = poisson_operator((8, 8))
    torch.testing.assert_close(healthy.mv(solution.value[4:]), b[4:], rtol=1e-7, atol=1e-8)


def test_the_limit_is_kept_and_the_residual_is_true():
    A = diffusion((32, 32), (2,))
    b = torch.stack([normal(1024), torch.zeros(1024, dtype=torch.float64)])
    solution = linear_solve(A, b, CG(max_iterations=5), throw=False)
    assert solution.status.tolist() == [Status.MAX_ITERATIONS, Status.CONVERGED]
    assert solution.stats.iterations.tolist() == [5, 0]
    torch.testing.assert_close(solution.stats.residual_norm, (b - A.mv(solution.value)).norm(dim=-1))


def test_stagnation_is_not_called_convergence():
    """float32 on a badly conditioned matrix: the recurrence claims 1e-5, the true residual decides."""
    n = 60
    dense = (1 / (torch.arange(n)[:, None] + torch.arange(n) + 1.0)) + 1e-7 * torch.eye(n)
    A = CSROperator.from_dense(dense, tags={"spd"})
    b = normal(n, dtype=torch.float32)
    solution = linear_solve(A, b, CG(rtol=1e-5, max_iterations=300), throw=False)
    residual = (b - dense @ solution.value).norm() / b.norm()
    assert bool(solution.converged) == bool(residual <= 1.02e-5)


FAILURES = {
    "limit": (NotConverged, "Raise max_iterations", lambda: solve(CG(max_iterations=2))),
    "indefinite": (Indefinite, "positive definite", lambda: solve(CG(), shift=-3.0)),
    "NaN": (NonFinite, "isfinite", lambda: solve(CG(), entry=float("nan"))),
    "not in the range": (Singular, "mean", lambda: solve(CG(), boundary="neumann")),
}


def solve(solver, shift=None, entry=1.0, boundary="dirichlet"):
    A = finite_volume_operator(torch.ones(2, 8, 8, dtype=torch.float64), (1.0, 1.0), boundary, shift)
    b = normal(2, 64) + 1
    b[0] = 0
    b[1, 0] = entry
    return linear_solve(A, b, solver)


@pytest.mark.parametrize("case", FAILURES)
def test_failure_names_the_system_and_a_remedy(case):
    error, remedy, call = FAILURES[case]
    with pytest.raises(error, match=f"system 1 of 2: .*{remedy}") as caught:
        call()
    assert caught.value.batch_indices == (1,)
    assert len(caught.value.residuals) == 1


BAD_INPUTS = {
    "length": (ShapeError, r"\(\*batch, 64\)", lambda: linear_solve(diffusion((8, 8)), normal(8, 8))),
    "start": (ShapeError, "flatten", lambda: linear_solve(diffusion((8,)), normal(8), x0=normal(7))),
    "dtype": (DTypeError, "float32", lambda: linear_solve(diffusion((8,)), normal(8, dtype=torch.float32))),
    "tag": (TagError, "spd", lambda: linear_solve(CSROperator.from_dense(dense_spd(3)), normal(3))),
    "rtol": (ValueError, "float64", lambda: linear_solve(diffusion((8,)), normal(8), CG(rtol=1e-16))),
    "operator": (
        TagError,
        "DiffusionOperator",
        lambda: linear_solve(diffusion((8,)).to_csr(), normal(8), preconditioner=GeometricMultigrid()),
    ),
    "size": (
        ShapeError,
        "power of two",
        lambda: linear_solve(
            diffusion((99, 99), (), "periodic", reaction=0.1), normal(9801), None, GeometricMultigrid()
        ),
    ),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_input_is_named(case):
    error, words, call = BAD_INPUTS[case]
    with pytest.raises(error, match=words):
        call()


def test_history_is_the_relative_residual_of_every_step():
    A = diffusion((16, 16), (2,))
    solution = linear_solve(A, normal(2, 256), CG(rtol=1e-8, record_history=True), GeometricMultigrid())
    history = solution.stats.history
    assert history.shape == (int(solution.stats.iterations.max()) + 1, 2)
    torch.testing.assert_close(history[0], torch.ones(2, dtype=torch.float64))
    assert (history[-1] <= 1e-8).all()


@pytest.mark.parametrize("A", small_operators(), ids=case_name)
def test_solves_are_twice_differentiable(A):
    """Implicit adjoint in b and in every stored parameter; its own derivative, too."""
    check_derivatives(A, None)


@pytest.mark.parametrize("grid", [(8,), (2, 4)], ids=str)
@pytest.mark.parametrize("boundary", ["dirichlet", "neumann"])
def test_preconditioned_solves_are_twice_differentiable(grid, boundary):
    """The preconditioner moves with the parameters; the derivative does not see it."""
    check_derivatives(diffusion(grid, (), boundary), GeometricMultigrid(levels=2))


def check_derivatives(A, preconditioner):
    def value(b, *parameters):
        return linear_solve(A.replace(parameters), A.project(b), CG(rtol=1e-13), preconditioner).value

    b = normal(*A.batch_shape, A.shape[0])
    inputs = [t.detach().clone().requires_grad_() for t in (b, *A.parameters())]
    if A.project(b) is not b:  # a face that opens to the outside would make the operator regular
        inputs = [inputs[0], *(t.detach() for t in inputs[1:])]
    assert torch.autograd.gradcheck(value, inputs)
    assert torch.autograd.gradgradcheck(value, inputs)


def test_gradient_of_the_coefficient_is_that_of_the_dense_solve():
    """d/da of Σ c·x through builder, multigrid-CG and adjoint = autograd through torch.linalg.solve."""
    a = torch.rand(3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).add(0.5).requires_grad_()
    b, c = normal(64), normal(3, 64, seed=1)
    A = finite_volume_operator(a, (1 / 8, 1 / 8))
    (linear_solve(A, b, CG(rtol=1e-13), GeometricMultigrid()).value * c).sum().backward()
    implicit, a.grad = a.grad, None
    dense = finite_volume_operator(a, (1 / 8, 1 / 8)).to_csr().to_dense()
    (torch.linalg.solve(dense, b.expand(3, 64)) * c).sum().backward()
    torch.testing.assert_close(implicit, a.grad, rtol=1e-8, atol=1e-12)


def test_tiny_cotangents_have_gradients():
    """A floor under the adjoint's tolerance would return zero."""
    A = diffusion((8, 8))
    b = normal(64).requires_grad_()
    (1e-30 * linear_solve(A, b).value.sum()).backward()
    torch.testing.assert_close(1e30 * b.grad, linear_solve(A, torch.ones(64, dtype=torch.float64)).value)


def test_a_failed_adjoint_is_loud():
    A = diffusion((16, 16))
    b = torch.ones(256, dtype=torch.float64, requires_grad=True)
    exact = linear_solve(A, b.detach(), CG(rtol=1e-12)).value
    lazy = CG(rtol=1e-8, max_iterations=3)
    with pytest.raises(SolveError, match="adjoint solve: system 0 of 1"):
        linear_solve(A, b, lazy, x0=exact).value[:7].sum().backward()
    with pytest.warns(RuntimeWarning, match="gradient is NaN"):
        linear_solve(A, b, lazy, x0=exact, throw=False).value[:7].sum().backward()
    assert b.grad.isnan().all()


@pytest.mark.parametrize("boundary", ["dirichlet", [("dirichlet", "neumann"), "periodic"]], ids=case_name)
def test_manufactured_solution_converges_with_order_two(boundary):
    """−∇·(a∇u) = f with a = 1 + x/2 + sin(2πy)/4: the error falls fourfold per refinement."""
    errors = []
    for n in (16, 32, 64, 128):
        t = (torch.arange(n, dtype=torch.float64) + 0.5) / n
        x, y = torch.meshgrid(t, t, indexing="ij")
        x, y = x.clone().requires_grad_(), y.clone().requires_grad_()
        phase = 1.0 if boundary == "dirichlet" else 0.5
        u = torch.sin(torch.pi * phase * x) * torch.sin(2 * torch.pi * y)
        a = 1 + x / 2 + torch.sin(2 * torch.pi * y) / 4
        ux, uy = torch.autograd.grad(u.sum(), (x, y), create_graph=True)
        (fxx,) = torch.autograd.grad((a * ux).sum(), x, retain_graph=True)
        (fyy,) = torch.autograd.grad((a * uy).sum(), y)
        A = finite_volume_operator(a.detach(), (1 / n, 1 / n), boundary)
        solved = linear_solve(A, -(fxx + fyy).reshape(-1), CG(rtol=1e-11), GeometricMultigrid()).value
        errors.append(float((solved - u.detach().reshape(-1)).norm() / n))
    ratios = np.array(errors[:-1]) / np.array(errors[1:])
    assert np.all(np.abs(ratios[1:] - 4) < 0.25), ratios
