"""Helmholtz' equation: time-harmonic waves in a square whose wave speed varies from place to place."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Generator, Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.helmholtz.constant_speed import ConstantSpeedInverse
from pde_benchmarks.helmholtz.elements import SquareElements, hat_integrals, square_elements
from pde_benchmarks.linear import LinearProblem
from pde_benchmarks.problem import Batch, FieldSpec, Grid, Positive
from pde_benchmarks.random_fields import GaussianField
from solvers import GMRES, CSROperator, SuperLU, linear_solve

__all__ = ["Helmholtz"]

MEAN_SPEED = 20.0
SOURCE = (0.35, 0.65)
NODES_PER_WAVELENGTH = 4
SAMPLES_AT_ONCE = 8  # a factor of 101² nodes takes 20 MB
CORRECTION_RTOL = 1e-4
MAX_STEPS = 400
RESTART = 60


@dataclass(frozen=True)
class Helmholtz(LinearProblem):
    """−Δu − (1 + iη) (ω/c)² u = 0 in the unit square, driven through its top; the map c ↦ u.

    ∂u/∂n = 1 where 0.35 ≤ x ≤ 0.65 at the top (y = 1), else 0 on the whole boundary; n points outwards. The wave speed
    is c = 20 + tanh(g), g Gaussian with covariance (−Δ + 9)⁻² (De Hoop, Huang, Qian & Stuart 2022); the mean wave
    number is k = ω/20. Waves go as e^(−iωt), so that η > 0 takes energy out of them: exp(ikx √(1 + iη)) decays.

    Bilinear finite elements on n × n nodes, (ω/c)² interpolated from the nodes; axis 0 is x, axis 1 is y. The error is
    of order h², with a phase error of about k³h²/24 a unit of length, half a radian for the default numbers: u is the
    solution of this *discrete* problem, as in the published data, and fields at two resolutions differ by the phase.

    With η = 0 there are resonances: an eigenvalue of the operator may come arbitrarily close to zero, about 4π apart
    from its neighbours. There u grows without bound and a small change of c changes u completely, for every learner
    and every solver. For the published law eigenvalues move by 20 or so from sample to sample. A damping η ≥ 0.01
    keeps them η k² away from zero.

    Parameters
    ----------
    frequency
        ω.
    damping
        η; 0 gives a real wave of one channel, η > 0 a complex one: two channels, real and imaginary part.
    resolution
        Nodes per axis, both ends included; at least four a wavelength.
    strength
        Factor of g: 1 is the published law, with c within 2 % of 20; at 10, c covers 19 to 21.
    krylov_steps
        Steps of the first guess ``krylov``; for the published law 5 leave an error of 0.1 %, 10 one of 1e-7.

    Raises
    ------
    ProblemError
        A parameter is out of range.

    Examples
    --------
    >>> problem = Helmholtz(frequency=200.0, resolution=25)
    >>> c = problem.sample(2, torch.Generator().manual_seed(0))
    >>> u = problem.solve(c)
    >>> u["wave"].shape, bool(problem.residual(c, u)["wave"].abs().max() < 1e-12)
    (torch.Size([2, 1, 25, 25]), True)
    """

    frequency: float = 1000.0
    damping: float = 0.0
    resolution: int = 101
    strength: float = 1.0
    krylov_steps: int = 5
    name: ClassVar[str] = "helmholtz"
    guesses: ClassVar[tuple[str, ...]] = ("born", "krylov")

    def __post_init__(self) -> None:
        if not (self.frequency > 0 and math.isfinite(self.frequency)):
            raise ProblemError(f"helmholtz frequency {self.frequency}: a positive number is expected.")
        if not (self.damping >= 0 and math.isfinite(self.damping)):
            raise ProblemError(f"helmholtz damping {self.damping}: at least 0 is expected; below 0 waves would grow.")
        if not (self.strength > 0 and math.isfinite(self.strength)):
            raise ProblemError(f"helmholtz strength {self.strength}: a positive number is expected; 1 is published.")
        if self.krylov_steps < 1:
            raise ProblemError(f"helmholtz krylov_steps {self.krylov_steps}: at least 1 step is needed.")
        needed = max(5, 1 + math.ceil(NODES_PER_WAVELENGTH * self.frequency / MEAN_SPEED / (2 * math.pi)))
        if self.resolution < needed:
            raise ProblemError(
                f"helmholtz resolution {self.resolution}: frequency {self.frequency:g} needs at least {needed} nodes "
                f"per axis, {NODES_PER_WAVELENGTH} a wavelength; raise the one or lower the other."
            )

    @property
    def grid(self) -> Grid:
        """n × n vertices; no flux but at the top, where the source is."""
        return Grid((self.resolution, self.resolution), "vertex", ("neumann", ("neumann", "unknown")))

    @property
    def inputs(self) -> tuple[FieldSpec, ...]:
        """The wave speed."""
        return (FieldSpec("wave_speed", 1, self.grid, kind=Positive()),)

    @property
    def outputs(self) -> tuple[FieldSpec, ...]:
        """The wave."""
        return (FieldSpec("wave", 2 if self.damping else 1, self.grid),)

    def at_resolution(self, resolution: int) -> Self:
        """The same law, hence for one seed the same wave speeds, on another grid."""
        return dataclasses.replace(self, resolution=resolution)

    def sample(self, count: int, generator: Generator) -> Batch:
        """Wave speeds, float64, shape ``(count, 1, n, n)``."""
        law = GaussianField(smoothness=2.0, inverse_length=3.0)
        g = law.sample(count, self.grid, generator) / law.inverse_length  # whose covariance carries a factor τ²
        return Batch({"wave_speed": MEAN_SPEED + torch.tanh(self.strength * g)[:, None]})

    def operator(self, inputs: Batch) -> CSROperator:
        """K − (1 + iη) ∫ (ω/c)² u v of all samples, symmetric, not definite; differentiable in c."""
        elements = self._elements(inputs)
        values = elements.stiffness.values - self._loss * elements.mass(self._squared_wave_numbers(inputs)).values
        return CSROperator.from_pattern(elements.stiffness.pattern, values, () if self.damping else {"symmetric"})

    def load(self, inputs: Batch) -> Tensor:
        """∫ of every hat function over the source: flat, shape ``(count, n²)``, of the operator's dtype."""
        c = inputs["wave_speed"]
        f = torch.zeros(c.shape[-2:], dtype=self._dtype(c), device=c.device)
        f[:, -1] = hat_integrals(c.shape[-1], *SOURCE).to(f)
        return f.flatten().expand(len(c), -1)

    def solve(self, inputs: Batch) -> Batch:
        """The discrete solution by sparse LU in float64, to a relative residual of 1e-10; dtype of the inputs.

        Raises
        ------
        ProblemError
            A wave speed is not positive, or not given on n × n nodes.
        """
        self.check(inputs)
        parts = []
        for start in range(0, inputs.count, SAMPLES_AT_ONCE):
            rows = inputs.rows(slice(start, start + SAMPLES_AT_ONCE)).to(dtype=torch.float64)
            parts.append(linear_solve(self.operator(rows), self.load(rows), SuperLU(rtol=1e-10)).value)
        u = torch.cat(parts) if parts else self.load(inputs)
        return self.fields(u.to(self._dtype(inputs["wave_speed"])), inputs)

    def residual(self, inputs: Batch, outputs: Batch) -> Batch:
        """A(c) u − f, tested with every node's function; differentiable in c and u."""
        return self.fields(-self._missing(inputs, outputs), inputs)

    def correction(self, inputs: Batch, outputs: Batch) -> Batch:
        """The error u* − u to a relative 1e-4 or so: A⁻¹ (f − A u) by preconditioned GMRES.

        Its gradients in u and c are those of A⁻¹ (f − A u), by an adjoint solve of the same tolerance; GMRES itself,
        which is not linear in the residual, is not differentiated.
        """
        missing = self._missing(inputs, outputs)
        solver = self.krylov(CORRECTION_RTOL)
        step = linear_solve(self.operator(inputs), missing, solver, self.preconditioner(inputs))
        return self.fields(step.value, inputs)

    def krylov(self, rtol: float) -> GMRES:
        """GMRES, with as long a memory as the resonances ask for."""
        return GMRES(rtol=rtol, max_iterations=MAX_STEPS, restart=RESTART)

    def preconditioner(self, inputs: Batch) -> ConstantSpeedInverse:
        """The regularised inverse for a constant wave speed, that with the sample's mean of 1/c²."""
        shift = self._loss * self._squared_wave_numbers(inputs).mean(-1)
        return ConstantSpeedInverse.of(self._elements(inputs), shift)

    def unknowns(self, outputs: Batch) -> Tensor:
        """The wave as flat vectors ``(count, n²)``, complex with damping."""
        u = outputs["wave"].flatten(2)
        return torch.complex(u[:, 0], u[:, 1]) if self.damping else u[:, 0]

    def fields(self, unknowns: Tensor, inputs: Batch) -> Batch:
        """Flat waves as channels on the grid."""
        parts = torch.stack((unknowns.real, unknowns.imag), 1) if self.damping else unknowns[:, None]
        return Batch({"wave": parts.unflatten(-1, inputs["wave_speed"].shape[-2:])})

    @torch.no_grad()
    def first_guess(self, inputs: Batch, kind: str) -> Batch:
        """A cheap wave: ``born`` (constant wave speed) or ``krylov`` (`krylov_steps` of GMRES, preconditioned by that).

        No derivatives pass through it.
        """
        match kind:
            case "born":
                return self.fields(self.preconditioner(inputs)(self.load(inputs)), inputs)
            case "krylov":
                solver = GMRES(max_iterations=self.krylov_steps, restart=self.krylov_steps)
                A, b = self.operator(inputs), self.load(inputs)
                return self.fields(linear_solve(A, b, solver, self.preconditioner(inputs), throw=False).value, inputs)
        raise ProblemError(f"first guess {kind!r} is unknown: use one of {', '.join(self.guesses)}.")

    @property
    def hint_specs(self) -> tuple[FieldSpec, ...]:
        """The preconditioned residual of the guess."""
        return (dataclasses.replace(self.outputs[0], name="preconditioned_residual"),)

    def hints(self, inputs: Batch, guess: Batch) -> Batch:
        """M (f − A u), M the inverse for a constant wave speed: linear in u, and differentiable in c and u."""
        step = self.preconditioner(inputs)(self._missing(inputs, guess))
        return Batch({"preconditioned_residual": self.fields(step, inputs)["wave"]})

    @property
    def _loss(self) -> complex:
        return complex(1, self.damping) if self.damping else 1.0

    def _dtype(self, c: Tensor) -> torch.dtype:
        return c.dtype.to_complex() if self.damping else c.dtype

    def _elements(self, inputs: Batch) -> SquareElements:
        c = inputs["wave_speed"]
        if c.shape[1:] != (1, c.shape[-1], c.shape[-1]):
            raise ProblemError(f"helmholtz wave_speed {tuple(c.shape)}: expected (samples, 1, n, n) on a square grid.")
        return square_elements(c.shape[-1], c.dtype, c.device)

    def _squared_wave_numbers(self, inputs: Batch) -> Tensor:
        return (self.frequency / inputs["wave_speed"].flatten(1)).square()

    def _missing(self, inputs: Batch, outputs: Batch) -> Tensor:
        """f − A u, flat."""
        return self.load(inputs) - self.operator(inputs).mv(self.unknowns(outputs))
