"""Morphing onto the reference and transfer to the common mesh: what holds whatever the parts are."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from mmgp_parts import CORNERS, arch, arches

from meshes import Mesh, MorphingError, cell_volumes, structured_grid, to_simplices
from meshes.generate import blade, circle, plate
from sciml.errors import ConfigurationError, LearnerError
from sciml.learners.mmgp.alignment import Frame, turned
from sciml.learners.mmgp.common_mesh import central_sample
from sciml.learners.mmgp.morphed import Morphed
from sciml.learners.mmgp.morphings import MORPHINGS, GivenMorphing, decode_morphing, encode_morphing, named_morphing
from sciml.learners.mmgp.parts import PartFamily
from sciml.learners.mmgp.refinement import refined
from sciml.learners.mmgp.similarity import Similar, Similarity, monomial
from sciml.learners.mmgp.symmetry import Mirror, WithMirrorImages
from sciml.learners.mmgp.transfer import interpolation_between, transfer

PLANE = ("disc", "disc-uniform", "harmonic", "elastic", "radial-basis")


def small_blade(twist=0.4, divisions=(8, 4, 2), **shape):
    return to_simplices(blade(twist=twist, divisions=divisions, **shape))


def perforated(radius, seed=0):
    return plate(2.0, 2.0, 0.25, holes=[circle([0.0, 0.0], radius, "hole")], seed=seed)


@pytest.mark.parametrize("name", [*PLANE, "same-cells"])
def test_the_reference_sample_is_carried_by_the_identity(name):
    """P = Q = I if the sample is the reference mesh, so nothing is lost."""
    part = arch(0.3, 0.1, 1.0)
    morphing = MORPHINGS[name].prepared([part, arch(0.1, 0.0, 1.0, seed=1)], CORNERS)
    common = morphing.reference(part)
    both = transfer(morphing.apply(part, common), common)
    identity = np.eye(len(part.points))
    assert np.abs(both.to_common.toarray() - identity).max() < 1e-12
    assert np.abs(both.to_mesh.toarray() - identity).max() < 1e-12
    assert np.abs(both.lost(part.point_data["s"])).max() < 1e-12


@pytest.mark.parametrize("name", PLANE)
def test_transfers_are_averages_that_carry_linear_maps(name):
    """Rows sum to one, weights lie in [0, 1]; hence P (A x + b) = A P x + b."""
    parts = arches(3)
    morphing = MORPHINGS[name].prepared(parts, CORNERS)
    common = morphing.reference(parts[0])
    both = transfer(morphing.apply(parts[1], common), common)
    for operator in (both.to_common, both.to_mesh):
        assert np.abs(operator.sum(axis=1) - 1).max() < 1e-12
        assert operator.data.min() > -1e-9
        assert operator.data.max() < 1 + 1e-9
    A, b = np.array([[0.3, -2.0], [1.0, 0.7]]), np.array([5.0, -1.0])
    x = parts[1].points
    assert np.abs(both.to_common @ (x @ A.T + b) - ((both.to_common @ x) @ A.T + b)).max() < 1e-12


@pytest.mark.parametrize("name", PLANE)
def test_values_on_the_boundary_come_from_the_boundary(name):
    """Both polygons differ from the curve: interpolation runs along it, and landmarks meet landmarks."""
    parts = arches(2)
    morphing = MORPHINGS[name].prepared(parts, CORNERS)
    common, other = morphing.reference(parts[0]), morphing.apply(parts[1], morphing.reference(parts[0]))
    P = interpolation_between(other, common)
    (ours,), (theirs,) = other.rims, common.rims
    inside = np.setdiff1d(np.arange(len(parts[1].points)), ours.nodes)
    assert abs(P[theirs.nodes][:, inside]).sum() == 0
    for corner in CORNERS:
        assert P[int(parts[0].node_sets[corner][0]), int(parts[1].node_sets[corner][0])] == pytest.approx(1.0)


def test_harmonic_discs_of_two_meshes_of_one_shape_agree_more_than_uniform_ones():
    fine, coarse = arch(0.4, 0.1, 1.0, cells=(16, 14), seed=3), arch(0.4, 0.1, 1.0, cells=(9, 7), seed=4)

    def difference(name):
        morphing = MORPHINGS[name].prepared([fine, coarse], CORNERS)
        common = morphing.reference(fine)
        P = interpolation_between(morphing.apply(coarse, common), common)
        return np.sqrt(np.mean((P @ coarse.points - fine.points) ** 2))

    assert difference("disc") < 0.5 * difference("disc-uniform")


@pytest.mark.parametrize("name", ["harmonic", "elastic", "radial-basis"])
def test_parts_with_a_hole_go_hole_to_hole(name):
    small, large = perforated(0.3), perforated(0.4, seed=1)
    morphing = named_morphing(name, small).prepared([small, large], ())
    common = morphing.reference(small)
    moved = morphing.apply(large, common)
    radii = np.linalg.norm(moved.mesh.points[large.node_set("hole")], axis=1)
    assert len(moved.rims) == 2
    edges = len(small.node_set("hole"))
    assert radii.max() < 0.3 + 1e-9
    assert radii.min() > 0.3 * np.cos(np.pi / edges) - 1e-9  # on the polygon, whose edges lie inside of the circle
    both = transfer(moved, common)
    assert np.abs(both.lost(large.points)).max() < 0.05


def test_faces_of_solids_meet_edge_to_edge_and_corner_to_corner():
    reference, other = small_blade(), small_blade(0.1, (10, 5, 2), chord=35.0, bend=(-3.0, 4.0))
    morphing = MORPHINGS["faces"].prepared([reference, other], ())
    common = morphing.reference(reference)
    moved = morphing.apply(other, common).mesh
    for name in ("root", "tip", "leading", "pressure"):
        target, skin = reference.points[reference.node_set(name)], moved.points[other.node_set(name)]
        gap = np.linalg.norm(skin[:, None] - target, axis=2).min(axis=1)
        assert gap.max() < 8.0  # within a cell of that face: the mesh is 100 long
    corner = np.intersect1d(np.intersect1d(other.node_set("tip"), other.node_set("leading")), other.node_set("suction"))
    theirs = [reference.node_set(name) for name in ("tip", "leading", "suction")]
    goal = np.intersect1d(np.intersect1d(theirs[0], theirs[1]), theirs[2])
    assert np.allclose(moved.points[corner], reference.points[goal], atol=1e-9)
    assert min(v.min() for v in cell_volumes(moved).values()) > 0


def test_the_reference_blade_is_carried_by_the_identity():
    part = small_blade()
    morphing = named_morphing("auto", part).prepared([part], ())
    common = morphing.reference(part)
    both = transfer(morphing.apply(part, common), common)
    assert np.abs(both.to_common.toarray() - np.eye(len(part.points))).max() < 1e-9
    assert np.abs(both.lost(part.points)).max() < 1e-9


def test_faces_that_do_not_cover_the_surface_are_counted():
    part = small_blade()
    partial = replace(part, facet_sets={name: part.facet_sets[name] for name in ("root", "tip")})
    with pytest.raises(MorphingError, match="of the surface are in none of the faces root, tip"):
        MORPHINGS["faces"].prepared([partial], ()).apply(partial, Morphed(partial))


@pytest.mark.parametrize(("part", "cells"), [(arch(0.3, 0.1, 1.0), "triangle"), (small_blade(), "tetra")])
def test_a_refined_common_mesh_fills_the_same_space_and_keeps_linear_fields(part, cells):
    coarse = Morphed(Mesh(part.points, {cells: part.cells[cells]}))
    fine = refined(coarse, 1)
    volumes = cell_volumes(fine.mesh)[cells]
    assert len(volumes) == (4 if cells == "triangle" else 8) * part.cell_count
    assert volumes.min() > 0
    assert volumes.sum() == pytest.approx(cell_volumes(coarse.mesh)[cells].sum(), rel=1e-12)
    assert np.abs(interpolation_between(coarse, fine) @ part.points - fine.mesh.points).max() < 1e-9


def test_refining_the_common_mesh_loses_less():
    parts = arches(2)
    morphing = MORPHINGS["disc"].prepared(parts, CORNERS)
    coarse = morphing.reference(parts[0])
    moved = morphing.apply(parts[1], coarse)
    lost = [
        np.abs(transfer(moved, refined(coarse, times)).lost(parts[1].point_data["s"])).mean() for times in (0, 1, 2)
    ]
    assert lost[1] < 0.7 * lost[0]
    assert lost[2] < 0.7 * lost[1]


def test_the_central_sample_is_the_one_of_the_mean_shape():
    parts = [arch(rise, 0.0, 1.0, seed=i) for i, rise in enumerate((0.5, 0.0, 0.26, 0.1, 0.4))]
    assert central_sample(parts, MORPHINGS["disc"].prepared(parts, CORNERS)) == 2


def test_alignment_undoes_a_rigid_motion_and_turns_vectors():
    places = torch.rand(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rotation, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))
    rotation *= torch.linalg.det(rotation).sign()
    back, found = Frame(places, torch.ones(20, dtype=torch.float64)).align(places @ rotation.mT + 7.0)
    assert (back - places).abs().max() < 1e-12
    assert (found - rotation.mT).abs().max() < 1e-12
    vector = {"x": torch.ones(1), "y": torch.zeros(1), "z": torch.zeros(1)}
    there = turned(vector, (("x", "y", "z"),), rotation.float())
    assert torch.allclose(torch.cat(list(there.values())), rotation[:, 0].float())


def test_mirror_images_are_sound_parts_with_names_exchanged():
    mirror = Mirror(0, odd=("w",), swapped=(("foot", "toe"), ("left", "right")))
    part = arch(0.3, 0.1, 1.0)
    image = mirror.image(part)
    assert cell_volumes(image)["triangle"].min() > 0
    assert mirror.image(image) == replace(part, cells=image.cells and mirror.image(image).cells)
    assert np.array_equal(image.point_data["w"], -part.point_data["w"])
    assert image.points[image.node_sets["toe"][0], 0] == -part.points[part.node_sets["foot"][0], 0]
    both = WithMirrorImages([part], mirror)
    assert len(both) == 2
    assert both[1] == image
    MORPHINGS["disc"].prepared(both, CORNERS)  # the landmarks follow the boundary in one order


def test_monomials_are_read_and_others_refused():
    assert monomial("P / R0 * H") == {"P": 1, "R0": -1, "H": 1}
    for text in ("", "P+R0", "/P", "2*P", "P//R0", "P R0"):
        with pytest.raises(ConfigurationError, match="expected names of scalars"):
            monomial(text)


def test_a_unit_must_be_positive():
    part = arch(0.3, 0.1, -1.0)
    with pytest.raises(LearnerError, match="load is -1"):
        Similarity((), {"w": "load"}).units(part)


def test_given_places_that_fold_cells_are_refused_with_the_cells():
    grid = to_simplices(structured_grid(np.linspace(0, 1, 4), np.linspace(0, 1, 4)))
    folded = np.array(grid.points)
    folded[5] = [2.0, 2.0]
    with pytest.raises(MorphingError, match=r"folded cells? \(triangle .*take another morphing"):
        GivenMorphing("box").reference(replace(grid, point_data={"box": folded}))


@pytest.mark.parametrize("name", MORPHINGS)
def test_morphings_survive_a_file(name):
    assert decode_morphing(encode_morphing(MORPHINGS[name])) == MORPHINGS[name]


def test_what_is_measured_of_the_shape_stands_in_ratios():
    """Half of the plate is cut away: the mean stress in the ligament is twice the load."""
    similarity = Similarity(("load/net_section_y",), {"w": "load/net_section_y"})
    whole = to_simplices(structured_grid(np.linspace(0, 1, 9), np.linspace(0, 1, 9)))
    centres = whole.points[whole.cells["triangle"]].mean(1)
    kept = (np.abs(centres[:, 1] - 0.5) > 0.25) | (centres[:, 0] < 0.5)
    notched = replace(
        whole, cells={"triangle": whole.cells["triangle"][kept]}, cell_data={}, facet_sets={}, cell_sets={}
    )
    for part, stress in ((whole, 3.0), (notched, 6.0)):
        mesh = replace(part, point_data={"w": np.ones(len(part.points))}, global_data={"load": np.array(3.0)})
        seen = similarity.seen(mesh)
        assert float(seen.global_data["load/net_section_y"]) == pytest.approx(stress)
        assert seen.point_data["w"] == pytest.approx(1 / stress)
        (again,) = Similar([mesh], similarity)
        assert float(again.global_data["load/net_section_y"]) == pytest.approx(stress)


def test_a_measure_that_is_not_known_is_refused():
    family = PartFamily(("w",), ("load",))
    with pytest.raises(LearnerError, match="measured on the mesh, net_section_x"):
        Similarity(("load/net_section_q",), {}).family(family)
