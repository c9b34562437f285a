"""The cycle over blocks of cells is differentiable in its coefficients, through whole runs of conjugate gradients."""

import pytest
import torch
from aggregation_cases import RandomFields, around, balls, on_top
from solver_cases import normal

from solvers import (
    CG,
    AggregationMultigrid,
    CellGraph,
    CycleCoefficients,
    LevelCoefficients,
    aggregation_cycle,
    aggregation_levels,
    linear_solve,
)

NAMES = ["omega_red", "omega_black", "fine", "coarse", "link", "mass"]


def graph_of(grid, floating=False):
    fluid = torch.stack([balls(grid, 2, seed) for seed in range(2)])
    held = torch.stack([on_top(mask) for mask in fluid])
    if floating:
        held[1] = 0
    A = around(fluid, held, batch=1)
    return A, CellGraph.of(A)


@pytest.mark.parametrize("floating", [False, True], ids=["held", "floating"])
def test_the_cycle_is_differentiable_in_numbers(floating):
    """d z / d(coefficients of two levels) equals finite differences, also where a part floats."""
    A, graph = graph_of((9, 8), floating)
    r = A.project(normal(2, 72)).reshape(2, 9, 8)

    def z(*numbers):
        rule = CycleCoefficients((LevelCoefficients(*numbers[:6]), LevelCoefficients(*numbers[6:])))
        return aggregation_cycle(aggregation_levels(graph, rule, coarsest=2), r)

    values = [1.2, 0.9, 0.8, 1.1, 0.5, 0.6, 1.1, 1.3, 1.2, 0.9, 0.4, 0.7]
    numbers = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in values]
    assert torch.autograd.gradcheck(z, numbers)


@pytest.mark.parametrize("name", NAMES)
def test_the_cycle_is_differentiable_in_fields(name):
    """d z / d(a field on the finest level) equals finite differences."""
    graph = graph_of((6, 7))[1]
    r = normal(2, 42).reshape(2, 6, 7)
    drawn = RandomFields()
    sums = graph.coarse()
    first = drawn(0, graph, sums)
    field = getattr(first, name).clone().requires_grad_()

    def z(value):
        parts = {each: getattr(first, each) for each in NAMES}
        parts[name] = value
        rule = lambda level, fine, coarse: LevelCoefficients(**parts) if level == 0 else drawn(level, fine, coarse)  # noqa: E731
        return aggregation_cycle(aggregation_levels(graph, rule, coarsest=2), r)

    assert torch.autograd.gradcheck(z, [field])


def test_the_differentiable_cycle_is_the_one_that_solves():
    """z of `aggregation_cycle` equals M r of the set-up, system by system, on vectors of the range."""
    A, graph = graph_of((16, 12), floating=True)
    r = A.project(normal(2, 192))
    z = aggregation_cycle(aggregation_levels(graph, RandomFields()), r.reshape(2, 16, 12))
    M = AggregationMultigrid(RandomFields()).setup(A)
    torch.testing.assert_close(A.project(z.flatten(1)), M(r), rtol=1e-12, atol=1e-12)


def test_a_graph_multiplies_as_its_operator():
    """D u − Σ k u = A u, differentiable in u."""
    A, graph = graph_of((7, 9))
    u = normal(2, 63)
    torch.testing.assert_close(graph.apply(u.reshape(2, 7, 9)).flatten(1), A.mv(u))


def test_the_sums_over_blocks_are_the_galerkin_matrix():
    """P₀ᵀ A P₀ with P₀ the copy to the cells of a block, odd sizes included."""
    A, graph = graph_of((5, 6))
    coarse = graph.coarse()
    rows, columns = torch.arange(5) // 2, torch.arange(6) // 2
    parent = (3 * rows[:, None] + columns).flatten()
    P = torch.nn.functional.one_hot(parent, 9).double()
    units = torch.eye(9, dtype=torch.float64).reshape(9, 1, 3, 3)
    for system in range(2):
        found = torch.stack([coarse.apply(e.expand(2, 3, 3))[system].flatten() for e in units], 1)
        torch.testing.assert_close(found, P.mT @ A.to_dense()[system] @ P)


def test_training_through_conjugate_gradients_lowers_the_residual():
    """A few gradient steps on ‖r₃‖ of unrolled CG make the coefficients better than those they start from."""
    A, graph = graph_of((16, 16))
    b = A.project(normal(2, 256)).reshape(2, 16, 16)
    raw = torch.zeros(6, dtype=torch.float64, requires_grad=True)

    def rule(level, fine, coarse):
        omega, rest = 1 + 0.95 * raw[:2].tanh(), raw[2:].exp()
        return LevelCoefficients(*omega, *rest)

    def loss():
        levels, r, p, rz = aggregation_levels(graph, rule), b, None, None
        for _ in range(3):
            z = aggregation_cycle(levels, r)
            rz, old = (r * z).sum((1, 2), keepdim=True), rz
            p = z if p is None else z + rz / old * p
            Ap = graph.apply(p)
            r = r - rz / (p * Ap).sum((1, 2), keepdim=True) * Ap
        return (r.flatten(1).norm(dim=1) / b.flatten(1).norm(dim=1)).log().mean()

    optimiser = torch.optim.Adam([raw], lr=0.1)
    before = loss().item()
    for _ in range(15):
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
    assert loss().item() < before - 0.3
    assert linear_solve(A, b.flatten(1), CG(), AggregationMultigrid(rule)).converged.all()
