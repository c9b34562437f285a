"""What MMGP is compared with: the nearest training part, and the recipe of the published code."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from arch_problem import Arches
from mmgp_parts import CORNERS, NAMES, arch, arches
from mmgp_settings import NO_WARNINGS_OF_OURS, training_parts

from pde_benchmarks.aerofoil import PotentialAerofoil
from sciml.errors import LearnerError, RunError
from sciml.learners.mesh_baselines import NearestPart, NearestPartConfig, PublishedMMGP, PublishedMMGPConfig
from sciml.learners.mmgp import MMGP, Mirror, PartFamily
from sciml.mesh_learner import load_mesh_learner, mesh_learner_types

FAMILY = PartFamily(**NAMES)
CONFIG = NearestPartConfig(refinements=0, folds=4)


pytestmark = NO_WARNINGS_OF_OURS


@pytest.fixture(scope="module")
def training():
    return list(training_parts(30))


@pytest.fixture(scope="module")
def nearest(training):
    learner = NearestPart(FAMILY, CONFIG)
    learner.fit(training)
    return learner


def test_a_training_part_is_its_own_nearest(nearest, training):
    """Its fields come back up to the way to the common mesh, its scalars exactly."""
    for part in training[:3]:
        (found,) = nearest.predict([part])
        assert found.scalar_mean["peak"] == pytest.approx(float(part.global_data["peak"]), rel=1e-12)
        error = np.abs(found.mean["w"].numpy() - part.point_data["w"]).max()
        assert error < 0.02 * np.abs(part.point_data["w"]).max()


def test_the_answer_is_a_row_of_the_training_set(nearest, training):
    peaks = {round(float(part.global_data["peak"]), 12) for part in training}
    for found in nearest.predict(arches(5, seed=7)):
        assert round(found.scalar_mean["peak"], 12) in peaks


def test_of_parts_of_one_shape_the_nearest_load_counts():
    part = arch(0.2, 0.1, 1.0)
    loads = (1.0, 1.4, 2.0, 3.0)
    parts = [replace(part, point_data={"w": load * part.point_data["w"]}, global_data={"load": load}) for load in loads]
    learner = NearestPart(PartFamily(("w",), ("load",), landmarks=CORNERS), CONFIG)
    learner.fit(parts)
    (found,) = learner.predict([replace(part, global_data={"load": 1.6})])
    torch.testing.assert_close(found.mean["w"], torch.from_numpy(1.4 * part.point_data["w"]), rtol=1e-6, atol=1e-8)


def test_intervals_cover_what_they_promise_and_errors_are_those_of_parts_left_out(nearest):
    """The conformal factor makes them, whatever the regression is: here none."""
    errors = nearest.evaluate(arches(40, seed=3))
    assert 0.85 < errors["coverage_95.w"] <= 1
    assert 0.85 < errors["coverage_95.peak"] <= 1
    assert errors["rrmse.w"] > 0.03


def test_mirror_images_do_not_tell_of_each_other():
    """Pairs are left out together: the left-out error stays about what it is without images."""
    mirror = Mirror(0, swapped=(("foot", "toe"), ("left", "right")))
    rng = np.random.default_rng(0)
    parts = []
    for i in range(12):
        part = arch(rng.uniform(0, 0.5), 0.0, rng.uniform(1, 2), seed=i)
        parts.append(replace(part.with_points(part.points - [0.5, 0.0]), point_data={"s": part.point_data["s"]}))
    family = PartFamily(("s",), ("load",), landmarks=CORNERS)
    plain, doubled = (NearestPart(family, CONFIG, mirror=one).fit(parts) for one in (None, mirror))
    assert doubled.samples == 2 * plain.samples
    assert doubled.fields["s"].left_out_rrmse > 0.5 * plain.fields["s"].left_out_rrmse


@pytest.mark.parametrize("kind", [NearestPart, PublishedMMGP], ids=lambda kind: kind.name)
def test_what_is_saved_answers_the_same(kind, training, tmp_path):
    learner = kind(FAMILY, kind.config_type(folds=3))
    learner.fit(training)
    learner.save(tmp_path)
    again = load_mesh_learner(tmp_path)
    assert type(again) is kind
    (one,), (other,) = (known.predict([arch(0.3, 0.1, 1.3)]) for known in (learner, again))
    for name in ("w", "s"):
        torch.testing.assert_close(other.mean[name], one.mean[name], rtol=0, atol=1e-12)
        torch.testing.assert_close(other.std[name], one.std[name], rtol=0, atol=1e-12)
    assert again.parameter_count == learner.parameter_count > 0
    with pytest.raises(RunError, match=kind.name):
        MMGP.load(tmp_path)


def test_the_published_recipe_takes_scalars_as_they_are():
    """No ratios or scales of the problem, eight modes, uniform weights; settings that are given win."""
    learner = PublishedMMGP.from_problem(Arches())
    assert (learner.config.morphing, learner.config.shape_modes, learner.config.refinements) == ("disc-uniform", 8, 0)
    assert not learner.config.ratios
    assert not learner.config.scales
    assert PublishedMMGP.from_problem(Arches(), PublishedMMGPConfig(field_modes=3)).config.field_modes == 3


def test_the_nearest_part_of_a_problem_is_sought_in_its_ratios():
    problem = PotentialAerofoil()
    assert NearestPart.from_problem(problem).config.ratios == problem.ratios
    assert NearestPart.from_problem(problem).family.fields == problem.fields


@pytest.mark.parametrize("kind", [NearestPart, PublishedMMGP], ids=lambda kind: kind.name)
def test_what_is_no_problem_on_meshes_is_refused(kind):
    assert "meshes" in kind.accepts("darcy")
    with pytest.raises(LearnerError, match=f"{kind.name} cannot learn darcy"):
        kind.from_problem("darcy")


def test_nothing_is_predicted_before_the_training():
    with pytest.raises(LearnerError, match="call fit first"):
        NearestPart(FAMILY).predict([arch(0.2, 0.0, 1.0)])
    with pytest.raises(LearnerError, match="no training samples"):
        NearestPart(FAMILY).fit([])


def test_they_are_found_by_name():
    assert {"mmgp", "mmgp-published", "nearest"} <= set(mesh_learner_types())
