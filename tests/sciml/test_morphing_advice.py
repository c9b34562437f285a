"""Where parts cannot be morphed, the message says which setting would work: the others are tried."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from mmgp_parts import CORNERS, arches

from meshes.errors import MeshError, MorphingError
from meshes.generate import circle, plate
from sciml.errors import LearnerError
from sciml.learners.mmgp import MMGP, MMGPConfig, PartFamily
from sciml.mesh_experiments import stranger, working_morphings
from sciml.mesh_experiments.morphing_advice import advised


def holed(count, shift=0.0):
    places = [[-0.4 + shift, 0.0], [0.4, 0.0]][:count]
    mesh = plate(2.0, 2.0, 0.3, holes=[circle(p, 0.2, f"hole {i}") for i, p in enumerate(places)])
    return replace(mesh, point_data={"w": mesh.points[:, 0]})


def fit(parts, morphing, landmarks=()):
    family = PartFamily(("w",), landmarks=tuple(landmarks))
    with advised(parts, landmarks), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        MMGP(family, MMGPConfig(morphing=morphing, refinements=0, folds=2)).fit(parts)


def test_parts_with_holes_are_told_of_a_morphing_that_works():
    """And it does: the same parts are learnt with it."""
    parts = [holed(1, shift) for shift in np.linspace(0.0, 0.2, 4)]
    with pytest.raises(
        MorphingError, match=r"2 boundary loops .* --set morphing=harmonic brings sample 0 onto"
    ) as found:
        fit(parts, "disc")
    assert "elastic" in str(found.value)
    fit(parts, "harmonic")


def test_other_numbers_of_holes_are_counted():
    parts = [holed(1), holed(1, 0.1), holed(1, 0.2), holed(2)]
    with pytest.raises(MorphingError, match="Sample 3 has 2 holes, sample 0 1 hole: no morphing brings"):
        fit(parts, "harmonic")


@pytest.mark.parametrize("morphing", ["same-cells", "given", "faces"])
def test_parts_that_were_meshed_one_by_one_are_flattened(morphing):
    with pytest.raises((MorphingError, MeshError), match="--set morphing=disc brings sample"):
        fit(arches(4, cells=(6, 5)), morphing, CORNERS)


def test_other_errors_stay_as_they_are():
    with pytest.raises(LearnerError) as found, advised(arches(2), ()):
        raise LearnerError("sample 1: scalar 'load' is missing.")
    assert str(found.value) == "sample 1: scalar 'load' is missing."


def test_a_new_part_of_another_topology_has_no_setting():
    with pytest.raises(MorphingError, match="none of those that the run was trained on"), stranger():
        raise MorphingError("the mesh has 2 holes, the reference 1.")


def test_equal_cells_need_no_interpolation():
    part = arches(1, cells=(6, 5))[0]
    bent = part.with_points(part.points * [1.0, 1.3])
    found = working_morphings(bent, part, CORNERS)
    assert {"disc", "harmonic", "same-cells"} <= set(found)
    assert "faces" not in found
