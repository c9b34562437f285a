"""Corrections: the map of residuals to errors of another elliptic problem."""

from __future__ import annotations

import json

import pytest
import scipy.sparse.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pde_benchmarks import Corrections, Darcy, Helmholtz, Poisson
from pde_benchmarks.errors import ConfigurationError, ProblemError
from pde_benchmarks.registry import configure, describe_problem, rebuild_problem

WHOLES = [
    Darcy("rough", resolution=16),
    Darcy("multiscale", resolution=32),
    Poisson(resolution=16, heterogeneity=0.5),
    Poisson(boundary=("dirichlet", "periodic", ("neumann", "dirichlet")), resolution=16),
]


def drawn(problem: Corrections, count: int = 6, seed: int = 0):
    return problem.sample(count, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("whole", WHOLES, ids=lambda whole: f"{whole.name}-{whole.grid.dim}d")
def test_the_correction_solves_the_problem_of_the_residual(whole):
    """‖A z − r‖ ≤ 1e-9 ‖r‖, with r = −Δ ρ."""
    problem = Corrections(whole)
    inputs = drawn(problem)
    z, r = problem.solve(inputs)["correction"], problem.load(inputs)
    left = whole.operator(inputs).mv(z.flatten(1)) - r
    assert (left.norm(dim=1) <= 1e-9 * r.norm(dim=1)).all()


def test_the_correction_is_that_of_scipy():
    """z = A⁻¹ r by an independent direct solver."""
    problem = Corrections(WHOLES[0])
    inputs = drawn(problem, 2)
    A, r = problem.operator(inputs).to_dense(), problem.load(inputs)
    for row in range(2):
        expected = scipy.sparse.linalg.spsolve(scipy.sparse.csc_matrix(A[row].numpy()), r[row].numpy())
        z = problem.solve(inputs)["correction"][row].flatten()
        torch.testing.assert_close(z, torch.from_numpy(expected), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("whole", WHOLES, ids=lambda whole: f"{whole.name}-{whole.grid.dim}d")
def test_scaling_keeps_the_residual(whole):
    """r = size · (−Δ)(ρ / size), and scaled(c r) = (ρ, c size)."""
    problem = Corrections(whole)
    inputs = drawn(problem)
    r = torch.randn(6, problem.load(inputs).shape[1], generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    field, size = problem.scaled(r)
    torch.testing.assert_close(size * problem.load(inputs.merged({"residual": field})), r, rtol=1e-9, atol=1e-9)
    again, larger = problem.scaled(1e-9 * r)
    torch.testing.assert_close(again, field, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(larger, 1e-9 * size, rtol=1e-12, atol=0)


@pytest.mark.parametrize("resolution", [16, 32, 64])
def test_both_sides_of_the_map_are_of_order_one_on_every_grid(resolution):
    """rms(ρ) = 1, and 1 / max a ≤ rms(z) up to the constant of Poincaré-like norms: here between 0.05 and 1."""
    problem = Corrections(Darcy("rough", resolution))
    inputs = drawn(problem, 30)
    size = inputs["residual"].flatten(1).square().mean(1)
    torch.testing.assert_close(size, torch.ones(30, dtype=torch.float64))
    z = problem.solve(inputs)["correction"].flatten(1).square().mean(1).sqrt()
    assert ((z > 0.05) & (z < 1)).all()


def test_for_a_constant_coefficient_the_map_is_the_identity():
    """a = 1: z = ρ."""
    problem = Corrections(Poisson(resolution=16))
    inputs = drawn(problem)
    torch.testing.assert_close(problem.solve(inputs)["correction"], inputs["residual"], rtol=1e-8, atol=1e-9)


@settings(deadline=None, max_examples=10)
@given(count=st.integers(0, 5), seed=st.integers(0, 2**31))
def test_one_seed_one_sample(count, seed):
    problem = Corrections(Darcy(resolution=16))
    first, second = drawn(problem, count, seed), drawn(problem, count, seed)
    assert first.count == count
    for name, field in first.items():
        assert field.isfinite().all()
        assert torch.equal(field, second[name])


def test_no_residual_has_no_size_and_no_correction():
    problem = Corrections(Darcy(resolution=16))
    field, size = problem.scaled(torch.zeros(2, 256, dtype=torch.float64))
    assert (field == 0).all()
    assert (size == 1).all()
    inputs = drawn(problem, 2).merged({"residual": field})
    assert (problem.solve(inputs)["correction"] == 0).all()


@pytest.mark.parametrize("whole", WHOLES, ids=lambda whole: f"{whole.name}-{whole.grid.dim}d")
def test_a_nested_problem_survives_json(whole):
    problem = Corrections(whole)
    assert rebuild_problem(json.loads(json.dumps(describe_problem(problem)))) == problem


def test_a_nested_problem_can_be_named_in_a_configuration():
    wanted = Corrections(Darcy("rough", 32))
    assert configure(Corrections, {"whole": {"name": "darcy", "config": {"law": "rough", "resolution": 32}}}) == wanted
    assert configure(Corrections, {"whole": {"name": "darcy"}}) == Corrections(Darcy())


def test_symmetric_as_the_whole():
    assert Corrections(Darcy()).isotropic
    assert not Corrections(Poisson()).isotropic


def test_a_problem_without_elliptic_operator_is_refused_by_name():
    with pytest.raises(ProblemError, match="corrections of helmholtz: a problem with a known elliptic operator"):
        Corrections(Helmholtz())  # type: ignore[arg-type]
    with pytest.raises(ProblemError, match="corrections of corrections"):
        Corrections(Corrections(Darcy()))
    with pytest.raises(ConfigurationError, match="unknown problem 'darcey'"):
        configure(Corrections, {"whole": {"name": "darcey"}})


def test_a_coefficient_without_meaning_is_named():
    problem = Corrections(Darcy(resolution=16))
    inputs = drawn(problem, 2)
    with pytest.raises(ProblemError, match="'coefficient' must be positive"):
        problem.check(inputs.merged({"coefficient": -inputs["coefficient"]}))
