"""Errors on varying meshes: closed forms, scaling, zero truths, coverage, bad input."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mesh_families import Rods

from meshes import MeshError
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.mesh_metrics import field_errors, interval_coverage, mesh_metrics, scalar_errors


def ragged(seed: int, samples: int = 5) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(rng.integers(3, 20)) for _ in range(samples)]


def test_field_errors_follow_their_formulas():
    """rrmse² = mean_i ‖e‖₂²/(N ‖t‖∞²), relative_l2 = mean_i ‖e‖/‖t‖, q2 pooled over nodes."""
    truth = [np.array([3.0, -4.0]), np.array([1.0, 2.0, 2.0])]
    error = [np.array([0.0, 1.0]), np.array([1.0, 0.0, 0.0])]
    found = field_errors([t + e for t, e in zip(truth, error, strict=True)], truth)
    assert found["rrmse"] == pytest.approx(math.sqrt((1 / (2 * 16) + 1 / (3 * 4)) / 2))
    assert found["relative_l2"] == pytest.approx((1 / 5 + 1 / 3) / 2)
    assert found["q2"] == pytest.approx(1 - 2 / (5 * np.var([3, -4, 1, 2, 2])))
    assert found["left_out"] == 0


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**16), scale=st.floats(1e-6, 1e6))
def test_relative_errors_do_not_depend_on_the_unit(seed, scale):
    truth, prediction = ragged(seed), [t + 0.1 * np.sin(np.arange(len(t))) for t in ragged(seed)]
    plain = field_errors(prediction, truth)
    scaled = field_errors([scale * p for p in prediction], [scale * t for t in truth])
    assert scaled == pytest.approx(plain, rel=1e-9)
    assert plain["rrmse"] <= math.sqrt(
        np.mean([np.mean((p - t) ** 2) / np.mean(t**2) for p, t in zip(prediction, truth, strict=True)])
    )


def test_perfect_predictions_and_means_have_known_scores():
    """Truth itself: 0, 0, 1. Its overall mean: q2 = 0."""
    truth = ragged(1)
    assert field_errors(truth, truth) == {"rrmse": 0.0, "relative_l2": 0.0, "q2": 1.0, "left_out": 0.0}
    mean = np.concatenate(truth).mean()
    assert field_errors([np.full_like(t, mean) for t in truth], truth)["q2"] == pytest.approx(0.0, abs=1e-12)
    numbers = np.array([1.0, 2.0, 4.0])
    assert scalar_errors(numbers, numbers) == {"rrmse": 0.0, "q2": 1.0, "left_out": 0.0}
    assert scalar_errors(np.full(3, numbers.mean()), numbers)["q2"] == pytest.approx(0.0)
    assert scalar_errors([1.1, 2.0, 4.0], numbers)["rrmse"] == pytest.approx(0.1 / math.sqrt(3))


def test_zero_truths_are_left_out_of_relative_errors_and_counted():
    """They still count in q2; with nothing else left the relative errors are NaN."""
    truth, prediction = [np.zeros(3), np.array([2.0, 0.0])], [np.ones(3), np.array([2.0, 1.0])]
    found = field_errors(prediction, truth)
    assert found["left_out"] == 1
    assert found["rrmse"] == pytest.approx(math.sqrt(1 / 8))
    assert found["q2"] == pytest.approx(1 - 4 / (5 * np.var([0, 0, 0, 2, 0])))
    nothing = field_errors(prediction[:1], truth[:1])
    assert math.isnan(nothing["rrmse"])
    assert math.isnan(nothing["q2"])
    assert scalar_errors([1.0, 1.0], [0.0, 1.0]) == {"rrmse": 0.0, "q2": pytest.approx(-1.0), "left_out": 1.0}


def test_honest_intervals_cover_their_level():
    """Gaussian errors of the stated deviation: 95 % within 4 standard errors; every sample counts alike."""
    rng = np.random.default_rng(0)
    std = [np.full(n, 0.1 + i) for i, n in enumerate([20_000, 30_000])]
    error = [s * rng.standard_normal(len(s)) for s in std]
    zero = [np.zeros_like(s) for s in std]
    for level in (0.5, 0.95):
        tolerance = 4 * math.sqrt(level * (1 - level) / 50_000)
        assert interval_coverage(error, std, zero, level) == pytest.approx(level, abs=tolerance)
    assert interval_coverage([[0.0] * 9, [5.0]], [[1.0] * 9, [1.0]], [[0.0] * 9, [0.0]]) == 0.5
    assert interval_coverage([[1.0]], [[0.0]], [[1.0]]) == 1.0


def test_metrics_of_a_test_set_name_every_field_and_scalar():
    """Truth 10 % off everywhere; deviations, where a prediction has them, add the coverage."""
    problem = Rods()
    truth = [problem.solve(problem.part(design, i)) for i, design in enumerate(problem.designs(3, 0))]
    prediction = [
        replace(m, point_data={"u": 1.1 * m.point_data["u"]}, global_data={"w": 1.1 * m.global_data["w"]})
        for m in truth
    ]
    found = mesh_metrics(problem, prediction, truth)
    assert found["rrmse.w"] == pytest.approx(0.1)
    assert found["relative_l2.u"] == pytest.approx(0.1)
    assert sorted(found) == ["left_out.u", "left_out.w", "q2.u", "q2.w", "relative_l2.u", "rrmse.u", "rrmse.w"]
    with_std = [
        replace(
            p,
            point_data={**p.point_data, "u_std": np.abs(p.point_data["u"])},
            global_data={**p.global_data, "w_std": 1e-3 * p.global_data["w"]},
        )
        for p in prediction
    ]
    covered = mesh_metrics(problem, with_std, truth)
    assert covered["coverage_95.u"] == 1.0
    assert covered["coverage_95.w"] == 0.0
    assert {k: v for k, v in covered.items() if not k.startswith("coverage")} == found


def test_what_cannot_be_compared_is_named():
    problem = Rods()
    mesh = problem.solve(problem.part(np.array([1.0, 3.0]), 0))
    with pytest.raises(ProblemError, match="0 predictions for 0 samples"):
        field_errors([], [])
    with pytest.raises(ProblemError, match=r"sample 1: prediction \(2,\) and truth \(3,\)"):
        field_errors([[1.0], [1.0, 2.0]], [[1.0], [1.0, 2.0, 3.0]])
    with pytest.raises(ProblemError, match="2 predictions for 1 samples"):
        mesh_metrics(problem, [mesh, mesh], [mesh])
    with pytest.raises(ProblemError, match="field 'u': sample 0: NaN or infinity"):
        mesh_metrics(problem, [replace(mesh, point_data={"u": mesh.point_data["u"] * np.nan})], [mesh])
    with pytest.raises(ProblemError, match="scalar 'w': mesh 0 has no such number"):
        mesh_metrics(problem, [replace(mesh, global_data={})], [mesh])
    with pytest.raises(MeshError, match="point field 'u'"):
        mesh_metrics(problem, [replace(mesh, point_data={})], [mesh])
    with pytest.raises(ProblemError, match="negative"):
        interval_coverage([[0.0]], [[-1.0]], [[0.0]])
    with pytest.raises(ProblemError, match="between 0 and 1"):
        interval_coverage([[0.0]], [[1.0]], [[0.0]], level=95)
