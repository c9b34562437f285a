"""Fields in steps: modes over space and steps, predictions and error bars of every step."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from mmgp_parts import CORNERS, arches
from mmgp_settings import CONFIG, NO_WARNINGS_OF_OURS

from sciml.errors import ConfigurationError, LearnerError
from sciml.learners.mmgp import MMGP, Mirror, MMGPConfig, PartFamily
from sciml.learners.mmgp.inner_products import mass_product
from sciml.learners.mmgp.reduction import CountRule, decompose
from sciml.learners.mmgp.snapshots import JoinedSnapshots, SnapshotTable

pytestmark = NO_WARNINGS_OF_OURS

STEPS = (0.5, 1.0, 2.0)
FIELDS = ("w@2", "s", "w@0.5", "w@1")
NAMES = {"input_scalars": ("load",), "output_scalars": ("peak@0.5", "peak@1"), "landmarks": CORNERS}


def stepped(mesh):
    """w at a time t is w^(1) t plus a part that grows with t² and the place: one field of place and time."""
    w, x = mesh.point_data["w"], mesh.points[:, 0]
    series = {f"w@{t:g}": t * w + t**2 * x for t in STEPS}
    peak = float(mesh.global_data["peak"])
    numbers = {"load": mesh.global_data["load"], "peak@0.5": 0.5 * peak, "peak@1": peak}
    return replace(mesh, point_data={"s": mesh.point_data["s"], **series}, global_data=numbers)


@pytest.fixture(scope="module")
def training():
    return [stepped(mesh) for mesh in arches(30, seed=1)]


@pytest.fixture(scope="module")
def new_parts():
    return [stepped(mesh) for mesh in arches(12, seed=2)]


@pytest.fixture(scope="module")
def learner(training):
    return MMGP.from_meshes(training, FIELDS, config=CONFIG, **NAMES)


def test_modes_over_steps_are_orthonormal_together_and_leave_the_discarded_energy(training):
    """Σ_steps modesᵀ M modes = I and Σ_i Σ_steps ‖u_i − Π u_i‖² = Σ_{a > r} L_a."""
    mesh = training[0]
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(8, len(mesh.points), generator=generator, dtype=torch.float64) for _ in STEPS]
    product = mass_product(mesh)
    found = decompose(JoinedSnapshots([SnapshotTable(part) for part in parts]), product, CountRule(3))
    steps = [found.reduction.part(i, len(STEPS)) for i in range(len(STEPS))]
    total = sum(one.modes @ product.apply(one.modes).mT for one in steps)
    torch.testing.assert_close(total, torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-10)
    pairs = zip(parts, steps, strict=True)
    error = sum(product.squared_norm(u - one.expand(found.coefficients)).sum() for u, one in pairs)
    torch.testing.assert_close(error, found.reduction.energies[3:].sum(), rtol=1e-8, atol=0)


def test_joined_snapshots_are_the_parts_side_by_side():
    parts = [torch.arange(6.0).reshape(2, 3) + 10 * i for i in range(3)]
    joined, whole = JoinedSnapshots([SnapshotTable(part) for part in parts]), torch.cat(parts, dim=1)
    assert (joined.count, joined.size) == whole.shape
    for begin in range(9):
        for end in range(begin + 1, 10):
            assert torch.equal(joined.columns(begin, end), whole[:, begin:end])
    assert torch.equal(joined.rows(1, 2), whole[1:])


def test_steps_share_their_coefficients(learner):
    columns = learner.model.columns
    assert set(columns.ranks) == {"w", "s"}
    assert columns.of("w@0.5") == columns.of("w@2") == columns.of("w")
    assert columns.count == sum(columns.ranks.values()) + 2


def test_every_step_is_predicted_with_honest_error_bars(learner, new_parts):
    errors = learner.evaluate(new_parts)
    for step in STEPS:
        assert errors[f"rrmse.w@{step:g}"] < 1e-2
        assert 0.85 < errors[f"coverage_95.w@{step:g}"] <= 1
    assert errors["q2.peak@0.5"] > 0.999


def test_errors_of_a_series_are_those_of_one_field_of_place_and_step(learner, new_parts):
    errors, found = learner.evaluate(new_parts), learner.predict(new_parts)
    terms = []
    for one, mesh in zip(found, new_parts, strict=True):
        series = one.series("w")
        truth = np.stack([mesh.point_data[f"w@{t:g}"] for t in STEPS], axis=1)
        assert series.mean.shape == series.std.shape == truth.shape
        assert series.steps.tolist() == list(STEPS)
        terms.append(np.mean((series.mean.numpy() - truth) ** 2) / np.abs(truth).max() ** 2)
    assert errors["rrmse.w"] == pytest.approx(np.sqrt(np.mean(terms)))
    assert errors["relative_l2.w"] < 2e-2
    assert found[0].series("peak").mean.shape == (2,)


def test_a_proportional_history_stays_proportional(training, new_parts):
    """u(t) = t u(1): modes of the steps are proportional, hence means, deviations and smooth samples."""

    def proportional(mesh):
        return replace(mesh, point_data={f"u@{t:g}": t * mesh.point_data["s"] for t in STEPS})

    names = {"input_scalars": ("load",), "landmarks": CORNERS, "config": CONFIG}
    parts = [proportional(mesh) for mesh in training[:16]]
    (found,) = MMGP.from_meshes(parts, ("u@0.5", "u@1", "u@2"), **names).predict(new_parts[:1])
    drawn = found.smooth_samples(50, torch.Generator().manual_seed(0)).fields
    for values in (found.mean, found.std, drawn):
        torch.testing.assert_close(values["u@2"], 4 * values["u@0.5"], rtol=1e-6, atol=1e-8)


def test_separate_steps_have_their_own_coefficients_and_agree(training, new_parts, learner):
    apart = MMGP.from_meshes(training, FIELDS, config=replace(CONFIG, steps="separately"), **NAMES)
    assert set(apart.model.columns.ranks) == set(FIELDS)
    one, other = learner.predict(new_parts[:1])[0], apart.predict(new_parts[:1])[0]
    for name in FIELDS:
        size = one.mean[name].abs().max()
        assert (one.mean[name] - other.mean[name]).abs().max() < 0.05 * size


def test_a_saved_learner_of_series_predicts_the_same(learner, new_parts, tmp_path):
    learner.save(tmp_path / "run")
    one, two = (which.predict(new_parts[:1])[0] for which in (learner, MMGP.load(tmp_path / "run")))
    for name in FIELDS:
        torch.testing.assert_close(two.mean[name], one.mean[name], rtol=0, atol=1e-12)
        torch.testing.assert_close(two.std[name], one.std[name], rtol=0, atol=1e-12)
    assert list(two.mean) == list(FIELDS)


def test_all_steps_of_a_heavy_tailed_series_get_one_scale(training):
    def heavy(mesh):
        load = float(mesh.global_data["load"])
        series = {f"w@{t:g}": t * np.sinh(8 * (load - 1)) * (1 + mesh.point_data["s"]) for t in STEPS}
        return replace(mesh, point_data=series)

    names = {"input_scalars": ("load",), "landmarks": CORNERS, "config": replace(CONFIG, heavy_tailed=None)}
    found = MMGP.from_meshes([heavy(mesh) for mesh in training], ("w@0.5", "w@1", "w@2"), **names)
    scales = {report.transform for report in found.report.fields.values()}
    assert len(scales) == 1
    assert "Asinh" in scales.pop()


def test_a_unit_and_a_sign_of_a_series_are_those_of_its_steps(training):
    family = PartFamily(("u@1", "u@2", "T"), ("load",))
    similarity = MMGP(family, MMGPConfig(scales={"u": "load", "u@2": "load*load"})).similarity
    assert similarity.scales == {"u@1": "load", "u@2": "load*load"}
    image = Mirror(0, odd=("w",)).image(training[0])
    np.testing.assert_array_equal(image.point_data["w@1"], -training[0].point_data["w@1"])
    np.testing.assert_array_equal(image.point_data["s"], training[0].point_data["s"])


def test_what_is_no_series_is_refused(learner, new_parts):
    with pytest.raises(LearnerError, match="'w' is a field and, with 'w@1', a series"):
        PartFamily(("w", "w@1"))
    with pytest.raises(LearnerError, match="no steps of 's' are predicted"):
        learner.predict(new_parts[:1])[0].series("s")
    with pytest.raises(ConfigurationError, match="steps 'apart': expected together or separately"):
        MMGPConfig(steps="apart")
