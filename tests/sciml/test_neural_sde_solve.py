"""Adaptive solves of stochastic differential equations: convergence by path, independence, failures, bad input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from sciml.learners.neural_ode import IntegrationInputError, SolverError, SolverStatus, odesolve
from sciml.learners.neural_sde import BrownianPath, NeuralSDE, independent_seeds, sdesolve

BOTH = pytest.mark.parametrize("interpretation", ["ito", "stratonovich"])
UNIT = torch.tensor([0.0, 1.0], dtype=torch.float64)


@dataclass(frozen=True)
class Constant:
    """Steps of one size, whatever the error."""

    smallest: float = 0.2

    def factor(self, error, previous, order):
        return np.ones_like(error)


FIXED = {"controller": Constant(), "rtol": 0.0, "atol": 1e6}


def start(count, features=1, value=1.0):
    return torch.full((count, features), value, dtype=torch.float64)


def growth(t, z):
    return 0.3 * z


def growing_noise(t, z):
    return 0.8 * z


def exact_growth(path, t, interpretation):
    """z = exp((μ − σ²/2) t + σ W), without the σ²/2 for Stratonovich."""
    correction = 0.8**2 / 2 if interpretation == "ito" else 0.0
    return torch.exp((0.3 - correction) * t + 0.8 * path(t))


def drift(t, z):
    return torch.sin(2 * z) - z + torch.cos(3 * t)[:, None]


def noise(t, z):
    return 0.6 * torch.cos(z) + 0.2


def corrected_drift(t, z):
    """f − g ∂g/∂z / 2."""
    return drift(t, z) + 0.6 * torch.sin(z) * noise(t, z) / 2


@BOTH
def test_strong_order_is_one_at_fixed_steps(interpretation):
    """E |z_h − z| falls like h, at the ends of steps and inside of them."""
    z0, times = start(400), torch.tensor([0.0, 0.3, 0.77, 1.0], dtype=torch.float64)
    errors = []
    for steps in (32, 64, 256):
        solution = sdesolve(
            growth, growing_noise, z0, times, seed=0, interpretation=interpretation, first_step=1 / steps, **FIXED
        )
        assert int(solution.stats.accepted[0]) == steps
        exact = torch.stack([exact_growth(solution.brownian, float(t), interpretation) for t in times])
        errors.append((solution.ys - exact).abs().mean(dim=(1, 2))[1:])
    orders = torch.log2(torch.stack(errors)[0] / torch.stack(errors)[-1]) / 3
    assert (orders > 0.9).all()
    assert (orders < 1.35).all()


@BOTH
def test_strong_error_falls_with_the_tolerance(interpretation):
    """Ten times smaller tolerances give at least three times smaller errors, against the exact functional of W."""
    z0, times, errors = start(100), torch.linspace(0, 1, 6, dtype=torch.float64), []
    for tol in (1e-1, 1e-2, 1e-3):
        solution = sdesolve(growth, growing_noise, z0, times, seed=1, interpretation=interpretation, rtol=tol, atol=tol)
        exact = torch.stack([exact_growth(solution.brownian, float(t), interpretation) for t in times])
        errors.append(float((solution.ys - exact).abs().mean()))
    assert errors[1] < errors[0] / 3
    assert errors[2] < errors[1] / 3
    assert errors[2] < 10 * 1e-3


def test_ito_and_stratonovich_differ_by_the_drift_correction():
    """dz = f dt + g dW and dz = (f − g g'/2) dt + g ∘ dW have the same paths; without the correction they have not."""
    z0, same, other = torch.linspace(-1, 1, 30, dtype=torch.float64).reshape(15, 2), [], []
    for tol in (1e-2, 1e-3):
        settings = {"seed": 3, "rtol": tol, "atol": tol}
        ito = sdesolve(drift, noise, z0, UNIT, interpretation="ito", **settings).ys[-1]
        corrected = sdesolve(corrected_drift, noise, z0, UNIT, interpretation="stratonovich", **settings).ys[-1]
        uncorrected = sdesolve(drift, noise, z0, UNIT, interpretation="stratonovich", **settings).ys[-1]
        same.append((ito - corrected).abs().mean())
        other.append((ito - uncorrected).abs().mean())
    # One difference is the error of the solves, and falls with the tolerance; the other is there to stay.
    assert same[1] < same[0] / 3
    assert other[1] > other[0] / 2
    assert other[1] > 3 * same[1]


@BOTH
def test_without_noise_it_is_the_ordinary_differential_equation(interpretation):
    """g = 0 gives the solution of dz/dt = f."""
    z0, times = torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(3, 2), torch.linspace(0, 2, 5)
    solution = sdesolve(
        drift, lambda t, z: 0 * z, z0, times, seed=0, interpretation=interpretation, rtol=1e-5, atol=1e-5
    )
    ordinary = odesolve(drift, z0, times, rtol=1e-9, atol=1e-9)
    # Outputs inside steps lie on chords: their error is that of the estimate without its weight of a sixth.
    torch.testing.assert_close(solution.ys, ordinary.ys, rtol=0, atol=60 * 1e-5)
    torch.testing.assert_close(solution.ys[-1], ordinary.ys[-1], rtol=0, atol=10 * 1e-5)


@BOTH
def test_pure_noise_is_exact_and_has_no_error(interpretation):
    """f = 0 and constant g: z = z₀ + c W(t) at every output, E = 0, and the gradients are finite."""
    strength = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    times = torch.linspace(0, 1, 8, dtype=torch.float64)
    solution = sdesolve(
        lambda t, z: 0 * z, lambda t, z: strength * torch.ones_like(z), start(5, 2), times, seed=0,
        interpretation=interpretation,
    )  # fmt: skip
    paths = torch.stack([solution.brownian(float(t)) for t in times])
    torch.testing.assert_close(solution.ys, 1 + strength * paths, rtol=0, atol=1e-12)
    assert (solution.stats.error == 0).all()
    (gradient,) = torch.autograd.grad(solution.ys[-1].sum() + solution.stats.error.sum(), strength)
    torch.testing.assert_close(gradient, paths[-1].sum())


@BOTH
def test_a_sample_does_not_depend_on_its_batch(interpretation):
    """With its seed, a sample has the same path, steps and count in any order, part of the batch, or compaction."""
    z0 = torch.linspace(-2, 2, 24, dtype=torch.float64).reshape(12, 2)
    seeds, times = independent_seeds(4, 12), torch.linspace(0, 1, 5, dtype=torch.float64)
    settings = {"interpretation": interpretation, "rtol": 1e-3, "atol": 1e-3}
    whole = sdesolve(drift, noise, z0, times, seed=seeds, **settings)
    order = torch.tensor([7, 2, 11, 0])
    for rows, compaction in ((order, 0.5), (order.sort().values, 0.0), (torch.arange(12), 1.0)):
        part = sdesolve(drift, noise, z0[rows], times, seed=seeds[rows], compaction=compaction, **settings)
        torch.testing.assert_close(part.ys, whole.ys[:, rows], rtol=1e-9, atol=1e-9)
        assert (part.stats.nfe == whole.stats.nfe[rows]).all()
    assert whole.stats.nfe.unique().numel() > 1


def test_seeds_reproduce():
    """One seed, one result; another seed, another; a number is the seeds made from it."""
    solve = lambda seed: sdesolve(drift, noise, start(4), UNIT, seed=seed).ys  # noqa: E731
    torch.testing.assert_close(solve(5), solve(5), rtol=0, atol=0)
    torch.testing.assert_close(solve(5), solve(independent_seeds(5, 4)), rtol=0, atol=0)
    assert not (solve(5)[-1] == solve(6)[-1]).any()


def test_a_given_path_is_followed_over_any_of_its_parts():
    """Two solves in a row on one path end where one solve ends: pure noise exactly, others in the limit."""
    path = BrownianPath(torch.arange(24), 1, start=0.0, end=2.0)

    def gap(f, g, tol):
        settings = {"brownian": path, "rtol": tol, "atol": tol}
        whole = sdesolve(f, g, start(24), 2 * UNIT, **settings).ys[-1]
        half = sdesolve(f, g, start(24), UNIT, **settings).ys[-1]
        return float((sdesolve(f, g, half, 1 + UNIT, **settings).ys[-1] - whole).abs().mean())

    assert gap(lambda t, z: 0 * z, lambda t, z: 0.7 * torch.ones_like(z), 1e-2) < 1e-12
    assert gap(drift, noise, 1e-3) < gap(drift, noise, 1e-2) / 3


def test_steps_settle_where_the_noise_is_additive():
    """f = a t with constant g has the estimate c h², so the step size converges: no oscillation, no rejections."""
    solution = sdesolve(
        lambda t, z: 3 * t[:, None], lambda t, z: 0.2 * torch.ones_like(z), start(1), 4 * UNIT, seed=0, rtol=0.0,
        atol=1e-3,
    )  # fmt: skip
    assert int(solution.stats.rejected) <= 1
    settled = solution.stats.h[10:-2, 0]
    assert len(settled) > 20
    # The ends of steps are rounded to few binary digits: by up to a 64th of their size at either end.
    assert settled.max() / settled.min() < 1.06


@BOTH
@pytest.mark.parametrize("first_step", [None, 0.05])
def test_counts_are_those_of_an_external_counter(interpretation, first_step):
    """`nfe` of one sample counts every call of the drift, and of the diffusion; steps add up to the interval."""
    calls = {"drift": 0, "noise": 0}

    def counted(name, f):
        def call(t, z):
            calls[name] += 1
            return f(t, z)

        return call

    solution = sdesolve(
        counted("drift", drift), counted("noise", noise), start(1), UNIT, seed=1, interpretation=interpretation,
        rtol=1e-3, atol=1e-3, first_step=first_step,
    )  # fmt: skip
    stats = solution.stats
    assert int(stats.rejected[0]) > 0
    assert calls == {"drift": int(stats.nfe[0]), "noise": int(stats.nfe[0])}
    assert stats.nfe_batched == calls["drift"]
    torch.testing.assert_close((stats.h * stats.mask).sum(dim=0), torch.ones(1, dtype=torch.float64))


def test_every_sample_may_have_its_own_times():
    """Rows of (B, M) times with repeated last ones give the solutions of the samples alone."""
    times = torch.tensor([[0.0, 0.4, 1.0], [0.5, 3.0, 3.0]], dtype=torch.float64)
    seeds = torch.tensor([1, 2])
    together = sdesolve(drift, noise, start(2), times, seed=seeds)
    for b in range(2):
        alone = sdesolve(drift, noise, start(1), times[b].unique(), seed=seeds[b : b + 1])
        torch.testing.assert_close(together.ys[-1, b], alone.ys[-1, 0])
    torch.testing.assert_close(together.ys[1, 1], together.ys[2, 1])


@pytest.mark.parametrize("which", ["drift", "diffusion"])
def test_a_coefficient_that_turns_nan_is_named_with_sample_and_time(which):
    """Sample 1 has NaN from t = 0.5 on, which the last step may have passed; the gradients of the others are finite."""
    rate = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)

    def broken(t, z, ill):
        return rate * z * torch.where((ill > 0) & (t > 0.5), torch.nan, 1.0)[:, None]

    def fine(t, z, ill):
        return 0.1 * z

    f, g = (broken, fine) if which == "drift" else (fine, broken)
    settings = {"seed": 0, "sample_args": (torch.tensor([0.0, 1.0, 0.0]),), "rtol": 1e-3, "atol": 1e-3}
    with pytest.raises(SolverError, match=rf"sample 1 stopped at t = 0\.[45].* the {which} returned NaN") as caught:
        sdesolve(f, g, start(3), UNIT, **settings)
    assert (caught.value.sample, caught.value.status) == (1, SolverStatus.NON_FINITE)
    assert abs(caught.value.t - 0.5) < 0.02
    partial = sdesolve(f, g, start(3), UNIT, on_failure="status", **settings)
    assert partial.status.tolist() == [0, int(SolverStatus.NON_FINITE), 0]
    assert partial.ys[-1, 1].isnan().all()
    (gradient,) = torch.autograd.grad(partial.ys[-1, [0, 2]].sum() + partial.stats.error.sum(), rate)
    assert gradient.isfinite()
    assert gradient != 0


@BOTH
def test_every_failure_is_laid_to_the_coefficient_that_caused_it(interpretation):
    """The diffusion of sample 0 fails first, the drift of sample 2 later; sample 1 ends well."""
    since = torch.tensor([[0.3, 9.0], [9.0, 9.0], [9.0, 0.6]], dtype=torch.float64)
    broken = lambda column: lambda t, z, since: z * torch.where(t > since[:, column], torch.nan, 0.3)[:, None]  # noqa: E731
    solution = sdesolve(
        broken(1), broken(0), start(3), UNIT, seed=0, sample_args=(since,), on_failure="status", atol=1e-3, rtol=1e-3,
        interpretation=interpretation, compaction=0.0,
    )  # fmt: skip
    failed = int(SolverStatus.NON_FINITE)
    assert solution.status.tolist() == [failed, 0, failed]
    assert solution.drift_failed[[0, 2]].tolist() == [False, True]
    # What a step asks of t + h stops it within two ticks of the path; Milstein's asks of the diffusion only at t, so it
    # passes by less than its last step.
    ticks = 2 * float(solution.brownian.resolution[0])
    last = float(solution.stats.h[solution.stats.mask[:, 0], 0][-1])
    passed = last if interpretation == "ito" else 0.0
    assert 0.3 - ticks <= float(solution.reached[0]) <= 0.3 + passed
    assert 0.6 - ticks <= float(solution.reached[2]) <= 0.6


def test_nan_at_the_start_is_reported_at_the_start():
    z0 = torch.tensor([[1.0], [float("nan")]], dtype=torch.float64)
    with pytest.raises(SolverError, match=r"sample 1 stopped at t = 0 of 1"):
        sdesolve(growth, growing_noise, z0, UNIT, seed=0)


def test_the_step_limit_and_an_explosion_end_with_a_status_and_what_was_reached():
    few = sdesolve(
        growth, growing_noise, start(3), UNIT, seed=0, rtol=1e-4, atol=1e-4, max_steps=5, on_failure="status"
    )
    assert (few.status == int(SolverStatus.MAX_STEPS)).all()
    assert (few.reached > 0).all()
    assert (few.reached < 1).all()
    assert few.ys[0].isfinite().all()
    assert few.ys[1].isnan().all()
    with pytest.raises(SolverError, match="5 steps were not enough"):
        sdesolve(growth, growing_noise, start(3), UNIT, seed=0, rtol=1e-4, atol=1e-4, max_steps=5)
    explosion = sdesolve(
        lambda t, z: z**3, lambda t, z: 0.1 * z, start(2, value=2.0), UNIT, seed=0, atol=1e-3, rtol=1e-3,
        on_failure="status", max_steps=1000,
    )  # fmt: skip
    assert (explosion.status > 0).all()
    assert (explosion.reached < 0.5).all()


@pytest.mark.parametrize(
    ("message", "changed"),
    [
        ("not strictly monotone", {"t_eval": torch.tensor([0.0, 1.0, 0.5])}),
        ("runs forward in time", {"t_eval": torch.tensor([1.0, 0.0])}),
        ("closer than the resolution", {"t_eval": torch.tensor([0.0, 1e-12, 1.0], dtype=torch.float64)}),
        ("diffusion returned .* one strength per entry", {"diffusion": lambda t, z: z[:, :, None].expand(-1, -1, 3)}),
        ("diffusion returned .* torch.ones_like", {"diffusion": lambda t, z: torch.tensor(0.1)}),
        ("right-hand side returned", {"drift": lambda t, z: z[:, :1]}),
        ("floating-point state", {"z0": torch.ones(3, 2, dtype=torch.int64)}),
        ("floating-point state", {"z0": torch.ones(3)}),
        ("exactly one of them", {"seed": None}),
        ("exactly one of them", {"brownian": BrownianPath(torch.arange(3), 2)}),
        (r"seed has shape \(2,\)", {"seed": torch.arange(2)}),
        ("brownian has 3 samples of 5 features", {"seed": None, "brownian": BrownianPath(torch.arange(3), 5)}),
        ("outside of the Brownian path", {"seed": None, "brownian": BrownianPath(torch.arange(3), 2, end=0.5)}),
        ("rtol=-1", {"rtol": -1.0}),
        ("first_step=0", {"first_step": 0.0}),
        ("max_steps=0", {"max_steps": 0}),
        ("on_failure='ignore'", {"on_failure": "ignore"}),
        ("'stiffness' is unknown", {"record": ("stiffness",)}),
        ("expected 'ito' or 'stratonovich'", {"interpretation": "backward"}),
        ("solves the ito equation", {"method": "milstein", "interpretation": "stratonovich"}),
        ("method 'euler' is unknown", {"method": "euler"}),
        ("sample_args", {"sample_args": (torch.ones(2),)}),
        ("call .eval", {"drift": nn.BatchNorm1d(2)}),
    ],
)
def test_bad_input_is_named_with_the_remedy(message, changed):
    good = {"drift": lambda t, z: -z, "diffusion": lambda t, z: 0.1 * z, "z0": torch.ones(3, 2), "t_eval": UNIT}
    with pytest.raises(IntegrationInputError, match=message):
        sdesolve(**(good | {"seed": 0} | changed))


class Linear(nn.Linear):
    """A linear coefficient that ignores time."""

    def forward(self, t, z):
        return super().forward(z)


def test_the_module_solves_with_its_networks_and_settings():
    """`NeuralSDE` is `sdesolve` of its two networks, in their dtype, and all of them learn."""
    model = NeuralSDE(Linear(2, 2), Linear(2, 2), interpretation="stratonovich", rtol=1e-3, atol=1e-3)
    z0 = torch.ones(6, 2)
    solution = model(z0, UNIT, seed=3)
    same = sdesolve(model.drift, model.diffusion, z0, UNIT, seed=3, interpretation="stratonovich", rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(solution.ys, same.ys, rtol=0, atol=0)
    assert solution.ys.dtype == torch.float32
    solution.ys[-1].var(dim=0).sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())
    with pytest.raises(IntegrationInputError, match="expected 'ito'"):
        NeuralSDE(Linear(2, 2), Linear(2, 2), interpretation="Itô")
