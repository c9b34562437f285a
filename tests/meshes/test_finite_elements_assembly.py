"""Assembled operators: against scikit-fem, as linear maps of their coefficients, in batches, differentiable."""

from __future__ import annotations

import numpy as np
import pytest
import skfem
import torch
from finite_element_grids import CELLS, grid, shaken
from hypothesis import given, settings
from hypothesis import strategies as st
from skfem.helpers import ddot, div, dot, grad, sym_grad

from meshes import MeshError, cell_volumes
from meshes.finite_elements import (
    DirichletCondition,
    FunctionSpace,
    advection,
    anisotropic_diffusion,
    boundary_mass,
    diffusion,
    elasticity,
    lame,
    load,
    mass,
    per_node,
    per_quadrature_point,
    traction,
)
from solvers import SuperLU, linear_solve

SPACES = [(kind, degree) for kind in CELLS for degree in (1, 2)]


def space_of(kind: str, degree: int, components: int = 1, n: int = 2) -> FunctionSpace:
    return FunctionSpace(shaken(grid(kind, n if kind in ("tetra", "hexahedron") else n + 2)), degree, components)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.5


def theirs(form, space: FunctionSpace, *fields: torch.Tensor) -> np.ndarray:
    """scikit-fem's own matrix, with coefficients that are constant in every cell."""
    element = space.basis.elem
    element = skfem.ElementVector(element) if space.components > 1 else element
    basis = skfem.CellBasis(space.basis.mesh, element, intorder=space.quadrature_order)
    data = {f"c{i}": field.numpy()[..., None] * np.ones(basis.dx.shape) for i, field in enumerate(fields)}
    return skfem.BilinearForm(form).assemble(basis, **data).toarray()


def assert_equals(ours: torch.Tensor, reference: np.ndarray) -> None:
    torch.testing.assert_close(ours, torch.from_numpy(reference), rtol=0, atol=1e-12 * np.abs(reference).max())


@pytest.mark.parametrize(("kind", "degree"), SPACES)
def test_scalar_operators_are_scikit_fems(kind, degree):
    """∫ κ ∇u·∇v, ∫ ρ u v, ∫ (b·∇u) v with a coefficient a cell, to 1e-12."""
    space = space_of(kind, degree)
    a, b = random(space.cell_count), random(space.cell_count, space.dimension, seed=1)
    assert_equals(diffusion(space)(a).to_dense(), theirs(lambda u, v, w: w["c0"] * dot(grad(u), grad(v)), space, a))
    assert_equals(mass(space)(a).to_dense(), theirs(lambda u, v, w: w["c0"] * u * v, space, a))
    one_channel = b[:, 0] if space.dimension == 1 else b
    ours = advection(space)(one_channel).to_dense()
    assert_equals(ours, theirs(lambda u, v, w: dot(w["c0"], grad(u)) * v, space, b.T))


@pytest.mark.parametrize(("kind", "degree"), SPACES[2:])
def test_elasticity_is_scikit_fems(kind, degree):
    """∫ λ ∇·u ∇·v + 2 μ ε(u):ε(v) with λ, μ by cell, to 1e-12, numbered as scikit-fem's vector elements."""
    space = space_of(kind, degree, components=3 if kind in ("tetra", "hexahedron") else 2, n=1)
    moduli = random(space.cell_count, 2)

    def form(u, v, w):
        return w["c0"] * div(u) * div(v) + 2 * w["c1"] * ddot(sym_grad(u), sym_grad(v))

    assert_equals(elasticity(space)(moduli).to_dense(), theirs(form, space, moduli[:, 0], moduli[:, 1]))


@pytest.mark.parametrize("kind", ["triangle", "hexahedron"])
def test_an_isotropic_tensor_is_the_scalar_coefficient(kind):
    """K = κ I gives ∫ κ ∇u·∇v; a full K is scikit-fem's ∫ ∇v·K ∇u."""
    space = space_of(kind, 2, n=1)
    d = space.dimension
    kappa = random(space.cell_count)
    tensor = torch.zeros(space.cell_count, d * (d + 1) // 2, dtype=torch.float64)
    tensor[:, :d] = kappa[:, None]
    assert_equals(anisotropic_diffusion(space)(tensor).to_dense(), diffusion(space)(kappa).to_dense().numpy())
    tensor = random(space.cell_count, d * (d + 1) // 2)
    pairs = {2: [(0, 0), (1, 1), (0, 1)], 3: [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]}[d]

    def form(u, v, w):
        return sum(
            w[f"c{k}"] * (grad(u)[i] * grad(v)[j] + (i != j) * grad(u)[j] * grad(v)[i])
            for k, (i, j) in enumerate(pairs)
        )

    assert_equals(anisotropic_diffusion(space)(tensor).to_dense(), theirs(form, space, *tensor.T))


@pytest.mark.parametrize(("kind", "degree"), SPACES)
def test_loads_and_boundary_terms_are_scikit_fems(kind, degree):
    """∫ f v with f by cell, and ∫_Γ t v, ∫_Γ α u v over the right side."""
    space = space_of(kind, degree)
    f = random(space.cell_count)
    form = skfem.LinearForm(lambda v, w: w["f"] * v)
    assert_equals(load(space) @ f, form.assemble(space.basis, f=f.numpy()[:, None] * np.ones(space.basis.dx.shape)))
    side = skfem.FacetBasis(
        space.basis.mesh,
        space.basis.elem,
        facets=space.basis.mesh.boundaries["right"],
        intorder=space.quadrature_order,
    )
    T = traction(space, "right")
    t = random(T.shape[1])
    field = t.numpy()[:, None] * np.ones(side.dx.shape)
    assert_equals(T @ t, form.assemble(side, f=field))
    robin = skfem.BilinearForm(lambda u, v, w: w["f"] * u * v).assemble(side, f=field).toarray()
    assert_equals(boundary_mass(space, "right")(t).to_dense(), robin)


@pytest.mark.parametrize(("kind", "degree"), SPACES)
def test_constants_are_conserved(kind, degree):
    """Σ M = volume, K 1 = 0, C 1 = 0, Σ load = volume, Σ traction = area: the shape functions sum to one."""
    space = space_of(kind, degree)
    one = torch.ones(space.size, dtype=torch.float64)
    volumes = next(iter(cell_volumes(space.mesh).values()))
    cells = torch.ones(space.cell_count, dtype=torch.float64)
    torch.testing.assert_close(torch.dot(one, mass(space)(1.0) @ one), torch.tensor(volumes.sum()))
    assert float((diffusion(space)(1.0) @ one).abs().max()) < 1e-12
    torch.testing.assert_close((load(space) @ cells).sum(), torch.tensor(volumes.sum()))
    T = traction(space, "right")
    torch.testing.assert_close((T @ torch.ones(T.shape[1], dtype=torch.float64)).sum(), one[0])


@pytest.mark.parametrize(
    "form", [mass, diffusion, anisotropic_diffusion, advection, elasticity], ids=lambda f: f.__name__
)
def test_a_batch_is_the_stack_of_its_members(form):
    """S [c₁, c₂, …] = [S c₁, S c₂, …], and S (2 c₁ − c₂) = 2 S c₁ − S c₂."""
    space = space_of("triangle", 2, components=2)
    assembly = form(space)
    tail = () if assembly.channels == 1 else (assembly.channels,)
    c = random(2, 3, space.cell_count, *tail)
    batch = assembly(c)
    assert batch.batch_shape == (2, 3)
    torch.testing.assert_close(batch.values[1, 2], assembly(c[1, 2]).values, rtol=1e-14, atol=1e-14)
    combined = assembly(2 * c[0, 0] - c[0, 1]).values
    torch.testing.assert_close(combined, 2 * batch.values[0, 0] - batch.values[0, 1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("kind", "degree"), SPACES)
def test_layouts_agree_where_they_describe_one_coefficient(kind, degree):
    """A constant by cell, by node and by quadrature point; a linear one by node and by quadrature point."""
    space = space_of(kind, degree)
    whole = diffusion(space)(2.0).values
    torch.testing.assert_close(diffusion(space, per_node)(2.0).values, whole, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(diffusion(space, per_quadrature_point)(2.0).values, whole, rtol=1e-11, atol=1e-12)
    nodes = 1 + torch.from_numpy(space.nodes) @ torch.arange(1.0, space.dimension + 1, dtype=torch.float64)
    points = 1 + space.quadrature_points @ torch.arange(1.0, space.dimension + 1, dtype=torch.float64)
    by_point = diffusion(space, per_quadrature_point)(points.flatten()).values
    torch.testing.assert_close(diffusion(space, per_node)(nodes).values, by_point, rtol=1e-11, atol=1e-12)


@settings(deadline=None, max_examples=15)
@given(kind=st.sampled_from(CELLS), degree=st.sampled_from([1, 2]), seed=st.integers(0, 2**16))
def test_stiffness_is_symmetric_and_semidefinite_on_any_shaken_mesh(kind, degree, seed):
    """A = Aᵀ, xᵀ A x ≥ 0; all operators of a space share one pattern."""
    space = FunctionSpace(shaken(grid(kind, 2), seed=seed), degree)
    A = diffusion(space)(random(space.cell_count, seed=seed))
    assert A.is_hermitian()
    assert float(torch.linalg.eigvalsh(A.to_dense())[0]) > -1e-12
    assert A.pattern is mass(space)(1.0).pattern


@pytest.mark.parametrize("degree", [1, 2])
def test_a_whole_chain_passes_gradcheck(degree):
    """κ, f, g ↦ operator ↦ elimination ↦ solve ↦ ⟨u, M u⟩: first and second derivatives are right."""
    space = FunctionSpace(shaken(grid("triangle", 2)), degree)
    sides = DirichletCondition.on(space, "left", "right")
    stiffness, force, M = diffusion(space), load(space), mass(space)(1.0)

    def functional(kappa, f, g):
        A, b = sides.eliminate(stiffness(kappa), force @ f, g)
        u = sides.extend(linear_solve(A, b, SuperLU()).value, g)
        return (u * (M @ u)).sum(-1)

    inputs = [random(2, space.cell_count), random(space.cell_count, seed=1), random(space.size, seed=2)]
    inputs = [tensor.requires_grad_() for tensor in inputs]
    assert torch.autograd.gradcheck(functional, inputs, rtol=1e-6, atol=1e-8)
    if degree == 1:
        assert torch.autograd.gradgradcheck(functional, inputs, rtol=1e-5, atol=1e-7)


def test_an_elastic_chain_passes_gradcheck():
    """E, ν by cell and the traction ↦ compliance tᵀ u."""
    space = FunctionSpace(shaken(grid("quad", 2)), 1, components=2)
    clamped, K, T = DirichletCondition.on(space, "left"), elasticity(space), traction(space, "right")

    def compliance(E, nu, t):
        f = T @ t
        A, b = clamped.eliminate(K(lame(E, nu)), f)
        return (f * clamped.extend(linear_solve(A, b, SuperLU()).value)).sum()

    E, nu, t = random(space.cell_count), 0.3 * random(space.cell_count, seed=1), random(T.shape[1], seed=2)
    inputs = [tensor.requires_grad_() for tensor in (E, nu, t)]
    assert torch.autograd.gradcheck(compliance, inputs, rtol=1e-6, atol=1e-8)


def test_advection_diffusion_is_a_sum_on_one_pattern():
    """−κ u″ + b u′ = 0 on a line: the P1 solution is nodally exact when b h ≪ κ is refined, order 2."""
    errors = []
    for n in (16, 32):
        space = FunctionSpace(grid("line", n))
        A = (diffusion(space)(0.2) + advection(space)(1.0)).to_csr()
        x = torch.from_numpy(space.nodes[:, 0])
        exact = torch.expm1(x / 0.2) / torch.expm1(torch.tensor(1 / 0.2, dtype=torch.float64))
        ends = DirichletCondition.on(space)
        reduced, b = ends.eliminate(A, torch.zeros_like(x), exact)
        assert not reduced.tags
        errors.append(float((ends.extend(linear_solve(reduced, b, SuperLU()).value, exact) - exact).abs().max()))
    assert errors[0] / errors[1] > 3.7


def test_the_map_moves_to_single_precision():
    """float32 coefficients need a float32 map; the answers agree to its precision."""
    space = space_of("triangle", 1)
    c = random(space.cell_count)
    single = diffusion(space).to(torch.float32)(c.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.values.double(), diffusion(space)(c).values, rtol=1e-5, atol=1e-6)


def test_coefficients_that_do_not_fit_are_named():
    space = space_of("triangle", 1, components=2)
    with pytest.raises(MeshError, match=r"coefficient \(7,\): expected \(\*batch, 32\), one a cell"):
        diffusion(space)(random(7))
    with pytest.raises(
        MeshError, match=r"coefficient \(32,\): expected \(\*batch, 32, 2\), one a cell with 2 channels"
    ):
        elasticity(space)(random(32))
    with pytest.raises(MeshError, match=r"torch.float32, assembly in torch.float64: convert"):
        diffusion(space)(random(32).float())
    assert repr(elasticity(space)) == "AssemblyMap: 32 coefficients, one a cell × 2 channels -> 50 × 50 matrices"
