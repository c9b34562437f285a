"""Systems of ordinary differential equations: known values, independent integrators, conservation, derivatives."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from pde_benchmarks.datasets.container import read_dataset_file
from pde_benchmarks.datasets.generation import generate
from pde_benchmarks.dynamical_systems import Robertson, VanDerPol, scaled_trajectory_metrics
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.problem import Batch, Scalars, Times, decode_spec, encode_spec
from pde_benchmarks.registry import describe_problem, rebuild_problem

SMALL = [VanDerPol(frames=4, interval=0.5), Robertson(count=6, first=1e-3, last=1e3)]
SYSTEMS = pytest.mark.parametrize("system", SMALL, ids=lambda s: s.name)


def sampled(system, count=3, seed=0):
    return system.sample(count, torch.Generator().manual_seed(seed))


def array(batch):
    (only,) = batch.values()
    return only


def from_one(system, start):
    return array(system.solve(Batch({system.inputs[0].name: torch.tensor([start], dtype=torch.float64)})))[0]


def test_robertson_has_its_known_values_at_forty_seconds():
    """0.7158, 9.185e-6, 0.2842 (Hairer & Wanner, Solving ODEs II, section IV.10)."""
    last = from_one(Robertson(count=2, last=40.0), [1.0, 0.0, 0.0])[-1]
    assert last[0].item() == pytest.approx(0.7158271, abs=1e-7)
    assert last[1].item() == pytest.approx(9.185535e-6, rel=1e-6)
    assert last[2].item() == pytest.approx(0.2841637, abs=1e-7)


def test_robertson_conserves_the_sum():
    system = Robertson()
    flow = array(system.solve(sampled(system, 4)))
    torch.testing.assert_close(flow.sum(-1), torch.ones(4, 50, dtype=torch.float64), rtol=0, atol=1e-10)
    assert (flow > -1e-12).all()


def test_robertson_forgets_its_first_intermediate():
    """After a second y₂ is that of balance: it does not depend on y₂(0), and y₁, y₃ shift by no more than y₂(0)."""
    system = Robertson(count=2, first=1.0, last=10.0)
    a, b = from_one(system, [0.95, 0.0, 0.05]), from_one(system, [0.95 - 1e-5, 1e-5, 0.05])
    torch.testing.assert_close(a[:, 1], b[:, 1], rtol=1e-4, atol=0)
    assert (a - b).abs().max() < 2e-5


def test_robertson_agrees_with_radau():
    system = Robertson(count=8)
    start = array(sampled(system, 1))
    run = solve_ivp(
        lambda _, y: system.rates(*y), (0, 1e5), start[0].numpy(), "Radau", system.instants, rtol=1e-9, atol=1e-15
    )
    scale = np.array([1.0, 1e-5, 1.0])
    computed = array(system.solve(Batch({"initial_concentrations": start})))[0].numpy()
    np.testing.assert_allclose(computed / scale, run.y.T / scale, rtol=0, atol=1e-6)


@pytest.mark.parametrize("damping", [0.5, 5.0])
def test_van_der_pol_agrees_with_dormand_and_prince(damping):
    system = VanDerPol(damping=damping, frames=20)
    start = array(sampled(system, 2))
    flow = array(system.solve(Batch({system.inputs[0].name: start})))
    for row in range(2):
        run = solve_ivp(
            lambda _, y: system.rates(*y),
            (0, 4.0),
            start[row].numpy(),
            "DOP853",
            system.instants,
            rtol=1e-12,
            atol=1e-13,
        )
        np.testing.assert_allclose(flow[row].numpy(), run.y.T, rtol=0, atol=1e-6)


def test_weakly_damped_van_der_pol_is_an_oscillator():
    """μ → 0: x = x₀ cos t + y₀ sin t up to O(μ t)."""
    system = VanDerPol(damping=1e-8, frames=10)
    t = torch.tensor(system.instants, dtype=torch.float64)
    flow = from_one(system, [0.8, -0.6])
    exact = torch.stack([0.8 * t.cos() - 0.6 * t.sin(), -0.8 * t.sin() - 0.6 * t.cos()], -1)
    torch.testing.assert_close(flow, exact, rtol=0, atol=1e-7)


def test_van_der_pol_is_odd():
    system = SMALL[0]
    start = array(sampled(system))
    there = array(system.solve(Batch({system.inputs[0].name: start})))
    back = array(system.solve(Batch({system.inputs[0].name: -start})))
    torch.testing.assert_close(back, -there, rtol=0, atol=1e-12)


@SYSTEMS
def test_jacobian_is_the_derivative_of_the_right_hand_side(system):
    for state in array(sampled(system)):
        derived = torch.autograd.functional.jacobian(system.right_hand_side, state)
        stated = torch.stack([torch.stack(list(row)) for row in system.jacobian(*state)])
        torch.testing.assert_close(stated, derived, rtol=1e-12, atol=0)


@SYSTEMS
def test_right_hand_side_is_the_slope_of_the_flow_and_needs_its_channels(system):
    state = array(sampled(system))
    step = 1e-7
    later = system.advance(state, torch.full((3,), step, dtype=torch.float64))
    rates = system.right_hand_side(state)
    assert rates.shape == state.shape
    scale = torch.tensor(system.scales, dtype=torch.float64)
    assert (((later - state) / step - rates) / (scale + rates.abs())).abs().max() < 1e-2
    with pytest.raises(ProblemError, match=rf"{system.name}: state of shape \(3, 5\)"):
        system.right_hand_side(torch.zeros(3, 5))


@SYSTEMS
def test_residual_vanishes_on_trajectories_and_shows_a_defect_where_it_is(system):
    inputs = sampled(system, 2)
    outputs = system.solve(inputs)
    scale = torch.tensor(system.scales, dtype=torch.float64)
    assert (array(system.residual(inputs, outputs)) / scale).abs().max() < 1e-6
    wrong = array(outputs).clone()
    wrong[:, 2] *= 1.01
    defect = array(system.residual(inputs, Batch({system.state.name: wrong}))) / scale
    assert defect[:, :2].abs().max() < 1e-6
    assert defect[:, 2].abs().max() > 1e-3


@SYSTEMS
def test_residual_has_the_derivative_of_the_flow(system):
    """Central differences in units of each component's scale."""
    inputs, scale = sampled(system, 1), torch.tensor(system.scales, dtype=torch.float64)
    durations = torch.tensor([system.instants[1]], dtype=torch.float64)
    state = array(inputs).requires_grad_()
    slope = torch.autograd.functional.jacobian(lambda y: system.advance(y, durations)[0], state)[:, 0]
    for j in range(len(scale)):
        change = torch.zeros_like(state)
        change[0, j] = 1e-3 * scale[j]
        with torch.no_grad():
            ahead, back = (system.advance(state + sign * change, durations)[0] for sign in (1, -1))
        measured = (ahead - back) / (2e-3 * scale[j])
        torch.testing.assert_close(slope[:, j] / scale, measured / scale, rtol=1e-3, atol=1e-4)
    outputs = system.solve(sampled(system, 1))
    moved = array(outputs).clone().requires_grad_()
    defect = array(system.residual(inputs, Batch({system.state.name: moved})))
    (gradient,) = torch.autograd.grad((defect / scale).sum(), moved)
    assert gradient.isfinite().all()
    torch.testing.assert_close(gradient[:, -1], (1 / scale)[None].expand(1, -1))


def test_components_count_alike_in_the_metrics():
    """A relative error of a tenth in the component of size 1e-5 is one of 1/10 among two of equal weight: 0.1/√2."""
    truth = torch.ones(3, 4, 2, dtype=torch.float64) * torch.tensor([1.0, 1e-5], dtype=torch.float64)
    wrong = truth.clone()
    wrong[..., 1] *= 1.1
    assert scaled_trajectory_metrics(wrong, truth)["relative_l2"] == pytest.approx(0.1 / math.sqrt(2))
    assert scaled_trajectory_metrics(truth, truth)["relative_l2"] == 0


def test_robertson_measures_conservation():
    system = SMALL[1]
    truth = system.solve(sampled(system, 2))
    lost = Batch({"concentrations": array(truth) - torch.tensor([0.02, 0.0, 0.01], dtype=torch.float64)})
    assert system.metrics(lost, truth)["conservation"] == pytest.approx(0.03)
    assert system.metrics(truth, truth)["conservation"] == 0


@SYSTEMS
def test_one_seed_is_one_sample_within_the_law(system):
    start = array(sampled(system, 200))
    assert torch.equal(start, array(sampled(system, 200)))
    assert not torch.equal(start, array(sampled(system, 200, seed=1)))
    assert start.dtype == torch.float64
    if isinstance(system, Robertson):
        torch.testing.assert_close(start.sum(-1), torch.ones(200, dtype=torch.float64), rtol=0, atol=1e-15)
        assert (start >= 0).all()
        assert start[:, 2].max() <= 0.1
    else:
        assert start.abs().max() <= 2


@SYSTEMS
def test_specification_and_data_sets(system, tmp_path):
    (spec,) = system.outputs
    assert spec.support == Times(system.instants, Scalars())
    assert decode_spec(json.loads(json.dumps(encode_spec(spec)))) == spec
    assert rebuild_problem(json.loads(json.dumps(describe_problem(system)))) == system
    made = generate(system, 3, 0, tmp_path / "flow.h5")
    read = read_dataset_file(tmp_path / "flow.h5")
    assert read.problem == system
    assert read.outputs[spec.name].shape == (3, len(system.instants), spec.channels)
    assert torch.equal(read.outputs[spec.name], made.outputs[spec.name])


@SYSTEMS
def test_dtype_is_kept_and_empty_batches_are_empty(system):
    out = array(system.solve(sampled(system, 1).to(dtype=torch.float32)))
    assert out.dtype == torch.float32
    assert array(system.solve(sampled(system, 0))).shape == (0, *out.shape[1:])


@SYSTEMS
def test_states_that_are_not_finite_are_named(system):
    inputs = sampled(system)
    array(inputs)[1, 0] = float("nan")
    with pytest.raises(ProblemError, match=rf"{system.name}: the initial state of sample 1 is not finite"):
        system.solve(inputs)


def test_what_cannot_be_followed_is_named(monkeypatch):
    monkeypatch.setattr("pde_benchmarks.dynamical_systems.flow.MOST_EVALUATIONS", 50)
    with pytest.raises(ProblemError, match=r"van-der-pol: sample 0 cannot be followed .*more than 50 evaluations"):
        SMALL[0].solve(sampled(SMALL[0]))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: VanDerPol(damping=-1.0), "damping -1.0: a positive"),
        (lambda: VanDerPol(frames=0), "frames 0: at least 1"),
        (lambda: VanDerPol(tolerance=1e-16), "below 1e-13"),
        (lambda: Robertson(slow=0.0), "slow 0.0: a positive"),
        (lambda: Robertson(first=1.0, last=0.5), "the last after the first"),
        (lambda: dataclasses.replace(Robertson(), count=1), "at least 2 instants"),
    ],
    ids=range(6),
)
def test_impossible_parameters_are_named(make, match):
    with pytest.raises(ProblemError, match=match):
        make()
