"""Evolutions on periodic grids: orders, exact solutions, conservation, symmetries, and one function for one seed."""

from __future__ import annotations

import dataclasses
import json
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from pde_benchmarks.burgers import BurgersTrajectories
from pde_benchmarks.burgers.cole_hopf import cole_hopf
from pde_benchmarks.datasets.container import read_dataset_file
from pde_benchmarks.datasets.generation import generate
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.exponential_integrator import ExponentialSteps
from pde_benchmarks.kuramoto_sivashinsky import KuramotoSivashinsky
from pde_benchmarks.periodic_series import coefficients, steepening, values, wave_numbers
from pde_benchmarks.problem import Batch, Times
from pde_benchmarks.reaction_diffusion import FitzHughNagumo, GrayScott
from pde_benchmarks.registry import describe_problem, rebuild_problem

SMALL = [
    BurgersTrajectories(resolution=64, frames=3),
    KuramotoSivashinsky(frames=3, transient=50.0),
    FitzHughNagumo(frames=3),
    FitzHughNagumo(dimension=2, resolution=32, frames=2),
    GrayScott(frames=3),
    GrayScott(dimension=2, resolution=64, frames=2, interval=4.0),
]
PROBLEMS = pytest.mark.parametrize("problem", SMALL, ids=lambda p: f"{p.name}-{p.grid.dim}d")
ON_THE_LINE = pytest.mark.parametrize("problem", SMALL[:2], ids=lambda p: p.name)


def sampled(problem, count=4, seed=0):
    return problem.sample(count, torch.Generator().manual_seed(seed))


def field(inputs):
    (only,) = inputs.values()
    return only


def flow(problem, start):
    return field(problem.solve(Batch({problem.inputs[0].name: start})))


def relative(a, b):
    """The worst sample's ‖a − b‖ / ‖b‖."""
    return ((a - b).flatten(1).norm(dim=1) / b.flatten(1).norm(dim=1)).max().item()


@pytest.mark.parametrize("rate", [-0.5, 0.0, 2.0 + 0.0, 30.0])
def test_exponential_steps_have_order_four_for_decay_and_growth(rate):
    """c' = −λ c + λ cos t − sin t has the solution cos t; t is carried as a second component of rate zero."""
    rates, errors = torch.tensor([rate, 0.0], dtype=torch.float64), []

    def supply(c):
        return torch.stack([rate * torch.cos(c[..., 1]) - torch.sin(c[..., 1]), torch.ones_like(c[..., 1])], -1)

    for steps in (16, 32, 64):
        c = ExponentialSteps(rates, 2.0 / steps).advance(torch.tensor([[1.0, 0.0]]).double(), steps, supply)
        errors.append(abs(c[0, 0].item() - math.cos(2.0)))
    assert min(math.log2(a / b) for a, b in pairwise(errors)) > 3.7


@pytest.mark.parametrize("rate", [-1.0, -1e-8, 0.0, 1e-3, 1.0, 50.0])
def test_constant_supply_is_followed_exactly(rate):
    """c' = −λ c + 1 from 0: c = (1 − e^(−λt)) / λ, whatever the step, for λ near zero too."""
    scheme = ExponentialSteps(torch.tensor([rate], dtype=torch.float64), 0.5)
    c = scheme.advance(torch.zeros(1, 1, dtype=torch.float64), 2, torch.ones_like)
    exact = -math.expm1(-rate) / rate if rate else 1.0
    assert c.item() == pytest.approx(exact, rel=1e-12)


def test_steepening_is_the_galerkin_product():
    """u = sin x: −(u²/2)_x = −sin(2x)/2, and waves that would alias fall out: (u²)_x of the last wave is zero."""
    x = 2 * math.pi * torch.arange(32, dtype=torch.float64) / 32
    waves = wave_numbers(32, 2 * math.pi)
    product = values(steepening(coefficients(torch.sin(x), 32), waves), 32)
    torch.testing.assert_close(product, -torch.sin(2 * x) / 2, rtol=0, atol=1e-14)
    last = steepening(coefficients(torch.sin(15 * x), 32), waves)
    assert last.abs().max() < 1e-14


@PROBLEMS
def test_halving_the_step_changes_trajectories_less_than_stated(problem):
    inputs = sampled(problem)
    half = dataclasses.replace(problem, step=problem.step / 2).solve(inputs)
    assert relative(field(problem.solve(inputs)), field(half)) < 1e-5


@PROBLEMS
def test_order_in_time_is_four(problem):
    """Kuramoto-Sivashinsky comes near it (3.2, 3.4, 3.7) only at short steps: its stiff waves are driven by others."""
    inputs = sampled(problem, 2)
    step = problem.step / (4 if isinstance(problem, KuramotoSivashinsky) else 1)

    def at(h):
        return field(dataclasses.replace(problem, step=h).solve(inputs))

    exact = at(step / 8)
    errors = [relative(at(h), exact) for h in (step, step / 2)]
    assert errors[0] > 1e-10
    assert math.log2(errors[0] / errors[1]) > 3.5


def test_burgers_agrees_with_cole_and_hopf():
    """In ξ = x/2π and w = u/2π: w_t + w w_ξ = ν/4π² w_ξξ, whose exact solution is a quadrature."""
    problem = BurgersTrajectories(resolution=512, refinement=1, frames=2, interval=0.5, step=2.5e-3)
    start = field(sampled(problem, 2))
    computed = flow(problem, start)[:, :, 0]
    for frame, time in enumerate((0.5, 1.0)):
        exact = 2 * math.pi * cole_hopf(start[:, 0] / (2 * math.pi), problem.viscosity / (4 * math.pi**2), time, 1024)
        torch.testing.assert_close(computed[:, frame], exact, rtol=0, atol=1e-6)


def test_burgers_loses_energy_and_obeys_the_maximum_principle():
    """½ d‖u‖²/dt = −ν ‖u_x‖², and no maximum or minimum is new."""
    problem = BurgersTrajectories(resolution=128, frames=20, viscosity=0.2)
    start = sampled(problem, 16)
    frames = torch.cat([field(start)[:, None], problem.solve(start)["velocity"]], 1)[:, :, 0]
    energy = frames.square().mean(-1)
    assert (energy.diff(dim=1) < 0).all()
    assert (frames.amax(-1).diff(dim=1) < 1e-3).all()  # to the distance of points from a maximum between them
    assert (frames.amin(-1).diff(dim=1) > -1e-3).all()


@pytest.mark.parametrize("problem", SMALL[4:], ids=lambda p: f"{p.name}-{p.grid.dim}d")
def test_concentrations_stay_in_the_invariant_region(problem):
    """0 ≤ u ≤ 1 and v ≥ 0 hold for all times if they do at the start: to 1e-8 on 128 points, to 1e-5 on 64."""
    problem = problem.at_resolution(128)
    start = sampled(problem)
    for u, v in (field(start).unbind(1), problem.solve(start)["concentrations"].flatten(0, 1).unbind(1)):
        assert u.min() >= -1e-6
        assert u.max() <= 1 + 1e-6
        assert v.min() >= -1e-6


def test_refinement_changes_burgers_less_than_stated():
    problem = BurgersTrajectories()
    inputs = sampled(problem)
    finer = dataclasses.replace(problem, refinement=4).solve(inputs)
    assert relative(field(problem.solve(inputs)), field(finer)) < 1e-5


@ON_THE_LINE
def test_mean_is_conserved_and_moving_frames_see_the_same_flow(problem):
    """u(x − ct, t) + c solves the equation where u does, for ct a whole number of nodes; the mean stays."""
    start = field(sampled(problem))
    problem = dataclasses.replace(problem, step=problem.step / 8)
    length = 2 * math.pi if isinstance(problem, BurgersTrajectories) else problem.length
    speed = 2 * length / problem.resolution / problem.interval
    u, moving = flow(problem, start), flow(problem, start + speed)
    torch.testing.assert_close(moving.mean(-1), (start + speed).mean(-1)[:, None].expand(-1, 3, -1), rtol=0, atol=1e-12)
    for frame in range(3):
        torch.testing.assert_close(moving[:, frame], u[:, frame].roll(2 * frame + 2, -1) + speed, rtol=0, atol=1e-4)


@ON_THE_LINE
def test_mirrored_and_negated_states_flow_alike(problem):
    start = field(sampled(problem))
    torch.testing.assert_close(flow(problem, -start.flip(-1)), -flow(problem, start).flip(-1), rtol=0, atol=1e-10)


@PROBLEMS
def test_translated_states_flow_alike(problem):
    start = field(sampled(problem, 2))
    torch.testing.assert_close(flow(problem, start.roll(5, -1)), flow(problem, start).roll(5, -1), rtol=0, atol=1e-10)


@ON_THE_LINE
def test_tiny_waves_follow_the_linear_equation(problem):
    """e^(−λt) wave by wave, up to the square of their height."""
    n, duration = problem.resolution, problem.frames * problem.interval
    x = torch.arange(n, dtype=torch.float64) / n
    wave = 2
    number = wave * 2 * math.pi / getattr(problem, "length", 2 * math.pi)
    rate = problem.viscosity * number**2 if isinstance(problem, BurgersTrajectories) else number**4 - number**2
    start = 1e-7 * torch.cos(2 * math.pi * wave * x)[None, None]
    torch.testing.assert_close(flow(problem, start)[:, -1], start * math.exp(-rate * duration), rtol=0, atol=1e-12)


def test_kuramoto_sivashinsky_starts_on_the_attractor():
    """Two times after the transient see the same law: the root mean square, known to be about 1.2 at L = 22."""
    early, late = (field(sampled(KuramotoSivashinsky(transient=t), 128)) for t in (150.0, 250.0))
    assert early.mean(-1).abs().max() < 1e-12
    a, b = early.square().mean().sqrt().item(), late.square().mean().sqrt().item()
    assert a == pytest.approx(b, rel=0.05)
    assert 1.1 < a < 1.4


def test_long_transient_steps_follow_the_flow():
    """Over 20 units from noise the step 0.25 and half of it differ by a part of a hundred: on the attractor anyway."""
    long, short = (field(sampled(KuramotoSivashinsky(transient=20.0, transient_step=h), 64)) for h in (0.25, 0.125))
    assert ((long - short).norm() / short.norm()).item() < 0.02


@pytest.mark.parametrize("problem", SMALL[2:], ids=lambda p: f"{p.name}-{p.grid.dim}d")
def test_constant_states_follow_the_reactions_alone(problem):
    """Against DOP853 on the two ordinary differential equations."""
    start = torch.tensor([[0.7, 0.2], [0.4, 0.5]], dtype=torch.float64)
    flat = start.reshape(2, 2, *[1] * problem.grid.dim).expand(2, 2, *problem.grid.shape)
    computed = flow(dataclasses.replace(problem, step=problem.step / 8), flat)

    def rates(_, y):
        return problem.reaction(torch.from_numpy(y)[None]).numpy()[0]

    last = problem.frames * problem.interval
    for row in range(2):
        end = solve_ivp(rates, (0, last), start[row].numpy(), "DOP853", rtol=1e-11, atol=1e-13).y[:, -1]
        spread = computed[row, -1].flatten(1)
        np.testing.assert_allclose(spread.mean(1).numpy(), end, rtol=1e-6)
        assert (spread.amax(1) - spread.amin(1)).max() < 1e-12


def test_without_gradient_across_an_axis_the_square_is_the_interval():
    line, square = FitzHughNagumo(frames=2, resolution=32), FitzHughNagumo(frames=2, resolution=32, dimension=2)
    start = field(sampled(line, 2))
    for spread in (start[..., None].expand(-1, -1, -1, 32), start[..., None, :].expand(-1, -1, 32, -1)):
        computed = flow(square, spread)
        axis = -1 if spread.stride(-1) == 0 else -2
        torch.testing.assert_close(computed.select(axis, 7), flow(line, start), rtol=0, atol=1e-12)


@PROBLEMS
def test_one_seed_is_one_sample_and_one_function_on_every_grid(problem):
    here, again = field(sampled(problem)), field(sampled(problem))
    assert torch.equal(here, again)
    assert not torch.equal(here, field(sampled(problem, seed=1)))
    fine = field(sampled(problem.at_resolution(2 * problem.resolution)))
    for axis in range(problem.grid.dim):
        fine = fine.index_select(2 + axis, torch.arange(0, 2 * problem.resolution, 2))
    torch.testing.assert_close(fine, here, rtol=0, atol=1e-7)


@PROBLEMS
def test_residual_vanishes_on_trajectories_up_to_the_waves_cut(problem):
    inputs = sampled(problem, 2)
    outputs = problem.solve(inputs)
    assert field(problem.residual(inputs, outputs)).abs().max() < 1e-3
    worse = Batch({name: value + 0.1 for name, value in outputs.items()})
    assert field(problem.residual(inputs, worse)).abs().max() > 1e-2


@PROBLEMS
def test_advance_is_differentiable(problem):
    start = field(sampled(problem, 1)).requires_grad_()
    direction = torch.randn(start.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    (gradient,) = torch.autograd.grad(problem.advance(start).sin().sum(), start)
    with torch.no_grad():
        ahead, back = (problem.advance(start + h * direction).sin().sum() for h in (1e-5, -1e-5))
    assert (gradient * direction).sum().item() == pytest.approx(((ahead - back) / 2e-5).item(), rel=1e-5)


@PROBLEMS
def test_shapes_dtypes_and_specification(problem, tmp_path):
    (spec,) = problem.outputs
    assert isinstance(spec.support, Times)
    inputs = sampled(problem, 2).to(dtype=torch.float32)
    out = problem.solve(inputs)[spec.name]
    assert out.shape == (2, problem.frames, spec.channels, *problem.grid.shape)
    assert out.dtype == torch.float32
    assert problem.solve(sampled(problem, 0))[spec.name].shape == (0, *out.shape[1:])
    assert rebuild_problem(json.loads(json.dumps(describe_problem(problem)))) == problem
    made = generate(problem, 2, 0, tmp_path / "flow.h5")
    assert torch.equal(read_dataset_file(tmp_path / "flow.h5").outputs[spec.name], made.outputs[spec.name])


@PROBLEMS
def test_states_that_are_not_finite_are_named(problem):
    inputs = sampled(problem, 3)
    field(inputs)[1].flatten()[3] = float("nan")
    with pytest.raises(ProblemError, match=rf"{problem.name}: the initial state of sample 1 is not finite"):
        problem.solve(inputs)


def test_what_is_not_resolved_is_named():
    problem = BurgersTrajectories(viscosity=1e-3)
    with pytest.raises(ProblemError, match=r"sample \d+ becomes so steep .* set refinement above 2"):
        problem.solve(sampled(problem))
    loud = BurgersTrajectories(step=0.1)
    with pytest.raises(ProblemError, match=r"does not stay finite .* set step below 0.1"):
        loud.solve(Batch({"initial_velocity": 1e6 * field(sampled(loud))}))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: BurgersTrajectories(viscosity=0.0), "viscosity 0.0: a positive"),
        (lambda: BurgersTrajectories(refinement=0), "refinement 0: at least 1"),
        (lambda: BurgersTrajectories(resolution=31), "even number, at least 8"),
        (lambda: KuramotoSivashinsky(length=6.0), "more than 2π"),
        (lambda: KuramotoSivashinsky(frames=0), "frames 0: at least 1"),
        (lambda: KuramotoSivashinsky(transient=math.nan), "transient nan: a positive"),
        (lambda: FitzHughNagumo(dimension=3), "dimension 3: 1 or 2"),
        (lambda: FitzHughNagumo(bias=math.inf), "bias inf: a finite"),
        (lambda: FitzHughNagumo(resolution=16), "even number, at least 32"),
        (lambda: GrayScott(feed=-1.0), "feed -1.0: a positive"),
    ],
    ids=range(10),
)
def test_impossible_parameters_are_named(make, match):
    with pytest.raises(ProblemError, match=match):
        make()
