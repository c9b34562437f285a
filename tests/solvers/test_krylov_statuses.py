"""Krylov methods: every system of a batch ends by itself, as it should; nothing is called converged that is not."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from solver_cases import diffusion, normal
from torch.utils._python_dispatch import TorchDispatchMode

from solvers import (
    CG,
    FGMRES,
    GMRES,
    MINRES,
    BiCGStab,
    Breakdown,
    CSROperator,
    Fallback,
    FlexibleCG,
    GeometricMultigrid,
    Indefinite,
    Inverse,
    NonFinite,
    NormalCG,
    NotConverged,
    Richardson,
    SingleReductionCG,
    Singular,
    Status,
    TagError,
    finite_volume_operator,
    linear_solve,
    poisson_operator,
    use_backend,
)

DEFINITE = [CG(assume_spd=True), SingleReductionCG(assume_spd=True), FlexibleCG(assume_spd=True, window=2)]
SYMMETRIC = [*DEFINITE, MINRES(assume_symmetric=True)]
GENERAL = [BiCGStab(), GMRES(), FGMRES(restart=5), NormalCG()]
EVERY = [*SYMMETRIC, *GENERAL]
HEALTHY = torch.diag(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))


def solver_name(value):
    return type(value).__name__


class Fixed(Inverse):
    """z = f(r), claimed to be what every method asks for; also its own recipe."""

    is_spd = True

    def __init__(self, function):
        self.function = function

    def setup(self, A):
        return self

    def __call__(self, r):
        return self.function(r)


@pytest.mark.parametrize("preconditioner", [None, GeometricMultigrid()], ids=["none", "multigrid"])
@pytest.mark.parametrize("solver", [*EVERY[:-1], Fallback(BiCGStab(), GMRES())], ids=solver_name)
def test_each_system_has_its_own_status(solver, preconditioner):
    """Zero right-hand side, NaN in b, NaN in A, healthy: side by side, and the healthy ones are solved."""
    a = torch.ones(5, 8, 8, dtype=torch.float64)
    a[2, 3, 3] = torch.nan
    A = finite_volume_operator(a, (1.0, 1.0))
    b = normal(5, 64)
    b[0] = 0
    b[1, 5] = torch.nan
    solution = linear_solve(A, b, solver, preconditioner, x0=normal(5, 64, seed=1), throw=False)
    invalid = [Status.NONFINITE_INPUT] * 2
    assert solution.status.tolist() == [Status.CONVERGED, *invalid, Status.CONVERGED, Status.CONVERGED]
    assert solution.value[0].abs().max() == 0
    assert solution.stats.iterations[:3].tolist() == [0, 0, 0]
    assert solution.value[1:3].isnan().all()
    torch.testing.assert_close(poisson_operator((8, 8)).mv(solution.value[3:]), b[3:], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("solver", DEFINITE, ids=solver_name)
@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_cg_calls_indefinite_systems_indefinite(backend, solver):
    """The Laplacian of 20 × 20 points minus the identity, beside the Laplacian itself."""
    laplacian = poisson_operator((20, 20), "vertex").to_csr().to_dense()
    A = CSROperator.from_dense(torch.stack([laplacian - torch.eye(400), laplacian]))
    b = normal(2, 400)
    with use_backend(backend):
        solution = linear_solve(A, b, solver, throw=False)
    assert solution.status.tolist() == [Status.INDEFINITE, Status.CONVERGED]
    torch.testing.assert_close(laplacian @ solution.value[1], b[1], rtol=1e-6, atol=1e-7)


@settings(max_examples=60, deadline=None)
@given(
    solver=st.sampled_from(EVERY[:-1]),
    spectrum=st.lists(st.sampled_from([-1.0, 0.0, 1e-12, 1e-6, 0.5, 1.0, 3.0, 1e3]), min_size=1, max_size=7),
    scale=st.integers(-20, 20),
    seed=st.integers(0, 1000),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.complex128]),
)
def test_converged_means_a_small_true_residual(solver, spectrum, scale, seed, dtype):
    """Hermitian matrices of every kind: the status is CONVERGED if and only if ‖b − A x‖ ≤ 1.01 rtol ‖b‖."""
    n = len(spectrum)
    Q = torch.linalg.qr(normal(n, n, seed=seed, dtype=dtype))[0]
    A = CSROperator.from_dense(10.0**scale * (Q * torch.tensor(spectrum, dtype=dtype)) @ Q.mH)
    b = normal(2, n, seed=seed + 1, dtype=dtype)
    solution = linear_solve(A, b, replace(solver, max_iterations=50), throw=False)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-8
    residual = (b - A.mv(solution.value)).norm(dim=-1) / b.norm(dim=-1)
    assert (solution.converged <= (residual <= 1.02 * tolerance)).all()
    assert (solution.converged >= (residual <= 0.98 * tolerance)).all()


@pytest.mark.parametrize(
    "solver", [MINRES(assume_symmetric=True), GMRES(), GMRES(restart=2), FGMRES()], ids=solver_name
)
def test_a_right_hand_side_outside_the_range_is_singular(solver):
    """diag(1, 2, 0) with b₃ ≠ 0; with b₃ = 0 it has solutions; a healthy neighbour."""
    A = CSROperator.from_dense(
        torch.stack([torch.diag(torch.tensor([1.0, 2, 0], dtype=torch.float64))] * 2 + [HEALTHY])
    )
    b = torch.tensor([[1.0, 1, 1], [1, 1, 0], [1, 1, 1]], dtype=torch.float64)
    solution = linear_solve(A, b, solver, throw=False)
    assert solution.status.tolist() == [Status.SINGULAR, Status.CONVERGED, Status.CONVERGED]
    torch.testing.assert_close(solution.stats.residual_norm[0], torch.tensor(1.0, dtype=torch.float64))


@pytest.mark.parametrize("solver", [MINRES(), GMRES(max_iterations=5000)], ids=solver_name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_singular_laplacian_is_seen_and_the_residual_is_the_smallest(dtype, solver):
    """Constants are the kernel: what is left of b is its mean; x does not grow along the kernel."""
    A = diffusion((12, 12), (), "neumann", dtype=dtype).to_csr()
    b = normal(2, 144, dtype=dtype)
    b[1] -= b[1].mean()
    solution = linear_solve(A, b, solver, throw=False)
    assert solution.status.tolist() == [Status.SINGULAR, Status.CONVERGED]
    torch.testing.assert_close(solution.stats.residual_norm[0], b[0].mean().abs() * 12, rtol=1e-3, atol=0)
    assert solution.value[0].abs().max() < 1e4


def test_bicgstab_breaks_down_where_gmres_does_not():
    """⟨r, A r⟩ = 0 for every r, if A is skew: also after the restart."""
    skew = torch.tensor([[0.0, 2, -1], [-2, 0, 1], [1, -1, 0]], dtype=torch.float64)
    A = CSROperator.from_dense(torch.stack([skew, HEALTHY]))
    b = A.mv(torch.ones(2, 3, dtype=torch.float64))
    solution = linear_solve(A, b, BiCGStab(), throw=False)
    assert solution.status.tolist() == [Status.BREAKDOWN, Status.CONVERGED]
    assert linear_solve(A, b, GMRES()).converged.all()


def test_bicgstab_begins_again_where_the_shadow_is_lost():
    """⟨r₀, r₁⟩ = 0 with r₁ ≠ 0: the textbook divides by zero; with r₀ := r₁ the system is solved."""
    A = CSROperator.from_dense(torch.tensor([[2.0, -1, 1], [0, 2, 0], [-2, 1, 0]], dtype=torch.float64))
    b = torch.tensor([0.0, -1, 0], dtype=torch.float64)
    v = A.mv(b)
    s = b - (b @ b) / (b @ v) * v
    t = A.mv(s)
    assert b @ (s - (t @ s) / (t @ t) * t) == 0
    solution = linear_solve(A, b, BiCGStab(rtol=1e-12))
    torch.testing.assert_close(A.mv(solution.value), b)


def test_directions_that_lead_nowhere_are_a_breakdown():
    """A rule that proposes zero for one system, and residuals for the other."""
    A = CSROperator.from_dense(torch.stack([HEALTHY, HEALTHY]), tags={"spd"})
    useless = Fixed(lambda r: r * torch.tensor([[0.0], [1.0]], dtype=r.dtype))
    solution = linear_solve(A, torch.ones(2, 3, dtype=torch.float64), FlexibleCG(), useless, throw=False)
    assert solution.status.tolist() == [Status.BREAKDOWN, Status.CONVERGED]


@pytest.mark.parametrize("solver", [*EVERY, Richardson(omega=0.1)], ids=solver_name)
def test_the_limit_counts_steps_and_the_residual_is_true(solver):
    """Also across the restarts of GMRES; a neighbour that needs no step takes none."""
    A = diffusion((16, 16), (2,))
    b = torch.stack([normal(256), torch.zeros(256, dtype=torch.float64)])
    solution = linear_solve(A, b, replace(solver, max_iterations=13), throw=False)
    assert solution.status.tolist() == [Status.MAX_ITERATIONS, Status.CONVERGED]
    assert solution.stats.iterations.tolist() == [13, 0]
    r = b - A.mv(solution.value)
    r = A.rmv(r) if isinstance(solver, NormalCG) else r
    torch.testing.assert_close(solution.stats.residual_norm, r.norm(dim=-1))


@pytest.mark.parametrize("solver", [CG(), SingleReductionCG(), MINRES(), NormalCG()], ids=solver_name)
def test_a_negative_preconditioner_is_called_so(solver):
    A = CSROperator.from_dense(torch.stack([HEALTHY, HEALTHY]), tags={"spd"})
    negative = Fixed(lambda r: r * torch.tensor([[-1.0], [1.0]], dtype=r.dtype))
    solution = linear_solve(A, torch.ones(2, 3, dtype=torch.float64), solver, negative, throw=False)
    assert solution.status.tolist() == [Status.PRECONDITIONER_INDEFINITE, Status.CONVERGED]


@pytest.mark.parametrize("solver", [*EVERY, Richardson(omega=0.5)], ids=solver_name)
def test_a_preconditioner_that_returns_nan_is_found_out(solver):
    A = CSROperator.from_dense(torch.stack([HEALTHY, HEALTHY]), tags={"spd"})
    broken = Fixed(lambda r: r * torch.tensor([[torch.nan], [1.0]], dtype=r.dtype))
    solution = linear_solve(A, torch.ones(2, 3, dtype=torch.float64), solver, broken, throw=False)
    assert solution.status.tolist() == [Status.NONFINITE_ITERATE, Status.CONVERGED]


def test_richardson_that_diverges_overflows():
    A = CSROperator.from_dense(torch.stack([100 * HEALTHY, HEALTHY]))
    solution = linear_solve(A, torch.ones(2, 3, dtype=torch.float64), Richardson(omega=0.4), throw=False)
    assert solution.status.tolist() == [Status.NONFINITE_ITERATE, Status.CONVERGED]


@pytest.mark.parametrize("solver", SYMMETRIC, ids=solver_name)
def test_a_tolerance_beyond_the_precision_is_not_reached(solver):
    """float32, cond 1e6, b along the smallest eigenvector: eps ‖A‖ ‖x‖ ≈ 0.1 ‖b‖ is what a stored x can reach."""
    Q = torch.linalg.qr(normal(8, 8))[0]
    hard = (Q * torch.logspace(0, -6, 8, dtype=torch.float64)) @ Q.mT
    A = CSROperator.from_dense(torch.stack([0.5 * (hard + hard.mT), torch.eye(8, dtype=torch.float64)]).float())
    b = torch.stack([Q[:, -1] + 0.01 * Q[:, 0], Q[:, 0]]).float()
    with use_backend("reference"):
        solution = linear_solve(A, b, solver, throw=False)
    assert solution.status[0] in (Status.STAGNATION, Status.MAX_ITERATIONS)
    assert solution.status[1] == Status.CONVERGED


def problem(name):
    """(A, b) whose second system fails in the way that the name says."""
    skew = torch.tensor([[0.0, 2, -1], [-2, 0, 1], [1, -1, 0]], dtype=torch.float64)
    second = {"skew": skew, "singular": HEALTHY.clone().fill_diagonal_(1).index_fill(0, torch.tensor([2]), 0)}
    dense = second.get(name, -HEALTHY if name == "indefinite" else HEALTHY)
    b = torch.ones(2, 3, dtype=torch.float64)
    b[1] = torch.tensor([1.0, -1, 0]) if name == "skew" else 1
    b[1, 0] = torch.nan if name == "NaN" else b[1, 0]
    return CSROperator.from_dense(torch.stack([HEALTHY, dense])), b


FAILURES = {
    "limit": (NotConverged, "restart of GMRES", GMRES(max_iterations=1)),
    "indefinite": (Indefinite, "use MINRES", FlexibleCG(assume_spd=True)),
    "skew": (Breakdown, "Use GMRES", BiCGStab()),
    "singular": (Singular, "NormalCG", GMRES()),
    "NaN": (NonFinite, "isfinite", MINRES(assume_symmetric=True)),
}


@pytest.mark.parametrize("name", FAILURES)
def test_failure_names_the_system_and_a_remedy(name):
    error, remedy, solver = FAILURES[name]
    A, b = problem(name)
    if name == "limit":
        b[0] = 0
    with pytest.raises(error, match=f"system 1 of 2: .*{remedy}") as caught:
        linear_solve(A, b, solver)
    assert caught.value.batch_indices == (1,)
    assert linear_solve(A, b, solver, throw=False).converged.tolist() == [True, False]


UNSYMMETRIC = GeometricMultigrid(pre=1, post=0)
PLAIN = CSROperator.from_dense(HEALTHY)
TALL = CSROperator.from_dense(normal(5, 3))
BAD = {
    "SingleReductionCG": (TagError, "assume_spd=True", lambda: linear_solve(PLAIN, normal(3), SingleReductionCG())),
    "FlexibleCG": (TagError, "assume_spd=True", lambda: linear_solve(PLAIN, normal(3), FlexibleCG())),
    "MINRES": (TagError, "assume_symmetric=True", lambda: linear_solve(PLAIN, normal(3), MINRES())),
    "tall": (TagError, "NormalCG", lambda: linear_solve(TALL, normal(5), GMRES())),
    "fallback": (TagError, "MINRES", lambda: linear_solve(PLAIN, normal(3), Fallback(GMRES(), MINRES()))),
    "one-sided": (
        TagError,
        "MINRES needs of a preconditioner",
        lambda: linear_solve(diffusion((4, 4)), normal(16), MINRES(), UNSYMMETRIC),
    ),
    "rtol": (ValueError, "float64", lambda: linear_solve(PLAIN, normal(3), GMRES(rtol=1e-16))),
    "window": (ValueError, "at least 1", lambda: FlexibleCG(window=0)),
    "restart": (ValueError, "at least 1", lambda: FGMRES(restart=0)),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    error, words, call = BAD[case]
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("preconditioner", [None, GeometricMultigrid()], ids=["none", "multigrid"])
@pytest.mark.parametrize("solver", EVERY[:-1], ids=solver_name)
def test_the_result_does_not_depend_on_when_the_device_is_asked(solver, preconditioner):
    A = diffusion((16, 16), (4,))
    b = normal(4, 256) * torch.tensor([1e-8, 1.0, 0.0, 1e8], dtype=torch.float64)[:, None]
    with use_backend("reference"):
        each, rarely = (linear_solve(A, b, replace(solver, check_every=k), preconditioner) for k in (1, 7))
    assert torch.equal(each.value, rarely.value)
    assert torch.equal(each.stats.iterations, rarely.stats.iterations)


class Questions(TorchDispatchMode):
    """Counts how often the host waits for a number from the device."""

    asked = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.asked += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("solver", [*EVERY, Richardson(omega=0.2)], ids=solver_name)
def test_the_host_waits_only_at_the_checks(solver):
    """Thirty steps more cost three questions more (and one for a restart)."""
    A, b, asked = diffusion((16, 16), (2,)), normal(2, 256), []
    for limit in (10, 40):
        with use_backend("reference"), Questions() as questions:
            linear_solve(A, b, replace(solver, max_iterations=limit, check_every=10, rtol=1e-13), throw=False)
        asked.append(questions.asked)
    restarts = 30 // getattr(solver, "restart", 1000)
    assert asked[1] - asked[0] <= 3 + 3 * restarts


@pytest.mark.parametrize("preconditioner", [None, GeometricMultigrid()], ids=["none", "multigrid"])
@pytest.mark.parametrize("solver", EVERY[:-1], ids=solver_name)
def test_a_batch_element_is_solved_as_if_alone(solver, preconditioner):
    A = diffusion((16, 16), (4,))
    b = normal(4, 256) * torch.tensor([1e-8, 1.0, 1e8, 1.0], dtype=torch.float64)[:, None]
    together = linear_solve(A, b, replace(solver, rtol=1e-10), preconditioner)
    for i in range(4):
        one = A.replace(tuple(p[i] for p in A.parameters()))
        alone = linear_solve(one, b[i], replace(solver, rtol=1e-10), preconditioner)
        chaos = 0.1 * int(alone.stats.iterations) if isinstance(solver, BiCGStab) else 1
        assert abs(int(together.stats.iterations[i]) - int(alone.stats.iterations)) <= chaos
        assert (together.value[i] - alone.value).norm() / alone.value.norm() < 1e-8


@settings(max_examples=30, deadline=None)
@given(
    exponent=st.integers(-30, 30), solver=st.sampled_from(EVERY), dtype=st.sampled_from([torch.float32, torch.float64])
)
def test_solves_are_homogeneous(exponent, solver, dtype):
    """x(A, s b) = s x(A, b) for every scale: no absolute tolerance hides anywhere."""
    A = diffusion((6, 6), (2,), dtype=dtype)
    b, scale = normal(2, 36, dtype=dtype), 10.0**exponent
    one, scaled = linear_solve(A, b, solver), linear_solve(A, scale * b, solver)
    torch.testing.assert_close(scaled.value / scale, one.value, rtol=2e-4, atol=2e-4)
    assert scaled.converged.all()


@pytest.mark.parametrize("solver", [*EVERY, Richardson()], ids=solver_name)
@pytest.mark.parametrize("shape", [(0,), (1,), (0, 3), (2, 0, 3)], ids=str)
def test_small_and_empty_systems_are_solved(shape, solver):
    """No unknown, one unknown, no system."""
    b, index = normal(*shape), torch.arange(shape[-1])
    A = CSROperator.from_coo(index, index, torch.ones(shape[-1], dtype=torch.float64), (shape[-1], shape[-1]))
    torch.testing.assert_close(linear_solve(A, b, solver).value, b, rtol=1e-15, atol=0)
