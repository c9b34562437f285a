"""Posteriors of Gaussian processes: what holds by theorem, and agreement with scikit-learn."""

from __future__ import annotations

import pytest
import torch
from gaussian_process_cases import CONFIG, covariance, fitted, seeded, smooth_data
from safetensors.torch import load_file, save_file
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from sciml.errors import LearnerError
from sciml.learners.mmgp.gaussian_processes import (
    GaussianProcessConfig,
    fit_gaussian_processes,
    fit_shared_gaussian_processes,
    posterior,
    restore,
)
from sciml.learners.mmgp.gaussian_processes.exact import ExactGaussianProcesses
from solvers.status import Status


def columns(processes, chosen):
    """Some columns of fitted processes, hyper-parameters unchanged."""
    state = dict(processes.state_dict())
    for name in ("length_scales", "signal_variance", "noise_variance", "target_mean", "target_deviation", "status"):
        state[name] = state[name][chosen]
    state["targets"] = state["targets"][:, chosen]
    state["kernel_of_column"] = torch.arange(len(chosen))
    return ExactGaussianProcesses(state)


def rows(processes, chosen):
    """Conditioned on some of the samples, hyper-parameters and standardisation unchanged."""
    state = dict(processes.state_dict())
    return ExactGaussianProcesses(state | {name: state[name][chosen] for name in ("inputs", "targets")})


def points(count=7, d=3):
    return smooth_data(count, d, 1, seed=9)[0]


def assert_same(a, b, tolerance=1e-8):
    torch.testing.assert_close(a.mean, b.mean, rtol=tolerance, atol=tolerance * 100)
    torch.testing.assert_close(a.variance, b.variance, rtol=tolerance, atol=tolerance * 1000)


def test_columns_in_a_batch_are_those_alone():
    processes = fitted()
    together, left_out = processes.predict(points()), processes.leave_one_out()
    for j in range(4):
        alone = columns(processes, [j])
        torch.testing.assert_close(alone.predict(points()).mean[:, 0], together.mean[:, j], rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(
            alone.predict(points()).variance[:, 0], together.variance[:, j], rtol=1e-8, atol=1e-8
        )
        torch.testing.assert_close(alone.leave_one_out().mean[:, 0], left_out.mean[:, j], rtol=1e-8, atol=1e-8)


def test_a_fit_of_all_columns_finds_what_fits_of_each_find():
    x, y = smooth_data()
    together = fit_gaussian_processes(x, y, CONFIG, seeded())
    alone = [fit_gaussian_processes(x, y[:, [j]], CONFIG, seeded()).log_likelihood for j in range(4)]
    torch.testing.assert_close(together.log_likelihood, torch.cat(alone), rtol=0, atol=1e-5)


def test_leave_one_out_is_a_refit_without_the_sample():
    processes = fitted()
    x, _ = smooth_data()
    left_out = processes.leave_one_out()
    for i in range(len(x)):
        rest = rows(processes, [k for k in range(len(x)) if k != i])
        found = rest.predict(x[i : i + 1])
        torch.testing.assert_close(left_out.mean[i], found.mean[0], rtol=1e-8, atol=1e-6)
        torch.testing.assert_close(left_out.variance[i], found.variance[0] + processes.noise, rtol=1e-8, atol=1e-8)


def test_the_order_of_the_samples_does_not_matter():
    processes = fitted()
    shuffled = rows(processes, torch.randperm(30, generator=seeded(4)))
    assert_same(shuffled.predict(points()), processes.predict(points()))
    torch.testing.assert_close(shuffled.log_likelihood, processes.log_likelihood, rtol=1e-10, atol=1e-8)


def test_far_away_the_prior_returns():
    processes = fitted()
    far = processes.predict(torch.full((1, 3), 1e6, dtype=torch.float64))
    _, y = smooth_data()
    torch.testing.assert_close(far.mean[0], y.mean(0), rtol=1e-10, atol=1e-8)
    prior = processes.signal_variance * y.var(0, correction=0)
    torch.testing.assert_close(far.variance[0], prior, rtol=1e-10, atol=0)


def test_without_noise_the_samples_are_interpolated():
    state = dict(fitted().state_dict())
    exact = ExactGaussianProcesses(state | {"noise_variance": torch.full((4,), 1e-10, dtype=torch.float64)})
    x, y = smooth_data()
    torch.testing.assert_close(exact.predict(x).mean, y, rtol=0, atol=1e-4)
    assert exact.predict(x).variance.max() < 1e-4


def test_a_scaled_and_shifted_output_scales_and_shifts_the_answer():
    x, y = smooth_data()
    first, second = (fit_gaussian_processes(x, v, CONFIG, seeded()) for v in (y, -1e3 * y + 1e5))
    torch.testing.assert_close(
        second.predict(points()).mean, -1e3 * first.predict(points()).mean + 1e5, rtol=1e-5, atol=1
    )
    torch.testing.assert_close(
        second.predict(points()).variance, 1e6 * first.predict(points()).variance, rtol=1e-3, atol=0
    )
    shift = -len(x) * torch.log(torch.tensor(1e3, dtype=torch.float64))
    torch.testing.assert_close(second.log_likelihood, first.log_likelihood + shift, rtol=0, atol=1e-5)


def test_scaled_and_shifted_inputs_change_nothing():
    x, y = smooth_data()
    scale = torch.tensor([1e-6, -1.0, 1e6], dtype=torch.float64)
    first, second = (
        fit_gaussian_processes(x, y, CONFIG, seeded()),
        fit_gaussian_processes(x * scale, y, CONFIG, seeded()),
    )
    torch.testing.assert_close(
        second.predict(points() * scale).mean, first.predict(points()).mean, rtol=1e-5, atol=1e-3
    )


def test_the_joint_covariance_agrees_with_the_variance_and_with_samples():
    processes = fitted(m=2)
    x = torch.cat([points(4), points(4)[:1]])  # a point twice: singular, and its draws coincide
    draws = processes.sample(x, 20_000, seeded())
    predicted = processes.predict(x)
    error = (predicted.variance / 20_000).sqrt()
    assert ((draws.mean(0) - predicted.mean).abs() < 4.5 * error).all()
    assert ((draws.var(0) / predicted.variance - 1).abs() < 4.5 * (2 / 20_000) ** 0.5).all()
    torch.testing.assert_close(draws[:, 0], draws[:, 4], rtol=0, atol=1e-4)
    _, joint = processes._standard_joint(processes._standard_inputs(x))
    for j in range(2):
        z, s = processes.inputs, processes._standard_inputs(x)
        kernel = (processes.length_scales[j], processes.signal_variance[j])
        cross = covariance(z, s, *kernel)
        matrix = covariance(z, z, *kernel) + (processes.noise_variance[j] + 1e-9) * torch.eye(len(z))
        expected = covariance(s, s, *kernel) - cross.T @ torch.linalg.solve(matrix, cross)
        torch.testing.assert_close(joint[j], expected, rtol=0, atol=1e-8)
        sampled = draws[..., j].T.cov() / processes.target_deviation[j].square()
        spread = expected.diagonal()
        error = ((spread[:, None] * spread + expected.square()) / 20_000).sqrt()
        assert ((sampled - expected).abs() < 4.5 * error).all()


def test_predictions_and_likelihood_are_those_of_scikit_learn():
    processes = fitted()
    x, y = smooth_data()
    z, s = processes.inputs.numpy(), processes._standard_inputs(points()).numpy()
    for j in range(4):
        kernel = ConstantKernel(processes.signal_variance[j].item()) * Matern(
            processes.length_scales[j].numpy(), nu=2.5
        ) + WhiteKernel((processes.noise_variance + processes.jitter)[j].item())
        other = GaussianProcessRegressor(kernel, alpha=0, optimizer=None).fit(z, processes.targets[:, j].numpy())
        mean, deviation = other.predict(s, return_std=True)
        found, scale = processes.predict(points()), processes.target_deviation[j]
        expected = torch.from_numpy(mean) * scale + y[:, j].mean()
        torch.testing.assert_close(found.mean[:, j], expected, rtol=1e-8, atol=1e-8)
        predictive = found.variance[:, j] + processes.noise[j]
        torch.testing.assert_close(predictive, (torch.from_numpy(deviation) * scale) ** 2, rtol=1e-8, atol=1e-8)
        likelihood = other.log_marginal_likelihood_value_ - len(x) * scale.log().item()
        assert processes.log_likelihood[j].item() == pytest.approx(likelihood, abs=1e-8)


def test_predictions_can_be_differentiated_even_at_a_sample():
    processes = fitted(n=12, d=2, m=2)
    at = torch.cat([points(2, 2), smooth_data(12, 2, 2)[0][:1]]).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: processes.predict(x).mean, at[:2].detach().requires_grad_(), atol=1e-4)
    prediction = processes.predict(at)
    (slope,) = torch.autograd.grad(prediction.mean.sum() + prediction.variance.sum(), at)
    assert slope.isfinite().all()


def test_points_are_worked_on_in_portions(monkeypatch):
    processes = fitted()
    whole = processes.predict(points(11))
    monkeypatch.setattr(posterior, "ENTRIES", 4 * 30 * 4)
    assert_same(processes.predict(points(11)), whole, 1e-12)


def test_a_file_gives_the_same_answers(tmp_path):
    processes = fitted()
    save_file(processes.state_dict(), tmp_path / "processes.safetensors")
    tensors = load_file(tmp_path / "processes.safetensors")
    again, other = restore(tensors), fitted(seed=20)
    other.load_state_dict(tensors)
    for loaded in (again, other):
        assert torch.equal(loaded.predict(points()).mean, processes.predict(points()).mean)
        assert torch.equal(loaded.leave_one_out().variance, processes.leave_one_out().variance)
        assert torch.equal(loaded.status, processes.status)


def test_the_same_seed_gives_the_same_model():
    first, second = fitted().state_dict(), fitted().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_constant_output_is_predicted_exactly_and_leaves_the_others_alone():
    x, y = smooth_data(m=2)
    with_constant = torch.cat([torch.full((30, 1), 0.1, dtype=torch.float64), y], 1)
    processes, plain = (fit_gaussian_processes(x, v, CONFIG, seeded()) for v in (with_constant, y))
    answer = processes.predict(points())
    assert (answer.mean[:, 0] == 0.1).all()
    assert (answer.variance[:, 0] == 0).all()
    assert processes.noise[0] == 0
    assert processes.log_likelihood[0] == torch.inf
    torch.testing.assert_close(answer.mean[:, 1:], plain.predict(points()).mean, rtol=1e-5, atol=1e-3)


def test_an_input_that_never_varied_changes_nothing():
    x, y = smooth_data()
    widened = torch.cat([x, torch.full((30, 1), 2.0, dtype=torch.float64)], 1)
    processes = fit_gaussian_processes(widened, y, CONFIG, seeded())
    at = torch.cat([points(), 7 * torch.ones(7, 1, dtype=torch.float64)], 1)
    moved = torch.cat([points(), -1e4 * torch.ones(7, 1, dtype=torch.float64)], 1)
    assert torch.equal(processes.predict(at).mean, processes.predict(moved).mean)


def test_without_inputs_the_answer_is_the_mean():
    """K = sf² 1 1ᵀ + sn² I, and standardised outputs sum to zero."""
    _, y = smooth_data()
    nothing = torch.zeros(30, 0, dtype=torch.float64)
    processes = fit_gaussian_processes(nothing, y, CONFIG, seeded())
    answer = processes.predict(nothing[:2])
    torch.testing.assert_close(answer.mean, y.mean(0).expand(2, 4), rtol=1e-10, atol=1e-8)
    torch.testing.assert_close(processes.noise, y.var(0, correction=0), rtol=0.1, atol=0)


def test_repeated_samples_are_taken_as_they_are():
    x, y = smooth_data(n=15)
    twice = fit_gaussian_processes(x.repeat(2, 1), y.repeat(2, 1), CONFIG, seeded())
    assert twice.predict(points()).mean.isfinite().all()
    torch.testing.assert_close(twice.predict(x).mean, y, rtol=0, atol=1e-2 * y.std().item())


def test_equal_columns_that_share_a_kernel_have_the_kernel_of_one():
    x, y = smooth_data(m=1)
    own = fit_gaussian_processes(x, y, CONFIG, seeded())
    shared = fit_shared_gaussian_processes(x, y.expand(-1, 3), torch.zeros(3, dtype=torch.long), CONFIG, seeded())
    torch.testing.assert_close(shared.log_likelihood, own.log_likelihood.expand(3), rtol=0, atol=1e-4)
    torch.testing.assert_close(
        shared.predict(points()).mean, own.predict(points()).mean.expand(7, 3), rtol=1e-3, atol=0.1
    )


def test_a_shared_kernel_is_likeliest_for_the_product_of_its_columns():
    """Kernels of their own are at least as likely, column by column in sum."""
    x, y = smooth_data()
    config = GaussianProcessConfig(restarts=3, rounds=())
    groups = torch.tensor([0, 1, 0, 1])
    own = fit_gaussian_processes(x, y, config, seeded())
    shared = fit_shared_gaussian_processes(x, y, groups, config, seeded())
    assert len(shared.signal_variance) == 2
    assert shared.log_likelihood.sum() <= own.log_likelihood.sum() + 1e-6
    borrowed = columns(own, [0, 1])
    state = dict(borrowed.state_dict()) | {
        "kernel_of_column": torch.tensor([0, 0]),
        "targets": shared.targets[:, [0, 2]],
    }
    state |= {name: shared.state_dict()[name][[0, 2]] for name in ("target_mean", "target_deviation", "status")}
    assert ExactGaussianProcesses(state).log_likelihood.sum() <= shared.log_likelihood[[0, 2]].sum() + 1e-6


def test_the_search_reports_success():
    assert (fitted().status == Status.CONVERGED).all()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x, y: (x[:1], y[:1]), "two at least"),
        (lambda x, y: (x, y[:-1]), "same samples"),
        (lambda x, y: (x, y[:, 0]), "same samples"),
        (lambda x, y: (x.float(), y), "float64"),
        (lambda x, y: (x.index_fill(0, torch.tensor([4]), torch.nan), y), "sample 4, column 0"),
    ],
)
def test_data_that_cannot_be_fitted_are_refused(spoil, message):
    with pytest.raises(LearnerError, match=message):
        fit_gaussian_processes(*spoil(*smooth_data()), CONFIG, seeded())


def test_points_of_another_dimension_or_dtype_are_refused():
    processes = fitted(n=10)
    with pytest.raises(LearnerError, match=r"\(points, 3\) is expected"):
        processes.predict(points(d=2))
    with pytest.raises(LearnerError, match=r"\.to\(dtype, device\)"):
        processes.predict(points().float())


def test_groups_that_do_not_number_the_columns_are_refused():
    with pytest.raises(LearnerError, match="without gaps"):
        fit_shared_gaussian_processes(*smooth_data(), torch.tensor([0, 2, 2, 0]), CONFIG, seeded())
