"""The closed-form likelihood, the bounded search in batches, and what halving may not do."""

from __future__ import annotations

import gpytorch
import pytest
import torch
from gaussian_process_cases import CONFIG, negative_log_likelihood, seeded, smooth_data
from scipy.optimize import minimize

from sciml.errors import ConfigurationError
from sciml.learners.mmgp.gaussian_processes import GaussianProcessConfig, fit_gaussian_processes
from sciml.learners.mmgp.gaussian_processes.bounded_bfgs import advance, begin
from sciml.learners.mmgp.gaussian_processes.kernel import factorise
from sciml.learners.mmgp.gaussian_processes.likelihood import MarginalLikelihood
from sciml.learners.mmgp.gaussian_processes.search import box, random_starts, search
from solvers.status import Status


def problem(n=25, d=3, m=4, seed=0):
    x, y = smooth_data(n, d, m, seed)
    x, y = ((v - v.mean(0)) / v.std(0, correction=0) for v in (x, y))
    return x, y, MarginalLikelihood(x, y.T[..., None].contiguous(), torch.ones(m, dtype=x.dtype))


def random_theta(count, d, seed=3):
    lower, upper = torch.tensor([0.3] * d + [0.1, 1e-2]).log(), torch.tensor([5.0] * d + [10.0, 0.5]).log()
    return (lower + (upper - lower) * torch.rand(count, d + 2, generator=seeded(seed))).double()


@pytest.mark.parametrize("d", [0, 1, 3, 13])
def test_likelihood_and_gradient_are_those_of_automatic_differentiation(d):
    x, y, likelihood = problem(d=max(d, 1))
    x = x[:, :d]
    likelihood = MarginalLikelihood(x, likelihood.targets, likelihood.columns)
    theta = random_theta(4, d).requires_grad_()
    expected = torch.stack([negative_log_likelihood(t, x, column) for t, column in zip(theta, y.T, strict=True)])
    value, gradient = likelihood(theta.detach(), torch.arange(4))
    torch.testing.assert_close(value, expected.detach(), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected.sum(), theta)[0], rtol=1e-9, atol=1e-9)


def test_likelihood_and_gradient_are_those_of_gpytorch():
    x, y, likelihood = problem()
    theta = random_theta(4, 3)
    logarithmic = gpytorch.constraints.Positive(transform=torch.exp, inv_transform=torch.log)
    noise = gpytorch.likelihoods.GaussianLikelihood(batch_shape=torch.Size([4]), noise_constraint=logarithmic)

    class Model(gpytorch.models.ExactGP):
        def __init__(self):
            super().__init__(x.expand(4, *x.shape), y.T, noise)
            self.mean = gpytorch.means.ZeroMean(batch_shape=torch.Size([4]))
            matern = gpytorch.kernels.MaternKernel(
                2.5, ard_num_dims=3, batch_shape=torch.Size([4]), lengthscale_constraint=logarithmic
            )
            self.kernel = gpytorch.kernels.ScaleKernel(
                matern, batch_shape=torch.Size([4]), outputscale_constraint=logarithmic
            )

        def forward(self, x):
            return gpytorch.distributions.MultivariateNormal(self.mean(x), self.kernel(x))

    model = Model().double()
    model.kernel.base_kernel.lengthscale = theta[:, None, :-2].exp()
    model.kernel.outputscale = theta[:, -2].exp()
    noise.noise = theta[:, -1:].exp() + 1e-9
    marginal = gpytorch.mlls.ExactMarginalLogLikelihood(noise, model)
    with gpytorch.settings.max_cholesky_size(4000):
        expected = -marginal(model(*model.train_inputs), model.train_targets) * len(x)
    expected.sum().backward()
    value, gradient = likelihood(theta, torch.arange(4))
    torch.testing.assert_close(value, expected.detach(), rtol=1e-10, atol=1e-10)
    by_length = model.kernel.base_kernel.raw_lengthscale.grad[:, 0]
    torch.testing.assert_close(gradient[:, :-2], by_length, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(gradient[:, -2], model.kernel.raw_outputscale.grad, rtol=1e-8, atol=1e-8)


def test_a_shared_kernel_multiplies_the_densities_of_its_columns():
    x, y, _ = problem()
    targets = torch.zeros(2, len(x), 3, dtype=x.dtype)
    targets[0], targets[1, :, :1] = y[:, :3], y[:, 3:]
    shared = MarginalLikelihood(x, targets, torch.tensor([3.0, 1.0], dtype=x.dtype))
    theta = random_theta(2, 3).requires_grad_()
    first = sum(negative_log_likelihood(theta[0], x, y[:, j]) for j in range(3))
    expected = torch.stack([first, negative_log_likelihood(theta[1], x, y[:, 3])])
    value, gradient = shared(theta.detach(), torch.arange(2))
    torch.testing.assert_close(value, expected.detach(), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected.sum(), theta)[0], rtol=1e-9, atol=1e-9)


def test_problems_in_a_batch_are_those_alone():
    _, _, likelihood = problem(n=60)
    theta, kernels = random_theta(40, 3), torch.arange(40) % 4
    value, gradient = likelihood(theta, kernels)
    for row in (0, 17, 39):
        one = slice(row, row + 1)
        alone = likelihood(theta[one], kernels[one])
        torch.testing.assert_close((value[one], gradient[one]), alone, rtol=1e-11, atol=1e-11)


def test_a_singular_covariance_gets_the_smallest_jitter_that_helps():
    ones = torch.ones(1, 5, 5, dtype=torch.float64)
    slightly_negative = ones - 3e-8 * torch.eye(5, dtype=torch.float64)
    hopeless = -ones
    root, jitter = factorise(torch.cat([ones, slightly_negative, hopeless]))
    assert jitter[:2].tolist() == [1e-9, 1e-7]
    assert jitter[2].isnan()
    torch.testing.assert_close(root[0] @ root[0].T, ones[0], rtol=0, atol=2e-9)


def quadratics(count, p, seed=0):
    """½ (x − c)ᵀ A (x − c), badly scaled, one a problem."""
    factor = torch.randn(count, p, p, generator=seeded(seed), dtype=torch.float64)
    matrices = factor @ factor.mT + torch.logspace(-2, 2, p, dtype=torch.float64).diag()
    centres = 2 * torch.randn(count, p, generator=seeded(seed + 1), dtype=torch.float64)

    def objective(x, problem):
        offset = x - centres[problem]
        gradient = (matrices[problem] @ offset[..., None])[..., 0]
        return (offset * gradient).sum(-1) / 2, gradient

    return objective


def test_bounded_minima_are_those_of_scipy():
    objective, lower, upper = quadratics(6, 5), -torch.ones(5).double(), torch.ones(5).double()
    state = begin(objective, torch.zeros(6, 5).double(), torch.arange(6))
    state = advance(objective, state, lower, upper, 200, 1e-7)
    assert (state.status == Status.CONVERGED).all()
    for k in range(6):

        def plain(x, k=k):
            value, gradient = objective(torch.from_numpy(x)[None], torch.tensor([k]))
            return value.item(), gradient[0].numpy()

        options = {"ftol": 0.0, "gtol": 1e-10}
        found = minimize(
            plain, torch.zeros(5).numpy(), jac=True, method="L-BFGS-B", bounds=[(-1, 1)] * 5, options=options
        )
        torch.testing.assert_close(state.value[k].item(), float(found.fun), rtol=1e-8, atol=1e-8)


def test_a_search_never_climbs_and_stays_in_its_box():
    _, _, likelihood = problem()
    lower, upper = box(3, CONFIG)
    state = begin(likelihood, random_starts(3, CONFIG, seeded()).repeat_interleave(4, 0), torch.arange(4).repeat(3))
    for _ in range(20):
        new = advance(likelihood, state, lower, upper, 1, 1e-3)
        assert (new.value <= state.value).all()
        assert ((new.point >= lower) & (new.point <= upper)).all()
        state = new


def test_a_search_in_a_batch_is_the_search_alone():
    objective, bound = quadratics(4, 3), torch.ones(3).double()
    together = begin(objective, torch.zeros(4, 3).double(), torch.arange(4))
    together = advance(objective, together, -bound, bound, 7, 1e-9)
    for k in range(4):
        alone = begin(objective, torch.zeros(1, 3).double(), torch.tensor([k]))
        alone = advance(objective, alone, -bound, bound, 7, 1e-9)
        torch.testing.assert_close(together.point[k], alone.point[0], rtol=1e-12, atol=1e-12)
        assert together.iterations[k] == alone.iterations[0]


def test_every_search_says_how_it_ended():
    def objective(x, problem):
        endless = -x.sum(-1)
        undefined = torch.full_like(endless, torch.nan)
        values = torch.stack([x.square().sum(-1), endless, undefined])
        slopes = torch.stack([2 * x, -torch.ones_like(x), torch.full_like(x, torch.nan)])
        rows = torch.arange(len(x))
        return values[problem, rows], slopes[problem, rows]

    wide = torch.full((2,), 1e9, dtype=torch.float64)
    state = begin(objective, torch.ones(3, 2).double(), torch.arange(3))
    state = advance(objective, state, -wide, wide, 10, 1e-6)
    assert state.status.tolist() == [Status.CONVERGED, Status.MAX_ITERATIONS, Status.NONFINITE_ITERATE]


def test_a_wrong_gradient_stagnates():
    state = begin(lambda x, _: (x.sum(-1), -torch.ones_like(x)), torch.zeros(1, 2).double(), torch.arange(1))
    state = advance(lambda x, _: (x.sum(-1), -torch.ones_like(x)), state, -torch.ones(2), torch.ones(2), 5, 1e-6)
    assert state.status.tolist() == [Status.STAGNATION]


def test_more_starts_are_never_worse():
    _, _, likelihood = problem()
    config = GaussianProcessConfig(restarts=4, rounds=(), max_iterations=80)
    starts = random_starts(3, config, seeded())
    few, many = search(likelihood, starts[:2], config), search(likelihood, starts, config)
    assert (many.value <= few.value + 1e-9).all()


def test_the_best_start_survives_every_round():
    """A search that starts at the optimum leads in each round, so halving returns it."""
    _, _, likelihood = problem(m=1)
    full = GaussianProcessConfig(restarts=6, rounds=(), max_iterations=200, tolerance=1e-5)
    best = search(likelihood, random_starts(3, full, seeded()), full)
    halved = GaussianProcessConfig(restarts=6, rounds=(1, 1), max_iterations=200, tolerance=1e-5)
    starts = torch.cat([random_starts(3, halved, seeded(1))[:5], best.point])
    assert search(likelihood, starts, halved).value <= best.value + 1e-9


def test_with_a_wide_margin_no_start_is_lost():
    _, _, likelihood = problem()
    full = GaussianProcessConfig(restarts=4, rounds=(), max_iterations=200)
    wide = GaussianProcessConfig(restarts=4, rounds=(5, 10), margin=1e9, max_iterations=200)
    starts = random_starts(3, full, seeded())
    torch.testing.assert_close(search(likelihood, starts, wide).value, search(likelihood, starts, full).value)


def test_progress_rises_to_one():
    told = []
    fit_gaussian_processes(*smooth_data(12, 2, 2), CONFIG, seeded(), lambda fraction, text: told.append(fraction))
    assert told == sorted(told)
    assert told[-1] == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"restarts": 0}, "restarts"),
        ({"rounds": (5, 0)}, "rounds"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"noise_bounds": (1.0, 1e-8)}, "noise_bounds"),
    ],
)
def test_a_configuration_out_of_range_is_refused(change, message):
    with pytest.raises(ConfigurationError, match=message):
        GaussianProcessConfig(**change)
