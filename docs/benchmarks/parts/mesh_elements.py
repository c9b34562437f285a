"""The rows on finite elements: orders of convergence, batched assembly against scikit-fem, two known numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import skfem
import torch
from skfem.helpers import dot, grad
from torch import Tensor

from meshes import Mesh
from meshes.finite_elements import (
    DirichletCondition,
    FunctionSpace,
    boundary_quadrature_points,
    diffusion,
    dofs_on,
    elasticity,
    l2_error,
    lame,
    lame_plane_stress,
    load,
    nodal_gradients,
    per_quadrature_point,
    stress,
    traction,
)
from meshes.generate import structured_grid, to_simplices
from parts.record import Record, at_least, at_most
from parts.timing import interleaved
from solvers import CG, CSROperator, Jacobi, SuperLU, linear_solve

__all__ = ["measure"]

WAVES = torch.tensor([[1.7, 0.6, -0.5], [0.7, -1.4, 0.8], [-0.6, 0.9, 1.5]], dtype=torch.float64)
COEFFICIENT = torch.tensor([0.5, 0.3, 0.4], dtype=torch.float64)
#: Vertical displacement in the middle of the right side: the limit of fine meshes in the literature.
COOK = 23.96

Error = Callable[[Mesh, int], float]


def measure(record: Record, quick: bool) -> None:
    """All rows."""
    orders(record, quick)
    batched_assembly(record, quick)
    known_numbers(record, quick)


def orders(record: Record, quick: bool) -> None:
    """Orders in L2 on three grids of each cell type; the figure is the smallest over cells and dimensions."""
    rows = []
    for name, error in {"diffusion": diffusion_error, "elasticity": elasticity_error}.items():
        for degree in (1, 2):
            lowest = np.inf
            for cell in ("triangle", "quad", "tetra", "hexahedron"):
                sides = _sides(cell, degree, quick)
                errors = [error(bent(grid(cell, n)), degree) for n in sides]
                found = np.log2(np.divide(errors[:-1], errors[1:]))
                lowest = min(lowest, float(found[-1]))
                rows.append([name, f"P{degree}", cell, ", ".join(map(str, sides)), *errors, *map(float, found)])
            bar = at_least(degree + 0.9)
            record.figure(f"{name}_p{degree}.l2_order", lowest, unit="1", bar=bar, note="smallest over the cell types")
    columns = ["equation", "degree", "cells", "cells a side", "error 1", "error 2", "error 3", "order 1→2", "order 2→3"]
    caption = (
        "L2 errors against manufactured solutions on grids bent by a smooth wave: −∇·(κ ∇u) = f with κ = 1 + k·x, and "
        "linear elasticity (plane strain in 2D), ν = 0.3; Dirichlet conditions all around."
    )
    record.table("orders", columns, rows, caption)


def batched_assembly(record: Record, quick: bool) -> None:
    """256 diffusion operators on a mesh of ten thousand nodes: one sparse product against a loop of scikit-fem."""
    n, count = (10, 8) if quick else (99, 256)
    space = FunctionSpace(grid("triangle", n))
    fields = torch.rand(count, space.cell_count, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.5
    basis, constants = space.basis, space.basis.with_element(skfem.ElementTriP0())
    form = skfem.BilinearForm(lambda u, v, w: w["k"] * dot(grad(u), grad(v)))
    assembly = diffusion(space)

    def loop() -> list[Any]:
        return [form.assemble(basis, k=constants.interpolate(field)) for field in fields.numpy()]

    def with_gradient() -> Tensor:
        k = fields.clone().requires_grad_()
        return torch.autograd.grad(assembly(k).values.square().sum(), k)[0]

    jobs: dict[str, Callable[[], Any]] = {
        "scikit-fem, loop": loop,
        "one product": lambda: assembly(fields),
        "one product, and its gradient": with_gradient,
        "set-up of the map": lambda: diffusion(FunctionSpace(space.mesh)),
    }
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = {name: min(seconds) for name, seconds in interleaved(jobs, 1 if quick else 5).items()}
    finally:
        torch.set_num_threads(threads)
    difference = _largest_difference(assembly(fields), loop())
    note = f"{count} fields, {space.node_count} nodes; " + ", ".join(f"{k} {1e3 * v:.3g} ms" for k, v in times.items())
    ratio = times["one product"] / times["scikit-fem, loop"]
    record.figure("batched_assembly_over_skfem_loop.time", ratio, timed=True, unit="1", bar=at_most(0.1), note=note)
    with_setup = ratio + times["set-up of the map"] / times["scikit-fem, loop"]
    record.figure("batched_assembly_with_setup_over_skfem_loop.time", with_setup, timed=True, unit="1", note=note)
    record.figure("batched_assembly.max_difference", difference, unit="1", bar=at_most(1e-12), note="relative")
    caption = (
        f"{count} coefficient fields on {space.cell_count} triangles, float64, one thread; scikit-fem's bases ready."
    )
    record.table("assembly", ["job", "ms"], [[name, 1e3 * seconds] for name, seconds in times.items()], caption)


def known_numbers(record: Record, quick: bool) -> None:
    """Cook's membrane and the stress at a circular hole, degree 1 and 2 on finer and finer grids."""
    rows = []
    sizes = (4, 8) if quick else (8, 16, 32, 64)
    for degree in (1, 2):
        for cell in ("triangle", "quad"):
            deflections = [cooks_membrane(grid(cell, n), degree) for n in sizes]
            factors = [stress_concentration(grid(cell, n), degree) for n in sizes]
            rows.append(["Cook's membrane: deflection", COOK, f"P{degree}", cell, *deflections])
            rows.append(["hole in an infinite plate: stress", 3.0, f"P{degree}", cell, *factors])
    for name, known, row in (("cook", COOK, rows[-2]), ("plate_with_hole", 3.0, rows[-1])):
        deviation = abs(float(row[-1]) / known - 1)
        note = f"P2 quadrilaterals, {sizes[-1]} a side: {row[-1]:.5g}, known {known}"
        record.figure(f"{name}.relative_deviation", deviation, unit="1", bar=at_most(0.01), note=note)
    caption = (
        "Plane stress. Cook's membrane with E = 1, ν = 1/3, shear force 1: rise of the middle of the right side; "
        "Kirsch's plate: largest stress at the hole over that far away, 3 exactly, on an annulus from r = 1 to 5 with "
        "the exact tractions outside, from gradients averaged at the node."
    )
    record.table(
        "known_numbers", ["problem", "known", "degree", "cells", *[f"{n} a side" for n in sizes]], rows, caption
    )


def diffusion_error(mesh: Mesh, degree: int) -> float:
    """−∇·(κ ∇u) = f with u = sin(w·x), κ = 1 + k·x, hence f = κ |w|² sin − (k·w) cos."""
    space = FunctionSpace(mesh, degree)
    w, k = WAVES[0, : mesh.dimension], COEFFICIENT[: mesh.dimension]
    x = space.quadrature_points
    kappa = 1 + x @ k
    f = kappa * (w @ w) * torch.sin(x @ w) - (k @ w) * torch.cos(x @ w)
    A = diffusion(space, per_quadrature_point)(kappa.flatten())
    return _error(space, A, load(space, per_quadrature_point) @ f.flatten(), lambda x: torch.sin(x @ w))


def elasticity_error(mesh: Mesh, degree: int) -> float:
    """u_i = sin(w_i·x): f_k = (λ + μ) Σ_i w_ii w_ik sin(w_i·x) + μ |w_k|² sin(w_k·x)."""
    d = mesh.dimension
    space = FunctionSpace(mesh, degree, components=d)
    W, moduli = WAVES[:d, :d], lame(2.0, 0.3)
    waves = torch.sin(space.quadrature_points @ W.T)
    f = moduli.sum() * waves @ (W.diagonal()[:, None] * W) + moduli[1] * waves * W.square().sum(1)
    forces = load(space, per_quadrature_point) @ f.flatten()
    return _error(space, elasticity(space)(moduli), forces, lambda x: torch.sin(x @ W.T))


def cooks_membrane(square: Mesh, degree: int) -> float:
    """Rise of the middle of the right side of the tapered sheet (0, 0), (48, 44), (48, 60), (0, 44)."""
    x, y = square.points.T
    sheet = square.with_points(np.stack([48 * x, 44 * x * (1 - y) + y * (44 + 16 * x)], axis=1))
    space = FunctionSpace(sheet, degree, components=2)
    clamped, T = DirichletCondition.on(space, "left"), traction(space, "right")
    shear = torch.tensor([0.0, 1 / 16], dtype=torch.float64).repeat(T.shape[1] // 2)
    A, b = clamped.eliminate(elasticity(space)(lame_plane_stress(1.0, 1 / 3)), T @ shear)
    u = clamped.extend(linear_solve(A, b, SuperLU()).value)
    middle = np.linalg.norm(space.nodes - [48.0, 52.0], axis=1).argmin()
    return float(u[2 * middle + 1])


def stress_concentration(square: Mesh, degree: int) -> float:
    """σ_xx at the top of a hole of radius 1 under unit tension along x; a quarter of the annulus 1 < r < 5."""
    angle, r = np.pi / 2 * square.points[:, 1], 5.0 ** square.points[:, 0]
    annulus = square.with_points(r[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1))
    space = FunctionSpace(annulus, degree, components=2)
    held = DirichletCondition(
        space, np.union1d(dofs_on(space, "bottom", component=1), dofs_on(space, "top", component=0))
    )
    x = boundary_quadrature_points(space, "right")
    f = traction(space, "right", per_quadrature_point) @ _kirsch_traction(x, 5.0).flatten()
    moduli = lame_plane_stress(1.0, 0.3)
    A, b = held.eliminate(elasticity(space)(moduli), f)
    u = held.extend(linear_solve(A, b, SuperLU()).value)
    sigma = stress((nodal_gradients(space) @ u).unflatten(-1, (-1, 2, 2)), moduli)
    top = np.linalg.norm(space.nodes - [0.0, 1.0], axis=1).argmin()
    return float(sigma[top, 0, 0])


def _kirsch_traction(x: Tensor, outer: float) -> Tensor:
    """Tractions σ e_r of Kirsch's solution (1898) on the circle of this radius, ``(..., 2)``."""
    theta = torch.atan2(x[..., 1], x[..., 0])
    q = 1 / outer**2
    radial = 0.5 * (1 - q) + 0.5 * (1 - 4 * q + 3 * q**2) * torch.cos(2 * theta)
    shear = -0.5 * (1 + 2 * q - 3 * q**2) * torch.sin(2 * theta)
    cos, sin = theta.cos(), theta.sin()
    return torch.stack([radial * cos - shear * sin, radial * sin + shear * cos], dim=-1)


def grid(cell: str, n: int) -> Mesh:
    """n cells a side of the unit square or cube."""
    axis = np.linspace(0, 1, n + 1)
    mesh = structured_grid(*[axis] * (2 if cell in ("triangle", "quad") else 3))
    return to_simplices(mesh) if cell in ("triangle", "tetra") else mesh


def bent(mesh: Mesh) -> Mesh:
    """No parallelograms: inner points along a smooth wave."""
    wave = 0.02 * np.prod(np.sin(2 * np.pi * mesh.points), axis=1, keepdims=True)
    return mesh.with_points(mesh.points + wave)


def _sides(cell: str, degree: int, quick: bool) -> Sequence[int]:
    if quick:
        return (2, 3, 4)
    if cell in ("triangle", "quad"):
        return (16, 32, 64)
    return (4, 8, 16) if degree == 1 else (2, 4, 8)


def _error(space: FunctionSpace, A: Any, f: Tensor, exact: Callable[[Tensor], Tensor]) -> float:
    everywhere = DirichletCondition.on(space)
    g = exact(torch.from_numpy(space.nodes)).flatten()
    reduced, b = everywhere.eliminate(A, f, g)
    u = everywhere.extend(linear_solve(reduced, b, CG(rtol=1e-11, max_iterations=5000), Jacobi()).value, g)
    return float(l2_error(replace(space, quadrature_degree=space.quadrature_order + 2), u, exact))


def _largest_difference(operators: CSROperator, matrices: list[Any]) -> float:
    """Largest deviation of the entries, over the largest entry."""
    ours = (operators.replace((values,)).to_scipy() for values in operators.values)
    return max(float(abs(A - B).max() / abs(B).max()) for A, B in zip(ours, matrices, strict=True))
