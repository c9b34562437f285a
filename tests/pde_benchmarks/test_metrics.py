"""Errors are norms: exact on known fields, differentiable, and honest about samples that have none."""

from __future__ import annotations

import math

import pytest
import torch

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.grid import axis_points
from pde_benchmarks.metrics import field_metrics, h1_fourier, relative_h1, relative_l2, relative_max

EVERY = [relative_l2, relative_h1, h1_fourier, relative_max]
KEYS = {"relative_l2", "relative_h1", "relative_max", "relative_l2_worst", "relative_l2_median", "left_out"}


def field(dim: int, n: int = 8, samples: int = 3) -> torch.Tensor:
    return torch.randn((samples, 2, *[n] * dim), generator=torch.Generator().manual_seed(dim), dtype=torch.float64)


def sines(n: int, dim: int) -> torch.Tensor:
    """Π sin(π xᵢ) at cell centres, zero on the boundary."""
    wave = torch.sin(math.pi * axis_points(n, "cell"))
    out = torch.ones((), dtype=torch.float64)
    for _ in range(dim):
        out = out[..., None] * wave
    return out[None, None]


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("metric", EVERY)
def test_scaling_the_truth_is_the_relative_error(metric, dim):
    """‖(1+ε) y − y‖ / ‖y‖ = ε in any norm."""
    truth = field(dim)
    torch.testing.assert_close(metric(1.25 * truth, truth), torch.full((3,), 0.25, dtype=torch.float64))


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_h1_norm_converges_to_the_continuous_one(dim):
    """‖u‖²_H1 / ‖u‖²_L2 → 1 + d π² for u = Π sin πxᵢ, with second order in h."""
    gaps = [abs(relative_to_constant(sines(n, dim)) - (1 + dim * math.pi**2) / 2**dim) for n in (8, 16)]
    assert gaps[1] < gaps[0] / 3.5


def relative_to_constant(u: torch.Tensor) -> float:
    """‖u‖²_H1 with Dirichlet faces, read off against the constant 1, whose norm is √(1 + 4 d n)."""
    dim, n = u.ndim - 2, u.shape[-1]
    one = torch.ones_like(u)
    return relative_h1(one + u, one, ("dirichlet",) * dim).item() ** 2 * (1 + 4 * dim * n)


def squared_h1(u: torch.Tensor) -> float:
    """The formula of the docstring, Dirichlet faces, written out."""
    dim, n = u.ndim - 2, u.shape[-1]
    total = u.square().sum()
    for axis in range(2, u.ndim):
        ends = u.movedim(axis, 0)
        total = total + n**2 * (ends.diff(dim=0).square().sum() + 2 * (ends[0].square() + ends[-1].square()).sum())
    return total.item() / n**dim


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_h1_counts_faces_as_its_formula_says(dim):
    prediction, truth = field(dim)[:1], field(dim)[1:2]
    expected = math.sqrt(squared_h1(prediction - truth) / squared_h1(truth))
    assert relative_h1(prediction, truth, ("dirichlet",) * dim).item() == pytest.approx(expected, rel=1e-13)


def test_constants_have_no_interior_jumps():
    """With unknown or Neumann boundaries a constant error has its L² norm only; at Dirichlet faces it jumps."""
    truth = torch.ones(1, 1, 8, 8)
    for boundary in (None, ("neumann", "neumann"), ("periodic", "periodic")):
        assert relative_h1(1.5 * truth, truth, boundary).item() == 0.5
    ramp = truth * axis_points(8, "cell").float()
    assert relative_h1(ramp + 1, ramp, ("dirichlet",) * 2).item() > relative_h1(ramp + 1, ramp).item()


def test_fourier_h1_weighs_a_wave_by_its_number_up_to_the_cut():
    """Error cos 2πkx against truth cos 2πx: ratio √((1 + k²)/2), and √(1/2) beyond the cut at 20."""
    x = axis_points(64, "left")
    wave = [torch.cos(2 * math.pi * k * x)[None, None] for k in range(32)]
    for k, weight in ((3, 1 + 9), (19, 1 + 361), (20, 1), (25, 1)):
        expected = math.sqrt(weight / 2)
        assert h1_fourier(wave[1] + wave[k], wave[1]).item() == pytest.approx(expected, rel=1e-12)


def test_fourier_h1_labels_odd_grids_symmetrically():
    """The error's mirror image has the same norm on a grid with an odd number of points."""
    prediction, truth = field(1, n=13)[:1], field(1, n=13)[1:2]
    flipped = h1_fourier(prediction.flip(-1), truth.flip(-1))
    torch.testing.assert_close(flipped, h1_fourier(prediction, truth), rtol=1e-12, atol=0)


@pytest.mark.parametrize("metric", EVERY)
def test_gradients_are_finite_even_where_the_prediction_is_exact(metric):
    truth = field(2)
    truth[1] = 0
    prediction = truth.clone().requires_grad_()
    metric(prediction, truth).nanmean().backward()
    assert prediction.grad is not None
    assert prediction.grad.isfinite().all()


@pytest.mark.parametrize("metric", EVERY)
def test_gradient_is_the_derivative(metric):
    truth = field(1, n=5)
    prediction = (truth + 0.3 * field(1, n=5).flip(0)).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: metric(p, truth), prediction)


@pytest.mark.parametrize("metric", EVERY)
def test_a_zero_truth_has_no_relative_error_and_a_nan_hides_in_no_mean(metric):
    truth = field(2)
    truth[1] = 0
    prediction = truth + 1
    prediction[2, 0, 0, 0] = torch.nan
    errors = metric(prediction, truth)
    assert errors[0].isfinite()
    assert errors[1].isnan()
    assert errors[2].isinf()


def test_small_errors_survive_float32_fields():
    """Sums of squares in float64: 1e-25 fields neither underflow nor lose their ratio."""
    truth = torch.full((1, 1, 64), 1e-25)
    assert relative_l2(1.5 * truth, truth).item() == pytest.approx(0.5, rel=1e-6)


def test_field_metrics_average_over_the_samples_that_have_an_error():
    truth = torch.ones(4, 1, 8, 8)
    truth[3] = 0
    prediction = truth * torch.tensor([1.1, 1.2, 1.6, 1.0]).reshape(4, 1, 1, 1)
    found = field_metrics(prediction, truth)
    assert set(found) == KEYS
    assert found["relative_l2"] == pytest.approx(0.3, rel=1e-6)
    assert found["relative_l2_worst"] == pytest.approx(0.6, rel=1e-6)
    assert found["relative_l2_median"] == pytest.approx(0.2, rel=1e-6)
    assert found["left_out"] == 1


def test_field_metrics_of_zero_truths_only_are_nan():
    truth = torch.zeros(2, 1, 8)
    found = field_metrics(truth, truth)
    assert found["left_out"] == 2
    assert all(math.isnan(value) for key, value in found.items() if key != "left_out")


def test_messages_name_what_is_wrong():
    truth = field(2)
    with pytest.raises(ProblemError, match=r"\(3, 2, 4, 8\) and truth \(3, 2, 8, 8\)"):
        relative_l2(truth[:, :, :4], truth)
    broken = truth.clone()
    broken[1:, 0, 0, 0] = torch.nan
    with pytest.raises(ProblemError, match=r"prediction holds NaN or infinity in 2 of 3 samples \(first: 1, 2\)"):
        field_metrics(broken, truth)
    with pytest.raises(ProblemError, match="'robin' is unknown"):
        relative_h1(truth, truth, ("robin", "neumann"))
    with pytest.raises(ProblemError, match="1 boundary conditions"):
        relative_h1(truth, truth, ("neumann",))
    with pytest.raises(ProblemError, match="empty test set"):
        field_metrics(truth[:0], truth[:0])
