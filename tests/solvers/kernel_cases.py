"""Operators, fields and calls on which every backend must equal the reference."""

from collections.abc import Callable, Iterator

import torch
from solver_cases import diffusion, normal
from torch import Tensor

from solvers import DampedJacobi, DiffusionOperator, GeometricMultigrid, RedBlackGaussSeidel
from solvers.kernels import Reference, Taps
from solvers.multigrid.coarsening import coarsen

TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-4}

#: name: (grid, boundary or "vertex", axes to coarsen)
GRIDS: dict[str, tuple[tuple[int, ...], object, tuple[int, ...]]] = {
    "1-D": ((16,), "dirichlet", (0,)),
    "1-D one point": ((1,), "dirichlet", ()),
    "1-D odd": ((7,), "neumann", (0,)),
    "1-D periodic": ((8,), "periodic", (0,)),
    "1-D vertices": ((9,), "vertex", (0,)),
    "1-D even vertices": ((8,), "vertex", (0,)),
    "1-D pair": ((2,), "periodic", (0,)),
    "2-D": ((8, 12), "dirichlet", (0, 1)),
    "2-D odd": ((7, 5), "dirichlet", (0, 1)),
    "2-D periodic": ((4, 6), "periodic", (0, 1)),
    "2-D vertices": ((7, 10), "vertex", (0, 1)),
    "2-D along one axis": ((6, 5), "dirichlet", (1,)),
    "2-D one row": ((1, 9), "dirichlet", (1,)),
    "2-D one column": ((9, 1), "neumann", (0,)),
    "3-D": ((4, 6, 8), "dirichlet", (0, 1, 2)),
    "3-D odd": ((5, 3, 7), "neumann", (0, 1, 2)),
    "3-D periodic": ((4, 2, 6), "periodic", (0, 1, 2)),
    "3-D vertices": ((7, 4, 5), "vertex", (0, 1, 2)),
    "3-D along two axes": ((4, 3, 6), "dirichlet", (0, 2)),
    "3-D one point": ((1, 1, 1), "dirichlet", ()),
}


def operator(name: str, batch: tuple[int, ...], dtype: torch.dtype, device: str = "cpu") -> DiffusionOperator:
    """With random coefficients."""
    grid, boundary, _ = GRIDS[name]
    A = diffusion(grid, batch, "dirichlet" if boundary == "vertex" else boundary, reaction=0.1, dtype=dtype)
    A = DiffusionOperator(A.faces, A.reaction, alignment="vertex") if boundary == "vertex" else A
    return A.replace(tuple(parameter.to(device) for parameter in A.parameters()))


def calls(name: str, dtype: torch.dtype, device: str = "cpu") -> Iterator[tuple[str, Callable[[Reference], Tensor]]]:
    """The kernels of one grid, with two operators repeated to a batch of four."""
    A = operator(name, (2,), dtype, device)
    steps, _ = coarsen(A, GRIDS[name][2])
    b, u = (normal(4, *A.grid, seed=seed, dtype=dtype).to(device) for seed in (0, 1))
    yield "apply", lambda k: k.apply(A.links, u)
    yield "residual", lambda k: k.residual(A.links, b, u)
    yield "jacobi", lambda k: k.jacobi(A.links, b, u, 0.7)
    yield "red_black", lambda k: k.red_black(A.links, b, u)
    yield "black_red", lambda k: k.red_black(A.links, b, u, reverse=True)
    if steps:
        yield "restrict", lambda k: k.restrict(steps, u)
        coarse = Reference().restrict(steps, u)
        yield "prolong", lambda k: k.prolong(steps, coarse)
    for smoother in (RedBlackGaussSeidel(), DampedJacobi(0.7)):
        data = GeometricMultigrid(pre=2, post=1, smoother=smoother).setup(A).data
        yield f"correct by {smoother}", lambda k, data=data: k.correct(data, b)
        yield f"full multigrid by {smoother}", lambda k, data=data: k.full_multigrid(data, b, 2)


def stencils(dtype: torch.dtype, device: str = "cpu") -> Iterator[tuple[Taps, Tensor, Tensor]]:
    """Near, far and diagonal neighbours, also further away than the grid is wide, products and adjoints."""
    for grid in [(1,), (7,), (5, 4), (1, 6), (3, 4, 5), (2, 1, 3)]:
        d = len(grid)
        offsets = [(0,) * d, (1,) * d, (-2,) + (0,) * (d - 1), (0,) * (d - 1) + (2,), (0,) * (d - 1) + (-9,), (3,) * d]
        c = normal(2, len(offsets), *grid, dtype=dtype).to(device)
        x = normal(6, *grid, seed=1, dtype=dtype).to(device)
        for periodic in [(False,) * d, (True,) * d, (True, False, True)[:d]]:
            yield Taps.forward(offsets, periodic), c, x
            yield Taps.adjoint(offsets, periodic), c, x


def assert_equal(name: str, found: Tensor, expected: Tensor) -> None:
    """Up to rounding relative to the largest value."""
    tolerance = TOLERANCE[expected.dtype]
    scale = float(expected.abs().max()) if expected.numel() else 1.0
    torch.testing.assert_close(
        found, expected, rtol=tolerance, atol=tolerance * scale, msg=lambda text: f"{name}: {text}"
    )
