"""Inducing points: where they carry the posterior they are exact, and elsewhere a lower bound."""

from __future__ import annotations

from dataclasses import replace

import gpytorch
import pytest
import torch
from gaussian_process_cases import CONFIG, fitted, seeded, smooth_data
from safetensors.torch import load_file, save_file

from sciml.errors import LearnerError
from sciml.learners.mmgp.gaussian_processes import (
    InducingConfig,
    fit_gaussian_processes,
    fit_shared_gaussian_processes,
    restore,
)
from sciml.learners.mmgp.gaussian_processes.sparse import SparseGaussianProcesses, best_inducing_values
from sciml.learners.mmgp.gaussian_processes.sparse_fitting import cluster_centres
from sciml.learners.mmgp.gaussian_processes.sparse_model import VariationalColumns

SPARSE = replace(CONFIG, largest_exact=20, inducing=InducingConfig(points=15, steps=60, batch_size=32))


def noisy():
    """Fitted processes whose noise is far above what is added to diagonals."""
    state = fitted().state_dict()
    return restore(state | {"noise_variance": torch.full((4,), 0.02, dtype=torch.float64)})


def with_inducing(exact, inducing):
    """The sparse posterior with the hyper-parameters of an exact one."""
    state = dict(exact.state_dict())
    del state["kernel_of_column"]
    points = inducing.expand(exact.targets.shape[1], *inducing.shape)
    hyper = (exact.length_scales, exact.signal_variance, exact.noise_variance)
    mean, root = best_inducing_values(exact.inputs, exact.targets, points, *hyper)
    return SparseGaussianProcesses(state | {"inducing": points, "inducing_mean": mean, "inducing_root": root})


def points(count=7):
    return smooth_data(count, 3, 1, seed=9)[0]


def test_with_every_sample_an_inducing_point_the_posterior_is_exact():
    exact = noisy()
    sparse = with_inducing(exact, exact.inputs)
    unit = exact.target_deviation
    for a, b in ((sparse.predict(points()), exact.predict(points())), (sparse.leave_one_out(), exact.leave_one_out())):
        torch.testing.assert_close(a.mean / unit, b.mean / unit, rtol=0, atol=1e-6)
        torch.testing.assert_close(a.variance / unit**2, b.variance / unit**2, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(sparse.log_likelihood, exact.log_likelihood, rtol=0, atol=1e-5)
    torch.testing.assert_close(sparse.noise, exact.noise, rtol=1e-6, atol=0)


def test_the_bound_is_below_the_likelihood_and_rises_with_more_points():
    exact = noisy()
    bounds = [with_inducing(exact, exact.inputs[:k]).log_likelihood for k in (5, 12, 25)]
    assert (bounds[0] <= bounds[1]).all()
    assert (bounds[1] <= bounds[2]).all()
    assert (bounds[2] <= exact.log_likelihood + 1e-6).all()


def test_no_other_distribution_at_the_points_has_a_higher_bound():
    best = with_inducing(noisy(), noisy().inputs[:8])
    state = best.state_dict()
    for seed in range(5):
        change = 0.05 * torch.randn(state["inducing_mean"].shape, generator=seeded(seed), dtype=torch.float64)
        moved = SparseGaussianProcesses(state | {"inducing_mean": state["inducing_mean"] + change})
        widened = SparseGaussianProcesses(state | {"inducing_root": (1 + 0.05 * (seed + 1)) * state["inducing_root"]})
        assert (moved.log_likelihood < best.log_likelihood).all()
        assert (widened.log_likelihood < best.log_likelihood).all()


def test_bound_and_predictions_are_those_of_gpytorch():
    exact = noisy()
    sparse = with_inducing(exact, exact.inputs[:10])
    start = torch.cat([exact.length_scales, exact.signal_variance[:, None], exact.noise_variance[:, None]], 1).log()
    model = VariationalColumns(exact.inputs, exact.targets, start, exact.inputs[:10])
    bound = model(exact.inputs, exact.targets).detach() * 30
    torch.testing.assert_close(bound, sparse._standard_log_likelihood(), rtol=1e-6, atol=1e-6)
    model.eval()
    z = sparse._standard_inputs(points())
    with torch.no_grad(), gpytorch.settings.max_cholesky_size(4000):
        found = model.process(z)
    mean, variance = sparse._standard_posterior(z)
    torch.testing.assert_close(mean.T, found.mean, rtol=0, atol=1e-6)
    torch.testing.assert_close(variance.T, found.variance, rtol=0, atol=1e-6)


def test_the_joint_covariance_has_the_variances_on_its_diagonal():
    sparse = with_inducing(noisy(), noisy().inputs[:10])
    mean, covariance = sparse._standard_joint(sparse._standard_inputs(points()))
    expected_mean, variance = sparse._standard_posterior(sparse._standard_inputs(points()))
    torch.testing.assert_close(mean.T, expected_mean)
    torch.testing.assert_close(covariance.diagonal(dim1=1, dim2=2).T, variance)
    assert torch.linalg.eigvalsh(covariance).min() > -1e-10


def test_many_samples_are_fitted_with_inducing_points(tmp_path):
    x, y = smooth_data(n=90, d=2, m=2)
    processes = fit_gaussian_processes(x, y, SPARSE, seeded())
    again = fit_gaussian_processes(x, y, SPARSE, seeded())
    at, truth = smooth_data(n=90, d=2, m=2)
    error = (processes.predict(at).mean - truth).square().mean(0) / truth.var(0)
    assert (error < 0.1).all()
    assert torch.equal(processes.predict(at).mean, again.predict(at).mean)
    save_file(processes.state_dict(), tmp_path / "sparse.safetensors")
    loaded = restore(load_file(tmp_path / "sparse.safetensors"))
    assert torch.equal(loaded.predict(at).variance, processes.predict(at).variance)
    assert processes.sample(at[:3], 2, seeded()).shape == (2, 3, 2)


def test_training_raises_the_bound():
    x, y = smooth_data(n=90, d=2, m=2)
    untrained = replace(SPARSE, inducing=replace(SPARSE.inducing, steps=0))
    before = fit_gaussian_processes(x, y, untrained, seeded()).log_likelihood
    assert (fit_gaussian_processes(x, y, SPARSE, seeded()).log_likelihood > before).all()


def test_each_centre_is_the_mean_of_the_samples_nearest_to_it():
    x, _ = smooth_data(n=200, d=2)
    centres = cluster_centres(x, 5, seeded())
    nearest = torch.cdist(x, centres).argmin(1)
    means = torch.stack([x[nearest == k].mean(0) for k in range(5)])
    torch.testing.assert_close(cluster_centres(x[:4], 5, seeded()).sort(0).values, x[:4].sort(0).values)
    torch.testing.assert_close(centres, means, rtol=0, atol=0.2)


def test_shared_kernels_of_many_samples_are_refused_with_the_remedy():
    with pytest.raises(LearnerError, match="own kernel, or raise largest_exact"):
        fit_shared_gaussian_processes(*smooth_data(), torch.zeros(4, dtype=torch.long), SPARSE, seeded())
