"""Pipe flow: exact flows, mass conservation, shapes that never fold, and the reader of the published files."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pde_benchmarks import Batch, Pipe
from pde_benchmarks.errors import DatasetError, ProblemError
from pde_benchmarks.metrics import relative_l2
from pde_benchmarks.pipe import read_pipe
from pde_benchmarks.pipe.centre_lines import CentreLines
from pde_benchmarks.pipe.flow import navier_stokes_flow, stokes_flow
from pde_benchmarks.pipe.parallel_flow import inflow_velocity, parallel_flow
from pde_benchmarks.pipe.taylor_hood import taylor_hood
from pde_benchmarks.registry import describe_problem

LAWS = pytest.mark.parametrize("reynolds", [0.0, 60.0], ids=["stokes", "navier-stokes"])


def sampled(problem: Pipe, count: int = 2, seed: int = 0) -> Batch:
    return problem.sample(count, torch.Generator().manual_seed(seed))


def straight(n: int, angle: float = 0.0, length: float = 4.0) -> torch.Tensor:
    s, t = torch.meshgrid(
        torch.linspace(0, length, n, dtype=torch.float64),
        torch.linspace(-0.5, 0.5, n, dtype=torch.float64),
        indexing="ij",
    )
    cos, sin = math.cos(angle), math.sin(angle)
    return torch.stack((cos * s - sin * t, sin * s + cos * t))[None]


@LAWS
@pytest.mark.parametrize("angle", [0.0, 0.7])
def test_poiseuille_flow_is_exact(reynolds, angle):
    """u = (1 − 4t²) e, p = 8 ν (L − s) solves both equations in a straight channel, and lies in the spaces."""
    x = straight(17, angle)
    flow = Pipe(reynolds=reynolds, resolution=17).flow(x)
    t = torch.linspace(-0.5, 0.5, 17, dtype=torch.float64)
    direction = torch.tensor([math.cos(angle), math.sin(angle)], dtype=torch.float64)
    exact = direction[:, None, None] * (1 - 4 * t**2).expand(17, 17)
    torch.testing.assert_close(flow.velocity[0], exact, rtol=0, atol=1e-9)
    viscosity = 1 / reynolds if reynolds else 1.0
    falling = 8 * viscosity * torch.linspace(4, 0, 9, dtype=torch.float64)[:, None].expand(9, 9)
    torch.testing.assert_close(flow.pressure[0], falling, rtol=0, atol=1e-7)
    torch.testing.assert_close(parallel_flow(x)[0], exact, rtol=0, atol=1e-12)


@pytest.mark.parametrize("inertia", [False, True], ids=["stokes", "navier-stokes"])
def test_third_order_in_an_annulus(inertia):
    """u = (r ln r + B r + C/r) e_θ/2, p = ν(θ − θ₁) [+ ∫u²/r]: velocities of order 3, pressures of order 2 in L²."""
    velocity_errors, pressure_errors = [], []
    for n in (9, 17, 33):
        x, exact, pressure, load = azimuthal(n, viscosity=0.5, inertia=inertia)
        if inertia:
            flow = navier_stokes_flow(x, exact[:, :, 0], 0.5, load)
        else:
            flow = stokes_flow(x, exact[:, :, 0], load, 0.5)
        velocity_errors.append((flow.velocity - exact).norm() / exact.norm())
        pressure_errors.append((flow.pressure - pressure).norm() / pressure.norm())
    assert min(math.log2(velocity_errors[i] / velocity_errors[i + 1]) for i in range(2)) > 2.8
    assert math.log2(pressure_errors[1] / pressure_errors[2]) > 1.8


def azimuthal(n: int, viscosity: float, inertia: bool) -> tuple[torch.Tensor, ...]:
    """Grid, velocity, pressure and outlet traction of the flow between r = 1 and 2, over a quarter turn."""
    low, high, end = 1.0, 2.0, math.pi / 2
    # u(1) = u(2) = 0 for u = (r ln r + B r + C/r)/2
    C = high**2 * math.log(high) / (high**2 - 1)
    B = -C

    def speed(r):
        return -(r * torch.log(r) + B * r + C / r) / 2  # flows towards growing θ where the pressure falls

    def centrifugal(r):  # ∫ u²/r dr by Gauss' rule, zero on the inner wall
        z, w = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(20))
        points = 1 + (r[..., None] - 1) * (1 + z) / 2
        return (speed(points) ** 2 / points) @ w * (r - 1) / 2

    theta, r = torch.meshgrid(
        torch.linspace(0, end, n, dtype=torch.float64),
        torch.linspace(high, low, n, dtype=torch.float64),  # from the right wall to the left one
        indexing="ij",
    )
    x = torch.stack((r * theta.cos(), r * theta.sin()))[None]
    u = (speed(r) * torch.stack((-theta.sin(), theta.cos())))[None]
    p = viscosity * (end - theta) + (centrifugal(r) if inertia else 0)
    # At θ = π/2: e_r = (0, 1), e_θ = (−1, 0); ν ∂u/∂n − p n = −ν u/r e_r − p e_θ.
    traction = torch.zeros(2, n, n, dtype=torch.float64)
    z, w = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(8))
    shapes = torch.stack((z * (z - 1) / 2, 1 - z**2, z * (z + 1) / 2))
    for first in range(0, n - 2, 2):
        h = r[-1, first] - r[-1, first + 2]
        points = r[-1, first] - h * (1 + z) / 2
        along = shapes @ (w * centrifugal(points)) * h / 2 if inertia else 0
        traction[0, -1, first : first + 3] += along
        traction[1, -1, first : first + 3] -= shapes @ (w * viscosity * speed(points) / points) * h / 2
    load = torch.cat([traction.flatten(), torch.zeros(((n + 1) // 2) ** 2, dtype=torch.float64)])[None]
    return x, u, p[None, ::2, ::2], load


def test_matrices_are_those_of_scikit_fem():
    """∫ ∇φ·∇φ and ∫ ψ ∂φ/∂x_d on a bent grid, against an assembly that shares no line with ours."""
    import skfem
    from skfem.helpers import dot, grad

    n = 9
    x = CentreLines(4.0, 0.8, 2).nodes(torch.tensor([[0.5, -0.3]], dtype=torch.float64), n)
    elements = taylor_hood(n, False)
    local = elements.integrals(x).stokes(1.0)
    order = torch.tensor([0, 6, 8, 2, 3, 7, 5, 1, 4])  # corners, mid-edges, centre of scikit-fem's cell
    doflocs = x[0].flatten(1).numpy()
    mesh = skfem.MeshQuad2(doflocs, elements.cell_nodes[:, order].numpy().T, sort_t=False)
    u = skfem.Basis(mesh, skfem.ElementQuad2(), intorder=5)
    p = u.with_element(skfem.ElementQuad1())
    places = [int(np.abs(doflocs - at[:, None]).sum(0).argmin()) for at in u.doflocs.T]
    ours = torch.zeros(n * n, n * n, dtype=torch.float64)
    nodes = elements.cell_nodes
    for cell in range(len(nodes)):
        ours[nodes[cell][:, None], nodes[cell]] += local[0, cell, :9, :9]
    theirs = skfem.BilinearForm(lambda u, v, _: dot(grad(u), grad(v))).assemble(u).toarray()
    np.testing.assert_allclose(ours.numpy()[np.ix_(places, places)], theirs, atol=1e-12)
    for d in range(2):
        ours = torch.zeros(n * n, dtype=torch.float64)  # the sum over all ψ: −∫ ∂φ/∂x_d
        for cell in range(len(nodes)):
            ours[nodes[cell]] += local[0, cell, 18:, 9 * d : 9 * d + 9].sum(0)
        form = skfem.BilinearForm(lambda u, v, _, d=d: -grad(u)[d] * v)
        theirs = np.asarray(form.assemble(u, p).sum(0)).ravel()
        np.testing.assert_allclose(ours.numpy()[places], theirs, atol=1e-12)


@LAWS
def test_what_goes_in_comes_out(reynolds):
    """∮ u·n = 0 to rounding: the constant is one of the pressures."""
    problem = Pipe(reynolds=reynolds, resolution=33)
    x = sampled(problem)["coordinates"]
    u = problem.flow(x).velocity
    fluxes = torch.stack([flux(x[:, :, i], u[:, :, i]) for i in (0, -1)], 1)
    torch.testing.assert_close(fluxes[:, 1], fluxes[:, 0], rtol=1e-9, atol=0)
    assert fluxes[0, 0] == pytest.approx(2 / 3, rel=1e-12)


def flux(x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """∫ (u_x dy − u_y dx) over a grid line of quadratic edges ``(count, 2, n)``: Simpson's rule on straight ones."""
    h = x[..., 2::2] - x[..., :-2:2]
    mean = (u[..., :-2:2] + 4 * u[..., 1::2] + u[..., 2::2]) / 6
    return (mean[:, 0] * h[:, 1] - mean[:, 1] * h[:, 0]).sum(-1)


@given(
    seed=st.integers(0, 2**32),
    modes=st.integers(1, 6),
    bend=st.floats(0, 1.5),
    tight=st.floats(0.05, 0.99),
    n=st.sampled_from([17, 25, 33]),
)
@settings(deadline=None, max_examples=40)
def test_no_shape_folds(seed, modes, bend, tight, n):
    """1 − t θ' > 0: width 1 everywhere, x grows along all lines, cells are not inverted, and the area is the length."""
    length = max(bend * (modes + 1) * math.pi / (2 * tight), 1.0)
    lines = CentreLines(length, bend, modes)
    x = lines.sample(3, n, torch.Generator().manual_seed(seed))
    widths = (x[..., -1] - x[..., 0]).norm(dim=1)
    torch.testing.assert_close(widths, torch.ones_like(widths), rtol=1e-12, atol=0)
    assert (x[:, 0].diff(dim=1) > 0).all()
    a, b = x[..., 1:, 1:] - x[..., :-1, :-1], x[..., :-1, 1:] - x[..., 1:, :-1]
    assert (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0] > 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_the_default_law_gives_valid_cells_of_the_right_area(seed):
    problem = Pipe()
    x = sampled(problem, 64, seed)["coordinates"]
    weights = taylor_hood(65, False).integrals(x).weights
    assert (weights > 0).all()
    assert weights.sum((-1, -2)) == pytest.approx(np.full(64, 10.0), rel=1e-4)


def test_centre_lines_have_their_length_and_their_limits():
    """|dC/ds| = 1; |θ| ≤ bend with at least a quarter of it reached; inlet and outlet are upright."""
    lines = CentreLines(10.0, 1.0, 5)
    x = lines.sample(50, 513, torch.Generator().manual_seed(0))
    tangent = x[..., 256].diff(dim=-1) * 512 / 10
    assert tangent.norm(dim=1) == pytest.approx(np.ones((50, 512)), abs=1e-4)
    angle = torch.atan2(tangent[:, 1], tangent[:, 0]).abs().amax(1)
    assert (angle <= 1.0).all()
    assert (angle >= 0.245).all()
    torch.testing.assert_close(x[:, 0, 0], torch.zeros(50, 513, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(x[:, 0, -1], x[:, 0, -1, :1].expand(-1, 513), rtol=0, atol=1e-12)


@LAWS
def test_mirrored_pipes_carry_mirrored_flows(reynolds):
    """(x, y) → (x, −y): u_x stays, and axis 1 runs the other way."""
    problem = Pipe(reynolds=reynolds, resolution=33)
    x = sampled(problem)["coordinates"]
    mirrored = (x * torch.tensor([1.0, -1.0], dtype=x.dtype)[:, None, None]).flip(3)
    u, v = problem.flow(x).velocity, problem.flow(mirrored).velocity
    torch.testing.assert_close(v[:, 0].flip(2), u[:, 0], rtol=0, atol=1e-8)
    torch.testing.assert_close(-v[:, 1].flip(2), u[:, 1], rtol=0, atol=1e-8)
    for kind in problem.guesses:
        guess, image = (problem.first_guess(Batch({"coordinates": g}), kind)["velocity"] for g in (x, mirrored))
        torch.testing.assert_close(image.flip(3), guess, rtol=0, atol=1e-9)


def test_moved_and_turned_pipes_carry_the_same_flow():
    """The equations know no origin and no direction: a rotation of the grid turns the velocities."""
    problem = Pipe(resolution=33)
    x = sampled(problem)["coordinates"]
    R = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)
    turned = torch.einsum("ab,kbij->kaij", R, x) + 3.0
    u = torch.einsum("ab,kbij->kaij", R, problem.flow(x).velocity)
    torch.testing.assert_close(problem.flow(turned).velocity, u, rtol=0, atol=1e-9)


@LAWS
def test_flow_converges_under_refinement(reynolds):
    """One seed is one pipe on every grid: e(17, 65) > 5 e(33, 65), so that the order is more than 2."""
    u = []
    for k, n in enumerate((17, 33, 65)):
        problem = Pipe(reynolds=reynolds, resolution=n, bend=0.5)
        u.append(problem.solve(sampled(problem))["velocity"][..., :: 2**k, :: 2**k])
    first, second = (relative_l2(u[i], u[2]).mean() for i in (0, 1))
    assert second < first / 5


def test_creeping_flow_is_the_limit_of_small_reynolds_numbers():
    x = sampled(Pipe(resolution=17))
    creeping = Pipe(resolution=17).solve(x)["velocity"]
    slow = Pipe(resolution=17, reynolds=1e-6).solve(x)["velocity"]
    torch.testing.assert_close(slow, creeping, rtol=0, atol=1e-6)


def test_walls_are_at_rest_and_the_inflow_is_the_parabola():
    problem = Pipe(resolution=33)
    x = sampled(problem)["coordinates"]
    u = problem.flow(x).velocity
    assert not u[..., 0].any()
    assert not u[..., -1].any()
    torch.testing.assert_close(u[:, :, 0, 1:-1], inflow_velocity(x)[..., 1:-1], rtol=0, atol=1e-15)
    t = torch.linspace(0, 1, 33, dtype=torch.float64)
    torch.testing.assert_close(u[:, 0, 0], (4 * t * (1 - t)).expand(2, 33), rtol=0, atol=1e-12)


@pytest.mark.parametrize("reynolds", [0.0, 100.0])
def test_coarse_guess_is_better_than_parabolas(reynolds):
    problem = Pipe(reynolds=reynolds, resolution=65)
    x = sampled(problem, 2)
    u = problem.solve(x)["velocity"]
    errors = [relative_l2(problem.first_guess(x, kind)["velocity"], u).mean() for kind in problem.guesses]
    assert errors[1] < errors[0] < 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_of_the_caller_is_kept(dtype):
    problem = Pipe(resolution=17)
    x = sampled(problem).to(dtype=dtype)
    for u in (problem.solve(x), problem.first_guess(x, "poiseuille"), problem.first_guess(x, "coarse")):
        assert u["velocity"].dtype == dtype
        assert u["velocity"].shape == (2, 1, 17, 17)
    assert problem.solve(x.rows(slice(0, 0)))["velocity"].shape == (0, 1, 17, 17)


def test_the_problem_describes_itself():
    assert describe_problem(Pipe())["name"] == "pipe"
    assert Pipe().outputs[0].support.boundary == ("unknown", "dirichlet")
    with pytest.raises(ProblemError, match=r"there is no residual. Pipe.flow"):
        Pipe().residual(Batch({}), Batch({}))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"resolution": 64}, "for example 65 or 73"),
        ({"resolution": 9}, "at least 17"),
        ({"reynolds": -1.0}, "reynolds -1.0"),
        ({"length": 0.0}, "length 0.0"),
        ({"modes": 0}, "modes 0"),
        ({"bend": 1.6}, "bend 1.6: an angle"),
        ({"bend": 1.5, "modes": 6}, "folds: bend less"),
    ],
)
def test_impossible_parameters_are_named(arguments, match):
    with pytest.raises(ProblemError, match=match):
        Pipe(**arguments)


def test_grids_that_fold_or_do_not_fit_are_named():
    problem = Pipe(resolution=17)
    x = sampled(problem)["coordinates"]
    x[1] = x[1].flip(2)
    with pytest.raises(ProblemError, match=r"sample 1 has inverted cells \(1 of 2"):
        problem.solve(Batch({"coordinates": x}))
    with pytest.raises(ProblemError, match=r"expected \(samples, 2, n, n\) with an odd n"):
        problem.flow(x[..., :16, :16])
    with pytest.raises(ProblemError, match="poiseuille, coarse"):
        problem.first_guess(Batch({"coordinates": x}), "magic")


def test_newton_that_does_not_converge_says_so():
    problem = Pipe(reynolds=1e5, resolution=17)
    with pytest.raises(ProblemError, match=r"did not converge .* lower the Reynolds number or refine"):
        problem.solve(sampled(problem, 1))


def published(folder, samples=4, channels=3, n=9):
    rng = np.random.default_rng(0)
    for name, shape in (("X", (n, n)), ("Y", (n, n)), ("Q", (channels, n, n))):
        np.save(folder / f"Pipe_{name}.npy", rng.random((samples, *shape), dtype=np.float32))


def test_published_files_are_read(tmp_path):
    published(tmp_path)
    dataset = read_pipe(tmp_path)
    x, y, q = (np.load(tmp_path / f"Pipe_{name}.npy") for name in "XYQ")
    np.testing.assert_array_equal(dataset.inputs["coordinates"], np.stack((x, y), 1))
    np.testing.assert_array_equal(dataset.outputs["velocity"], q[:, :1])


@pytest.mark.parametrize(
    ("name", "array", "match"),
    [
        ("X", None, "Pipe_X.npy: no such file; the published"),
        ("Y", np.ones((3, 9, 9)), r"Pipe_Y.npy \(3, 9, 9\)"),
        ("Q", np.ones((4, 9, 9)), r"Pipe_Q.npy: shape \(4, 9, 9\)"),
        ("Q", np.ones((4, 3, 9, 8)), r"Pipe_Q.npy: shape \(4, 3, 9, 8\)"),
        ("Q", np.array([{}], dtype=object), "Python objects"),
        ("Q", np.ones((4, 3, 9, 9), dtype=int), "floating-point"),
        ("Q", np.full((4, 3, 9, 9), np.nan), "NaN or infinity in 4 of 4"),
        ("X", b"\x93NUMPY broken", "damaged"),
        ("X", b"", "damaged"),
    ],
)
def test_foreign_files_are_named(tmp_path, name, array, match):
    published(tmp_path)
    path = tmp_path / f"Pipe_{name}.npy"
    if array is None:
        path.unlink()
    elif isinstance(array, bytes):
        path.write_bytes(array)
    else:
        np.save(path, array, allow_pickle=True)
    with pytest.raises(DatasetError, match=match):
        read_pipe(tmp_path)
