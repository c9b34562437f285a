"""Potential flow: cylinders, Joukowski's aerofoils, the Kutta condition, and the family of four-digit aerofoils."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from potential_flows import cylinder, exterior, joukowski, symmetric_exterior, wedge

from meshes import check_mesh
from meshes.finite_elements import FunctionSpace, dofs_on, quadrature_gradients
from pde_benchmarks.aerofoil import PotentialAerofoil, PotentialFlow
from pde_benchmarks.aerofoil.kutta import edge_functional
from pde_benchmarks.errors import ProblemError

ANGLE = np.deg2rad(6.0)
DESIGN = np.array([0.03, 0.4, 0.12, 5.0])


@pytest.fixture(scope="module")
def coarse():
    return PotentialAerofoil(size=0.05, edge_size=0.008, growth=0.3)


@pytest.fixture(scope="module")
def flow(coarse):
    return PotentialFlow(coarse.part(DESIGN, seed=0))


def pressure_error(h: float, circulation: float) -> float:
    """Root mean square error of Cp at the wall nodes of a cylinder of radius 1 with edges of length h."""
    flow = PotentialFlow(cylinder(h))
    psi = flow.with_circulation(flow.uniform(0.0), circulation)
    wall = np.array(flow.mesh.node_set("wall"))
    speed = flow.velocity(psi)[wall].norm(dim=1).numpy()
    theta = np.arctan2(*flow.mesh.points[wall].T[::-1])
    exact = 2 * np.sin(theta) + circulation / (2 * np.pi)
    return float(np.sqrt(((exact**2 - speed**2) ** 2).mean()))


@pytest.mark.parametrize("circulation", [0.0, 3.0])
def test_the_pressure_on_a_cylinder_is_exact_in_the_limit(circulation):
    """Cp = 1 − (2 sin θ + Γ/2π)² to first order in h, as the wall is a polygon."""
    coarse, fine = pressure_error(0.48, circulation), pressure_error(0.06, circulation)
    assert fine < 0.01 * (2 + circulation / (2 * np.pi)) ** 2
    assert fine < coarse / 4


def test_the_outer_circle_lets_a_dipole_pass():
    """Cp of a cylinder in a circle of 5 radii: a stream function held there would be off by 2/25 of the speed."""
    flow = PotentialFlow(cylinder(0.06, radius=5.0))
    psi = flow.with_circulation(flow.uniform(0.0), 0.0)
    x = flow.mesh.points
    exact = x[:, 1] * (1 - 1 / (x**2).sum(axis=1))
    assert np.abs(psi[: len(x)].numpy() - exact).max() < 2e-3


@pytest.mark.parametrize("centre", [(-0.1, 0.06), (-0.2, 0.1)])
def test_the_kutta_condition_finds_the_circulation_of_joukowski(centre):
    """Γ = 4π R sin(α + asin(y₀/R)): to at least first order, and to 1e-3 with some 75 nodes on the wall."""
    contour, exact = joukowski(*centre, ANGLE)

    def error(h: float, seed: int) -> float:
        flow = PotentialFlow(exterior(contour, size=h, edge_size=h / 10, radius=40.0, seed=seed))
        wall = flow.mesh.node_set("wall")
        edge = int(wall[flow.mesh.points[wall, 0].argmax()])
        found = flow.circulation(flow.with_smooth_edge(flow.uniform(ANGLE), edge))
        return abs(float(found) / exact - 1)

    coarse, fine = (np.mean([error(h, seed) for seed in (0, 1)]) for h in (0.64, 0.16))
    assert fine < min(1e-3, coarse / 3)


def test_a_symmetric_aerofoil_without_incidence_has_no_lift():
    """On a symmetric mesh to rounding; on another to the error of discretisation."""
    mesh, edge = symmetric_exterior(thickness=0.12)
    flow = PotentialFlow(mesh)
    assert abs(float(flow.circulation(flow.with_smooth_edge(flow.uniform(0.0), edge)))) < 1e-11
    problem = PotentialAerofoil()
    solved = problem.solve(problem.part(np.array([0.0, 0.4, 0.12, 0.0]), seed=3))
    assert abs(float(solved.global_data["Cl"])) < 1e-3


def test_lift_is_a_sine_of_the_incidence(flow):
    """ψ(α) = cos α ψ(0) + sin α ψ(90°): Γ(α) too, with the Kutta condition at every α."""
    edge = int(flow.mesh.node_set("trailing_edge")[0])

    def gamma(angle: float) -> float:
        return float(flow.circulation(flow.with_smooth_edge(flow.uniform(angle), edge)))

    expected = np.cos(0.3) * gamma(0.0) + np.sin(0.3) * gamma(np.pi / 2)
    assert gamma(0.3) == pytest.approx(expected, rel=1e-10)


def test_circulation_is_the_same_around_any_contour(flow):
    """∫ ∇ψ·∇η for η = 1 on the wall and 0 on the circle does not depend on η: here a function of the radius."""
    psi = flow.uniform(ANGLE)
    r = np.linalg.norm(flow.space.nodes - [0.5, 0.0], axis=1)
    cut = torch.from_numpy(np.clip((9.0 - r) / 8.0, 0.0, 1.0))
    cut[torch.from_numpy(dofs_on(flow.space, "wall"))] = 1.0
    assert float(-(cut * (flow.stiffness @ psi)).sum()) == pytest.approx(float(flow.circulation(psi)), abs=1e-10)


def test_the_velocity_is_divergence_free_in_the_weak_sense(flow):
    """∫ u·∇q = 0 for every q that vanishes on the boundary."""
    space, psi = flow.space, flow.uniform(ANGLE)
    gradients = quadrature_gradients(space)
    dx, dy = (gradients @ psi).view(-1, 2).T
    weights = torch.from_numpy(space.tabulation.weights.ravel())
    tested = gradients.T @ torch.stack([weights * dy, -weights * dx], dim=1).flatten()
    inner = np.setdiff1d(np.arange(space.size), dofs_on(space))
    assert float(tested[torch.from_numpy(inner)].abs().max()) < 1e-11


def test_the_edge_functional_sees_the_singular_part_alone():
    """On a wedge: r^(2π/ω) sin(2πθ/ω) and the third function give less than 1e-3 of the first."""
    mesh, angle, node = wedge(opening=0.3)
    space = FunctionSpace(mesh, degree=2)
    weights = edge_functional(space, "wall", node)
    r, theta = np.linalg.norm(space.nodes, axis=1), np.arctan2(space.nodes[:, 1], space.nodes[:, 0])
    theta = theta + 0.5 * angle
    found = [
        float(weights @ torch.from_numpy(r ** (k * np.pi / angle) * np.sin(k * np.pi * theta / angle)))
        for k in (1, 2, 3)
    ]
    assert abs(found[1]) + abs(found[2]) < 2e-3 * abs(found[0])


def test_speeds_agree_on_both_sides_of_the_trailing_edge():
    """With the Kutta condition the lift fades like √(distance); without it the speeds differ by much."""
    problem = PotentialAerofoil()
    mesh = problem.part(DESIGN, seed=1)
    flow, edge = PotentialFlow(mesh), int(mesh.node_set("trailing_edge")[0])
    wall = np.array(mesh.node_set("wall"))
    close = wall[(mesh.points[wall, 0] > 0.985) & (wall != edge)]
    camber_line = np.interp(mesh.points[close, 0], [0.985, 1.0], [0.03 / 0.36 * (0.2 + 0.8 * 0.985 - 0.985**2), 0.0])
    above = mesh.points[close, 1] > camber_line

    def difference(psi) -> float:
        speed = flow.velocity(psi)[torch.from_numpy(close)].norm(dim=1).numpy()
        return abs(speed[above].mean() - speed[~above].mean())

    assert difference(flow.with_smooth_edge(flow.uniform(ANGLE), edge)) < 0.05
    assert difference(flow.with_circulation(flow.uniform(ANGLE), 0.0)) > 0.5


def test_meshes_of_one_design_differ_in_everything_but_shape(coarse):
    one, other = (coarse.part(DESIGN, seed) for seed in (0, 1))
    assert len(one.points) != len(other.points)
    assert one == coarse.part(DESIGN, 0)
    for mesh in (one, other):
        assert check_mesh(mesh).is_sound
        assert all(len(mesh.node_set(name)) == 1 for name in coarse.landmarks)
        np.testing.assert_allclose(mesh.points[mesh.node_set("trailing_edge")[0]], [1.0, 0.0], atol=1e-12)
        assert np.linalg.norm(mesh.points[mesh.node_set("leading_edge")[0]]) < 0.01
        assert np.abs(np.diff(mesh.cells["triangle"].ravel())).mean() > 0.2 * len(mesh.points)  # no order is left
    for name in coarse.landmarks[1:]:
        a, b = (mesh.points[mesh.node_set(name)[0]] for mesh in (one, other))
        np.testing.assert_allclose(a, b, atol=1e-9)


def test_solutions_of_two_meshes_agree(coarse):
    """Cl of two meshes to 1 %, and of the usual sizes to 1e-3."""
    for problem, limit in ((coarse, 1e-2), (PotentialAerofoil(), 1e-3)):
        one, other = (float(problem.solve(problem.part(DESIGN, seed)).global_data["Cl"]) for seed in (0, 1))
        assert one == pytest.approx(other, rel=limit)


def test_fields_are_smooth_in_the_incidence(coarse):
    """On one mesh second differences are far smaller than first ones."""
    mesh = coarse.part(DESIGN, seed=0)
    low, middle, high = (
        coarse.solve(replace(mesh, global_data={"alpha": np.array(alpha)})) for alpha in (4.9, 5.0, 5.1)
    )
    for name in coarse.fields:
        a, b, c = (solved.point_data[name] for solved in (low, middle, high))
        assert np.abs(a - 2 * b + c).max() < 0.02 * np.abs(c - a).max()


def test_what_the_flow_cannot_use_is_named(coarse, flow):
    mesh = coarse.part(DESIGN, seed=0)
    with pytest.raises(ProblemError, match="aerofoil: the mesh has no alpha in its global data, which holds nothing"):
        coarse.solve(replace(mesh, global_data={}))
    with pytest.raises(ProblemError, match="leaves the circle through it"):
        PotentialFlow(mesh.with_points(mesh.points * [2.0, 1.0])).uniform(0.0)
    inside = int(np.setdiff1d(np.arange(len(mesh.points)), mesh.node_set("wall"))[0])
    with pytest.raises(ProblemError, match=f"node {inside} is not a node of the wall 'wall'"):
        flow.with_smooth_edge(flow.uniform(0.0), inside)
