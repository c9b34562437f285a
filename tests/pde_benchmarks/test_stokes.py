"""Stokes flow past a cylinder: orders, balances, and a stream function that keeps walls, inlet and divergence exact."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from meshes.finite_elements import FunctionSpace, l2_error, nodes_on, quadrature_values
from meshes.generate import structured_grid, to_simplices
from pde_benchmarks.domains import Box
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.jet import Jet
from pde_benchmarks.problem import Batch
from pde_benchmarks.registry import describe_problem
from pde_benchmarks.stokes import StokesCylinder
from pde_benchmarks.stokes.elements import TriangularFlow, held_dofs
from pde_benchmarks.weak_forms import CreepingFlow, StokesForm, velocity_of

SMALL = StokesCylinder(size=0.1)
DTYPES = st.sampled_from([torch.float32, torch.float64])


def sampled(count=2, seed=0, problem=SMALL):
    return problem.sample(count, torch.Generator().manual_seed(seed))


def jet_of(function, points):
    """A jet of one sample and one channel by automatic differentiation."""
    parts = (torch.func.vmap(f)(points) for f in (function, torch.func.grad(function), torch.func.hessian(function)))
    return Jet(*(part[None, :, None] for part in parts))


def channel(cells):
    """Triangles of [0, 2] × [0, 1] without a hole."""
    return to_simplices(structured_grid(np.linspace(0, 2, 2 * cells + 1), np.linspace(0, 1, cells + 1)))


def manufactured(mesh, viscosity):
    """u = ψ_y, v = −ψ_x for ψ = y³ sin x, p = (x − 2) cos y + 3 μ y² cos 2 and their force, on a mesh held around."""
    space = FunctionSpace(mesh, degree=2, components=2)
    x, y = torch.from_numpy(space.nodes).unbind(1)
    exact = lambda p: torch.stack([3 * p[..., 1] ** 2 * p[..., 0].sin(), -(p[..., 1] ** 3) * p[..., 0].cos()], -1)  # noqa: E731
    edge = nodes_on(space)
    free = (space.nodes[edge, 0] == 2) & (space.nodes[edge, 1] > 0) & (space.nodes[edge, 1] < 1)
    held = np.union1d(2 * edge[~free], 2 * edge + 1)  # u is free on the outlet
    flow = TriangularFlow(mesh, held, viscosity)
    X, Y = flow.velocity.quadrature_points.unbind(-1)
    force = torch.stack(
        [
            -viscosity * (6 - 3 * Y**2) * X.sin() + Y.cos(),
            -viscosity * (Y**3 - 6 * Y) * X.cos() - (X - 2) * Y.sin() + 6 * viscosity * Y * math.cos(2),
        ],
        -1,
    )
    weights = torch.from_numpy(flow.velocity.tabulation.weights)[..., None]
    load = quadrature_values(flow.velocity).T @ (weights * force).flatten()
    velocity, pressure = flow.solve(exact(torch.stack([x, y], -1)).flatten()[None], load[None])
    true_pressure = lambda p: (p[..., 0] - 2) * p[..., 1].cos() + 3 * viscosity * p[..., 1] ** 2 * math.cos(2)  # noqa: E731
    return l2_error(flow.velocity, velocity[0], exact).item(), l2_error(
        flow.pressure, pressure[0], true_pressure
    ).item()


def test_velocities_have_order_three_and_pressures_order_two():
    """−μ Δu + ∇p = f with μ ∂u/∂n = p at the outlet, which the manufactured pressure obeys."""
    errors = [manufactured(channel(cells), 0.3) for cells in (4, 8, 16)]
    for part, order in ((0, 2.8), (1, 1.8)):
        assert min(math.log2(errors[i][part] / errors[i + 1][part]) for i in (0, 1)) > order


def test_the_flow_leaves_straight_and_free():
    """v = 0 at x = 2, and p = 0 up to the error of the mesh."""
    flow = SMALL.solve(sampled())
    outlet = torch.tensor(SMALL.mesh.points[:, 0]) == 2
    assert flow["velocity"][:, outlet, 1].abs().max() == 0
    assert flow["pressure"][:, outlet].abs().max() < 1e-3 * flow["pressure"].abs().max()


def test_what_flows_in_flows_out():
    """∫ u dy is the same at x = 0 and at x = 2, to rounding: the constant is one of the pressures."""
    elements = TriangularFlow(SMALL.mesh, held_dofs(SMALL.mesh), 0.01)
    x, y = torch.from_numpy(elements.velocity.nodes).unbind(1)
    given = torch.zeros(1, len(x), 2, dtype=torch.float64)
    given[..., 0] = torch.where(x == 0, torch.sin(math.pi * y) * torch.exp(y), 0)
    velocity = elements.solve(given.flatten(1))[0].unflatten(1, (-1, 2))[0, :, 0]
    fluxes = []
    for side in (0.0, 2.0):
        nodes = (x == side).nonzero().squeeze(1)
        nodes = nodes[y[nodes].argsort()]
        steps, u = y[nodes][2::2] - y[nodes][:-2:2], velocity[nodes]  # quadratic edges: Simpson's rule
        fluxes.append((steps * (u[:-2:2] + 4 * u[1:-1:2] + u[2::2]) / 6).sum())
    torch.testing.assert_close(fluxes[0], fluxes[1], rtol=1e-9, atol=0)


def test_the_flow_is_at_rest_on_walls_and_disc_and_linear_in_the_inflow():
    inputs = sampled()
    flow = SMALL.solve(inputs)
    for name in ("bottom", "top", "cylinder"):
        nodes = np.unique(SMALL.mesh.facet_sets[name]["line"])
        assert (flow["velocity"][:, nodes] == 0).all()
    both = SMALL.solve(Batch({"inflow": 2 * inputs["inflow"][:1] - 3 * inputs["inflow"][1:]}))
    for name, values in flow.items():
        torch.testing.assert_close(both[name][0], 2 * values[0] - 3 * values[1], rtol=1e-7, atol=1e-9)


def test_the_viscosity_scales_the_pressure_alone():
    inputs = sampled()
    thick = StokesCylinder(viscosity=1.0, size=0.1).solve(inputs)
    flow = SMALL.solve(inputs)
    torch.testing.assert_close(thick["velocity"], flow["velocity"], rtol=1e-7, atol=1e-8)
    torch.testing.assert_close(thick["pressure"], 100 * flow["pressure"], rtol=1e-7, atol=1e-6)


def test_finer_meshes_agree():
    """The pressure at the inlet settles with the mesh."""
    ahead = []
    for size in (0.16, 0.08, 0.04):
        problem = StokesCylinder(size=size)
        pressure = problem.solve(sampled())["pressure"][..., 0]
        ahead.append(pressure[:, problem.mesh.points[:, 0] == 0].mean(1))
    first, second = ((ahead[i] - ahead[i + 1]).norm() for i in (0, 1))
    assert second < first / 2
    assert second < 0.01 * ahead[-1].norm()


@settings(deadline=None, max_examples=10)
@given(count=st.integers(1, 3), dtype=DTYPES)
def test_walls_and_inlet_are_exact_for_any_answer(count, dtype):
    """u = v = 0 at y = 0, 1; u = a, v = 0 at x = 0; p = 0 at x = 2: to the last digit but for the sum that gives a."""
    inputs = sampled(count).to(dtype=dtype)
    n = 65
    x, y = 2 * torch.rand(n, dtype=dtype), torch.linspace(0, 1, n, dtype=dtype)
    zero = torch.zeros_like(x)
    points = torch.cat([torch.stack(p, 1) for p in ((x, zero), (x, zero + 1), (zero, y), (zero + 2, y))])
    raw = Jet(*(torch.randn(count, 4 * n, 1, *shape, dtype=dtype) for shape in ((), (2,), (2, 2))))
    velocity = velocity_of(SMALL.impose("stream", points, raw, inputs))
    assert velocity.dtype == dtype
    assert (velocity[:, : 2 * n] == 0).all()
    assert (velocity[:, 2 * n : 3 * n, 1] == 0).all()
    tolerance = 1e-4 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(velocity[:, 2 * n : 3 * n, 0], inputs["inflow"][:, 0], rtol=0, atol=tolerance)
    assert (SMALL.impose("pressure", points, raw, inputs).value[:, 3 * n :] == 0).all()


def test_velocities_of_stream_functions_have_no_divergence():
    """∂u/∂x + ∂v/∂y = ψ_yx − ψ_xy, by automatic differentiation of the imposed velocity itself."""
    inputs, points = sampled(1), torch.rand(30, 2, dtype=torch.float64)

    def net(p):
        return torch.sin(2 * p[0] + p[1]) + p[0] * p[1] ** 2

    def velocity(p):
        raw = Jet(net(p)[None, None, None], torch.func.grad(net)(p)[None, None, None])
        return velocity_of(SMALL.impose("stream", p[None], raw, inputs))[0, 0]

    jacobian = torch.func.vmap(torch.func.jacrev(velocity))(points)
    assert jacobian.diagonal(dim1=-2, dim2=-1).sum(-1).abs().max() < 1e-6
    stream = SMALL.impose("stream", points, jet_of(net, points), inputs)
    torch.testing.assert_close(stream.hessian[0, :, 0, 1, 1], jacobian[:, 0, 1])
    torch.testing.assert_close(stream.hessian[0, :, 0, 0, 0], -jacobian[:, 1, 0])
    torch.testing.assert_close(stream.hessian[0, :, 0, 0, 1], jacobian[:, 0, 0])


def exact_fields(points, viscosity, stream, pressure):
    """Jets of ψ, p and σ of a flow."""
    psi, p = jet_of(stream, points), jet_of(pressure, points)

    def component(k):
        def value(at):
            h, q = torch.func.hessian(stream)(at), pressure(at)
            return (2 * viscosity * h[0, 1] - q, viscosity * (h[1, 1] - h[0, 0]), -2 * viscosity * h[0, 1] - q)[k]

        return jet_of(value, points)

    parts = [component(k) for k in range(3)]
    sigma = Jet(torch.cat([part.value for part in parts], 2), torch.cat([part.gradient for part in parts], 2))
    return {"stream": psi, "pressure": p, "stress": sigma}


@pytest.mark.parametrize(
    ("stream", "pressure"),
    [
        (lambda p: p[1] ** 2 / 2 - p[1] ** 3 / 3, lambda p: 0.6 - 0.2 * (1 + p[0])),
        (lambda p: p[0] * p[1] ** 3, lambda p: 0.3 * (p[0] ** 2 - p[1] ** 2)),
    ],
    ids=["poiseuille", "biharmonic"],
)
def test_creeping_flows_have_no_residual_and_others_have_one(stream, pressure):
    """Δ²ψ = 0 and ∇p = μ Δu, μ = 0.1; with the pressure turned round the stresses are out of balance."""
    equation = CreepingFlow(0.1, Box((0.0, 0.0), (2.0, 1.0)), 1.0, 1.0)
    form = StokesForm(equation, cells=8, boundary_weight=0.0)
    q = form.draw(torch.Generator().manual_seed(0), torch.float64)
    # There are no discs: the mean over their points is empty.
    form_points = (
        StokesCylinder().weak_form(cells=8, boundary_weight=0.0).draw(torch.Generator().manual_seed(0), torch.float64)
    )
    assert q.edge == 0
    fields = exact_fields(form_points.points, 0.1, stream, pressure)
    turned = exact_fields(form_points.points, 0.1, stream, lambda p: -pressure(p))
    nothing = torch.zeros(1, len(form_points.points), 1, dtype=torch.float64)
    assert form.loss(form_points, nothing, fields) < 1e-20
    assert form.loss(form_points, nothing, turned) > 1e-2


def test_points_lie_in_the_channel_on_the_disc_and_at_the_outlet():
    form = SMALL.weak_form()
    generator = torch.Generator().manual_seed(0)
    q = form.draw(generator, torch.float64)
    assert not torch.equal(q.points, form.draw(generator, torch.float64).points)
    inner, edge, outlet = q.points.split([q.inner, q.edge, len(q.points) - q.inner - q.edge])
    assert form.equation.domain.contains(inner).all()
    torch.testing.assert_close(
        (edge - torch.tensor([0.5, 0.6])).norm(dim=1), torch.full_like(edge[:, 0], 0.1), rtol=1e-6, atol=0
    )
    assert (outlet[:, 0] == 2).all()
    assert q.weights.sum().item() == pytest.approx(2 - math.pi * 0.01, abs=0.01)


def test_the_loss_reaches_every_field():
    inputs = sampled().to(dtype=torch.float32)
    form = SMALL.weak_form(cells=10)
    q = form.draw(torch.Generator().manual_seed(0))
    raw, fields = {}, {}
    for name, channels in form.fields.items():
        shapes = ((), (2,), (2, 2))
        raw[name] = Jet(*(torch.randn(2, len(q.points), channels, *s, requires_grad=True) for s in shapes))
        fields[name] = SMALL.impose(name, q.points, raw[name], inputs)
    loss = form.loss(q, SMALL.coefficient_at(inputs, q.points), fields)
    assert loss.shape == (2,)
    loss.sum().backward()
    assert raw["stream"].hessian.grad.abs().sum() > 0
    assert raw["pressure"].value.grad.abs().sum() > 0
    assert raw["stress"].gradient.grad.abs().sum() > 0


def test_outputs_follow_from_decoded_fields():
    points, inputs = torch.rand(5, 2), sampled().to(dtype=torch.float32)
    raw = Jet(torch.randn(2, 5, 1), torch.randn(2, 5, 1, 2))
    for output, decoded, channels in (("velocity", "stream", 2), ("pressure", "pressure", 1)):
        assert SMALL.decoded_field(output) == decoded
        assert SMALL.output_of(output, SMALL.impose(decoded, points, raw, inputs)).shape == (2, 5, channels)


def test_solutions_have_the_dtype_of_the_inputs_and_no_error_to_themselves():
    flow = SMALL.solve(sampled(3).to(dtype=torch.float32))
    assert flow["velocity"].dtype == flow["pressure"].dtype == torch.float32
    assert set(SMALL.metrics(flow, flow).values()) == {0.0}
    assert SMALL.solve(sampled(0))["velocity"].shape == (0, len(SMALL.mesh.points), 2)
    assert describe_problem(SMALL)["name"] == "stokes-cylinder"


def test_profiles_of_one_seed_are_one_function():
    fine = sampled(problem=SMALL.at_resolution(129))["inflow"]
    torch.testing.assert_close(fine[..., ::2], sampled()["inflow"])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"viscosity": 0.0}, r"viscosity 0\.0: a positive number"),
        ({"size": 0.5}, r"size 0\.5: an edge length from 0\.01 to 0\.2"),
        ({"resolution": 3}, "resolution 3: at least 8 nodes"),
    ],
)
def test_parameters_out_of_range_are_named(parameters, message):
    with pytest.raises(ProblemError, match=message):
        StokesCylinder(**parameters)


def test_what_the_flow_does_not_have_is_named():
    raw, inputs = Jet(torch.zeros(1, 1, 1), torch.zeros(1, 1, 1, 2)), sampled(1)
    with pytest.raises(ProblemError, match="no field 'flux': known are stream, pressure and stress"):
        SMALL.impose("flux", torch.zeros(1, 2), raw, inputs)
    with pytest.raises(ProblemError, match="residual 'weak' is unknown: use one of strong"):
        SMALL.weak_form("weak")
    with pytest.raises(ProblemError, match="edge_points 0, outlet_points 32: at least one each"):
        SMALL.weak_form(edge_points=0)
    with pytest.raises(ProblemError, match="residual 'strong' has no 'radius'"):
        SMALL.weak_form(radius=0.1)
    with pytest.raises(ProblemError, match="there is no residual"):
        SMALL.residual(inputs, SMALL.solve(inputs))
