"""Solids with holes: faces with several rims and tubes go rim to rim, no cell folds, and what is carried comes back."""

from dataclasses import replace

import numpy as np
import pytest

from meshes import MeshError, MorphingError, cell_volumes, to_simplices
from meshes.generate import blade, bracket, circle, extrude, plate
from sciml.learners.mmgp.morphings import FacesMorphing, named_morphing
from sciml.learners.mmgp.morphings.holed_faces import HoledFace
from sciml.learners.mmgp.morphings.named_faces import named_faces
from sciml.learners.mmgp.transfer import transfer

REFERENCE = bracket(size=6.0)
#: Larger and smaller holes, fillets, legs; the hole of the second has half the reference's radius.
OTHERS = [
    bracket((66.0, 47.0), 13.5, 17.0, 5.5, 4.0, size=7.0, seed=1),
    bracket((52.0, 55.0), 10.5, 23.0, 10.0, 1.6, size=6.5, seed=2),
    bracket((69.0, 46.0), 11.0, 20.0, 5.0, 2.2, size=6.0, seed=3),
]


def drilled(radius=0.3, holes=1, seed=0, centre=0.0):
    places = [[centre - 0.4, 0.1], [centre + 0.5, 0.0]][:holes]
    flat = plate(2.0, 2.0, 0.35, holes=[circle(p, radius, f"hole {i}") for i, p in enumerate(places)], seed=seed)
    return to_simplices(extrude(flat, np.linspace(0.0, 0.5, 3)))


def morphed(part, reference):
    morphing = named_morphing("auto", reference).prepared([reference, part], ())
    common = morphing.reference(reference)
    return morphing.apply(part, common), common


def hole_radii(part, points):
    """Distance of the nodes of the hole from the axis of the reference's."""
    axis = REFERENCE.points[np.intersect1d(REFERENCE.node_set("hole"), REFERENCE.node_set("back")), :2].mean(axis=0)
    return np.linalg.norm(points[part.node_set("hole"), :2] - axis, axis=1)


def test_solids_with_holed_faces_get_radial_basis_functions_by_default():
    holed, plain = named_morphing("auto", REFERENCE), named_morphing("auto", to_simplices(blade(divisions=(6, 4, 2))))
    assert type(holed) is type(plain) is FacesMorphing
    assert type(holed.interior).__name__ == "RadialBasisMorphing"
    assert type(plain.interior).__name__ == "HarmonicMorphing"


def test_the_reference_is_carried_by_the_identity():
    moved, common = morphed(REFERENCE, REFERENCE)
    both = transfer(moved, common)
    identity = np.eye(len(REFERENCE.points))
    assert np.abs(both.to_common.toarray() - identity).max() < 1e-9
    assert np.abs(both.to_mesh.toarray() - identity).max() < 1e-9


@pytest.mark.parametrize("number", range(len(OTHERS)))
def test_no_cell_folds_and_the_hole_lies_on_the_hole(number):
    part = OTHERS[number]
    moved, _ = morphed(part, REFERENCE)
    assert min(v.min() for v in cell_volumes(moved.mesh).values()) > 0
    ours, theirs = hole_radii(part, moved.mesh.points), hole_radii(REFERENCE, REFERENCE.points)
    edges = len(np.intersect1d(REFERENCE.node_set("hole"), REFERENCE.node_set("back")))
    assert ours.max() < theirs.max() * (1 + 1e-3)
    assert ours.min() > theirs.min() * np.cos(np.pi / edges) * (1 - 1e-3)  # the reference's rim is a polygon


@pytest.mark.parametrize("number", range(len(OTHERS)))
def test_corners_meet_corners_and_faces_stay_in_their_planes(number):
    part = OTHERS[number]
    points = morphed(part, REFERENCE)[0].mesh.points
    for name in ("base", "end", "top", "rear", "back", "front"):
        axis = int(np.argmin(np.ptp(REFERENCE.points[REFERENCE.node_set(name)], axis=0)))
        level = REFERENCE.points[REFERENCE.node_set(name), axis]
        assert np.abs(points[part.node_set(name), axis] - level[0]).max() < 1e-9
    for names in (("base", "end", "back"), ("top", "rear", "front"), ("end", "inside", "front")):
        ours, theirs = (
            set.intersection(*(set(mesh.node_set(name).tolist()) for name in names)) for mesh in (part, REFERENCE)
        )
        np.testing.assert_allclose(points[list(ours)], REFERENCE.points[list(theirs)], atol=1e-9)


@pytest.mark.parametrize("number", range(len(OTHERS)))
def test_what_is_carried_comes_back(number):
    """Rows sum to one; linear fields of place lose no more than curved surfaces cut off; P (A x + b) = A P x + b."""
    part = OTHERS[number]
    both = transfer(*morphed(part, REFERENCE))
    for operator in (both.to_common, both.to_mesh):
        assert np.abs(operator.sum(axis=1) - 1).max() < 1e-12
        assert operator.data.min() > -1e-9
    x = part.points
    diagonal = np.linalg.norm(np.ptp(x, axis=0))
    lost = np.linalg.norm(both.lost(x), axis=1)
    assert np.sqrt(np.mean(lost**2)) < 0.01 * diagonal
    assert np.abs(both.lost(2.0 * x + 1.0) - 2.0 * both.lost(x)).max() < 1e-9


def test_two_holes_go_to_their_own():
    reference, part = drilled(0.25, 2), drilled(0.32, 2, seed=1, centre=-0.1)
    moved, _ = morphed(part, reference)
    assert min(v.min() for v in cell_volumes(moved.mesh).values()) > 0
    for name in ("hole 0", "hole 1"):
        ours, theirs = moved.mesh.points[part.node_set(name)], reference.points[reference.node_set(name)]
        np.testing.assert_allclose(ours.min(axis=0), theirs.min(axis=0), atol=0.02)
        np.testing.assert_allclose(ours.max(axis=0), theirs.max(axis=0), atol=0.02)


def test_faces_turned_with_their_reference_turn_the_answer():
    """Plane faces are moved in their planes, wherever these lie."""
    turn, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))
    turn *= np.linalg.det(turn)
    names = tuple(sorted(REFERENCE.facet_sets))
    plain = [named_faces(mesh, names, ())["back"] for mesh in (OTHERS[0], REFERENCE)]
    turned = [named_faces(mesh.with_points(mesh.points @ turn.T), names, ())["back"] for mesh in (OTHERS[0], REFERENCE)]
    expected = HoledFace(plain[1]).places_of(plain[0]) @ turn.T
    np.testing.assert_allclose(HoledFace(turned[1]).places_of(turned[0]), expected, atol=1e-6)


def test_another_topology_is_refused_by_name():
    one, two = drilled(), drilled(holes=2)
    with pytest.raises(MeshError, match="hole 1"):
        morphed(one, two)
    others = {name: facets for name, facets in two.facet_sets.items() if name != "hole 1"}
    merged = replace(two, facet_sets={**others, "hole 0": _both(two)})
    with pytest.raises(MorphingError, match="face 'hole 0': the surface has 2 parts"):
        FacesMorphing().prepared([merged], ()).apply(merged, FacesMorphing().prepared([merged], ()).reference(merged))
    plain = drilled()
    closed = replace(plain, facet_sets={"all": _all(plain)})
    with pytest.raises(MorphingError, match="face 'all': the surface has 1 parts, 0 boundary loops and genus 1"):
        FacesMorphing().prepared([closed], ()).apply(closed, FacesMorphing().prepared([closed], ()).reference(closed))
    ring, disc = (named_faces(mesh, tuple(sorted(mesh.facet_sets)), ()) for mesh in (one, two))
    with pytest.raises(MorphingError, match="3 rims, the reference's face has 2: expected the same number of holes"):
        HoledFace(ring["front"]).places_of(disc["front"])


def _both(mesh):
    return {"triangle": np.concatenate([mesh.facet_sets[f"hole {i}"]["triangle"] for i in range(2)])}


def _all(mesh):
    return {"triangle": np.concatenate([facets["triangle"] for facets in mesh.facet_sets.values()])}
