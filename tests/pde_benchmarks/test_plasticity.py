"""Radial return: against closed forms, its tangent against differences, and what the flow rule demands."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pde_benchmarks.elasticity.plasticity import ElastoPlastic, PlasticState, Response
from pde_benchmarks.errors import ProblemError

STEEL = ElastoPlastic(young=7e4, poisson=0.3, yield_stress=80.0, hardening=2000.0)
E_YIELD = STEEL.yield_stress / STEEL.young


def history(seed: int, steps: int = 3, count: int = 40) -> tuple[np.ndarray, PlasticState]:
    """Strains of the order of the elastic limit, and the state after some before them."""
    rng = np.random.default_rng(seed)
    state = PlasticState.virgin(count)
    for _ in range(steps):
        state = STEEL.response(2 * E_YIELD * rng.standard_normal((count, 3)), state).state
    return 2 * E_YIELD * rng.standard_normal((count, 3)), state


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_uniaxial_strain_has_a_closed_form(steps):
    """ε = (e, 0, 0): q = 2 G e up to R₀, then q = R₀ + H p and 3 G p = 2 G e − q; σ_xx = K e + 2 q/3, in any steps."""
    e = np.linspace(0.2, 6.0, 30) * E_YIELD
    strain = np.column_stack([e, 0 * e, 0 * e])
    state = PlasticState.virgin(len(e))
    for share in np.linspace(0, 1, steps + 1)[1:]:
        found = STEEL.response(share * strain, state)
        state = found.state
    G, K, H, R0 = STEEL.shear_modulus, STEEL.bulk_modulus, STEEL.hardening, STEEL.yield_stress
    p = np.maximum(2 * G * e - R0, 0) / (3 * G + H)
    q = 2 * G * e - 3 * G * p
    assert 0 < (p > 0).sum() < len(e)
    np.testing.assert_allclose(found.state.cumulated, p, rtol=1e-12, atol=1e-18)
    np.testing.assert_allclose(found.stress[:, 0], K * e + 2 * q / 3, rtol=1e-12)
    np.testing.assert_allclose(found.stress[:, 1:3], np.stack([K * e - q / 3] * 2, axis=1), rtol=1e-12)
    np.testing.assert_allclose(found.stress[:, 3], 0, atol=1e-12)
    np.testing.assert_allclose(found.von_mises, q, rtol=1e-12)


def test_tension_in_plane_strain_tends_to_its_collapse_stress():
    """σ_yy = 0 and no hardening: σ_xx → 2 R₀/√3, as the flow becomes isochoric and s_zz → 0."""
    perfect = ElastoPlastic(7e4, 0.3, 80.0, 0.0)
    state, lateral = PlasticState.virgin(1), 0.0
    for e in np.linspace(0, 200 * E_YIELD, 400)[1:]:
        for _ in range(30):  # Newton's method for σ_yy = 0
            found = perfect.response(np.array([[e, lateral, 0.0]]), state)
            if abs(found.stress[0, 1]) < 1e-9:
                break
            lateral -= found.stress[0, 1] / found.tangent[0, 1, 1]
        state = found.state
    assert found.stress[0, 0] == pytest.approx(2 * 80 / math.sqrt(3), rel=1e-6)
    assert found.stress[0, 2] == pytest.approx(80 / math.sqrt(3), rel=1e-3)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**16))
def test_the_tangent_is_the_derivative_of_the_stress(seed):
    """Central differences of σ(ε), wherever no point yields on one side only."""
    strain, state = history(seed)
    found, h = STEEL.response(strain, state), 1e-6 * E_YIELD
    for column in range(3):
        step = np.zeros(3)
        step[column] = h
        above, below = STEEL.response(strain + step, state), STEEL.response(strain - step, state)
        smooth = (above.state.cumulated > state.cumulated) == (below.state.cumulated > state.cumulated)
        difference = (above.stress - below.stress)[:, [0, 1, 3]] / (2 * h)
        np.testing.assert_allclose(
            found.tangent[smooth][:, :, column], difference[smooth], rtol=1e-6, atol=1e-6 * STEEL.young
        )
        assert smooth.mean() > 0.9


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**16))
def test_the_tangent_is_symmetric_positive_definite_and_softer_than_elastic(seed):
    """0 < D ≤ D_elastic."""
    strain, state = history(seed)
    tangent = STEEL.response(strain, state).tangent
    elastic = STEEL.response(np.zeros((1, 3)), PlasticState.virgin(1)).tangent
    np.testing.assert_allclose(tangent, tangent.swapaxes(1, 2), rtol=0, atol=1e-9 * STEEL.young)
    assert np.linalg.eigvalsh(tangent).min() > 1e-3 * STEEL.young
    assert np.linalg.eigvalsh(elastic - tangent).min() > -1e-9 * STEEL.young


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**16))
def test_loading_and_unloading(seed):
    """Kuhn–Tucker: f ≤ 0, ṗ ≥ 0, ṗ f = 0; plastic flow is isochoric, along the stress, of length ṗ √(3/2)."""
    strain, before = history(seed)
    found = STEEL.response(strain, before)
    overstress = found.von_mises - STEEL.yield_stress - STEEL.hardening * found.state.cumulated
    flow = found.state.cumulated - before.cumulated
    assert overstress.max() < 1e-9 * STEEL.yield_stress
    assert flow.min() >= 0
    assert (flow > 0).sum() > 0
    assert np.abs(overstress[flow > 0]).max() < 1e-9 * STEEL.yield_stress
    change = found.state.strain - before.strain
    assert np.abs(change[:, :3].sum(axis=1)).max() < 1e-15
    deviator = found.stress - found.stress[:, :3].mean(axis=1, keepdims=True) * [1, 1, 1, 0]
    expected = 1.5 * (flow / np.maximum(found.von_mises, 1e-300))[:, None] * deviator
    np.testing.assert_allclose(change, expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize(
    "material", [ElastoPlastic(7e4, 0.3), ElastoPlastic(7e4, 0.3, 80.0, 1e16)], ids=["never yields", "hardens at once"]
)
def test_without_flow_it_is_hookes_law(material):
    """R₀ = ∞ or H → ∞: σ = K tr ε + 2 G dev ε, whatever the strain."""
    strain, _ = history(0)
    found = material.response(strain, PlasticState.virgin(len(strain)))
    tensor = np.zeros((len(strain), 3, 3))
    tensor[:, 0, 0], tensor[:, 1, 1] = strain[:, 0], strain[:, 1]
    tensor[:, 0, 1] = tensor[:, 1, 0] = strain[:, 2] / 2
    trace = np.trace(tensor, axis1=1, axis2=2)[:, None, None] * np.eye(3)
    stress = material.bulk_modulus * trace + 2 * material.shear_modulus * (tensor - trace / 3)
    np.testing.assert_allclose(found.stress, stress[:, [0, 1, 2, 0], [0, 1, 2, 1]], rtol=1e-9, atol=1e-9)
    equivalent = np.sqrt(
        1.5 * ((stress - np.trace(stress, axis1=1, axis2=2)[:, None, None] * np.eye(3) / 3) ** 2).sum((1, 2))
    )
    np.testing.assert_allclose(found.von_mises, equivalent, rtol=1e-9)


def test_unloading_is_elastic():
    """Back along the elastic slope: no further flow, and the strain that remains is the plastic one."""
    start = STEEL.response(np.array([[4 * E_YIELD, 0.0, 0.0]]), PlasticState.virgin(1))
    back = STEEL.response(np.array([[3.5 * E_YIELD, 0.0, 0.0]]), start.state)
    assert back.state.cumulated[0] == start.state.cumulated[0] > 0
    slope = STEEL.bulk_modulus + 4 * STEEL.shear_modulus / 3
    assert start.stress[0, 0] - back.stress[0, 0] == pytest.approx(slope * 0.5 * E_YIELD, rel=1e-12)


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 2**16), angle=st.floats(0, 3.0))
def test_the_law_does_not_depend_on_the_axes(seed, angle):
    """σ(Q ε Qᵀ) = Q σ(ε) Qᵀ and p unchanged for rotations Q in the plane."""
    strain, state = history(seed)
    c, s = math.cos(angle), math.sin(angle)
    plane = np.array([[c * c, s * s, -2 * s * c], [s * s, c * c, 2 * s * c], [s * c, -s * c, c * c - s * s]])
    turn = np.insert(np.insert(plane, 2, 0, axis=0), 2, 0, axis=1)  # of xx, yy, zz, xy
    turn[2, 2] = 1
    engineering = strain @ (plane * np.outer([1, 1, 2], [1, 1, 0.5])).T
    turned = STEEL.response(engineering, PlasticState(state.strain @ turn.T, state.cumulated))
    plain: Response = STEEL.response(strain, state)
    np.testing.assert_allclose(turned.stress, plain.stress @ turn.T, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(turned.state.cumulated, plain.state.cumulated, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize(
    "constants", [(0.0,), (-1.0,), (math.nan,), (7e4, 0.5), (7e4, 0.3, 0.0), (7e4, 0.3, 80.0, -1.0)]
)
def test_constants_out_of_range_are_refused(constants):
    with pytest.raises(ProblemError, match="expected young > 0"):
        ElastoPlastic(*constants)
