"""Multigrid over blocks of cells: symmetric positive definite with any coefficients, and fast with good ones."""

import pytest
import torch
from aggregation_cases import RandomFields, around, balls, on_top
from hypothesis import given, settings
from hypothesis import strategies as st
from solver_cases import diffusion, normal

from solvers import (
    CG,
    GALERKIN,
    HAND_TUNED,
    TEXTBOOK,
    AggregationMultigrid,
    CellGraph,
    CycleCoefficients,
    LevelCoefficients,
    ShapeError,
    TagError,
    ToleranceError,
    aggregation_levels,
    linear_solve,
    poisson_operator,
    use_backend,
)
from solvers.kernels.aggregation import neighbours

SETTINGS = {"Galerkin": GALERKIN, "textbook": TEXTBOOK, "hand-tuned": HAND_TUNED}
RULES = {**SETTINGS, "random fields": RandomFields(3)}


def matrix(A, rule):
    """M as a dense matrix on the cells that have a diagonal."""
    alive = A.diagonal() > 0
    M = AggregationMultigrid(rule).setup(A)(torch.eye(A.shape[0], dtype=A.dtype))
    return M[alive][:, alive]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("grid", [(16, 16), (8, 8, 8), (13, 9)], ids=str)
def test_any_coefficients_give_a_symmetric_positive_definite_cycle(grid, seed):
    """M = Mᵀ to 1e-12 and λ_min(M) > 0 for ω in (0, 2), positive transfer factors, links and masses."""
    fluid = balls(grid, 2, seed)
    A = around(fluid, on_top(fluid))
    M = matrix(A, RandomFields(seed))
    assert (M - M.mT).abs().max() <= 1e-12 * M.abs().max()
    assert torch.linalg.eigvalsh(0.5 * (M + M.mT)).min() > 0


def test_the_cycle_is_linear():
    """M (2 u − 3 v) = 2 M u − 3 M v, and M (c r) = c M r, for powers of two to the last bit."""
    fluid = balls((20, 20), 3)
    M = AggregationMultigrid(RandomFields()).setup(around(fluid, on_top(fluid)))
    u, v = normal(400), normal(400, seed=1)
    torch.testing.assert_close(M(2 * u - 3 * v), 2 * M(u) - 3 * M(v), rtol=1e-12, atol=1e-12)
    for c in (2.0**-100, 2.0**100):
        assert torch.equal(M(c * u), c * M(u))


def test_fields_that_are_constant_are_the_classical_cycle():
    """ω, factors and scalings of one value in every cell equal those numbers."""
    fluid = balls((16, 16), 2)
    A, r = around(fluid, on_top(fluid)), normal(256)

    def fields(level, fine, coarse):
        one, below = torch.ones_like(fine.mass), torch.ones_like(coarse.mass)
        return LevelCoefficients(1.15 * one, 1.15 * one, one, below, 0.45 * torch.ones_like(coarse.links), 0.6 * below)

    expected = AggregationMultigrid(HAND_TUNED).setup(A)(r)
    torch.testing.assert_close(AggregationMultigrid(fields).setup(A)(r), expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("omega", [0.3, 1.0, 1.7])
def test_relaxing_one_cell_lowers_the_squared_error_by_the_theorem(omega):
    """‖e‖²_A falls by ω (2 − ω) rᵢ² / Aᵢᵢ when cell i alone is relaxed."""
    fluid = balls((12, 12), 2)
    A = around(fluid, on_top(fluid))
    rule = CycleCoefficients((LevelCoefficients(omega, omega),))
    level = aggregation_levels(CellGraph.of(A), rule).levels[0]
    solution, u = A.project(normal(144)), A.project(normal(144, seed=1))
    b, field = A.mv(solution), u.reshape(1, 12, 12)
    relaxed = level.keep * field + level.weight * (b.reshape(1, 12, 12) + neighbours(level.links, field))
    for i in (A.diagonal() > 0).nonzero().flatten()[::17].tolist():
        after = u.clone()
        after[i] = relaxed.flatten()[i]
        squares = [((solution - x) * A.mv(solution - x)).sum() for x in (u, after)]
        expected = omega * (2 - omega) * (b - A.mv(u))[i] ** 2 / A.diagonal()[i]
        torch.testing.assert_close(squares[0] - squares[1], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("rule", RULES)
@settings(deadline=None, max_examples=10)
@given(grid=st.lists(st.integers(1, 13), min_size=1, max_size=3), seed=st.integers(0, 99))
def test_compiled_cycle_equals_the_reference(rule, dtype, grid, seed):
    """The same z to rounding, on any grid, one to three dimensions, for batches and repeated batches."""
    A = diffusion(grid, (2,), "neumann", reaction=0.1, seed=seed, dtype=dtype)
    r = normal(3, 2, A.shape[0], seed=seed, dtype=dtype)
    M = AggregationMultigrid(RULES[rule], coarsest=2).setup(A)
    with use_backend("reference"):
        expected = M(r)
    assert (M(r) - expected).abs().max() <= 200 * torch.finfo(dtype).eps * expected.abs().max()


@pytest.mark.parametrize("dtype", [None, torch.float32], ids=str)
def test_compiled_conjugate_gradients_take_the_steps_of_the_reference(dtype):
    """Same solution and iterations, in the operator's precision and with a float32 cycle inside."""
    fluid = torch.stack([balls((24, 20), 3, seed) for seed in range(3)])
    A = around(fluid, torch.stack([on_top(mask) for mask in fluid]), batch=1)
    b = A.project(normal(3, 480))
    recipe = AggregationMultigrid(HAND_TUNED, dtype=dtype)
    found = linear_solve(A, b, CG(rtol=1e-6), recipe)
    with use_backend("reference"):
        expected = linear_solve(A, b, CG(rtol=1e-6), recipe)
    assert (found.stats.iterations - expected.stats.iterations).abs().max() <= 1
    torch.testing.assert_close(found.value, expected.value, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rule", ["textbook", "hand-tuned"])
@pytest.mark.parametrize("grid", [(32, 32, 32), (64, 64), (128, 128)], ids=str)
def test_iterations_do_not_grow_with_the_grid(grid, rule):
    """About ten steps from 1 to 1e-4, whatever the number of cells."""
    fluid = balls(grid, 4)
    A = around(fluid, on_top(fluid), torch.float32)
    b = A.project(normal(A.shape[0], dtype=torch.float32))
    assert linear_solve(A, b, CG(rtol=1e-4), AggregationMultigrid(SETTINGS[rule])).stats.iterations <= 12


def test_over_correction_saves_iterations():
    """Halved coarse links beat the Galerkin matrix, which is too stiff."""
    A, b = around(balls((128, 128), 4)), normal(128 * 128)
    steps = [
        int(linear_solve(A, A.project(b), CG(rtol=1e-6), AggregationMultigrid(rule)).stats.iterations)
        for rule in (GALERKIN, TEXTBOOK)
    ]
    assert steps[1] < 0.75 * steps[0]


@pytest.mark.parametrize("rule", RULES)
def test_parts_that_nothing_holds_are_solved_in_their_range(rule):
    """A 1 = 0 on a floating part: M r and the solution have mean zero there, and every part is solved."""
    fluid = torch.ones(24, 24, dtype=torch.bool)
    fluid[8], fluid[:, 11], fluid[3, 3] = False, False, False
    fluid[16:19, 3:6] = False
    fluid[17, 4] = True  # one cell alone
    held = torch.zeros(24, 24)
    held[-1, :11] = 1  # only the lower left part is held
    A = around(fluid, held)
    b = A.project(normal(576) * fluid.flatten())
    M = AggregationMultigrid(RULES[rule]).setup(A)
    solution = linear_solve(A, b, CG(rtol=1e-10), AggregationMultigrid(RULES[rule]))
    torch.testing.assert_close(A.mv(solution.value), b, rtol=0, atol=1e-9 * float(b.norm()))
    for z in (M(normal(576)).reshape(24, 24), solution.value.reshape(24, 24)):
        for part in (z[:8, :11], z[:8, 12:], z[9:, 12:]):
            assert part.sum().abs() <= 1e-10 * z.abs().max() * part.numel()
        assert (z[~fluid] == 0).all()


@pytest.mark.parametrize("d", [2, 3])
def test_random_masks_converge(d):
    """Random cells solid, many parts, some of one cell, most of them floating: CG reaches 1e-8 on 1000 masks."""
    g = torch.Generator().manual_seed(d)
    grid = (24, 24) if d == 2 else (11, 12, 13)
    for _ in range(25):
        share = 0.1 + 0.4 * torch.rand(40, *(1,) * d, generator=g)
        fluid = torch.rand(40, *grid, generator=g) > share
        held = (torch.rand(40, *grid, generator=g) < 0.01).double()
        A = around(fluid, held, batch=1)
        b = A.project(torch.randn(40, A.shape[0], generator=g, dtype=torch.float64))
        solution = linear_solve(A, b, CG(rtol=1e-8, max_iterations=150), AggregationMultigrid(HAND_TUNED))
        assert solution.converged.all()


def test_a_cell_that_is_not_finite_does_not_reach_the_other_systems():
    """The second system is solved although the first has a NaN."""
    fluid = torch.stack([balls((16, 16), 2)] * 2)
    held = torch.stack([on_top(fluid[0]), on_top(fluid[0])])
    held[0, -1, 3] = torch.nan
    A = around(fluid, held, batch=1)
    b = A.project(normal(256).expand(2, 256)) * fluid.flatten(1)
    solution = linear_solve(A, b, CG(), AggregationMultigrid(), throw=False)
    assert solution.converged.tolist() == [False, True]


def test_printing_shows_the_levels():
    """Levels, grids and precision, one line each."""
    text = repr(AggregationMultigrid(dtype=torch.float32).setup(around(balls((13, 16), 1))))
    assert text.splitlines()[0] == "AggregationHierarchy: 3 levels, batch (), float32"
    assert text.splitlines()[1:] == ["  0: 13 × 16 cells", "  1: 7 × 8 cells", "  2: 4 × 4 cells (dense)"]


@pytest.mark.parametrize(
    ("coefficients", "message"),
    [
        (LevelCoefficients(omega_red=2.0), r"omega_red = 2 on level 0: .* \(0, 2\)"),
        (LevelCoefficients(omega_black=0.0), r"omega_black = 0 on level 0"),
        (LevelCoefficients(fine=-1.0), r"fine = -1 on level 0: .* \(0, inf\)"),
        (LevelCoefficients(link=torch.tensor([[[1.0]], [[0.0]]])), r"link = 0 on level 0"),
        (LevelCoefficients(mass=float("nan")), r"mass = nan on level 0"),
        (LevelCoefficients(coarse=float("inf")), r"coarse = inf on level 0"),
    ],
)
def test_coefficients_without_a_positive_definite_cycle_are_refused(coefficients, message):
    """ω in (0, 2), the others positive and finite."""
    with pytest.raises(ToleranceError, match=message):
        AggregationMultigrid(CycleCoefficients((coefficients,))).setup(around(balls((16, 16), 1)))


def test_bad_input_is_named():
    """Fields of another grid, no level at all, periodic axes, other operators, batches that do not fit."""
    A = around(balls((16, 16), 1))
    with pytest.raises(ShapeError, match=r"fine \(16, 16\) on level 1: .* \(1, 8, 8\)"):
        AggregationMultigrid(CycleCoefficients((LevelCoefficients(fine=torch.ones(16, 16)),)), 2).setup(A)
    with pytest.raises(ShapeError, match="of no level"):
        CycleCoefficients(())
    with pytest.raises(ShapeError, match="coarsest = 9"):
        AggregationMultigrid(coarsest=9)
    with pytest.raises(ShapeError, match="periodic"):
        AggregationMultigrid().setup(diffusion((8, 8), boundary="periodic"))
    with pytest.raises(TagError, match="CSROperator"):
        AggregationMultigrid().setup(poisson_operator((8, 8)).to_csr())
    with pytest.raises(ShapeError, match="last batch axes"):
        AggregationMultigrid().setup(diffusion((8, 8), (2, 1)))(normal(2, 3, 64))
