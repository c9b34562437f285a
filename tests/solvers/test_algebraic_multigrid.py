"""Algebraic multigrid: what it solves, that its cycle is symmetric, and the Galerkin product as a linear map."""

from functools import partial
from itertools import pairwise

import numpy as np
import pyamg
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from solver_cases import BOUNDARIES, OnlyProducts, case_name, diffusion, normal, random_stencil

from solvers import (
    CG,
    GMRES,
    SSOR,
    Chebyshev,
    CSROperator,
    DTypeError,
    GalerkinMap,
    PatternError,
    RugeStuben,
    ShapeError,
    SmoothedAggregation,
    Status,
    TagError,
    linear_solve,
    poisson_operator,
)

#: Small coarse levels, so that small problems have several.
RECIPES = [
    SmoothedAggregation(coarsest=5),
    SmoothedAggregation(coarsest=5, smoother=Chebyshev(1, 0.5, 1.0)),
    SmoothedAggregation(coarsest=5, smoother=SSOR()),
    RugeStuben(coarsest=5),
]
NAMES = ["SA", "SA-Jacobi", "SA-SSOR", "RS"]


def example(name, tags=("spd",)):
    """A matrix of PyAMG's gallery, and its near null space."""
    loaded = pyamg.gallery.load_example(name)
    near = torch.from_numpy(np.asarray(loaded["B"])) if "B" in loaded else None
    return CSROperator.from_scipy(loaded["A"], tags), near


def iterations(A, recipe, rtol=1e-8, solver=CG):
    b = torch.from_numpy(np.random.default_rng(0).standard_normal(A.shape[0])).to(A.dtype)
    solution = linear_solve(A, b, solver(rtol), recipe)
    assert (b - A.mv(solution.value)).norm() <= 1.02 * rtol * b.norm()
    return int(solution.stats.iterations)


def sparse(*shape, seed=0, dtype=torch.float64):
    """A random rectangular matrix with a third of its entries; the first column is never empty."""
    kept = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.3
    kept[:, 0] = True
    return CSROperator.from_dense(normal(*shape, seed=seed).to(dtype) * kept)


@pytest.mark.parametrize("recipe", RECIPES, ids=NAMES)
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=case_name)
def test_cycles_are_symmetric_positive_definite(boundary, recipe):
    """⟨u, M v⟩ = ⟨M u, v⟩ and ⟨u, M u⟩ > 0 on the range, for each system of a batch."""
    A = diffusion((9, 11), (3,), boundary)
    M = recipe.setup(A)
    u, v = (A.project(normal(3, 99, seed=seed)) for seed in (0, 1))
    size = (u * M(u)).sum(-1)
    assert M.is_spd
    assert M.H is M
    assert len(M.matrices) > 2
    assert (size > 0).all()
    assert (((u * M(v)).sum(-1) - (M(u) * v).sum(-1)).abs() <= 1e-12 * size).all()


@pytest.mark.parametrize("recipe", RECIPES, ids=NAMES)
def test_cycles_contract_the_error(recipe):
    """The spectrum of M A lies in (0, 1 + ε] above zero: a cycle is a convergent method of its own."""
    A = diffusion((10, 10)).to_csr()
    M = recipe.setup(A)
    product = M(A.to_dense()).mT
    eigenvalues = torch.linalg.eigvals(product).real
    assert eigenvalues.min() > 0.3
    assert eigenvalues.max() < 1 + 1e-10


@pytest.mark.parametrize("name", ["airfoil", "knot", "unit_cube"])
@pytest.mark.parametrize("recipe", RECIPES, ids=NAMES)
def test_gallery_is_solved_in_few_iterations(name, recipe):
    A, _ = example(name)
    assert iterations(A, recipe) <= 15
    assert iterations(A, recipe) < 0.5 * iterations(A, None)


def test_discontinuous_galerkin_is_solved():
    A, _ = example("local_disc_galerkin_diffusion")
    assert iterations(A, SmoothedAggregation()) < 0.3 * iterations(A, None)


def test_elasticity_wants_its_rigid_body_motions():
    """The bar: few iterations with the six motions, two to four times as many without."""
    A, motions = example("bar")
    informed = iterations(A, SmoothedAggregation(motions, block_size=3))
    assert informed <= 18
    assert iterations(A, SmoothedAggregation(motions)) <= 20
    assert iterations(A, SmoothedAggregation(block_size=3)) > 1.5 * informed
    assert iterations(A, SmoothedAggregation()) > 2 * informed


@pytest.mark.parametrize("recipe", [SmoothedAggregation(), RugeStuben()], ids=["SA", "RS"])
def test_iterations_hardly_grow_with_the_grid(recipe):
    counts = [iterations(poisson_operator((n, n), "vertex").to_csr(), recipe) for n in (32, 64, 128)]
    assert max(counts) <= 11
    assert max(counts) - min(counts) <= 3


def test_strength_helps_against_anisotropy():
    stencil = pyamg.gallery.diffusion_stencil_2d(epsilon=0.01, theta=0.5)
    A = CSROperator.from_scipy(pyamg.gallery.stencil_grid(stencil, (50, 50), format="csr"), {"spd"})
    assert iterations(A, SmoothedAggregation(strength=0.1)) < 0.8 * iterations(A, SmoothedAggregation())
    assert iterations(A, RugeStuben()) <= 12


def test_single_precision_cycles_cost_no_iterations():
    A = poisson_operator((64, 64)).to_csr()
    for recipe in (SmoothedAggregation, RugeStuben):
        single = recipe(dtype=torch.float32).setup(A)
        assert single(normal(4096)).dtype == torch.float64
        assert iterations(A, recipe(dtype=torch.float32), 1e-12) <= iterations(A, recipe(), 1e-12) + 1


def test_operators_in_single_precision():
    A = diffusion((30, 30), dtype=torch.float32)
    b = normal(900, dtype=torch.float32)
    assert linear_solve(A, b, CG(), SmoothedAggregation()).stats.iterations <= 10


def test_hermitian_matrices():
    """Phases on the edges of a grid: A = D − W with w_ji = conj(w_ij)."""
    A = diffusion((12, 12)).to_csr()
    row, column = A.pattern.row, A.pattern.column
    phase = torch.exp(0.05j * (row - column))
    A = CSROperator.from_pattern(A.pattern, A.values * phase, {"spd"})
    M = SmoothedAggregation(coarsest=5).setup(A)
    dense = M(torch.eye(144, dtype=torch.complex128)).mT
    torch.testing.assert_close(dense, dense.mH, rtol=1e-11, atol=1e-13)
    assert torch.linalg.eigvalsh(dense).min() > 0
    assert iterations(A, SmoothedAggregation(coarsest=5)) < 0.5 * iterations(A, None)


@pytest.mark.parametrize("recipe", [SmoothedAggregation(coarsest=5), RugeStuben(coarsest=5)], ids=["SA", "RS"])
def test_unsymmetric_matrices_and_the_adjoint_cycle(recipe):
    """⟨u, M v⟩ = ⟨Mᴴ u, v⟩, and GMRES profits from M."""
    A, _ = example("recirc_flow", ())
    M = recipe.setup(A)
    u, v = normal(A.shape[0]), normal(A.shape[0], seed=1)
    torch.testing.assert_close(u @ M(v), M.H(u) @ v, rtol=1e-11, atol=1e-12)
    assert not M.is_spd
    gmres = partial(GMRES, restart=200)
    assert iterations(A, recipe, solver=gmres) < 0.5 * iterations(A, None, solver=gmres)


@pytest.mark.parametrize("recipe", RECIPES, ids=NAMES)
def test_a_batch_is_the_update_of_each_system(recipe):
    """The systems share P and R; everything else is their own, as if each had been set up alone with that P."""
    A, r = diffusion((9, 9), (2, 2)).to_csr(), normal(3, 2, 2, 81)
    M = recipe.setup(A)
    together = M(r)
    for i in (0, 1):
        alone = M.update(A.replace((A.values[i, 1],)))
        torch.testing.assert_close(alone(r[:, i, 1]), together[:, i, 1], rtol=1e-11, atol=1e-12)
    assert M(r[0, 0, 0]).shape == (2, 2, 81)


@pytest.mark.parametrize("recipe", RECIPES, ids=NAMES)
def test_an_update_with_the_same_values_changes_nothing(recipe):
    """PyAMG's coarse matrices are R A P."""
    A, r = diffusion((12, 9)).to_csr(), normal(108)
    M = recipe.setup(A)
    torch.testing.assert_close(M.update(A)(r), M(r), rtol=1e-10, atol=1e-12)


def test_an_update_serves_new_values():
    """A million times A needs a millionth of M; a coefficient that moves keeps the iterations low."""
    a, r = diffusion((20, 20)), normal(400)
    M = SmoothedAggregation(coarsest=20).setup(a)
    scaled = M.update(a.replace(tuple(1e6 * p for p in a.parameters())))
    torch.testing.assert_close(1e6 * scaled(r), M(r), rtol=1e-9, atol=1e-12)
    moved = diffusion((20, 20), (4,), seed=5)
    b, recycled = normal(4, 400), M.update(moved)
    assert recycled.matrices[-1].batch_shape == (4,)
    plain = linear_solve(moved, b, CG())

    class Recycled:
        def setup(self, A):
            return M.update(A)

    assert (linear_solve(moved, b, CG(), Recycled()).stats.iterations < 0.4 * plain.stats.iterations).all()


def test_systems_of_a_batch_weigh_the_same():
    """Units that differ by 1e12 and a system that is not a number leave the others' convergence alone."""
    A, b = diffusion((20, 20), (4,)).to_csr(), normal(4, 400)
    scale = torch.tensor([1e-12, 1.0, 1e12, torch.nan], dtype=torch.float64)
    solution = linear_solve(A.replace((scale[:, None] * A.values,)), b, CG(), SmoothedAggregation(), throw=False)
    assert solution.status.tolist() == [*[Status.CONVERGED] * 3, Status.NONFINITE_INPUT]
    assert (solution.stats.iterations[:3] <= 11).all()


def test_set_up_is_repeatable_and_leaves_numpys_generator_alone():
    A, r = diffusion((30, 30)).to_csr(), normal(900)
    np.random.seed(7)  # noqa: NPY002
    first = SmoothedAggregation().setup(A)(r)
    drawn = np.random.rand()  # noqa: NPY002
    np.random.seed(7)  # noqa: NPY002
    assert drawn == np.random.rand()  # noqa: NPY002
    assert torch.equal(SmoothedAggregation().setup(A)(r), first)


def test_derivatives_pass_the_hierarchy_by():
    """d⟨c, A⁻¹b⟩/dvalues is that of the dense solve."""
    A, b, c = diffusion((5, 5), (2,)).to_csr(), normal(25), normal(2, 25, seed=1)
    values = A.values.clone().requires_grad_()
    recipe = SmoothedAggregation(coarsest=4)
    (linear_solve(A.replace((values,)), b, CG(rtol=1e-13), recipe).value * c).sum().backward()
    implicit, values.grad = values.grad, None
    dense = torch.zeros(2, 25, 25, dtype=torch.float64)
    dense = dense.index_put((torch.arange(2)[:, None], A.pattern.row, A.pattern.column), values)
    (torch.linalg.solve(dense, b.expand(2, 25)) * c).sum().backward()
    torch.testing.assert_close(implicit, values.grad, rtol=1e-9, atol=1e-12)


def test_small_matrices_are_solved_densely():
    for n in (0, 1, 5):
        A = CSROperator(torch.arange(n + 1), torch.arange(n), 2 * torch.ones(n), (n, n), {"spd"})
        for recipe in (SmoothedAggregation(), RugeStuben()):
            torch.testing.assert_close(recipe.setup(A)(torch.ones(n)), 0.5 * torch.ones(n))


@pytest.mark.parametrize("recipe", RECIPES, ids=NAMES)
def test_nothing_to_coarsen(recipe):
    """An empty batch, and systems that are all not numbers: no solver starts them."""
    empty = diffusion((12, 12), (0,)).to_csr()
    assert recipe.setup(empty)(normal(0, 144)).shape == (0, 144)
    for batch in ((), (2,)):
        A = diffusion((12, 12), batch).to_csr()
        A = A.replace((A.values * torch.nan,))
        solution = linear_solve(A, normal(*batch, 144), CG(), recipe, throw=False)
        assert (solution.status == Status.NONFINITE_INPUT).all()


def test_a_diagonal_matrix_does_not_coarsen():
    """Classical coarsening finds nothing to do above 1000 unknowns: the smoother remains."""
    n = 1500
    A = CSROperator(torch.arange(n + 1), torch.arange(n), torch.linspace(1, 2, n).double(), (n, n), {"spd"})
    assert iterations(A, RugeStuben()) <= 2
    assert "dense" not in repr(RugeStuben().setup(A))


def test_groups_smaller_than_the_near_null_space():
    """Unknowns without neighbours carry one vector, not three: the empty coarse unknowns are left out."""
    blocks = scipy.sparse.block_diag([*[pyamg.gallery.poisson((8, 8))] * 2, scipy.sparse.identity(10)])
    A = CSROperator.from_scipy(blocks, {"spd"})
    x = torch.linspace(-1, 1, 138, dtype=torch.float64)
    recipe = SmoothedAggregation(torch.stack([x**0, x, x**2], -1), coarsest=20)
    assert iterations(A, recipe) < iterations(A, None)


def test_it_prints_what_it_built():
    text = repr(SmoothedAggregation().setup(poisson_operator((50, 50)).to_csr()))
    assert "AlgebraicHierarchy: 3 levels, operator complexity 1." in text
    assert "0: 2500 unknowns, 12300 entries" in text
    assert text.endswith("(dense)")


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.tuples(*[st.integers(1, 8)] * 4),
    batch=st.sampled_from([(), (0,), (3,), (2, 2)]),
    complex_values=st.booleans(),
    seed=st.integers(0, 99),
)
def test_galerkin_map_is_the_product_of_dense_matrices(sizes, batch, complex_values, seed):
    """values(R A P) for every system of a batch; linear in the values."""
    (m, n, mc, nc), dtype = sizes, torch.complex128 if complex_values else torch.float64
    A, R, P = (
        sparse(m, n, seed=seed, dtype=dtype),
        sparse(mc, m, seed=seed + 1, dtype=dtype),
        sparse(n, nc, dtype=dtype),
    )
    galerkin = GalerkinMap(A.pattern, R, P)
    v, w = (normal(*batch, A.values.numel(), seed=s).to(dtype) for s in (5, 6))
    coarse = CSROperator.from_pattern(galerkin.pattern, galerkin(v))
    fine = CSROperator.from_pattern(A.pattern, v)
    dense = torch.zeros(*batch, m, n, dtype=dtype)
    dense[..., A.pattern.row, A.pattern.column] = fine.values
    product = R.to_dense() @ dense @ P.to_dense()
    rebuilt = torch.zeros(*batch, mc, nc, dtype=dtype)
    rebuilt[..., coarse.pattern.row, coarse.pattern.column] = coarse.values
    torch.testing.assert_close(rebuilt, product, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(galerkin(2 * v - w), 2 * galerkin(v) - galerkin(w), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
def test_galerkin_map_is_twice_differentiable(dtype):
    A, R, P = sparse(5, 6, dtype=dtype), sparse(2, 5, dtype=dtype), sparse(6, 3, dtype=dtype)
    galerkin = GalerkinMap(A.pattern, R, P)
    values = normal(2, A.values.numel()).to(dtype).requires_grad_()
    assert torch.autograd.gradcheck(galerkin, values)
    assert torch.autograd.gradgradcheck(galerkin, values)


def test_galerkin_map_is_pyamgs_product():
    """On the levels of a real hierarchy, with the same pattern."""
    levels = pyamg.smoothed_aggregation_solver(pyamg.gallery.poisson((40, 40), format="csr"), max_coarse=20).levels
    for fine, coarse in pairwise(levels):
        A, R, P = (CSROperator.from_scipy(scipy.sparse.csr_matrix(part)) for part in (fine.A, fine.R, fine.P))
        galerkin, expected = GalerkinMap(A.pattern, R, P), CSROperator.from_scipy(scipy.sparse.csr_matrix(coarse.A))
        assert torch.equal(galerkin.pattern.col, expected.pattern.col)
        torch.testing.assert_close(galerkin(A.values), expected.values, rtol=1e-12, atol=1e-13)


def coarse(columns, batch=()):
    return CSROperator.from_dense(torch.ones(*batch, 144, columns, dtype=torch.float64))


CASE = diffusion((12, 12)).to_csr()
BAD = {
    "no entries": (TagError, "does not know its entries", lambda: SmoothedAggregation().setup(OnlyProducts(CASE))),
    "near null space": (
        ShapeError,
        r"near_nullspace \(143,\): expected \(144,\) or \(144, k\)",
        lambda: SmoothedAggregation(torch.ones(143)).setup(CASE),
    ),
    "near null space of three axes": (
        ShapeError,
        "one vector a column",
        lambda: SmoothedAggregation(torch.ones(144, 2, 1)).setup(CASE),
    ),
    "block size": (ShapeError, "5 does not divide the 144", lambda: SmoothedAggregation(block_size=5).setup(CASE)),
    "complex": (
        DTypeError,
        "SmoothedAggregation",
        lambda: RugeStuben().setup(CASE.replace((CASE.values.to(torch.complex128),))),
    ),
    "zero diagonal": (
        PatternError,
        "row 3 has a zero on the diagonal",
        lambda: SmoothedAggregation().setup(
            CASE.replace((CASE.values * ~((CASE.pattern.row == 3) & (CASE.pattern.column == 3)),))
        ),
    ),
    "another pattern": (
        PatternError,
        "set it up anew",
        lambda: RugeStuben(coarsest=9).setup(CASE).update(random_stencil((12, 12), (), False).to_csr()),
    ),
    "shapes": (
        ShapeError,
        "cannot be multiplied",
        lambda: GalerkinMap(CASE.pattern, coarse(3), coarse(3)),
    ),
    "batch": (
        ShapeError,
        "one of each serves all",
        lambda: GalerkinMap(CASE.pattern, CSROperator.from_dense(torch.ones(3, 144).double()), coarse(3, (2,))),
    ),
    "values": (
        ShapeError,
        r"expected \(\*batch, nnz\)",
        lambda: GalerkinMap(CASE.pattern, CSROperator.from_dense(torch.ones(3, 144).double()), coarse(3))(normal(7)),
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    error, words, call = BAD[case]
    with pytest.raises(error, match=words):
        call()
