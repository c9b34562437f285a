"""FastPoisson: the eigenvectors of each axis invert every separable grid operator."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from solver_cases import case_name, diffusion, normal

from solvers import (
    CG,
    GMRES,
    CSROperator,
    DenseLU,
    DiffusionOperator,
    FastPoisson,
    ShapeError,
    Singular,
    Status,
    StencilOperator,
    SuperLU,
    TagError,
    finite_volume_operator,
    linear_solve,
    poisson_operator,
)

SIDES = [
    "dirichlet",
    "neumann",
    "periodic",
    ("dirichlet", "neumann"),
    ("neumann", "dirichlet"),
]
BOUNDARIES = [*([side] for side in SIDES), *(list(pair) for pair in product(SIDES, SIDES)), SIDES[:3], SIDES[2:]]


def solved(A, b, rtol=1e-12):
    solution = linear_solve(A, b, FastPoisson(rtol))
    assert solution.stats.method == "FastPoisson"
    return solution


@pytest.mark.parametrize("reaction", [None, 0.7])
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=case_name)
def test_every_pair_of_boundaries_is_inverted_exactly(boundary, reaction):
    """‖b − A x‖ ≤ 1e-12 ‖b‖ and x is SuperLU's; without Dirichlet side and reaction, x and b have zero mean."""
    grid, widths = (8, 5, 4)[: len(boundary)], [0.5, 1.0, 2.0][: len(boundary)]
    A = finite_volume_operator(torch.full(grid, 3.0, dtype=torch.float64), widths, boundary, reaction)
    b = A.project(normal(3, A.shape[0]))
    solution = solved(A, b)
    assert (solution.stats.relative_residual <= 1e-12).all()
    torch.testing.assert_close(solution.value, linear_solve(A, b, SuperLU(1e-14)).value, rtol=1e-9, atol=1e-11)
    if A.is_singular:
        assert (solution.value.mean(-1).abs() <= 1e-13).all()


@pytest.mark.parametrize("grid", [(7,), (7, 15), (3, 7, 5), (1, 1), (64, 64), (32, 32, 32)], ids=str)
def test_vertex_grids_are_inverted_by_sines(grid):
    """A sin(π i (x + 1)/(n + 1)) = (2 − 2 cos(π i/(n + 1))) sin: one mode of every axis at once."""
    A = poisson_operator(grid, "vertex")
    x, value = torch.ones((), dtype=torch.float64), 0.0
    for k, n in enumerate(grid):
        angle = torch.tensor(torch.pi / (n + 1), dtype=torch.float64) * min(2, n)
        mode = torch.sin(angle * torch.arange(1, n + 1, dtype=torch.float64))
        x = x * mode.reshape(*(n if j == k else 1 for j in range(len(grid))))
        value = value + 2 - 2 * torch.cos(angle)
    x = x.reshape(-1)
    torch.testing.assert_close(linear_solve(A, value * x, FastPoisson()).value, x, rtol=1e-10, atol=1e-12)
    assert solved(A, normal(A.shape[0])).stats.relative_residual <= 1e-12


def test_coefficients_along_their_own_axis_are_exact_too():
    """Stretched grids: A = Σ I ⊗ Tₖ ⊗ I with any tridiagonal Tₖ ≥ 0, a missing face and a Robin side included."""
    generator = torch.Generator().manual_seed(0)
    t = [torch.rand(n, generator=generator, dtype=torch.float64) for n in (7, 6, 5)]
    t[1][3] = 0
    faces = [t[0][:, None, None].expand(7, 6, 4), t[1][:, None].expand(6, 6, 4), t[2].expand(6, 6, 5)]
    A = DiffusionOperator(faces, torch.full((6, 6, 4), 0.1, dtype=torch.float64), periodic=[False, True, False])
    b = normal(A.shape[0])
    torch.testing.assert_close(linear_solve(A, b, FastPoisson()).value, linear_solve(A, b, DenseLU()).value)


@settings(max_examples=25, deadline=None)
@given(
    grid=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    batch=st.sampled_from([(), (0,), (1,), (3,), (2, 3)]),
    more=st.sampled_from([(), (2,), (0,)]),
    sides=st.lists(st.sampled_from(SIDES), min_size=3, max_size=3),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_every_system_of_a_batch_has_its_own_coefficient(grid, batch, more, sides, dtype):
    """Shapes, batches and dtypes of any kind, axes of one point and empty batches included."""
    own = torch.rand(*batch, *(1,) * len(grid), generator=torch.Generator().manual_seed(0), dtype=dtype) + 0.5
    A = finite_volume_operator(own.expand(*batch, *grid), [1.0] * len(grid), sides[: len(grid)], 0.5)
    b = normal(*more, *batch, A.shape[0], dtype=dtype)
    x = linear_solve(A, b, FastPoisson()).value
    assert x.dtype == dtype
    assert x.shape == b.shape
    torch.testing.assert_close(A.mv(x), b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_residual_is_that_of_the_dtype(dtype):
    A = poisson_operator((48, 48), dtype=dtype)
    solution = linear_solve(A, normal(4, A.shape[0], dtype=dtype), FastPoisson())
    assert (solution.stats.relative_residual <= 2e3 * torch.finfo(dtype).eps).all()


def test_solves_are_twice_differentiable():
    """In b, in the coefficient of each axis and in the reaction; the operator stays separable."""

    def value(b, first, second, reaction):
        faces = [first * torch.ones(5, 3, dtype=b.dtype), second * torch.ones(4, 4, dtype=b.dtype)]
        return linear_solve(DiffusionOperator(faces, reaction.expand(4, 3)), b, FastPoisson(1e-14)).value

    inputs = [normal(2, 12), *(torch.tensor(t, dtype=torch.float64) for t in (1.5, 0.7, 0.3))]
    inputs = [t.requires_grad_() for t in inputs]
    assert torch.autograd.gradcheck(value, inputs)
    assert torch.autograd.gradgradcheck(value, inputs)


@pytest.mark.parametrize("boundary", ["neumann", "periodic"])
def test_the_gradient_of_a_singular_solve_has_no_mean(boundary):
    """d⟨c, x⟩/db = A⁺ c."""
    A = poisson_operator((4, 6), boundary=boundary)
    b, c = A.project(normal(24)).requires_grad_(), normal(24, seed=1)
    (linear_solve(A, b, FastPoisson()).value * c).sum().backward()
    torch.testing.assert_close(b.grad, torch.linalg.pinv(A.to_dense()) @ c, rtol=1e-9, atol=1e-10)


def test_cg_needs_as_many_steps_on_every_grid():
    """M⁻¹ A has eigenvalues between min a and max a over their mean: contrast 3, whatever the grid."""
    steps = [
        int(linear_solve(diffusion((n, n)), normal(n * n), CG(), FastPoisson()).stats.iterations) for n in (16, 32, 64)
    ]
    assert max(steps) <= 16


@pytest.mark.parametrize("boundary", ["neumann", "periodic", [("dirichlet", "neumann"), "periodic"]], ids=case_name)
def test_the_preconditioner_is_symmetric_positive_definite(boundary):
    """⟨u, M v⟩ = ⟨M u, v⟩ and ⟨u, M u⟩ > 0 on the range, with averaged coefficients."""
    A = diffusion((8, 6), (3,), boundary)
    M = FastPoisson().setup(A)
    u, v = A.project(normal(3, 48)), A.project(normal(3, 48, seed=1))
    assert M.is_spd
    assert not M.is_exact
    assert ((u * M(v)).sum(-1) - (M(u) * v).sum(-1)).abs().max() <= 1e-12 * (u * M(u)).sum(-1).max()
    assert ((u * M(u)).sum(-1) > 0).all()


def test_a_model_preconditions_operators_in_other_formats():
    """Convection–diffusion on 24² points, real and complex: GMRES takes a fraction of its steps."""
    laplace = poisson_operator((24, 24))
    stencil = laplace.to_stencil()
    drift = torch.zeros_like(stencil.coefficients)
    drift[stencil.offsets.index((1, 0))] = 0.1
    drift[stencil.offsets.index((-1, 0))] = -0.1
    A = StencilOperator(stencil.offsets, stencil.coefficients + drift)
    plain, modelled = (
        linear_solve(A, normal(576), GMRES(), M).stats.iterations for M in (None, FastPoisson(model=laplace))
    )
    assert modelled < 0.3 * plain
    csr = laplace.to_csr()
    shifted = CSROperator.from_pattern(csr.pattern, csr.values + 0.05j * (csr.pattern.row == csr.pattern.column))
    b = normal(576, dtype=torch.complex128)
    solution = linear_solve(shifted, b, GMRES(), FastPoisson(model=laplace))
    assert solution.stats.iterations < 10
    torch.testing.assert_close(shifted.mv(solution.value), b, rtol=1e-6, atol=1e-6)


def test_each_system_has_its_own_status():
    """NaN in the coefficient, NaN in b, zero b, resonance (an eigenvalue of zero), healthy."""
    a = torch.ones(5, 8, dtype=torch.float64)
    a[0] = torch.nan
    reaction = torch.zeros(5, 1, dtype=torch.float64)
    reaction[3] = -(2 - 2 * torch.cos(torch.tensor(torch.pi / 4, dtype=torch.float64)))  # mode 2 of 8 cells
    A = finite_volume_operator(a, [1.0], reaction=reaction.expand(5, 8))
    b = normal(5, 8)
    b[1, 2] = torch.nan
    b[2] = 0
    solution = linear_solve(A, b, FastPoisson(), throw=False)
    expected = [Status.NONFINITE_INPUT, Status.NONFINITE_INPUT, Status.CONVERGED, Status.SINGULAR, Status.CONVERGED]
    assert solution.status.tolist() == expected
    assert solution.value[:2].isnan().all()
    torch.testing.assert_close(A.mv(solution.value)[[2, 4]], b[[2, 4]], rtol=1e-10, atol=1e-12)
    with pytest.raises(Singular, match="system 0 of 1"):
        linear_solve(A.replace(tuple(p[3:4] for p in A.parameters())), b[3:4], FastPoisson())


def test_indefinite_operators_are_inverted_too():
    """−u″ − 0.5 u has negative and positive eigenvalues: no preconditioner for CG, but a solution."""
    A = finite_volume_operator(torch.ones(16, dtype=torch.float64), 1.0, reaction=-0.5)
    b = normal(16)
    torch.testing.assert_close(A.mv(linear_solve(A, b, FastPoisson()).value), b)
    assert not FastPoisson().setup(A).is_spd


BAD_INPUTS = {
    "coefficient": (TagError, "GeometricMultigrid", lambda: linear_solve(diffusion((4, 4)), normal(16), FastPoisson())),
    "format": (TagError, "DiffusionOperator", lambda: FastPoisson().setup(diffusion((4,)).to_csr())),
    "grid": (
        ShapeError,
        "16 unknowns",
        lambda: FastPoisson(model=poisson_operator((4, 4))).setup(poisson_operator((5,))),
    ),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_input_is_named(case):
    error, words, call = BAD_INPUTS[case]
    with pytest.raises(error, match=words):
        call()
