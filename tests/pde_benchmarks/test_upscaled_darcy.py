"""Darcy flow between cell averages."""

import pytest
import torch

from pde_benchmarks import Batch
from pde_benchmarks.datasets import generate
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.grid_transfer import mean_of_blocks
from pde_benchmarks.metrics import relative_l2
from pde_benchmarks.upscaled_darcy import UpscaledDarcy

PROBLEM = UpscaledDarcy(resolution=16, refinement=4, factors=4)


def sampled(count=3):
    return PROBLEM.sample(count, torch.Generator().manual_seed(0))


def test_the_means_are_ordered_as_means_are():
    """Harmonic ≤ geometric ≤ arithmetic, and the directional means lie between harmonic and arithmetic."""
    inputs = sampled()
    fine = inputs["fine_coefficient"]
    arithmetic, harmonic = mean_of_blocks(fine, 4), 1 / mean_of_blocks(1 / fine, 4)
    for channel in range(3):
        mean = inputs["coefficient"][:, channel : channel + 1]
        assert (mean <= arithmetic * (1 + 1e-12)).all()
        assert (mean >= harmonic * (1 - 1e-12)).all()


def test_directional_means_are_exact_for_layers():
    """Across layers the effective coefficient is the harmonic mean, along them the arithmetic one."""
    layers = torch.tensor([1.0, 2.0, 4.0, 8.0], dtype=torch.float64).repeat(16)
    a = layers[None, None, :, None].expand(1, 1, 64, 64)
    _, across, along = PROBLEM.upscale(a)[0]
    torch.testing.assert_close(across, torch.full_like(across, 4 / (1 + 1 / 2 + 1 / 4 + 1 / 8)))
    torch.testing.assert_close(along, torch.full_like(along, 15 / 4))


def test_a_coefficient_that_is_constant_in_the_cells_is_not_upscaled_at_all():
    cells = torch.rand(2, 1, 16, 16, dtype=torch.float64) + 0.5
    fine = cells.repeat_interleave(4, 2).repeat_interleave(4, 3)
    torch.testing.assert_close(PROBLEM.upscale(fine), cells.expand(-1, 3, -1, -1))


def test_the_reference_is_the_fine_solution_seen_through_the_cells():
    """Mean over the square is kept by block means."""
    inputs = sampled()
    fine = PROBLEM.fine.solve(Batch({"coefficient": inputs["fine_coefficient"]}))["solution"]
    torch.testing.assert_close(PROBLEM.solve(inputs)["solution"].mean((1, 2, 3)), fine.mean((1, 2, 3)))


def test_the_guess_errs_by_the_model_not_by_the_solver():
    """An exact solve with the geometric means is as far from the truth as the cheap guess."""
    inputs = sampled(8)
    truth, guess = PROBLEM.solve(inputs)["solution"], PROBLEM.first_guess(inputs, "upscaled")["solution"]
    exact = PROBLEM.coarse.solve(Batch({"coefficient": inputs["coefficient"][:, :1]}))["solution"]
    modelling = relative_l2(exact, truth).mean()
    assert 0.005 < modelling < 0.3
    assert relative_l2(guess, exact).mean() < 0.3 * modelling


def test_block_means_alone_are_refused():
    inputs = sampled(1)
    with pytest.raises(ProblemError, match="needs the field 'fine_coefficient'"):
        PROBLEM.solve(Batch({"coefficient": inputs["coefficient"]}))
    with pytest.raises(ProblemError, match="first guess 'fmg' is unknown"):
        PROBLEM.first_guess(inputs, "fmg")
    with pytest.raises(ProblemError, match="refinement 1"):
        UpscaledDarcy(refinement=1)


def test_the_fine_coefficient_is_not_stored(tmp_path):
    """A data set holds what learners see: 16 times less than what the reference solver saw."""
    data = generate(UpscaledDarcy(resolution=8, refinement=2), 2, 0, tmp_path / "upscaled.h5")
    assert list(data.inputs) == ["coefficient"]
