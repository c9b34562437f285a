"""Brownian paths as functions of a seed and the time: their law, and what they do not depend on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sciml.learners.neural_ode import IntegrationInputError
from sciml.learners.neural_sde import BrownianPath, independent_seeds
from sciml.learners.neural_sde.counter_noise import normals, stream_keys

MANY = 40_000


def test_the_normals_have_the_moments_of_the_normal_law():
    """Mean 0, variance 1, skewness 0, kurtosis 3, and P(|Z| < 1) = 0.6827, within 4 standard errors."""
    z = normals(stream_keys(torch.arange(100), 10)[None], torch.arange(200)[:, None, None]).flatten()
    error = len(z) ** -0.5
    assert abs(z.mean()) < 4 * error
    assert abs(z.var() - 1) < 4 * 2**0.5 * error
    assert abs((z**3).mean()) < 4 * 15**0.5 * error
    assert abs((z**4).mean() - 3) < 4 * 96**0.5 * error
    assert abs((z.abs() < 1).double().mean() - 0.682689) < 4 * 0.466 * error


def test_increments_add_up_and_the_end_does_not_depend_on_the_partition():
    """W(s, t) + W(t, u) = W(s, u); W(0, T) is the sum over any partition, asked for in any order."""
    path = BrownianPath(torch.arange(20), features=3, start=-1.0, end=4.0)
    generator = np.random.default_rng(0)
    for parts in (2, 7, 50):
        inner = np.sort(generator.uniform(-1, 4, parts - 1))
        times = np.concatenate([[-1.0], inner, [4.0]])
        pieces = [path.increment(times[i], times[i + 1]) for i in generator.permutation(parts)]
        torch.testing.assert_close(torch.stack(pieces).sum(dim=0), path(4.0), rtol=0, atol=1e-13)


def test_covariance_is_the_earlier_time():
    """E W(s) = 0, E W(s) W(t) = min(s, t), within 4 standard errors; features and samples are independent."""
    path = BrownianPath(independent_seeds(0, MANY), features=2, end=2.0)
    times = torch.tensor([0.3, 0.8, 1.1, 2.0], dtype=torch.float64)
    w = torch.stack([path(float(t)) for t in times])
    for feature in (0, 1):
        samples = w[:, :, feature]
        earlier = torch.minimum(times[:, None], times)
        error = ((times[:, None] * times + earlier**2) / MANY).sqrt()
        assert (samples.mean(dim=1).abs() < 4 * (times / MANY).sqrt()).all()
        assert ((samples @ samples.T / MANY - earlier).abs() < 4 * error).all()
    assert (w[:, :, 0] * w[:, :, 1]).mean(dim=1).div(times).abs().max() < 4 * MANY**-0.5
    assert (w[:, ::2] * w[:, 1::2]).mean(dim=(1, 2)).div(times).abs().max() < 4 * MANY**-0.5


def test_a_rejected_step_is_bridged():
    """Given W(h), W(r h) has mean r W(h) and variance r (1 − r) h, and is independent of W(h) beyond that."""
    h, r = 0.37, 0.61
    path = BrownianPath(independent_seeds(1, MANY), features=1)
    whole, part = path(h), path(r * h)
    rest = part - r * whole
    variance = r * (1 - r) * h
    assert abs(rest.mean()) < 4 * (variance / MANY) ** 0.5
    assert abs(rest.var() / variance - 1) < 4 * (2 / MANY) ** 0.5
    assert abs((rest * whole).mean()) < 4 * (variance * h / MANY) ** 0.5


def test_the_law_survives_many_rejections_that_look_at_the_noise():
    """W(T) ~ N(0, T) when an increment is halved until it is small for its length: refusing never discards."""
    path = BrownianPath(independent_seeds(2, 1000), features=1)
    now, w, refused = np.zeros(1000), torch.zeros(1000, 1, dtype=torch.float64), 0
    h = np.full(1000, 0.25)
    while (now < 1).any():
        step = np.minimum(h, 1 - now)
        there = path(now + step)
        taken = (there - w).abs()[:, 0].numpy() <= np.maximum(0.8 * np.sqrt(step), 0.03)
        refused += int((~taken).sum())
        now = np.where(taken, now + step, now)
        w = torch.where(torch.from_numpy(taken)[:, None], there, w)
        h = np.where(taken, np.minimum(2 * h, 0.25), h / 2)
    assert refused > 4 * 1000
    assert abs(w.mean()) < 4 * 1000**-0.5
    assert abs(w.var() - 1) < 4 * (2 / 1000) ** 0.5
    torch.testing.assert_close(w, path(1.0), rtol=0, atol=0)


def test_a_sample_keeps_its_path_in_any_batch():
    """Permuting or splitting the seeds permutes or splits the paths; another seed is another path."""
    seeds = independent_seeds(5, 12)
    whole = BrownianPath(seeds, features=4)(0.3)
    order = torch.tensor([3, 0, 11, 7])
    torch.testing.assert_close(BrownianPath(seeds[order], features=4)(0.3), whole[order], rtol=1e-13, atol=1e-13)
    taken = BrownianPath(seeds, features=4).take(order.numpy())(0.3)
    torch.testing.assert_close(taken, whole[order], rtol=1e-13, atol=1e-13)
    assert not (BrownianPath(seeds + 1, features=4)(0.3) == whole).any()


def test_every_sample_may_have_its_own_time_and_interval():
    """W of a sample on [a, b] at its own time equals that of the sample alone."""
    start, end, t = np.array([0.0, 1.0, -2.0]), np.array([1.0, 3.0, 5.0]), np.array([0.3, 2.2, 4.9])
    together = BrownianPath(torch.tensor([4, 5, 6]), 2, start, end)(t)
    for b in range(3):
        alone = BrownianPath(torch.tensor([4 + b]), 2, start[b], end[b])(t[b])
        torch.testing.assert_close(together[b : b + 1], alone, rtol=1e-13, atol=1e-13)


def test_chunks_do_not_change_the_path(monkeypatch):
    """Terms are summed in parts of any size."""
    path = BrownianPath(torch.arange(30), features=2)
    whole = path(0.7)
    monkeypatch.setattr("sciml.learners.neural_sde.brownian._ON_CPU", 200)
    torch.testing.assert_close(path(0.7), whole, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("int64", {"seeds": torch.zeros(3)}),
        ("int64", {"seeds": torch.zeros(3, 1, dtype=torch.int64)}),
        ("at least one feature", {"features": 0}),
        ("levels=60", {"levels": 60}),
        ("the end after the start", {"start": 1.0, "end": 1.0}),
    ],
)
def test_bad_paths_are_refused(message, arguments):
    with pytest.raises(IntegrationInputError, match=message):
        BrownianPath(**({"seeds": torch.arange(3), "features": 1} | arguments))


def test_a_time_outside_of_the_path_is_named_with_its_sample():
    with pytest.raises(IntegrationInputError, match=r"time 1\.5 of sample 1 is outside"):
        BrownianPath(torch.arange(2), 1)(np.array([0.5, 1.5]))
