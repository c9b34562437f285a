"""Pressures at sensors: the nonlinear forward operator and its adjoint gradient."""

from __future__ import annotations

import pytest
import torch

from pde_benchmarks import Darcy
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.imaging import ForwardSolveError, OperatorError
from pde_benchmarks.imaging.forward_operators import DarcyPressure, LogPermeability, TwoPhases, sensor_lattice
from pde_benchmarks.problem import Batch
from solvers import SolveError

PERMEABILITIES = {"logarithm": LogPermeability(), "two phases": TwoPhases()}
each_permeability = pytest.mark.parametrize("permeability", PERMEABILITIES.values(), ids=PERMEABILITIES)


def random_fields(count: int, n: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(count, 1, n, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


@each_permeability
def test_data_are_the_reference_solution_at_the_sensors(permeability):
    x = random_fields(3, 16)
    darcy = DarcyPressure(16, permeability)
    u = Darcy(resolution=16).solve(Batch({"coefficient": permeability(x)}))["solution"]
    seen = darcy.sensors.observe(u, darcy.problem.grid)[..., 0]
    torch.testing.assert_close(darcy.apply(x), seen, rtol=1e-8, atol=0)


@each_permeability
def test_the_gradient_is_that_of_differences(permeability):
    darcy = DarcyPressure(6, permeability, sensor_lattice(2))
    x = random_fields(1, 6).requires_grad_()
    assert torch.autograd.gradcheck(darcy.apply, x, eps=1e-5, atol=1e-7)


@each_permeability
def test_vjp_is_the_transpose_of_the_derivative(permeability):
    """⟨G'(x) d, y⟩ = ⟨d, G'(x)ᵀ y⟩, and G'(x) d is the slope of the data along d."""
    darcy = DarcyPressure(12, permeability, sensor_lattice(4))
    x, d = random_fields(2, 12), random_fields(2, 12).flip(0)
    y = torch.randn(2, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_()
    slope = torch.autograd.grad(darcy.vjp(x.requires_grad_(), y), y, d)[0]  # twice transposed: G'(x) d
    step = 1e-4
    with torch.no_grad():
        ahead = (darcy.apply(x + step * d) - darcy.apply(x - step * d)) / (2 * step)
    torch.testing.assert_close(slope, ahead, rtol=1e-6, atol=1e-9)
    assert ((slope * y).sum() - (d * darcy.vjp(x, y)).sum()).abs() < 1e-10 * slope.norm() * y.norm()


def test_linearised_is_apply_and_vjp():
    darcy = DarcyPressure(8)
    x = random_fields(2, 8)
    y = torch.ones(2, 64, dtype=torch.float64)
    data, pullback = darcy.linearised(x)
    torch.testing.assert_close(data, darcy.apply(x), rtol=1e-12, atol=0)
    torch.testing.assert_close(pullback(y), darcy.vjp(x, y), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(pullback(2 * y), 2 * pullback(y), rtol=1e-9, atol=1e-12)
    assert not data.requires_grad


def test_samples_are_independent_and_dtypes_kept():
    darcy = DarcyPressure(8)
    x = random_fields(3, 8)
    alone = torch.cat([darcy.apply(row[None]) for row in x])
    torch.testing.assert_close(darcy.apply(x), alone, rtol=1e-9, atol=0)
    single = darcy.apply(x.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), alone, rtol=1e-4, atol=0)
    assert darcy.vjp(x.float(), torch.ones_like(single)).dtype == torch.float32


def test_two_phases_reach_both_and_stay_positive():
    phases = TwoPhases(low=3.0, high=12.0, values=(0.25, 1.0))
    x = torch.tensor([0.25, 1.0, -5.0, 5.0], dtype=torch.float64)
    a = phases(x)
    torch.testing.assert_close(a[:2], torch.tensor([3.0, 12.0], dtype=torch.float64))
    assert bool((a > 0).all())
    with pytest.raises(ProblemError, match="positive"):
        TwoPhases(low=-1.0)


def test_fields_without_a_permeability_are_named():
    """The samples that failed are in the error, so that an iteration can go on with the others."""
    darcy = DarcyPressure(8)
    x = random_fields(4, 8)
    x[1] = float("nan")
    x[3] = 1e4  # exp overflows
    with pytest.raises(ForwardSolveError, match="2 of 4 samples") as caught:
        darcy.apply(x)
    assert caught.value.batch_indices == (1, 3)
    assert isinstance(caught.value, SolveError)


def test_a_solve_that_fails_is_an_error_of_the_operator():
    """A contrast of e^100 is beyond the solver: the error says which samples, and that it is the contrast."""
    x = random_fields(3, 16) * torch.tensor([1.0, 30.0, 1.0]).reshape(3, 1, 1, 1)
    with pytest.raises(ForwardSolveError, match=r"1 of 3 samples .* contrast") as caught:
        DarcyPressure(16).apply(x)
    assert caught.value.batch_indices == (1,)
    assert len(caught.value.status) == 1


def test_wrong_fields_are_refused():
    with pytest.raises(OperatorError, match="add the batch axis"):
        DarcyPressure(8).apply(random_fields(1, 8)[0])
    with pytest.raises(OperatorError, match="the data has shape"):
        DarcyPressure(8).vjp(random_fields(1, 8), torch.zeros(1, 3, dtype=torch.float64))
