"""Conjugate gradients along the directions of any rule: what holds whatever the rule, and what a good rule gives."""

import dataclasses
import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from solver_cases import diffusion, normal
from torch import nn

from solvers import (
    CG,
    EnrichedCG,
    FlexibleCG,
    GeometricMultigrid,
    Jacobi,
    LearnedPreconditioner,
    SafeguardedCG,
    Status,
    TagError,
    ToleranceError,
    linear_solve,
)


class Rule(nn.Module):
    """A function of residuals as a recipe of directions, without any scaling around it."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def setup(self, A):
        return lambda r: self.function(A, r)


def network(seed=0, n=64):
    """A random network of two layers."""
    inner, outer = normal(n, n, seed=seed) / n**0.5, normal(n, n, seed=seed + 100) / n**0.5
    return Rule(lambda A, r: torch.tanh(8 * r @ inner) @ outer)


def orthogonal(A, r):
    z = torch.roll(r, 1, -1)
    return z - (z * r).sum(-1, keepdim=True) / (r * r).sum(-1, keepdim=True) * r


ADVERSARIES = {
    "zero": lambda A, r: 0 * r,
    "NaN": lambda A, r: r / 0 * 0,
    "infinite": lambda A, r: r / 0,
    "half NaN": lambda A, r: torch.where(torch.arange(r.shape[-1]) % 2 == 0, r, torch.nan),
    "orthogonal": orthogonal,
    "constant": lambda A, r: torch.ones_like(r),
    "huge": lambda A, r: 1e300 * r,
    "uphill": lambda A, r: -r,
    "checkerboard": lambda A, r: torch.ones_like(r).cumsum(-1) % 2 - 0.5,
}
SOLVERS = [SafeguardedCG, EnrichedCG]


def case(batch=(3,), boundary="dirichlet"):
    A = diffusion((8, 8), batch, boundary)
    return A, A.project(normal(*batch, 64))


def iterates(A, b, solver, M, count):
    """x₀ = 0, x₁, …: the same solve, stopped after 0, 1, … steps."""
    runs = [dataclasses.replace(solver, max_iterations=k) for k in range(count + 1)]
    return [linear_solve(A, b, run, M, throw=False).value for run in runs]


def energy(A, v):
    return (v * A.mv(v)).sum(-1)


@pytest.mark.parametrize("kind", SOLVERS)
@pytest.mark.parametrize("seed", range(3))
def test_a_step_takes_its_own_energy_from_the_error(kind, seed):
    """‖e'‖²_A = ‖e‖²_A − ‖x' − x‖²_A, for a random network: the step is the minimum along its line or plane."""
    A, b = case()
    exact = torch.linalg.solve(A.to_dense(), b.unsqueeze(-1)).squeeze(-1)
    x = iterates(A, b, kind(rule=network(seed), rtol=1e-10), Jacobi(), 8)
    for before, after in pairwise(x):
        gone = energy(A, exact - before) - energy(A, exact - after)
        torch.testing.assert_close(
            gone, energy(A, after - before), rtol=1e-10, atol=1e-10 * float(energy(A, exact).max())
        )


@pytest.mark.parametrize("seed", range(3))
def test_the_decrease_of_a_safeguarded_step_is_known_beforehand(seed):
    """‖e‖²_A − ‖e'‖²_A = ⟨q, r⟩² / ⟨q, A q⟩ with q the direction of the step."""
    A, b = case()
    exact = torch.linalg.solve(A.to_dense(), b.unsqueeze(-1)).squeeze(-1)
    x = iterates(A, b, SafeguardedCG(rule=network(seed), slowest=math.inf), None, 6)
    for before, after in pairwise(x):
        q, r = after - before, b - A.mv(before)
        known = (q * r).sum(-1) ** 2 / energy(A, q)
        gone = energy(A, exact - before) - energy(A, exact - after)
        torch.testing.assert_close(gone, known, rtol=1e-10, atol=1e-10 * float(energy(A, exact).max()))


@pytest.mark.parametrize("kind", SOLVERS)
@pytest.mark.parametrize("preconditioner", [None, Jacobi(), GeometricMultigrid()], ids=["none", "jacobi", "multigrid"])
@pytest.mark.parametrize("function", ADVERSARIES.values(), ids=ADVERSARIES)
def test_every_rule_converges(kind, preconditioner, function):
    """‖b − A x‖ ≤ 1e-9 ‖b‖."""
    A, b = case()
    solution = linear_solve(A, b, kind(rule=Rule(function), rtol=1e-9), preconditioner)
    assert ((b - A.mv(solution.value)).norm(dim=-1) <= 1.01e-9 * b.norm(dim=-1)).all()


@pytest.mark.parametrize("kind", SOLVERS)
@pytest.mark.parametrize("name", ["zero", "NaN", "infinite", "half NaN"])
def test_a_useless_rule_is_counted_at_every_step(kind, name):
    """The steps are those of conjugate gradients with the preconditioner, all of them fallbacks."""
    A, b = case()
    solution = linear_solve(A, b, kind(rule=Rule(ADVERSARIES[name])), GeometricMultigrid())
    assert torch.equal(solution.stats.fallbacks, solution.stats.iterations)
    assert torch.equal(solution.stats.iterations, linear_solve(A, b, CG(), GeometricMultigrid()).stats.iterations)


def test_a_direction_orthogonal_to_the_residual_is_rejected():
    """⟨q, r⟩ = 0 is a step of length zero without a guard."""
    A, b = case()
    stuck = linear_solve(A, b, FlexibleCG(max_iterations=1), LearnedPreconditioner(_Orthogonal()), throw=False)
    torch.testing.assert_close(stuck.stats.relative_residual, torch.ones(3, dtype=torch.float64))
    stats = linear_solve(A, b, SafeguardedCG(rule=Rule(orthogonal)), GeometricMultigrid()).stats
    assert (stats.fallbacks >= 1).all()


class _Orthogonal(nn.Module):
    def forward(self, r):
        return orthogonal(None, r)


@pytest.mark.parametrize("kind", SOLVERS)
def test_the_exact_inverse_is_one_step(kind):
    """N(r) = A⁻¹ r."""
    A, b = case()
    rule = Rule(lambda A, r: torch.linalg.solve(A.to_dense(), r.unsqueeze(-1)).squeeze(-1))
    assert (linear_solve(A, b, kind(rule=rule), Jacobi()).stats.iterations == 1).all()


@pytest.mark.parametrize("preconditioner", [None, Jacobi(), GeometricMultigrid()], ids=["none", "jacobi", "multigrid"])
@pytest.mark.parametrize("window", [1, 2])
def test_a_linear_rule_takes_the_steps_of_conjugate_gradients(preconditioner, window):
    """N(r) = M r, with M symmetric positive definite: the iterates of preconditioned conjugate gradients."""
    A, b = case()
    rule = Rule(lambda A, r: r if preconditioner is None else preconditioner.setup(A)(r))
    expected = iterates(A, b, CG(rtol=1e-10), preconditioner, 8)
    guarded = SafeguardedCG(rule=rule, slowest=math.inf, window=window, rtol=1e-10)
    for x, y in zip(iterates(A, b, guarded, Jacobi(), 8), expected, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-9, atol=1e-9)


def test_an_enriched_step_beats_steepest_descent():
    """‖e'‖²_A ≤ ‖e‖²_A − ⟨M r, r⟩² / ‖M r‖²_A for any rule: M r lies in the plane."""
    A, b = case()
    exact, M = torch.linalg.solve(A.to_dense(), b.unsqueeze(-1)).squeeze(-1), Jacobi().setup(A)
    for function in ADVERSARIES.values():
        x = iterates(A, b, EnrichedCG(rule=Rule(function), rtol=1e-10), Jacobi(), 6)
        for before, after in pairwise(x):
            r = b - A.mv(before)
            z = M(r)
            bound = energy(A, exact - before) - (z * r).sum(-1) ** 2 / energy(A, z)
            assert (energy(A, exact - after) <= bound + 1e-10 * energy(A, exact)).all()


def test_a_slow_rule_is_given_up_for_good():
    """‖r‖ fell by less than 0.6³ over three steps: from then on conjugate gradients with the preconditioner."""
    A, b = case()
    solution = linear_solve(A, b, SafeguardedCG(rule=Rule(lambda A, r: r), rtol=1e-9), GeometricMultigrid())
    assert (solution.stats.switched_at >= 3).all()
    assert (solution.stats.fallbacks == 0).all()
    patient = linear_solve(A, b, SafeguardedCG(rule=Rule(lambda A, r: r), slowest=math.inf), GeometricMultigrid())
    assert (patient.stats.switched_at == -1).all()
    switched = int(solution.stats.switched_at[0])
    start = iterates(A, b, CG(rtol=1e-9), None, switched)[switched][:1]
    rest = linear_solve(diffusion((8, 8), (1,)), b[:1], CG(rtol=1e-9), GeometricMultigrid(), start)
    assert int(solution.stats.iterations[0]) == switched + int(rest.stats.iterations)


def test_every_system_of_a_batch_has_its_own_course():
    """A batch of a good, a useless and a slow rule: three courses, those of the systems alone."""
    A, b = case()

    def function(A, r):
        good = torch.linalg.solve(A.to_dense(), r.unsqueeze(-1)).squeeze(-1) + 0.02 * r.roll(3, -1)
        return torch.stack([good[0], 0 * r[1], r[2]]) if r.shape[0] == 3 else r

    stats = linear_solve(A, b, SafeguardedCG(rule=Rule(function), rtol=1e-9), GeometricMultigrid()).stats
    assert stats.fallbacks.tolist() == [0, int(stats.iterations[1]), 0]
    assert stats.switched_at.tolist() == [-1, -1, 3]


@pytest.mark.parametrize("kind", SOLVERS)
@settings(deadline=None, max_examples=8)
@given(power=st.integers(-12, 12), seed=st.integers(0, 5))
def test_homogeneous_in_the_right_hand_side(kind, power, seed):
    """x(c b) = c x(b): the rule sees residuals of norm one."""
    A, b = case()
    rule = network(seed)
    x = linear_solve(A, b, kind(rule=rule), Jacobi())
    y = linear_solve(A, 10.0**power * b, kind(rule=rule), Jacobi())
    assert torch.equal(x.stats.iterations, y.stats.iterations)
    torch.testing.assert_close(10.0**-power * y.value, x.value, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("kind", SOLVERS)
def test_a_singular_system_is_solved_in_its_range(kind):
    """Neumann sides: x has mean zero, whatever constants the rule proposes."""
    A, b = case((2,), "neumann")
    solution = linear_solve(A, b, kind(rule=Rule(lambda A, r: r + 1)), GeometricMultigrid())
    torch.testing.assert_close(A.mv(solution.value), b, rtol=0, atol=1e-6)
    assert (solution.value.mean(-1).abs() < 1e-12).all()


@pytest.mark.parametrize("kind", SOLVERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_network_in_single_precision_serves_both(kind, dtype):
    A = diffusion((8, 8), (2,), dtype=dtype)
    b = normal(2, 64, dtype=dtype)
    solution = linear_solve(A, b, kind(rule=LearnedPreconditioner(nn.Linear(64, 64)), rtol=1e-5), Jacobi())
    assert solution.value.dtype == dtype
    assert solution.converged.all()


@pytest.mark.parametrize("kind", SOLVERS)
def test_a_gradient_flows_through_the_solution_not_the_rule(kind):
    """d⟨c, A⁻¹ b⟩/db = A⁻¹ c."""
    A, b = case((2,))
    b = b.requires_grad_()
    c = normal(2, 64, seed=4)
    (linear_solve(A, b, kind(rule=network()), Jacobi()).value * c).sum().backward()
    torch.testing.assert_close(b.grad, linear_solve(A, c, CG(rtol=1e-12), Jacobi()).value, rtol=1e-6, atol=1e-8)


def test_conjugate_directions_end_after_as_many_steps_as_unknowns():
    """A window of n keeps all directions A-orthogonal: at most n steps, whatever the rule (a few more by rounding)."""
    A, b = case()
    stats = linear_solve(A, b, SafeguardedCG(rule=network(1), window=64, slowest=math.inf)).stats
    assert (stats.iterations <= 64 + 2).all()


@pytest.mark.parametrize("kind", SOLVERS)
def test_bad_parameters_are_named(kind):
    A, b = case()
    with pytest.raises(ValueError, match=r"window = 0: .* at least 1"):
        kind(rule=network(), window=0)
    with pytest.raises(ToleranceError, match="rtol = 1e-15"):
        linear_solve(A, b, kind(rule=network(), rtol=1e-15))
    with pytest.raises(TagError, match="lacks the tag 'spd'"):
        linear_solve(A.to_csr() @ A.to_csr(), b, kind(rule=network()))
    with pytest.raises(TagError, match="holds no rule of directions"):
        linear_solve(A, b, kind(rule=network()), state=linear_solve(A, b, CG(), Jacobi()).state)
    nan = linear_solve(A, torch.where(torch.arange(64) == 3, torch.nan, b), kind(rule=network()), throw=False)
    assert (nan.status == Status.NONFINITE_INPUT).all()


def test_a_threshold_that_is_no_rate_is_refused():
    with pytest.raises(ToleranceError, match=r"slowest = -0\.6: a positive factor"):
        SafeguardedCG(rule=network(), slowest=-0.6)
