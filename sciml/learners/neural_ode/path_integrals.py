"""Penalties integrated along the solution: kinetic energy, Jacobian norm, and total time derivatives.

Each is passed to `odesolve` in ``integrals`` and then called with the solution.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from sciml.learners.neural_ode.errors import IntegrationInputError
from sciml.learners.neural_ode.solution import ODESolution
from sciml.learners.neural_ode.solved import Solved

__all__ = ["JacobianRegularizer", "KineticRegularizer", "TaylorRegularizer"]

_Slope = Callable[[Tensor, Tensor], Tensor]


class _PathIntegral(ABC):
    """The mean over the samples of an integral that the solver carried along."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Key of the integral in `ODESolution.integrals`."""

    def noise(self, z0: Tensor) -> Tensor:
        """Return the fixed noise of one solve; none unless a penalty needs it, ``(B, 0)``."""
        return z0.new_zeros(len(z0), 0)

    def __call__(self, solution: Solved) -> Tensor:
        """Return the integral over the whole time, averaged over the samples.

        Raises
        ------
        IntegrationInputError
            If the solution was computed without it.
        """
        if not isinstance(solution, ODESolution) or self.name not in solution.integrals:
            raise IntegrationInputError(
                f"the {self.name} integral was not carried along; use odesolve with "
                f"integrals=({type(self).__name__}(...),)."
            )
        return solution.integrals[self.name][-1].abs().mean()  # negative in reversed time


@dataclass(frozen=True)
class KineticRegularizer(_PathIntegral):
    """∫ ‖f‖² dt (RNODE: Finlay et al., ICML 2020); costs no evaluations.

    Examples
    --------
    >>> from sciml.learners.neural_ode import odesolve
    >>> kinetic = KineticRegularizer()
    >>> z0, t = torch.zeros(1, 1, dtype=torch.float64), torch.tensor([0.0, 2.0])
    >>> solution = odesolve(lambda t, z: torch.full_like(z, 3.0), z0, t, integrals=(kinetic,))
    >>> round(kinetic(solution).item(), 6)
    18.0
    """

    @property
    def name(self) -> str:
        """Key of the integral."""
        return "kinetic"

    def rate(self, f: _Slope, t: Tensor, z: Tensor, dz: Tensor, noise: Tensor) -> Tensor:
        """Return ‖f‖² of every sample, ``(B,)``."""
        return dz.flatten(1).square().sum(dim=1)


@dataclass(frozen=True)
class JacobianRegularizer(_PathIntegral):
    """∫ ‖εᵀ ∂f/∂z‖² dt, whose mean over ε is the squared Frobenius norm (RNODE: Finlay et al., ICML 2020).

    One more evaluation and one transposed product per stage.

    Parameters
    ----------
    generator
        Source of ε ~ N(0, I) on the CPU, drawn once per solve; None: torch's own.
    """

    generator: Generator | None = None

    @property
    def name(self) -> str:
        """Key of the integral."""
        return "jacobian"

    def noise(self, z0: Tensor) -> Tensor:
        """Return ε, of the shape of the state."""
        return torch.randn(z0.shape, dtype=z0.dtype, generator=self.generator).to(z0.device)

    def rate(self, f: _Slope, t: Tensor, z: Tensor, dz: Tensor, noise: Tensor) -> Tensor:
        """Return ‖εᵀ ∂f/∂z‖² of every sample, ``(B,)``."""
        keep = torch.is_grad_enabled()
        with torch.enable_grad():
            state = z if keep and z.requires_grad else z.detach().requires_grad_()
            (row,) = torch.autograd.grad(f(t, state), state, noise, create_graph=keep)
        return row.flatten(1).square().sum(dim=1)


@dataclass(frozen=True)
class TaylorRegularizer(_PathIntegral):
    """∫ ‖dᴷz/dtᴷ‖² dt by nested forward-mode differentiation (TayNODE: Kelly et al., NeurIPS 2020).

    Parameters
    ----------
    order
        K ≥ 2; evaluations per stage grow like 2ᴷ.

    Raises
    ------
    IntegrationInputError
        If the order is below 2 (order 1 is `KineticRegularizer`).
    """

    order: int = 2

    def __post_init__(self) -> None:
        if self.order < 2:
            raise IntegrationInputError(
                f"order={self.order}: expected at least 2 (the first derivative is KineticRegularizer)."
            )

    @property
    def name(self) -> str:
        """Key of the integral."""
        return f"taylor_{self.order}"

    def rate(self, f: _Slope, t: Tensor, z: Tensor, dz: Tensor, noise: Tensor) -> Tensor:
        """Return ‖dᴷz/dtᴷ‖² of every sample, ``(B,)``."""
        derivative = f
        for _ in range(self.order - 1):
            derivative = _along_the_flow(derivative, f)
        # A time shared by all samples is one number in memory, which forward mode cannot perturb.
        return derivative(t.contiguous(), z).flatten(1).square().sum(dim=1)


def _along_the_flow(g: _Slope, f: _Slope) -> _Slope:
    """Return the total time derivative of ``g(t, z(t))`` along dz/dt = f."""

    def derivative(t: Tensor, z: Tensor) -> Tensor:
        return torch.func.jvp(g, (t, z), (torch.ones_like(t), f(t, z)))[1]

    return derivative
