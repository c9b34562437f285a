"""What cannot be used is refused with the numbers of the samples; what looks like a mistake is warned of."""

from dataclasses import replace

import numpy as np
import pytest
from mmgp_parts import CORNERS, NAMES, arch, arches

from meshes import Mesh, MeshError, MorphingError
from meshes.generate import circle, plate
from pde_benchmarks.poisson import Poisson
from sciml.errors import ConfigurationError, LearnerError, RunError
from sciml.learners.mmgp import MMGP, MMGPConfig, MMGPWarning, PartFamily
from sciml.learners.mmgp.common_mesh import central_sample
from sciml.learners.mmgp.gaussian_processes import GaussianProcessConfig
from sciml.learners.mmgp.morphed import Morphed

CONFIG = MMGPConfig(
    gaussian_processes=GaussianProcessConfig(restarts=1), heavy_tailed=(), scalar_transforms="none", refinements=0
)
PARTS = arches(16, cells=(6, 5))


@pytest.fixture(scope="module")
def learner():
    return fit(PARTS)


def fit(parts, **changes):
    return MMGP.from_meshes(parts, **{**NAMES, "config": CONFIG, **changes})


def with_part(number, part):
    return [*PARTS[:number], part, *PARTS[number + 1 :]]


def without_field(mesh, name):
    return replace(mesh, point_data={k: v for k, v in mesh.point_data.items() if k != name})


def holed(holes=1):
    places = [[-0.4, 0.0], [0.4, 0.0]][:holes]
    mesh = plate(2.0, 2.0, 0.3, holes=[circle(p, 0.2, f"hole {i}") for i, p in enumerate(places)])
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    nodes = {n: [int(((mesh.points - c) ** 2).sum(axis=1).argmin())] for n, c in zip(CORNERS, corners, strict=True)}
    fields = dict.fromkeys(("w", "s"), mesh.points[:, 0])
    return Mesh(mesh.points, mesh.cells, fields, global_data={"load": 1.0, "peak": 1.0}, node_sets=nodes)


def test_a_missing_field_names_the_samples():
    parts = [without_field(p, "s") if i in (3, 5) else p for i, p in enumerate(PARTS)]
    with pytest.raises(
        LearnerError, match=r"field 's' is missing \(there are 'w'\) in samples 3, 5: mend or leave out"
    ):
        fit(parts)


def test_every_kind_of_fault_is_listed_at_once():
    nan = replace(PARTS[1], point_data={**PARTS[1].point_data, "w": np.full(len(PARTS[1].points), np.nan)})
    mute = replace(PARTS[2], global_data={"peak": 1.0})
    double = replace(PARTS[4], point_data={**PARTS[4].point_data, "s": PARTS[4].points})
    parts = [PARTS[0], nan, mute, PARTS[3], double, *PARTS[5:]]
    with pytest.raises(LearnerError) as caught:
        fit(parts)
    for words in (
        "field 'w' is NaN or infinite at nodes in sample 1",
        "scalar 'load' is missing (there are 'peak') in sample 2",
        "in sample 4",
    ):
        assert words in str(caught.value)


def test_cell_data_are_not_point_data():
    part = PARTS[0]
    cells = {"s": {"triangle": np.zeros(part.cell_count)}}
    parts = with_part(0, replace(without_field(part, "s"), cell_data=cells))
    with pytest.raises(LearnerError, match="field 's' is given on cells: average it to the nodes in sample 0"):
        fit(parts)


@pytest.mark.parametrize(("holes", "loops"), [(1, 2), (2, 3)])
def test_another_topology_is_counted_and_located(learner, holes, loops):
    with pytest.raises(MorphingError, match=rf"sample 7: .*{loops} boundary loops.*loops in \[-1, 1\]"):
        fit(with_part(7, holed(holes)))
    with pytest.raises(MorphingError, match=rf"sample 1: .*{loops} boundary loops"):
        learner.predict([PARTS[0], holed(holes)])


def test_parts_with_other_numbers_of_holes_do_not_mix():
    with pytest.raises(MorphingError, match=r"sample 9: the mesh has 2 holes, the reference 1"):
        fit([holed(1)] * 9 + [holed(2)], landmarks=(), config=replace(CONFIG, morphing="harmonic"))


def test_two_separate_pieces_are_refused(learner):
    part = PARTS[0]
    n = len(part.points)
    twice = Mesh(
        np.concatenate([part.points, part.points + 5.0]),
        {"triangle": np.concatenate([part.cells["triangle"], part.cells["triangle"] + n])},
        global_data=part.global_data,
        node_sets=part.node_sets,
    )
    with pytest.raises(MorphingError, match="sample 0: the surface has 2 parts"):
        learner.predict([twice])


def test_orphan_nodes_are_named(learner):
    part = PARTS[0]
    orphan = Mesh(
        np.concatenate([part.points, [[9.0, 9.0]]]), part.cells, global_data=part.global_data, node_sets=part.node_sets
    )
    with pytest.raises(MorphingError, match="sample 0: 1 points that no triangle uses"):
        learner.predict([orphan])


def test_flipped_cells_are_turned_back(learner):
    part = PARTS[0]
    flipped = replace(part, cells={"triangle": part.cells["triangle"][:, [0, 2, 1]]})
    one, other = learner.predict([part, flipped])
    assert np.abs((one.mean["w"] - other.mean["w"]).numpy()).max() < 1e-10


def test_landmarks_missing_or_out_of_order_are_named(learner):
    lone = replace(PARTS[2], node_sets={"foot": PARTS[2].node_sets["foot"]})
    with pytest.raises(MeshError, match="sample 2: node set 'toe': not in the mesh"):
        fit(with_part(2, lone))
    nodes = dict(PARTS[0].node_sets)
    nodes["toe"], nodes["left"] = nodes["left"], nodes["toe"]
    with pytest.raises(MorphingError, match=r"sample 0: landmarks .* in the order foot, left, right, toe"):
        learner.predict([replace(PARTS[0], node_sets=nodes)])


def test_other_cells_and_other_spaces_are_refused_by_name(learner):
    quad = Mesh([[0, 0], [1, 0], [1, 1], [0, 1]], {"quad": [[0, 1, 2, 3]]}, global_data={"load": 1.0})
    with pytest.raises(MeshError, match="sample 0: the mesh has quad cells"):
        learner.predict([quad])
    lifted = replace(PARTS[0], points=np.column_stack([PARTS[0].points, np.zeros(len(PARTS[0].points))]))
    with pytest.raises(LearnerError, match="sample 0: a mesh in 3-D space: the training meshes are in 2-D"):
        learner.predict([lifted])


def test_an_unknown_or_missing_scalar_lists_the_known(learner):
    with pytest.raises(LearnerError, match=r"sample 0: scalar 'load' is missing \(there are 'rise'\): give load"):
        learner.predict([replace(PARTS[0], global_data={"rise": 1.0})])
    with pytest.raises(LearnerError, match="scalar 'force' is missing"):
        fit(PARTS, input_scalars=("force",))


def test_too_few_samples_for_the_modes():
    with pytest.raises(LearnerError, match="30 modes are wanted of snapshots that span 15 dimensions"):
        fit(PARTS, config=replace(CONFIG, field_modes=30))
    with pytest.raises(LearnerError, match="2 training samples: expected at least 3"):
        fit(PARTS[:2])
    with pytest.raises(LearnerError, match="no training samples"):
        fit([])
    with pytest.warns(MMGPWarning, match="16 samples for 13 inputs of the regression"):
        fit(PARTS, config=replace(CONFIG, shape_modes=12))


def test_jumps_of_unit_and_copies_are_warned_of():
    millimetres = PARTS[4].with_points(1000.0 * PARTS[4].points)
    with pytest.warns(MMGPWarning, match=r"size of the part: sample 4 has .* another unit\?"):
        fit(with_part(4, millimetres))
    pascals = replace(PARTS[6], point_data={**PARTS[6].point_data, "s": 1e6 * PARTS[6].point_data["s"]})
    with pytest.warns(MMGPWarning, match=r"field 's': sample 6 has .* another unit\?"):
        fit(with_part(6, pascals))
    with pytest.warns(MMGPWarning, match="samples 0–3 have equal meshes and scalars"):
        fit(with_part(3, PARTS[0]))


def test_a_constant_scalar_is_left_out_with_a_note():
    parts = [replace(p, global_data={**p.global_data, "gravity": 9.81}) for p in PARTS]
    learner = fit(parts, input_scalars=("load", "gravity"))
    assert learner.report.notes == ("scalar gravity is the same in all samples and was left out",)
    assert "gravity" in str(learner.report)


def test_nothing_to_learn_is_said():
    part = without_field(PARTS[0], "s")
    with pytest.raises(LearnerError, match="nothing to learn"), pytest.warns(MMGPWarning):
        fit([part] * 5, fields=("w",), output_scalars=())


def test_a_coarse_mesh_is_noted(learner):
    fine = fit(PARTS, config=replace(CONFIG, refinements=3))
    tiny = arch(0.3, 0.0, 1.5, cells=(2, 2), jitter=0.0)
    with pytest.warns(MMGPWarning, match="so coarse a mesh hardly shows its shape"):
        fine.predict([tiny])


def test_names_must_fit_each_other():
    with pytest.raises(LearnerError, match="neither fields nor output scalars"):
        PartFamily()
    with pytest.raises(LearnerError, match="field w is named twice"):
        PartFamily(("w", "w"))
    with pytest.raises(LearnerError, match="p names a field and a scalar"):
        PartFamily(("p",), output_scalars=("p",))
    with pytest.raises(LearnerError, match="expected predicted fields"):
        PartFamily(("u",), vectors=(("u", "v"),))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"shape_energy": 0.0}, "shape_energy = 0.0"),
        ({"field_modes": -1}, "field_modes = -1"),
        ({"folds": 1}, "folds = 1"),
        ({"refinements": 9}, "refinements = 9"),
        ({"inner_product": "mass"}, "inner_product 'mass'"),
        ({"ratios": ("P+R",)}, "expected names of scalars"),
    ],
)
def test_settings_out_of_range_are_refused(settings, words):
    with pytest.raises(ConfigurationError, match=words.replace("+", r"\+")):
        MMGPConfig(**settings)


def test_unknown_names_in_settings_are_refused():
    with pytest.raises(LearnerError, match="morphing 'magic': expected auto, disc"):
        fit(PARTS, config=replace(CONFIG, morphing="magic"))
    with pytest.raises(LearnerError, match="heavy_tailed = q"):
        fit(PARTS, config=replace(CONFIG, heavy_tailed=("q",)))
    with pytest.raises(LearnerError, match="ratios and scales are of R0"):
        fit(PARTS, config=replace(CONFIG, ratios=("load/R0",)))


def test_an_untrained_learner_says_so(tmp_path):
    fresh = MMGP(PartFamily(("w",)))
    with pytest.raises(LearnerError, match="call fit first"):
        fresh.predict(PARTS[:1])
    with pytest.raises(LearnerError, match="call fit first"):
        fresh.save(tmp_path)
    with pytest.raises(RunError, match=r"no learner\.json"):
        MMGP.load(tmp_path / "nothing")


def test_grid_problems_are_not_for_it():
    assert "meshes of varying shape" in str(MMGP.accepts(Poisson()))
    with pytest.raises(LearnerError, match="mmgp cannot learn poisson"):
        MMGP.from_problem(Poisson())


def test_a_family_of_which_no_sample_can_be_morphed_is_refused_with_the_reason():
    class Refusing:
        def reference(self, mesh):
            return Morphed(mesh)

        def apply(self, mesh, reference):
            raise MorphingError("the mesh folds over.")

    with pytest.raises(MorphingError, match=r"sample 0: the mesh folds over\."):
        central_sample(PARTS, Refusing())
