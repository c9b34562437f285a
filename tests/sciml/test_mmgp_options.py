"""Settings of the mesh morphing Gaussian process for special families: turned, mirrored, heavy-tailed, similar."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from mmgp_parts import CORNERS, NAMES, arch, arches
from mmgp_settings import CONFIG, NO_WARNINGS_OF_OURS, training_parts, unseen_parts

from sciml.learners.mmgp import MMGP, Mirror

pytestmark = NO_WARNINGS_OF_OURS


@pytest.fixture(scope="module")
def training():
    return list(training_parts(30))


@pytest.fixture(scope="module")
def new_parts():
    return list(unseen_parts(20))


def turned(mesh, angle, shift):
    c, s = np.cos(angle), np.sin(angle)
    return mesh.with_points(mesh.points @ np.array([[c, s], [-s, c]]) + shift)


def test_parts_may_lie_anywhere_if_they_are_aligned(training, new_parts):
    """With alignment a rigid motion leaves scalars and turns vectors."""
    rng = np.random.default_rng(0)

    def with_vector(mesh):
        x, y = mesh.points.T
        return replace(mesh, point_data={"w": mesh.point_data["w"], "u": x * y, "v": y - x})

    def moved(mesh, angle, shift):
        c, s = np.cos(angle), np.sin(angle)
        u, v = mesh.point_data["u"], mesh.point_data["v"]
        data = {"w": mesh.point_data["w"], "u": c * u - s * v, "v": s * u + c * v}
        return replace(turned(mesh, angle, shift), point_data=data)

    somewhere = [moved(with_vector(p), rng.uniform(-3, 3), rng.uniform(-5, 5, 2)) for p in training]
    config = replace(CONFIG, align=True)
    names = {**NAMES, "fields": ("w", "u", "v"), "vectors": (("u", "v"),)}
    learner = MMGP.from_meshes(somewhere, config=config, **names)
    part = with_vector(new_parts[0])
    one, other = learner.predict([part, moved(part, 0.7, [3.0, -2.0])])
    c, s = np.cos(0.7), np.sin(0.7)
    torch.testing.assert_close(other.mean["w"], one.mean["w"], rtol=0, atol=1e-8)
    torch.testing.assert_close(other.mean["u"], c * one.mean["u"] - s * one.mean["v"], rtol=0, atol=1e-8)
    torch.testing.assert_close(other.mean["v"], s * one.mean["u"] + c * one.mean["v"], rtol=0, atol=1e-8)
    total = one.std["u"].square() + one.std["v"].square()
    torch.testing.assert_close(other.std["u"].square() + other.std["v"].square(), total, rtol=1e-8, atol=0)
    assert other.scalar_mean["peak"] == pytest.approx(one.scalar_mean["peak"], abs=1e-8)
    assert np.abs(other.mean["u"].numpy() - moved(part, 0.7, 0.0).point_data["u"]).max() < 0.05


def test_parts_of_one_shape_depend_on_the_scalars_alone():
    part = arch(0.2, 0.1, 1.0)
    loads = np.linspace(1.0, 2.0, 12)
    parts = [replace(part, point_data={"w": load * part.point_data["w"]}, global_data={"load": load}) for load in loads]
    learner = MMGP.from_meshes(parts, ("w",), ("load",), landmarks=CORNERS, config=CONFIG)
    assert learner.model.shape.rank == 0
    (found,) = learner.predict([replace(part, point_data={}, global_data={"load": 1.55})])
    assert np.abs(found.mean["w"].numpy() - 1.55 * part.point_data["w"]).max() < 1e-3
    assert not found.trust.is_foreign


def test_heavy_tails_are_found_and_the_better_scale_is_kept(new_parts):
    def heavy(mesh):
        load = float(mesh.global_data["load"])
        return replace(mesh, point_data={"w": np.sinh(8 * (load - 1)) * (1 + mesh.point_data["w"])})

    parts = [heavy(mesh) for mesh in arches(30, seed=1)]
    names = {"fields": ("w",), "input_scalars": ("load",), "landmarks": CORNERS}
    plain = MMGP.from_meshes(parts, config=replace(CONFIG, heavy_tailed=()), **names)
    chosen = MMGP.from_meshes(parts, config=replace(CONFIG, heavy_tailed=None), **names)
    assert "Asinh" in chosen.report.fields["w"].transform
    assert chosen.report.fields["w"].left_out_q2 > plain.report.fields["w"].left_out_q2
    tests = [heavy(mesh) for mesh in new_parts]
    assert chosen.evaluate(tests)["relative_l2.w"] < plain.evaluate(tests)["relative_l2.w"]
    assert 0.85 < chosen.evaluate(tests)["coverage_95.w"] <= 1


def test_units_of_the_sample_make_a_law_easy(new_parts):
    """Fields that are proportional to a load are learnt once they are measured in it."""
    names = {**NAMES, "input_scalars": ("load",)}
    config = replace(CONFIG, scales={"w": "load", "s": "load", "peak": "load"})
    few = arches(15, seed=1)
    plain = MMGP.from_meshes(few, config=CONFIG, **names).evaluate(new_parts)
    measured = MMGP.from_meshes(few, config=config, **names).evaluate(new_parts)
    assert measured["rrmse.w"] < plain["rrmse.w"]
    assert measured["rrmse.peak"] < plain["rrmse.peak"]


def test_mirror_images_of_symmetric_parts_count_as_samples(new_parts):
    """Trained on parts that lean to the right, it knows those that lean to the left."""
    mirror = Mirror(0, odd=("t",), swapped=(("foot", "toe"), ("left", "right")))

    def antisymmetric(mesh, lean):
        return replace(mesh, point_data={"t": np.sin(8 * lean) * mesh.points[:, 1] ** 2 + mesh.points[:, 0]})

    rng = np.random.default_rng(0)
    parts = []
    for i in range(20):
        rise, lean = rng.uniform(0, 0.5), rng.uniform(0.1, 0.3)
        part = arch(rise, lean, 1.0, seed=i)
        parts.append(antisymmetric(part.with_points(part.points - [0.5, 0.0]), lean))
    names = {"fields": ("t",), "landmarks": CORNERS, "config": CONFIG}
    left = arch(0.2, -0.2, 1.0, seed=99)
    left = antisymmetric(left.with_points(left.points - [0.5, 0.0]), -0.2)
    both = MMGP.from_meshes(parts, mirror=mirror, **names)
    assert both.report.samples == 40
    assert not both.predict([left])[0].trust.is_foreign
    assert both.evaluate([left])["rrmse.t"] < 0.5 * MMGP.from_meshes(parts, **names).evaluate([left])["rrmse.t"]
