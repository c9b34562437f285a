"""Helmholtz' equation: the reference solver against theory, cheap guesses, and what damping and resonances do."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from meshes.finite_elements import FunctionSpace, diffusion, load, mass, per_node, per_quadrature_point
from meshes.generate import structured_grid
from pde_benchmarks import Batch, Helmholtz
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.helmholtz.constant_speed import ConstantSpeedInverse
from pde_benchmarks.helmholtz.elements import hat_integrals, square_elements
from pde_benchmarks.metrics import relative_l2
from pde_benchmarks.registry import describe_problem
from solvers import GMRES, SuperLU, linear_solve

SMALL = Helmholtz(frequency=300.0, resolution=33, strength=10.0)
DAMPED = Helmholtz(frequency=300.0, resolution=33, strength=10.0, damping=0.05)
BOTH = pytest.mark.parametrize("problem", [SMALL, DAMPED], ids=["real", "complex"])


def sampled(problem: Helmholtz, count: int = 3, seed: int = 0) -> Batch:
    return problem.sample(count, torch.Generator().manual_seed(seed))


def nodes(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    axis = torch.linspace(0, 1, n, dtype=torch.float64)
    x, y = torch.meshgrid(axis, axis, indexing="ij")
    return x, y


def speeds(c: torch.Tensor) -> Batch:
    return Batch({"wave_speed": c[None, None]})


@pytest.mark.parametrize("damping", [0.0, 0.1])
def test_second_order_on_a_manufactured_solution(damping):
    """u = cos πx cos 2πy (1 + iy²(1 − y)²), no flux, c = 20 + x + y/2: the L² error divides by 4."""
    errors = []
    for n in (17, 33, 65):
        problem = Helmholtz(frequency=100.0, resolution=n, damping=damping)
        x, y = nodes(n)
        square = FunctionSpace(structured_grid(x[:, 0].numpy(), x[:, 0].numpy()), quadrature_degree=5)
        yq, xq = square.quadrature_points.unbind(-1)  # the mesh's first axis is the field's last
        u, minus_laplacian = waves(x, y)[0], waves(xq, yq)[1]
        q = (1 + 1j * damping) * (100 / (20 + xq + yq / 2)) ** 2
        f = minus_laplacian - q * waves(xq, yq)[0]
        f = f if damping else f.real
        A = problem.operator(speeds(20 + x + y / 2))
        b = (load(square, per_quadrature_point).to(f.dtype) @ f.flatten())[None]
        solution = linear_solve(A, b, SuperLU()).value[0]
        exact = (u if damping else u.real).flatten()
        errors.append((solution - exact).norm() / exact.norm())
    assert min(math.log2(errors[i] / errors[i + 1]) for i in range(2)) > 1.9


def waves(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """u = cos πx cos 2πy (1 + i b), b = y²(1 − y)², and −Δu; ∂u/∂n = 0 on the square's sides."""
    b, b1, b2 = y**2 * (1 - y) ** 2, 2 * y * (1 - y) * (1 - 2 * y), 2 - 12 * y + 12 * y**2
    a, a1 = torch.cos(2 * math.pi * y), -2 * math.pi * torch.sin(2 * math.pi * y)
    across = torch.cos(math.pi * x)
    real, imaginary = across * a, across * a * b
    twice = across * (-4 * math.pi**2 * a * b + 2 * a1 * b1 + a * b2) - math.pi**2 * imaginary
    return torch.complex(real, imaginary), torch.complex(5 * math.pi**2 * real, -twice)


def test_constant_speed_has_the_cosine_series():
    """u = Σ_i g_i cos(iπx) cosh(κ_i y)/(κ_i sinh κ_i), κ_i² = (iπ)² − k², g the source's coefficients; error O(h²)."""
    k, errors = 5.0, []
    for n in (33, 65, 129):
        x, y = nodes(n)
        exact = torch.zeros(n, n, dtype=torch.complex128)
        for i in range(120):
            weight = 1.0 if i == 0 else 2.0
            g = 0.3 if i == 0 else (math.sin(i * math.pi * 0.65) - math.sin(i * math.pi * 0.35)) / (i * math.pi)
            kappa = torch.tensor(complex((i * math.pi) ** 2 - k**2)).sqrt()
            # cosh κy / sinh κ without overflow
            rise = (torch.exp(kappa * (y - 1)) + torch.exp(-kappa * (y + 1))) / (1 - torch.exp(-2 * kappa))
            exact += weight * g * torch.cos(i * math.pi * x) * rise / kappa
        u = Helmholtz(frequency=20 * k, resolution=n).solve(speeds(torch.full((n, n), 20.0, dtype=torch.float64)))
        errors.append((u["wave"][0, 0] - exact.real).norm() / exact.real.norm())
    assert errors[-1] < 1e-3
    assert min(errors[i] / errors[i + 1] for i in range(2)) > 3.5


@BOTH
def test_matrix_is_complex_symmetric_and_agrees_with_its_parts(problem):
    """A = Aᵀ = K − (1 + iη) M(ω²/c²), also against a space assembled here in the natural order of the mesh."""
    c = sampled(problem, 2)
    A = problem.operator(c).to_dense()
    torch.testing.assert_close(A, A.mT, rtol=0, atol=1e-12)
    n = problem.resolution
    x = torch.linspace(0, 1, n, dtype=torch.float64).numpy()
    space = FunctionSpace(structured_grid(x, x), quadrature_degree=3)
    swapped = torch.arange(n * n).reshape(n, n).T.flatten()
    q = ((problem.frequency / c["wave_speed"]) ** 2).reshape(2, n, n).mT.flatten(1)
    B = diffusion(space)(1.0).to_dense() - complex(1, problem.damping) * mass(space, per_node)(q).to_dense()
    torch.testing.assert_close(A.to(B.dtype), B[:, swapped][:, :, swapped], rtol=0, atol=1e-11)


@BOTH
def test_reference_solution_is_the_dense_one_and_satisfies_the_discrete_equation(problem):
    c = sampled(problem)
    u = problem.solve(c)
    b = problem.load(c)
    dense = torch.linalg.solve(problem.operator(c).to_dense(), b)
    parts = torch.stack((dense.real, dense.imag), 1) if problem.damping else dense[:, None]
    torch.testing.assert_close(u["wave"].flatten(2), parts, rtol=1e-8, atol=1e-10)
    residual = problem.residual(c, u)["wave"].flatten(1).norm(dim=1)
    assert (residual <= 1e-8 * b.abs().norm(dim=1)).all()


@BOTH
def test_mirrored_speeds_give_mirrored_waves(problem):
    """The source is symmetric: u[c(1 − x)] = u[c](1 − x)."""
    c = sampled(problem)
    mirrored = problem.solve(Batch({"wave_speed": c["wave_speed"].flip(2)}))["wave"]
    torch.testing.assert_close(mirrored, problem.solve(c)["wave"].flip(2), rtol=1e-7, atol=1e-10)


def test_damping_takes_energy_out():
    """Im ∫ u f̄ = η ∫ (ω/c)² |u|² > 0: testing the equation with ū."""
    c = sampled(DAMPED)
    u = torch.complex(*DAMPED.solve(c)["wave"].flatten(2).unbind(1))
    q = (DAMPED.frequency / c["wave_speed"].flatten(1)) ** 2
    elements = square_elements(DAMPED.resolution, torch.float64, torch.device("cpu"))
    kept = [elements.mass(q).mv(part) for part in (u.real, u.imag)]
    stored = (u.real * kept[0] + u.imag * kept[1]).sum(1)
    supplied = (u * DAMPED.load(c).conj()).sum(1).imag
    torch.testing.assert_close(supplied, DAMPED.damping * stored, rtol=1e-9, atol=0)
    assert (supplied > 0).all()


def test_no_damping_is_the_limit_of_small_damping():
    c = sampled(SMALL)
    slightly = Helmholtz(frequency=300.0, resolution=33, damping=1e-9).solve(c)["wave"]
    torch.testing.assert_close(slightly[:, :1], SMALL.solve(c)["wave"], rtol=1e-5, atol=1e-6)


def test_wave_speeds_have_the_stated_law():
    """The mean of g² over the square is Σ_k (π²|k|² + 9)⁻² (and tanh g ≈ g), at strength 10 c fills (19, 21)."""
    problem = Helmholtz(frequency=100.0, resolution=33)
    c = sampled(problem, 400)["wave_speed"]
    k = (math.pi * torch.arange(128, dtype=torch.float64)) ** 2
    variances = (k[:, None] + k + 9) ** -2
    expected = variances.sum() - variances[0, 0]
    assert (c - 20).square().mean() == pytest.approx(expected.item(), rel=0.1)
    wide = sampled(Helmholtz(frequency=100.0, resolution=33, strength=10.0), 20)["wave_speed"]
    assert 19 < wide.min() < 19.3
    assert 20.7 < wide.max() < 21
    fine = sampled(problem.at_resolution(65), 2)["wave_speed"][..., ::2, ::2]
    torch.testing.assert_close(fine, sampled(problem, 2)["wave_speed"], rtol=1e-12, atol=0)


@given(n=st.integers(2, 40), ends=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted))
@settings(deadline=None, max_examples=40)
def test_hat_integrals_are_exact_for_linear_functions(n, ends):
    """Σ φ_i = 1 and Σ x_i φ_i = x, so Σ ∫φ_i = high − low and Σ x_i ∫φ_i = (high² − low²)/2, for any interval."""
    low, high = ends
    parts = hat_integrals(n, low, high)
    assert parts.sum() == pytest.approx(high - low, abs=1e-13)
    assert torch.linspace(0, 1, n, dtype=torch.float64) @ parts == pytest.approx((high**2 - low**2) / 2, abs=1e-13)
    assert (parts >= -1e-15).all()


def test_modes_diagonalise_stiffness_and_mass():
    """Vᵀ K V = Λ and Vᵀ M V = 1 in two dimensions: the constant-speed inverse away from resonance inverts A."""
    n = 17
    elements = square_elements(n, torch.float64, torch.device("cpu"))
    shift = torch.tensor([-40.0, -7.0], dtype=torch.float64)
    M = elements.mass(1.0)
    r = torch.rand(2, n * n, dtype=torch.float64)
    z = ConstantSpeedInverse.of(elements, shift)(r)
    distance = elements.sums - shift[:, None, None]
    undone = elements.synthesised(elements.analysed(r) / distance)
    back = elements.stiffness.mv(undone) - shift[:, None] * M.mv(undone)
    torch.testing.assert_close(back, r, rtol=0, atol=1e-10)
    assert ((z - undone).norm(dim=1) <= 1 / distance.abs().amin((1, 2)) ** 2 * undone.norm(dim=1)).all()


@BOTH
def test_constant_speed_inverse_is_symmetric_and_bounded(problem):
    """M = Mᵀ, Mᴴ is the adjoint, and no factor exceeds 1/(2ε), even at a resonance."""
    c = sampled(problem, 2)
    inverse = problem.preconditioner(c)
    a, b = torch.rand(2, 2, problem.resolution**2, dtype=inverse.factors.dtype)
    torch.testing.assert_close((a * inverse(b)).sum(-1), (inverse(a) * b).sum(-1), rtol=1e-10, atol=0)
    torch.testing.assert_close((a.conj() * inverse(b)).sum(-1), (inverse.H(a).conj() * b).sum(-1), rtol=1e-10, atol=0)
    elements = square_elements(9, torch.float64, torch.device("cpu"))
    at_resonance = ConstantSpeedInverse.of(elements, elements.sums[1, 2].reshape(1))
    assert at_resonance.factors.abs().max() <= 0.5


@BOTH
def test_guesses_are_exact_for_constant_speed(problem):
    """Then ``born`` solves the equation up to its smoothing of the poles, and one step of GMRES removes that."""
    n = problem.resolution
    c = speeds(torch.full((n, n), 20.3, dtype=torch.float64))
    u = problem.solve(c)["wave"]
    assert relative_l2(problem.first_guess(c, "born")["wave"], u).max() < 1e-2
    assert relative_l2(problem.first_guess(c, "krylov")["wave"], u).max() < 1e-4


def test_more_krylov_steps_leave_a_smaller_residual():
    """GMRES: ‖f − A u_k‖ never grows with k; for the published law five steps make the error ten times smaller."""
    c = sampled(SMALL)
    sizes = []
    for steps in (1, 3, 9, 27):
        problem = Helmholtz(frequency=300.0, resolution=33, strength=10.0, krylov_steps=steps)
        sizes.append(problem.residual(c, problem.first_guess(c, "krylov"))["wave"].norm())
    assert sizes == sorted(sizes, reverse=True)
    published = Helmholtz()
    c = sampled(published, 2)
    u = published.solve(c)["wave"]
    born, krylov = (relative_l2(published.first_guess(c, kind)["wave"], u).mean() for kind in published.guesses)
    assert krylov < born / 10


@BOTH
def test_hints_are_linear_in_the_wave_and_vanish_at_the_solution(problem):
    c = sampled(problem, 2)
    u = problem.solve(c)

    def hint(v):
        return problem.hints(c, Batch({"wave": v}))["preconditioned_residual"]

    assert hint(u["wave"]).abs().max() < 1e-8 * u["wave"].abs().max()
    v, w = torch.rand(2, *u["wave"].shape, dtype=torch.float64)
    torch.testing.assert_close(hint(v) + hint(w), 2 * hint((v + w) / 2), rtol=1e-9, atol=1e-9)


@BOTH
def test_correction_is_the_error(problem):
    """A⁻¹(f − A u) = u* − u, to the tolerance of its GMRES."""
    c = sampled(problem)
    u, guess = problem.solve(c)["wave"], problem.first_guess(c, "born")
    error = u - guess["wave"]
    missed = (problem.correction(c, guess)["wave"] - error).flatten(1).norm(dim=1)
    assert (missed < 1e-2 * error.flatten(1).norm(dim=1)).all()


@BOTH
def test_gradients_are_those_of_the_equation(problem):
    small = Helmholtz(frequency=60.0, resolution=7, damping=problem.damping)
    c = sampled(small, 1)["wave_speed"].requires_grad_()
    u = torch.rand(1, 2 if problem.damping else 1, 7, 7, dtype=torch.float64, requires_grad=True)
    for verb, name in ((small.residual, "wave"), (small.hints, "preconditioned_residual")):
        assert torch.autograd.gradcheck(
            lambda c, u, verb=verb, name=name: verb(Batch({"wave_speed": c}), Batch({"wave": u}))[name], (c, u)
        )


@BOTH
def test_gradient_of_the_correction_is_the_adjoint_solve(problem):
    """d⟨w, A⁻¹(f − A u)⟩/du = −w, to the tolerance of GMRES, and d/dc is that of the exact solve."""
    c = sampled(problem, 2)["wave_speed"].requires_grad_()
    u = problem.first_guess(Batch({"wave_speed": c.detach()}), "born")["wave"].requires_grad_()
    w = torch.rand_like(u)
    inputs = Batch({"wave_speed": c})
    du, dc = torch.autograd.grad((problem.correction(inputs, Batch({"wave": u}))["wave"] * w).sum(), (u, c))
    torch.testing.assert_close(du, -w, rtol=0, atol=2e-2)
    exact = problem.fields(linear_solve(problem.operator(inputs), problem.load(inputs), SuperLU()).value, inputs)
    (expected,) = torch.autograd.grad((exact["wave"] * w).sum(), c)
    assert (dc - expected).norm() < 1e-2 * expected.norm()


def test_constant_speed_inverse_is_a_good_preconditioner():
    """For the published law GMRES needs about a dozen steps to 1e-8, where without it needs hundreds."""
    problem = Helmholtz()
    c = sampled(problem, 2)
    A, b = problem.operator(c), problem.load(c)
    solution = linear_solve(A, b, GMRES(rtol=1e-8, restart=40), problem.preconditioner(c))
    assert solution.stats.iterations.max() <= 20
    assert relative_l2(problem.fields(solution.value, c)["wave"], problem.solve(c)["wave"]).max() < 1e-5


@BOTH
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_of_the_caller_is_kept(problem, dtype):
    c = sampled(problem).to(dtype=dtype)
    u = problem.solve(c)
    channels = 2 if problem.damping else 1
    for result in (
        u["wave"],
        problem.residual(c, u)["wave"],
        problem.hints(c, u)["preconditioned_residual"],
        problem.first_guess(c, "born")["wave"],
        problem.first_guess(c, "krylov")["wave"],
        problem.correction(c, problem.first_guess(c, "born"))["wave"],
    ):
        assert result.dtype == dtype
        assert result.shape == (3, channels, 33, 33)


@BOTH
def test_empty_batch_solves_to_an_empty_batch(problem):
    c = sampled(problem)
    assert problem.solve(c.rows(slice(0, 0)))["wave"].shape == (0, problem.outputs[0].channels, 33, 33)


@pytest.mark.parametrize("value", [0.0, -20.0, float("nan")])
def test_a_wave_speed_that_is_not_positive_is_refused(value):
    c = sampled(SMALL)
    c["wave_speed"][1, 0, 3, 4] = value
    with pytest.raises(ProblemError, match=r"'wave_speed' must be positive .* sample 1 "):
        SMALL.solve(c)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"resolution": 16}, "at least 33 nodes"),
        ({"resolution": 4, "frequency": 1.0}, "at least 5 nodes"),
        ({"damping": -0.1}, "damping -0.1: at least 0"),
        ({"damping": float("nan")}, "damping nan"),
        ({"frequency": 0.0}, "frequency 0.0: a positive"),
        ({"strength": -1.0}, "strength -1.0: a positive"),
        ({"krylov_steps": 0}, "at least 1 step"),
    ],
)
def test_impossible_parameters_are_named(arguments, match):
    with pytest.raises(ProblemError, match=match):
        Helmholtz(**arguments)


def test_fields_of_another_shape_are_refused():
    with pytest.raises(ProblemError, match=r"expected \(samples, 1, n, n\)"):
        SMALL.operator(Batch({"wave_speed": torch.ones(2, 1, 9, 8)}))


def test_unknown_first_guess_is_named():
    with pytest.raises(ProblemError, match="born, krylov"):
        SMALL.first_guess(sampled(SMALL), "magic")


def test_the_problem_describes_itself():
    assert describe_problem(Helmholtz())["name"] == "helmholtz"
    assert Helmholtz().outputs[0].channels == 1
    assert Helmholtz(damping=0.1).outputs[0].channels == 2
