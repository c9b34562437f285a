"""Burgers and reaction–diffusion between walls: orders, balances, residuals, and starts that hold exactly."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import RectBivariateSpline

from pde_benchmarks.burgers.cole_hopf import cole_hopf
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.exponential_integrator import ExponentialSteps
from pde_benchmarks.interval import ReactionDiffusion, WalledBurgers
from pde_benchmarks.jet import Jet
from pde_benchmarks.problem import Batch
from pde_benchmarks.registry import describe_problem
from pde_benchmarks.sine_series import decaying_jet, sine_coefficients, sine_values

PROBLEMS = pytest.mark.parametrize("problem", [WalledBurgers(), ReactionDiffusion()], ids=lambda p: p.name)
DTYPES = st.sampled_from([torch.float32, torch.float64])


def sampled(problem, count=3, seed=0):
    return problem.sample(count, torch.Generator().manual_seed(seed))


def field(inputs):
    (values,) = inputs.values()
    return values


def relative(error, truth):
    return ((error - truth).norm() / truth.norm()).item()


def closed_flow(points, viscosity, waves=2, height=0.9):
    """u = −2ν φ_ξ/φ with φ = 1 + a e^(−νκ²t) cos κ(ξ + 1), κ = kπ/2: zero at both walls."""
    x, t = points[..., 0], points[..., 1]
    kappa = waves * math.pi / 2
    a = height * torch.exp(-viscosity * kappa**2 * t)
    return 2 * viscosity * kappa * a * torch.sin(2 * kappa * x) / (1 + a * torch.cos(2 * kappa * x))


def jet_of(function, points, order=2):
    """A jet by automatic differentiation."""
    value = torch.func.vmap(function)(points)
    gradient = torch.func.vmap(torch.func.grad(function))(points)
    hessian = torch.func.vmap(torch.func.hessian(function))(points) if order == 2 else None
    return Jet(value[None, :, None], gradient[None, :, None], None if hessian is None else hessian[None, :, None])


def reference_jet(problem, inputs, points):
    """The reference trajectories of all samples, start included, read between nodes and frames by quintic splines."""
    flow = problem.solve(inputs)["solution"][:, :, 0]
    start = field(inputs)[:, 0] if isinstance(problem, WalledBurgers) else torch.zeros_like(flow[:, 0])
    times = torch.arange(problem.frames + 1) * problem.interval
    x, t = points.T.numpy()
    splines = [
        RectBivariateSpline(times, problem.nodes.points(0), u, kx=5, ky=5) for u in torch.cat([start[:, None], flow], 1)
    ]

    def read(**derivative):
        return torch.stack([torch.from_numpy(spline.ev(t, x, **derivative)) for spline in splines])

    gradient = torch.stack([read(dy=1), read(dx=1)], -1)
    hessian = torch.zeros(*gradient.shape, 2, dtype=torch.float64)
    hessian[..., 0, 0] = read(dy=2)
    return Jet(read()[..., None], gradient[:, :, None], hessian[:, :, None])


def test_sine_series_take_the_values_they_are_made_of():
    values = torch.rand(2, 3, 12, dtype=torch.float64)
    values[..., [0, -1]] = 0
    torch.testing.assert_close(sine_values(sine_coefficients(values), 12), values)
    x = torch.arange(23, dtype=torch.float64) / 22
    torch.testing.assert_close(sine_values(sine_coefficients(values), 23)[..., ::2], values)
    wave = torch.sin(3 * math.pi * x)
    torch.testing.assert_close(sine_coefficients(wave)[2], torch.tensor(1.0, dtype=torch.float64))


@pytest.mark.parametrize("rate", [0.0, 1e-6, 1e-3, 1.0, 50.0])
def test_exponential_steps_have_order_four_whatever_the_stiffness(rate):
    """c' = −λ c + c(1 − c)/2, against its closed solution."""
    start, time, growth = 0.2, 2.0, 0.5
    net = growth - rate  # c' = net c − growth c²
    grown = math.exp(net * time)
    integral = time if net == 0 else (grown - 1) / net
    exact = start * grown / (1 + growth * start * integral)
    rates, errors = torch.tensor([rate], dtype=torch.float64), []
    for steps in (8, 16, 32):
        scheme = ExponentialSteps(rates, time / steps)
        c = scheme.advance(torch.tensor([[start]], dtype=torch.float64), steps, lambda c: growth * c * (1 - c))
        errors.append(abs(c.item() - exact))
    orders = [math.log2(errors[i] / errors[i + 1]) for i in (0, 1)] if errors[-1] > 1e-14 else [4.0]
    assert min(orders) > 3.5


def test_walled_burgers_is_the_periodic_flow_of_the_odd_continuation():
    """Cole–Hopf on the interval of twice the length: an exact solution that shares nothing with the steps."""
    problem = dataclasses.replace(WalledBurgers(), step=1e-3)
    inputs = sampled(problem, 2)
    start = inputs["initial_solution"][:, 0]
    odd = torch.cat([start[:, :-1], start[:, -1:], -start[:, 1:-1].flip(-1)], 1)
    flow = problem.solve(inputs)["solution"]
    for frame in (0, 29, 99):
        time = problem.interval * (frame + 1)
        exact = torch.cat([4 * cole_hopf(row[None] / 4, problem.viscosity / 16, time, 2048) for row in odd])
        torch.testing.assert_close(flow[:, frame, 0], exact[:, : start.shape[1]], rtol=0, atol=1e-9)


def test_walled_burgers_has_order_four_in_time_and_any_order_in_space():
    problem = WalledBurgers(frames=2, interval=0.2, resolution=97)
    inputs = sampled(problem)
    exact = dataclasses.replace(problem, step=1e-3).solve(inputs)["solution"]
    errors = [
        relative(dataclasses.replace(problem, step=h).solve(inputs)["solution"], exact) for h in (0.04, 0.02, 0.01)
    ]
    assert min(math.log2(errors[i] / errors[i + 1]) for i in (0, 1)) > 3.5
    points = torch.stack([problem.nodes.points(0), torch.zeros(97, dtype=torch.float64)], 1)
    for n, bound in ((33, 1e-4), (49, 1e-6), (97, 1e-9)):
        coarse = dataclasses.replace(problem, step=1e-3, resolution=n)
        start = closed_flow(points[:: 96 // (n - 1)], problem.viscosity)[None, None]
        last = points + torch.tensor([0.0, 0.4], dtype=torch.float64)
        truth = closed_flow(last, problem.viscosity)[:: 96 // (n - 1)]
        assert relative(coarse.solve(Batch({"initial_solution": start}))["solution"][0, -1, 0], truth) < bound


def test_energy_of_walled_burgers_is_lost_to_viscosity_alone():
    """d/dt ∫ u²/2 dξ = −ν ∫ u_ξ² dξ: convection does no work between walls at rest."""
    problem = dataclasses.replace(WalledBurgers(), interval=2e-3, frames=200, step=2e-3)
    inputs = sampled(problem)
    flow = problem.solve(inputs)["solution"][:, :, 0]
    c = sine_coefficients(torch.cat([inputs["initial_solution"], flow], 1))
    waves = math.pi / 2 * torch.arange(1, c.shape[-1] + 1)
    energy, loss = c.square().sum(-1) / 2, problem.viscosity * (waves * c).square().sum(-1)
    weights = torch.full((101,), 4.0, dtype=torch.float64)  # Simpson's rule from frame 100 to 200
    weights[::2] = 2
    weights[[0, -1]] = 1
    torch.testing.assert_close(
        energy[:, 200] - energy[:, 100], -loss[:, 100:] @ weights * problem.interval / 3, rtol=1e-7, atol=0
    )
    assert (energy.diff(dim=1) < 0).all()


def test_walled_burgers_obeys_the_maximum_principle():
    inputs = sampled(WalledBurgers(), 4)
    start, flow = inputs["initial_solution"], WalledBurgers().solve(inputs)["solution"]
    assert (flow.flatten(1).amax(1) <= start.flatten(1).amax(1).clamp(min=0) + 1e-6).all()
    assert (flow.flatten(1).amin(1) >= start.flatten(1).amin(1).clamp(max=0) - 1e-6).all()


def test_reaction_diffusion_has_order_four():
    """Towards sin πx + (1 + (e − 1) x − eˣ)/D, its steady state for k = 0, and with reaction to its own fine limit."""
    errors = []
    for n in (9, 17, 33, 65):
        problem = ReactionDiffusion(resolution=n, diffusivity=0.3, reaction=0.0, frames=20, interval=1.0, step=1.0)
        x = problem.nodes.points(0)
        source = (0.3 * math.pi**2 * torch.sin(math.pi * x) + torch.exp(x))[None, None]
        steady = problem.solve(Batch({"source": source}))["solution"][0, -1, 0]
        line = 1 + (math.e - 1) * x  # 0.3 v'' = −eˣ, v = 0 at the ends: v = (line − eˣ)/0.3
        errors.append((steady - torch.sin(math.pi * x) - (line - torch.exp(x)) / 0.3).abs().max().item())
    assert min(math.log2(errors[i] / errors[i + 1]) for i in range(3)) > 3.8
    flows = []
    for n in (26, 51, 101, 201):
        problem = ReactionDiffusion(resolution=n, reaction=0.8, frames=2, interval=0.5)
        flows.append(problem.solve(sampled(problem))["solution"][:, -1, 0, :: (n - 1) // 25])
    distances = [(flow - flows[-1]).norm().item() for flow in flows[:-1]]
    assert min(math.log2(distances[i] / distances[i + 1]) for i in (0, 1)) > 3.5


def test_reaction_diffusion_without_diffusion_reacts_in_every_point():
    """u_t = u² + f with a constant f > 0: u = √f tan √f t away from the walls."""
    problem = ReactionDiffusion(diffusivity=1e-6, reaction=1.0, step=1e-3)
    flow = problem.solve(Batch({"source": torch.full((1, 1, 101), 0.5, dtype=torch.float64)}))["solution"]
    root = math.sqrt(0.5)
    torch.testing.assert_close(flow[0, -1, 0, 50].item(), root * math.tan(root), rtol=1e-9, atol=0)


@PROBLEMS
@pytest.mark.parametrize("kind", ["weak", "strong"])
def test_the_reference_solution_has_a_small_residual_and_its_half_a_large_one(problem, kind):
    inputs = sampled(problem)
    form = problem.weak_form(kind)
    q = form.draw(torch.Generator().manual_seed(1), torch.float64)
    u, a = reference_jet(problem, inputs, q.points), problem.coefficient_at(inputs, q.points)
    half = Jet(0.5 * u.value, 0.5 * u.gradient, 0.5 * u.hessian)
    residual, other = (form.loss(q, a, {"solution": jet}) for jet in (u, half))
    assert residual.shape == (3,)
    assert (other > 5e-3).all()
    assert (residual < 1e-3 * other).all()  # a ratio of squares


def closed_residual(form):
    q = form.draw(torch.Generator().manual_seed(0), torch.float64)
    u = jet_of(lambda p: closed_flow(p, WalledBurgers().viscosity), q.points, form.order)
    return form.loss(q, torch.zeros_like(u.value), {"solution": u}).sqrt().item()


def test_a_closed_flow_has_no_residual():
    """The strong residual vanishes to rounding, the weak one with the fifth power of the radius: its rule's error."""
    assert closed_residual(WalledBurgers().weak_form("strong")) < 1e-12
    weak = [closed_residual(WalledBurgers().weak_form("weak", radius=radius)) for radius in (0.1, 0.05, 0.025)]
    assert min(math.log2(weak[i] / weak[i + 1]) for i in (0, 1)) > 5
    assert weak[1] < 1e-5


def test_the_weak_residual_of_wrong_flows_is_first_order_in_the_fault():
    """r is linear in the fault for small faults."""
    problem = WalledBurgers()
    form = problem.weak_form()
    q = form.draw(torch.Generator().manual_seed(0), torch.float64)
    losses = []
    for fault in (0.02, 0.01):
        u = jet_of(
            lambda p, e=fault: closed_flow(p, problem.viscosity) + e * p[1] * torch.sin(math.pi * p[0]), q.points, 1
        )
        losses.append(form.loss(q, torch.zeros_like(u.value), {"solution": u}).sqrt().item())
    assert losses[0] / losses[1] == pytest.approx(2, rel=0.02)


@PROBLEMS
@settings(deadline=None, max_examples=10)
@given(count=st.integers(0, 3), dtype=DTYPES, size=st.sampled_from([1.0, 1e3]))
def test_walls_and_start_are_exact_for_any_answer(problem, count, dtype, size):
    """u(0, t) = u(1, t) = 0 to the last digit, u(x, 0) = a(x) at the nodes to rounding."""
    inputs = sampled(problem, count).to(dtype=dtype)
    n = problem.resolution
    t, x, zero = torch.rand(n, dtype=dtype), problem.nodes.points(0).to(dtype), torch.zeros(n, dtype=dtype)
    points = torch.cat([torch.stack(p, 1) for p in ((zero, t), (zero + 1, t), (x, zero))])
    raw = Jet(size * torch.randn(count, 3 * n, 1, dtype=dtype), torch.randn(count, 3 * n, 1, 2, dtype=dtype))
    u = problem.impose("solution", points, raw, inputs).value
    assert u.dtype == dtype
    assert (u[:, : 2 * n] == 0).all()
    start = (
        inputs["initial_solution"][:, 0] if isinstance(problem, WalledBurgers) else torch.zeros(count, n, dtype=dtype)
    )
    torch.testing.assert_close(u[:, 2 * n :, 0], start, rtol=0, atol=1e-4 if dtype == torch.float32 else 1e-12)


@PROBLEMS
def test_imposed_derivatives_are_the_derivatives(problem):
    inputs = sampled(problem, 1)
    points = torch.rand(20, 2, dtype=torch.float64)

    def net(p):
        return torch.sin(2 * p[0] + p[1]) + p[0] * p[1] ** 2

    def imposed(p):
        raw = Jet(net(p)[None, None, None], torch.zeros(1, 1, 1, 2, dtype=torch.float64))
        return problem.impose("solution", p[None], raw, inputs).value.squeeze()

    found, expected = problem.impose("solution", points, jet_of(net, points), inputs), jet_of(imposed, points)
    torch.testing.assert_close(found.value, expected.value)
    torch.testing.assert_close(found.gradient, expected.gradient)
    torch.testing.assert_close(found.hessian, expected.hessian, rtol=1e-8, atol=1e-8)


def test_decaying_series_solve_the_heat_equation():
    c = torch.randn(2, 5, dtype=torch.float64)
    rates = 0.3 * (math.pi * torch.arange(1, 6, dtype=torch.float64)) ** 2
    jet = decaying_jet(c, rates, torch.rand(30, 2, dtype=torch.float64), order=2)
    torch.testing.assert_close(jet.gradient[:, :, 0, 1], 0.3 * jet.hessian[:, :, 0, 0, 0])


@PROBLEMS
@pytest.mark.parametrize("kind", ["weak", "strong"])
def test_losses_reach_the_networks_answer(problem, kind):
    inputs = sampled(problem, 2).to(dtype=torch.float32)
    form = problem.weak_form(kind)
    q = form.draw(torch.Generator().manual_seed(0))
    n = len(q.points)
    parts = [torch.randn(2, n, 1, *shape, requires_grad=True) for shape in ((), (2,), (2, 2))]
    u = problem.impose("solution", q.points, Jet(*(parts if kind == "strong" else parts[:2])), inputs)
    form.loss(q, problem.coefficient_at(inputs, q.points), {"solution": u}).sum().backward()
    assert parts[0].grad.abs().sum() > 0
    assert q.points.dtype == torch.float32


@PROBLEMS
def test_draws_are_new_and_within_the_interval_and_the_time(problem):
    for kind in problem.residual_kinds:
        form = problem.weak_form(kind)
        generator = torch.Generator().manual_seed(0)
        first, second = (form.draw(generator).points for _ in range(2))
        assert not torch.equal(first, second)
        assert torch.equal(first, form.draw(torch.Generator().manual_seed(0)).points)
        assert ((first >= 0) & (first <= 1)).all()


@PROBLEMS
def test_the_reference_is_the_zero_of_the_residual_and_of_the_metrics(problem):
    problem = dataclasses.replace(problem, frames=5)
    inputs = sampled(problem)
    outputs = problem.solve(inputs)
    assert field(problem.residual(inputs, outputs)).abs().max() < 1e-12
    assert problem.metrics(outputs, outputs)["relative_l2"] == 0
    assert outputs["solution"].shape == (3, 5, 1, problem.resolution)
    single = problem.solve(inputs.to(dtype=torch.float32))["solution"]
    assert single.dtype == torch.float32
    assert relative(single.double(), outputs["solution"]) < 1e-6
    assert problem.solve(sampled(problem, 0))["solution"].shape == (0, 5, 1, problem.resolution)


@PROBLEMS
def test_one_seed_is_one_function_on_every_grid(problem):
    n = problem.resolution
    coarse, fine = (field(sampled(problem.at_resolution(m))) for m in (n, 2 * n - 1))
    torch.testing.assert_close(fine[..., ::2], coarse)
    assert describe_problem(problem)["name"] == problem.name


def test_solutions_are_differentiable_in_their_inputs():
    for problem in (WalledBurgers(resolution=17, viscosity=0.2, frames=2), ReactionDiffusion(resolution=9, frames=2)):
        (name,) = sampled(problem, 1)
        values = field(sampled(problem, 1)).requires_grad_()
        torch.autograd.gradcheck(lambda a, p=problem, m=name: p.solve(Batch({m: a}))["solution"], values)


@pytest.mark.parametrize("parameter", ["viscosity", "amplitude", "interval", "step"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_parameters_of_burgers_are_positive(parameter, value):
    with pytest.raises(ProblemError, match=f"burgers-walls {parameter} {value}: a positive number is needed"):
        WalledBurgers(**{parameter: value})


def test_flows_that_cannot_be_followed_are_named():
    thin = WalledBurgers(viscosity=1e-3)
    with pytest.raises(ProblemError, match="sample 0 steepens to a layer that 128 nodes do not resolve"):
        thin.solve(sampled(thin))
    broken = sampled(WalledBurgers(frames=1))
    broken["initial_solution"][1, 0, 5] = math.nan
    with pytest.raises(ProblemError, match="sample 1 does not stay finite"):
        WalledBurgers(frames=1).solve(broken)
    source = torch.zeros(3, 1, 101)
    source[2] = 50.0
    with pytest.raises(ProblemError, match="sample 2 grows without bound before t = 1"):
        ReactionDiffusion(reaction=1.0).solve(Batch({"source": source}))
    with pytest.raises(ProblemError, match="sample 0 is 1 and 1 at the walls"):
        WalledBurgers().check(Batch({"initial_solution": torch.ones(1, 1, 128)}))


def test_forms_that_do_not_fit_are_named():
    problem = WalledBurgers()
    with pytest.raises(ProblemError, match="'energy' needs a symmetric operator"):
        problem.weak_form("energy")
    with pytest.raises(ProblemError, match="residual 'weak' has no 'cells': it has functions, radius"):
        problem.weak_form("weak", cells=3)
    with pytest.raises(ProblemError, match="functions 0: at least one"):
        problem.weak_form("weak", functions=0)
    with pytest.raises(ProblemError, match="radius -1"):
        problem.weak_form("weak", radius=-1.0)
    wide = problem.weak_form("weak", radius=0.7)
    with pytest.raises(ProblemError, match=r"radius 0\.7 is too large"):
        wide.draw(torch.Generator().manual_seed(0))
    raw, inputs = Jet(torch.zeros(1, 1, 1), torch.zeros(1, 1, 1, 2)), sampled(problem, 1)
    with pytest.raises(ProblemError, match="no field 'flux': known is solution"):
        problem.impose("flux", torch.zeros(1, 2), raw, inputs)


def test_grids_and_reactions_that_do_not_fit_are_named():
    with pytest.raises(ProblemError, match="resolution 4, frames 100: at least 8 nodes"):
        ReactionDiffusion(resolution=4)
    with pytest.raises(ProblemError, match="reaction nan: a finite number"):
        ReactionDiffusion(reaction=math.nan)
