"""Darcy flow through a random medium on the nodes of the unit square; the laws of the medium are beside this file."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Generator, Tensor

from pde_benchmarks.domains import Box
from pde_benchmarks.elliptic import EllipticProblem
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.grid_transfer import interpolate
from pde_benchmarks.jet import Jet
from pde_benchmarks.media.node_multigrid import node_hierarchy
from pde_benchmarks.media.node_operator import node_diffusion
from pde_benchmarks.point_values import PointValues
from pde_benchmarks.problem import Batch, FieldSpec, Grid, Kind, Phases, Points
from pde_benchmarks.sensors import Sensors
from pde_benchmarks.variational import VariationalProblem, product, scaled, sine_bubble
from pde_benchmarks.weak_forms import DIFFUSION_FORMS, Diffusion, WeakForm
from solvers import DiffusionOperator, MultigridHierarchy

__all__ = ["SOURCE", "Average", "Medium"]

SOURCE = 10.0
# max u of −Δu = 1 in the unit square, u = 0 on its boundary.
HIGHEST = 0.0736713

Average = Literal["arithmetic", "harmonic"]


@dataclass(frozen=True)
class Medium(EllipticProblem, VariationalProblem):
    """−∇·(a ∇u) = 10 in the unit square, u = 0 on its boundary; the map a ↦ u, both on n × n nodes, boundary included.

    Five-point finite volumes around the inner nodes, of order 2. ``average`` says what the nodal values mean between
    the nodes, to the reference solver and to `coefficient_at` alike: with ``arithmetic`` means on the faces a is linear
    between nodes, with ``harmonic`` means it is constant on the pixel around each node. (The two solutions differ by
    half a percent for two phases of contrast 2: on 29² either mean errs by 0.2 % for its own meaning, by 0.6 % for the
    other.)

    Parameters
    ----------
    resolution
        Nodes per axis.
    average
        Mean on the faces between nodes.
    """

    resolution: int = 29
    average: Average = "arithmetic"
    isotropic: ClassVar[bool] = True
    usual_samples: ClassVar[tuple[int, int]] = (1000, 200)
    residual_kinds: ClassVar[tuple[str, ...]] = tuple(DIFFUSION_FORMS)

    def __post_init__(self) -> None:
        if self.resolution < 5:
            raise ProblemError(f"{self.name} resolution {self.resolution}: at least 5 nodes per axis are needed.")
        if self.average not in ("arithmetic", "harmonic"):
            raise ProblemError(f"{self.name} average {self.average!r} is unknown: use arithmetic or harmonic.")

    @property
    @abstractmethod
    def kind(self) -> Kind:
        """Which values the coefficient takes."""

    @property
    @abstractmethod
    def typical_coefficient(self) -> float:
        """A constant a whose solution is about as large as the others."""

    @abstractmethod
    def coefficients(self, count: int, generator: Generator) -> Tensor:
        """Random media, float64, ``(count, n, n)``."""

    @property
    def grid(self) -> Grid:
        """n × n nodes, those on the boundary included."""
        return _nodes((self.resolution, self.resolution))

    @property
    def inputs(self) -> tuple[FieldSpec, ...]:
        """The coefficient."""
        return (FieldSpec("coefficient", 1, self.grid, kind=self.kind),)

    @property
    def outputs(self) -> tuple[FieldSpec, ...]:
        """The pressure."""
        return (FieldSpec("solution", 1, self.grid),)

    @property
    def observations(self) -> tuple[FieldSpec, ...]:
        """The pressure at points."""
        return (FieldSpec("solution", 1, Points(2)),)

    def at_resolution(self, resolution: int) -> Self:
        """The same law on another grid."""
        return dataclasses.replace(self, resolution=resolution)

    def sample(self, count: int, generator: Generator) -> Batch:
        """Coefficients, float64, shape ``(count, 1, n, n)``."""
        return Batch({"coefficient": self.coefficients(count, generator)[:, None]})

    def operator(self, inputs: Batch) -> DiffusionOperator:
        """−∇·(a ∇ ·) at inner nodes, a multiple of u at those on the boundary; symmetric positive definite."""
        return node_diffusion(inputs["coefficient"][:, 0], self.average)

    def hierarchy(self, inputs: Batch) -> MultigridHierarchy:
        """Multigrid on the inner nodes, set up for the operators of all samples."""
        return node_hierarchy(self.operator(inputs))

    def load(self, inputs: Batch) -> Tensor:
        """The source 10 at inner nodes, 0 on the boundary."""
        f = torch.zeros_like(inputs["coefficient"])
        f[..., 1:-1, 1:-1] = SOURCE
        return f.flatten(1)

    def observe(self, outputs: Batch, sensors: Sensors | None = None) -> Batch:
        """What sensors see, ``(count, n, 1)``; by default one at every inner node."""
        sensors = Sensors.at_inner_nodes(self.grid) if sensors is None else sensors
        return Batch({"solution": sensors.observe(outputs["solution"])})

    def check(self, inputs: Batch, where: str = "") -> None:
        """Refuse coefficients that are not positive, or that are none of the phases where the medium has phases.

        Raises
        ------
        ProblemError
            The offending values are listed.
        """
        super().check(inputs, where)
        if isinstance(self.kind, Phases):
            require_phases(inputs["coefficient"], self.kind.values, where or self.name)

    def coarsened(self, inputs: Batch, ratio: int) -> Batch:
        """The coefficient at the nodes of a grid about ``ratio`` times coarser (exactly so where the nodes nest)."""
        a = inputs["coefficient"]
        coarse = _nodes(max((n - 1) // ratio + 1, 3) for n in a.shape[2:])
        points = torch.cartesian_prod(*(coarse.points(axis) for axis in (0, 1)))
        values = PointValues.linear(_nodes(a.shape[2:]), points).of(a)
        return Batch({"coefficient": values.transpose(1, 2).unflatten(2, coarse.shape)})

    def _coarse_solution(self, inputs: Batch, ratio: int) -> Batch:
        u = self.solve(self.coarsened(inputs, ratio))["solution"]
        return Batch({"solution": interpolate(u, _nodes(u.shape[2:]), _nodes(inputs["coefficient"].shape[2:]))})

    @property
    def typical_solution(self) -> float:
        """max u for the typical constant coefficient."""
        return SOURCE * HIGHEST / self.typical_coefficient

    def weak_form(self, kind: str | None = None, **options: Any) -> WeakForm:
        """One of `DIFFUSION_FORMS`; points in cells are aligned with the pixels unless ``cells`` says otherwise."""
        form = DIFFUSION_FORMS[self.chosen_kind(kind)]
        if form.kind in ("energy", "strong"):
            # The pieces on which the coefficient is smooth: between nodes, or the quarters of their pixels.
            pieces = (self.resolution - 1) * (1 if self.average == "arithmetic" else 2)
            options = {"cells": pieces, **options}
        self.check_options(form, options)
        return form(Diffusion(_source, SOURCE, self.typical_solution), **options)

    def impose(self, name: str, points: Tensor, raw: Jet, inputs: Batch) -> Jet:
        """``solution``: times max u and sin πx sin πy; ``flux``: times a typical flux.

        Raises
        ------
        ProblemError
            If the problem has no such field.
        """
        match name:
            case "solution":
                bubble = sine_bubble(points, Box(), order=1 if raw.hessian is None else 2)
                return scaled(product(bubble, raw), self.typical_solution)
            case "flux":
                return scaled(raw, SOURCE / 4)  # the mean flux through the sides: source · area / perimeter
        raise ProblemError(f"{self.name}: no field {name!r}: known are solution and flux.")

    def coefficient_at(self, inputs: Batch, points: Tensor) -> Tensor:
        """a at ``points (n, 2)``, ``(count, n, 1)``: linear between nodes, or their pixels', as `average` says."""
        a = inputs["coefficient"]
        read = PointValues.linear if self.average == "arithmetic" else PointValues.pixels
        return read(_nodes(a.shape[2:]), points).of(a)


def require_phases(field: Tensor, values: tuple[float, ...], where: str) -> None:
    """Refuse a field with values other than ``values``, up to rounding; raises ProblemError."""
    distance = torch.stack([(field - value).abs() for value in values]).amin(0)
    wrong = field[distance > 1e-5 * max(map(abs, values))].unique()
    if len(wrong):
        listed = ", ".join(f"{value:.6g}" for value in wrong[:5].tolist()) + (", …" if len(wrong) > 5 else "")
        raise ProblemError(
            f"{where}: the coefficient takes the values {', '.join(f'{v:g}' for v in values)} only, but {listed} were "
            "found: round them to the nearest phase, or use a problem with a continuous coefficient."
        )


def _nodes(shape: Iterable[int]) -> Grid:
    return Grid(tuple(shape), "vertex", ("dirichlet", "dirichlet"))


def _source(points: Tensor) -> Tensor:
    return torch.full_like(points[:, 0], SOURCE)
