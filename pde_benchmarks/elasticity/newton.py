"""Equilibrium of an elastoplastic body under a growing load: Newton's method with the consistent tangent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from meshes.finite_elements import DirichletCondition
from pde_benchmarks.elasticity.plane_strain import PlaneStrain
from pde_benchmarks.elasticity.plasticity import ElastoPlastic, PlasticState, Response
from pde_benchmarks.elasticity.repeated_factor import RepeatedFactor
from solvers import Status
from solvers.operators import CSROperator

__all__ = ["Balance", "Increment", "LoadedBody"]

Array = NDArray[Any]

#: A step is taken when the slope of the energy at its end is at most this share of that at its beginning.
_SLOPE = 0.9
_SHORTEST = 2.0**-8


@dataclass(frozen=True, eq=False)
class Balance:
    """Displacements ``(size,)``, what the material answers, and the forces out of balance ``(size,)``."""

    displacement: Array
    response: Response
    residual: Array


@dataclass(frozen=True, eq=False)
class Increment:
    """How Newton's method went: the last balance, and the relative residuals before the first step and after each."""

    balance: Balance
    status: Status
    history: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class LoadedBody:
    """An elastoplastic body, held somewhere and loaded.

    Parameters
    ----------
    body
        Its mesh and displacements.
    material
        The same everywhere.
    held
        Degrees of freedom that stay zero.
    load
        Full load ``(size,)``: N per mm of thickness where lengths are in mm and stresses in MPa.
    """

    body: PlaneStrain
    material: ElastoPlastic
    held: DirichletCondition
    load: Array

    def increment(
        self, guess: Array, state: PlasticState, share: float, rtol: float = 1e-8, max_iterations: int = 20
    ) -> Increment:
        """Equilibrium under ``share`` of the load, from the state at the beginning of the increment.

        Newton's method with a line search. The work of a step of implicit Euler is a convex function of the
        displacements as long as nothing softens (Simo & Hughes 1998), so that it converges from any guess.

        Parameters
        ----------
        guess
            Displacements ``(size,)`` to begin with, zero where they are held.
        rtol
            Solved when the forces out of balance are ≤ rtol · load, both in the Euclidean norm over the free degrees of
            freedom.
        max_iterations
            Linear solves.
        """
        load = share * self.load
        scale = float(np.linalg.norm(self._released(load))) or 1.0
        now = self._balance(guess, state, load)
        history = [float(np.linalg.norm(now.residual)) / scale]
        for _ in range(max_iterations):
            if history[-1] <= rtol or not np.isfinite(history[-1]):
                break
            now = self._searched(now, self._step(now), state, load)
            history.append(float(np.linalg.norm(now.residual)) / scale)
        if history[-1] <= rtol:
            status = Status.CONVERGED
        else:
            status = Status.MAX_ITERATIONS if np.isfinite(history[-1]) else Status.NONFINITE_ITERATE
        return Increment(now, status, tuple(history))

    def reactions(self, stress: Array) -> Array:
        """Forces ``(size,)`` of the supports on the body under the full load: zero where nothing is held."""
        return self.body.forces(stress) - self.load

    def _balance(self, displacement: Array, state: PlasticState, load: Array) -> Balance:
        response = self.material.response(self.body.strains(displacement), state)
        return Balance(displacement, response, self._released(load - self.body.forces(response.stress)))

    def _step(self, now: Balance) -> Array:
        A, b = self.held.eliminate(self.body.stiffness(now.response.tangent), torch.from_numpy(now.residual))
        return np.asarray(self.held.extend(torch.from_numpy(self._factor.solve(A, b.numpy()))))

    def _searched(self, now: Balance, step: Array, state: PlasticState, load: Array) -> Balance:
        """The balance after the longest step 1, 1/2, 1/4, … that does not climb beyond the valley."""
        limit, length = _SLOPE * abs(float(now.residual @ step)), 1.0
        while True:
            trial = self._balance(now.displacement + length * step, state, load)
            if -float(trial.residual @ step) <= limit or length <= _SHORTEST:
                return trial
            length *= 0.5

    def _released(self, forces: Array) -> Array:
        """The forces without those on held degrees of freedom."""
        free = self.held.free.numpy()
        released = np.zeros_like(forces)
        released[free] = forces[free]
        return released

    @cached_property
    def _factor(self) -> RepeatedFactor:
        places = self.body.space.entry_places
        entries = torch.zeros(places.pattern.col.numel(), dtype=torch.float64)
        empty = torch.zeros(self.body.space.size, dtype=torch.float64)
        A, _ = self.held.eliminate(CSROperator.from_pattern(places.pattern, entries, {"symmetric"}), empty)
        return RepeatedFactor(A.pattern)
