"""Dimensional analysis: samples of equal shape and equal ratios have equal solutions in their own units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pde_benchmarks.elasticity import ElasticNotchedPlate, NotchedPlateAll, PerforatedPlate, TwistedBlade
from pde_benchmarks.shape_measures import SHAPE_MEASURES

#: Powers of one factor by which given scalars are multiplied without a change of the ratios.
CASES = {
    "yielding": (NotchedPlateAll(size=0.1), {"P": 1, "R0": 1, "E": 1, "H": 1}),
    "stiffer": (NotchedPlateAll(size=0.1), {"E": 1, "H": 1}),
    "linear": (ElasticNotchedPlate(size=0.1), {"P": 1}),
    "hole": (PerforatedPlate(size=0.1), {"P": 1, "E": -1}),
    "turning": (
        TwistedBlade(coarsest=(8, 6, 2), finest=(8, 6, 2), jitter=(0.0, 0.0, 0.0)),
        {"speed": 1, "pressure": 2, "young": -1},
    ),
}


def unit(text, scalars):
    """The value of a product or quotient such as R0/E."""
    return eval(text, {"__builtins__": {}}, scalars)


@pytest.mark.parametrize("name", CASES)
def test_equal_ratios_have_equal_solutions_in_their_units(name):
    """u(λ^k μ) / unit(λ^k μ) = u(μ) / unit(μ)."""
    problem, powers = CASES[name]
    (design,) = problem.designs(1, seed=3)
    mesh = problem.part(design, seed=0)
    scaled = {key: np.array(float(mesh.global_data[key]) * 1.3**power) for key, power in powers.items()}
    other = replace(mesh, global_data={**mesh.global_data, **scaled})
    given, changed = problem.given_scalars(mesh), problem.given_scalars(other)
    measured = {key: measure(mesh) for key, measure in SHAPE_MEASURES.items() if key[-1] in "xyz"[: problem.dimension]}
    for ratio in problem.ratios:
        assert unit(ratio, changed | measured) == pytest.approx(unit(ratio, given | measured), rel=1e-12)
    one, two = problem.solve(mesh), problem.solve(other)
    for key, text in problem.scales.items():
        first, second = (
            np.asarray((solved.point_data | solved.global_data)[key]) / unit(text, scalars)
            for solved, scalars in ((one, given), (two, changed))
        )
        np.testing.assert_allclose(second, first, rtol=0, atol=1e-6 * np.abs(first).max() + 1e-12)
    assert set(problem.scales) == {*problem.fields, *problem.scalars}
