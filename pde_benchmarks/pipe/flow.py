"""Steady viscous flow through a channel: Stokes' equations, and Navier–Stokes by Newton's method."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.grid import Grid
from pde_benchmarks.grid_transfer import inject, interpolate
from pde_benchmarks.pipe.parallel_flow import parallel_flow
from pde_benchmarks.pipe.taylor_hood import CellIntegrals, TaylorHood, taylor_hood
from solvers import SuperLU, linear_solve

__all__ = ["Flow", "linearised_flow", "navier_stokes_flow", "stokes_flow"]

# Minimum degree on A + Aᵀ, SuperLU's choice for symmetric patterns, fills saddle points twice as much.
DIRECT = SuperLU(rtol=1e-10, ordering="COLAMD")
NEWTON_STEPS = 20
NEWTON_RTOL = 1e-6  # of the last step: convergence is quadratic, so that the error is about its square
FEWEST_NODES = 33
EASY_VISCOSITY = 0.01


@dataclass(frozen=True, eq=False)
class Flow:
    """Velocities ``(count, 2, n, n)`` at the nodes and pressures ``(count, m, m)`` at every second of them."""

    velocity: Tensor
    pressure: Tensor

    @classmethod
    def of(cls, elements: TaylorHood, flat: Tensor) -> Flow:
        """Split flat vectors ``(count, size)``."""
        velocity, pressure = flat.split([2 * elements.n**2, elements.m**2], -1)
        return cls(velocity.unflatten(-1, (2, elements.n, elements.n)), pressure.unflatten(-1, (elements.m,) * 2))


def stokes_flow(coordinates: Tensor, inflow: Tensor, load: Tensor | None = None, viscosity: float = 1.0) -> Flow:
    """−ν Δu + ∇p = 0, ∇·u = 0; u given at the inlet, zero at the walls, ν ∂u/∂n − p n = 0 at the outlet.

    Parameters
    ----------
    coordinates
        Grids ``(count, 2, n, n)``, float64: axis 0 runs from inlet to outlet, axis 1 from wall to wall.
    inflow
        Velocities ``(count, 2, n)`` at the nodes of the inlet.
    load
        ∫ f·φ and ∫ (traction)·φ, ``(count, size)``; none by default.

    Raises
    ------
    ProblemError
        A cell is inverted (with the number of its sample).
    """
    elements = taylor_hood(coordinates.shape[-1], False)
    held = _held(elements, inflow)
    load = torch.zeros_like(held) if load is None else load
    local = _integrals(elements, coordinates).stokes(viscosity)
    return Flow.of(elements, _solved(elements, local, load, held))


def navier_stokes_flow(coordinates: Tensor, inflow: Tensor, viscosity: float, load: Tensor | None = None) -> Flow:
    """u·∇u − ν Δu + ∇p = 0, ∇·u = 0 with the conditions of `stokes_flow`; Newton's method.

    It starts from the flow on every second node, and there from that on every fourth; on the coarsest grid, from the
    flow of twice the viscosity, or from parallel flow where that is near enough.

    Raises
    ------
    ProblemError
        A cell is inverted, or Newton's method does not converge (with the sample's number).
    """
    newton = _Newton.on(coordinates, inflow, viscosity, load)
    velocity = _start(coordinates, inflow, viscosity)
    for _ in range(NEWTON_STEPS):
        flow = newton.step(velocity)
        change = (flow.velocity - velocity).flatten(1).norm(dim=1) / flow.velocity.flatten(1).norm(dim=1)
        if bool((change <= NEWTON_RTOL).all()):
            return flow
        velocity = flow.velocity
    worst = int(change.argmax())
    raise ProblemError(
        f"pipe: Newton's method did not converge within {NEWTON_STEPS} steps at Reynolds number {1 / viscosity:g} on "
        f"{coordinates.shape[-1]} nodes (sample {worst} still changes by {change[worst]:.1e}): lower the Reynolds "
        "number or refine the grid."
    )


def linearised_flow(coordinates: Tensor, inflow: Tensor, viscosity: float) -> Flow:
    """One Newton step for the Navier–Stokes equations from parallel flow: one linear system, which never diverges."""
    return _Newton.on(coordinates, inflow, viscosity, None).step(parallel_flow(coordinates))


@dataclass(frozen=True, eq=False)
class _Newton:
    """What the steps of Newton's method share."""

    elements: TaylorHood
    integrals: CellIntegrals
    viscous: Tensor
    held: Tensor
    load: Tensor

    @classmethod
    def on(cls, coordinates: Tensor, inflow: Tensor, viscosity: float, load: Tensor | None) -> _Newton:
        elements = taylor_hood(coordinates.shape[-1], True)
        held = _held(elements, inflow)
        integrals = _integrals(elements, coordinates)
        load = torch.zeros_like(held) if load is None else load
        return cls(elements, integrals, integrals.stokes(viscosity), held, load)

    def step(self, velocity: Tensor) -> Flow:
        """The flow of the equations linearised at velocities ``(count, 2, n, n)``."""
        nodes = velocity.flatten(2)[..., self.elements.cell_nodes].movedim(1, -1)
        convective, inertia = self.integrals.convection(nodes)
        load = self.load + self.elements.collected(inertia)
        return Flow.of(self.elements, _solved(self.elements, self.viscous + convective, load, self.held))


def _start(coordinates: Tensor, inflow: Tensor, viscosity: float) -> Tensor:
    """Velocities ``(count, 2, n, n)`` near those of the flow."""
    n = coordinates.shape[-1]
    if n < 2 * FEWEST_NODES - 1 or n % 4 != 1:
        if viscosity >= EASY_VISCOSITY:
            return parallel_flow(coordinates)
        return navier_stokes_flow(coordinates, inflow, 2 * viscosity).velocity
    coarse = navier_stokes_flow(inject(coordinates, 2, "vertex"), inflow[..., ::2], viscosity).velocity
    source, target = (Grid((m, m), "vertex", ("unknown", "unknown")) for m in (coarse.shape[-1], n))
    return interpolate(coarse, source, target)


def _solved(elements: TaylorHood, local: Tensor, load: Tensor, held: Tensor) -> Tensor:
    A, b = elements.system(local, load, held)
    return held.index_copy(-1, elements.free, linear_solve(A, b, DIRECT).value)


def _held(elements: TaylorHood, inflow: Tensor) -> Tensor:
    """Prescribed values ``(count, size)``: the walls are at rest, the inlet's corners included."""
    held = inflow.new_zeros(len(inflow), elements.size)
    velocity = held[:, : 2 * elements.n**2].unflatten(-1, (2, elements.n, elements.n))
    velocity[:, :, 0, 1:-1] = inflow[..., 1:-1]
    return held


def _integrals(elements: TaylorHood, coordinates: Tensor) -> CellIntegrals:
    integrals = elements.integrals(coordinates)
    folded = (~(integrals.weights > 0)).flatten(1).any(1).nonzero().flatten().tolist()
    if folded:
        raise ProblemError(
            f"pipe: the grid of sample {folded[0]} has inverted cells ({len(folded)} of {len(coordinates)} samples "
            "have): axis 0 runs from inlet to outlet, axis 1 from the right wall to the left one, without folds."
        )
    return integrals
