"""The mesh morphing Gaussian process as a whole, on parts whose fields are known exactly."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from mmgp_parts import NAMES, arch
from mmgp_settings import CONFIG, NO_WARNINGS_OF_OURS, training_parts, unseen_parts

from meshes import Mesh, open_meshes, write_meshes
from sciml.errors import LearnerError, RunError
from sciml.learners.mmgp import MMGP, MMGPWarning
from sciml.learners.mmgp.morphed import Morphed
from sciml.learners.mmgp.refinement import refined

pytestmark = NO_WARNINGS_OF_OURS


@pytest.fixture(scope="module")
def training():
    return list(training_parts(40))


@pytest.fixture(scope="module")
def new_parts():
    return list(unseen_parts(20))


@pytest.fixture(scope="module")
def learner(training):
    return MMGP.from_meshes(training, config=CONFIG, **NAMES)


def test_fields_and_scalars_are_predicted_with_honest_error_bars(learner, new_parts):
    errors = learner.evaluate(new_parts)
    assert errors["rrmse.w"] < 5e-3
    assert errors["rrmse.s"] < 1e-2
    assert errors["q2.peak"] > 0.999
    assert 0.9 < errors["coverage_95.w"] < 0.99
    assert 0.88 < errors["coverage_95.s"] < 0.99


def test_left_out_errors_foretell_those_of_new_parts(learner, new_parts):
    errors = learner.evaluate(new_parts)
    for name, found in learner.report.fields.items():
        assert found.left_out_rrmse == pytest.approx(errors[f"rrmse.{name}"], rel=0.5)
        assert found.floor < 1.2 * errors[f"rrmse.{name}"]


def test_the_variance_is_that_of_the_modes_and_of_what_they_leave(learner, new_parts):
    """diag(A C Aᵀ) + Q (residual + floor), A = Q modesᵀ, times the factors."""
    (found,) = learner.predict(new_parts[:1])
    model, nodal = learner.model, found.nodal
    field, columns = model.fields["s"], model.columns.of("s")
    Q = torch.from_numpy(nodal.carried.transfer.to_mesh.toarray())
    A = Q @ field.reduction.modes.mT
    C = (nodal.joint.root @ nodal.joint.root.mT)[columns, columns]
    expected = torch.einsum("na,ab,nb->n", A, C, A) + Q @ (field.residual + field.floor)
    factor = field.factor * found.trust.inflation
    torch.testing.assert_close(found.std["s"], factor * expected.sqrt(), rtol=1e-10, atol=0)


def test_samples_have_the_predicted_moments_and_correlations(learner, new_parts):
    (found,) = learner.predict(new_parts[:1])
    count = 20_000
    drawn = found.samples(count, torch.Generator().manual_seed(0))
    for name in ("w", "s"):
        error = (drawn.fields[name].mean(dim=0) - found.mean[name]) / (found.std[name] / count**0.5)
        assert error.abs().max() < 5
        ratio = drawn.fields[name].var(dim=0) / found.std[name].square()
        assert (ratio - 1).abs().max() < 5 * (2 / count) ** 0.5
    smooth = found.smooth_samples(count, torch.Generator().manual_seed(0)).fields["w"][:, :30]
    loading = found.nodal._loading("w")[:30]
    exact = loading @ loading.mT
    spread = (exact.square() + exact.diagonal() * exact.diagonal()[:, None]).sqrt() / count**0.5
    assert ((smooth.mT.cov() - exact).abs() / spread).max() < 5


def test_quantiles_lie_at_normal_distances(learner, new_parts):
    (found,) = learner.predict(new_parts[:1])
    upper, scalars = found.quantile(0.975)
    torch.testing.assert_close(upper["w"], found.mean["w"] + 1.959963984540054 * found.std["w"])
    assert scalars["peak"] > found.scalar_mean["peak"] > found.quantile(0.025)[1]["peak"]
    with pytest.raises(LearnerError, match="between 0 and 1"):
        found.quantile(1.0)


def test_renumbering_nodes_and_cells_permutes_the_answer(learner, new_parts):
    part = new_parts[0]
    rng = np.random.default_rng(0)
    order = rng.permutation(len(part.points))
    number = np.argsort(order)
    cells = number[part.cells["triangle"]][rng.permutation(part.cell_count)]
    same = Mesh(
        part.points[order],
        {"triangle": np.roll(cells, 1, axis=1)},
        global_data=part.global_data,
        node_sets={name: number[nodes] for name, nodes in part.node_sets.items()},
    )
    one, other = learner.predict([part, same])
    for name in ("w", "s"):
        torch.testing.assert_close(other.mean[name], one.mean[name][order], rtol=0, atol=1e-10)
        torch.testing.assert_close(other.std[name], one.std[name][order], rtol=0, atol=1e-10)
    assert other.scalar_mean["peak"] == pytest.approx(one.scalar_mean["peak"], abs=1e-10)


def test_refining_a_mesh_changes_the_answer_at_its_nodes_by_less_than_the_floor(learner, new_parts):
    part = new_parts[0]
    fine = refined(Morphed(Mesh(part.points, part.cells)), 1).mesh
    fine = replace(fine, node_sets=part.node_sets, global_data=part.global_data)
    one, other = learner.predict([part, fine])
    for name, found in learner.report.fields.items():
        change = (other.mean[name][: len(part.points)] - one.mean[name]).square().mean().sqrt()
        assert change < found.floor * np.abs(part.point_data[name]).max()


def test_outputs_in_other_units_give_the_answer_in_these(training, new_parts, learner):
    """y → c y + b gives c m + b and c² v."""

    def changed(mesh):
        return replace(mesh, point_data={"w": 4.0 * mesh.point_data["w"] + 3.0, "s": mesh.point_data["s"]})

    other = MMGP.from_meshes([changed(mesh) for mesh in training], config=CONFIG, **NAMES).predict(new_parts[:3])
    for one, two in zip(learner.predict(new_parts[:3]), other, strict=True):
        torch.testing.assert_close(two.mean["w"], 4.0 * one.mean["w"] + 3.0, rtol=0, atol=1e-5)
        torch.testing.assert_close(two.std["w"], 4.0 * one.std["w"], rtol=1e-4, atol=0)


def test_a_foreign_shape_is_flagged_and_its_error_bars_grow(learner, new_parts):
    usual = max(p.trust.ratio for p in learner.predict(new_parts))
    part = new_parts[0]
    x, y = part.points.T
    dented = part.with_points(np.stack([x, y - 0.25 * np.exp(-80 * ((x - 0.3) ** 2 + (y - 1) ** 2))], axis=1))
    with pytest.warns(MMGPWarning, match="foreign shape"):
        (found,) = learner.predict([dented])
    assert found.trust.ratio > 3 * usual
    assert found.trust.inflation > 2
    assert any("foreign" in note for note in found.notes)


def test_a_scalar_outside_the_training_range_is_named(learner, new_parts):
    far = replace(new_parts[0], global_data={"load": 5.0})
    with pytest.warns(MMGPWarning, match=r"Outside the training range: load = 5 \(training: 1\.\d+ to 1\.9\d+\)"):
        (found,) = learner.predict([far])
    assert found.scalar_std["peak"] > learner.predict(new_parts[:1])[0].scalar_std["peak"]


def test_a_saved_learner_predicts_the_same(learner, new_parts, tmp_path):
    learner.save(tmp_path / "run")
    again = MMGP.load(tmp_path / "run")
    assert again.description() == learner.description()
    for one, two in zip(learner.predict(new_parts[:2]), again.predict(new_parts[:2]), strict=True):
        for name in ("w", "s"):
            torch.testing.assert_close(two.mean[name], one.mean[name], rtol=0, atol=1e-12)
            torch.testing.assert_close(two.std[name], one.std[name], rtol=0, atol=1e-12)
        assert two.trust == one.trust
    (tmp_path / "run" / "learner.json").write_text('{"learner": "fno", "schema": 1}')
    with pytest.raises(RunError, match="a learner 'fno'"):
        MMGP.load(tmp_path / "run")


def test_the_same_seed_gives_the_same_learner_and_files_serve_as_well_as_memory(training, new_parts, learner, tmp_path):
    write_meshes(tmp_path / "parts.h5", training)
    again = MMGP.from_meshes(open_meshes(tmp_path / "parts.h5"), config=CONFIG, **NAMES)
    one, two = learner.predict(new_parts[:1])[0], again.predict(new_parts[:1])[0]
    assert torch.equal(one.mean["s"], two.mean["s"])
    assert torch.equal(one.std["s"], two.std["s"])


def test_suggestions_are_the_least_known_parts_and_spread(learner, new_parts):
    """What is suggested is far out; two copies of one part are not both suggested first."""
    pool = [*new_parts[:6], arch(0.9, 0.5, 2.5, seed=9), arch(0.9, 0.5, 2.5, seed=9), arch(0.8, -0.5, 0.5, seed=8)]
    found = learner.suggest(pool, 3)
    assert found.order[0] in (6, 7, 8)
    assert {6, 7} != set(found.order[:2])
    assert list(found.uncertainty) == sorted(found.uncertainty, reverse=True)


def test_progress_rises_to_one(training):
    seen = []
    MMGP.from_meshes(training[:10], config=CONFIG, progress=lambda f, text: seen.append((f, text)), **NAMES)
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1.0)
    assert {"morphing", "regression", "left out"} <= {text for _, text in seen}
